//! More parties than places: they take turns, and nobody drops out for it.

use quorate_coordinator::store::Store as _;
use quorate_protocol::manifest::Mode;
use quorate_transport::Limits;

use crate::world::{Options, World};

/// Places, members of the committee, parties of a ceremony.
const PLACES: usize = 6;
const MEMBERS: usize = 4;
const CEREMONY: usize = 3;

async fn all_in_turn(mode: Mode) {
    let limits = Limits { places: PLACES, ..Limits::default() };
    let options = Options { parties: 24, mode, limits, ..Options::default() };
    let world = World::start(options).await;
    let running = world.crowd(24).await;
    let mut watch = world.node.watch();
    let most = tokio::spawn(async move {
        let mut most = 0;
        while watch.changed().await.is_ok() {
            most = most.max(watch.borrow_and_update().connected.len());
        }
        most
    });
    world.finished().await;
    let rows = world.store().await.rounds(None, None, 10).await.unwrap();
    let included: Vec<u32> = rows.iter().map(|row| row.included).collect();
    assert_eq!(included, [24, 24], "{:?}", world.node.status());
    assert!(world.node.tally().parted >= 18, "{:?}", world.node.tally());
    running.iter().for_each(tokio::task::JoinHandle::abort);
    drop(world);
    let most = most.await.unwrap();
    assert!(most <= PLACES + MEMBERS.max(CEREMONY), "{most} were connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_round_through_few_places() {
    all_in_turn(Mode::Masked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_round_through_few_places() {
    all_in_turn(Mode::Plain).await;
}
