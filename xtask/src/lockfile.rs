//! What the lock file may not hold: libraries that are banned, and two generations of a library that
//! touches secrets. `deny.toml` says the same to cargo-deny; this needs nothing installed.

use std::collections::BTreeMap;

use crate::tree::{Findings, Tree};

/// Libraries that never come in, with the reason.
const BANNED: &[(&str, &str)] = &[
    ("backoff", "unmaintained"),
    ("bincode", "unmaintained, RUSTSEC-2025-0141; see docs/decisions/0002"),
    ("blahaj", "accepts x = 0 and duplicate shares; see docs/decisions/0003"),
    ("openssl-sys", "a second TLS and cryptography stack"),
    ("rustls-pemfile", "unmaintained, RUSTSEC-2025-0134"),
    ("sharks", "biased coefficients, RUSTSEC-2024-0398; see docs/decisions/0003"),
    ("tfhe", "not needed for additive aggregation; see docs/decisions/0004"),
];

/// Libraries of which there is one version.
const ONE_VERSION: &[&str] = &[
    "aes",
    "blake3",
    "chacha20",
    "chacha20poly1305",
    "cipher",
    "ctr",
    "curve25519-dalek",
    "ed25519-dalek",
    "hkdf",
    "hpke",
    "ml-kem",
    "p256",
    "quinn-proto",
    "ring",
    "rustls",
    "sha2",
    "subtle",
    "tfhe-ntt",
    "x25519-dalek",
    "zeroize",
];

/// Reads `Cargo.lock`.
pub fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let Some(text) = tree.texts.get("Cargo.lock") else {
        findings.error("Cargo.lock is missing");
        return findings;
    };
    let versions = versions(text);
    for (name, why) in BANNED.iter().filter(|(name, _)| versions.contains_key(name)) {
        findings.error(format!("Cargo.lock holds {name}: {why}"));
    }
    for name in ONE_VERSION {
        if let Some(found) = versions.get(name).filter(|found| found.len() > 1) {
            findings.error(format!("Cargo.lock holds {name} more than once: {}", found.join(", ")));
        }
    }
    findings.note = format!("{} packages locked", versions.len());
    findings
}

fn versions(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        let quoted = line.split('"').nth(1).unwrap_or_default();
        if line.starts_with("name = ") {
            name = quoted;
        } else if line.starts_with("version = ") && !name.is_empty() {
            versions.entry(name).or_default().push(quoted);
            name = "";
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(lock: &str) -> Vec<String> {
        check(&Tree::of(&[("Cargo.lock", lock)])).errors
    }

    fn package(name: &str, version: &str) -> String {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n")
    }

    #[test]
    fn a_banned_library_is_found() {
        assert!(errors(&package("sharks", "0.5.0"))[0].contains("RUSTSEC-2024-0398"));
        assert!(errors(&package("shark", "0.5.0")).is_empty());
    }

    #[test]
    fn two_generations_are_found() {
        let lock = package("curve25519-dalek", "4.1.3") + &package("curve25519-dalek", "5.0.0");
        assert!(errors(&lock)[0].contains("4.1.3, 5.0.0"));
        assert!(errors(&(package("syn", "1.0.0") + &package("syn", "2.0.0"))).is_empty());
    }

    #[test]
    fn a_missing_lock_file_is_found() {
        assert_eq!(check(&Tree::default()).errors.len(), 1);
    }
}
