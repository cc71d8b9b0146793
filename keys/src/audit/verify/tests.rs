use proptest::prelude::*;
use quorate_crypto::merkle;
use quorate_crypto::sign::SigningKey;

use super::super::{
    Act, Event, Mark, MemoryFiles, SignError, Signer, Witness, WitnessError, raise, witness::Seen,
};
use super::*;
use crate::audit::Shard;
use crate::audit::tile::{entries_from_bytes, entries_to_bytes, hashes_to_bytes};

type MarkMap = BTreeMap<String, Mark>;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn name() -> LogName {
    LogName::new("test/audit").unwrap()
}

fn act() -> Act {
    Act { at: 1, actor: Text::new("operator:ada").unwrap(), reason: Text::new("test").unwrap() }
}

fn event(count: u64) -> Event {
    Event {
        at: 1000 + count,
        actor: Text::new("policy:default").unwrap(),
        what: What::KeyUsed,
        keys: vec!["model/global@1".parse().unwrap()],
        reason: Text::new("round").unwrap(),
        facts: BTreeMap::from([(Fact::Count, Value::Number(count))]),
        change: None,
    }
}

fn trust() -> Trust {
    Trust { name: name(), keys: BTreeMap::from([(1, key(1).public().clone())]) }
}

fn publish(shard: &mut Shard, files: &mut MemoryFiles, seed: u8, marks: &mut MarkMap) -> Note {
    shard.publish(files, &mut Signer::new(&key(seed), marks)).unwrap()
}

/// A log of `size` entries in one shard, published now and then.
fn log(size: u64, marks: &mut MarkMap) -> (Shard, MemoryFiles) {
    log_with(size, marks, |_| false)
}

fn log_with(size: u64, marks: &mut MarkMap, other: impl Fn(u64) -> bool) -> (Shard, MemoryFiles) {
    let mut files = MemoryFiles::default();
    let mut shard = Shard::first(&name(), key(1).public(), act()).unwrap();
    for count in 1..size {
        shard.append(event(if other(count) { 10_000 + count } else { count })).unwrap();
        if count % 100 == 3 {
            publish(&mut shard, &mut files, 1, marks);
        }
    }
    publish(&mut shard, &mut files, 1, marks);
    (shard, files)
}

/// Two shards: the first with 300 entries, closed; the second with 5.
fn two_shards() -> (MemoryFiles, MarkMap) {
    let mut marks = MarkMap::new();
    let (mut first, mut files) = log(300, &mut marks);
    first.close(key(2).public(), act()).unwrap();
    publish(&mut first, &mut files, 1, &mut marks);
    let mut second = Shard::after(&name(), (1, &first.checkpoint()), key(2).public(), act()).unwrap();
    (0..4).for_each(|count| drop(second.append(event(count)).unwrap()));
    publish(&mut second, &mut files, 2, &mut marks);
    (files, marks)
}

fn found(files: &MemoryFiles, known: &[Checkpoint]) -> Option<Problem> {
    verify(files, &trust(), known).err().map(|error| error.problem)
}

/// Changes the entries of the bundle that is entries 256…299 of shard 1, and its hashes if asked.
fn tamper(files: &mut MemoryFiles, hashes: bool, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let path = "1/tile/entries/001.p/45".to_owned();
    let mut lines = entries_from_bytes(&files.files[&path]).unwrap();
    change(&mut lines);
    if hashes {
        let all: Vec<Digest> = lines.iter().map(|line| leaf_hash(line)).collect();
        files.files.insert("1/tile/0/001.p/45".to_owned(), hashes_to_bytes(&all));
    }
    files.files.insert(path, entries_to_bytes(&lines).unwrap());
}

/// [KL-24]: two shards with two keys verify from the first key alone, and so does a log with more of them.
#[test]
fn kl_24_shards_verify_end_to_end() {
    let (files, _) = two_shards();
    let report = verify(&files, &trust(), &[]).unwrap();
    assert_eq!((report.shards.len(), report.entries), (2, 306));
    // The same if the trust root names the second key as well, and not if it names another.
    let mut pinned = trust();
    pinned.keys.insert(2, key(2).public().clone());
    assert!(verify(&files, &pinned, &[]).is_ok());
    pinned.keys.insert(2, key(3).public().clone());
    let error = verify(&files, &pinned, &[]).unwrap_err();
    assert_eq!(error, VerifyError { shard: 1, problem: Problem::HandOver });
}

