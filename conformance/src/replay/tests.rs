//! A recording that is right, and one for each requirement that is not.

use getrandom::SysRng;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::{RoundSecret, SealSuite};
use quorate_crypto::sign::SigningKey;
use quorate_keys::PartyId;
use quorate_protocol::id::SetId;
use quorate_protocol::statement::{AnswerStatement, LockStatement, RoundKeyStatement};
use quorate_protocol::wire::{self, Answer, Lock, Locks, Roster, RoundKey};
use rand_core::UnwrapErr;

use super::judge;
use crate::report::Report;
use crate::stage::{Founding, Hall, Held, Hex, PUPPETS, Scene, line, sign};

struct Tape {
    hall: Hall,
    subject: SigningKey,
    scene: Scene,
    held: Vec<Held>,
    head: String,
    key: RoundKey,
}

fn tape() -> Tape {
    let mut coins = UnwrapErr(SysRng);
    let mut founding = Founding::new(&mut coins);
    let subject = SigningKey::from_bytes(&[9; 32]);
    let id = founding.registry.append(subject.public().clone()).unwrap();
    let hall = Hall::begin(founding, id, &mut coins).unwrap();
    let manifest = hall.manifest(1, Suite::R4096);
    let (_, public) = RoundSecret::generate(SealSuite::X25519, &mut coins);
    let (mh, key) = (manifest.hash(), public.as_bytes());
    let signature = sign(&RoundKeyStatement { mh: &mh, id: &id, key }, &manifest.context(), &subject);
    let key = RoundKey { mh, id, key: key.to_vec(), signature };
    let scene = Scene::new(&hall, &manifest, &key, &mut coins).unwrap();
    let held = (0..PUPPETS).map(|index| scene.contribute(&hall, index, &mut coins).unwrap()).collect();
    let keys: Vec<String> = (0..)
        .zip(hall.registry.keys())
        .map(|(index, key): (u32, _)| format!("\"{index}\":\"{}\"", Hex(key.as_bytes())))
        .collect();
    let head = format!(
        "{{\"coordinator\":\"{}\",\"keys\":{{{}}}}}",
        Hex(hall.coordinator.public().as_bytes()),
        keys.join(",")
    );
    Tape { hall, subject, scene, held, head, key }
}

impl Tape {
    fn made(&self) -> Vec<wire::Contribution> {
        self.held.iter().map(|held| held.contribution.clone()).collect()
    }

    fn lock(&self, set: SetId) -> Lock {
        let signature = sign(&LockStatement(set), &self.scene.context, &self.subject);
        Lock { set, member: self.scene.place, signature }
    }

    fn answer(&self, set: SetId) -> Answer {
        let shares = vec![1, 2, 3];
        let statement = AnswerStatement { set, index: self.scene.place, shares: &shares };
        let signature = sign(&statement, &self.scene.context, &self.subject);
        Answer { set, member: self.scene.place, shares, signature }
    }

    fn lines(&self) -> Vec<String> {
        let (hall, scene) = (&self.hall, &self.scene);
        let close = scene.close(hall, &self.made());
        let locks = scene.locks(hall, close.set);
        let subject = hall.subject.index;
        vec![
            line(None, &hall.announcement(&scene.manifest, 0)),
            line(Some(subject), &wire::encode(1, &self.key)),
            line(None, &wire::encode(1, &scene.roster)),
            line(Some(0), &wire::encode(1, &self.held[0].contribution)),
            line(None, &wire::encode(1, &scene.relay(hall, &self.made()))),
            line(None, &wire::encode(1, &close)),
            line(Some(subject), &wire::encode(1, &self.lock(close.set))),
            line(None, &wire::encode(1, &locks)),
            line(Some(subject), &wire::encode(1, &self.answer(close.set))),
            line(None, &scene.result(hall, &close)),
        ]
    }

    fn judge(&self, lines: &[String]) -> Report {
        let text =
            [self.head.clone()].iter().chain(lines).map(|line| format!("{line}\n")).collect::<String>();
        judge(text.as_bytes()).unwrap()
    }

