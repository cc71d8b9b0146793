//! The coordinator's audit log: what it did with keys, in a log that nobody can rewrite unnoticed (KEYS.md).
//!
//! ```text
//! <folder>/1/tile/…, 1/checkpoint    entries and signed checkpoints (C2SP tlog-tiles), a shard after the other
//! audit/log@1                        the key of shard 1, where the coordinator's keys rest (keeper/room.rs); one a shard
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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use quorate_crypto::hash::sha256;
use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::audit::{
    Act, Closed, Decision, Directory, Event, Fact, Files as _, Health, LogError, LogName, Mark, Marks, Offer,
    Recorded, Shard, ShardSink, Signer, Sink, SinkError, Sinks, TellError, Text, Told, Trust, Value, What,
    parse_verifier_key, tell, verifier_key,
};
use quorate_keys::{Class, DeploymentId, KeyId, KeyName};
use rand_core::UnwrapErr;
use thiserror::Error;

mod copies;
mod window;

pub use copies::Target;
pub(crate) use window::Window;

use copies::Copy;
use window::Published;

use crate::config::Config;
use crate::init::make_folder;
use crate::keeper::{Room, RoomError};

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
    /// The log tells nothing.
    #[error(transparent)]
    Told(#[from] TellError),
    /// The log does not load, or was set back.
    #[error("the audit log: {0}")]
    Log(#[from] LogError),
    /// The log takes nothing.
    #[error("the audit log takes nothing: look at disk and folder")]
    Closed,
    /// The key of a shard.
    #[error("the audit log's key: {0}")]
    Room(#[from] RoomError),
    /// The public key does not read.
    #[error("{}: is no key of an audit log", .0.display())]
    Key(PathBuf),
    /// The newest shard's key is not there although the shard is.
    #[error("{}: the log is there and the key of its newest shard is not: bring the folder of keys back", .0.display())]
    NoKey(PathBuf),
}

/// Who else is given every line, and how long one may keep an operation waiting ([KL-25]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Where they go.
    pub targets: Vec<Target>,
    /// The longest wait for one that does not answer; once, not at every operation.
    pub patience: Duration,
}

/// A log that is written to.
pub struct Audit {
    places: AuditPlaces,
    name: LogName,
    log: Log,
    window: Window,
    sinks: Sinks,
    queued: Option<Recorded>,
    /// The key of a new shard that could not be begun yet.
    next: Option<SigningKey>,
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
        room: &mut dyn Room,
        deployment: &DeploymentId,
        now: u64,
    ) -> Result<Self, AuditError> {
        let name = log_name(deployment);
        let mut files = Directory::new(&places.folder);
        let mut marks = FileMarks(Directory::new(&places.keys.join(MARKS)));
        let (number, key) = match newest(&places.folder)? {
            Some(number) => (number, known_key(places, room, number)?),
            None => (1, first_key(places, room, &name)?),
        };
        let shard = match Shard::load(&files, &name, number, &Signer::new(&key, &mut marks)) {
            Err(LogError::Missing) if number == 1 => {
                let act = Act { at: now, actor: text(ACTOR), reason: text("the deployment begins") };
                let mut shard = Shard::first(&name, key.public(), act)?;
                shard.publish(&mut files, &mut Signer::new(&key, &mut marks))?;
                shard
            }
            loaded => loaded?,
        };
        let closed = shard.is_closed();
        let mut sink = ShardSink::new(shard, files, marks, key);
        if closed {
            // Interrupted between the end of a shard and the begin of the next.
            let next = known_key(places, room, number.saturating_add(1))?;
            sink.rotate(&name, next, Act { at: now, actor: text(ACTOR), reason: text("a new shard") })?;
        }
        let log = Log { sink: Arc::new(Mutex::new(sink)), published: Published::default() };
        log.show();
        let window = Window::new(&places.folder, name.clone(), Arc::clone(&log.published));
        let sinks = Sinks::new(vec![Box::new(log.clone())], 0).requiring(1);
        let places = places.clone();
        Ok(Self { places, name, log, window, sinks, queued: None, next: None, waiting: Vec::new() })
    }

    /// Gives every line to these too; before anything is noted. The log itself stays required: the inventory is made
    /// from it.
    #[must_use]
    pub fn copied_to(mut self, copies: &Copies) -> Self {
        let log: Box<dyn Sink + Send> = Box::new(self.log.clone());
        let copy = |target: &Target| -> Box<dyn Sink + Send> { Box::new(Copy::new(target.clone())) };
        let sinks = std::iter::once(log).chain(copies.targets.iter().map(copy)).collect();
        self.sinks = Sinks::new(sinks, copies.patience.as_secs().max(1)).requiring(1);
        self
    }

    /// The newest checkpoint, a signed note.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn checkpoint(&self) -> io::Result<String> {
        fs::read_to_string(self.places.folder.join(self.shard().to_string()).join("checkpoint"))
    }

    /// How log and copies are.
    #[must_use]
    pub fn health(&self) -> Health {
        self.sinks.health()
    }

    /// Verifies the whole log and gives the inventory that it tells.
    ///
    /// # Errors
    /// [`AuditError::Told`].
    pub fn told(&self) -> Result<Told, AuditError> {
        let path = self.places.keys.join(VERIFIER);
        let public = fs::read_to_string(&path)?;
        let (_, key) = parse_verifier_key(public.trim()).map_err(|_| AuditError::Key(path))?;
        let trust = Trust { name: self.name.clone(), keys: BTreeMap::from([(1, key)]) };
        Ok(tell(&Directory::new(&self.places.folder), &trust, &[])?)
    }

    /// Ends the shard and begins the next one with this key ([KL-24]). All that was noted must be settled.
    ///
    /// # Errors
    /// [`AuditError`]; done again with the same key, it goes on from there.
    pub fn rotate(&mut self, next: SigningKey, now: u64) -> Result<(), AuditError> {
        let act = Act { at: now, actor: text(ACTOR), reason: text("a new shard") };
        let kept = SigningKey::from_bytes(&next.to_bytes());
        let outcome = self.log.lock().rotate(&self.name, next, act);
        if outcome.is_ok() {
            self.log.show();
        }
        // A closed shard takes nothing: the next one is begun before anything else is written.
        self.next = outcome.is_err().then_some(kept);
        Ok(outcome?)
    }

    /// What parties may see of it.
    pub(crate) fn window(&self) -> Window {
        self.window.clone()
    }

    /// The log's name.
    #[must_use]
    pub const fn name(&self) -> &LogName {
        &self.name
    }

    /// The shard that is written to.
    #[must_use]
    pub fn shard(&self) -> u32 {
        self.log.lock().shard().number()
    }

    /// Entries in the shard that is written to.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.log.lock().shard().len()
    }

    /// The public key of that shard.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.log.lock().public().clone()
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
        if let Some(next) = self.next.take() {
            self.rotate(next, now).map_err(|_| Closed)?;
        }
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        while let Some(event) = waiting.next() {
            let line = serde_json::to_vec(&event).map_err(|_| Closed)?;
            match self.sinks.queue(line, now) {
                Ok(queued) => self.queued = Some(queued),
                Err(closed) => {
                    // What the inventory stands on is kept whatever comes.
                    let kept = std::iter::once(event).chain(waiting).enumerate();
                    let kept = kept.filter(|(at, event)| *at < MOST || event.change.is_some());
                    self.waiting = kept.map(|(_, event)| event).collect();
                    return Err(closed);
                }
            }
        }
        let Some(queued) = self.queued else {
            self.sinks.catch_up(now);
            return Ok(());
        };
        // Only a copy makes anybody wait, and none twice: then it counts as hung until it has caught up.
        let begun = Instant::now();
        loop {
            match self.sinks.poll(queued, now.saturating_add(begun.elapsed().as_secs())) {
                Decision::Accepted => {
                    self.queued = None;
                    return Ok(());
                }
                Decision::Wait(_) => std::thread::sleep(POLL),
                Decision::Refused => return Err(Closed),
            }
        }
    }
}

