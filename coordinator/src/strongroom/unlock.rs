//! The secret that opens a provider: passphrase of a file, token, PIN, secret access key.
//!
//! ```text
//! [keys] unlock = "file:PATH" | "env:NAME"  ── read ──▶ Unlock ──▶ provider
//! quorate coordinator unseal, standard input ── new ──▶ Unlock
//! ```
//!
//! # Security
//!
//! It never stands in a configuration, is wiped on drop and shown nowhere. A file that everybody on the machine may
//! read is refused.

use std::io::Write as _;
use std::path::Path;

use getrandom::SysRng;
use quorate_crypto::passphrase::Cost;
use rand_core::{Rng as _, UnwrapErr};
use zeroize::Zeroizing;

use super::StrongroomError;
use crate::config::{Environment, Place};
use crate::init::{make_folder, sync};
use crate::secrets::{self, to_hex};

/// An unlock secret.
///
/// ```compile_fail
/// fn copied(unlock: quorate_coordinator::strongroom::Unlock) {
///     let _ = unlock.clone();
/// }
/// ```
pub struct Unlock(Zeroizing<String>);

impl Unlock {
    /// A secret as somebody gave it; white space around it is not part of it.
    ///
    /// # Errors
    /// [`StrongroomError::NoUnlock`] if there is nothing.
    pub fn new(text: &str) -> Result<Self, StrongroomError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(StrongroomError::NoUnlock("nothing was given".to_owned()));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret at a place.
    ///
    /// # Errors
    /// [`StrongroomError::NoUnlock`], with what to do.
    pub fn read(place: &Place, environment: &Environment) -> Result<Self, StrongroomError> {
        let read = secrets::read("keys.unlock", place, environment);
        Self::new(&read.map_err(|error| StrongroomError::NoUnlock(error.to_string()))?)
    }

    /// The secret at a place, made there if it is a file and not there: 64 random hexadecimal digits. Says whether it
    /// was made.
    ///
    /// # Errors
    /// [`StrongroomError`].
    pub fn read_or_make(place: &Place, environment: &Environment) -> Result<(Self, bool), StrongroomError> {
        match place {
            Place::File(path) if !path.exists() => Ok((Self::make(path)?, true)),
            place => Ok((Self::read(place, environment)?, false)),
        }
    }

    /// A random one, in a new file for its owner's eyes: whole or not there.
    fn make(path: &Path) -> Result<Self, StrongroomError> {
        let mut bytes = Zeroizing::new([0; 32]);
        UnwrapErr(SysRng).fill_bytes(bytes.as_mut());
        let text = to_hex(bytes.as_slice());
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make_folder(above)?;
        let temporary = path.with_added_extension("new");
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut options = std::fs::File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync(above)?;
        Ok(Self(text))
    }

    /// The bytes.
    #[must_use]
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, to be given to a service.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What a guess costs where it is a passphrase. 256 random bits need no stretching: then the least there is, so
    /// that a start takes milliseconds; whatever a person chose costs the usual 64 MiB.
    pub(super) fn cost(&self) -> Cost {
        let random = self.0.len() == 64 && self.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        if random { Cost::FLOOR } else { Cost::default() }
    }
}
