use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::audit::{Act, Fact, LogName, MemoryFiles, Text, Trust, Value, What, verify};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Works,
    Hangs,
    Fails,
}

/// A sink whose mode the test sets.
#[derive(Clone)]
struct Fake {
    mode: Arc<Mutex<Mode>>,
    taken: Arc<Mutex<Vec<u64>>>,
}

impl Fake {
    fn new(mode: Mode) -> Self {
        Self { mode: Arc::new(Mutex::new(mode)), taken: Arc::default() }
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn taken(&self) -> Vec<u64> {
        self.taken.lock().unwrap().clone()
    }
}

impl Sink for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn offer(&mut self, seq: u64, _: &[u8]) -> Result<Offer, SinkError> {
        match *self.mode.lock().unwrap() {
            Mode::Works => {
                self.taken.lock().unwrap().push(seq);
                Ok(Offer::Taken)
            }
            Mode::Hangs => Ok(Offer::Busy),
            Mode::Fails => Err(SinkError::Io(io::ErrorKind::StorageFull)),
        }
    }
}

const T: u64 = 5;

fn sinks(fakes: &[&Fake]) -> Sinks {
    Sinks::new(fakes.iter().map(|fake| Box::new((*fake).clone()) as Box<dyn Sink + Send>).collect(), T)
}

fn states(sinks: &Sinks) -> Vec<SinkState> {
    sinks.health().sinks.iter().map(|sink| sink.state).collect()
}

/// [KL-25]: a hung sink delays one operation by T, later ones not at all, and gets everything when it is back.
#[test]
fn kl_25_a_hung_sink_delays_at_most_t() {
    let (good, slow) = (Fake::new(Mode::Works), Fake::new(Mode::Hangs));
    let mut sinks = sinks(&[&good, &slow]);
    let first = sinks.record(b"0".to_vec(), 100).unwrap();
    for now in 100..100 + T {
        assert_eq!(sinks.poll(first, now), Decision::Wait(100 + T));
    }
    assert_eq!(sinks.poll(first, 100 + T), Decision::Accepted);
    assert_eq!(states(&sinks), [SinkState::Working, SinkState::Hung { since: 105 }]);
    let second = sinks.record(b"1".to_vec(), 110).unwrap();
    assert_eq!(sinks.poll(second, 110), Decision::Accepted);
    let health = sinks.health();
    assert_eq!((health.accepting, health.waiting, health.sinks[1].behind), (true, 2, 2));
    slow.set(Mode::Works);
    let third = sinks.record(b"2".to_vec(), 120).unwrap();
    assert_eq!(sinks.poll(third, 120), Decision::Accepted);
    assert_eq!((slow.taken(), good.taken()), (vec![0, 1, 2], vec![0, 1, 2]));
    assert_eq!(states(&sinks), [SinkState::Working; 2]);
    assert_eq!(sinks.health().waiting, 0);
}

/// [KL-25], RT-48: no sink takes the line: refused, at once if all fail and after T if one hangs; then closed.
#[test]
fn kl_25_no_sink_means_no_operation() {
    let (full, slow) = (Fake::new(Mode::Fails), Fake::new(Mode::Hangs));
    let mut both = sinks(&[&full, &slow]);
    let line = both.record(b"0".to_vec(), 100).unwrap();
    assert_eq!(both.poll(line, 104), Decision::Wait(105));
    assert_eq!(both.poll(line, 105), Decision::Refused);
    assert_eq!(both.record(b"1".to_vec(), 106), Err(Closed));
    let health = both.health();
    assert!(!health.accepting);
    let error = SinkError::Io(io::ErrorKind::StorageFull);
    assert_eq!(health.sinks[0].state, SinkState::Failed { since: 100, error });
    // One is back: it gets what it missed, and operations go on.
    full.set(Mode::Works);
    let line = both.record(b"1".to_vec(), 200).unwrap();
    assert_eq!(both.poll(line, 200), Decision::Accepted);
    assert_eq!(full.taken(), [0, 1]);

    let mut alone = sinks(&[&Fake::new(Mode::Fails)]);
    let line = alone.record(b"0".to_vec(), 1).unwrap();
    assert_eq!(alone.poll(line, 1), Decision::Refused);
    assert_eq!(sinks(&[]).record(b"0".to_vec(), 1), Err(Closed));
}

/// [KL-25]: what waits for a hung sink is bounded; then nothing is accepted rather than something lost.
#[test]
fn kl_25_the_backlog_is_bounded() {
    let (good, slow) = (Fake::new(Mode::Works), Fake::new(Mode::Hangs));
    let mut sinks = sinks(&[&good, &slow]);
    let first = sinks.record(Vec::new(), 0).unwrap();
    assert_eq!(sinks.poll(first, T), Decision::Accepted);
    while sinks.health().accepting {
        let _ = sinks.record(Vec::new(), T).unwrap();
    }
    assert_eq!(sinks.health().waiting, BACKLOG as u64);
    assert_eq!(sinks.record(Vec::new(), T), Err(Closed));
}

