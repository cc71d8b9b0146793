//! All sealed keys under another version of the wrapping key, beside a node that plays.

use quorate_coordinator::control::Answer;
use quorate_coordinator::strongroom::{Shared, Strongroom, StrongroomError};
use tokio::sync::mpsc;

/// Begins in the background; a key at a time has the strongroom, so that nobody else waits for long.
pub fn rewrap(room: &Shared, rotate: bool, answers: mpsc::Sender<Answer>) {
    let room = room.clone();
    tokio::task::spawn_blocking(move || {
        let answer = work(&room, rotate, &mut |answer| drop(answers.blocking_send(answer)));
        let _ = answers.blocking_send(answer.unwrap_or_else(|error| Answer::refused(&error)));
    });
}

/// The whole job; `tell` gets every step.
pub fn work(room: &Shared, rotate: bool, tell: &mut dyn FnMut(Answer)) -> Result<Answer, String> {
    let told = |error: StrongroomError| error.to_string();
    let mut job = with(room, |room| {
        if rotate {
            room.rotate_wrapping()?;
        }
        room.rewrap()
    })?
    .map_err(told)?;
    loop {
        let step = with(room, |room| Ok((room.rewrap_step(&mut job)?, room.report(&job)?)))?.map_err(told)?;
        let (more, report) = step;
        if more {
            tell(Answer { done: None, message: String::new(), report: Some(report) });
            continue;
        }
        let (moved, total) = (report.rewrapped, report.total);
        let message = format!("{moved} of {total} keys and files moved to {}", report.wrapping);
        return Ok(Answer { done: Some(report.failures.is_empty()), message, report: Some(report) });
    }
}

fn with<T>(room: &Shared, work: impl FnOnce(&mut Strongroom) -> T) -> Result<T, String> {
    let mut room = room.lock();
    let none = "there is no open strongroom: sealed meanwhile, or without [keys] in the configuration";
    room.as_mut().map(work).ok_or_else(|| none.to_owned())
}