/// [KL-24]: a shard that says another end of the one before does not continue it.
#[test]
fn kl_24_a_hand_over_from_another_history_is_caught() {
    let mut marks = MarkMap::new();
    let (mut first, mut files) = log(20, &mut marks);
    first.close(key(2).public(), act()).unwrap();
    publish(&mut first, &mut files, 1, &mut marks);
    let end = first.checkpoint();
    let (short, other) = (end.size - 1, Digest::from_bytes([7; 32]));
    for wrong in [
        Checkpoint { size: short, ..end.clone() },
        Checkpoint { root: other, ..end.clone() },
        Checkpoint { origin: "test/other/1".to_owned(), ..end.clone() },
    ] {
        let mut second = Shard::after(&name(), (1, &wrong), key(2).public(), act()).unwrap();
        publish(&mut second, &mut files, 2, &mut MarkMap::new());
        assert_eq!(verify(&files, &trust(), &[]), Err(VerifyError { shard: 2, problem: Problem::HandOver }));
    }
    let mut second = Shard::after(&name(), (1, &end), key(2).public(), act()).unwrap();
    publish(&mut second, &mut files, 2, &mut MarkMap::new());
    assert!(verify(&files, &trust(), &[]).is_ok());
}

/// [KL-24]: after a compromise the old key names nobody; the trust root does.
#[test]
fn kl_24_a_lost_key_is_replaced_by_the_trust_root() {
    let mut marks = MarkMap::new();
    let (first, mut files) = log(20, &mut marks);
    let mut second = Shard::after(&name(), (1, &first.checkpoint()), key(5).public(), act()).unwrap();
    publish(&mut second, &mut files, 5, &mut marks);
    assert_eq!(found(&files, &[]), Some(Problem::HandOver));
    let mut pinned = trust();
    pinned.keys.insert(2, key(5).public().clone());
    assert!(verify(&files, &pinned, &[]).is_ok());
}

/// RT-48: each change of one entry is caught, whether or not the hashes are made to fit.
#[test]
fn rt_48_one_entry_altered_deleted_inserted_or_moved_is_caught() {
    let (good, _) = two_shards();
    assert_eq!(found(&good, &[]), None);
    type Change = fn(&mut Vec<Vec<u8>>);
    let altered: Change = |lines| {
        let line = String::from_utf8(lines[9].clone()).unwrap();
        lines[9] = line.replace("\"round\"", "\"lunch\"").into_bytes();
    };
    let garbled: Change = |lines| lines[9][0] ^= 1;
    let deleted: Change = |lines| drop(lines.remove(9));
    let inserted: Change = |lines| lines.insert(9, lines[8].clone());
    let moved: Change = |lines| lines.swap(9, 10);
    let cut: Change = |lines| drop(lines.pop());
    for hashes in [false, true] {
        for (change, problem) in [
            (altered, if hashes { Problem::Root } else { Problem::Altered { index: 265 } }),
            (garbled, Problem::Entry { index: 265, error: EntryError::Form }),
            (deleted, Problem::Short { from: 256 }),
            (inserted, Problem::Place { index: 265, says: 264 }),
            (moved, Problem::Place { index: 265, says: 266 }),
            (cut, Problem::Short { from: 256 }),
        ] {
            let mut files = good.clone();
            tamper(&mut files, hashes, change);
            assert_eq!(found(&files, &[]), Some(problem), "{hashes}");
        }
    }
}

/// RT-48: whatever single byte of the log changes or file vanishes, it is caught.
#[test]
fn rt_48_no_byte_is_free() {
    let (good, _) = two_shards();
    let needed = |path: &str| {
        !path.contains(".p/")
            || path.ends_with(".p/45")
            || path.ends_with(".p/5")
            || path.ends_with("1/000.p/1")
    };
    for path in good.files.keys().filter(|path| needed(path)) {
        let mut files = good.clone();
        files.files.remove(path);
        assert!(found(&files, &[]).is_some(), "{path} removed");
        for at in (0..good.files[path].len()).step_by(97) {
            let mut files = good.clone();
            files.files.get_mut(path).unwrap()[at] ^= 0x10;
            assert!(found(&files, &[]).is_some(), "{path} {at}");
        }
    }
}

/// RT-48: an old state put back verifies by itself, and not against what somebody has kept.
#[test]
fn rt_48_a_cut_tail_is_caught_by_what_others_keep() {
    let mut marks = MarkMap::new();
    let (mut shard, mut files) = log(20, &mut marks);
    let old = files.clone();
    shard.append(event(99)).unwrap();
    let note = publish(&mut shard, &mut files, 1, &mut marks);
    let known = [Checkpoint::parse(note.text()).unwrap()];
    assert_eq!(found(&files, &known), None);
    assert_eq!(found(&old, &[]), None);
    assert_eq!(found(&old, &known), Some(Problem::Truncated { known: 21, size: 20 }));
    // A whole shard cut off: the closing entry says there is one.
    let (mut files, _) = two_shards();
    files.files.retain(|path, _| !path.starts_with("2/"));
    assert_eq!(verify(&files, &trust(), &[]), Err(VerifyError { shard: 2, problem: Problem::Missing }));
}

