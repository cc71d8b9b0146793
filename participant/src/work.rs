//! The round a device contributes to, from the announcement to the end.
//!
//! ```text
//! Fetching ──model──▶ (Proving ──signature──▶) Training ──submit──▶ Trained ──roster──▶ Uploading ──receipt──▶ Sent ──result──▶ gone
//!                                                     after a restart: ▲ the identical bytes
//! ```

use std::sync::Arc;
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_protocol::manifest::Manifest;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::backoff::Backoff;
use crate::link::{Parcel, Wanted};

/// A round under way.
pub(crate) struct Work {
    pub(crate) round: u64,
    /// Not known after a restart.
    pub(crate) manifest: Option<Arc<Manifest>>,
    pub(crate) stage: Stage,
    /// When it is over, if that is known.
    ends: Option<Instant>,
    backoff: Backoff,
    /// The next transfer may not begin earlier; none while one is under way.
    again: Option<Instant>,
}

/// How far it is.
pub(crate) enum Stage {
    /// The model is wanted; what came so far.
    Fetching { wanted: Wanted, held: Vec<u8>, resumed: bool },
    /// The model is there and its signature is wanted.
    Proving { hash: Digest, model: Vec<u8> },
    /// The caller trains.
    Training,
    /// The update is there, the roster not yet.
    Trained { update: Zeroizing<Vec<f32>>, weight: u64 },
    /// The contribution is made.
    Uploading(Parcel),
    /// The coordinator has it.
    Sent,
}

impl Work {
    /// A round just announced.
    pub(crate) fn announced(manifest: Arc<Manifest>, most: Option<usize>) -> Self {
        let dim = usize::try_from(manifest.schema.dim).unwrap_or(usize::MAX);
        let most = most.unwrap_or_else(|| dim.saturating_mul(4).saturating_add(HEADER));
        let wanted = Wanted { round: manifest.round, hash: manifest.model, most };
        let open = Duration::from_millis(u64::from(manifest.deadlines.open));
        Self {
            round: manifest.round,
            stage: Stage::Fetching { wanted, held: Vec::new(), resumed: false },
            ends: Some(Instant::now() + open),
            manifest: Some(manifest),
            backoff: Backoff::new(),
            again: Some(Instant::now()),
        }
    }

    /// A contribution made before a restart: only its bytes are known.
    pub(crate) fn restored(parcel: Parcel) -> Self {
        let (round, stage) = (parcel.round, Stage::Uploading(parcel));
        Self {
            round,
            manifest: None,
            stage,
            ends: None,
            backoff: Backoff::new(),
            again: Some(Instant::now()),
        }
    }

    /// When it is given up: a contribution that is sent waits a little longer for its result.
    pub(crate) fn ends(&self) -> Option<Instant> {
        let grace = if matches!(self.stage, Stage::Sent) { GRACE } else { Duration::ZERO };
        self.ends.map(|ends| ends + grace)
    }

    /// When the next transfer may begin, where one is wanted and none is under way.
    pub(crate) fn again(&self) -> Option<Instant> {
        self.again.filter(|_| {
            matches!(self.stage, Stage::Fetching { .. } | Stage::Proving { .. } | Stage::Uploading(_))
        })
    }

    /// A transfer begins.
    pub(crate) const fn begin(&mut self) {
        self.again = None;
    }

    /// A transfer is wanted from now on.
    pub(crate) fn want(&mut self) {
        self.backoff.reset();
        self.again = Some(Instant::now());
    }

    /// A transfer failed: it may begin again after a while.
    pub(crate) fn back_off(&mut self) {
        self.again = Some(Instant::now() + self.backoff.next());
    }

    /// Whether the caller has the model and the update is awaited.
    pub(crate) const fn trains(&self) -> bool {
        matches!(self.stage, Stage::Training)
    }

    /// The contribution, once it is made.
    pub(crate) const fn is_sent(&self) -> bool {
        matches!(self.stage, Stage::Sent)
    }
}

/// Bytes of a model file beside its coordinates.
const HEADER: usize = 1 << 20;
/// Longest time between the last deadline and the notice of the result.
const GRACE: Duration = Duration::from_secs(10);
