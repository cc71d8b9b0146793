//! One id from an order about keys to the last party that has what came of it (J6, G7).
//!
//! ```text
//! order carried out ─▶ keys changed ─▶ list of keys published ─▶ party has it … ─▶ everybody has it
//!   trace = digest of the order, in the log as `operation`; of what the policy does the hash of the list
//! ```
//!
//! Every hop is an event with the field `trace`. A party has a list when it says so in a poll ([KEY-5]); who is not
//! connected when the list is published, or leaves, is not waited for: it gets the list when it comes.
//!
//! An order may take two lists: its key is announced, and later in force. Its id goes with the line until the second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use quorate_crypto::hash::Digest;
use quorate_keys::{KeyId, KeyName};
use quorate_protocol::wire::{self, Poll};

use super::task::Task;
use crate::keeper::Order;
use crate::store::Store;

/// What is under way.
#[derive(Default)]
pub(super) struct Traces {
    /// Lines about which there was an order.
    lines: BTreeMap<KeyName, Digest>,
    /// The newest order whose keys have changed since the last list.
    next: Option<Digest>,
    /// The list that parties are getting.
    spread: Option<Spread>,
}

struct Spread {
    trace: Digest,
    seq: u64,
    begun: Instant,
    /// Those who were connected and have not said that they have it.
    waiting: BTreeSet<u32>,
    parties: u64,
    /// Whether they were asked to say so.
    asked: bool,
}

impl Traces {
    /// An order was carried out.
    pub(super) fn ordered(&mut self, order: &Order, trace: Digest) {
        self.lines.insert(order.line().clone(), trace);
    }

    /// A key has changed: the order behind it, if there was one. With its being in force the order has had its effect.
    pub(super) fn changed(&mut self, key: &KeyId, in_force: bool) -> Option<Digest> {
        let trace = self.lines.get(&key.name).copied()?;
        if in_force {
            self.lines.remove(&key.name);
        }
        self.next = Some(trace);
        Some(trace)
    }
}

impl<S: Store> Task<S> {
    /// A list was taken into force and sent to everybody connected.
    pub(super) fn list_published(&mut self, (seq, hash): (u64, Digest)) {
        let trace = self.traces.next.take().unwrap_or(hash);
        let waiting: BTreeSet<u32> = self.parties.live().collect();
        let parties = waiting.len() as u64;
        crate::events::list_sent(&trace, seq, parties);
        self.traces.spread =
            Some(Spread { trace, seq, begun: Instant::now(), waiting, parties, asked: false });
        self.all_have_it();
    }

    /// The list is on its way to everybody: asks them to say that they have it.
    pub(super) fn ask_who_has_it(&mut self) {
        let Some(spread) = self.traces.spread.as_mut().filter(|spread| !spread.asked) else { return };
        spread.asked = true;
        spread.waiting.iter().for_each(|index| self.parties.nudge(*index));
    }

    /// A party says in a poll which list it has.
    pub(super) fn party_says(&mut self, index: u32, poll: &[u8]) {
        let Some(spread) = &mut self.traces.spread else { return };
        let seq = wire::decode::<Poll>(poll).map_or(0, |poll| poll.keys());
        if seq >= spread.seq && spread.waiting.remove(&index) {
            crate::events::list_reached(&spread.trace, spread.seq, index);
            self.all_have_it();
        }
    }

    /// A party has left.
    pub(super) fn waits_no_more(&mut self, index: u32) {
        if let Some(spread) = &mut self.traces.spread
            && spread.waiting.remove(&index)
        {
            spread.parties = spread.parties.saturating_sub(1);
            self.all_have_it();
        }
    }

    fn all_have_it(&mut self) {
        let Some(spread) = self.traces.spread.take_if(|spread| spread.waiting.is_empty()) else { return };
        let ms = u64::try_from(spread.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        crate::events::list_everywhere(&spread.trace, spread.seq, (spread.parties, ms));
        self.shared.count(|tally| tally.spread.observe(ms));
    }
}
