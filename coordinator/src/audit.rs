//! The coordinator's audit log: what it did with keys, in a log that nobody can rewrite unnoticed (KEYS.md).
//!
//! ```text
//! <folder>/1/tile/…, 1/checkpoint    entries and signed checkpoints (C2SP tlog-tiles), a shard after the other
//! audit/log@1                        the key of shard 1, in the strongroom; made on the spot, one a shard
//! <keys>/1.<unix time>.key           the same in the plain, hexadecimal, where there is no strongroom
//! <keys>/marks/…                     the largest tree ever signed: keep it out of backups of the log
//! <keys>/log.vkey                    the first shard's public key, for `quorate audit verify`
//! ```
//!
//! What is to be recorded is noted; one settling makes all of it durable, before the node acts.
//!
//! # Security
//!
//! Fail closed ([KL-25]): while the log takes nothing, nobody is enrolled and no round begins. A log that was set back
//! behind its marks is not continued ([KL-23]). Keys and log on one disk are worth what the disk is worth: give parties
//! or an auditor the checkpoints.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use quorate_crypto::hash::sha256;
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{
    Act, Closed, Decision, Directory, Event, Fact, Files as _, LogError, LogName, Mark, Marks, Recorded,
    Shard, ShardSink, Signer, Sinks, Text, Value, What, verifier_key,
};
use quorate_keys::{Class, DeploymentId, KeyId, KeyName};
use rand_core::UnwrapErr;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::init::{make_folder, private, sync};
use crate::secrets::{from_hex, to_hex};
use crate::strongroom::{Strongroom, StrongroomError};

/// Where a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPlaces {
    /// Entries and checkpoints: for everybody.
    pub folder: PathBuf,
    /// Keys of the shards, and marks: for the coordinator alone.
    pub keys: PathBuf,
}

/// Why there is no log.
#[derive(Debug, Error)]
pub enum AuditError {
    /// Reading or writing failed.
    #[error("the audit log's files: {0}")]
    Io(#[from] io::Error),
    /// The log does not load, or was set back.
    #[error("the audit log: {0}")]
    Log(#[from] LogError),
    /// The log takes nothing.
    #[error("the audit log takes nothing: look at disk and folder")]
    Closed,
    /// The strongroom.
    #[error(transparent)]
    Strongroom(#[from] StrongroomError),
    /// A key file does not read.
    #[error("{}: is no key of an audit log", .0.display())]
    Key(PathBuf),
    /// The first shard's key is not there although the log is.
    #[error("{}: the log is there and the keys of its shards are not: bring them back", .0.display())]
    NoKey(PathBuf),
}

/// A log that is written to.
pub struct Audit {
    sinks: Sinks,
    queued: Option<Recorded>,
    /// What could not be queued yet.
    waiting: Vec<Event>,
}

impl Audit {
    /// Opens the log, or begins one where there is neither log nor key.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn open(
        places: &AuditPlaces,
        room: Option<&mut Strongroom>,
        deployment: &DeploymentId,
        now: u64,
    ) -> Result<Self, AuditError> {
        let name = log_name(deployment);
        let mut files = Directory::new(&places.folder);
        let mut marks = FileMarks(Directory::new(&places.keys.join(MARKS)));
        let known = match &room {
            Some(room) => sealed_key(room)?,
            None => newest(&places.keys)?
                .map(|(number, path)| Ok::<_, AuditError>((number, read_key(&path)?)))
                .transpose()?,
        };
        let (number, key) = match known {
            Some(known) => known,
            None if files.read("1/checkpoint")?.is_some() => {
                return Err(AuditError::NoKey(places.keys.clone()));
            }
            None => (1, begin_key(&places.keys, room, &name, now)?),
        };
        let loaded = Shard::load(&files, &name, number, &Signer::new(&key, &mut marks));
        let shard = match loaded {
            Err(LogError::Missing) if number == 1 => {
                let act = Act { at: now, actor: text(ACTOR), reason: text("the deployment begins") };
                let mut shard = Shard::first(&name, key.public(), act)?;
                shard.publish(&mut files, &mut Signer::new(&key, &mut marks))?;
                shard
            }
            loaded => loaded?,
        };
        let sink = ShardSink::new(shard, files, marks, key);
        let sinks = Sinks::new(vec![Box::new(sink)], PATIENCE);
        Ok(Self { sinks, queued: None, waiting: Vec::new() })
    }

    /// Notes an event; it counts once [`Audit::settle`] has returned.
    pub(crate) fn note(&mut self, event: Event) {
        self.waiting.push(event);
    }

    /// Makes durable what was noted.
    ///
    /// # Errors
    /// If the log takes nothing: the node must not act. What was noted is kept for the next call.
    pub(crate) fn settle(&mut self, now: u64) -> Result<(), Closed> {
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        while let Some(event) = waiting.next() {
            let line = serde_json::to_vec(&event).map_err(|_| Closed)?;
            match self.sinks.queue(line, now) {
                Ok(queued) => self.queued = Some(queued),
                Err(closed) => {
                    self.waiting = std::iter::once(event).chain(waiting).take(MOST).collect();
                    return Err(closed);
                }
            }
        }
        let Some(queued) = self.queued else { return Ok(()) };
        match self.sinks.poll(queued, now) {
            Decision::Accepted => {
                self.queued = None;
                Ok(())
            }
            // The one sink there is does not make anybody wait: it has it, or it failed.
            Decision::Wait(_) | Decision::Refused => Err(Closed),
        }
    }
}

/// Records what was done to the keys of a coordinator that stands still: who has its strongroom has its log.
///
/// # Errors
/// [`AuditError`].
pub fn record(
    config: &Config,
    room: &mut Strongroom,
    (what, id): (What, KeyId),
    reason: &str,
) -> Result<(), AuditError> {
    let seed = room.get(&identity())?;
    let seed = seed.as_slice().try_into().map_err(|_| AuditError::Key(identity().to_string().into()))?;
    let deployment = DeploymentId::new(&config.deployment, SigningKey::from_bytes(seed).public());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut log = Audit::open(&config.audit(), Some(room), &deployment, now)?;
    log.note(event(now, what, id, reason, Particulars::new()));
    log.settle(now).map_err(|_| AuditError::Closed)
}

pub(crate) type Particulars = BTreeMap<Fact, Value>;

/// Name of a deployment's log.
#[must_use]
pub fn log_name(deployment: &DeploymentId) -> LogName {
    let id = deployment.to_hex();
    LogName::new(&format!("quorate/{}", &id[..SHORT])).expect("hexadecimal fits")
}

/// The id of the coordinator's identity key.
pub(crate) fn identity() -> KeyId {
    key(Class::Coordinator, "identity", 1)
}

/// The id of a shard's key.
pub(crate) fn shard_key(shard: u32) -> KeyId {
    key(Class::Audit, "log", shard)
}

/// The id of what protects one round.
pub(crate) fn round_keys(round: u64) -> KeyId {
    key(Class::Round, "updates", u32::try_from(round).unwrap_or(u32::MAX))
}

/// The id of a party's identity key.
pub(crate) fn party(index: u32) -> KeyId {
    key(Class::Participant, &index.to_string(), 1)
}

fn key(class: Class, name: &str, version: u32) -> KeyId {
    KeyName::new(class, name).expect("a name of this table").version(version)
}

/// Something that the coordinator does with a key.
pub(crate) fn event(at: u64, what: What, key: KeyId, reason: &str, facts: Particulars) -> Event {
    Event { at, actor: text(ACTOR), what, keys: vec![key], reason: text(reason), facts }
}

/// A text of the program's own.
fn text(words: &str) -> Text {
    let short: String = words.chars().filter(|c| !c.is_control()).take(WORDS).collect();
    Text::new(&short).unwrap_or_else(|_| Text::new("-").expect("short"))
}

/// A name given by an operator, as a fact.
pub(crate) fn said(words: &str) -> Value {
    Value::Text(text(words))
}

/// The key file of the newest shard.
pub(crate) fn newest(keys: &Path) -> Result<Option<(u32, PathBuf)>, AuditError> {
    let listed = match fs::read_dir(keys) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        listed => listed?,
    };
    let mut found = None;
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(stem) = name.strip_suffix(".key") else { continue };
        let number = stem.split('.').next().and_then(|number| number.parse().ok());
        let number: u32 = number.ok_or_else(|| AuditError::Key(path.clone()))?;
        found = found.max(Some((number, path)));
    }
    Ok(found)
}

