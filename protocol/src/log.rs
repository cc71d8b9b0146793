//! The bytes of a state file: a snapshot and the records after it (docs/WIRE.md, "On disk"). No I/O here.
//!
//! ```text
//! "quorate" 01 │ frame(snapshot) │ frame(record) │ frame(record) │ …
//! frame = u64le length │ body │ check = H(log-frame; check of the frame before, body)
//! ```
//!
//! A file is begun whole (temporary file, rename) and then grows by one record at a time, each durable before
//! the next. So at most the last frame can be incomplete: [`read`] cuts it off, and the record in it never
//! counted as written. Checks are chained: a frame of another file, or out of order, does not fit.
//!
//! # Security
//!
//! Anything else than an incomplete last frame is damage, and the file is refused: a party that forgot a
//! record could sign twice ([OPEN-1], [OPEN-3], [MASK-4]). Checks are not keyed; they are against accidents.

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::error::DecodeError;
use crate::snapshot;

/// Longest body of a record.
pub const MAX_RECORD: usize = 1024;

const MAGIC: [u8; 8] = *b"quorate\x01";
const LENGTH: usize = 8;
const CHECK: usize = 32;

/// Why a state file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LogError {
    /// Another kind of file, or of a newer version.
    #[error("not a state file of this version")]
    Magic,
    /// Not an interrupted last write: bytes have changed.
    #[error("the state file is damaged at byte {at}")]
    Damaged {
        /// Where the first bad frame begins.
        at: usize,
    },
    /// A whole frame holds no known form.
    #[error("the state file holds an unknown form: {0}")]
    Form(#[from] DecodeError),
}

/// The end of a state file: where the next frame goes and what it is chained to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    length: usize,
    check: Digest,
}

/// What a state file says.
#[derive(Debug, PartialEq)]
pub struct Contents<S, R> {
    /// The snapshot.
    pub snapshot: S,
    /// The records after it.
    pub records: Vec<R>,
    /// Where the last whole frame ends.
    pub end: LogEnd,
    /// Bytes after it, of an interrupted write: to be cut off before anything is appended.
    pub torn: usize,
}

impl LogEnd {
    /// Bytes up to here.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The bytes that add one record, and the end after them. The record counts once they are durable.
    #[must_use]
    pub fn append<R: Serialize>(&self, record: &R) -> (Vec<u8>, Self) {
        let body = snapshot::store(record);
        debug_assert!(body.len() <= MAX_RECORD, "records are small");
        self.frame(&body)
    }

    fn frame(&self, body: &[u8]) -> (Vec<u8>, Self) {
        let check = self.check_of(body);
        let mut frame = Vec::with_capacity(LENGTH + body.len() + CHECK);
        frame.extend_from_slice(&(body.len() as u64).to_le_bytes());
        frame.extend_from_slice(body);
        frame.extend_from_slice(check.as_bytes());
        let end = Self { length: self.length + frame.len(), check };
        (frame, end)
    }

    fn check_of(&self, body: &[u8]) -> Digest {
        digest(labels::LOG_FRAME, &[self.check.as_bytes(), body])
    }

    /// The body of the frame that begins here, if it is whole, and where it ends.
    fn next<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], Self)> {
        let (length, rest) = bytes.get(self.length..)?.split_first_chunk::<LENGTH>()?;
        let (body, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let check = self.check_of(body);
        let end = Self { length: self.length + LENGTH + body.len() + CHECK, check };
        (rest.get(..CHECK)? == check.as_bytes()).then_some((body, end))
    }
}

/// A state file that holds one snapshot.
#[must_use]
pub fn begin<S: Serialize>(snapshot: &S) -> (Vec<u8>, LogEnd) {
    let start = LogEnd { length: MAGIC.len(), check: Digest::ZERO };
    let (frame, end) = start.frame(&snapshot::store(snapshot));
    ([&MAGIC, &frame[..]].concat(), end)
}

/// Reads a state file; an incomplete last record is left out.
pub fn read<S, R>(bytes: &[u8]) -> Result<Contents<S, R>, LogError>
where
    S: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    if !bytes.starts_with(&MAGIC) {
        return Err(LogError::Magic);
    }
    let start = LogEnd { length: MAGIC.len(), check: Digest::ZERO };
    let (body, mut end) = start.next(bytes).ok_or(LogError::Damaged { at: start.length })?;
    let snapshot = snapshot::load(body)?;
    let mut records = Vec::new();
    while end.length < bytes.len() {
        let Some((body, next)) = end.next(bytes) else {
            if is_interrupted(&bytes[end.length..]) {
                break;
            }
            return Err(LogError::Damaged { at: end.length });
        };
        records.push(snapshot::load(body)?);
        end = next;
    }
    Ok(Contents { snapshot, records, end, torn: bytes.len() - end.length })
}

