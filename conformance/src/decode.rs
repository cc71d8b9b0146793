//! A frame explained field by field: where each field lies, what it is called, what it says (docs/WIRE.md).
//!
//! A body is decoded by the rules of [WIRE-1] and [WIRE-2] first, so that a hostile one costs what its type may cost and
//! no more. Then the value is written once more, and every field noted on the way: the bytes are known to be the same.

mod walk;

use quorate_protocol::error::DecodeError;
use quorate_protocol::wire::{self, HEADER, Message};
use serde_json::{Value, json};

pub use walk::Field;

/// A frame with its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Name of the message.
    pub name: &'static str,
    /// Its type.
    pub kind: u8,
    /// The round in the header.
    pub round: u64,
    /// Fields in order, the header's first.
    pub fields: Vec<Field>,
    /// Fields that are not listed: only so many are ([`MOST_FIELDS`]).
    pub left_out: usize,
}

/// Fields that are listed of one frame.
pub const MOST_FIELDS: usize = 4096;

macro_rules! kinds {
    ($kind:expr, $body:expr, $($name:ident)*) => {
        match $kind {
            $(wire::$name::TYPE => walk::fields::<wire::$name>($body).map(|fields| (stringify!($name), fields)),)*
            kind => Err(DecodeError::UnknownType(kind)),
        }
    };
}

/// Explains one frame.
///
/// # Errors
/// [`DecodeError`]: it is no frame, or its body is not the one encoding of anything.
pub fn explain(frame: &[u8]) -> Result<Explained, DecodeError> {
    let (kind, round, body) = wire::split(frame)?;
    let (name, walked) = kinds!(
        kind, body, Call Commit Commitments SeedReveal Keys Due Announce RoundKey Roster Contribution Relay CheckBatch Close
        Lock Locks Answer ResultNotice RosterRequest Poll KeyCall KeyJoin KeyJoins PartCommit PartCommits PartReveal
        PartRelay PartChecks KeyTry TryAnswer KeyTried KeySign KeyReady KeyDead Disclose SealedClose OpenAsk OpenAnswer
        BlameAsk BlameAnswer SealedContribution KeyNotice
    )?;
    let header = |at, bytes, name: &str, value: String| Field { at, bytes, name: name.to_owned(), value };
    let mut fields = vec![
        header(0, 1, "version", "1".to_owned()),
        header(1, 1, "type", format!("{kind} {name}")),
        header(2, 8, "round", round.to_string()),
    ];
    let found = walked.len();
    fields.extend(walked.into_iter().take(MOST_FIELDS).map(|field| Field { at: field.at + HEADER, ..field }));
    Ok(Explained { name, kind, round, fields, left_out: found.saturating_sub(MOST_FIELDS) })
}

impl Explained {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |field: &Field| {
            format!("{:>8}  {:>7}  {:<40} {}\n", field.at, field.bytes, field.name, field.value)
        };
        let head = format!("{:>8}  {:>7}  {:<40} says\n", "at", "bytes", "field");
        let mut text: String = std::iter::once(head).chain(self.fields.iter().map(line)).collect();
        if self.left_out > 0 {
            text.push_str(&format!("… and {} fields more\n", self.left_out));
        }
        text
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let field = |field: &Field| json!({ "at": field.at, "bytes": field.bytes, "field": field.name, "value": field.value });
        let fields: Vec<_> = self.fields.iter().map(field).collect();
        json!({ "message": self.name, "type": self.kind, "round": self.round, "fields": fields, "left_out": self.left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::Digest;
    use quorate_protocol::id::SetId;
    use quorate_protocol::wire::{Lock, Poll, Relay};

    #[test]
    fn every_byte_of_a_frame_is_in_one_field() {
        let set = SetId { sid: Digest::from_bytes([7; 32]), root: Digest::ZERO, size: 300 };
        let signature = quorate_crypto::sign::SigningKey::from_bytes(&[1; 32]).sign(&Digest::ZERO);
        let frame = wire::encode(9, &Lock { set, member: 3, signature });
        let explained = explain(&frame).unwrap();
        let mut at = 0;
        for field in &explained.fields {
            assert_eq!(field.at, at, "{}", field.name);
            at += field.bytes;
        }
        assert_eq!(at, frame.len());
        let said: Vec<_> =
            explained.fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        assert_eq!(said[2], ("round", "9"));
        assert_eq!(said[3], ("set.sid", "07".repeat(32).as_str()));
        assert_eq!(said[5], ("set.size", "300"));
        assert_eq!(said[6], ("member", "3"));
    }

    /// [WIRE-1], [WIRE-2]: what is no frame is not explained, and costs nothing.
    #[test]
    fn hostile_frames_are_refused() {
        let frame = wire::encode(0, &Poll { seen: 5, keys: 0 });
        for cut in 0..frame.len() {
            assert!(explain(&frame[..cut]).is_err());
        }
        let mut loose = frame[..HEADER].to_vec();
        loose.extend([0x85, 0, 0]);
        assert_eq!(explain(&loose), Err(DecodeError::NonCanonical));
        let mut many = wire::encode(1, &Relay { items: Vec::new() });
        many.truncate(HEADER);
        many.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(explain(&many), Err(DecodeError::Body));
        assert_eq!(explain(&[1, 42, 0, 0, 0, 0, 0, 0, 0, 0]), Err(DecodeError::UnknownType(42)));
    }
}
