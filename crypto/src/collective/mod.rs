//! The key plane of mode `homomorphic`: a collective RLWE key that any r of m holders use together and nobody has
//! (PROTOCOL.md §8; Mouchet et al., J. Cryptology 2023; Willow, ePrint 2024/936).
//!
//! ```text
//! holders:      HolderKey ─deal─▶ Dealing ─sealed─▶ open_dealt ─▶ check_key_part ─▶ judge_dealing
//!                   └─ b_u ─▶ CollectiveKey                └─▶ KeyShare::assemble
//! participant:  SpentSecret ─CollectiveKey::encrypt─▶ Ciphertext (c₀, c₁) + commitment to c₁
//! coordinator:  CiphertextSum ─ V = Σ c₁, unreduced ─▶ members
//! member:       commitments of D add up to V? ─▶ KeyShare::answer for the responders A
//! coordinator:  c₀ + Σ answers ─combine─▶ KeySum of the mask plane
//! ```
//!
//! | file | rules |
//! | --- | --- |
//! | `committee` | Shamir sharing modulo every prime: [CKG-3] |
//! | `keygen` | parts, commitments, the key, shares: [CKG-2], [CKG-5] |
//! | `check` | consistency and shortness of a dealing: [CKG-4] |
//! | `encrypt` | ciphertexts and their sums: [CENC-1], [CENC-2] |
//! | `commit` | members know what they open: [OPEN-6] |
//! | `open` | answers and their combination: [COPEN-1], [COPEN-2], [COPEN-3] |
//! | `blame` | who answered wrongly: [COPEN-4] |
//! | `renew` | refresh and reshare: [CREN-1], [CREN-2] |
//! | `noise` | the bounds: [CNOISE-1] |
//!
//! # Security
//!
//! Not audited. Any r − 1 holders learn nothing about the secret. Participants must not collude with the coordinator
//! (RT-73): nobody proves that a ciphertext is one of a short secret. An answer is fit to be seen only as part of one
//! opening; single answers without their sharing of zero would give the key away (`blame.rs` says how much is told
//! when one is wrong).

mod blame;
mod check;
mod commit;
mod committee;
mod element;
mod encrypt;
mod keygen;
mod noise;
mod open;
mod renew;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use blame::{Statement, Verdict};
pub use check::{CheckBytes, DealOutcome};
pub use commit::{C1Commitment, commitments_fit, prepare_commitments};
pub use committee::{Committee, DealContext, DealKind, Dealing, Dealt, PairSeeds};
pub use element::{DEGREE, ELEMENT_BYTES};
pub use encrypt::{CIPHERTEXT_BYTES, Ciphertext, CiphertextSum, SummedC1, TestCiphertext};
pub use keygen::{CollectiveKey, HolderKey, KeyShare, Point, PublicPart, part_commitment, parts_digest};
pub use noise::{Noise, NoiseError};
pub use open::{ANSWER_BYTES, Opened, OpeningContext, combine};
pub use renew::ReceivedShare;

/// Most holders of a key.
pub const MAX_HOLDERS: u16 = 128;

/// Why something about a collective key was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CollectiveError {
    /// A committee nobody can have.
    #[error("m = {m}, r = {r}; needed is 2 ≤ r ≤ m ≤ 128")]
    Committee {
        /// Holders.
        m: u16,
        /// Answers that open.
        r: u16,
    },
    /// Not r or more distinct holders in ascending order, or not those the opening names.
    #[error("not r or more distinct holders, ascending, as the opening names them")]
    Responders,
    /// Bytes that are not what they should be: length, a residue that is none, another kind.
    #[error("not the one encoding of what should be here")]
    Malformed,
    /// More ciphertexts than n_max.
    #[error("more ciphertexts than a round may have")]
    TooMany,
    /// A hundred sets of masks that would have told something.
    #[error("no masks that hide the secret were found")]
    Unlucky,
    /// The answers do not open: some are wrong.
    #[error("the answers do not open the sum: at least one is wrong")]
    WrongAnswers,
    /// What opened is more than the contributors' secrets can add up to.
    #[error("what opened is no sum of so many secrets")]
    SumTooLarge,
}
