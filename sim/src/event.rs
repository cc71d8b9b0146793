//! Events of the virtual world.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// The coordinator's address; party i has address i + 1.
pub const COORDINATOR: u32 = 0;

/// Address of a registry index.
#[must_use]
pub const fn address(index: u32) -> u32 {
    index + 1
}

/// What the world knows about a contribution besides its bytes: the oracle's side.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Quantised slots; empty in plain mode.
    pub slots: Vec<u32>,
    /// The update before quantisation.
    pub update: Vec<f32>,
    /// Its weight.
    pub weight: u64,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum What {
    /// The driver of a party looks whether there is a round.
    Poll,
    /// A control frame arrives.
    Frame(Arc<[u8]>),
    /// Local training is done.
    Trained,
    /// The last byte of the upload is about to leave.
    Upload,
    /// A contribution arrives, whole.
    Contribution {
        /// Control frame.
        frame: Arc<[u8]>,
        /// Vector.
        vector: Arc<[u8]>,
        /// For the oracle.
        truth: Box<Truth>,
    },
    /// A machine wanted to be woken.
    Wake,
    /// The operator ends the round.
    Cancel,
}

/// An event with its time and addresses.
#[derive(Clone, Debug)]
pub struct Event {
    /// Virtual milliseconds.
    pub at: u64,
    /// Order of creation; breaks ties.
    pub order: u64,
    /// From.
    pub from: u32,
    /// To.
    pub to: u32,
    /// What.
    pub what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Earliest first in a max-heap.
impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Events to come, earliest first, ties in order of creation.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Event>,
    created: u64,
}

/// An event an actor wants to happen.
#[derive(Clone, Debug)]
pub struct Emission {
    /// When.
    pub at: u64,
    /// To.
    pub to: u32,
    /// What.
    pub what: What,
}

impl Queue {
    /// Adds an event.
    pub fn push(&mut self, from: u32, emission: Emission) {
        let Emission { at, to, what } = emission;
        self.heap.push(Event { at, order: self.created, from, to, what });
        self.created += 1;
    }

    /// The events of the next window: all before the earliest plus `width`, but at most `most`.
    pub fn window(&mut self, width: u64, most: usize) -> Vec<Event> {
        let mut window = Vec::new();
        let Some(first) = self.heap.peek() else { return window };
        let end = first.at + width;
        while window.len() < most
            && let Some(event) = self.heap.peek()
            && event.at < end
        {
            window.extend(self.heap.pop());
        }
        window
    }

    /// Forgets all events but frames on their way: the round is over.
    pub fn keep_frames(&mut self) {
        self.heap.retain(|event| matches!(event.what, What::Frame(_)));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.heap.clear();
    }
}
