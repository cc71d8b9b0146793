//! A scripted coordinator: a deployment of its own, an endpoint, and the one party under test.
//!
//! ```text
//! Hall   keys of coordinator and puppets, registry, epoch: signs anything
//! Desk   the endpoint: enrols the subject, notes everything it does
//! Scene  one round: puppets' round keys and contributions, roster, sets, locks
//! Stage  the script's hands: announce, send, wait until the subject does something
//! ```
//!
//! # Security
//!
//! Nothing here checks a rule: it makes what a malicious coordinator could make. Its keys are made anew for every script.

mod desk;
mod hall;
mod play;
mod scene;

pub(crate) use desk::{Event, Receipt};
#[cfg(test)]
pub(crate) use hall::{Founding, NAME, evidence, model};
pub(crate) use hall::{Hall, PUPPETS, sign};
pub(crate) use play::{Coins, Door, Stage, of};
#[cfg(test)]
pub(crate) use play::{Hex, line};
pub(crate) use scene::{Held, Scene, leaves, round_key, session_of};
