//! Frames: a header by hand, a body in postcard, every length bounded first ([WIRE-1] … [WIRE-3]).
//!
//! ```text
//! version u8 = 1 │ type u8 │ round u64le │ body (postcard, canonical, nothing after it)
//! ```
//!
//! [`decode`] gives [`Unverified`] values only. What is inside can be reached by verifying it, and each
//! message's `verify` names what has to be known to do so.

pub(crate) mod bytes;
mod ceremony;
mod collective;
mod limits;
mod list;
mod messages;

pub use ceremony::{Call, Commit, Commitments, SeedReveal};
pub use collective::{
    BlameAnswer, BlameAsk, Disclose, JoinEntry, KeyCall, KeyDead, KeyJoin, KeyJoins, KeyNotice, KeyReady,
    KeySign, KeyTried, KeyTry, OpenAnswer, OpenAsk, Opening, PartCheck, PartChecks, PartCommit, PartCommits,
    PartRelay, PartReveal, SealedClose, SealedContribution, SealedLeaf, TRIALS, Trial, TryAnswer,
};
pub use limits::limit;
pub(crate) use list::{PROOF, list};
pub use messages::{
    Announce, Answer, CheckBatch, CheckEntry, CheckValue, Close, Complaint, Contribution, Due, Keys, Leaf,
    Lock, Locks, Place, Poll, Relay, RelayItem, ResultNotice, Roster, RosterEntry, RosterRequest, RoundKey,
    Sealed, set_leaf,
};
pub(crate) use messages::{RelayHead, encode_relay};

use postcard::ser_flavors::Flavor;
use postcard::{Error, from_bytes, serialize_with_flavor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::DecodeError;
use crate::manifest::VERSION;

/// Bytes of a frame header.
pub const HEADER: usize = 10;

/// A message that has its own type number.
pub trait Message: Serialize + DeserializeOwned {
    /// Type number in the frame header.
    const TYPE: u8;
}

/// Something decoded but not verified. The only way on is `verify`.
#[derive(Debug)]
pub struct Unverified<T> {
    round: u64,
    body: T,
}

impl<T> Unverified<T> {
    /// The round the frame claims.
    #[must_use]
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// For the `verify` functions of this crate only.
    pub(crate) fn into_body(self) -> T {
        self.body
    }

    /// For the `verify` functions of this crate only.
    pub(crate) const fn body(&self) -> &T {
        &self.body
    }
}

impl Unverified<Due> {
    /// The version of the next key; there is nothing to verify about a hint.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.body.version
    }
}

impl Unverified<SealedContribution> {
    /// Who is said to have made it, as with [`Contribution`].
    #[must_use]
    pub const fn claimed_sender(&self) -> quorate_keys::PartyId {
        self.body.header.sender
    }
}

impl Unverified<Poll> {
    /// Number of the newest list of keys that the sender says it has; nobody is harmed by a wrong one but itself.
    #[must_use]
    pub const fn keys(&self) -> u64 {
        self.body.keys
    }
}

impl Unverified<Contribution> {
    /// Who is said to have made it: for a transport that compares it with whom it has authenticated.
    #[must_use]
    pub const fn claimed_sender(&self) -> quorate_keys::PartyId {
        self.body.header.sender
    }
}

/// The canonical body of a value: postcard.
#[must_use]
pub fn body<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, value);
    bytes
}

/// Encodes a frame.
#[must_use]
pub fn encode<T: Message>(round: u64, message: &T) -> Vec<u8> {
    encode_with::<T>(round, |frame| append(frame, message))
}

/// A frame of this type whose body `write` appends.
fn encode_with<T: Message>(round: u64, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::with_capacity(1024);
    frame.extend_from_slice(&[VERSION, T::TYPE]);
    frame.extend_from_slice(&round.to_le_bytes());
    write(&mut frame);
    frame
}

/// Appends the canonical encoding of a value.
pub(crate) fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    serialize_with_flavor(value, Append(bytes)).expect("protocol values have known lengths and serialise");
}

struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Takes an encoding and holds it against these bytes.
struct Compare<'a>(&'a [u8]);

impl Flavor for Compare<'_> {
    type Output = bool;

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0 = self.0.strip_prefix(data).ok_or(Error::SerializeBufferFull)?;
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        match self.0.split_first() {
            Some((&first, rest)) if first == data => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(Error::SerializeBufferFull),
        }
    }

    fn finalize(self) -> postcard::Result<bool> {
        Ok(self.0.is_empty())
    }
}

/// Version, type, round and body of a frame, its length checked against the type's limit ([WIRE-1]).
pub fn split(frame: &[u8]) -> Result<(u8, u64, &[u8]), DecodeError> {
    let Some((header, body)) = frame.split_first_chunk::<HEADER>() else {
        return Err(DecodeError::Short);
    };
    let [version, kind, round @ ..] = *header;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let limit = limit(kind).ok_or(DecodeError::UnknownType(kind))?;
    if body.len() > limit {
        return Err(DecodeError::TooLong { got: body.len(), limit });
    }
    Ok((kind, u64::from_le_bytes(round), body))
}

/// Decodes a frame of one expected type ([WIRE-2]): canonical, complete, nothing left over.
pub fn decode<T: Message>(frame: &[u8]) -> Result<Unverified<T>, DecodeError> {
    let (kind, round, bytes) = split(frame)?;
    if kind != T::TYPE {
        return Err(DecodeError::Unexpected(kind));
    }
    let body = decode_body(bytes)?;
    Ok(Unverified { round, body })
}

/// Decodes a canonical body.
pub fn decode_body<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let value: T = from_bytes(bytes).map_err(|_| DecodeError::Body)?;
    // postcard accepts over-long integers and trailing bytes; the encoding of a value is unique here.
    let canonical = serialize_with_flavor(&value, Compare(bytes)).unwrap_or(false);
    if canonical { Ok(value) } else { Err(DecodeError::NonCanonical) }
}

#[cfg(test)]
mod tests;
