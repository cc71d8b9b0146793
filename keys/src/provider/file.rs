//! Wrapping keys in a file under a passphrase: for a machine without a key service.
//!
//! ```text
//! "QUORKEYS" ‖ 1 ‖ memory (4) ‖ passes (4) ‖ lanes (4) ‖ salt (16) ‖ keys, sealed under Argon2id(passphrase, salt)
//! ```
//!
//! Integers are little-endian. The costs stand in the file, so that a later one can cost more
//! ([`FileProvider::change_passphrase`] writes both anew). Older versions of keys stay until they are destroyed.
//!
//! # Security
//!
//! The file is worth what the passphrase is worth. A rotation is on the disk before the new version wraps anything
//! ([KL-12]): when it can't be stored, nothing has changed. An older copy of the file opens too and lacks the newer
//! versions; it can't be told from the newest here. Where there is a key service, use that.

use std::io::{self, Read as _};

use quorate_crypto::envelope::{DataKey, WrapKey};
use quorate_crypto::labels;
use quorate_crypto::passphrase::{Cost, PassphraseError, storage_key};
use quorate_crypto::storage::StorageKey;
use rand_core::CryptoRng;
use thiserror::Error;

use super::ring::{Ring, Standing};
use super::{Access, Context, Description, KeyProvider, ProviderError, Wrapped, version};
use crate::class::{KeyName, KeyRef, purpose::Wrapping};
use crate::disk::{Disk, replace};

/// Why a file of keys can't be made or opened.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file system.
    #[error("the file of keys: {0}")]
    Disk(#[from] io::Error),
    /// Not a file of keys.
    #[error("not a file of keys")]
    Format,
    /// A version of the format from after this program.
    #[error("a file of keys in format {0}, which this version does not know")]
    Newer(u8),
    /// The passphrase can't be used.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// Another passphrase, or the file was changed.
    #[error("the passphrase does not open the file of keys")]
    WrongPassphrase,
    /// There is a file already.
    #[error("there is a file of keys already")]
    Exists,
}

/// Where the keys are kept.
pub struct KeyFile<D> {
    /// The folder.
    pub disk: D,
    /// The file's name in it.
    pub name: String,
}

/// Wrapping keys in a file under a passphrase.
pub struct FileProvider<D> {
    description: Description,
    place: KeyFile<D>,
    lock: Lock,
    ring: Ring,
}

struct Lock {
    cost: Cost,
    salt: [u8; 16],
    key: StorageKey,
}

impl<D: Disk> FileProvider<D> {
    /// Makes a file without keys.
    ///
    /// # Errors
    /// [`KeyFileError`]; a file that is there is left alone.
    pub fn create(
        description: Description,
        place: KeyFile<D>,
        passphrase: &[u8],
        cost: Cost,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, KeyFileError> {
        if place.disk.list()?.contains(&place.name) {
            return Err(KeyFileError::Exists);
        }
        let provider =
            Self { description, place, lock: Lock::new(passphrase, cost, rng)?, ring: Ring::default() };
        provider.store(&provider.lock, rng)?;
        Ok(provider)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn open(
        description: Description,
        place: KeyFile<D>,
        passphrase: &[u8],
    ) -> Result<Self, KeyFileError> {
        let mut bytes = Vec::new();
        place.disk.open(&place.name)?.take(MOST).read_to_end(&mut bytes)?;
        let (lock, sealed) = Lock::read(passphrase, &bytes)?;
        let plain = lock.key.open(labels::KEY_FILE, sealed).map_err(|_| KeyFileError::WrongPassphrase)?;
        let ring = Ring::decode(&plain).ok_or(KeyFileError::Format)?;
        Ok(Self { description, place, lock, ring })
    }

    /// What a guess at the passphrase costs.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.lock.cost
    }

    /// Another passphrase, or the same at another cost.
    ///
    /// # Errors
    /// [`KeyFileError`]; the old one then still holds.
    pub fn change_passphrase(
        &mut self,
        passphrase: &[u8],
        cost: Cost,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), KeyFileError> {
        let lock = Lock::new(passphrase, cost, rng)?;
        self.store(&lock, rng)?;
        self.lock = lock;
        Ok(())
    }

    /// A key of it, to be split among custodians.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn secret(&self, key: &KeyRef<Wrapping>) -> Result<&WrapKey, ProviderError> {
        self.ring.key(&self.description, key.id(), Access::Normal)
    }

