use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;

use super::super::answer::Shown;
use super::super::finding::{FindingError, Verdict};
use super::super::verify::Problem;
use super::super::{Act, Event, Mark, MemoryFiles, Shard, ShardSink, Signer, Sink as _, Text, Trust, verify};
use super::*;

type MarkMap = BTreeMap<String, Mark>;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn name() -> LogName {
    LogName::new("test/audit").unwrap()
}

fn act() -> Act {
    Act { at: 1, actor: Text::new("coordinator").unwrap(), reason: Text::new("test").unwrap() }
}

/// A log that is written to; the key of shard n has seed n.
struct Log {
    name: LogName,
    sink: ShardSink<MemoryFiles, MarkMap>,
    seq: u64,
}

impl Log {
    fn new() -> Self {
        Self::named(name(), 1)
    }

    fn named(name: LogName, seed: u8) -> Self {
        let (mut files, mut marks, own) = (MemoryFiles::default(), MarkMap::new(), key(seed));
        let mut shard = Shard::first(&name, own.public(), act()).unwrap();
        shard.publish(&mut files, &mut Signer::new(&own, &mut marks)).unwrap();
        Self { name, sink: ShardSink::new(shard, files, marks, own), seq: 0 }
    }

    /// So many entries more, told apart by `salt`.
    fn grow(&mut self, entries: u64, salt: u64) -> &mut Self {
        for at in 0..entries {
            let event = Event {
                at: 1_000 * salt + at,
                actor: Text::new("coordinator").unwrap(),
                what: What::KeyUsed,
                keys: vec!["model/global@1".parse().unwrap()],
                reason: Text::new("round").unwrap(),
                facts: BTreeMap::new(),
                change: None,
            };
            self.sink.offer(self.seq, &serde_json::to_vec(&event).unwrap()).unwrap();
            self.seq += 1;
        }
        self.sink.settle().unwrap();
        self
    }

    fn rotate(&mut self, seed: u8) -> &mut Self {
        self.sink.rotate(&self.name, key(seed), act()).unwrap();
        self
    }

    fn answer(&self, (shard, held): (u32, u64)) -> Answer {
        let shard = if shard == 0 { self.sink.shard().number() } else { shard };
        Answer::of(self.sink.files(), &self.name, shard, held).unwrap()
    }
}

fn listed(shards: &[(u32, u8)]) -> Listed {
    shards.iter().map(|(shard, seed)| (*shard, key(*seed).public().clone())).collect()
}

/// Asks and takes once.
fn step(follower: &mut Follower, log: &Log) -> Result<Progress, FollowError> {
    step_under(follower, log, &Listed::new())
}

fn step_under(follower: &mut Follower, log: &Log, listed: &Listed) -> Result<Progress, FollowError> {
    follower.take(&log.answer(follower.ask(listed, false)), listed)
}

fn following(log: &Log) -> Follower {
    let mut follower = Follower::new(name());
    assert_eq!(step(&mut follower, log), Ok(Progress::Newer));
    follower
}

