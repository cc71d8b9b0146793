use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::Instant;

use super::*;
use crate::audit::{Audit, AuditPlaces, Copies, Particulars, event, round_keys};
use crate::keeper::PlainRoom;
use quorate_crypto::sign::SigningKey;
use quorate_keys::DeploymentId;
use quorate_keys::audit::{SinkState, What};

struct World {
    folder: tempfile::TempDir,
    audit: Audit,
}

fn world(targets: impl FnOnce(&Path) -> Vec<Target>, patience: u64) -> World {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let places = AuditPlaces { folder: at.join("audit"), keys: at.join("marks") };
    let deployment = DeploymentId::new("here", SigningKey::from_bytes(&[7; 32]).public());
    let audit = Audit::open(&places, &mut PlainRoom::new(&at.join("keys")), &deployment, 1_000).unwrap();
    let copies = Copies { targets: targets(at), patience: Duration::from_secs(patience) };
    World { audit: audit.copied_to(&copies), folder }
}

impl World {
    /// Records something about each of these rounds.
    fn record(&mut self, rounds: std::ops::Range<u64>) {
        for round in rounds {
            self.audit.note(event(
                1_000,
                What::KeyActivated,
                round_keys(round),
                "a round",
                Particulars::new(),
            ));
        }
        self.audit.settle(1_000).unwrap();
    }

    fn states(&self) -> Vec<bool> {
        self.audit.health().sinks.iter().map(|sink| sink.state == SinkState::Working).collect()
    }

    /// Until the copies have everything.
    fn catch_up(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.audit.health().sinks.iter().any(|sink| sink.behind > 0) {
            assert!(Instant::now() < end, "{:?}", self.audit.health());
            self.audit.settle(1_000).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn assert_rounds(lines: &str, rounds: std::ops::Range<u64>) {
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len() as u64, rounds.end - rounds.start, "{lines:#?}");
    for (line, round) in lines.iter().zip(rounds) {
        let read: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(read["keys"][0], format!("round/updates@{round}"));
    }
}

// I8
#[test]
fn every_copy_has_every_entry_once_and_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut world = world(|at| vec![Target::File(at.join("lines")), Target::Tcp(address)], 20);
    world.record(1..100);
    world.record(100..103);
    let (stream, _) = listener.accept().unwrap();
    let received: Vec<_> = BufReader::new(stream).lines().take(102).map(Result::unwrap).collect();
    assert_rounds(&received.join("\n"), 1..103);
    assert_rounds(&std::fs::read_to_string(world.folder.path().join("lines")).unwrap(), 1..103);
    assert_eq!(world.states(), [true, true, true]);
}

// [KL-25] RT-48
#[test]
fn kl_25_a_copy_that_fails_stops_nobody_and_catches_up() {
    let mut world = world(|at| vec![Target::File(at.join("later/lines"))], 20);
    world.record(1..4);
    assert_eq!(world.states(), [true, false]);
    world.record(4..6);
    std::fs::create_dir(world.folder.path().join("later")).unwrap();
    world.catch_up();
    assert_rounds(&std::fs::read_to_string(world.folder.path().join("later/lines")).unwrap(), 1..6);
}

// [KL-25] RT-48: nobody reads from the pipe, so that opening it does not return.
#[cfg(unix)]
#[test]
fn kl_25_a_copy_that_hangs_is_waited_for_once() {
    let pipe = |at: &Path| {
        let made = Command::new("mkfifo").arg(at.join("pipe")).status().unwrap();
        assert!(made.success());
        vec![Target::File(at.join("pipe"))]
    };
    let mut world = world(pipe, 1);
    let begun = Instant::now();
    world.record(1..2);
    let first = begun.elapsed();
    assert!(first >= Duration::from_millis(900), "it was not waited for: {first:?}");
    assert_eq!(world.states(), [true, false]);
    let begun = Instant::now();
    (2..30).for_each(|round| world.record(round..round + 1));
    assert!(begun.elapsed() < first * 14, "it is waited for every time");
    let mut reader = File::open(world.folder.path().join("pipe")).unwrap();
    world.catch_up();
    drop(world);
    let mut lines = String::new();
    reader.read_to_string(&mut lines).unwrap();
    assert_rounds(&lines, 1..30);
}

#[test]
fn places_are_written_plainly() {
    let base = Path::new("/base");
    assert_eq!(Target::parse("file:a/b", base), Some(Target::File("/base/a/b".into())));
    assert_eq!(Target::parse("file:/a", base), Some(Target::File("/a".into())));
    assert_eq!(Target::parse("tcp:host:5170", base), Some(Target::Tcp("host:5170".into())));
    for wrong in ["", "file:", "a", "tcp:host", "tcp:host:0", "tcp::1", "tcp:host:x", "udp:host:1"] {
        assert_eq!(Target::parse(wrong, base), None, "{wrong}");
    }
}
