//! What a coordinator must not forget: registry, transcript, the highest round number, the epoch.
//!
//! ```text
//! lock     held while the coordinator runs
//! ledger   snapshot and records (protocol::log); begun anew with every round and every enrolment
//! epoch    evidence of the epoch in force
//! collective-key   evidence of the collective key in force, if there is one
//! opening  mean of the newest opened round, until its model is durable (service/durable.rs); sealed if there is a
//!          strongroom (strongroom/cover.rs)
//! ```

use std::io;
use std::path::Path;

use quorate_keys::{KeyListError, KnownKeys};
use quorate_protocol::collective::KeyEvidence;
use quorate_protocol::epoch::EpochEvidence;
use quorate_protocol::error::DecodeError;
use quorate_protocol::log::{self, Contents, LogEnd, LogError};
use quorate_protocol::record::CoordinatorRecord;
use quorate_protocol::snapshot::{self, CoordinatorSnapshot};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::folder::Folder;
use crate::strongroom::Cover;

const LEDGER: &str = "ledger";
const EPOCH: &str = "epoch";
const KEY: &str = "collective-key";
const OPENING: &str = "opening";

/// Why a coordinator's folder cannot be used, or not any longer.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// Reading or writing failed.
    #[error("the coordinator's folder: {0}")]
    Io(#[from] io::Error),
    /// There is a coordinator already.
    #[error("the folder already holds a coordinator: open it")]
    Exists,
    /// There is no coordinator. It is never made silently: it would have forgotten its rounds.
    #[error("the folder holds no coordinator: create one")]
    Missing,
    /// Somebody else has the folder.
    #[error("the folder is in use: a coordinator runs once")]
    InUse,
    /// The ledger does not read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its lists of keys do not verify.
    #[error("the stored keys of the coordinator: {0}")]
    Keys(#[from] KeyListError),
    /// What was stored contradicts itself.
    #[error("the stored coordinator does not load: {0}")]
    Form(#[from] DecodeError),
}

/// The folder of one coordinator.
pub(crate) struct Ledger {
    folder: Folder,
    cover: Cover,
    end: LogEnd,
}

/// A collective key in force.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredKey {
    /// The key, and that its holders stand behind it.
    pub(crate) evidence: KeyEvidence,
    /// How long it has been there, and what it was used for.
    pub(crate) life: KeyLife,
}

/// How long a collective key has been there, and what it was used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyLife {
    /// When the key was made.
    pub(crate) born: Moment,
    /// When its shares were; later than the key after a refresh or a reshare.
    pub(crate) renewed: Moment,
    /// Openings of its tests.
    pub(crate) trials: u32,
    /// Blames that holders were asked for.
    pub(crate) blamed: u16,
}

/// A time between two rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// The round before it.
    pub(crate) after_round: u64,
    /// Seconds since 1970.
    pub(crate) at: u64,
}

impl KeyLife {
    /// Goes on with shares that were made now; none: a key that was.
    pub(crate) fn with(before: Option<Self>, now: Moment, trials: usize) -> Self {
        let trials = u32::try_from(trials).unwrap_or(u32::MAX);
        match before {
            None => Self { born: now, renewed: now, trials, blamed: 0 },
            Some(life) => Self { renewed: now, trials: life.trials.saturating_add(trials), ..life },
        }
    }

    /// Openings that no holder can have counted more of, after this round: every set of responders in every one of its rounds.
    pub(crate) fn opened(&self, last_round: u64, attempts: u8) -> u32 {
        let rounds = last_round.saturating_sub(self.born.after_round);
        let most = u32::try_from(rounds).unwrap_or(u32::MAX).saturating_mul(attempts.into());
        most.saturating_add(self.trials)
    }
}

/// What a ledger says.
pub(crate) struct Stored {
    pub(crate) snapshot: CoordinatorSnapshot,
    pub(crate) records: Vec<CoordinatorRecord>,
    pub(crate) epoch: Option<EpochEvidence>,
    pub(crate) key: Option<StoredKey>,
}

impl Ledger {
    /// Begins a new coordinator.
    pub(crate) fn create(path: &Path, snapshot: &CoordinatorSnapshot) -> Result<Self, LedgerError> {
        let folder = Folder::create(path)?.ok_or(LedgerError::InUse)?;
        if folder.read(LEDGER)?.is_some() {
            return Err(LedgerError::Exists);
        }
        let (bytes, end) = log::begin(snapshot);
        folder.replace(LEDGER, &[&bytes])?;
        Ok(Self { folder, cover: Cover::plain(), end })
    }

