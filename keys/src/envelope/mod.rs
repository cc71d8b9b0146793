//! Envelope encryption: an object under a data key of its own (K9), the data key wrapped for one or more wrapping keys
//! (K10) in front of it.
//!
//! ```text
//! header: object, wraps, tag ‖ chunk 0 ‖ chunk 1 ‖ … ‖ last chunk            64 KiB each, then a tag of 16 bytes
//!
//! verb        data key   chunks       wraps                              when
//! rewrap      the same   untouched    under the version active now       a wrapping key has rotated
//! regrant     the same   untouched    one more                           a reader is added
//! reencrypt   a new one  new          exactly those that are asked for   a reader is removed, a key is compromised
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`header`] | the header, its one encoding |
//! | [`stream`] | [`EnvelopeWriter`], [`EnvelopeReader`]: any length in bounded memory |
//! | [`verbs`] | [`rewrap`], [`regrant`], [`reencrypt`] |
//! | [`job`] | [`Rewrap`]: a folder, one object after the other, to be interrupted at any time |
//!
//! # Security
//!
//! Adding a reader never makes a new data key, removing one always does ([KL-11]): there is no verb that drops a wrap
//! and keeps the data key. All of the header is authenticated under the data key, so whoever may open it may also
//! rewrite it; who that is, is up to the providers. What comes out of a reader chunk by chunk is authentic, but the
//! object is whole only when the reader has reached its end without an error. An older file of the same object opens
//! as well as the newest: rollback is not noticed here. Lengths are not hidden.

use std::collections::BTreeSet;
use std::io;

use quorate_crypto::envelope::{ChunkError, DataKey};
use thiserror::Error;

use crate::class::KeyName;
use crate::provider::{Access, Context, KeyProvider, ProviderError, Tag, Wrapped};

pub mod header;
pub mod job;
pub mod stream;
pub mod verbs;

#[cfg(test)]
pub(crate) mod tests;

pub use header::{CHUNK, Header, MAX_WRAPS, ObjectId, Tagged};
pub use job::{Failure, Progress, Rewrap};
pub use stream::{EnvelopeReader, EnvelopeWriter};
pub use verbs::{Moved, is_current, reencrypt, regrant, rewrap, rewrap_file};

/// Why an envelope is not made or opened.
#[derive(Debug, Error)]
pub enum EnvelopeError {
    /// Not an envelope, or a header that is cut off or malformed.
    #[error("not an envelope")]
    Format,
    /// A format from after this program.
    #[error("an envelope in format {0}, which this version does not know")]
    Newer(u8),
    /// The envelope of another object.
    #[error("the envelope of another object")]
    Object,
    /// The data key opens, but the header is not the one it was made with.
    #[error("the header was changed")]
    Header,
    /// Nobody who was asked can unwrap.
    #[error("wrapped for other providers: {}", .0.join(", "))]
    NoProvider(Vec<String>),
    /// A provider does not unwrap or wrap.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A chunk does not open.
    #[error("chunk {number}: {error}")]
    Chunk {
        /// Its number, from 0.
        number: u64,
        /// What is wrong.
        error: ChunkError,
    },
    /// No wraps, too many, two for one key, or one that is too long.
    #[error("an envelope has 1 to {MAX_WRAPS} wraps, one for each key")]
    Wraps,
    /// A wrap would be where the object's keys may not be.
    #[error("keys of this object may not be in region {0}")]
    Region(Tag),
    /// The file or the stream.
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// Somebody who may open: a key of a provider.
#[derive(Clone, Copy)]
pub struct Grant<'a> {
    /// Who wraps and unwraps.
    pub provider: &'a dyn KeyProvider,
    /// The wrapping key.
    pub key: &'a KeyName,
}

/// Where the keys of an object may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Anywhere.
    Any,
    /// In these regions.
    Only(BTreeSet<Tag>),
}

impl Regions {
    /// Refuses a region that is not among them.
    ///
    /// # Errors
    /// [`EnvelopeError::Region`].
    pub fn check(&self, region: &Tag) -> Result<(), EnvelopeError> {
        match self {
            Self::Only(regions) if !regions.contains(region) => Err(EnvelopeError::Region(region.clone())),
            Self::Any | Self::Only(_) => Ok(()),
        }
    }
}

/// Who may open, and where their keys may be.
#[derive(Clone, Copy)]
pub struct Readers<'a> {
    /// One wrap each.
    pub grants: &'a [Grant<'a>],
    /// Where they may be.
    pub regions: &'a Regions,
}

/// The providers that can be asked.
#[derive(Clone, Copy)]
pub struct Providers<'a>(pub &'a [&'a dyn KeyProvider]);

impl<'a> Providers<'a> {
    fn of(&self, wrap: &Wrapped) -> Option<&'a dyn KeyProvider> {
        let theirs = |provider: &&&dyn KeyProvider| {
            let description = provider.describe();
            description.provider == wrap.provider && description.region == wrap.region
        };
        self.0.iter().find(theirs).copied()
    }

    /// Unwraps the data key by the first wrap that opens, and checks the header with it.
    ///
    /// # Errors
    /// The first provider's, if none unwraps.
    pub fn unlock(&self, tagged: Tagged, access: Access) -> Result<(DataKey, Header), EnvelopeError> {
        let binding = tagged.claimed().binding();
        let mut first = None;
        for wrap in tagged.claimed().wraps() {
            let Some(provider) = self.of(wrap) else { continue };
            let context = Context::new(provider.describe(), &wrap.key.id().name, &binding);
            match provider.unwrap(wrap, &context, access) {
                Ok(data) => {
                    let header = tagged.verify(&data)?;
                    return Ok((data, header));
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.map_or_else(|| no_provider(tagged.claimed()), EnvelopeError::Provider))
    }
}

fn no_provider(header: &Header) -> EnvelopeError {
    let name = |wrap: &Wrapped| format!("{} in {}", wrap.provider, wrap.region);
    EnvelopeError::NoProvider(header.wraps().iter().map(name).collect())
}

/// The wraps of a data key for these readers.
fn wraps(
    header: &Header,
    data: &DataKey,
    readers: Readers<'_>,
    rng: &mut dyn rand_core::CryptoRng,
) -> Result<Vec<Wrapped>, EnvelopeError> {
    for grant in readers.grants {
        readers.regions.check(&grant.provider.describe().region)?;
    }
    let binding = header.binding();
    let mut wraps = Vec::with_capacity(readers.grants.len());
    for grant in readers.grants {
        let context = Context::new(grant.provider.describe(), grant.key, &binding);
        wraps.push(grant.provider.wrap(grant.key, data, &context, rng)?);
    }
    Ok(wraps)
}
