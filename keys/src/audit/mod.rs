//! The audit log: append-only, signed, checked by many (KEYS.md).
//!
//! ```text
//! Event ─▶ Sinks ──▶ every sink, each at its own pace; none works: the operation stops
//!            │
//!            └────▶ Shard ─ publish ─▶ <dir>/1/tile/…   entries and hashes (C2SP tlog-tiles)
//!                     ▲                <dir>/1/checkpoint   signed note (C2SP tlog-checkpoint)
//!                     │ Signer + Marks: never two histories         │
//!                                                                   ▼
//!          Witness (participants keep the last checkpoint) ──▶ verify (offline)
//! ```
//!
//! | module | what it holds | rules |
//! | --- | --- | --- |
//! | [`entry`] | the catalogue of events, canonical JSON | KL-29 |
//! | [`note`], [`checkpoint`], [`tile`] | the public formats | – |
//! | [`files`] | paths and bytes: a directory, memory | – |
//! | [`shard`] | the writer, one key a shard | KL-24 |
//! | [`signer`] | checkpoints under a mark that never goes back | KL-23 |
//! | [`sinks`] | who takes entries, fail closed | KL-25 |
//! | [`witness`] | consistency watched by others | KL-23 |
//! | [`answer`] | what a party is shown of a shard | [WIT-1] |
//! | [`follow`] | a log followed over its shards | [WIT-2], [WIT-3] |
//! | [`finding`] | evidence of two histories | [WIT-4] |
//! | [`mod@verify`] | the offline verifier and the export | – |
//!
//! The caller stores marks apart from the log, publishes before it acts, and gives checkpoints to witnesses.
//!
//! # Security
//!
//! The log is tamper-evident, not tamper-proof: with the key and the disk one can write another history, but
//! nobody who has seen the old one is deceived. Times are those of the writer.

pub mod answer;
pub mod change;
pub mod checkpoint;
pub mod entry;
pub mod files;
pub mod finding;
pub mod follow;
pub mod note;
pub mod shard;
pub mod signer;
pub mod sinks;
pub mod tile;
pub mod verify;
pub mod witness;

pub use answer::{Answer, MAX_ANSWER, Shown};
pub use change::{TellError, Told, model_keys, tell};
pub use checkpoint::{Checkpoint, CheckpointError, LogName};
pub use entry::{Entry, EntryError, Event, Fact, Text, Value, What};
pub use files::{Directory, Files, MemoryFiles};
pub use finding::{Finding, FindingError, Verdict};
pub use follow::{FollowError, Follower, Listed, Progress};
pub use note::{Note, NoteError, parse_verifier_key, verifier_key};
pub use shard::{Act, LogError, Shard, audit_key};
pub use signer::{Mark, Marks, SignError, Signer, raise};
pub use sinks::{
    Closed, Decision, Health, LineSink, Offer, Recorded, ShardSink, Sink, SinkError, SinkHealth, SinkState,
    Sinks,
};
pub use verify::{ExportError, Problem, Report, Trust, VerifyError, export, verify, verify_each};
pub use witness::{Evidence, Seen, Witness, WitnessError};