/// The evidence, judged as anybody would who has only its bytes; nothing of it was kept.
fn evidence(follower: &mut Follower, log: &Log) -> Verdict {
    let before = follower.clone();
    let outcome = step(follower, log);
    let Err(FollowError::Evidence(finding)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(*follower, before);
    let again = Finding::parse(&finding.to_bytes()).unwrap();
    assert_eq!(again, *finding);
    again.judge().unwrap()
}

/// [WIT-2], [KL-24]: from the newest shard on, over every hand-over; what is stored is what is known.
#[test]
fn wit_2_a_log_is_followed_over_its_shards() {
    let mut log = Log::new();
    log.grow(5, 1).rotate(2).grow(3, 2);
    let mut follower = following(&log);
    assert_eq!(follower.newest().map(|(shard, seen, _)| (shard, seen.size)), Some((2, 4)));
    assert_eq!(step(&mut follower, &log), Ok(Progress::Same));
    log.grow(300, 3);
    assert_eq!(step(&mut follower, &log), Ok(Progress::Newer));
    log.rotate(3).rotate(4).grow(1, 4);
    for (shard, size) in [(2, 305), (3, 2)] {
        assert_eq!(step(&mut follower, &log), Ok(Progress::Ended));
        assert_eq!(follower.newest().map(|(shard, seen, _)| (shard, seen.size)), Some((shard, size)));
        assert_eq!(Follower::parse(&follower.to_bytes()), Some(follower.clone()));
    }
    assert_eq!(step(&mut follower, &log), Ok(Progress::Newer));
    assert_eq!(follower.newest().map(|(shard, seen, _)| (shard, seen.size)), Some((4, 2)));
    for seed in 5..60 {
        log.rotate(seed);
        while step(&mut follower, &log) != Ok(Progress::Newer) {}
    }
    assert_eq!(follower.keys.len(), MOST_SHARDS);
    assert_eq!(follower.witness.checkpoints().len(), MOST_SHARDS);
    assert_eq!(Follower::parse(&follower.to_bytes()), Some(follower));
}

/// [WIT-2]: with a root one begins at the last shard it lists, under its key; what disagrees with it is not taken.
#[test]
fn wit_2_the_root_says_where_to_begin_and_whose_key_counts() {
    let mut log = Log::new();
    log.grow(5, 1).rotate(2).grow(3, 2).rotate(3);
    let mut follower = Follower::new(name());
    assert_eq!(follower.ask(&listed(&[(1, 1), (2, 2)]), false), (2, 0));
    assert_eq!(follower.ask(&listed(&[(1, 1), (2, 2)]), true), (1, 0));
    // The coordinator does not choose another shard, nor another key.
    assert_eq!(follower.take(&log.answer((3, 0)), &listed(&[(2, 2)])), Err(FollowError::Form));
    assert!(matches!(step_under(&mut follower, &log, &listed(&[(2, 9)])), Err(FollowError::Checkpoint(_))));
    assert_eq!(step_under(&mut follower, &log, &listed(&[(2, 2)])), Ok(Progress::Ended));
    assert_eq!(step_under(&mut follower, &log, &listed(&[(2, 2)])), Ok(Progress::Newer));
    // A root that comes later and lists another key for a shard that is followed.
    let refused = step_under(&mut follower, &log, &listed(&[(3, 9)]));
    assert_eq!(refused, Err(FollowError::OtherKey { shard: 3 }));
    // A hand-over to another key than the root's: the checkpoint is kept, the key is not.
    log.rotate(4);
    let refused = step_under(&mut follower, &log, &listed(&[(3, 3), (4, 9)]));
    assert_eq!(refused, Err(FollowError::OtherKey { shard: 4 }));
    assert_eq!(follower.ask(&Listed::new(), false), (3, 2));
    assert_eq!(step(&mut follower, &log), Ok(Progress::Ended));
}

/// [KL-24]: a key that is lost closes nothing; the root lists the next one, and what was seen must be its past.
#[test]
fn wit_2_after_a_lost_key_the_root_leads_on() {
    let mut log = Log::new();
    log.grow(5, 1);
    let mut follower = following(&log);
    let listed = listed(&[(2, 7)]);
    let next = |end: &Checkpoint| {
        let (mut files, own) = (MemoryFiles::default(), key(7));
        let mut shard = Shard::after(&name(), (1, end), own.public(), act()).unwrap();
        shard.publish(&mut files, &mut Signer::new(&own, &mut MarkMap::new())).unwrap();
        Answer::of(&files, &name(), 2, 0).unwrap()
    };
    assert_eq!(follower.ask(&listed, true), (2, 0));
    // The shard before has gone on since: first that is to be seen.
    let seen = log.sink.shard().checkpoint();
    log.grow(1, 2);
    let end = log.sink.shard().checkpoint();
    assert_eq!(follower.take(&next(&end), &listed), Err(FollowError::Apart { shard: 2 }));
    assert_eq!(step_under(&mut follower, &log, &listed), Ok(Progress::Newer));
    let mut other = follower.clone();
    assert_eq!(follower.take(&next(&end), &listed), Ok(Progress::Newer));
    assert_eq!(follower.newest().map(|(shard, seen, _)| (shard, seen.size)), Some((2, 1)));
    // One that leaves out what was signed.
    let Err(FollowError::Evidence(finding)) = other.take(&next(&seen), &listed) else { panic!() };
    assert_eq!(finding.judge(), Ok(Verdict::HandOver));
}

/// [WIT-4], RT-48: one size and two roots.
#[test]
fn wit_4_rt_48_a_fork_of_one_size_is_proven() {
    let (mut honest, mut forked) = (Log::new(), Log::new());
    let mut follower = following(honest.grow(300, 1));
    assert_eq!(evidence(&mut follower, forked.grow(300, 2)), Verdict::TwoRoots);
}

/// [WIT-4], RT-48: a log written anew behind what was seen proves itself guilty with its own consistency proof, also where
/// the tree seen was a whole subtree and is not part of the proof.
#[test]
fn wit_4_rt_48_a_rewritten_log_is_proven() {
    for seen in [5, 255, 256, 299] {
        let (mut honest, mut forked) = (Log::new(), Log::new());
        let mut follower = following(honest.grow(seen, 1));
        assert_eq!(
            evidence(&mut follower, forked.grow(seen - 1, 1).grow(9, 2)),
            Verdict::Rewritten,
            "{seen}"
        );
    }
}

/// [WIT-3], RT-48: a log cut off is no progress and no proof; as soon as it has grown otherwise it is.
#[test]
fn wit_3_rt_48_a_truncated_log_is_no_progress_until_it_grows() {
    let (mut honest, mut cut) = (Log::new(), Log::new());
    let mut follower = following(honest.grow(20, 1));
    let kept = follower.clone();
    cut.grow(10, 1);
    assert_eq!(step(&mut follower, &cut), Ok(Progress::Behind { kept: 21, shown: 11 }));
    assert_eq!(follower, kept);
    cut.grow(9, 2);
    assert_eq!(step(&mut follower, &cut), Ok(Progress::Behind { kept: 21, shown: 20 }));
    assert_eq!(evidence(&mut follower.clone(), cut.grow(1, 2)), Verdict::TwoRoots);
    assert_eq!(evidence(&mut follower, cut.grow(1, 2)), Verdict::Rewritten);
    assert_eq!(follower, kept);
}

/// [WIT-4]: proofs of other sizes, of nothing, or none at all: the log owes one.
#[test]
fn wit_4_a_proof_that_is_none_is_owed() {
    let mut log = Log::new();
    let mut follower = following(log.grow(20, 1));
    log.grow(30, 2);
    let good = log.answer((1, 21));
    let of = |held| log.answer((1, held)).consistency;
    let mut longer = good.consistency.clone();
    longer.push(Digest::ZERO);
    for consistency in [of(20), of(22), of(0), longer, good.consistency[1..].to_vec()] {
        let bad = Answer { consistency, ..good.clone() };
        let Err(FollowError::Evidence(finding)) = follower.take(&bad, &Listed::new()) else { panic!() };
        assert_eq!(finding.judge(), Ok(Verdict::Owed));
    }
    // What the log is said to have over the entries held convicts it only with a proof, and says nothing beside a good one.
    let bad = Answer { held: Digest::ZERO, consistency: of(20), ..good.clone() };
    let Err(FollowError::Evidence(finding)) = follower.take(&bad, &Listed::new()) else { panic!() };
    assert_eq!(finding.judge(), Ok(Verdict::Owed));
    let bad = Answer { held: Digest::ZERO, ..good.clone() };
    assert_eq!(follower.take(&bad, &Listed::new()), Ok(Progress::Newer));
}

/// [WIT-3]: other keys, other deployments, other shards, entries from elsewhere: nothing changes, and nothing is proven.
#[test]
fn wit_3_what_is_not_of_the_log_changes_nothing() {
    let mut log = Log::new();
    let mut follower = following(log.grow(20, 1));
    let kept = follower.clone();
    log.grow(5, 2);
    let good = log.answer((1, 21));
    let mut stranger = Log::named(name(), 9);
    let mut elsewhere = Log::named(LogName::new("test/other").unwrap(), 1);
    let (stranger, elsewhere) = (stranger.grow(30, 1).answer((1, 21)), elsewhere.grow(30, 1).answer((1, 21)));
    let mut garbled = good.clone();
    garbled.note[30] ^= 1;
    for bad in [stranger.clone(), elsewhere, garbled, Answer { note: Vec::new(), ..good.clone() }] {
        let refused = follower.take(&bad, &Listed::new());
        assert!(matches!(refused, Err(FollowError::Checkpoint(_))), "{refused:?}");
    }
    for shard in [0, 2, u32::MAX] {
        assert_eq!(follower.take(&Answer { shard, ..good.clone() }, &Listed::new()), Err(FollowError::Form));
    }
    // An end that is not the shard's: an entry of another place, or of another log.
    let mut closed = Log::new();
    closed.grow(30, 1).rotate(2);
    let closing = closed.answer((1, 0)).closing;
    let line = |seq: u64| Shown { line: Vec::new(), path: log.sink.shard().inclusion(seq, 26).unwrap() };
    for closing in [closing, good.opening.clone(), Some(line(25))].into_iter().flatten() {
        let bad = Answer { closing: Some(closing), ..good.clone() };
        assert_eq!(follower.take(&bad, &Listed::new()), Err(FollowError::Form));
    }
    assert_eq!(follower, kept);
    // The first contact: an opening entry that is not in the log, or of another key.
    let mut newcomer = Follower::new(name());
    let first = log.answer((1, 0));
    for opening in [
        None,
        stranger.opening.clone(),
        log.answer((1, 0)).opening.map(|shown| Shown { path: Vec::new(), ..shown }),
    ] {
        let bad = Answer { opening, ..first.clone() };
        assert!(newcomer.take(&bad, &Listed::new()).is_err());
    }
    // One that names another key than it is signed with.
    let (own, mut files) = (key(1), MemoryFiles::default());
    let mut shard = Shard::first(&name(), key(9).public(), act()).unwrap();
    shard.publish(&mut files, &mut Signer::new(&own, &mut MarkMap::new())).unwrap();
    let bad = Answer::of(&files, &name(), 1, 0).unwrap();
    assert_eq!(newcomer.take(&bad, &listed(&[(1, 1)])), Err(FollowError::Form));
    assert_eq!(newcomer, Follower::new(name()));
}

/// [WIT-4], [KL-24]: a shard whose first entry names another end of the one before than was signed.
#[test]
fn wit_4_a_hand_over_from_another_history_is_proven() {
    let (mut honest, mut forked) = (Log::new(), Log::new());
    let mut follower = following(honest.grow(20, 1).rotate(2));
    // First contact was at shard 2: the end of shard 1 is not known. From shard 1 on it is.
    assert_eq!(follower.ask(&Listed::new(), false), (2, 1));
    follower = Follower::new(name());
    assert_eq!(step_under(&mut follower, &honest, &listed(&[(1, 1)])), Ok(Progress::Ended));
    forked.grow(20, 2).rotate(2);
    assert_eq!(evidence(&mut follower, &forked), Verdict::HandOver);
    assert_eq!(step(&mut follower, &honest), Ok(Progress::Newer));
}

/// [WIT-4]: notes that can both be true are no evidence, and neither are notes by other keys than the evidence names.
#[test]
fn wit_4_evidence_is_judged_by_itself() {
    let (mut honest, mut forked) = (Log::new(), Log::new());
    let mut follower = following(honest.grow(20, 1));
    let Err(FollowError::Evidence(finding)) = step(&mut follower, forked.grow(30, 2)) else { panic!() };
    let text = String::from_utf8(finding.to_bytes()).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Finding::parse(text.replace(from, to).as_bytes()).and_then(|finding| finding.judge())
    };
    let hex = |seed: u8| Digest::from_bytes(*key(seed).public().as_bytes()).to_hex();
    assert!(matches!(changed(&hex(1), &hex(2)), Err(FindingError::Checkpoint(_))));
    assert!(matches!(changed("\\n21\\n", "\\n22\\n"), Err(FindingError::Checkpoint(_))));
    assert_eq!(changed("\"v\": 1", "\"v\": 2"), Err(FindingError::Form));
    assert_eq!(Finding::parse(&text.as_bytes()[1..]), Err(FindingError::Form));
    // The same with an honest continuation: somebody who wants to accuse a log falsely.
    let (_, _, note) = follower.newest().unwrap();
    let (own, note) = (key(1).public().clone(), note.clone());
    let honest = honest.grow(7, 1).answer((1, 21));
    let false_one = Finding::new(&name(), (1, &own, &note), (&honest, &own));
    assert_eq!(false_one.judge(), Err(FindingError::Nothing));
    let same = Answer { note: note.to_bytes(), ..honest };
    let false_one = Finding::new(&name(), (1, &own, &note), (&same, &own));
    assert_eq!(false_one.judge(), Err(FindingError::Nothing));
}

