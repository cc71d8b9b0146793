//! Rounds under a collective key over QUIC: keys made anew by policy, holders evicted, devices and coordinator killed.

use std::time::Duration;

use quorate_coordinator::config::CollectivePlan;
use quorate_coordinator::store::Store as _;
use quorate_protocol::manifest::Mode;
use tokio::task::JoinHandle;

use crate::world::{Options, World, now};

fn options(rounds: u64, collective: CollectivePlan) -> Options {
    let collective = CollectivePlan { patience: Duration::from_secs(5), ..collective };
    Options { mode: Mode::Homomorphic, rounds, collective, ..Options::default() }
}

/// KL-16 [CKG-8]: shares are refreshed and keys are made anew when `[collective]` says so, and no round is lost by it.
#[tokio::test(flavor = "multi_thread")]
async fn kl_16_keys_are_refreshed_and_made_anew_by_policy() {
    let often = CollectivePlan { refresh_rounds: 2, rekey_rounds: 5, ..CollectivePlan::default() };
    let world = World::start(options(12, often)).await;
    let running = world.crowd(world.options.parties).await;
    world.finished().await;
    let status = world.node.status();
    assert_eq!((status.jobs["job"].opened, status.jobs["job"].aborted), (12, 0));
    // Sessions: the first, and at least four others.
    assert!(status.key_sessions >= 5, "{}", status.key_sessions);
    running.iter().for_each(JoinHandle::abort);
}

/// KL-16: a holder that is evicted is out of the key at once: its successor shares are made without it, and rounds go on.
#[tokio::test(flavor = "multi_thread")]
async fn kl_16_an_evicted_holder_is_refreshed_away() {
    let mut world = World::start(Options {
        parties: 7,
        wanted: Some(5),
        pause: Duration::from_millis(300),
        ..options(8, CollectivePlan::default())
    })
    .await;
    let running = world.crowd(7).await;
    world.until(|status| status.jobs["job"].opened >= 2).await;
    // The committee is the first parties; one of them goes.
    world.store().await.node_evict(1, now() * 1_000, "a test").await.unwrap();
    world.until(|status| status.key_sessions >= 2).await;
    world.finished().await;
    assert_eq!(world.node.status().jobs["job"].opened, 8);
    running.iter().for_each(JoinHandle::abort);
    world.stop().await;
}

/// RT-11 [OPEN-5] [CKG-8]: devices and coordinator are killed again and again, in sessions and in rounds. Shares, locks and
/// counts come back, a session that somebody is silent in is held again, and all rounds end.
#[tokio::test(flavor = "multi_thread")]
async fn rt_11_killed_holders_and_coordinator_go_on() {
    let often = CollectivePlan { refresh_rounds: 3, rekey_rounds: 6, ..CollectivePlan::default() };
    let mut world = World::start(Options {
        wanted: Some(4),
        pause: Duration::from_millis(200),
        ..options(10, CollectivePlan { patience: Duration::from_secs(2), ..often })
    })
    .await;
    let parties = world.options.parties as usize;
    let mut running = world.crowd(world.options.parties).await;
    let mut kills = 0;
    while kills < 24 {
        tokio::time::sleep(Duration::from_millis(370)).await;
        let at = kills % parties;
        running[at].abort();
        let _ = (&mut running[at]).await;
        let client = loop {
            match world.builder(&world.device(at as u32), world.connector()).open() {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        running[at] = world.play(at as u32, client);
        kills += 1;
        if kills % 9 == 0 {
            world.crash().await;
            world.restart().await;
        }
    }
    world.finished().await;
    let status = world.node.status();
    assert_eq!(status.jobs["job"].opened, 10);
    running.iter().for_each(JoinHandle::abort);
    world.stop().await;
    // What a device keeps of its share is sealed.
    let kept = (0..parties).filter(|at| world.device(*at as u32).join("share").exists()).count();
    assert!(kept >= 3, "{kept}");
}