    /// Brings back a key that custodians have recovered.
    ///
    /// # Errors
    /// If it is there, or can't be stored.
    pub fn restore(
        &mut self,
        key: &KeyRef<Wrapping>,
        secret: WrapKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), ProviderError> {
        self.ring.restore(key.id(), secret)?;
        self.store(&self.lock, rng).map_err(|error| {
            self.ring.forget(&key.id().name, key.id().version);
            ProviderError::Storage(error.kind())
        })
    }

    fn store(&self, lock: &Lock, rng: &mut dyn CryptoRng) -> io::Result<()> {
        let mut bytes = lock.header();
        bytes.extend(lock.key.seal(labels::KEY_FILE, &self.ring.encode(), rng));
        replace(&self.place.disk, &self.place.name, |file| file.write_all(&bytes))
    }
}

impl Lock {
    fn new(passphrase: &[u8], cost: Cost, rng: &mut dyn CryptoRng) -> Result<Self, PassphraseError> {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        Ok(Self { cost, salt, key: storage_key(passphrase, &salt, cost)? })
    }

    fn header(&self) -> Vec<u8> {
        let Cost { memory, passes, lanes } = self.cost;
        let mut bytes = [MAGIC, &[FORMAT]].concat();
        bytes.extend([memory, passes, lanes].into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(self.salt);
        bytes
    }

    fn read<'a>(passphrase: &[u8], bytes: &'a [u8]) -> Result<(Self, &'a [u8]), KeyFileError> {
        let (format, rest) =
            bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first).ok_or(KeyFileError::Format)?;
        if *format != FORMAT {
            return Err(KeyFileError::Newer(*format));
        }
        let (numbers, rest) = rest.split_first_chunk::<12>().ok_or(KeyFileError::Format)?;
        let (salt, sealed) = rest.split_first_chunk::<16>().ok_or(KeyFileError::Format)?;
        let number = |word: &[u8; 4]| u32::from_le_bytes(*word);
        let (words, _) = numbers.as_chunks::<4>();
        let [memory, passes, lanes] = words else { return Err(KeyFileError::Format) };
        let cost = Cost { memory: number(memory), passes: number(passes), lanes: number(lanes) };
        Ok((Self { cost, salt: *salt, key: storage_key(passphrase, salt, cost)? }, sealed))
    }
}

impl<D: Disk> KeyProvider for FileProvider<D> {
    fn describe(&self) -> &Description {
        &self.description
    }

    fn active(&self, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError> {
        self.ring.active(&self.description, key)
    }

    fn wrap(
        &self,
        key: &KeyName,
        data: &DataKey,
        context: &Context,
        rng: &mut dyn CryptoRng,
    ) -> Result<Wrapped, ProviderError> {
        self.ring.wrap(&self.description, key, data, (context, rng))
    }

    fn unwrap(&self, wrapped: &Wrapped, context: &Context, access: Access) -> Result<DataKey, ProviderError> {
        self.ring.unwrap(&self.description, wrapped, context, access)
    }

    fn rotate(&mut self, key: &KeyName, rng: &mut dyn CryptoRng) -> Result<KeyRef<Wrapping>, ProviderError> {
        let number = self.ring.next(key)?;
        self.ring.add(key, number, WrapKey::generate(rng));
        if let Err(error) = self.store(&self.lock, rng) {
            self.ring.forget(key, number);
            return Err(ProviderError::Storage(error.kind()));
        }
        version(key, number)
    }

    fn mark(
        &mut self,
        key: &KeyRef<Wrapping>,
        standing: Standing,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), ProviderError> {
        let mut next = Ring::decode(&self.ring.encode()).ok_or(ProviderError::Unsupported)?;
        next.mark(&self.description, key.id(), standing)?;
        let before = std::mem::replace(&mut self.ring, next);
        self.store(&self.lock, rng).map_err(|error| {
            self.ring = before;
            ProviderError::Storage(error.kind())
        })
    }
}

const MAGIC: &[u8] = b"QUORKEYS";
const FORMAT: u8 = 1;
/// Most bytes of a file that are looked at.
const MOST: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::super::conformance::{self, description};
    use super::*;
    use crate::disk::testing::FaultyDisk;

    const PASS: &[u8] = b"correct horse battery staple";

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    fn place(disk: FaultyDisk) -> KeyFile<FaultyDisk> {
        KeyFile { disk, name: "keys".to_owned() }
    }

    fn created() -> FileProvider<FaultyDisk> {
        let at = description("file", "eu");
        FileProvider::create(at, place(FaultyDisk::default()), PASS, Cost::FLOOR, &mut rng()).unwrap()
    }

