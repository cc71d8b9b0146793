//! A recorded exchange, judged ([WIRE-2], [ANN-1], [ROST-1], [CONV-1], [MASK-4], [SHARE-2], [OPEN-1], [OPEN-2], [SIG-1]).
//!
//! A recording is text: one JSON object a line. The first says by whom the coordinator's messages must be signed, every
//! other is one frame, in the order in which it was seen anywhere:
//!
//! ```text
//! {"coordinator": "‹public key, hex›", "keys": {"0": "‹public key of registry entry 0›", …}}
//! {"from": "coordinator", "to": 3, "frame": "‹hex›"}          {"from": 3, "frame": "‹hex›"}
//! ```
//!
//! What is not in a recording cannot be judged: a requirement of which nothing is there is not reached.
//!
//! # Security
//!
//! A recording is input of strangers: lines and frames are bounded, every frame is decoded by its rules, and texts of a
//! recording never stand in a report.

mod judge;

use std::collections::BTreeMap;
use std::io::BufRead;

use quorate_crypto::hash::from_hex;
use quorate_crypto::sign::PublicKey;
use serde::Deserialize;

use crate::error::KitError;
use crate::report::{Findings, Report};
use crate::requirement::RECORDED;
use judge::Judge;

/// Longest line: the longest frame in hexadecimal.
const LINE: usize = 40 << 20;
/// Most lines.
const LINES: usize = 1 << 20;

#[derive(Deserialize)]
struct Head {
    coordinator: String,
    keys: BTreeMap<u32, String>,
}

/// Who sends or receives a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum End {
    Party(u32),
    Named(Coordinator),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Coordinator {
    Coordinator,
}

#[derive(Deserialize)]
struct Line {
    from: End,
    frame: String,
}

/// Judges a recording.
///
/// # Errors
/// [`KitError::Input`]: it is none.
pub fn judge(mut recording: impl BufRead) -> Result<Report, KitError> {
    let wrong = |line: usize, what: &str| KitError::Input(format!("line {line} of the recording: {what}"));
    let (mut text, mut number) = (Vec::new(), 0);
    let mut judge: Option<Judge> = None;
    let mut findings = Findings::default();
    loop {
        text.clear();
        let read = std::io::Read::take(&mut recording, LINE as u64 + 1).read_until(b'\n', &mut text);
        if read.map_err(|error| KitError::Input(error.to_string()))? == 0 {
            break;
        }
        number += 1;
        if text.len() > LINE || number > LINES {
            return Err(wrong(number, "too long"));
        }
        match &mut judge {
            None => {
                let head: Head = serde_json::from_slice(&text).map_err(|_| wrong(number, "no head"))?;
                judge = Some(start(&head).ok_or_else(|| wrong(number, "a key is none"))?);
            }
            Some(judge) => {
                let line: Line = serde_json::from_slice(&text).map_err(|_| wrong(number, "no frame"))?;
                let frame = bytes(&line.frame).ok_or_else(|| wrong(number, "not hexadecimal"))?;
                let from = match line.from {
                    End::Party(index) => Some(index),
                    End::Named(Coordinator::Coordinator) => None,
                };
                judge.take(from, &frame, number, &mut findings);
            }
        }
    }
    if judge.is_none() {
        return Err(wrong(1, "no head"));
    }
    findings.leave(RECORDED.iter().map(|requirement| requirement.id), "nothing of it was recorded");
    Ok(Report::new(RECORDED.iter(), &findings))
}

fn start(head: &Head) -> Option<Judge> {
    let key = |text: &str| PublicKey::parse(&bytes(text)?).ok();
    let keys: Option<BTreeMap<u32, PublicKey>> =
        head.keys.iter().map(|(index, text)| Some((*index, key(text)?))).collect();
    Some(Judge::new(key(&head.coordinator)?, keys?))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0; text.len() / 2];
    from_hex(text, &mut bytes)?;
    Some(bytes)
}

#[cfg(test)]
mod tests;
