//! Sequences of messages as a target: a whole round, and a network that does what the input says.
//!
//! ```text
//! input: 2 bytes a message ── what, how ──▶ lost · twice · late · an earlier one again · to somebody else · a bit changed
//! ```
//!
//! What holds at every moment of every run (`invariants.rs`) is checked on the way: no mask twice, one set a session,
//! at most one opening, an exact sum; and the round ends. Accepted is an input whose round was opened all the same.

use std::sync::Arc;

use quorate_protocol::id::Time;

use super::Target;
use crate::run::{Delivery, Payload, Peer};
use crate::{Deployment, Ending, Run};

/// A network with a script.
struct Network {
    script: std::vec::IntoIter<u8>,
    seen: Vec<Delivery>,
}

impl Network {
    /// What becomes of one message; all is well after the end of the script.
    fn act(&mut self, mut delivery: Delivery) -> Vec<Delivery> {
        let (what, how) = (self.script.next().unwrap_or(0), self.script.next().unwrap_or(0));
        let earlier = self.earlier(how).cloned();
        self.seen.push(delivery.clone());
        match what % 16 {
            10 => Vec::new(),
            11 => vec![delivery.clone(), delivery],
            12 => {
                delivery.at = delivery.at.plus(u64::from(how) * LATE);
                vec![delivery]
            }
            13 => {
                let again = earlier.map(|earlier| Delivery { at: delivery.at.plus(1), ..earlier });
                again.into_iter().chain([delivery]).collect()
            }
            // Only the coordinator's messages can go astray: each party has one connection, to the coordinator.
            14 if delivery.from == Peer::Coordinator => {
                let stray = earlier.filter(|earlier| earlier.from == Peer::Coordinator);
                let stray = stray.map(|earlier| Delivery { to: delivery.to, at: delivery.at, ..earlier });
                stray.into_iter().chain([delivery]).collect()
            }
            15 => vec![Delivery { payload: changed(&delivery.payload, how), ..delivery }],
            _ => vec![delivery],
        }
    }

    fn earlier(&self, how: u8) -> Option<&Delivery> {
        self.seen.get(usize::from(how) * self.seen.len() / 256)
    }
}

/// One bit of the frame changed.
fn changed(payload: &Payload, how: u8) -> Payload {
    let mut frame = payload.frame().to_vec();
    let at = usize::from(how) * frame.len() / 256;
    if let Some(byte) = frame.get_mut(at) {
        *byte ^= 1 << (how % 8);
    }
    match payload {
        Payload::Frame(_) => Payload::Frame(frame.into()),
        Payload::Contribution(_, vector) => Payload::Contribution(frame.into(), Arc::clone(vector)),
    }
}

/// A whole round over such a network.
pub(super) fn round(deployment: &'static Deployment) -> Target {
    let some = |what: u8| [0, 0, 0, 0, 0, 0, what, 40].repeat(40);
    let seeds = [0, 10, 11, 12, 13, 14, 15].map(some).to_vec();
    let read = move |script: &[u8]| {
        let mut run = Run::new(deployment);
        run.now = Time(1);
        let script: Vec<u8> = script.into();
        let mut network = Network { script: script.into_iter(), seen: Vec::new() };
        run.hook(move |delivery| network.act(delivery));
        matches!(run.play(), Ending::Opened(_))
    };
    Target { name: "round-sequence", seeds, kept: 0, cost: 2_000, bounded: false, read: Box::new(read) }
}

/// Milliseconds of one step of delay: the longest is beyond the last deadline.
const LATE: u64 = 200;