    fn reopened(
        provider: &FileProvider<FaultyDisk>,
        passphrase: &[u8],
    ) -> Result<FileProvider<FaultyDisk>, KeyFileError> {
        let disk = provider.place.disk.after_power_cut();
        FileProvider::open(description("file", "eu"), place(disk), passphrase)
    }

    #[test]
    fn the_file_provider_conforms() {
        let mut provider = created();
        conformance::check(&mut provider);
        conformance::check_standings(&mut provider);
    }

    #[test]
    fn keys_versions_and_standings_are_kept() {
        let mut provider = created();
        conformance::check(&mut provider);
        let first = KeyRef::new(conformance::key().version(1)).unwrap();
        provider.mark(&first, Standing::Destroyed, &mut rng()).unwrap();
        let mut again = reopened(&provider, PASS).unwrap();
        assert_eq!(again.ring.encode(), provider.ring.encode());
        let third = again.rotate(&conformance::key(), &mut rng()).unwrap();
        assert_eq!(third.id().version, 3);
        let exists =
            FileProvider::create(description("file", "eu"), again.place, PASS, Cost::FLOOR, &mut rng());
        assert!(matches!(exists.err(), Some(KeyFileError::Exists)));
    }

    #[test]
    fn a_wrong_passphrase_and_any_change_are_refused() {
        let provider = created();
        assert!(matches!(reopened(&provider, b"wrong").err(), Some(KeyFileError::WrongPassphrase)));
        let good = provider.place.disk.bytes("keys");
        let open = |bytes: &[u8]| {
            let disk = FaultyDisk::default();
            disk.put("keys", bytes);
            FileProvider::open(description("file", "eu"), place(disk), PASS)
        };
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(open(&changed).is_err(), "byte {at}");
        }
        assert!(open(&good[..good.len() - 1]).is_err() && open(b"").is_err() && open(&good).is_ok());
        let mut newer = good;
        newer[MAGIC.len()] = 2;
        assert!(matches!(open(&newer).err(), Some(KeyFileError::Newer(2))));
    }

    #[test]
    fn the_cost_goes_up_without_new_keys() {
        let mut provider = created();
        provider.rotate(&conformance::key(), &mut rng()).unwrap();
        let more = Cost { passes: 3, ..Cost::FLOOR };
        provider.change_passphrase(b"another", more, &mut rng()).unwrap();
        assert!(reopened(&provider, PASS).is_err());
        let again = reopened(&provider, b"another").unwrap();
        assert_eq!((again.cost(), again.ring.encode()), (more, provider.ring.encode()));
    }

    /// [KL-29] The first format, as it was released, opens for ever.
    #[test]
    fn the_first_format_opens_for_ever() {
        let fixture = crate::envelope::tests::unhex(include_str!("../../fixtures/keys-v1.hex"));
        let disk = FaultyDisk::default();
        disk.put("keys", &fixture);
        let mut provider = FileProvider::open(description("file", "eu"), place(disk), PASS).unwrap();
        let first = KeyRef::new(conformance::key().version(1)).unwrap();
        assert_eq!(provider.active(&conformance::key()).unwrap().id().version, 2);
        assert_eq!(provider.secret(&first).err(), Some(ProviderError::Destroyed(first.id().clone())));
        provider.change_passphrase(PASS, Cost::default(), &mut rng()).unwrap();
        assert_eq!(reopened(&provider, PASS).unwrap().cost(), Cost::default());
    }

    /// [KL-12] A rotation that can't be stored has not happened, wherever it fails.
    #[test]
    fn a_rotation_is_stored_or_has_not_happened() {
        let key = conformance::key();
        for steps in 0..4 {
            let mut provider = created();
            provider.rotate(&key, &mut rng()).unwrap();
            let before = provider.place.disk.bytes("keys");
            provider.place.disk.steps.set(Some(steps));
            let error = provider.rotate(&key, &mut rng()).unwrap_err();
            assert_eq!(error, ProviderError::Storage(io::ErrorKind::BrokenPipe));
            let first = KeyRef::new(key.version(1)).unwrap();
            assert!(provider.mark(&first, Standing::Compromised, &mut rng()).is_err());
            assert_eq!(provider.active(&key).unwrap(), first);
            assert_eq!(provider.place.disk.bytes("keys"), before);
            assert_eq!(reopened(&provider, PASS).unwrap().active(&key).unwrap(), first);
        }
    }
}
