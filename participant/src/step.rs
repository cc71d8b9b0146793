//! What a client tells its caller.

use std::fmt;
use std::sync::Arc;

use quorate_keys::audit::FollowError;
use quorate_protocol::announce::Equivocation;
use quorate_protocol::codec::CodecError;
use quorate_protocol::error::Fault;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::participant::ContributeError;
use quorate_transport::Refusal;
use thiserror::Error;
use tokio::time::Instant;

use crate::signed::ModelRefused;

/// What [`crate::Client::tick`] came to.
#[derive(Debug)]
pub enum Step {
    /// Train, then call [`crate::Client::submit`]. Comes once a round. Go on calling tick meanwhile.
    Train(Training),
    /// The round was opened with this contribution in it.
    Counted {
        /// The round.
        round: u64,
    },
    /// The round was opened without this contribution.
    LeftOut {
        /// The round.
        round: u64,
    },
    /// A round this device takes no part in, because what the coordinator sent breaks a rule: among others a manifest
    /// below this device's own policy (`[policy]` in `participant.toml`). Comes once a round.
    Refused {
        /// The round.
        round: u64,
        /// The rule, and where it applies the axis of the policy.
        fault: Fault,
    },
    /// A round that had begun for this device and is over for it.
    Missed {
        /// The round.
        round: u64,
        /// Why.
        why: Missed,
    },
    /// This device is on the committee of a round. Nothing to do: tick serves.
    Serving {
        /// The round.
        round: u64,
    },
    /// As committee member it answered; its round key is gone.
    Answered {
        /// The round.
        round: u64,
    },
    /// The coordinator does not renew this device's key any more: it was revoked, or another next key was asked for in its
    /// name. Once the key's time is over, or at once if it was revoked, only enrolling again helps.
    NotRenewed(Refusal),
    /// The audit log that the coordinator shows is no progress over what this device has seen; told once. Nothing is
    /// proven by it ([WIT-3]), and rounds go on.
    Log(LogTrouble),
    /// The coordinator signed two manifests for one round: evidence to keep and to show.
    Equivocation(Box<Equivocation>),
    /// Nothing for now. Tick has waited; it may be called again at once.
    Wait {
        /// When something is due even if nothing comes.
        until: Instant,
    },
    /// There is nothing more to do; every later tick says so too.
    Done(Why),
}

/// A round's training.
#[derive(Clone)]
pub struct Training {
    /// The round.
    pub round: u64,
    /// The model file; its hash is the one in the signed manifest.
    pub model: Arc<[u8]>,
    /// The manifest: schema, deadlines and everything else that was agreed on.
    pub manifest: Arc<Manifest>,
}

impl fmt::Debug for Training {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Training(round {}, {} bytes)", self.round, self.model.len())
    }
}

/// Why there is nothing more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The deployment does not let this device in any more.
    Evicted,
    /// As many rounds as were asked for.
    Rounds,
}

/// Why the log that was shown is no progress.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogTrouble {
    /// Fewer entries than were seen before: set back, unless what is missing comes again as it was.
    #[error("{shown} entries are shown and {kept} were seen before: the log may have been set back")]
    Behind {
        /// Entries seen before.
        kept: u64,
        /// Entries shown.
        shown: u64,
    },
    /// An answer that does not count.
    #[error(transparent)]
    Answer(#[from] FollowError),
}

/// Why a round that had begun was given up.
#[derive(Debug, Error)]
pub enum Missed {
    /// Its last deadline passed first.
    #[error("its deadlines passed first")]
    Deadline,
    /// The next round began first.
    #[error("the next round began first")]
    Overtaken,
    /// The model is longer than the manifest's schema and the builder's limit allow.
    #[error("the model is longer than allowed: raise `max_model` if it is meant to be")]
    ModelTooLong,
    /// The model is not signed as this device wants it.
    #[error(transparent)]
    Model(#[from] ModelRefused),
    /// The coordinator's key behind the round was revoked.
    #[error("the coordinator's key behind the round was revoked")]
    KeyRevoked,
    /// The coordinator does not take the contribution.
    #[error("the coordinator did not take the contribution: {0}")]
    Upload(Refusal),
    /// The update is not usable, or there was none.
    #[error("no usable update: {0}")]
    Update(CodecError),
    /// No contribution could be made of the update.
    #[error(transparent)]
    Contribution(#[from] ContributeError),
}
