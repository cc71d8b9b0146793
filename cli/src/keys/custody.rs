//! What custodians and recoveries keep: a key pair and an approver's key in a file, under a passphrase in another.
//!
//! ```text
//! quorate escrow key 1
//! salt      16 bytes                       all hexadecimal
//! pair      X-Wing, sealed                 opens a package or an answer
//! approver  Ed25519, sealed                approves of a recovery
//! ```
//!
//! # Security
//!
//! The passphrase is made here, 256 random bits, and stands in a file of its own: whoever hands out the files sends it
//! by another way and keeps no copy of either.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use getrandom::SysRng;
use quorate_crypto::escrow_key::EscrowKey;
use quorate_crypto::labels;
use quorate_crypto::passphrase::{Cost, storage_key};
use quorate_crypto::sign::SigningKey;
use quorate_crypto::storage::StorageKey;
use rand_core::{Rng as _, UnwrapErr};
use zeroize::Zeroizing;

use crate::error::Failure;

/// Both keys of somebody.
pub struct Custody {
    pub pair: EscrowKey,
    pub approver: SigningKey,
}

impl Custody {
    /// Fresh ones.
    pub fn generate() -> Self {
        let mut rng = UnwrapErr(SysRng);
        Self { pair: EscrowKey::generate(&mut rng), approver: SigningKey::generate(&mut rng) }
    }

    /// Writes `key.txt` and `passphrase` into a folder.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut rng = UnwrapErr(SysRng);
        let (mut secret, mut salt) = (Zeroizing::new([0; 32]), [0; 16]);
        rng.fill_bytes(secret.as_mut());
        rng.fill_bytes(&mut salt);
        let passphrase = hex(secret.as_slice());
        let under = storage(&passphrase, &salt)?;
        let pair = self.pair.seal(&under, &mut rng);
        let approver = under.seal(labels::KEY_FILE, self.approver.to_bytes().as_slice(), &mut rng);
        let [salt, pair, approver] = [hex(&salt), hex(&pair), hex(&approver)];
        let text = format!("{FIRST}\nsalt {}\npair {}\napprover {}\n", *salt, *pair, *approver);
        private(&folder.join(KEY), text.as_bytes())?;
        private(&folder.join(PASSPHRASE), format!("{}\n", *passphrase).as_bytes())
    }

    /// Reads a key file and the passphrase beside it, or elsewhere.
    pub fn read(key: &Path, passphrase: Option<&Path>) -> Result<Self, Failure> {
        let beside = key.with_file_name(PASSPHRASE);
        let at = passphrase.unwrap_or(&beside);
        let secret = Zeroizing::new(read(at)?);
        let text = read(key)?;
        let wrong = || Failure::usage(format!("{}: is no key of an escrow", key.display()));
        let rest = text.strip_prefix(FIRST).ok_or_else(wrong)?;
        let field = |name: &str| {
            let line = rest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(unhex).ok_or_else(wrong)
        };
        let salt = field("salt")?.try_into().map_err(|_| wrong())?;
        let under = storage(secret.trim(), &salt)?;
        let closed = |_| Failure::usage(format!("{} does not open {}", at.display(), key.display()));
        let pair = EscrowKey::unseal(&under, &field("pair")?).map_err(closed)?;
        let seed = under.open(labels::KEY_FILE, &field("approver")?).map_err(closed)?;
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed.as_slice().try_into().map_err(|_| wrong())?);
        Ok(Self { pair, approver: SigningKey::from_bytes(&seed) })
    }
}

fn storage(passphrase: &str, salt: &[u8; 16]) -> Result<StorageKey, Failure> {
    storage_key(passphrase.as_bytes(), salt, Cost::FLOOR).map_err(Failure::usage)
}

/// A new file for its owner's eyes.
pub fn private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut options = File::options();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// A text.
pub fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |letter: u8| char::from(letter).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

const FIRST: &str = "quorate escrow key 1";
/// Names of the two files.
pub const KEY: &str = "key.txt";
const PASSPHRASE: &str = "passphrase";
