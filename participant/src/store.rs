//! What a device must not forget: its snapshot, the records after it, and the bytes of a contribution.
//!
//! ```text
//! lock           held while the device runs
//! state          snapshot and records (protocol::log); begun anew with every round
//! share          the share of a collective key, sealed under the device's identity key; removed when its epoch is over
//! contribution   frame and vector of the round, until acknowledged: masked and sealed, as they travel
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;

use quorate_keys::KeyListError;
use quorate_protocol::log::{self, Contents, LogEnd, LogError};
use quorate_protocol::record::{DeviceRecord, ParticipantRecord};
use quorate_protocol::snapshot::DeviceSnapshot;
use thiserror::Error;

use crate::folder::Folder;

pub(crate) const STATE: &str = "state";
pub(crate) const CONTRIBUTION: &str = "contribution";
pub(crate) const SHARE: &str = "share";

/// Why a device's folder cannot be used, or not any longer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("the device's folder: {0}")]
    Io(#[from] io::Error),
    /// There is a device already.
    #[error("the folder already holds a device: open it")]
    Exists,
    /// There is no device. It is never made silently: it would have forgotten what it signed.
    #[error("the folder holds no device: create one")]
    Missing,
    /// Somebody else has the folder.
    #[error("the folder is in use: a device runs once")]
    InUse,
    /// The state file does not read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The coordinator's keys do not verify from the pinned founding key on, or are older than what was acted on.
    #[error("the stored keys of the coordinator: {0}")]
    Keys(#[from] KeyListError),
    /// Another party's folder.
    #[error("the folder belongs to another party or deployment")]
    Foreign,
    /// The stored share of a collective key does not open or does not fit.
    #[error("the stored share of the collective key: {0}; remove the file `share` to go on without it")]
    Share(&'static str),
}

/// Frame and vector of a contribution.
pub(crate) type Kept = (Arc<[u8]>, Arc<[u8]>);

/// The folder of one device.
pub(crate) struct Store {
    folder: Folder,
    end: LogEnd,
    records: Vec<DeviceRecord>,
    kept: bool,
}

impl Store {
    /// Begins a new device.
    pub(crate) fn create(path: &Path, snapshot: &DeviceSnapshot) -> Result<Self, StoreError> {
        let folder = Folder::create(path)?.ok_or(StoreError::InUse)?;
        if folder.read(STATE)?.is_some() {
            return Err(StoreError::Exists);
        }
        let (bytes, end) = log::begin(snapshot);
        folder.replace(STATE, &[&bytes])?;
        Ok(Self { folder, end, records: Vec::new(), kept: false })
    }

    /// Opens a device and cuts off what an interrupted write left.
    pub(crate) fn open(path: &Path) -> Result<(Self, DeviceSnapshot), StoreError> {
        let folder = match Folder::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing),
            folder => folder?.ok_or(StoreError::InUse)?,
        };
        let bytes = folder.read(STATE)?.ok_or(StoreError::Missing)?;
        let Contents { snapshot, records, end, torn } = log::read(&bytes)?;
        if torn > 0 {
            folder.cut(STATE, end.length())?;
        }
        Ok((Self { folder, end, records, kept: false }, snapshot))
    }

    /// The records after the snapshot.
    pub(crate) fn records(&self) -> &[DeviceRecord] {
        &self.records
    }

    /// Makes one record durable. With the first of a new round the file begins anew at `snapshot`, which holds
    /// all that came before. It is written anew for a list of keys, too, which is in the snapshot alone ([KEY-5]).
    pub(crate) fn persist(
        &mut self,
        record: DeviceRecord,
        snapshot: impl FnOnce() -> DeviceSnapshot,
    ) -> Result<(), StoreError> {
        if self.records.contains(&record) {
            return Ok(());
        }
        if self.records.iter().all(|known| known.round() < record.round()) {
            let (start, end) = log::begin(&snapshot());
            let (frame, end) = end.append(&record);
            self.folder.replace(STATE, &[&start, &frame])?;
            (self.end, self.records) = (end, Vec::new());
            self.forget()?;
        } else if matches!(record, DeviceRecord::Participant(ParticipantRecord::Keys(_))) {
            let (mut bytes, mut end) = log::begin(&snapshot());
            for known in self.records.iter().chain([&record]) {
                let (frame, next) = end.append(known);
                bytes.extend_from_slice(&frame);
                end = next;
            }
            self.folder.replace(STATE, &[&bytes])?;
            self.end = end;
        } else {
            let (frame, end) = self.end.append(&record);
            self.folder.append(STATE, self.end.length(), &frame)?;
            self.end = end;
        }
        self.records.push(record);
        Ok(())
    }

    /// Begins the file anew: all that there was is in the snapshot.
    pub(crate) fn begin(&mut self, snapshot: &DeviceSnapshot) -> Result<(), StoreError> {
        let (bytes, end) = log::begin(snapshot);
        self.folder.replace(STATE, &[&bytes])?;
        (self.end, self.records) = (end, Vec::new());
        Ok(())
    }

    /// Keeps the bytes of the round's contribution for identical retries ([MASK-4]).
    pub(crate) fn keep(&mut self, frame: &[u8], vector: &[u8]) -> Result<(), StoreError> {
        if !self.kept {
            let length = (frame.len() as u64).to_le_bytes();
            self.folder.replace(CONTRIBUTION, &[&length, frame, vector])?;
            self.kept = true;
        }
        Ok(())
    }

    /// The bytes kept, as far as they can be told apart; whether they are the right ones is for the machine.
    pub(crate) fn kept(&self) -> Result<Option<Kept>, StoreError> {
        let Some(bytes) = self.folder.read(CONTRIBUTION)? else { return Ok(None) };
        let split = bytes.split_first_chunk().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
        });
        Ok(split.map(|(frame, vector)| (frame.into(), vector.into())))
    }

    /// The sealed share of a collective key, if one is kept.
    pub(crate) fn share(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.folder.read(SHARE)?)
    }

    /// Keeps a sealed share, in place of the one before.
    pub(crate) fn keep_share(&self, sealed: &[u8]) -> Result<(), StoreError> {
        Ok(self.folder.replace(SHARE, &[sealed])?)
    }

    /// Removes the share.
    pub(crate) fn forget_share(&self) -> Result<(), StoreError> {
        Ok(self.folder.remove(SHARE)?)
    }

    /// Notes that the bytes on disk are those of the contribution on record.
    pub(crate) fn confirm(&mut self) {
        self.kept = true;
    }

    /// Removes the bytes kept.
    pub(crate) fn forget(&mut self) -> Result<(), StoreError> {
        self.folder.remove(CONTRIBUTION)?;
        self.kept = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quorate_crypto::hash::Digest;
    use quorate_crypto::sign::SigningKey;
    use quorate_keys::{DeploymentId, PartyId};
    use quorate_protocol::record::{KeysRecord, ManifestRecord, MemberRecord, RoundKeyRecord};
    use quorate_protocol::snapshot;

    use super::*;

    /// The snapshot of a device that has seen nothing: every part zero but the names.
    fn blank() -> DeviceSnapshot {
        let key = SigningKey::from_bytes(&[1; 32]);
        let deployment = DeploymentId::new("test", key.public());
        let id = PartyId::new(0, key.public());
        // Version, names, and two machines of version, head (size, root), manifest (round, mh), nothing.
        let machine = [0; 1 + 1 + 32 + 1 + 32 + 1];
        let bytes = [&[0][..], deployment.as_bytes(), &[0], id.key_hash.as_bytes(), &machine, &machine];
        snapshot::load(&bytes.concat()).unwrap()
    }

    fn manifest(round: u64) -> DeviceRecord {
        ParticipantRecord::from(ManifestRecord { round, mh: Digest::ZERO }).into()
    }

    fn key(round: u64) -> DeviceRecord {
        MemberRecord::from(RoundKeyRecord { round, mh: Digest::ZERO, key: Digest::ZERO }).into()
    }

    // RT-11: torn at every byte, the last record is gone and the next one goes where it was.
    #[test]
    fn a_torn_record_is_cut_off_and_written_again() {
        let at = tempfile::tempdir().unwrap();
        let mut store = Store::create(at.path(), &blank()).unwrap();
        store.persist(manifest(1), blank).unwrap();
        let before = fs::read(at.path().join(STATE)).unwrap();
        store.persist(key(1), blank).unwrap();
        drop(store);
        let after = fs::read(at.path().join(STATE)).unwrap();
        for length in before.len()..after.len() {
            fs::write(at.path().join(STATE), &after[..length]).unwrap();
            let (mut store, snapshot) = Store::open(at.path()).unwrap();
            assert_eq!((snapshot, store.records()), (blank(), &[manifest(1)][..]));
            assert_eq!(fs::read(at.path().join(STATE)).unwrap(), before);
            store.persist(key(1), blank).unwrap();
            assert_eq!(fs::read(at.path().join(STATE)).unwrap(), after);
        }
        for length in 0..80 {
            fs::write(at.path().join(STATE), &after[..length]).unwrap();
            assert!(matches!(Store::open(at.path()), Err(StoreError::Log(_))));
        }
    }

    #[test]
    fn the_file_begins_anew_with_a_round_and_repetitions_cost_nothing() {
        let at = tempfile::tempdir().unwrap();
        let mut store = Store::create(at.path(), &blank()).unwrap();
        let mut length = 0;
        for round in 1..=3 {
            store.persist(manifest(round), blank).unwrap();
            store.keep(b"frame", b"vector").unwrap();
            for _ in 0..3 {
                store.persist(key(round), blank).unwrap();
            }
            assert_eq!(store.records(), [manifest(round), key(round)]);
            let now = fs::metadata(at.path().join(STATE)).unwrap().len();
            assert!(length == 0 || length == now);
            length = now;
        }
        assert_eq!(store.kept().unwrap(), Some((b"frame"[..].into(), b"vector"[..].into())));
        store.persist(manifest(4), blank).unwrap();
        assert_eq!(store.kept().unwrap(), None);
    }

    /// [KEY-5]: a list of keys is in the snapshot; the round's records and bytes stay.
    #[test]
    fn key_5_a_list_of_keys_begins_the_file_anew_and_forgets_nothing() {
        let at = tempfile::tempdir().unwrap();
        let mut store = Store::create(at.path(), &blank()).unwrap();
        store.persist(manifest(1), blank).unwrap();
        store.persist(key(1), blank).unwrap();
        store.keep(b"frame", b"vector").unwrap();
        let other = || {
            let mut bytes = snapshot::store(&blank());
            // The index of the party: another snapshot than before.
            bytes[33] = 5;
            snapshot::load(&bytes).unwrap()
        };
        let keys = ParticipantRecord::from(KeysRecord { seq: 3, list: Digest::ZERO }).into();
        store.persist(keys, other).unwrap();
        store.persist(key(1), blank).unwrap();
        drop(store);
        let (mut store, snapshot) = Store::open(at.path()).unwrap();
        assert_eq!((snapshot, store.records()), (other(), &[manifest(1), key(1), keys][..]));
        assert!(store.kept().unwrap().is_some());
        // Nor does the next record of the round forget the bytes.
        let lock = MemberRecord::from(RoundKeyRecord { round: 1, mh: Digest::ZERO, key: keys_hash() }).into();
        store.persist(lock, blank).unwrap();
        assert!(store.kept().unwrap().is_some() && store.records().len() == 4);
    }

    fn keys_hash() -> Digest {
        Digest::from_bytes([1; 32])
    }

    #[test]
    fn a_device_runs_once_and_is_never_made_twice() {
        let at = tempfile::tempdir().unwrap();
        assert!(matches!(Store::open(at.path()), Err(StoreError::Missing)));
        assert!(matches!(Store::open(&at.path().join("none")), Err(StoreError::Missing)));
        let store = Store::create(at.path(), &blank()).unwrap();
        assert!(matches!(Store::open(at.path()), Err(StoreError::InUse)));
        assert!(matches!(Store::create(at.path(), &blank()), Err(StoreError::InUse)));
        drop(store);
        assert!(matches!(Store::create(at.path(), &blank()), Err(StoreError::Exists)));
        assert!(Store::open(at.path()).is_ok());
    }

    #[test]
    fn a_file_that_was_removed_or_changed_takes_no_record() {
        let remove = |path: &Path| fs::remove_file(path).unwrap();
        let change = |path: &Path| fs::write(path, b"x").unwrap();
        for meddle in [&remove as &dyn Fn(&Path), &change] {
            let at = tempfile::tempdir().unwrap();
            let mut store = Store::create(at.path(), &blank()).unwrap();
            store.persist(manifest(1), blank).unwrap();
            meddle(&at.path().join(STATE));
            assert!(matches!(store.persist(key(1), blank), Err(StoreError::Io(_))));
            assert_eq!(store.records(), [manifest(1)]);
        }
    }
}
