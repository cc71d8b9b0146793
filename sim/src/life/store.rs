//! Objects in envelopes: data keys (K9) under the wrapping key (K10), whose escrow (K11) is with custodians.
//!
//! ```text
//! every week     a checkpoint under a data key of its own; the one of five weeks ago is given up
//! K10 rotates    every object is wrapped anew, on a disk that fails now and then; the key is split anew
//! every 4 weeks  a reader is added to an object, and removed from the one before
//! twice          custodians bring the wrapping key back: its escrow is burnt until the next split
//! ```
//!
//! Envelopes, splits and recoveries are those of `keys`; providers and disk are in memory.

use std::collections::BTreeMap;
use std::io::Read as _;

use quorate_crypto::escrow_key::EscrowKey;
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::sign::SigningKey;
use quorate_keys::class::purpose::Wrapping;
use quorate_keys::disk::replace;
use quorate_keys::envelope::{
    EnvelopeError, EnvelopeReader, EnvelopeWriter, Grant, Header, ObjectId, Providers, Readers, Regions,
    reencrypt, regrant, rewrap_file,
};
use quorate_keys::escrow::{Approval, Custodian, EscrowError, Escrows, Package, Requested, Terms, split};
use quorate_keys::inventory::event::{Cause, Change};
use quorate_keys::provider::memory::MemoryProvider;
use quorate_keys::provider::{Access, Description, KeyProvider as _, ProviderError, Standing};
use quorate_keys::watch::Seen;
use quorate_keys::{Class, KeyId, KeyName, KeyRef};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;

use super::disk::MemoryDisk;
use super::tend::reference;
use super::{Life, LifeError, line};
use crate::seed::{Purpose, Seed};

/// Objects and who may open them.
pub(super) struct Store {
    disk: MemoryDisk,
    own: MemoryProvider,
    /// A second reader's.
    backup: MemoryProvider,
    escrows: Escrows,
    custodians: Vec<EscrowKey>,
    approvers: Vec<SigningKey>,
    packages: Vec<Package>,
    splits: u32,
    /// Whether an escrow was used and no split recorded since, as the custodians know it.
    burnt: bool,
    /// What every object says.
    plain: BTreeMap<KeyName, Vec<u8>>,
    rng: ChaCha20Rng,
}

impl Store {
    pub(super) fn new(seed: u64) -> Result<Self, LifeError> {
        let mut rng = Seed(seed).rng(Purpose::Keys, 0, u32::MAX);
        let provider = |name: &str| {
            let (provider, region) = (name.parse(), "here".parse());
            let description = provider.ok().zip(region.ok());
            description.map(|(provider, region)| MemoryProvider::new(Description { provider, region }))
        };
        let none = || LifeError::Gone(wrapping().version(1));
        let mut backup = provider("backup").ok_or_else(none)?;
        backup.rotate(&readers_key(), &mut rng)?;
        Ok(Self {
            disk: MemoryDisk::default(),
            own: provider("own").ok_or_else(none)?,
            backup,
            escrows: Escrows::default(),
            custodians: (0..5).map(|_| EscrowKey::generate(&mut rng)).collect(),
            approvers: (0..3).map(|_| SigningKey::generate(&mut rng)).collect(),
            packages: Vec::new(),
            splits: 0,
            burnt: false,
            plain: BTreeMap::new(),
            rng,
        })
    }

    /// The wrapping key's next version is in force.
    pub(super) fn wraps_with(&mut self, id: &KeyId) -> Result<(), LifeError> {
        while self.own.active(&wrapping()).map_or(0, |key| key.id().version) < id.version {
            self.own.rotate(&wrapping(), &mut self.rng)?;
        }
        Ok(())
    }

    /// A wrapping key is gone.
    pub(super) fn forgets(&mut self, id: &KeyId) -> Result<(), LifeError> {
        let key = KeyRef::<Wrapping>::new(id.clone()).map_err(|_| LifeError::Gone(id.clone()))?;
        Ok(self.own.mark(&key, Standing::Destroyed, &mut self.rng)?)
    }

    /// Splits the wrapping key in force among three of five.
    pub(super) fn split(&mut self) -> Result<(), LifeError> {
        let key = self.own.active(&wrapping())?;
        self.splits += 1;
        let custodian = |(at, key): (usize, &EscrowKey)| {
            let name = format!("custodian-{at}").parse().ok()?;
            let region = ["east", "west"][at % 2].parse().ok()?;
            Some(Custodian { name, region, public: key.public().clone() })
        };
        let terms = Terms {
            key: key.clone(),
            split: self.splits,
            threshold: 3,
            custodians: self.custodians.iter().enumerate().filter_map(custodian).collect(),
            approvers: self.approvers.iter().map(|key| key.public().clone()).collect(),
        };
        let (record, packages) = split(self.own.secret(&key)?, terms, &mut self.rng)?;
        self.escrows.record(record)?;
        (self.packages, self.burnt) = (packages, false);
        Ok(())
    }

