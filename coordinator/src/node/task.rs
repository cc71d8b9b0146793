//! The task that owns the machine: commands, times, outputs, one after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::Discriminant;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quorate_keys::audit::What;
use quorate_protocol::coordinator::Coordinator;
use quorate_protocol::error::FaultKind;
use quorate_protocol::id::Time;
use quorate_protocol::params::PlanCache;
use quorate_protocol::wire::{self, Message as _};
use quorate_transport::{Peer, Server};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use super::{Fit, NodeError, Stop, collective, contribute, enrol, keys, play, renew, trace};
use crate::audit::{self, Particulars};
use crate::config::Retention;
use crate::hub::{Command, Hub, Shared};
use crate::keeper::{Approvers, Keeper};
use crate::models::Exporter;
use crate::parties::Parties;
use crate::schedule::{Plan, Why};
use crate::service::{Action, Service, ServiceError};
use crate::store::Store;
use crate::turns::Turns;

/// The task that owns the machine.
pub(super) struct Task<S> {
    pub(super) name: String,
    pub(super) service: Service,
    pub(super) store: S,
    pub(super) jobs: Vec<play::Entry>,
    pub(super) fit: Fit,
    pub(super) results: Option<Exporter>,
    pub(super) retention: Retention,
    pub(super) plan: Plan,
    pub(super) rules: enrol::Rules,
    pub(super) grace: Duration,
    pub(super) shared: Arc<Shared>,
    pub(super) parties: Parties,
    pub(super) turns: Turns,
    pub(super) keeper: Option<Keeper>,
    pub(super) approvers: Approvers,
    /// When keys were last looked after.
    pub(super) tended: Option<Instant>,
    pub(super) plans: PlanCache,
    pub(super) begun: Instant,
    pub(super) wakes: BTreeSet<Time>,
    /// Who is to poll: of the round or the ceremony under way.
    pub(super) invited: BTreeSet<u32>,
    pub(super) current: Option<play::Current>,
    /// When the last ceremony ended without a seed.
    pub(super) void: Option<u64>,
    /// Who spoilt ceremonies since the last that was complete: asked last.
    pub(super) silent: BTreeSet<u32>,
    /// Refusals logged since the last round ended, by party.
    pub(super) grumbled: BTreeMap<u32, u32>,
    /// How many ceremonies were void since the last that was complete.
    pub(super) voids: u32,
    /// Length of the vectors of the round under way.
    pub(super) vector_bytes: u64,
    pub(super) drawn: Option<play::Forecast>,
    /// Of jobs in mode `homomorphic`.
    pub(super) collective: collective::Collective,
    pub(super) enrolments: Vec<enrol::Enrolment>,
    /// Parties' next keys.
    pub(super) renewals: renew::Renewals,
    pub(super) traces: trace::Traces,
    /// Lists of keys that wait for the end of what is under way.
    pub(super) publications: VecDeque<keys::Waiting>,
    /// Answers to contributions that are folded and not settled yet.
    pub(super) receipts: Vec<contribute::Receipt>,
    pub(super) why: Option<String>,
    /// The kind of reason that was logged last.
    pub(super) logged: Option<Discriminant<Why>>,
    /// Whether the mean of an opened round is not in its model yet.
    pub(super) behind: bool,
    /// Whether the status has changed since it was published.
    pub(super) dirty: bool,
    pub(super) published: Instant,
    pub(super) stopping: watch::Receiver<Stop>,
    pub(super) server: Option<Arc<Server<Hub>>>,
}

