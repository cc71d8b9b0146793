//! What a malicious coordinator or party makes with its own keys: anything it can sign.
