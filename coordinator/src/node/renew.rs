//! Parties' next keys: told that one is due, recorded, taken up between rounds ([RENEW-2] to [RENEW-4]).
//!
//! ```text
//! sweep: due ─▶ Due to the party, when it is found, connects or polls
//! asked ─▶ record (audit log) ─▶ append the key (ledger) ─▶ answer: place, not ready
//! an epoch covers the entry ─▶ Due; between two rounds a moment's wait ─▶ asked ─▶ answer: ready; rounds are held with it
//! the party connects under it ─▶ record ─▶ the key before counts for nothing any more
//! ```
//!
//! A crash after any step leaves a request that, repeated, gets the same place. Which entry counts is in the inventory, so
//! in the audit log; that a key was handed over is not kept: a party that connects under its next key has taken it up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate_crypto::sign::PublicKey;
use quorate_keys::{KeyId, RegistryError, RenewalRequest};
use quorate_protocol::epoch::Epoch;
use quorate_protocol::id::Time;
use quorate_protocol::wire::{self, Due};
use quorate_transport::{Peer, Refusal, Renewed};
use tokio::sync::oneshot;

use super::NodeError;
use super::task::{Task, tolerable, wall};
use crate::keeper::Unrenewed;
use crate::service::{Greeting, ServiceError};
use crate::store::{NewNode, Store};

/// A request that waits.
pub(super) struct Asked {
    pub(super) peer: Peer,
    pub(super) request: Box<RenewalRequest>,
    pub(super) answer: oneshot::Sender<Result<Renewed, Refusal>>,
}

/// Where renewals stand.
#[derive(Default)]
pub(super) struct Renewals {
    pub(super) asked: Vec<Asked>,
    /// Index of who is to be told that its key is due → version of the next.
    due: BTreeMap<u32, u32>,
    /// Index of the key in force → the next key.
    pending: BTreeMap<u32, Next>,
    /// Entries whose party has taken up a later one → the newest.
    superseded: BTreeMap<u32, u32>,
    /// Those of `pending` with whose next key rounds are held.
    handed: BTreeSet<u32>,
    /// Those for whom a round has waited already: nobody makes it wait twice.
    waited: BTreeSet<u32>,
    /// Until when the next round waits.
    hold: Option<Time>,
    /// Who has connected, perhaps under a next key.
    connected: Vec<u32>,
}

/// A key that waits to be taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Next {
    index: u32,
    version: u32,
}

impl Renewals {
    /// Entries that count for nothing any more, their party having a later one.
    pub(super) fn superseded(&self) -> impl Iterator<Item = u32> {
        self.superseded.keys().copied()
    }

    /// Who takes part in no round beside the evicted: the entries before, and of a key and its next one of the two.
    pub(super) fn idle(&self) -> impl Iterator<Item = u32> {
        let one = |(index, next): (&u32, &Next)| {
            if self.handed.contains(index) { *index } else { next.index }
        };
        self.superseded().chain(self.pending.iter().map(one))
    }

    /// The entry that stands for a party in the next epoch.
    pub(super) fn newest(&self, index: u32) -> u32 {
        let index = self.superseded.get(&index).copied().unwrap_or(index);
        self.pending.get(&index).map_or(index, |next| next.index)
    }

    /// The parties among so many entries, in the order of their first keys, each by its newest entry.
    pub(super) fn parties(&self, registered: u32) -> impl Iterator<Item = u32> {
        let mut seen = BTreeSet::new();
        let next: BTreeSet<u32> = self.pending.values().map(|next| next.index).collect();
        let current = (0..registered).filter(move |index| !next.contains(index));
        current.map(|index| self.newest(index)).filter(move |index| seen.insert(*index))
    }

    /// How many parties there are among so many entries, evicted ones too.
    pub(super) fn count(&self, registered: usize) -> usize {
        registered.saturating_sub(self.superseded.len() + self.pending.len())
    }

    /// A party goes on under its next entry.
    fn goes_on(&mut self, old: u32, new: u32) {
        self.pending.remove(&old);
        self.handed.remove(&old);
        self.waited.remove(&old);
        for newest in self.superseded.values_mut().filter(|newest| **newest == old) {
            *newest = new;
        }
        self.superseded.insert(old, new);
    }
}

impl<S: Store> Task<S> {
    /// Takes from the inventory where renewals stand; after every change of it.
    pub(super) fn match_renewals(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        self.renewals.superseded = keeper.superseded();
        let pending = keeper.pending_parties().into_iter();
        self.renewals.pending =
            pending.map(|(of, (index, id))| (of, Next { index, version: id.version })).collect();
        let Renewals { pending, handed, waited, .. } = &mut self.renewals;
        handed.retain(|index| pending.contains_key(index));
        waited.retain(|index| pending.contains_key(index));
        self.stand_aside();
    }

    /// Says who takes part in rounds and who may connect.
    pub(super) fn stand_aside(&mut self) {
        let mut out = self.shared.evicted();
        let before = out.len();
        out.extend(self.renewals.superseded());
        if out.len() != before {
            self.shared.evict(out.clone());
            if let Some(server) = &self.server {
                server.revoke(out.clone());
            }
        }
        out.extend(self.renewals.idle());
        self.service.exclude(out);
        self.drawn = None;
        self.changed();
    }

