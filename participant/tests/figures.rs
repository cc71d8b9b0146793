//! The figures of the crate's documentation: what a device stores and what it sends.
//! `cargo test -p quorate-participant --test figures -- --nocapture` prints them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use std::sync::atomic::Ordering;

use quorate_participant::{Step, Training};
use support::relay::Relay;
use support::{World, until};

const LARGE: usize = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_and_traffic_of_a_round() {
    let world = World::new();
    let relay = Relay::new(world.address).await;
    drop(world.join(4).await);
    drop(world.builder(4).join(relay.address, world.pin, world.token()).await.unwrap());
    world.hold_ceremony();
    let read = |training: &Training| (vec![training.round as f32 + 1.0; LARGE], 1);
    for name in 0..4 {
        let mut client = world.builder(name).open().unwrap();
        tokio::spawn(async move { client.run(move |training| read(&training)).await });
    }
    let mut fifth = world.builder(4).open().unwrap();
    while !fifth.is_connected() {
        fifth.tick().await.unwrap();
    }
    let count = || (relay.up.load(Ordering::SeqCst), relay.down.load(Ordering::SeqCst));
    let before = count();
    let model = vec![0; 4 * LARGE];
    world.start_with(&model, |config| config.schema.dim = LARGE as u32);
    let step = until(&mut fifth, |step| matches!(step, Step::Train(_))).await;
    let Step::Train(training) = step else { unreachable!() };
    let (update, weight) = read(&training);
    fifth.submit(training.round, &update, weight).await.unwrap();
    until(&mut fifth, |step| matches!(step, Step::Counted { .. })).await;
    let after = count();
    let uploads = world.hub().state().uploads.clone();
    let (_, frame, vector) = uploads.iter().find(|upload| upload.0 == 4).unwrap();
    let size = |name: &str| std::fs::metadata(world.folder(4).join(name)).map_or(0, |data| data.len());
    let state: u64 = ["identity", "state", "participant.toml"].into_iter().map(size).sum();
    println!("stored between rounds: {state} bytes, of which `state` {}", size("state"));
    println!("contribution of {LARGE} coordinates: {} + {} bytes", frame.len(), vector.len());
    println!("round, UDP payload: {} up, {} down", after.0 - before.0, after.1 - before.1);
    // What a contribution takes is on disk only until its receipt.
    assert_eq!(size("contribution"), 0);
    assert!(state < 8 << 10, "{state}");
}
