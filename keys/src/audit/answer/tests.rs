use std::collections::BTreeMap;

use quorate_crypto::sign::SigningKey;

use super::super::{Act, Event, Mark, MemoryFiles, Shard, Signer, Text};
use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn name() -> LogName {
    LogName::new("test/audit").unwrap()
}

fn act() -> Act {
    Act { at: 1, actor: Text::new("coordinator").unwrap(), reason: Text::new("test").unwrap() }
}

fn event(at: u64) -> Event {
    Event {
        at,
        actor: Text::new("coordinator").unwrap(),
        what: What::KeyUsed,
        keys: vec!["model/global@1".parse().unwrap()],
        reason: Text::new("round").unwrap(),
        facts: BTreeMap::new(),
        change: None,
    }
}

/// A shard of `size` entries, published whenever `publish` says so and at the end.
fn log(size: u64, publish: impl Fn(u64) -> bool) -> (Shard, MemoryFiles) {
    let (mut files, mut marks) = (MemoryFiles::default(), BTreeMap::<String, Mark>::new());
    let own = key(1);
    let mut shard = Shard::first(&name(), own.public(), act()).unwrap();
    for at in 1..size {
        shard.append(event(at)).unwrap();
        if publish(at) {
            shard.publish(&mut files, &mut Signer::new(&own, &mut marks)).unwrap();
        }
    }
    shard.publish(&mut files, &mut Signer::new(&own, &mut marks)).unwrap();
    (shard, files)
}

/// [WIT-1]: from the tiles come the proofs that the whole tree gives, for all sizes around the edges of tiles.
#[test]
fn wit_1_tiles_give_the_proofs_of_the_tree() {
    for size in [1, 2, 7, 255, 256, 257, 300, 511, 513, 66_100] {
        let (shard, files) = log(size, |at| at % 97 == 3 && at < 1_000);
        for held in
            [0, 1, 2, 3, 128, 254, 255, 256, 257, 299, 512, 65_535, 65_536, 65_537, size - 1, size, size + 1]
        {
            let answer = Answer::of(&files, &name(), 1, held).unwrap();
            let proof =
                if held == 0 || held > size { Vec::new() } else { shard.consistency(held, size).unwrap() };
            assert_eq!(answer.consistency, proof, "{held} of {size}");
            assert_eq!(answer.opening.is_some(), held == 0);
            assert_eq!(answer.closing, None);
            if let Some(opening) = &answer.opening {
                assert_eq!(opening.path, shard.inclusion(0, size).unwrap());
                assert!(opening.entry(&shard.checkpoint(), (1, 0)).is_some());
            }
            assert_eq!(Answer::parse(&answer.to_bytes()), Some(answer));
        }
    }
}

/// [WIT-1]: the last entry of a closed shard goes with the answer.
#[test]
fn wit_1_a_closed_shard_shows_its_last_entry() {
    let (mut shard, mut files) = log(260, |_| false);
    shard.close(key(2).public(), act()).unwrap();
    let (own, mut marks) = (key(1), BTreeMap::<String, Mark>::new());
    shard.publish(&mut files, &mut Signer::new(&own, &mut marks)).unwrap();
    let answer = Answer::of(&files, &name(), 1, 260).unwrap();
    let closing = answer.closing.clone().unwrap();
    assert_eq!(closing.entry(&shard.checkpoint(), (1, 260)).unwrap().event.what, What::ShardClosed);
    assert!(closing.entry(&shard.checkpoint(), (1, 259)).is_none());
    assert_eq!(Answer::parse(&answer.to_bytes()), Some(answer));
    assert_eq!(Answer::of(&files, &name(), 2, 0), Err(LogError::Missing));
}