    /// Everybody who takes part in no round.
    pub(super) fn absent(&self) -> BTreeSet<u32> {
        let mut out = self.shared.evicted();
        out.extend(self.renewals.idle());
        out
    }

    /// Whose key is due by the last sweep; whoever is new among them is told.
    pub(super) fn match_due(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let due = keeper.due_parties();
        let before = std::mem::replace(&mut self.renewals.due, due);
        let new: Vec<u32> =
            self.renewals.due.keys().copied().filter(|index| !before.contains_key(index)).collect();
        for index in new {
            self.tell_due(index);
        }
    }

    /// Tells a party that is here to ask, if there is a reason: its key is due, or its next key may be taken up.
    pub(super) fn tell_due(&mut self, index: u32) {
        let ready = self.renewals.pending.get(&index).filter(|next| self.covers(next.index));
        let version = ready.map(|next| next.version).or_else(|| self.renewals.due.get(&index).copied());
        if let Some(version) = version.filter(|_| self.parties.is_live(index)) {
            let frame: Arc<[u8]> = wire::encode(0, &Due { version }).into();
            self.parties.send(index, &frame);
        }
    }

    /// Whether the epoch in force knows an entry.
    fn covers(&self, index: u32) -> bool {
        let epoch = self.service.coordinator().and_then(|coordinator| coordinator.epoch()).map(Epoch::record);
        epoch.is_some_and(|record| u64::from(index) < record.eligible.size)
    }

    /// Between rounds: whether the next one waits for parties that take up their next keys.
    pub(super) fn hand_over(&mut self) -> bool {
        let now = self.now();
        let ready = |(index, next): (&u32, &Next)| {
            let new = !self.renewals.waited.contains(index);
            (new && self.parties.is_live(*index) && self.covers(next.index)).then_some(*index)
        };
        let told: Vec<u32> = self.renewals.pending.iter().filter_map(ready).collect();
        if !told.is_empty() {
            let until = now.plus(u64::try_from(HAND_OVER.as_millis()).unwrap_or(u64::MAX));
            self.renewals.hold = Some(until);
            self.wakes.insert(until);
        }
        for index in told {
            self.renewals.waited.insert(index);
            self.tell_due(index);
        }
        // One that was evicted or has left meanwhile holds nobody up.
        let still = |index: &u32| self.parties.is_live(*index) || self.renewals.handed.contains(index);
        let waits =
            self.renewals.hold.is_some_and(|until| now < until) && self.renewals.waited.iter().any(still);
        if waits {
            self.why = Some("parties take up their next keys".to_owned());
            self.changed();
        } else {
            self.renewals.hold = None;
        }
        waits
    }

