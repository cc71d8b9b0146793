//! Rounds under a collective key over QUIC: keys made anew by policy, holders evicted, devices and coordinator killed.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_coordinator::config::CollectivePlan;
use quorate_coordinator::keeper::{Order, collective_line};
use quorate_coordinator::store::Store as _;
use quorate_keys::inventory::event::{Cause, Change, Trigger};
use quorate_keys::state::State;
use quorate_protocol::manifest::Mode;
use tokio::task::JoinHandle;

use crate::keeper::{give, order, told};
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

/// Changes of the line of the collective key in the log, with their causes.
fn changes(world: &World) -> Vec<(u32, Change, Cause)> {
    let told = told(world.folder.path(), world);
    let of_it = told.events.iter().filter(|event| event.key.name == collective_line());
    let all = of_it.map(|event| (event.key.version, event.change.clone(), event.cause));
    all.filter(|(_, change, _)| !matches!(change, Change::Used { .. })).collect()
}

/// KL-17: `refresh`, `reshare` and `rotate` by order, between rounds that all open: the key stays in the first two and is another
/// one after the third. The log alone says so.
#[tokio::test(flavor = "multi_thread")]
async fn kl_17_refresh_reshare_and_rekey_by_order() {
    let mut world = World::start(Options {
        named: vec![0, 1, 2, 3, 4, 5],
        pause: Duration::from_millis(300),
        ..options(1_000, CollectivePlan::default())
    })
    .await;
    let running = world.crowd(world.options.parties).await;
    world.until(|status| status.jobs["job"].opened >= 1).await;
    let shown = |world: &World| world.node.status().collective.clone().unwrap();
    let first = shown(&world);
    let line = collective_line();
    let ordered = |order: Order| give_and_wait(&world, order);
    assert_eq!(ordered(Order::Refresh { line: line.clone() }).await, "done");
    assert_eq!(shown(&world).generation, first.generation + 1);
    assert_eq!(ordered(Order::Reshare { line: line.clone() }).await, "done");
    assert_eq!(shown(&world).generation, first.generation + 2);
    assert_eq!(ordered(Order::Rotate { line: line.clone() }).await, "done");
    world.until(|status| status.collective.as_ref().is_some_and(|key| key.generation == 0)).await;
    let opened = world.node.status().jobs["job"].opened;
    world.until(|status| status.jobs["job"].opened >= opened + 2).await;
    assert_eq!(world.node.status().jobs["job"].aborted, 0);
    let other = "coordinator/identity".parse().unwrap();
    assert!(ordered(Order::Refresh { line: other }).await.starts_with("refused"));
    running.iter().for_each(JoinHandle::abort);
    world.stop().await;

    let command = Cause::Event(Trigger::Command);
    let seen = changes(&world);
    let shares: Vec<_> = seen.iter().filter(|(_, change, _)| *change == Change::Refreshed).collect();
    assert_eq!(shares.len(), 2, "{seen:?}");
    assert!(shares.iter().all(|(version, _, cause)| (*version, *cause) == (1, command)));
    let told = told(world.folder.path(), &world);
    assert_eq!(told.inventory.protecting(&line).unwrap().0, line.version(2));
    assert!(told.inventory.key(&line.version(2)).unwrap().used.operations >= 2);
    assert_eq!(told.inventory.key(&line.version(1)).unwrap().state, State::Retiring);
}

async fn give_and_wait(world: &World, what: Order) -> String {
    give(world, &order(world, what, 0)).await
}

/// KL-10: a revoked collective key opens nothing any more: the round under way ends, the next one is held under another key.
#[tokio::test(flavor = "multi_thread")]
async fn kl_10_a_revoked_collective_key_serves_no_more() {
    let mut world = World::start(Options {
        pause: Duration::from_millis(300),
        ..options(1_000, CollectivePlan::default())
    })
    .await;
    let running = world.crowd(world.options.parties).await;
    world.until(|status| status.jobs["job"].opened >= 1).await;
    let first = world.node.status().collective.clone().unwrap().record;
    let revoke = order(&world, Order::Revoke { key: collective_line().version(1), since: now() }, 2);
    assert_eq!(give(&world, &revoke).await, "done");
    let opened = world.node.status().jobs["job"].opened;
    world.until(|status| status.jobs["job"].opened >= opened + 2).await;
    assert_ne!(world.node.status().collective.clone().unwrap().record, first);
    running.iter().for_each(JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    let line = collective_line();
    assert!(told.inventory.key(&line.version(1)).unwrap().compromise.is_some());
    assert_eq!(told.inventory.protecting(&line).unwrap().0, line.version(2));
}

/// [CREN-3]: two of four holders are gone for good, so that no set could be locked any more. The two that are left deal the key
/// to others, without anybody's order, and rounds go on.
#[tokio::test(flavor = "multi_thread")]
async fn cren_3_holders_that_are_gone_are_replaced() {
    let soon = CollectivePlan { holders_patience: Duration::from_secs(2), ..CollectivePlan::default() };
    let mut world = World::start(Options {
        parties: 8,
        wanted: Some(5),
        named: (0..8).collect(),
        pause: Duration::from_millis(300),
        ..options(1_000, soon)
    })
    .await;
    let mut running = world.crowd(8).await;
    world.until(|status| status.jobs["job"].opened >= 1).await;
    let first = world.node.status().collective.clone().unwrap().holders;
    for index in first.iter().take(2) {
        running[*index as usize].abort();
        let _ = (&mut running[*index as usize]).await;
    }
    let generation = |world: &World| world.node.status().collective.as_ref().map(|key| key.generation);
    world.until(|status| status.collective.as_ref().is_some_and(|key| key.generation == 1)).await;
    let opened = world.node.status().jobs["job"].opened;
    world.until(|status| status.jobs["job"].opened >= opened + 2).await;
    assert_eq!(generation(&world), Some(1));
    let after: BTreeSet<u32> = world.node.status().collective.clone().unwrap().holders.into_iter().collect();
    assert!(after.len() == 4 && first.iter().take(2).all(|index| !after.contains(index)), "{after:?}");
    running.iter().for_each(JoinHandle::abort);
    world.stop().await;
}
