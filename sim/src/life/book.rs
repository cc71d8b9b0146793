//! The audit log and the inventory that follows from it, in memory.

use std::collections::BTreeMap;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::KeyId;
use quorate_keys::audit::{
    Act, Checkpoint, Event as Entry, Fact, LogError, LogName, Mark, MemoryFiles, Shard, Signer, TellError,
    Text, Told, Trust, Value, tell,
};
use quorate_keys::inventory::event::{Change, Event};
use quorate_keys::inventory::{Applied, Inventory, Rejected};

/// Log and inventory.
pub(super) struct Book {
    pub(super) inventory: Inventory,
    pub(super) public: BTreeMap<KeyId, Value>,
    name: LogName,
    first: PublicKey,
    files: MemoryFiles,
    marks: BTreeMap<String, Mark>,
    shard: Shard,
    key: SigningKey,
    unwritten: usize,
    entries: u64,
}

impl Book {
    pub(super) fn begin(key: SigningKey, now: u64) -> Result<Self, LogError> {
        let name = LogName::new("quorate/simulation").map_err(LogError::from)?;
        let shard = Shard::first(&name, key.public(), act(now, "the deployment begins"))?;
        Ok(Self {
            inventory: Inventory::default(),
            public: BTreeMap::new(),
            first: key.public().clone(),
            name,
            files: MemoryFiles::default(),
            marks: BTreeMap::new(),
            shard,
            key,
            unwritten: 1,
            entries: 1,
        })
    }

    /// Takes an event up; it counts once it is written.
    pub(super) fn happened(&mut self, event: Event, public: Option<Value>) -> Result<Applied, Happened> {
        let applied = self.inventory.apply(&event).map_err(Happened::Rejected)?;
        let mut entry = Entry::of_key(&event, text("simulated")).map_err(LogError::from)?;
        if let (Change::Created(_), Some(public)) = (&event.change, public) {
            entry.facts.insert(Fact::PublicKey, public.clone());
            self.public.insert(event.key.clone(), public);
        }
        self.shard.append(entry)?;
        self.unwritten += 1;
        self.entries += 1;
        Ok(applied)
    }

    /// Writes what waits; what is seen of the shard then, and the proof from the size that was seen before.
    pub(super) fn write(&mut self, known: Option<u64>) -> Result<(u32, Checkpoint, Vec<Digest>), LogError> {
        if self.unwritten > 0 {
            self.shard.publish(&mut self.files, &mut Signer::new(&self.key, &mut self.marks))?;
            self.unwritten = 0;
        }
        let now = self.shard.checkpoint();
        let proof = known.and_then(|known| self.shard.consistency(known, now.size)).unwrap_or_default();
        Ok((self.shard.number(), now, proof))
    }

    /// The next shard ([KL-24]).
    pub(super) fn next_shard(&mut self, next: SigningKey, now: u64) -> Result<(), LogError> {
        self.shard.close(next.public(), act(now, "a new shard"))?;
        self.shard.publish(&mut self.files, &mut Signer::new(&self.key, &mut self.marks))?;
        let end = self.shard.checkpoint();
        self.shard =
            Shard::after(&self.name, (self.shard.number(), &end), next.public(), act(now, "a new shard"))?;
        self.key = next;
        self.unwritten = 1;
        self.entries += 2;
        Ok(())
    }

    /// What a stranger with the first key reads out of the log.
    pub(super) fn told(&self) -> Result<Told, TellError> {
        let trust = Trust { name: self.name.clone(), keys: [(1, self.first.clone())].into() };
        tell(&self.files, &trust, &[])
    }

    /// A restart: everything from the log.
    pub(super) fn reopen(&mut self, told: Told) -> Result<(), LogError> {
        let number = self.shard.number();
        let signer = Signer::new(&self.key, &mut self.marks);
        self.shard = Shard::load(&self.files, &self.name, number, &signer)?;
        (self.inventory, self.public) = (told.inventory, told.public);
        Ok(())
    }

    pub(super) const fn shard(&self) -> &Shard {
        &self.shard
    }

    pub(super) const fn unwritten(&self) -> usize {
        self.unwritten
    }

    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }
}

/// Why an event is not taken up.
#[derive(Debug)]
pub(super) enum Happened {
    Rejected(Rejected),
    Log(LogError),
}

impl From<LogError> for Happened {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

fn act(at: u64, reason: &str) -> Act {
    Act { at, actor: text("simulation"), reason: text(reason) }
}

fn text(words: &str) -> Text {
    Text::new(words).expect("short")
}
