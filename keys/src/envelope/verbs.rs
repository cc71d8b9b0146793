//! What is done to an envelope that is there.
//!
//! ```text
//! old ──▶ header ── unlock ──▶ data key ──▶ new header ──┐
//!  └────── chunks ──────────────────────────────────────┴──▶ new        rewrap, regrant
//!  └────── chunks ── opened ── sealed under a new data key ──▶ new      reencrypt
//! ```
//!
//! # Security
//!
//! [`rewrap`] and [`regrant`] do not open the chunks: damage to them stays what it was. The old file must be replaced
//! at once by the new one ([`rewrap_file`] does), and whoever was removed by [`reencrypt`] still opens old copies.

use std::io::{self, Read, Write};

use quorate_crypto::envelope::DataKey;
use rand_core::CryptoRng;

use super::header::Header;
use super::{EnvelopeError, EnvelopeReader, EnvelopeWriter, Grant, Providers, Readers, Regions, wraps};
use crate::disk::{Disk, replace};
use crate::provider::{Access, Context};

/// What a verb has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Bytes behind the header.
    pub bytes: u64,
    /// The header now.
    pub header: Header,
}

/// Wraps the data key under the versions that are active now. Wraps of providers that are not among `providers` stay.
///
/// # Errors
/// [`EnvelopeError`]; `out` is then worth nothing.
pub fn rewrap(
    input: &mut dyn Read,
    out: &mut dyn Write,
    providers: Providers<'_>,
    rng: &mut dyn CryptoRng,
) -> Result<Moved, EnvelopeError> {
    let (data, mut header) = providers.unlock(Header::read(input)?, Access::Normal)?;
    let binding = header.binding();
    for wrap in &mut header.wraps {
        let Some(provider) = providers.of(wrap) else { continue };
        let name = &wrap.key.id().name;
        if provider.active(name)? != wrap.key {
            let context = Context::new(provider.describe(), name, &binding);
            *wrap = provider.wrap(name, &data, &context, rng)?;
        }
    }
    copy(header, &data, input, out)
}

/// Adds a reader ([KL-11]): the data key and the chunks stay.
///
/// # Errors
/// [`EnvelopeError`], also if there is a wrap for this key already; `out` is then worth nothing.
pub fn regrant(
    input: &mut dyn Read,
    out: &mut dyn Write,
    providers: Providers<'_>,
    (grant, regions): (Grant<'_>, &Regions),
    rng: &mut dyn CryptoRng,
) -> Result<Moved, EnvelopeError> {
    let (data, mut header) = providers.unlock(Header::read(input)?, Access::Normal)?;
    let added = wraps(&header, &data, Readers { grants: &[grant], regions }, rng)?;
    header.wraps.extend(added);
    copy(header, &data, input, out)
}

/// Makes a new data key and seals everything anew for exactly these readers ([KL-11]).
///
/// # Errors
/// [`EnvelopeError`]; `out` is then worth nothing.
pub fn reencrypt(
    input: &mut dyn Read,
    out: &mut dyn Write,
    (providers, access): (Providers<'_>, Access),
    readers: Readers<'_>,
    rng: &mut dyn CryptoRng,
) -> Result<u64, EnvelopeError> {
    let mut old = EnvelopeReader::open_any(input, providers, access)?;
    let mut new = EnvelopeWriter::new(out, *old.header().object(), readers, rng)?;
    let count = old.copy_to(&mut new)?;
    new.finish()?;
    Ok(count)
}

/// [`rewrap`] of a file, in its place ([KL-12]). Nothing if it is up to date already.
///
/// # Errors
/// [`EnvelopeError`]; the file is then what it was.
pub fn rewrap_file(
    disk: &dyn Disk,
    name: &str,
    providers: Providers<'_>,
    rng: &mut dyn CryptoRng,
) -> Result<Option<Moved>, EnvelopeError> {
    if is_current(&mut disk.open(name)?, providers)? {
        return Ok(None);
    }
    replace(disk, name, |out| rewrap(&mut disk.open(name)?, out, providers, rng)).map(Some)
}

/// Whether every wrap that `providers` can look after is under the active version.
///
/// # Errors
/// [`EnvelopeError`]; also if there is none they can look after.
pub fn is_current(input: &mut dyn Read, providers: Providers<'_>) -> Result<bool, EnvelopeError> {
    let tagged = Header::read(input)?;
    let mut any = false;
    for wrap in tagged.claimed().wraps() {
        let Some(provider) = providers.of(wrap) else { continue };
        any = true;
        if provider.active(&wrap.key.id().name)? != wrap.key {
            return Ok(false);
        }
    }
    if any { Ok(true) } else { Err(super::no_provider(tagged.claimed())) }
}

fn copy(
    header: Header,
    data: &DataKey,
    input: &mut dyn Read,
    out: &mut dyn Write,
) -> Result<Moved, EnvelopeError> {
    out.write_all(&header.encode(data)?)?;
    let bytes = io::copy(input, out)?;
    Ok(Moved { bytes, header })
}