/// Records what was done to the keys of a coordinator that stands still: who has its strongroom has its log.
///
/// # Errors
/// [`AuditError`].
pub fn record(
    config: &Config,
    room: &mut dyn Room,
    (what, id): (What, KeyId),
    reason: &str,
) -> Result<(), AuditError> {
    let deployment = config.deployment_id()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut log = Audit::open(&config.audit(), room, &deployment, now)?.copied_to(&config.copies);
    log.note(event(now, what, id, reason, Particulars::new()));
    log.settle(now).map_err(|_| AuditError::Closed)
}

pub(crate) type Particulars = BTreeMap<Fact, Value>;

/// Name of a deployment's log.
#[must_use]
pub fn log_name(deployment: &DeploymentId) -> LogName {
    LogName::of(deployment)
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
    Event { at, actor: text(ACTOR), what, keys: vec![key], reason: text(reason), facts, change: None }
}

/// A text of the program's own.
pub(crate) fn text(words: &str) -> Text {
    let short: String = words.chars().filter(|c| !c.is_control()).take(WORDS).collect();
    Text::new(&short).unwrap_or_else(|_| Text::new("-").expect("short"))
}

/// A name given by an operator, as a fact.
pub(crate) fn said(words: &str) -> Value {
    Value::Text(text(words))
}

