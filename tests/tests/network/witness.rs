//! Devices as light witnesses of the coordinator's audit log ([WIT-1] to [WIT-4]).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use quorate_coordinator::audit::log_name;
use quorate_crypto::sign::PublicKey;
use quorate_keys::audit::{
    Checkpoint, Directory, Finding, Follower, Note, Trust, parse_verifier_key, verify,
};
use quorate_participant::{ClientError, LOG, LOG_EVIDENCE};

use crate::keeper::RESTLESS;
use crate::world::{Options, World, copy};

/// The newest checkpoint in a device's folder.
fn seen(world: &World, at: u32) -> Option<(u32, Checkpoint)> {
    let bytes = std::fs::read(world.device(at).join(LOG)).ok()?;
    let follower = Follower::parse(&bytes).unwrap();
    follower.newest().map(|(shard, checkpoint, _)| (shard, checkpoint))
}

fn first_key(folder: &Path) -> PublicKey {
    let key = std::fs::read_to_string(folder.join("audit-keys/log.vkey")).unwrap();
    parse_verifier_key(key.trim()).unwrap().1
}

/// [WIT-2], [KL-24]: under rounds the log goes from shard to shard, and every device with it; what each has seen holds the
/// log to its past.
#[tokio::test(flavor = "multi_thread")]
async fn wit_2_devices_follow_the_log_from_shard_to_shard() {
    let options = Options {
        rounds: 40,
        pause: Duration::from_millis(1_500),
        keys: Some(RESTLESS),
        ..Options::default()
    };
    let mut world = World::start(options).await;
    let running = world.crowd(6).await;
    let shard = |at| seen(&world, at).map_or(0, |(shard, _)| shard);
    world.become_so(|| (0..6).all(|at| shard(at) > 0)).await;
    let first = (0..6).map(shard).max().unwrap();
    world.become_so(|| (0..6).all(|at| shard(at) >= first + 2)).await;
    assert!(world.node.status().jobs["job"].opened >= 1, "rounds went on meanwhile");
    running.iter().for_each(tokio::task::JoinHandle::abort);
    let known: Vec<Checkpoint> = (0..6).filter_map(|at| seen(&world, at)).map(|(_, seen)| seen).collect();
    world.stop().await;
    let folder = world.folder.path();
    let trust = Trust { name: log_name(&world.deployment()), keys: BTreeMap::from([(1, first_key(folder))]) };
    let report = verify(&Directory::new(&folder.join("audit")), &trust, &known).unwrap();
    assert!(report.shards.len() > 2 && known.len() == 6);
    assert!((0..6).all(|at| !world.device(at).join(LOG_EVIDENCE).exists()));
}

/// [WIT-3], [WIT-4], KL-23, RT-14: log and marks are put back from a backup, and the coordinator goes on with them. It does
/// not notice; devices do, end with evidence that anybody can judge, and begin nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn wit_4_a_log_set_back_with_its_marks_is_found_by_devices() {
    let options = Options { rounds: 60, pause: Duration::from_millis(500), ..Options::default() };
    let mut world = World::start(options).await;
    let mut running = world.crowd(6).await;
    world.until(|status| status.jobs["job"].opened >= 1).await;
    world.stop().await;
    let at = |name: &str| world.folder.path().join(name);
    copy(&at("audit"), &at("kept-audit"));
    copy(&at("audit-keys"), &at("kept-audit-keys"));
    world.restart().await;
    let before = world.node.status().jobs.get("job").map_or(1, |job| job.opened);
    let note = std::fs::read(world.folder.path().join("kept-audit/1/checkpoint")).unwrap();
    let backup = Checkpoint::parse(Note::parse(&note).unwrap().text()).unwrap().size;
    world.until(|status| status.jobs.get("job").is_some_and(|job| job.opened >= before + 2)).await;
    world.become_so(|| (0..6).all(|at| seen(&world, at).is_some_and(|(_, seen)| seen.size > backup))).await;
    world.stop().await;
    let at = |name: &str| world.folder.path().join(name);
    copy(&at("kept-audit"), &at("audit"));
    copy(&at("kept-audit-keys"), &at("audit-keys"));
    let held: Vec<_> = (0..6).map(|at| seen(&world, at).unwrap()).collect();
    world.restart().await;

    // Without that one no round begins any more, and the others may see no more of the log.
    let evidence = |at: u32| world.device(at).join(LOG_EVIDENCE);
    world.become_so(|| (0..6).any(|at| evidence(at).exists())).await;
    let at = (0..6).find(|at| evidence(*at).exists()).unwrap();
    let file = evidence(at);
    let outcome =
        tokio::time::timeout(Duration::from_secs(20), &mut running[at as usize]).await.unwrap().unwrap();
    assert!(
        matches!(&outcome, Err(ClientError::TwoLogs(found)) if *found == file.canonicalize().unwrap()),
        "{outcome:?}"
    );
    // Judged by its bytes alone: two checkpoints by the coordinator's key that cannot both be true.
    let bytes = std::fs::read(&file).unwrap();
    let finding = Finding::parse(&bytes).unwrap();
    assert!(finding.judge().unwrap().is_proof());
    let key = first_key(world.folder.path());
    assert_eq!(finding.keys(), [(1, &key), (1, &key)]);
    assert_eq!(finding.log(), &log_name(&world.deployment()));
    // What it had seen is as it was, and the device does not open any more.
    assert!(seen(&world, at).unwrap() == held[at as usize]);
    let again = world.builder(&world.device(at), world.connector()).open();
    assert!(matches!(again, Err(ClientError::TwoLogs(_))), "{again:?}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    running.iter().for_each(tokio::task::JoinHandle::abort);
}
