//! The coordinator's audit log, as this device has seen it: a light witness ([WIT-2] to [WIT-4]).
//!
//! ```text
//! connected; every minute or two; soon after a round ─▶ ask ─▶ answer ─▶ Follower ─▶ file `log`, durable ─▶ counts
//!                                                                          └─▶ evidence ─▶ file `log-evidence`: nothing more begins
//! ```
//!
//! # Security
//!
//! An answer comes through a connection that only the coordinator can have: two logs are the coordinator's doing, never the
//! network's. An answer that is malformed, or none, proves nothing: it is asked again. Evidence is never overwritten.

use std::path::PathBuf;
use std::time::Duration;

use quorate_keys::audit::{Answer, Checkpoint, FollowError, Follower, LogName, Progress};
use quorate_transport::TransportError;
use tokio::time::Instant;

use crate::backoff::below;
use crate::client::Client;
use crate::config::Settings;
use crate::error::ClientError;
use crate::step::{LogTrouble, Step};
use crate::vault::Vault;

/// What is known of the log.
pub(crate) struct Log {
    follower: Follower,
    /// A request is under way.
    asking: bool,
    /// When to ask.
    due: Instant,
    /// Whether to ask for the shard that the root lists next.
    beyond: bool,
    /// Shards gone through since the last pause.
    ended: u32,
    /// What was told last, until there is progress again.
    told: Option<LogTrouble>,
    /// Where the evidence is.
    found: Option<PathBuf>,
}

impl Log {
    /// As stored. Where there is evidence nothing is opened.
    pub(crate) fn load(vault: &Vault, settings: &Settings) -> Result<Self, ClientError> {
        if let Some(found) = vault.evidence()? {
            return Err(ClientError::TwoLogs(found));
        }
        let name = LogName::of(&settings.deployment());
        let follower = match vault.log()? {
            Some(bytes) => Follower::parse(&bytes).filter(|seen| *seen.name() == name),
            None => Some(Follower::new(name)),
        };
        let follower = follower.ok_or(ClientError::Form("log"))?;
        let due = Instant::now();
        Ok(Self { follower, asking: false, due, beyond: false, ended: 0, told: None, found: None })
    }

    /// There is a new connection: what was asked on the one before may have been lost.
    pub(crate) fn connected(&mut self) {
        (self.asking, self.due) = (false, Instant::now());
    }

    /// A round is over: what it left in the log is asked for soon, not by all devices at one instant.
    pub(crate) fn round_over(&mut self) {
        self.due = self.due.min(Instant::now() + below(SOON));
    }

    /// When to ask.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.asking).then_some(self.due)
    }

    /// Fails where there is evidence.
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        self.found.clone().map_or(Ok(()), |found| Err(ClientError::TwoLogs(found)))
    }
}

impl Client {
    /// Asks for the newest checkpoint, if it is time.
    pub(crate) fn ask_for_checkpoint(&mut self, now: Instant) {
        let Some(up) = self.up.as_ref().filter(|_| self.log.due().is_some_and(|due| due <= now)) else {
            return;
        };
        // Before a pinned root has come nothing counts, and no key is taken without it.
        let Some(listed) = self.roots.listed() else {
            self.log.due = now + INTERVAL;
            return;
        };
        self.link.checkpoint(up, self.log.follower.ask(&listed, self.log.beyond));
        self.log.asking = true;
    }

    /// An answer, or none. What is newer is durable before it counts.
    pub(crate) fn checkpoint_came(
        &mut self,
        outcome: Result<Option<Vec<u8>>, TransportError>,
    ) -> Result<(), ClientError> {
        let now = Instant::now();
        self.log.asking = false;
        self.log.due = now + INTERVAL + below(INTERVAL);
        self.log.beyond = !self.log.beyond;
        let (Ok(Some(bytes)), Some(listed)) = (outcome, self.roots.listed()) else { return Ok(()) };
        let mut next = self.log.follower.clone();
        let taken =
            Answer::parse(&bytes).ok_or(FollowError::Form).and_then(|answer| next.take(&answer, &listed));
        if let Err(FollowError::Evidence(finding)) = &taken {
            let found = self.home.vault()?.keep_evidence(&finding.to_bytes())?;
            self.log.found = Some(found);
            return self.log.check();
        }
        if next != self.log.follower {
            self.home.vault()?.keep_log(&next.to_bytes())?;
            self.log.follower = next;
        }
        let trouble = match taken {
            Ok(Progress::Ended) => {
                // Whoever was away goes through every shard; not without a pause, whatever the coordinator says.
                if self.log.ended < AT_ONCE {
                    (self.log.ended, self.log.due) = (self.log.ended + 1, now);
                }
                None
            }
            Ok(Progress::Same | Progress::Newer) => {
                self.log.ended = 0;
                None
            }
            Ok(Progress::Behind { kept, shown }) => Some(LogTrouble::Behind { kept, shown }),
            Err(error) => Some(LogTrouble::Answer(error)),
        };
        if let Some(trouble) = trouble.clone().filter(|_| trouble != self.log.told) {
            self.steps.push_back(Step::Log(trouble));
        }
        self.log.told = trouble;
        Ok(())
    }

    /// The newest checkpoint of the coordinator's audit log that this device has seen, and its shard.
    #[must_use]
    pub fn known_checkpoint(&self) -> Option<(u32, Checkpoint)> {
        self.log.follower.newest().map(|(shard, checkpoint, _)| (shard, checkpoint))
    }
}

/// Least time between two requests, but for a round's end; the most is twice that.
const INTERVAL: Duration = Duration::from_secs(60);
/// Longest time after a round's end.
const SOON: Duration = Duration::from_secs(4);
/// Shards gone through without a pause.
const AT_ONCE: u32 = 64;

#[cfg(test)]
mod tests;
