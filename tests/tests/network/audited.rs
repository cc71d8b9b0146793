//! The audit log of a running coordinator: complete, continued after a stop, and without it nothing goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use quorate_coordinator::audit::{Audit, AuditError, AuditPlaces, log_name};
use quorate_coordinator::keeper::PlainRoom;
use quorate_coordinator::store::Store as _;
use quorate_keys::audit::{
    Directory, Fact, LogError, SignError, Trust, Value, What, parse_verifier_key, verify_each,
};
use quorate_keys::{Class, DeploymentId, KeyId};

use crate::world::{Options, World, copy};

/// What the log in a folder says, verified.
fn told(folder: &Path, deployment: &DeploymentId) -> Vec<(What, Vec<KeyId>, BTreeMap<Fact, Value>)> {
    let key = std::fs::read_to_string(folder.join("audit-keys/log.vkey")).unwrap();
    let (_, key) = parse_verifier_key(key.trim()).unwrap();
    let trust = Trust { name: log_name(deployment), keys: BTreeMap::from([(1, key)]) };
    let mut told = Vec::new();
    let report = verify_each(&Directory::new(&folder.join("audit")), &trust, &[], &mut |entry, _| {
        let event = &entry.event;
        told.push((event.what, event.keys.clone(), event.facts.clone()));
    });
    assert_eq!(report.unwrap().entries, told.len() as u64);
    told
}

fn of(world: &World) -> Vec<(What, Vec<KeyId>, BTreeMap<Fact, Value>)> {
    told(world.folder.path(), &world.deployment())
}

fn count(told: &[(What, Vec<KeyId>, BTreeMap<Fact, Value>)], wanted: What) -> usize {
    told.iter().filter(|(what, ..)| *what == wanted).count()
}

/// Every enrolment, every round's begin and end, every eviction, each once; also over a restart.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_all_that_was_done_with_keys() {
    let mut world = World::start(Options { pause: Duration::from_millis(200), ..Options::default() }).await;
    let running = world.crowd(6).await;
    world.finished().await;
    world.store().await.node_evict(5, 1, "test").await.unwrap();
    world.until(|status| status.evicted == 1).await;
    world.stop().await;
    world.restart().await;
    world.until(|status| status.jobs["job"].opened == 2).await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    let told = of(&world);
    assert_eq!(count(&told, What::ShardOpened), 1);
    assert_eq!(count(&told, What::PartyEnrolled), 6);
    assert_eq!(count(&told, What::PartyRemoved), 1);
    let round = |keys: &[KeyId]| keys[0].class() == Class::Round;
    for what in [What::KeyGenerated, What::KeyUsed, What::KeyDestroyed] {
        let of = told.iter().filter(|(is, keys, _)| *is == what && round(keys));
        let keys: Vec<_> = of.map(|(_, keys, _)| keys[0].to_string()).collect();
        assert_eq!(keys, ["round/updates@1", "round/updates@2"], "{what:?}");
    }
    let ends: Vec<_> = told
        .iter()
        .filter(|(what, keys, _)| *what == What::KeyDestroyed && round(keys))
        .map(|(.., facts)| facts[&Fact::Count].clone())
        .collect();
    assert_eq!(ends, [Value::Number(6), Value::Number(6)]);
}

/// [KL-25]: while the log takes nothing nobody is enrolled and no round begins; then both go on.
#[tokio::test(flavor = "multi_thread")]
async fn kl_25_without_a_log_nothing_begins() {
    let world =
        World::start(Options { rounds: 4, pause: Duration::from_secs(1), ..Options::default() }).await;
    let running = world.crowd(6).await;
    world.until(|status| status.jobs["job"].opened >= 1).await;
    let (folder, aside) = (world.folder.path().join("audit"), world.folder.path().join("aside"));
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, b"a file where a folder should be").unwrap();
    world
        .until(|status| status.jobs["job"].waiting.as_deref().is_some_and(|why| why.contains("audit")))
        .await;
    let begun = world.node.tally().begun;
    let opened = world.node.status().jobs["job"].opened;
    assert!(opened < 4);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.node.tally().begun, begun);
    assert!(world.node.tally().audit_refused > 0);
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    world.finished().await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    let begun = of(&world)
        .into_iter()
        .filter(|(what, keys, _)| *what == What::KeyGenerated && keys[0].class() == Class::Round);
    assert_eq!(begun.count() as u64, world.node.tally().begun);
}

/// [KL-23]: a log that was set back is not continued, and one whose keys are lost is not begun anew.
#[tokio::test(flavor = "multi_thread")]
async fn kl_23_a_log_set_back_is_not_continued() {
    let mut world = World::start(Options::default()).await;
    let (folder, kept) = (world.folder.path().join("audit"), world.folder.path().join("kept"));
    copy(&folder, &kept);
    let running = world.crowd(6).await;
    world.finished().await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let places = AuditPlaces { folder: folder.clone(), keys: world.folder.path().join("audit-keys") };
    let keys = world.folder.path().join("keys");
    let open = || Audit::open(&places, &mut PlainRoom::new(&keys), &world.deployment(), 2_000).map(drop);
    open().unwrap();
    copy(&kept, &folder);
    let refused = open();
    assert!(matches!(refused, Err(AuditError::Log(LogError::Sign(SignError::Behind { .. })))), "{refused:?}");
    std::fs::remove_dir_all(&keys).unwrap();
    assert!(matches!(open(), Err(AuditError::NoKey(_))));
}
