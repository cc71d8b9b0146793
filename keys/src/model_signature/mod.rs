//! Signed models, in the form of the OpenSSF model-signing specification, so that its public tool verifies them too.
//!
//! ```text
//! model.sig   sigstore bundle (JSON)
//!   └ DSSE envelope: ECDSA P-256 over "DSSEv1 28 application/vnd.in-toto+json <length> <payload>"
//!       └ in-toto statement: subject = model, SHA-256 over the digests of its files
//!           └ predicate https://model_signing/signature/v1.0
//!               ├ serialization, resources: each file with its SHA-256
//!               └ quorate: key id, rounds, manifest, policy, end of validity      (ignored by other tools)
//! ```
//!
//! A participant verifies in two steps: [`Bundle::verify`] against the keys of its trust root gives a [`Verdict`] and the
//! [`Statement`]; [`Statement::matches`] holds that against the files it has.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`statement`] | files, claims, and their JSON |
//! | [`bundle`] | envelope and bundle; signing |
//! | [`mod@verify`] | keys, standing, verdicts |
//!
//! # Security
//!
//! The public tool verifies signature and files. That the key is the right version, not revoked, and the model not an
//! older one, only [`Bundle::verify`] says. Time is an argument, *now*: what the bundle says of time can end
//! its validity and never extend it ([KL-21]). Names of files are normalised and can't lead out of a directory (RT-47).

pub mod bundle;
pub mod statement;
pub mod verify;

pub use bundle::{Bundle, BundleError, sign};
pub use statement::{Claims, FileName, Mismatch, Rounds, Statement, StatementError};
pub use verify::{ModelKey, ModelTrust, Refusal, Standing, Verdict, Verified};

#[cfg(test)]
mod tests;