    /// Three custodians bring the key back, two people having approved; a share of an earlier split is refused.
    fn recover(&mut self, now: u64) -> Result<(), LifeError> {
        let Some(quorate_keys::escrow::Escrow::Kept(record)) = self.escrows.of(&wrapping()).cloned() else {
            return Ok(());
        };
        let (mut asked, _) =
            Requested::new(record.clone(), EscrowKey::generate(&mut self.rng), "an exercise", now)?;
        for approver in &self.approvers[..2] {
            let approval = Approval::sign(asked.request(), approver);
            asked.approve(approval)?;
        }
        let mut approved = asked.proceed().map_err(|(_, error)| error)?;
        for (package, custodian) in self.packages.iter().zip(&self.custodians).take(3) {
            let holding = package.open(&record, custodian)?;
            let answer = holding.answer(approved.request(), &record, &mut self.rng)?;
            approved.submit(&answer)?;
        }
        let recovered = approved.combine().map_err(|(_, error)| error)?;
        let key = self.own.active(&wrapping())?;
        if recovered.secret.to_bytes() != self.own.secret(&key)?.to_bytes() {
            return Err(LifeError::Gone(key.id().clone()));
        }
        self.burnt = true;
        Ok(self.escrows.burn(recovered.burnt)?)
    }

    /// Whether the wrapping key may be used, and whether it should be.
    fn permitted(&self) -> Seen {
        Seen::Permitted { burnt: self.burnt, permitted: self.escrows.permit(&wrapping()).is_ok() }
    }

    /// Whether the wrapping key's escrow was used, and no split made since.
    pub(super) const fn is_burnt(&self) -> bool {
        self.burnt
    }

    fn put(&mut self, name: &KeyName) -> Result<(), EnvelopeError> {
        let mut plain = vec![0; 3_000];
        self.rng.fill_bytes(&mut plain);
        let grants = [Grant { provider: &self.own, key: &wrapping() }];
        let readers = Readers { grants: &grants, regions: &Regions::Any };
        let rng = &mut self.rng;
        replace(&self.disk, &file(name), |out| -> Result<(), EnvelopeError> {
            let mut writer = EnvelopeWriter::new(out, object(name), readers, rng)?;
            std::io::Write::write_all(&mut writer, &plain)?;
            writer.finish().map(drop)
        })?;
        self.plain.insert(name.clone(), plain);
        Ok(())
    }

    /// Whether an object opens to what was written.
    fn opens(&self, name: &KeyName) -> bool {
        let bytes = self.disk.bytes(&file(name));
        let mut found = Vec::new();
        let opened = EnvelopeReader::open(&bytes[..], &object(name), Providers(&[&self.own]), Access::Normal);
        let read = opened.is_ok_and(|mut reader| reader.read_to_end(&mut found).is_ok());
        read && self.plain.get(name) == Some(&found)
    }

    /// Wraps an object under the key in force; the disk may fail in its middle.
    fn rewrap(&mut self, name: &KeyName, fails_after: Option<u32>) -> (bool, Seen) {
        let before = sha256(&[&self.disk.bytes(&file(name))]);
        self.disk.fail_after(fails_after);
        let done = rewrap_file(&self.disk, &file(name), Providers(&[&self.own]), &mut self.rng).is_ok();
        self.disk.fail_after(None);
        let found = sha256(&[&self.disk.bytes(&file(name))]);
        (done, Seen::Replaced { before, found, done, opens: self.opens(name) })
    }

    /// Gives an object a second reader, or takes it away.
    fn change_readers(&mut self, name: &KeyName, removed: bool) -> Result<Seen, EnvelopeError> {
        let (providers, input) = (Providers(&[&self.own]), self.disk.bytes(&file(name)));
        let before = body(&input);
        let mut out = Vec::new();
        if removed {
            let grants = [Grant { provider: &self.own, key: &wrapping() }];
            let readers = Readers { grants: &grants, regions: &Regions::Any };
            reencrypt(&mut &input[..], &mut out, (providers, Access::Normal), readers, &mut self.rng)?;
        } else {
            let grant = Grant { provider: &self.backup, key: &readers_key() };
            regrant(&mut &input[..], &mut out, providers, (grant, &Regions::Any), &mut self.rng)?;
        }
        replace(&self.disk, &file(name), |file| -> Result<(), EnvelopeError> {
            Ok(std::io::Write::write_all(file, &out)?)
        })?;
        Ok(Seen::Readers { removed, before, after: body(&out) })
    }

