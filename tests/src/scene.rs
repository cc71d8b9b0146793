//! What an adversary in the coordinator's place knows of the round in progress.

use std::collections::BTreeMap;

use quorate_crypto::hash::Digest;
use quorate_protocol::id::Context;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::wire::{Announce, Close, Contribution, Leaf, Relay, RelayItem, Roster};

use crate::forge::session_of;
use crate::run::{Peer, Run};

/// One round as its coordinator sees it.
pub struct Scene {
    /// The manifest.
    pub manifest: Manifest,
    /// What its signatures are bound to.
    pub context: Context,
    /// The roster as it was sent.
    pub roster: Roster,
    /// The session.
    pub sid: Digest,
    /// Place on the roster and registry index of every member.
    pub places: Vec<(u16, u32)>,
    /// Leaves of all contributions sent, by index.
    pub leaves: Vec<Leaf>,
    /// What was relayed, by member and sender.
    pub relayed: BTreeMap<(u32, u32), RelayItem>,
}

impl Scene {
    /// Reads the run's log: the newest manifest and roster and what belongs to them.
    ///
    /// # Panics
    /// If there is no manifest or no roster yet.
    #[must_use]
    pub fn of(run: &Run<'_>) -> Self {
        let last =
            |round: u64| move |(_, _, announce): &(Peer, Peer, Announce)| announce.manifest.round == round;
        let manifest = run
            .sent::<Announce>()
            .into_iter()
            .find(last(run.round()))
            .expect("a manifest was sent")
            .2
            .manifest;
        let roster = run.sent::<Roster>().pop().expect("a roster was sent").2;
        let sid = session_of(&manifest, &roster);
        let places = (1..).zip(&roster.members).map(|(place, entry)| (place, entry.index)).collect();
        let of_session = |sid: Digest| move |item: &Contribution| item.header.sid == sid;
        let contributions = run.sent::<Contribution>().into_iter().map(|(_, _, message)| message);
        let mut leaves: Vec<Leaf> = contributions
            .filter(of_session(sid))
            .map(|message| Leaf { sender: message.header.sender.index, hdr: message.header.hdr() })
            .collect();
        leaves.sort_unstable_by_key(|leaf| leaf.sender);
        leaves.dedup_by_key(|leaf| leaf.sender);
        let relayed = run.sent::<Relay>().into_iter().flat_map(|(_, to, relay)| {
            let member = match to {
                Peer::Member(index) => index,
                _ => u32::MAX,
            };
            relay.items.into_iter().map(move |item| ((member, item.header.sender.index), item))
        });
        let relayed = relayed.filter(|(_, item)| item.header.sid == sid).collect();
        let context = manifest.context();
        Self { manifest, context, roster, sid, places, leaves, relayed }
    }

    /// Place of a member.
    ///
    /// # Panics
    /// If it is not on the roster.
    #[must_use]
    pub fn place(&self, index: u32) -> (u16, u32) {
        *self.places.iter().find(|(_, member)| *member == index).expect("a member of the roster")
    }

    /// All leaves but those of some senders.
    #[must_use]
    pub fn leaves_without(&self, senders: &[u32]) -> Vec<Leaf> {
        self.leaves.iter().copied().filter(|leaf| !senders.contains(&leaf.sender)).collect()
    }
}

impl Run<'_> {
    /// Plays a round up to where the set would go out, and leaves the stage to the test: every member holds
    /// every share, no member has seen a set.
    pub fn up_to_close(&mut self) -> Scene {
        self.lose(|delivery| delivery.is::<Close>());
        self.start();
        self.settle_until(|run| !run.sent::<Close>().is_empty());
        Scene::of(self)
    }
}