impl<S: Store> Task<S> {
    /// Milliseconds since the start, monotonic; what the machine calls time.
    pub(super) fn now(&self) -> Time {
        Time(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1))
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) -> Result<(), NodeError> {
        let mut every = tokio::time::interval(HOUSEKEEPING);
        let mut stopping = self.stopping.clone();
        let mut latest = None;
        loop {
            self.fire()?;
            self.settle().await?;
            let until = match self.next_stop(&mut latest)? {
                Some(until) => until,
                None => break,
            };
            tokio::select! {
                command = queue.recv() => match command {
                    Some(command) => self.batch(command, &mut queue).await?,
                    None => break,
                },
                () = sleep_until(until.into()) => {}
                _ = every.tick() => self.housekeep().await?,
                changed = stopping.changed() => if changed.is_err() {
                    // The owner has dropped it: as good as a crash, nothing more is written down.
                    return Ok(());
                },
            }
        }
        self.leave().await
    }

    /// Outputs, schedule, status: until there is nothing to do at this moment.
    pub(super) async fn settle(&mut self) -> Result<(), NodeError> {
        loop {
            self.perform().await?;
            if *self.stopping.borrow() != Stop::No || !self.advance().await? {
                break;
            }
        }
        // What the last look has brought, such as a list of keys, goes out now and not with the next event.
        self.perform().await?;
        self.ask_who_has_it();
        self.publish();
        Ok(())
    }

    /// Until when to wait; `None` when a shutdown is complete.
    pub(super) fn next_stop(&mut self, latest: &mut Option<Instant>) -> Result<Option<Instant>, NodeError> {
        let stop = *self.stopping.borrow();
        let ceremony = self.service.coordinator().is_some_and(Coordinator::holds_ceremony);
        let busy = self.current.is_some() || ceremony;
        if stop == Stop::No {
            return Ok(Some(self.next_wake()));
        }
        let end = *latest.get_or_insert_with(|| Instant::now() + self.grace);
        if busy && stop == Stop::Soon && Instant::now() < end {
            return Ok(Some(self.next_wake().min(end)));
        }
        Ok(None)
    }

    /// Wakes the machine for every time that has come, whatever the task was busy with meanwhile.
    pub(super) fn fire(&mut self) -> Result<(), NodeError> {
        let now = self.now();
        if due(&mut self.wakes, now) { self.service.wake(now).or_else(tolerable) } else { Ok(()) }
    }

    pub(super) fn next_wake(&self) -> Instant {
        // The task's clock is one millisecond ahead of the time since its start, so this is never too early.
        let after = |time: &Time| self.begun + Duration::from_millis(time.0);
        self.wakes.first().map_or_else(|| Instant::now() + IDLE, after)
    }

    /// One command and whatever else has come meanwhile: what a batch has to write it writes at once.
    pub(super) async fn batch(
        &mut self,
        command: Command,
        queue: &mut mpsc::Receiver<Command>,
    ) -> Result<(), NodeError> {
        self.take(command).await?;
        for _ in 1..QUEUE {
            let Ok(command) = queue.try_recv() else { break };
            self.take(command).await?;
        }
        self.settle_receipts().await?;
        self.take_up_all();
        self.enrol_all().await?;
        self.renew_all().await
    }

    pub(super) async fn take(&mut self, command: Command) -> Result<(), NodeError> {
        match command {
            Command::Connected(peer, sender) => {
                crate::events::connected(peer.id.index);
                self.parties.connected(peer, sender);
                self.changed();
                self.take_turns(peer.id.index);
                self.connected(peer.id.index);
                self.tell_due(peer.id.index);
                if self.invited.contains(&peer.id.index) {
                    self.parties.nudge(peer.id.index);
                }
            }
            Command::Disconnected(peer) => {
                if self.parties.disconnected(peer) {
                    self.turns.left(self.now(), peer.id.index);
                    crate::events::disconnected(peer.id.index);
                    self.waits_no_more(peer.id.index);
                    self.changed();
                }
            }
            Command::Frame(peer, frame) => self.frame(peer, &frame).await?,
            Command::Contribution(staged, answer) => {
                let outcome = self.contribution(&staged).await?;
                self.receipts.push((answer, outcome));
            }
            Command::Publish(waiting) => self.publish_soon(waiting)?,
            Command::Enrol(request, answer) => self.enrolments.push(enrol::Enrolment { request, answer }),
            Command::Renew(peer, request, answer) => {
                self.renewals.asked.push(renew::Asked { peer, request, answer });
            }
        }
        Ok(())
    }

    /// There may be one connection too many now.
    fn take_turns(&mut self, newcomer: u32) {
        let parted = self.turns.connected(self.now(), newcomer, self.parties.live());
        if let Some((index, after)) = parted {
            self.parties.part(index, after);
            self.shared.count(|tally| tally.parted += 1);
        }
    }

    pub(super) async fn frame(&mut self, peer: Peer, frame: &[u8]) -> Result<(), NodeError> {
        // What it sent before its eviction was noticed does not count any more.
        if self.shared.is_evicted(peer.id.index) {
            return Ok(());
        }
        self.remind(peer.id.index, frame);
        let outcome = self.service.handle(self.now(), peer.id.index, frame);
        if let Err(ServiceError::Fault(fault)) = &outcome {
            // The seventh lock where six suffice is no offence.
            if fault.kind != FaultKind::Late {
                self.refused(peer.id.index, &fault.kind);
            }
        }
        outcome.or_else(tolerable)?;
        self.perform().await
    }

    /// All outputs of the machine, in order.
    pub(super) async fn perform(&mut self) -> Result<(), NodeError> {
        while let Some(action) = self.service.next_action() {
            match action {
                Action::Send { to, frame } => {
                    for index in to {
                        self.parties.send(index, &frame);
                    }
                }
                Action::WakeAt(time) => {
                    self.wakes.insert(time);
                }
                Action::Event(event) => self.event(event).await,
            }
        }
        Ok(())
    }

    /// A contributor that was away when its round ended hears of it when it polls ([RES-1]).
    pub(super) fn remind(&mut self, index: u32, frame: &[u8]) {
        let polls = matches!(wire::split(frame), Ok((wire::Poll::TYPE, ..)));
        if polls {
            self.party_says(index, frame);
            self.tell_due(index);
        }
        let notice = self.service.coordinator().filter(|_| polls).and_then(|machine| machine.notice(index));
        if let Some(notice) = notice {
            self.parties.send(index, &notice);
        }
    }

    /// Evictions that were written to the database meanwhile.
    pub(super) async fn housekeep(&mut self) -> Result<(), NodeError> {
        match self.store.evicted().await {
            Ok(evicted) => {
                let all = self.whole_parties(&evicted);
                for index in all.difference(&evicted) {
                    // The row of another of the party's entries; what counts is said below, whatever becomes of it.
                    let _ =
                        self.store.node_evict(*index, wall(), "another entry of its party was evicted").await;
                }
                self.evict(all);
            }
            Err(_) => crate::events::store_failed("evictions"),
        }
        self.orders().await
    }

    /// With each entry all entries of its party.
    pub(super) fn whole_parties(&self, evicted: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut all = evicted.clone();
        for index in evicted {
            let line = self.keeper.as_ref().and_then(|keeper| Some((keeper, &keeper.party_at(*index)?.name)));
            all.extend(line.into_iter().flat_map(|(keeper, line)| keeper.indices(line)));
        }
        all
    }

    /// Shuts out these entries; those that were superseded stay out.
    pub(super) fn evict(&mut self, mut evicted: BTreeSet<u32>) {
        let known = self.shared.evicted();
        evicted.extend(self.renewals.superseded());
        if evicted == known {
            return;
        }
        for index in evicted.difference(&known) {
            crate::events::evicted(*index);
            let key = self.keeper.as_ref().and_then(|keeper| keeper.party_at(*index).cloned());
            let key = key.unwrap_or_else(|| audit::party(*index));
            self.note(What::PartyRemoved, key, "evicted", Particulars::new());
            self.key_event(|keeper, at| keeper.removed(at, *index));
            self.holder_left(*index);
        }
        self.shared.evict(evicted.clone());
        if let Some(server) = &self.server {
            server.revoke(evicted);
        }
        self.match_renewals();
        self.stand_aside();
        // Removed at once; a log that is closed at this moment hears of it when it takes something again.
        let _ = self.recorded();
    }

    /// A clean end: the round under way is cancelled if it is still there, and written down as such.
    pub(super) async fn leave(&mut self) -> Result<(), NodeError> {
        self.service.cancel(self.now()).or_else(tolerable)?;
        self.perform().await?;
        if *self.stopping.borrow() == Stop::Sealed {
            // While the log's key is still there. A log that takes nothing does not hold up an emergency stop.
            self.note(What::Sealed, audit::identity(), "sealed by the operator", Particulars::new());
            self.recorded();
        }
        self.publish_now();
        if let Some(server) = self.server.take() {
            let counts = server.counts();
            server.shutdown().await;
            crate::events::stopped(&counts);
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, index: u32, kind: &FaultKind) {
        let round = self.current.as_ref().map(|current| current.round);
        let said = self.grumbled.entry(index).or_default();
        *said = said.saturating_add(1);
        // Nobody fills the log; the metric counts on.
        if *said <= GRUMBLES {
            crate::events::refused(index, round, kind);
        }
        self.count_refused(kind);
    }

    pub(super) fn count_refused(&self, kind: &FaultKind) {
        let name = kind.rule();
        self.shared.count(|tally| *tally.refused.entry(name).or_default() += 1);
    }
}