    /// Opens a coordinator and cuts off what an interrupted write left.
    pub(crate) fn open(path: &Path) -> Result<(Self, Stored), LedgerError> {
        let folder = match Folder::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LedgerError::Missing),
            folder => folder?.ok_or(LedgerError::InUse)?,
        };
        let bytes = folder.read(LEDGER)?.ok_or(LedgerError::Missing)?;
        let Contents { snapshot, records, end, torn } = log::read(&bytes)?;
        if torn > 0 {
            folder.cut(LEDGER, end.length())?;
        }
        let epoch = folder.read(EPOCH)?.map(|bytes| snapshot::load(&bytes)).transpose()?;
        let key = folder.read(KEY)?.map(|bytes| snapshot::load(&bytes)).transpose()?;
        let stored = Stored { snapshot, records, epoch, key };
        Ok((Self { folder, cover: Cover::plain(), end }, stored))
    }

    /// The lists of keys in this folder, which may be in use; not verified against anything pinned.
    pub(crate) fn keys(path: &Path) -> Result<Option<KnownKeys>, LedgerError> {
        let bytes = match std::fs::read(path.join(LEDGER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LedgerError::Missing),
            bytes => bytes?,
        };
        let Contents { snapshot, .. } = log::read::<CoordinatorSnapshot, CoordinatorRecord>(&bytes)?;
        Ok(snapshot.keys()?)
    }

    /// Makes one record durable.
    pub(crate) fn append(&mut self, record: &CoordinatorRecord) -> Result<(), LedgerError> {
        let (frame, end) = self.end.append(record);
        self.folder.append(LEDGER, self.end.length(), &frame)?;
        self.end = end;
        Ok(())
    }

    /// Begins the file anew: a snapshot that holds all that came before, and what comes first after it.
    pub(crate) fn begin(
        &mut self,
        snapshot: &CoordinatorSnapshot,
        record: Option<&CoordinatorRecord>,
    ) -> Result<(), LedgerError> {
        let (start, end) = log::begin(snapshot);
        let (frame, end) = record.map_or((Vec::new(), end), |record| end.append(record));
        self.folder.replace(LEDGER, &[&start, &frame])?;
        self.end = end;
        Ok(())
    }

    /// Keeps the evidence of a collective key for the next start.
    pub(crate) fn keep_key(&self, key: &StoredKey) -> Result<(), LedgerError> {
        Ok(self.folder.replace(KEY, &[&snapshot::store(key)])?)
    }

    /// Keeps the epoch's evidence for the next start.
    pub(crate) fn keep_epoch(&self, evidence: &EpochEvidence) -> Result<(), LedgerError> {
        Ok(self.folder.replace(EPOCH, &[&snapshot::store(evidence)])?)
    }

    /// How means rest from now on.
    pub(crate) fn cover(&mut self, cover: &Cover) {
        self.cover = cover.within("ledger");
    }

    /// Keeps a mean, in place of the one before.
    pub(crate) fn keep_opening(&self, parts: &[&[u8]]) -> Result<(), LedgerError> {
        Ok(self.cover.write(&self.folder, OPENING, parts)?)
    }

    /// The mean that was kept.
    pub(crate) fn opening(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.cover.read(&self.folder, OPENING)?)
    }

    /// Forgets the mean that was kept. It may be there again after a crash.
    pub(crate) fn forget_opening(&self) -> Result<(), LedgerError> {
        Ok(self.cover.remove(&self.folder, OPENING)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quorate_crypto::hash::Digest;
    use quorate_crypto::sign::SigningKey;
    use quorate_keys::{DeploymentId, Registry};
    use quorate_protocol::coordinator::Coordinator;
    use quorate_protocol::record::RoundRecord;

    use super::*;

    fn snapshot() -> CoordinatorSnapshot {
        let key = SigningKey::from_bytes(&[1; 32]);
        let registry = Registry::new(DeploymentId::new("test", key.public()));
        Coordinator::new(key, registry).snapshot()
    }

    fn record(round: u64) -> CoordinatorRecord {
        RoundRecord { round, mh: Digest::ZERO }.into()
    }

    // [OPEN-5] [CREN-3]: new shares do not make a key younger, nor forget what was opened with it.
    #[test]
    fn a_key_is_as_old_as_its_first_shares() {
        let moment = |after_round, at| Moment { after_round, at };
        let new = KeyLife::with(None, moment(10, 100), 3);
        let mut life = KeyLife::with(Some(KeyLife { blamed: 2, ..new }), moment(20, 200), 3);
        assert_eq!(
            (life.born, life.renewed, life.trials, life.blamed),
            (moment(10, 100), moment(20, 200), 6, 2)
        );
        assert_eq!(life.opened(30, 4), 6 + 4 * 20);
        life.born.after_round = 0;
        assert_eq!(life.opened(u64::MAX, 16), u32::MAX);
    }

    // RT-11: torn at every byte, the last record is gone and the next one goes where it was.
    #[test]
    fn a_torn_record_is_cut_off_and_written_again() {
        let at = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(at.path(), &snapshot()).unwrap();
        ledger.begin(&snapshot(), Some(&record(1))).unwrap();
        let before = fs::read(at.path().join(LEDGER)).unwrap();
        ledger.append(&record(2)).unwrap();
        drop(ledger);
        let after = fs::read(at.path().join(LEDGER)).unwrap();
        for length in before.len()..after.len() {
            fs::write(at.path().join(LEDGER), &after[..length]).unwrap();
            let (mut ledger, stored) = Ledger::open(at.path()).unwrap();
            assert_eq!((stored.snapshot, stored.records), (snapshot(), vec![record(1)]));
            ledger.append(&record(2)).unwrap();
            assert_eq!(fs::read(at.path().join(LEDGER)).unwrap(), after);
        }
        let mut bad = after.clone();
        bad[before.len() - 1] ^= 1;
        fs::write(at.path().join(LEDGER), &bad).unwrap();
        assert!(matches!(Ledger::open(at.path()), Err(LedgerError::Log(LogError::Damaged { .. }))));
    }

    #[test]
    fn a_coordinator_runs_once_and_is_never_made_twice() {
        let at = tempfile::tempdir().unwrap();
        assert!(matches!(Ledger::open(at.path()), Err(LedgerError::Missing)));
        let ledger = Ledger::create(at.path(), &snapshot()).unwrap();
        assert!(matches!(Ledger::open(at.path()), Err(LedgerError::InUse)));
        drop(ledger);
        assert!(matches!(Ledger::create(at.path(), &snapshot()), Err(LedgerError::Exists)));
        assert!(Ledger::open(at.path()).is_ok());
    }

    #[test]
    fn a_ledger_that_was_removed_takes_no_record() {
        let at = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(at.path(), &snapshot()).unwrap();
        fs::remove_file(at.path().join(LEDGER)).unwrap();
        assert!(matches!(ledger.append(&record(1)), Err(LedgerError::Io(_))));
    }
}
