//! The cryptography of Quorate: the one crate that names dalek, p256, hpke and tfhe-ntt, and
//! the one place where raw secret bytes live.
//!
//! | module | what it holds | PROTOCOL.md |
//! | --- | --- | --- |
//! | [`labels`], [`hash`], [`kdf`] | domain separation, `H`, key derivation, XOF | §2 |
//! | [`merkle`] | RFC 6962 trees: registry, share tree, set of a round | §2 |
//! | [`sign`] | Ed25519, one accepted set for single and batch verification | §2 |
//! | [`ecdsa`] | ECDSA over P-256, for formats that know no Ed25519 | – |
//! | [`seal`] | HPKE: X25519 with one ephemeral key a contribution, X-Wing | §5 |
//! | [`ring`], [`mask`] | the data plane: suites, sampler, matrix, packing, accumulator, unmasking | §4 |
//! | [`share`] | packed Shamir sharing, share check, Reed–Solomon decoding | §5, §6 |
//! | [`collective`] | the key plane of `homomorphic`: collective key, threshold decryption | §8 |
//! | [`storage`] | sealing of what a device stores or moves | §2 |
//! | [`envelope`] | data keys, keys that wrap them, authenticated chunks | – |
//! | [`passphrase`] | storage keys of passphrases | – |
//! | [`sigv4`] | signatures of requests to key services | – |
//! | [`feldman`] | verifiable sharing of a wrapping key | – |
//! | [`escrow_key`] | key pairs of custodians and recoveries | – |
//!
//! # Security
//!
//! Not audited. Randomness is always an argument; nothing here reads the clock, the environment or
//! the operating system. Secret types wipe themselves and are neither `Clone` nor `Debug`.

pub mod collective;
pub mod ecdsa;
pub mod envelope;
pub mod escrow_key;
pub mod feldman;
pub mod hash;
pub mod kdf;
pub mod labels;
pub mod mask;
pub mod merkle;
pub mod passphrase;
pub mod ring;
pub mod seal;
pub mod share;
pub mod sign;
pub mod sigv4;
pub mod simd;
pub mod storage;

#[cfg(test)]
mod vectors;