/// What is stored is verified when it is read: a note by another key is none.
#[test]
fn what_was_stored_is_verified_again() {
    let mut log = Log::new();
    let follower = following(log.grow(20, 1));
    let text = String::from_utf8(follower.to_bytes()).unwrap();
    let hex = |seed: u8| Digest::from_bytes(*key(seed).public().as_bytes()).to_hex();
    for (from, to) in [
        (hex(1), hex(2)),
        ("\\n21\\n".to_owned(), "\\n20\\n".to_owned()),
        ("\"v\": 1".to_owned(), "\"v\": 2".to_owned()),
    ] {
        assert!(text.contains(&from), "{from}");
        assert_eq!(Follower::parse(text.replace(&from, &to).as_bytes()), None, "{from}");
    }
    assert_eq!(Follower::parse(b""), None);
}

/// [WIT-5]: whoever is shown another log from the beginning sees nothing wrong; holding what two have seen against one log
/// finds it.
#[test]
fn wit_5_two_views_are_found_by_comparing_them() {
    let (mut one, mut other) = (Log::new(), Log::new());
    let mut followers = [following(one.grow(20, 1)), following(other.grow(20, 2))];
    for (follower, log) in followers.iter_mut().zip([one.grow(5, 3), other.grow(5, 3)]) {
        assert_eq!(step(follower, log), Ok(Progress::Newer));
    }
    let trust = Trust { name: name(), keys: listed(&[(1, 1)]) };
    let seen = followers.map(|follower| follower.newest().unwrap().1);
    assert!(verify(one.sink.files(), &trust, &seen[..1]).is_ok());
    let problem = verify(one.sink.files(), &trust, &seen).unwrap_err().problem;
    assert_eq!(problem, Problem::Fork { size: 26 });
}
