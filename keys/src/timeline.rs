//! What touched a key between two times, from the log alone.
//!
//! ```text
//! log ──▶ what happened to the key itself          uses, states, acknowledgements, references
//!     └─▶ what happened to others because of it    a key made under it, moved under it
//! ```
//!
//! After a compromise this is the first question; the log answers it without the inventory, so a copy of the log is
//! enough.

use serde::Serialize;

use crate::class::KeyId;
use crate::inventory::event::{Change, Event};
use crate::when::Time;

/// One thing that touched a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Touch<'a> {
    /// Its place in the log, 0 for the first event.
    pub number: u64,
    /// How.
    pub touch: How,
    /// The event.
    pub event: &'a Event,
}

/// How an event touches a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It happened to the key.
    Itself,
    /// A key came to stand below it.
    Above,
}

/// What touched a key from one time to another, both included, in the order of the log.
///
/// The order is the log's, not that of the times: a clock that was wrong does not move anything.
#[must_use]
pub fn timeline<'a>(log: &'a [Event], key: &KeyId, from: Time, to: Time) -> Vec<Touch<'a>> {
    let within = (0..).zip(log).filter(|(_, event)| (from..=to).contains(&event.at.time));
    within.filter_map(|(number, event)| Some(Touch { number, touch: how(event, key)?, event })).collect()
}

fn how(event: &Event, key: &KeyId) -> Option<How> {
    if event.key == *key {
        return Some(How::Itself);
    }
    match &event.change {
        Change::Created(origin) => (origin.parent.as_ref() == Some(key)).then_some(How::Above),
        Change::Reparented { parent } => (parent == key).then_some(How::Above),
        _ => None,
    }
}
