//! Connections that are lost in the middle of a round, and come back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use quorate_participant::Step;
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::manifest::Deadlines;
use quorate_protocol::wire::{Message as _, RosterRequest, RoundKey};
use support::relay::Relay;
use support::{World, run_all, until, update, wait};

/// Time enough to notice that a connection is gone.
fn patient(config: &mut RoundConfig) {
    config.deadlines =
        Deadlines { convene: 30_000, contribute: 40_000, check: 44_000, lock: 46_000, open: 48_000 };
}

/// A frame of a device gets lost and then its connection; the round still counts everybody.
async fn a_loss_is_made_good(index: u32, kind: u8) {
    let world = World::new();
    let relay = Relay::new(world.address).await;
    for name in 0..5 {
        let address = if name == index { relay.address } else { world.address };
        drop(world.builder(name).join(address, world.pin, world.token()).await.unwrap());
    }
    world.hold_ceremony();
    world.hub().state().lose = Some((index, kind));
    let running = run_all((0..5).map(|name| world.builder(name).rounds(1).open().unwrap()).collect());
    world.start_with(b"model", patient);
    wait(|| world.hub().state().lose.is_none()).await;
    world.hub().state().gone.clear();
    relay.most.store(0, Ordering::SeqCst);
    wait(|| world.hub().state().gone.contains(&index)).await;
    relay.most.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(world.hub().opened(1).await[0].included, [0, 1, 2, 3, 4]);
    for device in running {
        device.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_round_key_is_sent_again() {
    a_loss_is_made_good(0, RoundKey::TYPE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_roster_request_is_sent_again() {
    a_loss_is_made_good(4, RosterRequest::TYPE).await;
}

/// RT-43: a model download goes on where the connection was lost; the round is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_download_goes_on_where_it_was() {
    let world = World::new();
    let relay = Relay::new(world.address).await;
    drop(world.join(4).await);
    drop(world.builder(4).join(relay.address, world.pin, world.token()).await.unwrap());
    world.hold_ceremony();
    let mut fifth = world.builder(4).open().unwrap();
    while !fifth.is_connected() {
        fifth.tick().await.unwrap();
    }
    let model: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(i) >> 5) as u8).collect();
    let before = relay.down.load(Ordering::SeqCst);
    relay.most.store(before + 600_000, Ordering::SeqCst);
    world.start_with(&model, patient);
    let ticking = async {
        while fifth.trouble().is_none() {
            fifth.tick().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ticking).await.unwrap();
    let cut = relay.down.load(Ordering::SeqCst) - before;
    assert!(cut >= 600_000);
    relay.most.store(usize::MAX, Ordering::SeqCst);
    let step = until(&mut fifth, |step| matches!(step, Step::Train(_))).await;
    let Step::Train(training) = step else { unreachable!() };
    assert_eq!(*training.model, *model);
    let all = relay.down.load(Ordering::SeqCst) - before;
    assert!(all < 1_400_000, "{all} bytes for a model of a million");
    fifth.submit(training.round, &update(4, training.round), 1).await.unwrap();
    world.hub().cancel();
    wait(|| !world.hub().state().aborted.is_empty()).await;
}
