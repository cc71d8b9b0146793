//! Mode `homomorphic`: the session that makes or renews a collective key, and the openings under it (PROTOCOL.md §8).
//!
//! ```text
//! holder (holder.rs)        Idle ─call─▶ Joined ─joins─▶ Committed ─commits─▶ Revealed ─all parts─▶ Checked ─test─▶ Signed ─all sign─▶ share in force
//! coordinator (maker.rs)        Joining ─────▶ Committing ────▶ Revealing ────▶ Checking ────────▶ Trying ──▶ Signing ──▶ ready
//!                                  └────────────── silence, a wrong part, a failed test ───────────┴──▶ dead: disclosures, judged (judge.rs)
//! ```
//!
//! Sessions are numbered. A holder takes part in one session of a number and only in a higher one than before; a
//! session that failed is dead for good, and the next one leaves out who is to blame.
//!
//! # Security
//!
//! Secrets of a session live in memory only, the share of a key in force is stored sealed by the driver. A holder
//! either signs the record of a key or discloses its key of the session, never both: so what is judged in public
//! belongs to a key that can never be used.

mod header;
mod holder;
mod intake;
mod judge;
mod key_record;
mod maker;
mod opener;
mod opening;
mod round;
mod session;
#[cfg(test)]
mod tests;

pub use header::SealedHeader;
pub use holder::{Floors, Holder, HolderEvent, HolderIdentity, HolderRecord, KeyInForce, StoredShareError};
pub use intake::{Intake, Settled, contribute};
pub use judge::{Disclosed, judge};
pub use key_record::{KeyEvidence, KeyRecord, VerifiedKey};
pub use maker::{DeadSession, Failure, KeyMaker, MakerEvent, MakerRecord};
pub use opener::{Opener, OpenerEvent};
pub use opening::{OpenedRecord, OpeningLedger, OpeningPermit};
pub use round::RoundTerms;
pub use session::{OldHolder, Purpose, Reshare, SessionRecord};

/// Most holders of a key.
pub const HOLDERS: usize = quorate_crypto::collective::MAX_HOLDERS as usize;
