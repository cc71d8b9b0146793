//! A contribution counts once, whatever gets lost, crashes or comes back (RT-11 to RT-14).

use std::path::Path;
use std::time::Duration;

use quorate_coordinator::status::Stage;
use quorate_participant::DeviceError;
use quorate_protocol::error::FaultKind;
use quorate_transport::{Refusal, TransportError};

use crate::world::{Options, SHORT, World, copy};

/// The mean of these parties' updates in a round, each once.
fn mean(parties: std::ops::Range<u32>, round: u64) -> f32 {
    let count = parties.len() as f32;
    parties.map(|at| World::update(at, round)).sum::<f32>() / count
}

fn close(model: &[f32], wanted: f32) {
    // Quantised at random: the mean over the coordinates is nearer than each.
    let mean = model.iter().sum::<f32>() / model.len() as f32;
    assert!((mean - wanted).abs() < 5e-4, "{model:?} is not {wanted}");
}

// RT-11 [MASK-4]: the contribution is taken, its receipt is lost; repeated on another connection it gets the receipt
// from the transport, repeated past the transport's memory from the machine; it counts once.
#[tokio::test(flavor = "multi_thread")]
async fn rt_11_a_lost_receipt_is_given_again_and_counts_once() {
    let world =
        World::start(Options { rounds: 1, training: Duration::from_millis(700), ..Options::default() }).await;
    let running = world.crowd(5).await;
    let mut puppet = world.puppet(5).await;
    let parcel = puppet.contribute(World::update(5, 1)).await;
    let (exchanges, lost) = (puppet.session.exchanges(), parcel.clone());
    let upload = tokio::spawn(async move { exchanges.upload(lost.0, &lost.1, &lost.2).await.map(drop) });
    world.become_so(|| world.node.tally().accepted >= 1).await;
    upload.abort();
    puppet.reconnect().await;
    let whole = (parcel.1.len() + parcel.2.len()) as u64;
    assert_eq!(puppet.upload(&parcel).await.unwrap(), whole, "nothing is sent again");
    // Another upload makes the endpoint forget what it has; the machine has not forgotten.
    let other = (parcel.0, vec![0; 200].into(), parcel.2.clone());
    assert!(matches!(puppet.upload(&other).await, Err(TransportError::Refused(Refusal::Invalid))));
    assert_eq!(puppet.upload(&parcel).await.unwrap(), 0, "all of it is sent again");
    puppet.device.as_mut().unwrap().acknowledged().unwrap();
    puppet.see(1).await;
    world.counted(0..5, &[1]).await;
    world.finished().await;
    assert_eq!(world.node.tally().accepted, 6);
    close(&world.model(1), mean(0..6, 1));
    drop(running);
}

// RT-11: a participant that dies in every stage and comes back; the rounds go on, none counts it twice.
#[tokio::test(flavor = "multi_thread")]
async fn rt_11_a_participant_that_crashes_in_every_stage() {
    let options = Options {
        rounds: 4,
        wanted: Some(5),
        training: Duration::from_millis(150),
        deadlines: SHORT,
        ..Options::default()
    };
    let world = World::start(options).await;
    let _running = world.crowd(5).await;
    let mut victim = Some(world.play(5, world.join(5).await));
    for stage in [Stage::Convene, Stage::Contribute, Stage::Lock, Stage::Open] {
        let opened = world.node.status().jobs["job"].opened;
        let mut seen = world.node.watch();
        let at = seen.wait_for(|status| {
            status.jobs["job"].opened > opened
                || status.current.as_ref().is_some_and(|now| now.stage == stage)
        });
        at.await.unwrap();
        let gone = victim.take().unwrap();
        gone.abort();
        let _ = gone.await;
        victim = Some(world.play(5, world.open(5)));
    }
    world.finished().await;
    world.counted(0..5, &(1..=world.told(0).counted.last().copied().unwrap()).collect::<Vec<_>>()).await;
    let counted = world.told(5).counted;
    assert!(counted.windows(2).all(|pair| pair[0] < pair[1]), "{counted:?}");
}

// RT-11 [MASK-4]: the coordinator dies in the middle of a round and comes back: the round's number is used up, its
// contributions are in no set, everybody goes on with the next.
#[tokio::test(flavor = "multi_thread")]
async fn rt_11_a_coordinator_that_crashes_in_a_round() {
    let options = Options { rounds: 2, training: Duration::from_millis(300), ..Options::default() };
    let mut world = World::start(options).await;
    let mut running = world.crowd(5).await;
    let mut puppet = world.puppet(5).await;
    let parcel = puppet.contribute(World::update(5, 1)).await;
    puppet.upload(&parcel).await.unwrap();
    world.crash().await;
    world.restart().await;
    running.push(tokio::spawn(async move {
        // The same bytes once more: their round is over.
        puppet.reconnect().await;
        assert!(matches!(puppet.upload(&parcel).await, Err(TransportError::Refused(Refusal::NotNow))));
        puppet.take_part(2).await;
        puppet.take_part(3).await;
        Ok(quorate_participant::Why::Rounds)
    }));
    world.finished().await;
    world.counted(0..5, &[2, 3]).await;
    running.pop().unwrap().await.unwrap().unwrap();
    close(&world.model(1), mean(0..6, 2));
}