    /// An envelope of this version and of the next, read.
    pub(super) fn stored(&self) -> Option<Seen> {
        let name = self.plain.keys().next()?;
        let mut bytes = self.disk.bytes(&file(name));
        let own = Header::read(&mut &bytes[..]).is_ok();
        // Behind the seven letters that an envelope begins with.
        if let Some(version) = bytes.get_mut(7) {
            *version = version.wrapping_add(1);
        }
        let next = Header::read(&mut &bytes[..]).is_ok();
        Some(Seen::Stored { form: "an envelope", own, next })
    }
}

impl Life {
    /// The week's objects.
    pub(super) fn store_week(&mut self, week: u64) -> Result<(), LifeError> {
        let permitted = self.store.permitted();
        self.seen(permitted)?;
        if self.store.burnt {
            return Ok(());
        }
        let name = checkpoint(week);
        self.store.put(&name)?;
        let id = name.version(1);
        self.generate(&id, Cause::First)?;
        self.happens(&id, (Cause::First, Change::Activated))?;
        self.happens(&id, (Cause::Use, Change::Referenced { by: reference("object") }))?;
        if week % 4 == 1 {
            let added = self.store.change_readers(&name, false)?;
            self.seen(added)?;
        }
        if week % 4 == 2 && self.store.plain.contains_key(&checkpoint(week - 1)) {
            self.remove_reader(&checkpoint(week - 1))?;
        }
        let Some(old) = week.checked_sub(5).map(checkpoint) else { return Ok(()) };
        self.store.plain.remove(&old);
        let versions: Vec<u32> = self.book.inventory.line(&old).map_or_else(Vec::new, |line| {
            line.live().filter(|(_, key)| !key.references.is_empty()).map(|(version, _)| version).collect()
        });
        for version in versions {
            let id = old.version(version);
            self.happens(&id, (Cause::Use, Change::Released { by: reference("object") }))?;
            self.happens(&id, (Cause::Retention, Change::Retiring))?;
        }
        Ok(())
    }

    /// A reader goes: a new data key, the old one protects nothing any more.
    fn remove_reader(&mut self, name: &KeyName) -> Result<(), LifeError> {
        let removed = self.store.change_readers(name, true)?;
        self.seen(removed)?;
        let (old, new) = (name.version(1), name.version(2));
        self.generate(&new, Cause::Use)?;
        self.happens(&new, (Cause::Propagated, Change::Activated))?;
        self.happens(&new, (Cause::Use, Change::Referenced { by: reference("object") }))?;
        self.happens(&old, (Cause::Use, Change::Released { by: reference("object") }))
    }

    /// Wraps what this key protects under another one: its object, or the shares of the escrow. False if the disk has failed:
    /// the next sweep tries again.
    pub(super) fn moves(&mut self, key: &KeyId) -> Result<bool, LifeError> {
        if key.class() == Class::Escrow {
            self.store.split()?;
            return Ok(true);
        }
        if !self.store.plain.contains_key(&key.name) {
            return Ok(true);
        }
        let permitted = self.store.permitted();
        self.seen(permitted)?;
        if self.store.burnt {
            return Ok(false);
        }
        let fails = (self.store.rng.next_u32().is_multiple_of(3)).then(|| self.store.rng.next_u32() % 6);
        let (done, seen) = self.store.rewrap(&key.name, fails);
        self.report.disk_failures += u64::from(!done);
        self.seen(seen)?;
        Ok(done)
    }

    /// An exercise: the key comes back, and its escrow is used up ([KL-20]).
    pub(super) fn exercise(&mut self) -> Result<(), LifeError> {
        let now = self.at().time.0;
        self.store.recover(now)?;
        self.report.recoveries += 1;
        let permitted = self.store.permitted();
        self.seen(permitted)?;
        self.count(&line(Class::Escrow, "store")).map(drop)
    }
}

fn wrapping() -> KeyName {
    line(Class::Wrapping, "store")
}

fn readers_key() -> KeyName {
    line(Class::Wrapping, "backup")
}

fn checkpoint(week: u64) -> KeyName {
    line(Class::Data, &format!("checkpoint-{week}"))
}

fn file(name: &KeyName) -> String {
    name.name().to_owned()
}

fn object(name: &KeyName) -> ObjectId {
    ObjectId::new(&[name.name().as_bytes()])
}

/// Digest of what is behind the header.
fn body(bytes: &[u8]) -> Digest {
    let mut rest = bytes;
    let _ = Header::read(&mut rest);
    sha256(&[rest])
}

impl From<ProviderError> for LifeError {
    fn from(error: ProviderError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<EnvelopeError> for LifeError {
    fn from(error: EnvelopeError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<EscrowError> for LifeError {
    fn from(error: EscrowError) -> Self {
        Self::Store(error.to_string())
    }
}