/// [WIT-1]: a damaged disk accuses nobody: what does not verify is not sent.
#[test]
fn wit_1_damaged_files_are_not_shown() {
    let (_, good) = log(300, |_| false);
    let all = [0, 1, 200, 257, 299].map(|held| Answer::of(&good, &name(), 1, held).unwrap());
    let mut refused = 0;
    for path in good.files.keys() {
        for at in (0..good.files[path].len()).step_by(61) {
            let mut files = good.clone();
            files.files.get_mut(path).unwrap()[at] ^= 1;
            for (held, whole) in [0, 1, 200, 257, 299].into_iter().zip(&all) {
                match Answer::of(&files, &name(), 1, held) {
                    // What is not read is not noticed, and a note is the receiver's to verify.
                    Ok(answer) => {
                        assert!(answer.consistency == whole.consistency && answer.opening == whole.opening)
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        let mut files = good.clone();
        files.files.remove(path);
        assert!(
            path.ends_with("1/000.p/1")
                || Answer::of(&files, &name(), 1, 200).is_err()
                || path.contains("entries/000"),
            "{path}"
        );
    }
    assert!(refused > 100, "{refused}");
}

/// [WIT-1]: nothing longer than it may be, and nothing cut off, is an answer.
#[test]
fn wit_1_answers_are_bounded_in_every_part() {
    let (_, files) = log(20, |_| false);
    let fine = Answer::of(&files, &name(), 1, 0).unwrap();
    let bytes = fine.to_bytes();
    for end in 0..bytes.len() {
        assert_eq!(Answer::parse(&bytes[..end]), None, "{end}");
    }
    assert_eq!(Answer::parse(&[&bytes[..], &[0]].concat()), None);
    let hashes = |count| vec![Digest::ZERO; count];
    let shown = |line, path| Some(Shown { line: vec![b'x'; line], path: hashes(path) });
    let most = Answer {
        note: vec![b'x'; MAX_NOTE_SHOWN],
        consistency: hashes(MAX_PROOF),
        opening: shown(MAX_LINE, MAX_PROOF),
        closing: shown(MAX_LINE, MAX_PROOF),
        ..fine.clone()
    };
    assert_eq!(most.to_bytes().len(), MAX_ANSWER);
    assert_eq!(Answer::parse(&most.to_bytes()), Some(most.clone()));
    for too_much in [
        Answer { note: vec![b'x'; MAX_NOTE_SHOWN + 1], ..fine.clone() },
        Answer { consistency: hashes(MAX_PROOF + 1), ..fine.clone() },
        Answer { opening: shown(MAX_LINE + 1, 0), ..fine.clone() },
        Answer { opening: shown(1, MAX_PROOF + 1), ..fine.clone() },
        Answer { closing: shown(MAX_LINE + 1, 0), ..fine.clone() },
        Answer { closing: shown(0, 1), ..fine },
    ] {
        assert_eq!(Answer::parse(&too_much.to_bytes()), None);
    }
    assert_eq!(Answer::parse(&vec![0; MAX_ANSWER + 1]), None);
}

/// Counts what is read.
struct Counted<'a>(&'a MemoryFiles, std::cell::Cell<usize>);

impl Files for Counted<'_> {
    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        self.1.set(self.1.get() + 1);
        self.0.read(path)
    }

    fn write(&mut self, _: &str, _: &[u8]) -> std::io::Result<()> {
        unreachable!()
    }

    fn remove(&mut self, _: &str) -> std::io::Result<()> {
        unreachable!()
    }
}

/// [WIT-1]: an answer reads a dozen files, however long the log and whatever is asked.
#[test]
fn wit_1_an_answer_costs_a_dozen_files() {
    let (_, files) = log(66_100, |_| false);
    let mut most = 0;
    for held in (0..66_100).step_by(331).chain([65_535, 65_536, 66_099, 66_100, u64::MAX]) {
        let counted = Counted(&files, std::cell::Cell::new(0));
        Answer::of(&counted, &name(), 1, held).unwrap();
        most = most.max(counted.1.get());
    }
    assert!((5..=12).contains(&most), "{most}");
}
