//! `H`: SHA-256 with a label and a length before every field (PROTOCOL.md §2, [HASH-1]).
//!
//! `H(label; f₁, …, fₖ) = SHA-256(u64le(|label|) ‖ label ‖ u64le(|f₁|) ‖ f₁ ‖ …)`. Vectors alone are
//! hashed with BLAKE3-256, because SHA-256 would dominate the cost of a contribution.

use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::labels::Label;

/// A 256-bit hash value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// All zero: the predecessor of the first transcript.
    pub const ZERO: Self = Self([0; 32]);

    /// Wraps 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest of 64 lower-case hexadecimal characters.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        from_hex(text, &mut bytes).map(|()| Self(bytes))
    }

    /// Lower-case hexadecimal, 64 characters.
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", &self.to_hex()[..12])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// `H` over a stream of fields.
#[derive(Clone)]
pub struct FieldHasher(Sha256);

impl FieldHasher {
    /// Starts with the label.
    #[must_use]
    pub fn new(label: Label) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.field(label.as_bytes());
        hasher
    }

    /// Adds one field with its length in front.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The digest of label and fields.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// `H(label; fields…)` ([HASH-1]).
#[must_use]
pub fn digest(label: Label, fields: &[&[u8]]) -> Digest {
    let mut hasher = FieldHasher::new(label);
    for field in fields {
        hasher.field(field);
    }
    hasher.finish()
}

/// Plain SHA-256 of `bytes`: key hashes and Merkle trees, whose formats bring their own separation.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    sha256_of(parts.iter().copied())
}

/// The same over any number of parts.
pub(crate) fn sha256_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = Sha256::new();
    parts.for_each(|part| hasher.update(part));
    Digest(hasher.finalize().into())
}

/// Plain SHA-256 of everything `from` yields.
///
/// # Errors
/// Those of the reader.
pub fn sha256_of_reader(from: &mut dyn Read) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(Digest(hasher.finalize().into())),
            Ok(read) => hasher.update(chunk.get(..read).ok_or(io::ErrorKind::InvalidData)?),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Decodes exactly `into.len()` bytes of lower-case hexadecimal.
#[must_use]
pub fn from_hex(text: &str, into: &mut [u8]) -> Option<()> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != into.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in into.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(())
}

/// BLAKE3-256 of a masked vector ([HASH-3]).
#[must_use]
pub fn vector_digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    // [HASH-3]: the BLAKE3 hash of nothing, from its published test vectors.
    #[test]
    fn vectors_are_hashed_with_blake3() {
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(vector_digest(b"").to_hex(), empty);
    }

    #[test]
    fn hexadecimal_has_one_spelling() {
        let digest = sha256(&[b"x"]);
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(Digest::from_hex(&digest.to_hex().to_uppercase()), None);
        assert_eq!(Digest::from_hex(&digest.to_hex()[..63]), None);
        assert_eq!(sha256_of_reader(&mut &b"x"[..]).unwrap(), digest);
    }

    // [HASH-1]
    #[test]
    fn moving_a_boundary_changes_the_digest() {
        let a = digest(labels::MODEL, &[b"ab", b"c"]);
        assert_ne!(a, digest(labels::MODEL, &[b"a", b"bc"]));
        assert_ne!(a, digest(labels::POLICY, &[b"ab", b"c"]));
    }
}
