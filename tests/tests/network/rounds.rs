//! Rounds as they should be.

use quorate_protocol::manifest::Mode;

use crate::world::{Options, World};

async fn play(options: Options) -> World {
    let world = World::start(options).await;
    let running = world.crowd(world.options.parties).await;
    world.finished().await;
    world
        .become_so(|| {
            (0..world.options.parties).all(|at| world.told(at).counted.len() == 2 * world.options.jobs.len())
        })
        .await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn masked_rounds_open_and_everybody_is_told() {
    let world = play(Options::default()).await;
    let told = world.told.lock().unwrap().clone();
    for at in 0..world.options.parties {
        assert_eq!(told[&at].counted, [1, 2], "{told:?}");
    }
    let status = world.node.status();
    assert_eq!((status.jobs["job"].opened, status.jobs["job"].aborted), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_rounds_open_too() {
    let world = play(Options { mode: Mode::Plain, ..Options::default() }).await;
    assert_eq!(world.node.status().jobs["job"].opened, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_take_turns() {
    let world = play(Options { jobs: vec!["a", "b"], ..Options::default() }).await;
    let status = world.node.status();
    assert_eq!((status.jobs["a"].opened, status.jobs["b"].opened), (2, 2));
}

/// [CKG-8] A collective key is made by connected devices, rounds are held under it, and everybody is told.
#[tokio::test(flavor = "multi_thread")]
async fn homomorphic_rounds_open_under_a_key_that_devices_made() {
    let world = play(Options { mode: Mode::Homomorphic, ..Options::default() }).await;
    let told = world.told.lock().unwrap().clone();
    for at in 0..world.options.parties {
        assert_eq!(told[&at].counted, [1, 2], "{told:?}");
    }
    let status = world.node.status();
    assert_eq!((status.jobs["job"].opened, status.jobs["job"].aborted), (2, 0));
    assert_eq!(status.jobs["job"].mode, "homomorphic");
}