/// The newest shard of a log.
fn newest(folder: &Path) -> io::Result<Option<u32>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        listed => listed?,
    };
    let mut newest = None;
    for entry in listed {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        // A shard without a checkpoint was never begun to its end.
        newest = newest.max(number.filter(|_| entry.path().join("checkpoint").exists()));
    }
    Ok(newest)
}

/// A shard's key, which must be there since the shard is.
fn known_key(places: &AuditPlaces, room: &mut dyn Room, shard: u32) -> Result<SigningKey, AuditError> {
    match room.get(&shard_key(shard)) {
        Ok(seed) => signing_key(&seed),
        Err(RoomError::Unknown) => Err(AuditError::NoKey(places.keys.clone())),
        Err(error) => Err(error.into()),
    }
}

/// The key of the first shard, made if there is none.
fn first_key(places: &AuditPlaces, room: &mut dyn Room, name: &LogName) -> Result<SigningKey, AuditError> {
    let id = shard_key(1);
    let key = match room.get(&id) {
        Ok(seed) => signing_key(&seed)?,
        Err(RoomError::Unknown) => {
            let key = SigningKey::generate(&mut UnwrapErr(SysRng));
            room.put(&id, key.to_bytes().as_slice())?;
            key
        }
        Err(error) => return Err(error.into()),
    };
    let public = verifier_key(&name.origin(1), key.public()).map_err(LogError::from)?;
    make_folder(&places.keys)?;
    Directory::new(&places.keys).write(VERIFIER, format!("{public}\n").as_bytes())?;
    Ok(key)
}

fn signing_key(seed: &[u8]) -> Result<SigningKey, AuditError> {
    Ok(SigningKey::from_bytes(seed.try_into().map_err(|_| RoomError::Damaged)?))
}

/// The log as a sink that somebody else may turn to a new shard.
#[derive(Clone)]
struct Log {
    sink: Arc<Mutex<ShardSink<Directory, FileMarks>>>,
    published: Published,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, ShardSink<Directory, FileMarks>> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is written by now is shown.
    fn show(&self) {
        let state = {
            let sink = self.lock();
            (sink.shard().number(), sink.shard().len())
        };
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl Sink for Log {
    fn name(&self) -> &str {
        "log"
    }

    fn offer(&mut self, seq: u64, line: &[u8]) -> Result<Offer, SinkError> {
        self.lock().offer(seq, line)
    }

    fn settle(&mut self) -> Result<(), SinkError> {
        self.lock().settle()?;
        self.show();
        Ok(())
    }
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
const VERIFIER: &str = "log.vkey";
/// Between two looks at a copy that has not answered.
const POLL: Duration = Duration::from_micros(200);
/// Characters of a reason.
const WORDS: usize = 200;
/// Events that wait for a log that takes nothing.
const MOST: usize = 4_096;
