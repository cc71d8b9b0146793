//! More parties than places: they take turns, and nobody drops out for it.

use std::time::Duration;

use quorate_coordinator::store::Store as _;
use quorate_protocol::manifest::{Deadlines, Mode};
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

// RT-23: as many that hold places and never contribute as there are places, there first and back at once whenever they
// have to part: everybody else has a turn.
#[tokio::test(flavor = "multi_thread")]
async fn rt_23_holders_of_all_places_do_not_keep_the_others_out() {
    const HOLDERS: u32 = PLACES as u32;
    const PARTIES: u32 = HOLDERS + 12;
    let limits = Limits { places: PLACES, turn: Duration::from_secs(1), ..Limits::default() };
    let deadlines =
        Deadlines { convene: 5_000, contribute: 20_000, check: 22_000, lock: 24_000, open: 26_000 };
    let named = (HOLDERS..HOLDERS + MEMBERS as u32).collect();
    let options = Options { rounds: 1, parties: PARTIES, limits, deadlines, named, ..Options::default() };
    let world = World::start(options).await;
    let mut holders = Vec::new();
    for at in 0..HOLDERS {
        holders.push(tokio::spawn(world.puppet(at).await.hold()));
    }
    let mut running = Vec::new();
    for at in HOLDERS..PARTIES {
        running.push(world.play(at, world.join(at).await));
    }
    world.finished().await;
    let rows = world.store().await.rounds(None, None, 10).await.unwrap();
    let included: Vec<u32> = rows.iter().map(|row| row.included).collect();
    assert_eq!(included, [PARTIES - HOLDERS], "{:?} {:?}", world.node.status(), world.node.tally());
    holders.iter().for_each(tokio::task::JoinHandle::abort);
    running.iter().for_each(tokio::task::JoinHandle::abort);
}