/// Whether a bad last part can be one interrupted write of one record: a piece of its beginning, all of it with
/// some of it missing, or room for it that nothing was written to. It never reaches past one record.
fn is_interrupted(rest: &[u8]) -> bool {
    if rest.len() > LENGTH + MAX_RECORD + CHECK {
        return false;
    }
    let Some((length, _)) = rest.split_first_chunk::<LENGTH>() else { return true };
    let length = u64::from_le_bytes(*length);
    let fits = length <= MAX_RECORD as u64 && rest.len() as u64 <= length + (LENGTH + CHECK) as u64;
    fits || rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    type File = Contents<u64, (u32, String)>;

    fn file(records: &[&str]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut end) = begin(&77_u64);
        let mut ends = vec![end.length()];
        for (number, text) in (0_u32..).zip(records) {
            let (frame, next) = end.append(&(number, (*text).to_owned()));
            bytes.extend(frame);
            end = next;
            ends.push(end.length());
        }
        (bytes, ends)
    }

    // RT-11 [MASK-4], [OPEN-3]: a torn last write is cut off at every byte, and nothing before it is lost.
    #[test]
    fn every_cut_gives_the_whole_frames_before_it() {
        let (bytes, ends) = file(&["one", "two", "three"]);
        for length in ends[0]..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= length).count();
            let read: File = read(&bytes[..length]).unwrap();
            assert_eq!((read.snapshot, read.records.len()), (77, whole - 1));
            assert_eq!((read.end.length(), read.torn), (ends[whole - 1], length - ends[whole - 1]));
            // What is appended after the cut reads again.
            let (frame, _) = read.end.append(&(9_u32, "again".to_owned()));
            let mended = [&bytes[..read.end.length()], &frame[..]].concat();
            assert_eq!(super::read::<u64, (u32, String)>(&mended).unwrap().records.len(), whole);
        }
        for length in 0..ends[0] {
            assert!(read::<u64, (u32, String)>(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_last_write_that_left_holes_is_cut_off() {
        let (bytes, ends) = file(&["one", "two"]);
        for hole in ends[1]..bytes.len() {
            for torn in [&bytes[..hole], &[]].map(|kept| [kept, &vec![0; bytes.len() - kept.len()]].concat())
            {
                let whole = if torn == bytes { 2 } else { usize::from(torn[..ends[1]] == bytes[..ends[1]]) };
                match read::<u64, (u32, String)>(&torn) {
                    Ok(read) => assert_eq!(read.records.len(), whole, "{hole}"),
                    Err(error) => assert_eq!((error, whole), (LogError::Magic, 0)),
                }
            }
        }
    }

    // Every changed byte is found; only one inside the last record can look like an interrupted write.
    #[test]
    fn damage_before_the_last_record_is_refused() {
        let (bytes, ends) = file(&["one", "two", "three"]);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            match read::<u64, (u32, String)>(&bad) {
                Ok(read) => assert!(at >= ends[2] && read.records.len() == 2, "{at}"),
                Err(error) if at < MAGIC.len() => assert_eq!(error, LogError::Magic),
                Err(error) => {
                    let begin = ends.iter().rfind(|end| **end <= at).copied().unwrap_or(MAGIC.len());
                    assert_eq!(error, LogError::Damaged { at: begin });
                }
            }
        }
    }

    #[test]
    fn frames_of_another_file_or_out_of_order_do_not_fit() {
        let (bytes, ends) = file(&["one", "two"]);
        let (one, two) = (&bytes[ends[0]..ends[1]], &bytes[ends[1]..]);
        let swapped = [&bytes[..ends[0]], two, one].concat();
        assert!(read::<u64, (u32, String)>(&swapped).is_err());
        let (other, _) = begin(&78_u64);
        let foreign: File = read(&[&other[..], one].concat()).unwrap();
        assert!(foreign.records.is_empty() && foreign.torn == one.len());
    }

    #[test]
    fn unknown_forms_are_refused() {
        let (bytes, _) = file(&["one"]);
        assert!(matches!(read::<u64, u8>(&bytes), Err(LogError::Form(_))));
    }
}