/// RT-48: the log's own key signs another history; its marks have been thrown away.
#[test]
fn rt_48_a_fork_is_caught_by_verifier_and_witness() {
    let (honest, files) = log(300, &mut MarkMap::new());
    let (forked, other) = log_with(310, &mut MarkMap::new(), |count| count == 270);
    assert_eq!(found(&other, &[]), None);
    assert_eq!(found(&other, &[honest.checkpoint()]), Some(Problem::Fork { size: 300 }));
    let note = |files: &MemoryFiles| Note::parse(&files.files["1/checkpoint"]).unwrap();
    let (origin, public) = (honest.origin(), key(1).public().clone());
    let mut witness = Witness::new();
    assert_eq!(witness.observe(&origin, &public, &note(&files), &[]), Ok(Seen::First));
    let kept = witness.clone();
    for proof in [forked.consistency(300, 310).unwrap(), honest.consistency(270, 300).unwrap(), Vec::new()] {
        let refused = witness.observe(&origin, &public, &note(&other), &proof);
        let Err(WitnessError::Unproven(evidence)) = refused else { panic!("{refused:?}") };
        assert_eq!((evidence.kept, evidence.shown), (note(&files), note(&other)));
    }
    let (_, same) = log_with(300, &mut MarkMap::new(), |count| count == 270);
    assert!(matches!(witness.observe(&origin, &public, &note(&same), &[]), Err(WitnessError::Fork(_))));
    assert_eq!(witness, kept);
}

#[test]
fn a_witness_follows_the_log_and_cosigns() {
    let mut marks = MarkMap::new();
    let (mut shard, mut files) = log(7, &mut marks);
    let (origin, public) = (shard.origin(), key(1).public().clone());
    let mut witness = Witness::new();
    let first = Note::parse(&files.files["1/checkpoint"]).unwrap();
    witness.observe(&origin, &public, &first, &[]).unwrap();
    assert_eq!(witness.observe(&origin, &public, &first, &[]), Ok(Seen::Same));
    shard.append(event(8)).unwrap();
    let second = publish(&mut shard, &mut files, 1, &mut marks);
    let proof = shard.consistency(7, 8).unwrap();
    assert_eq!(witness.observe(&origin, &public, &second, &proof), Ok(Seen::Newer));
    assert_eq!(witness.observe(&origin, &public, &first, &proof), Ok(Seen::Older));
    assert_eq!(witness.kept(&origin), Some(&second));
    let cosigned = witness.cosign(&origin, "participant-7", &key(9), 1234).unwrap();
    assert_eq!(cosigned.verify_cosignature("participant-7", key(9).public()), Ok(1234));
    assert!(Checkpoint::verify(&cosigned, &origin, &public).is_ok());
    let mut restored = Witness::new();
    restored.restore(witness.kept(&origin).unwrap().clone()).unwrap();
    assert_eq!(restored, witness);
}

/// [KL-23]: a log restored from an old backup signs nothing, with the marks or with a witness's checkpoint.
#[test]
fn kl_23_a_restored_log_signs_no_second_history() {
    let mut marks = MarkMap::new();
    let (mut shard, mut files) = log(20, &mut marks);
    let backup = (shard.clone(), files.clone(), marks.clone());
    shard.append(event(50)).unwrap();
    let newest = publish(&mut shard, &mut files, 1, &mut marks);
    let (mut old, mut old_files, mut old_marks) = backup;
    // The log came back from the backup, the marks did not.
    let refused = Shard::load(&old_files, &name(), 1, &Signer::new(&key(1), &mut marks)).unwrap_err();
    assert_eq!(refused, SignError::Behind { signed: 21, size: 0 }.into());
    let mut try_sign = |old: &mut Shard| old.publish(&mut old_files, &mut Signer::new(&key(1), &mut marks));
    assert_eq!(try_sign(&mut old).unwrap_err(), SignError::Behind { signed: 21, size: 20 }.into());
    for count in [51, 52, 53] {
        old.append(event(count)).unwrap();
        assert_eq!(try_sign(&mut old).unwrap_err(), SignError::Fork { signed: 21 }.into());
    }
    // Everything came back from the backup; a witness has the newest checkpoint.
    raise(&mut old_marks, &old.origin(), key(1).public(), &newest).unwrap();
    assert_eq!(old_marks, marks);
    let own = key(1);
    let mut signer = Signer::new(&own, &mut old_marks);
    assert_eq!(old.publish(&mut old_files, &mut signer).unwrap_err(), SignError::Fork { signed: 21 }.into());
    assert!(raise(&mut marks, &old.origin(), key(2).public(), &newest).is_err());
}

