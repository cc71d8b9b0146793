//! The header of an envelope: what the object is, and who may open it.
//!
//! ```text
//! fixed   "QUORENV" ‖ 1 ‖ chunk size (4) ‖ object (32)                      44 bytes, the same for ever
//! wraps   number ‖ for each: provider, region, key id (length (1) ‖ text) ‖ length (2) ‖ wrapped data key
//! tag     32 bytes under the data key, over all of the above
//! ```
//!
//! Integers are little-endian. The fixed part is bound into the key of the chunks and into each wrap, the wraps are
//! bound by the tag: a new wrap changes them and leaves the chunks alone.
//!
//! # Security
//!
//! Nothing in a header is to be believed before the tag has been checked. Lengths are checked before anything is
//! allocated; there is one encoding of a header and no other is read.

use std::io::Read;

use quorate_crypto::envelope::DataKey;
use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;

use super::EnvelopeError;
use crate::class::{KeyId, KeyRef};
use crate::provider::{Tag, Wrapped};

/// What an object is, and which one; a file in the place of another does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId(Digest);

impl ObjectId {
    /// The object of these names: a kind, a job, a round …
    #[must_use]
    pub fn new(names: &[&[u8]]) -> Self {
        let mut hasher = FieldHasher::new(labels::ENVELOPE_OBJECT);
        for name in names {
            hasher.field(name);
        }
        Self(hasher.finish())
    }

    /// The object of this digest.
    #[must_use]
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }
}

/// The header of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub(super) chunk: u32,
    pub(super) object: ObjectId,
    pub(super) wraps: Vec<Wrapped>,
}

impl Header {
    /// Which object it is. True once the envelope is open.
    #[must_use]
    pub const fn object(&self) -> &ObjectId {
        &self.object
    }

    /// Who may open it. True once the envelope is open.
    #[must_use]
    pub fn wraps(&self) -> &[Wrapped] {
        &self.wraps
    }

    /// Reads a header and its tag, and not a byte more.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn read(input: &mut dyn Read) -> Result<Tagged, EnvelopeError> {
        let mut source = Source { input, taken: Vec::new() };
        if source.take(MAGIC.len())? != MAGIC {
            return Err(EnvelopeError::Format);
        }
        let format = source.byte()?;
        if format != FORMAT {
            return Err(EnvelopeError::Newer(format));
        }
        let chunk = u32::from_le_bytes(source.array()?);
        if chunk == 0 || chunk > MAX_CHUNK {
            return Err(EnvelopeError::Format);
        }
        let object = ObjectId(Digest::from_bytes(source.array()?));
        let count = usize::from(source.byte()?);
        if count == 0 || count > MAX_WRAPS {
            return Err(EnvelopeError::Format);
        }
        let wraps = (0..count).map(|_| source.wrap()).collect::<Result<_, _>>()?;
        let header = Self { chunk, object, wraps };
        header.check_wraps()?;
        let bytes = source.taken.clone();
        Ok(Tagged { header, bytes, tag: source.array()? })
    }

    /// The header's bytes and the tag behind them.
    ///
    /// # Errors
    /// If there are no wraps, too many, or two for one key.
    pub(super) fn encode(&self, data: &DataKey) -> Result<Vec<u8>, EnvelopeError> {
        self.check_wraps()?;
        let mut bytes = self.fixed();
        bytes.push(self.wraps.len() as u8);
        for wrap in &self.wraps {
            let id = wrap.key.id().to_string();
            for text in [wrap.provider.as_str(), wrap.region.as_str(), &id] {
                bytes.push(text.len() as u8);
                bytes.extend_from_slice(text.as_bytes());
            }
            bytes.extend_from_slice(&(wrap.bytes.len() as u16).to_le_bytes());
            bytes.extend_from_slice(&wrap.bytes);
        }
        let tag = data.header_tag(&bytes);
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    /// What chunks and wraps are bound to.
    pub(super) fn binding(&self) -> Digest {
        let mut hasher = FieldHasher::new(labels::ENVELOPE_BINDING);
        hasher.field(&self.fixed());
        hasher.finish()
    }

    fn fixed(&self) -> Vec<u8> {
        [MAGIC, &[FORMAT], &self.chunk.to_le_bytes(), self.object.0.as_bytes()].concat()
    }

    fn check_wraps(&self) -> Result<(), EnvelopeError> {
        let whose = |wrap: &Wrapped| (wrap.provider.clone(), wrap.region.clone(), wrap.key.id().name.clone());
        let mut known = std::collections::BTreeSet::new();
        let distinct = self.wraps.iter().all(|wrap| known.insert(whose(wrap)));
        let short = self.wraps.iter().all(|wrap| wrap.bytes.len() <= MAX_WRAPPED);
        let some = (1..=MAX_WRAPS).contains(&self.wraps.len());
        if distinct && short && some { Ok(()) } else { Err(EnvelopeError::Wraps) }
    }
}

/// A header as it was read, its tag not yet checked.
#[derive(Clone, Debug)]
pub struct Tagged {
    header: Header,
    bytes: Vec<u8>,
    tag: [u8; 32],
}

impl Tagged {
    /// What it says, not yet believed: to find who can unwrap.
    #[must_use]
    pub const fn claimed(&self) -> &Header {
        &self.header
    }

    /// The header, if this data key's tag is on it.
    ///
    /// # Errors
    /// [`EnvelopeError::Header`].
    pub fn verify(self, data: &DataKey) -> Result<Header, EnvelopeError> {
        if data.is_header_tag(&self.bytes, &self.tag) { Ok(self.header) } else { Err(EnvelopeError::Header) }
    }
}

struct Source<'a> {
    input: &'a mut dyn Read,
    taken: Vec<u8>,
}

impl Source<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], EnvelopeError> {
        let before = self.taken.len();
        let end = before + count;
        (&mut *self.input).take(count as u64).read_to_end(&mut self.taken)?;
        self.taken.get(before..end).ok_or(EnvelopeError::Format)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EnvelopeError> {
        self.take(N)?.try_into().map_err(|_| EnvelopeError::Format)
    }

    fn byte(&mut self) -> Result<u8, EnvelopeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn text(&mut self) -> Result<&str, EnvelopeError> {
        let length = usize::from(self.byte()?);
        std::str::from_utf8(self.take(length)?).map_err(|_| EnvelopeError::Format)
    }

    fn wrap(&mut self) -> Result<Wrapped, EnvelopeError> {
        let tag = |text: &str| text.parse::<Tag>().map_err(|_| EnvelopeError::Format);
        let provider = tag(self.text()?)?;
        let region = tag(self.text()?)?;
        let id: KeyId = self.text()?.parse().map_err(|_| EnvelopeError::Format)?;
        let key = KeyRef::new(id).map_err(|_| EnvelopeError::Format)?;
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if length > MAX_WRAPPED {
            return Err(EnvelopeError::Format);
        }
        Ok(Wrapped { provider, region, key, bytes: self.take(length)?.to_vec() })
    }
}

pub(super) const MAGIC: &[u8] = b"QUORENV";
const FORMAT: u8 = 1;
/// Bytes of plaintext in each chunk that is written.
pub const CHUNK: u32 = 64 << 10;
/// Longest chunk that is read.
const MAX_CHUNK: u32 = 1 << 20;
/// Most wraps of one object.
pub const MAX_WRAPS: usize = 16;
/// Longest wrapped data key.
const MAX_WRAPPED: usize = 4096;