pub(crate) fn read_key(path: &Path) -> Result<SigningKey, AuditError> {
    let hex = Zeroizing::new(fs::read_to_string(path)?);
    let bytes = from_hex(hex.trim()).ok_or_else(|| AuditError::Key(path.to_owned()))?;
    let seed: Zeroizing<[u8; 32]> =
        Zeroizing::new(bytes.as_slice().try_into().map_err(|_| AuditError::Key(path.to_owned()))?);
    Ok(SigningKey::from_bytes(&seed))
}

/// The key of the newest shard, from the strongroom.
fn sealed_key(room: &Strongroom) -> Result<Option<(u32, SigningKey)>, AuditError> {
    let Some(id) = room.newest(&shard_key(1).name) else { return Ok(None) };
    let seed = room.get(&id)?;
    let seed = seed.as_slice().try_into().map_err(|_| AuditError::Key(id.to_string().into()))?;
    Ok(Some((id.version, SigningKey::from_bytes(seed))))
}

fn begin_key(
    keys: &Path,
    room: Option<&mut Strongroom>,
    name: &LogName,
    now: u64,
) -> Result<SigningKey, AuditError> {
    let key = SigningKey::generate(&mut UnwrapErr(SysRng));
    let public = verifier_key(&name.origin(1), key.public()).map_err(LogError::from)?;
    make_folder(keys)?;
    Directory::new(keys).write("log.vkey", format!("{public}\n").as_bytes())?;
    if let Some(room) = room {
        room.put(&shard_key(1), key.to_bytes().as_slice())?;
        return Ok(key);
    }
    // Whole or not at all: a key that is there has to read.
    let interrupted = keys.join("1.key.tmp");
    match fs::remove_file(&interrupted) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    private(&interrupted, &to_hex(key.to_bytes().as_slice()))?;
    fs::rename(&interrupted, keys.join(format!("1.{now}.key")))?;
    sync(keys)?;
    Ok(key)
}

/// Marks in files of their own.
struct FileMarks(Directory);

impl FileMarks {
    fn path(origin: &str) -> String {
        sha256(&[origin.as_bytes()]).to_hex()
    }
}

impl Marks for FileMarks {
    fn load(&self, origin: &str) -> io::Result<Option<Mark>> {
        let Some(bytes) = self.0.read(&Self::path(origin))? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn store(&mut self, origin: &str, mark: Mark) -> io::Result<()> {
        self.0.write(&Self::path(origin), &serde_json::to_vec(&mark)?)
    }
}

/// Who acts.
const ACTOR: &str = "coordinator";
const MARKS: &str = "marks";
/// Seconds a sink may take.
const PATIENCE: u64 = 5;
/// Characters of a deployment's id in the name of its log.
const SHORT: usize = 16;
/// Characters of a reason.
const WORDS: usize = 200;
/// Events that wait for a log that takes nothing.
const MOST: usize = 4_096;