/// Takes out every time that has come; whether there was one.
fn due(wakes: &mut BTreeSet<Time>, now: Time) -> bool {
    let later = wakes.split_off(&now.plus(1));
    !std::mem::replace(wakes, later).is_empty()
}

/// What ends the node: a ledger that cannot be written. All else ends a call or a round.
pub(super) fn tolerable(error: ServiceError) -> Result<(), NodeError> {
    match error {
        ServiceError::Ledger(error) => {
            crate::events::ledger_failed(&error);
            Err(ServiceError::Ledger(error).into())
        }
        ServiceError::Stopped => Err(ServiceError::Stopped.into()),
        ServiceError::Spool(error) => {
            crate::events::spool_failed(&error);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Milliseconds since 1970, for people and certificates; the machine never sees it.
pub(crate) fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Commands that may wait for the node.
pub(super) const QUEUE: usize = 32;
/// How often the database is asked for what others have written.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Refusals of one party that are logged between two rounds.
const GRUMBLES: u32 = 10;
/// Longest sleep.
const IDLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// A deadline that passed while the task was busy with something else still wakes the machine, once.
    #[test]
    fn no_deadline_is_lost() {
        let mut wakes = BTreeSet::from([Time(5), Time(9), Time(10), Time(11)]);
        assert!(!due(&mut wakes, Time(4)));
        assert!(due(&mut wakes, Time(10)));
        assert!(!due(&mut wakes, Time(10)));
        assert_eq!(wakes, BTreeSet::from([Time(11)]));
    }
}
