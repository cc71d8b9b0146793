//! A device and the audit log that its coordinator shows it ([WIT-2] to [WIT-4]).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{
    Act, Answer, Event, Finding, LogName, MAX_ANSWER, Mark, MemoryFiles, Shard, Signer, Text, Verdict, What,
};
use quorate_participant::{Client, ClientError, LOG, LOG_EVIDENCE, LogTrouble, Step, StorageKey};
use support::hub::Show;
use support::{World, os, until};

/// A log of this deployment with so many entries, the last ones told apart by `salt`.
fn log(world: &World, size: u64, (from, salt): (u64, u64)) -> Show {
    let name = LogName::of(world.hub().registry().deployment());
    let (own, mut files, mut marks) =
        (SigningKey::from_bytes(&[1; 32]), MemoryFiles::default(), BTreeMap::<String, Mark>::new());
    let words = |text: &str| Text::new(text).unwrap();
    let act = Act { at: 1, actor: words("coordinator"), reason: words("test") };
    let mut shard = Shard::first(&name, own.public(), act).unwrap();
    for at in 1..size {
        let event = Event {
            at: if at >= from { at + salt } else { at },
            actor: words("coordinator"),
            what: What::KeyUsed,
            keys: vec!["model/global@1".parse().unwrap()],
            reason: words("round"),
            facts: BTreeMap::new(),
            change: None,
        };
        shard.append(event).unwrap();
    }
    shard.publish(&mut files, &mut Signer::new(&own, &mut marks)).unwrap();
    Box::new(move |shard, held| Answer::of(&files, &name, shard.max(1), held).unwrap().to_bytes())
}

/// Opens the device on a coordinator that shows this.
fn open(world: &World, show: Show) -> Client {
    world.hub().state().log = Some(show);
    world.builder(0).open().unwrap()
}

/// Ticks until the device has seen so many entries.
async fn sees(client: &mut Client, size: u64) {
    let known = |client: &Client| client.known_checkpoint().map(|(_, seen)| seen.size);
    let wait = async {
        while known(client) != Some(size) {
            client.tick().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

/// [WIT-3]: garbage, too much, a log of somebody else and one that is shorter are no progress and no evidence; what was seen
/// is durable.
#[tokio::test]
async fn wit_3_answers_that_do_not_count_change_nothing() {
    let world = World::new();
    drop(world.join(1).await);
    let mut client = open(&world, Box::new(|_, _| vec![7; 100]));
    let told = until(&mut client, |step| matches!(step, Step::Log(_))).await;
    assert!(matches!(told, Step::Log(LogTrouble::Answer(_))), "{told:?}");
    drop(client);
    // More than an answer may have is not read, and not told: it is asked again.
    world.hub().state().asked.clear();
    let mut client = open(&world, Box::new(|_, _| vec![0; MAX_ANSWER + 1]));
    support::wait_quietly(&mut client, || !world.hub().state().asked.is_empty()).await;
    assert_eq!(client.known_checkpoint(), None);
    assert!(!world.folder(0).join(LOG).exists());
    drop(client);

    let mut client = open(&world, log(&world, 20, (20, 0)));
    sees(&mut client, 20).await;
    drop(client);
    let elsewhere = World::new();
    let mut client = open(&world, log(&elsewhere, 30, (20, 0)));
    let told = until(&mut client, |step| matches!(step, Step::Log(_))).await;
    assert!(matches!(told, Step::Log(LogTrouble::Answer(_))), "{told:?}");
    drop(client);
    let mut client = open(&world, log(&world, 12, (20, 0)));
    assert_eq!(client.known_checkpoint().unwrap().1.size, 20, "from its folder");
    let told = until(&mut client, |step| matches!(step, Step::Log(_))).await;
    assert!(matches!(told, Step::Log(LogTrouble::Behind { kept: 20, shown: 12 })), "{told:?}");
    drop(client);
    let mut client = open(&world, log(&world, 25, (20, 5)));
    sees(&mut client, 25).await;
    assert!(!world.folder(0).join(LOG_EVIDENCE).exists());
    let asked = world.hub().state().asked.clone();
    assert!(asked.contains(&(1, 20)) && asked.contains(&(0, 0)), "{asked:?}");
}

/// [WIT-4]: after two logs the device begins nothing more, is not opened, is not moved; the evidence is judged by its bytes.
#[tokio::test]
async fn wit_4_after_two_logs_a_device_begins_nothing() {
    for (size, verdict) in [(20, Verdict::TwoRoots), (25, Verdict::Rewritten)] {
        let world = World::new();
        drop(world.join(1).await);
        let mut client = open(&world, log(&world, 20, (20, 0)));
        sees(&mut client, 20).await;
        let seen = std::fs::read(world.folder(0).join(LOG)).unwrap();
        drop(client);
        let mut client = open(&world, log(&world, size, (15, 1_000)));
        let refuses = async {
            loop {
                match client.tick().await {
                    Ok(step) => assert!(matches!(step, Step::Wait { .. }), "{step:?}"),
                    Err(error) => break error,
                }
            }
        };
        let refused = tokio::time::timeout(Duration::from_secs(60), refuses).await.unwrap();
        let two =
            |error: &ClientError| matches!(error, ClientError::TwoLogs(file) if file.ends_with(LOG_EVIDENCE));
        assert!(two(&refused), "{refused:?}");
        assert!(two(&client.tick().await.unwrap_err()));
        assert!(two(&client.submit(1, &[], 1).await.unwrap_err()));
        let evidence = std::fs::read(world.folder(0).join(LOG_EVIDENCE)).unwrap();
        assert_eq!(Finding::parse(&evidence).unwrap().judge(), Ok(verdict));
        assert_eq!(std::fs::read(world.folder(0).join(LOG)).unwrap(), seen);
        assert!(two(&client.save(&StorageKey::generate(&mut os())).unwrap_err()));
        assert!(!world.folder(0).join("moved").exists());
        // Also on a coordinator that shows the first log again.
        world.hub().state().log = Some(log(&world, 20, (20, 0)));
        assert!(two(&world.builder(0).open().unwrap_err()));
        assert_eq!(std::fs::read(world.folder(0).join(LOG_EVIDENCE)).unwrap(), evidence);
    }
}