/// A crash between mark and checkpoint: what was signed is found and signed again, byte for byte.
#[test]
fn kl_23_a_crash_between_mark_and_checkpoint_loses_nothing() {
    let mut marks = MarkMap::new();
    let (mut shard, mut files) = log(255, &mut marks);
    let before = files.files["1/checkpoint"].clone();
    (0..3).for_each(|count| drop(shard.append(event(count)).unwrap()));
    let note = publish(&mut shard, &mut files, 1, &mut marks);
    files.files.insert("1/checkpoint".to_owned(), before);
    let mut loaded = Shard::load(&files, &name(), 1, &Signer::new(&key(1), &mut marks)).unwrap();
    assert_eq!(loaded.checkpoint(), shard.checkpoint());
    assert_eq!(publish(&mut loaded, &mut files, 1, &mut marks), note);
    loaded.append(event(9)).unwrap();
    publish(&mut loaded, &mut files, 1, &mut marks);
    assert_eq!(found(&files, &[shard.checkpoint()]), None);
}

#[test]
fn a_closed_shard_takes_nothing_more() {
    let mut shard = Shard::first(&name(), key(1).public(), act()).unwrap();
    let reserved = Event { what: What::ShardClosed, ..event(1) };
    assert_eq!(shard.append(reserved), Err(LogError::Reserved));
    shard.close(key(2).public(), act()).unwrap();
    assert_eq!(shard.append(event(1)), Err(LogError::Closed));
    assert_eq!(shard.close(key(2).public(), act()), Err(LogError::Closed));
}

#[test]
fn the_export_is_one_event_a_line() {
    let (files, _) = two_shards();
    let mut out = Vec::new();
    let report = export(&files, &trust(), &[], &mut out).unwrap();
    let lines: Vec<_> = out.split_inclusive(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len() as u64, report.entries);
    assert!(lines.iter().all(|line| Entry::parse(line.strip_suffix(b"\n").unwrap()).is_ok()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Sizes, roots, proofs and tiles are those of a tree computed from its definition, however it is published.
    #[test]
    fn the_log_is_the_tree_of_its_lines(steps in prop::collection::vec(0u64..40, 1..20), jump in 0u64..600) {
        let mut marks = MarkMap::new();
        let mut files = MemoryFiles::default();
        let mut shard = Shard::first(&name(), key(1).public(), act()).unwrap();
        let mut lines = vec![read_first(&shard)];
        let mut known = Vec::new();
        for step in steps.into_iter().chain([jump]) {
            for count in 0..step {
                lines.push(shard.append(event(count)).unwrap().to_line().unwrap());
            }
            let note = publish(&mut shard, &mut files, 1, &mut marks);
            known.push(Checkpoint::parse(note.text()).unwrap());
            shard = Shard::load(&files, &name(), 1, &Signer::new(&key(1), &mut marks)).unwrap();
        }
        let leaves: Vec<Digest> = lines.iter().map(|line| leaf_hash(line)).collect();
        let end = known.last().unwrap().clone();
        prop_assert_eq!(end.root, merkle::root(&leaves));
        for known in &known {
            let size = usize::try_from(known.size).unwrap();
            prop_assert_eq!(known.root, merkle::root(&leaves[..size]));
            prop_assert!(end.extends(known, &shard.consistency(known.size, end.size).unwrap()));
            let proof = shard.inclusion(known.size - 1, end.size).unwrap();
            prop_assert!(end.includes(known.size - 1, &lines[size - 1], &proof));
            prop_assert!(!end.includes(known.size - 1, b"x", &proof));
        }
        prop_assert_eq!(verify(&files, &trust(), &known).unwrap().entries, lines.len() as u64);
    }
}

fn read_first(shard: &Shard) -> Vec<u8> {
    let facts = BTreeMap::from([(Fact::PublicKey, Value::Key(key(1).public().clone()))]);
    let Act { at, actor, reason } = act();
    let event =
        Event { at, actor, what: What::ShardOpened, keys: vec![audit_key(1)], reason, facts, change: None };
    Entry { shard: shard.number(), seq: 0, event }.to_line().unwrap()
}
