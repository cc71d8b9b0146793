//! Judges of what a subject sent.

mod contribution;
mod member;

pub(crate) use contribution::{Opened, contribution};
pub(crate) use member::{Checks, answer, checks, lock, round_key};