// RT-12 [ROST-1]: a device restored to before its contribution makes another one, with a fresh mask: the coordinator
// keeps the first and has evidence of the second. That a copy never signs twice is not promised.
#[tokio::test(flavor = "multi_thread")]
async fn rt_12_a_restored_device_contributes_twice_and_counts_once() {
    let world =
        World::start(Options { rounds: 1, training: Duration::from_millis(1_500), ..Options::default() })
            .await;
    let _running = world.crowd(5).await;
    let mut puppet = world.puppet(5).await;
    let older = world.folder.path().join("older");
    copy(&puppet.folder, &older);
    let first = puppet.contribute(World::update(5, 1)).await;
    puppet.upload(&first).await.unwrap();
    puppet.restore(&world, &older);
    let second = puppet.contribute(0.5).await;
    assert!(second.0 == first.0 && second.1 != first.1 && second.2 != first.2);
    let refused = puppet.upload(&second).await;
    assert!(matches!(refused, Err(TransportError::Refused(Refusal::Invalid))), "{refused:?}");
    world.finished().await;
    world.counted(0..5, &[1]).await;
    let tally = world.node.tally();
    assert_eq!((tally.accepted, tally.refused.get("ROST-1").copied()), (6, Some(1)), "{tally:?}");
    close(&world.model(1), mean(0..6, 1));
}

// RT-13: two copies at once: the newer connection ends the older one, which is told so; a round counts one of them.
#[tokio::test(flavor = "multi_thread")]
async fn rt_13_of_two_copies_one_is_let_in() {
    let world =
        World::start(Options { rounds: 2, pause: Duration::from_millis(300), ..Options::default() }).await;
    let _running = world.crowd(5).await;
    drop(world.join(5).await);
    let twin = world.folder.path().join("twin");
    copy(&world.device(5), &twin);
    let first = world.play(5, world.open(5));
    world.until(|status| status.jobs["job"].opened >= 1 || status.current.is_some()).await;
    let second = world.play(6, world.builder(&twin, world.connector()).open().unwrap());
    let outcome = first.await.unwrap();
    assert!(matches!(outcome, Err(quorate_participant::ClientError::Replaced)), "{outcome:?}");
    world.finished().await;
    world.counted(0..5, &world.told(0).counted).await;
    let (one, two) = (world.told(5).counted, world.told(6).counted);
    assert!(one.iter().all(|round| !two.contains(round)), "{one:?} {two:?}");
    assert!(world.node.tally().accepted <= 6 * 2);
    second.abort();
}

// RT-14 [ANN-1]: a coordinator restored from a backup announces a number again: every device refuses it, nothing is
// opened a second time, and the numbers after it work.
#[tokio::test(flavor = "multi_thread")]
async fn rt_14_a_restored_coordinator_cannot_run_a_round_again() {
    let options = Options { rounds: 1, deadlines: SHORT, ..Options::default() };
    let mut world = World::start(options).await;
    let _running = world.crowd(5).await;
    let mut puppet = world.puppet(5).await;
    puppet.take_part(1).await;
    world.counted(0..5, &[1]).await;
    world.stop().await;
    let backup = world.folder.path().join("backup");
    let state = |from: &Path, to: &Path| {
        for name in ["ledger", "models"] {
            copy(&from.join(name), &to.join(name));
        }
        for name in ["coordinator.db", "coordinator.db-wal", "coordinator.db-shm"] {
            let _ = std::fs::remove_file(to.join(name));
            let _ = std::fs::copy(from.join(name), to.join(name));
        }
    };
    std::fs::create_dir_all(&backup).unwrap();
    let here = world.folder.path().to_owned();
    state(&here, &backup);
    world.options.rounds = 2;
    world.restart().await;
    puppet.reconnect().await;
    puppet.take_part(2).await;
    world.counted(0..5, &[1, 2]).await;
    world.stop().await;
    state(&backup, &here);
    world.restart().await;
    puppet.reconnect().await;
    puppet.refused.clear();
    puppet.refuse().await;
    let stale = |error: &DeviceError| matches!(error, DeviceError::Fault(fault) if fault.kind == FaultKind::StaleRound);
    assert!(stale(&puppet.refused[0]), "{:?}", puppet.refused);
    puppet.take_part(3).await;
    world.counted(0..5, &[1, 2, 3]).await;
    world.finished().await;
    assert_eq!((world.node.status().jobs["job"].opened, world.node.status().jobs["job"].aborted), (2, 1));
    assert_eq!(
        world.node.tally().accepted,
        6,
        "none for the round that ran before: {:?}",
        world.node.tally()
    );
}
