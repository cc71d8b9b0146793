//! Outputs of the machines, and the proof that a record was made durable first.
//!
//! A driver performs outputs **strictly in order**. A [`Output::Persist`] must be durable before
//! the next output is performed; if it cannot be, the driver drops the machine. That is how "durable
//! before a message leaves" ([OPEN-1], [OPEN-3], [MASK-4]) becomes a property of the types: a
//! statement that needs a record is signed only against a [`Permit`] for it, and a permit comes
//! only from queueing that record ahead of the message.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::id::Time;

/// One thing a driver has to do.
#[derive(Debug)]
pub enum Output<R, E> {
    /// Make this record durable before anything that follows.
    Persist(R),
    /// Send a frame.
    Send {
        /// Registry indices of the recipients; empty means the coordinator.
        to: Vec<u32>,
        /// The frame, shared between recipients.
        frame: Arc<[u8]>,
    },
    /// Send a contribution: control frame and raw vector.
    Upload {
        /// Header and sealed shares.
        frame: Arc<[u8]>,
        /// The masked vector, little-endian words.
        vector: Arc<[u8]>,
    },
    /// Call `wake` at this time, or later.
    WakeAt(Time),
    /// Something the application may want to know.
    Event(E),
}

/// Shows that a record of type `R` stands in the outbox before whatever is sent next.
#[derive(Debug)]
pub struct Permit<R>(PhantomData<R>);

/// The queue of outputs of one machine.
#[derive(Debug)]
pub struct Outbox<R, E>(VecDeque<Output<R, E>>);

impl<R, E> Default for Outbox<R, E> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<R, E> Outbox<R, E> {
    /// Takes the next output.
    pub fn poll(&mut self) -> Option<Output<R, E>> {
        self.0.pop_front()
    }

    /// What has not been taken yet, in order.
    pub fn queued(&self) -> impl Iterator<Item = &Output<R, E>> {
        self.0.iter()
    }

    /// Queues a record and gives the permit to sign what depends on it.
    pub fn persist<T: Into<R>>(&mut self, record: T) -> Permit<T> {
        self.0.push_back(Output::Persist(record.into()));
        Permit(PhantomData)
    }

    /// Queues a frame for the coordinator.
    pub fn send(&mut self, frame: Vec<u8>) {
        self.send_to(Vec::new(), frame.into());
    }

    /// Queues a frame for parties.
    pub fn send_to(&mut self, to: Vec<u32>, frame: Arc<[u8]>) {
        self.0.push_back(Output::Send { to, frame });
    }

    /// Queues a contribution.
    pub fn upload(&mut self, frame: Arc<[u8]>, vector: Arc<[u8]>) {
        self.0.push_back(Output::Upload { frame, vector });
    }

    /// Asks for a call at a time.
    pub fn wake_at(&mut self, time: Time) {
        self.0.push_back(Output::WakeAt(time));
    }

    /// Tells the application.
    pub fn event(&mut self, event: E) {
        self.0.push_back(Output::Event(event));
    }
}