    fn failures(&self, lines: &[String]) -> Vec<&'static str> {
        self.judge(lines).failures().map(|failed| failed.id).collect()
    }
}

#[test]
fn a_right_recording_breaks_nothing() {
    let tape = tape();
    let report = tape.judge(&tape.lines());
    assert_eq!(report.counts(), (10, 0, 0), "{}", report.text());
    let some = tape.judge(&tape.lines()[..2]);
    assert_eq!(some.counts(), (3, 0, 7), "{}", some.text());
}

/// [ANN-1], [ROST-1], [CONV-1], [MASK-4], [SHARE-2], [OPEN-1], [OPEN-2], [SIG-1], [WIRE-2]: what is wrong is told under its rule.
#[test]
fn a_wrong_recording_is_told_by_its_rule() {
    let tape = tape();
    let (hall, scene, lines) = (&tape.hall, &tape.scene, tape.lines());
    let mut coins = UnwrapErr(SysRng);
    let with = |at: usize, line: String| {
        let mut lines = tape.lines();
        lines[at] = line;
        lines
    };
    let and = |line: String| [tape.lines(), vec![line]].concat();

    let mut loose = wire::encode(1, &scene.roster);
    loose.push(0);
    assert_eq!(tape.failures(&and(line(None, &loose))), ["R-01"]);

    let mut second = scene.manifest.clone();
    second.key_life += 1;
    assert_eq!(tape.failures(&and(line(None, &hall.announcement(&second, 0)))), ["R-02"]);

    let other = Scene::new(hall, &scene.manifest, &tape.key, &mut coins).unwrap();
    assert_eq!(tape.failures(&and(line(None, &wire::encode::<Roster>(1, &other.roster)))), ["R-03"]);

    let stolen = RoundKey { id: PartyId { index: 0, ..hall.puppet(0) }, ..tape.key.clone() };
    assert_eq!(tape.failures(&with(1, line(Some(0), &wire::encode(1, &stolen)))), ["R-04"]);

    let twice = scene.contribute(hall, 0, &mut coins).unwrap().contribution;
    assert_eq!(tape.failures(&and(line(Some(0), &wire::encode(1, &twice)))), ["R-05"]);

    let mut relay = scene.relay(hall, &tape.made());
    relay.items[1].path.clear();
    assert_eq!(tape.failures(&with(4, line(None, &wire::encode(1, &relay)))), ["R-06"]);

    let small = scene.close(hall, &tape.made()[..2]);
    assert_eq!(tape.failures(&and(line(None, &wire::encode(1, &small)))), ["R-07"]);

    let set = scene.close(hall, &tape.made()[1..]).set;
    assert_eq!(tape.failures(&and(line(Some(4), &wire::encode(1, &tape.lock(set))))), ["R-08"]);

    let few = Locks { locks: scene.locks(hall, scene.close(hall, &tape.made()).set).locks[..1].to_vec() };
    assert_eq!(tape.failures(&with(7, line(None, &wire::encode(1, &few)))), ["R-09"]);

    let set = scene.close(hall, &tape.made()).set;
    let forged =
        Lock { signature: sign(&LockStatement(set), &scene.context, &hall.puppets[3]), ..tape.lock(set) };
    assert_eq!(tape.failures(&and(line(Some(4), &wire::encode(1, &forged)))), ["R-10"]);
    assert_eq!(lines.len(), 10);
}

#[test]
fn what_is_no_recording_is_refused() {
    let tape = tape();
    for text in ["", "{}\n", "{\"coordinator\":\"00\",\"keys\":{}}\n"] {
        assert!(judge(text.as_bytes()).is_err(), "{text}");
    }
    for line in [
        "x",
        "{\"from\":\"nobody\",\"frame\":\"\"}",
        "{\"from\":1,\"frame\":\"0\"}",
        "{\"from\":1,\"frame\":\"zz\"}",
    ] {
        assert!(judge(format!("{}\n{line}\n", tape.head).as_bytes()).is_err(), "{line}");
    }
    let long = format!("{}\n{{\"from\":1,\"frame\":\"{}\"}}\n", tape.head, "0".repeat(super::LINE));
    assert!(judge(long.as_bytes()).is_err());
}
