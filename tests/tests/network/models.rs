//! A model that cannot be written: its round's mean is not lost.

use std::fs;

use crate::world::{Options, World};

// RT-11: no round begins while the mean of an opened one is not in its model; after a crash it is taken up.
#[tokio::test(flavor = "multi_thread")]
async fn a_mean_waits_for_its_model_and_outlives_a_crash() {
    let mut world = World::start(Options::default()).await;
    // No file of this name can be made.
    let obstacle = world.folder.path().join("models/job/0000000001.state.tmp");
    fs::create_dir(&obstacle).unwrap();
    let running = world.crowd(world.options.parties).await;
    let waits = |why: &Option<String>| why.as_ref().is_some_and(|why| why.contains("cannot be written"));
    world.until(|status| status.jobs["job"].opened == 1 && waits(&status.jobs["job"].waiting)).await;
    assert_eq!((world.node.status().jobs["job"].version, world.node.tally().begun), (0, 1));
    world.crash().await;
    fs::remove_dir(&obstacle).unwrap();
    world.restart().await;
    assert_eq!(world.node.status().jobs["job"].version, 1, "taken up at the start");
    world.finished().await;
    world.counted(0..6, &[1, 2]).await;
    for round in 1..=2 {
        let mean = (0..6).map(|at| World::update(at, round)).sum::<f32>() / 6.0;
        let before = if round == 1 { vec![0.0; 40] } else { world.model(round - 1) };
        let steps = world.model(round).into_iter().zip(before).map(|(now, before)| now - before);
        assert!(
            steps.clone().all(|step| (step - mean).abs() < 4e-3),
            "{round}: {:?}",
            steps.collect::<Vec<_>>()
        );
    }
    let kept = world.folder.path().join("ledger/opening");
    world.become_so(|| !kept.exists()).await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
}

// The same without a crash: tried again until it can be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_mean_is_learnt_when_its_model_can_be_written() {
    let world = World::start(Options { rounds: 1, ..Options::default() }).await;
    let obstacle = world.folder.path().join("models/job/0000000001.state.tmp");
    fs::create_dir(&obstacle).unwrap();
    let running = world.crowd(world.options.parties).await;
    world.finished().await;
    assert_eq!(world.node.status().jobs["job"].version, 0);
    fs::remove_dir(&obstacle).unwrap();
    world.until(|status| status.jobs["job"].version == 1).await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
}