/// Files that are full now and then.
#[derive(Default)]
struct Full {
    files: MemoryFiles,
    full: Arc<Mutex<bool>>,
}

impl Files for Full {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.files.read(path)
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        if *self.full.lock().unwrap() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            self.files.write(path, bytes)
        }
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.files.remove(path)
    }
}

/// [KL-25], RT-48: a full disk under the log itself stops operations; afterwards nothing is missing or twice.
#[test]
fn kl_25_a_full_disk_stops_operations() {
    let key = || SigningKey::from_bytes(&[1; 32]);
    let act = Act { at: 1, actor: Text::new("test").unwrap(), reason: Text::new("test").unwrap() };
    let shard = Shard::first(&LogName::new("test").unwrap(), key().public(), act).unwrap();
    let files = Full::default();
    let full = files.full.clone();
    let mut sink = ShardSink::new(shard, files, BTreeMap::new(), key());
    let line = |count| {
        let event = Event {
            at: 2,
            actor: Text::new("test").unwrap(),
            what: What::KeyUsed,
            keys: Vec::new(),
            reason: Text::new("").unwrap(),
            facts: BTreeMap::from([(Fact::Count, Value::Number(count))]),
            change: None,
        };
        serde_json::to_vec(&event).unwrap()
    };
    let durable = |sink: &mut ShardSink<_, _>, seq| {
        assert_eq!(sink.offer(seq, &line(seq)), Ok(Offer::Taken));
        sink.settle()
    };
    assert_eq!(durable(&mut sink, 0), Ok(()));
    *full.lock().unwrap() = true;
    for _ in 0..3 {
        let error = LogError::Files(io::ErrorKind::StorageFull).into();
        assert_eq!(durable(&mut sink, 1), Err(error));
    }
    *full.lock().unwrap() = false;
    assert_eq!(durable(&mut sink, 1), Ok(()));
    assert_eq!(sink.shard().len(), 3);
    // The shard's key rotates mid-log: what follows goes to the next shard.
    let act = Act { at: 3, actor: Text::new("test").unwrap(), reason: Text::new("test").unwrap() };
    let name = LogName::new("test").unwrap();
    sink.rotate(&name, SigningKey::from_bytes(&[2; 32]), act).unwrap();
    assert_eq!(durable(&mut sink, 2), Ok(()));
    let trust = Trust { name, keys: BTreeMap::from([(1, key().public().clone())]) };
    let report = verify(&sink.files, &trust, &[]).unwrap();
    assert_eq!((report.shards.len(), report.entries), (2, 6));
}

#[test]
fn kl_25_a_required_sink_cannot_be_replaced_by_a_copy() {
    let (log, copy) = (Fake::new(Mode::Works), Fake::new(Mode::Works));
    let mut sinks = sinks(&[&log, &copy]).requiring(1);
    log.set(Mode::Fails);
    let recorded = sinks.record(b"one".to_vec(), 0).unwrap();
    assert_eq!(sinks.poll(recorded, 0), Decision::Refused, "only the copy has it");
    assert_eq!(copy.taken(), [0]);
    assert_eq!(sinks.queue(b"two".to_vec(), 0), Err(Closed));
    log.set(Mode::Hangs);
    assert_eq!(sinks.poll(recorded, T), Decision::Refused);
    log.set(Mode::Works);
    assert_eq!(sinks.poll(recorded, T), Decision::Accepted);
    assert_eq!(log.taken(), [0]);
    copy.set(Mode::Fails);
    let recorded = sinks.record(b"two".to_vec(), T).unwrap();
    assert_eq!(sinks.poll(recorded, T), Decision::Accepted, "a copy that fails stops nobody");
}

#[test]
fn kl_25_a_copy_that_hangs_for_ever_stops_nobody_and_says_what_it_missed() {
    let (log, copy) = (Fake::new(Mode::Works), Fake::new(Mode::Hangs));
    let mut sinks = sinks(&[&log, &copy]).requiring(1);
    let lines = BACKLOG as u64 + 10;
    for line in 0..lines {
        let recorded = sinks.record(vec![0], 0).unwrap();
        let at = if line == 0 { T } else { 0 };
        assert_eq!(sinks.poll(recorded, at), Decision::Accepted);
    }
    assert_eq!(log.taken().len() as u64, lines);
    let health = sinks.health();
    assert!(health.accepting && health.waiting <= BACKLOG as u64);
    let missed = health.sinks[1].missed;
    assert_eq!((health.sinks[0].missed, health.sinks[1].behind + missed), (0, lines));
    assert!((10..=12).contains(&missed), "{missed}");
    copy.set(Mode::Works);
    let recorded = sinks.record(vec![0], 0).unwrap();
    assert_eq!(sinks.poll(recorded, 0), Decision::Accepted);
    assert_eq!(copy.taken(), (missed..=lines).collect::<Vec<_>>(), "the rest, in order");
}
