//! The parties that are connected, and the frames of the round for those that are not at this moment.
//!
//! A frame for a party that is known to be away waits for its next connection, until the round ends. What was under way
//! on a connection that died is lost, and with it perhaps that member's part in the round ([CMP-1] goes on without).
//! What may wait is bounded over all parties.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_transport::{FrameSender, Peer};

/// Senders and waiting frames by registry index.
pub(crate) struct Parties {
    live: BTreeMap<u32, (u64, FrameSender)>,
    missed: BTreeMap<u32, Vec<Arc<[u8]>>>,
    waiting: usize,
    most: usize,
}

impl Parties {
    /// At most this many bytes of frames may wait; a frame that goes to many counts for each.
    pub(crate) const fn new(most: usize) -> Self {
        Self { live: BTreeMap::new(), missed: BTreeMap::new(), waiting: 0, most }
    }

    /// A party has connected: it gets what it missed.
    pub(crate) fn connected(&mut self, peer: Peer, sender: FrameSender) {
        let index = peer.id.index;
        // An older connection that is told of late.
        if self.live.get(&index).is_some_and(|(number, _)| *number > peer.connection) {
            return;
        }
        for frame in self.missed.remove(&index).unwrap_or_default() {
            self.waiting -= frame.len();
            // A connection that breaks again at once has lost them: such a party drops out of the round.
            let _ = sender.send(frame);
        }
        self.live.insert(index, (peer.connection, sender));
    }

    /// A connection has ended; `false` if the party has a newer one.
    pub(crate) fn disconnected(&mut self, peer: Peer) -> bool {
        let ours = self.live.get(&peer.id.index).is_some_and(|(number, _)| *number == peer.connection);
        ours && self.live.remove(&peer.id.index).is_some()
    }

    /// Asks a party to come back after this time: its place goes to another.
    pub(crate) fn part(&mut self, index: u32, after: Duration) {
        if let Some((_, sender)) = self.live.remove(&index) {
            sender.part(after);
        }
    }

    /// Sends a frame to a party, now or at its next connection in this round.
    pub(crate) fn send(&mut self, index: u32, frame: &Arc<[u8]>) {
        let sent = self.live.get(&index).is_some_and(|(_, sender)| sender.send(Arc::clone(frame)).is_ok());
        if !sent && self.waiting + frame.len() <= self.most {
            self.waiting += frame.len();
            self.missed.entry(index).or_default().push(Arc::clone(frame));
        }
    }

    /// Sends a frame to everybody who is there, and to nobody later.
    pub(crate) fn tell_all(&self, frame: &Arc<[u8]>) {
        for (_, sender) in self.live.values() {
            let _ = sender.send(Arc::clone(frame));
        }
    }

    /// Tells a party to poll, if it is there: whoever connects later is told then.
    pub(crate) fn nudge(&self, index: u32) {
        if let Some((_, sender)) = self.live.get(&index) {
            let _ = sender.nudge();
        }
    }

    /// A round has ended: nothing of it waits any longer.
    pub(crate) fn forget(&mut self) {
        self.missed.clear();
        self.waiting = 0;
    }

    /// Whether a party is connected.
    pub(crate) fn is_live(&self, index: u32) -> bool {
        self.live.contains_key(&index)
    }

    /// Who is connected, increasing.
    pub(crate) fn live(&self) -> impl Iterator<Item = u32> + Clone {
        self.live.keys().copied()
    }
}