    /// Answers all requests that wait: one record for all of them, then the ledger.
    pub(super) async fn renew_all(&mut self) -> Result<(), NodeError> {
        let asked = std::mem::take(&mut self.renewals.asked);
        if asked.is_empty() {
            return Ok(());
        }
        let at = self.at();
        let mut noted = Vec::new();
        for Asked { peer, request, answer } in asked {
            let outcome = self.entitled_to_renew(peer, &request);
            let outcome = outcome.and_then(|()| match &mut self.keeper {
                None => Err(Refusal::NotNow),
                Some(keeper) => match keeper.renewal(at, peer.id.index, &request) {
                    Ok(Ok(id)) => Ok(id),
                    Ok(Err(Unrenewed::NotDue)) => Err(Refusal::NotNow),
                    Ok(Err(Unrenewed::Over)) => Err(Refusal::Enrol),
                    Ok(Err(Unrenewed::Invalid)) => Err(Refusal::Invalid),
                    Err(error) => {
                        crate::events::keeper_failed(&error);
                        Err(Refusal::Failed)
                    }
                },
            });
            noted.push((peer, request.key, answer, outcome));
        }
        let recorded = noted.iter().all(|(.., outcome)| outcome.is_err()) || self.recorded();
        for (peer, key, answer, outcome) in noted {
            let outcome = match outcome {
                Ok(_) if !recorded => Err(Refusal::Failed),
                Ok(id) => self.place(peer.id.index, (&id, key)).await?,
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = outcome {
                crate::events::renewal_refused(peer.id.index, refusal);
            }
            // Whoever has left meanwhile asks again.
            let _ = answer.send(outcome);
        }
        Ok(())
    }

    /// Whether this party, connected under this key, asks, and both keys have signed ([RENEW-1]).
    fn entitled_to_renew(&self, peer: Peer, request: &RenewalRequest) -> Result<(), Refusal> {
        let coordinator = self.service.coordinator().ok_or(Refusal::Failed)?;
        let registry = coordinator.registry();
        let key = registry.key_of(&peer.id).ok_or(Refusal::Unknown)?;
        if self.shared.is_evicted(peer.id.index) {
            return Err(Refusal::Enrol);
        }
        request.verify(registry.deployment(), peer.id, key).map_err(|_| Refusal::Invalid)
    }

    /// Puts a recorded next key into the registry, if it is not there, and says where it stands.
    async fn place(
        &mut self,
        current: u32,
        (id, key): (&KeyId, PublicKey),
    ) -> Result<Result<Renewed, Refusal>, NodeError> {
        let index = match self.service.enrol(key.clone()) {
            Ok(entry) => {
                crate::events::key_renewed(id, entry.index);
                self.placed(current, (entry.index, &key)).await;
                entry.index
            }
            Err(ServiceError::Registry(RegistryError::Duplicate(entry))) => entry.index,
            Err(error) => {
                tolerable(error)?;
                return Ok(Err(Refusal::Failed));
            }
        };
        // A round is finished under the key it was begun with, and so is a ceremony.
        let ready = self.covers(index) && !self.invited.contains(&current);
        if ready && self.renewals.handed.insert(current) {
            self.stand_aside();
        }
        let Some(Greeting { head, proof, .. }) = self.service.welcome(index) else {
            return Ok(Err(Refusal::Failed));
        };
        Ok(Ok(Renewed { index, ready, head, proof }))
    }

    /// What follows from a new entry.
    async fn placed(&mut self, current: u32, (index, key): (u32, &PublicKey)) {
        if let Some(coordinator) = self.service.coordinator() {
            self.shared.grow(coordinator.registry().keys());
        }
        self.key_event(|keeper, at| keeper.enrolled(at, index, key));
        let version = self.renewals.due.remove(&current);
        let known = self.keeper.as_ref().and_then(|keeper| keeper.party_at(index)).map(|id| id.version);
        if let Some(version) = known.or(version) {
            self.renewals.pending.insert(current, Next { index, version });
            self.stand_aside();
        }
        // Rows are bookkeeping: a start without them makes them up.
        let site = self.store.node(current).await.ok().flatten().map(|row| row.site).unwrap_or_default();
        let row = NewNode { index, key_hash: key.key_hash(), site, enrolled: wall() };
        if self.store.node_enrolled(&row).await.is_err() {
            crate::events::store_failed("renewals");
        }
    }

    /// A party has connected: perhaps under its next key.
    pub(super) fn connected(&mut self, index: u32) {
        self.renewals.connected.push(index);
    }

    /// Those that have connected under their next keys go on under them: one record for all.
    pub(super) fn take_up_all(&mut self) {
        let connected = std::mem::take(&mut self.renewals.connected);
        let old_of: BTreeMap<u32, u32> =
            self.renewals.pending.iter().map(|(old, next)| (next.index, *old)).collect();
        let at = self.at();
        let mut taken = Vec::new();
        for index in connected {
            let (Some(&old), Some(keeper)) = (old_of.get(&index), &mut self.keeper) else { continue };
            match keeper.taken_up(at, index) {
                Ok(true) => taken.push((old, index)),
                Ok(false) => {}
                Err(error) => crate::events::keeper_failed(&error),
            }
        }
        // What is not recorded now is noted, and counts when the log takes something again: it is asked for then.
        if taken.is_empty() || !self.recorded() {
            return;
        }
        for (old, index) in taken {
            crate::events::key_taken_up(old, index);
            self.renewals.goes_on(old, index);
        }
        self.stand_aside();
    }

    /// What the log did not take at its time.
    pub(super) fn take_up_late(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        if keeper.superseded().len() != self.renewals.superseded.len() {
            self.match_renewals();
        }
    }
}

/// How long a round waits for those that may take up their next keys.
const HAND_OVER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Parties 0 … 3; party 1 goes on as entry 4 and has 5 waiting, party 2 has 6 waiting and handed over.
    fn renewals() -> Renewals {
        Renewals {
            superseded: [(1, 4)].into(),
            pending: [(4, Next { index: 5, version: 3 }), (2, Next { index: 6, version: 2 })].into(),
            handed: [2].into(),
            ..Renewals::default()
        }
    }

    #[test]
    fn renew_4_of_a_party_one_entry_takes_part() {
        let idle: BTreeSet<u32> = renewals().idle().collect();
        assert_eq!(
            idle,
            [1, 5, 2].into(),
            "the entry before, the one that waits, and the one that was handed over"
        );
    }

    #[test]
    fn renew_4_committees_are_made_of_parties_by_their_newest_entries() {
        let renewals = renewals();
        assert_eq!(renewals.parties(7).collect::<Vec<_>>(), [0, 5, 6, 3]);
        assert_eq!(renewals.count(7), 4);
        assert_eq!([0, 1, 2, 4, 5].map(|index| renewals.newest(index)), [0, 5, 6, 5, 5]);
        // Party 1 goes on as entry 5.
        let mut renewals = renewals;
        renewals.goes_on(4, 5);
        assert_eq!(renewals.idle().collect::<BTreeSet<_>>(), [1, 4, 2].into());
        assert_eq!(renewals.parties(7).collect::<Vec<_>>(), [0, 5, 6, 3]);
    }
}
