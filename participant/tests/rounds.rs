//! Whole rounds over loopback QUIC: real service, real devices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use quorate_participant::{Missed, Step};
use quorate_protocol::error::{FaultKind, PolicyBreach};
use quorate_protocol::policy::{NamedCommittee, Policy};
use support::{DIM, World, run_all, train, until, update};

/// The mean of what these devices contribute to a round.
fn mean(indices: &[u32], round: u64) -> Vec<f64> {
    let updates: Vec<_> = indices.iter().map(|&index| update(index, round)).collect();
    (0..DIM).map(|i| updates.iter().map(|u| f64::from(u[i])).sum::<f64>() / updates.len() as f64).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rounds_count_everybody_exactly() {
    let world = World::new();
    drop(world.join(5).await);
    world.hold_ceremony();
    let clients = (0..5).map(|name| world.builder(name).rounds(2).open().unwrap()).collect();
    let running = run_all(clients);
    for round in 1..=2 {
        assert_eq!(world.start(b"model"), round);
        let opened = world.hub().opened(round as usize).await;
        let opened = opened.last().unwrap();
        assert_eq!((opened.included.as_slice(), opened.weight), (&[0, 1, 2, 3, 4][..], 5));
        for (got, expected) in opened.mean.iter().zip(mean(&opened.included, round)) {
            assert!((got - expected).abs() < 1e-9, "{got} {expected}");
        }
    }
    for device in running {
        let (client, told) = device.await.unwrap();
        for round in 1..=2 {
            assert!(told.contains(&format!("Counted {{ round: {round} }}")), "{:?}: {told:?}", client.id());
            let answered = told.contains(&format!("Answered {{ round: {round} }}"));
            assert_eq!(answered, client.id().index < 4, "{told:?}");
        }
        assert_eq!(client.rounds(), 2);
    }
}

/// [POL-1]: the owner's floors win; a round below them is told as refused, and the others go on without the device.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_below_the_policy_is_refused_visibly() {
    let world = World::new();
    drop(world.join(6).await);
    world.hold_ceremony();
    let strict = Policy { named: NamedCommittee::Anybody, k_min: 3, ..Policy::default() };
    let mut picky = world.builder(5).policy(strict).open().unwrap();
    let others = (0..5).map(|name| world.builder(name).rounds(1).open().unwrap()).collect();
    let running = run_all(others);
    let round = world.start(b"model");
    let step = until(&mut picky, |step| !matches!(step, Step::Wait { .. })).await;
    let Step::Refused { round: refused, fault } = step else { panic!("{step:?}") };
    assert_eq!((refused, fault.kind), (round, FaultKind::Policy(PolicyBreach::MinimumCohort)));
    assert_eq!(world.hub().opened(1).await[0].included, [0, 1, 2, 3, 4]);
    for device in running {
        device.await.unwrap();
    }
    // Told once, however often it polls.
    for _ in 0..2 {
        assert!(matches!(picky.tick().await.unwrap(), Step::Wait { .. }));
    }
}

/// [MASK-4]: killed with the upload under way and opened again, a device sends the identical bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_device_uploads_the_identical_bytes() {
    let world = World::new();
    drop(world.join(5).await);
    world.hold_ceremony();
    let running = run_all((0..4).map(|name| world.builder(name).rounds(1).open().unwrap()).collect());
    let mut fifth = world.builder(4).open().unwrap();
    world.hub().state().verdict = Some(quorate_transport::Refusal::Busy);
    let round = world.start(b"model");
    assert_eq!(train(&mut fifth).await, round);
    let came = |hub: &support::hub::Hub| hub.state().uploads.iter().filter(|upload| upload.0 == 4).count();
    while came(world.hub()) == 0 {
        fifth.tick().await.unwrap();
    }
    drop(fifth);
    world.hub().state().verdict = None;
    let mut fifth = world.builder(4).open().unwrap();
    until(&mut fifth, |step| matches!(step, Step::Counted { .. })).await;
    let opened = world.hub().opened(1).await;
    assert_eq!(opened[0].included, [0, 1, 2, 3, 4]);
    let uploads: Vec<_> =
        world.hub().state().uploads.iter().filter(|upload| upload.0 == 4).cloned().collect();
    assert!(uploads.len() >= 2 && uploads.iter().all(|upload| *upload == uploads[0]));
    for device in running {
        device.await.unwrap();
    }
}

/// An upload that is refused for good costs the round and is told; another update for it has nowhere to go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_refused_for_good_costs_the_round() {
    let world = World::new();
    drop(world.join(5).await);
    world.hold_ceremony();
    let others = run_all((0..4).map(|name| world.builder(name).rounds(1).open().unwrap()).collect());
    let mut fifth = world.builder(4).open().unwrap();
    world.hub().state().verdict = Some(quorate_transport::Refusal::NotNow);
    world.start(b"model");
    let round = train(&mut fifth).await;
    let step = until(&mut fifth, |step| matches!(step, Step::Missed { .. })).await;
    let Step::Missed { why: Missed::Upload(refusal), .. } = step else { panic!("{step:?}") };
    assert_eq!(refusal, quorate_transport::Refusal::NotNow);
    assert!(fifth.submit(round, &update(4, round), 1).await.is_err());
    others.into_iter().for_each(|device| device.abort());
}
