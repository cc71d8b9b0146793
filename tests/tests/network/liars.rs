//! An enrolled party that keeps no rules, in the middle of a round.

use std::time::Duration;

use quorate_protocol::wire::{Answer, CheckBatch, Lock, Message, Poll, RosterRequest, RoundKey};
use quorate_transport::{Refusal, TransportError};

use crate::world::{Options, SHORT, World};

fn slow() -> Options {
    Options { rounds: 1, training: Duration::from_millis(700), ..Options::default() }
}

// RT-09 [WIRE-3]: a contribution is taken from the party that made it and from nobody else, and it is not folded.
#[tokio::test(flavor = "multi_thread")]
async fn rt_09_an_upload_in_anothers_name_is_refused() {
    let world = World::start(Options { parties: 7, wanted: Some(6), ..slow() }).await;
    let _running = world.crowd(5).await;
    let (mut victim, thief) = (world.puppet(5).await, world.puppet(6).await);
    let parcel = victim.contribute(World::update(5, 1)).await;
    let stolen = thief.upload(&parcel).await;
    assert!(matches!(stolen, Err(TransportError::Refused(Refusal::Invalid))), "{stolen:?}");
    let tally = world.node.tally();
    assert_eq!((tally.refused.get("sender").copied(), tally.accepted), (Some(1), 0), "{tally:?}");
    victim.upload(&parcel).await.unwrap();
    victim.see(1).await;
    world.counted(0..5, &[1]).await;
    assert_eq!(world.node.tally().accepted, 6);
}

/// A frame of this type with this body: form is kept, rules are not.
fn frame(kind: u8, round: u64, body: &[u8]) -> Vec<u8> {
    [&[1, kind], &round.to_le_bytes()[..], body].concat()
}

// RT-37 [WIRE-1]: thousands of frames of garbage, and of right frames out of turn, from one party: each is refused and
// counted, the round of the others completes.
#[tokio::test(flavor = "multi_thread")]
async fn rt_37_a_flood_of_frames_costs_the_others_nothing() {
    let world = World::start(Options { wanted: Some(5), ..slow() }).await;
    let _running = world.crowd(5).await;
    let mut rogue = world.puppet(5).await;
    let parcel = rogue.contribute(World::update(5, 1)).await;
    let kinds = [RoundKey::TYPE, CheckBatch::TYPE, Lock::TYPE, Answer::TYPE, RosterRequest::TYPE, Poll::TYPE];
    for turn in 0..3_000_u32 {
        let kind = kinds[turn as usize % kinds.len()];
        let mut body = turn.to_le_bytes().repeat(1 + turn as usize % 7);
        body.truncate(quorate_protocol::wire::limit(kind).unwrap());
        let garbage = frame(kind, 1, &body);
        rogue.session.send(&garbage).await.unwrap();
    }
    let kept = Poll { seen: 6, keys: 0 };
    for round in [0, 1, 2, u64::MAX] {
        rogue.session.send(&quorate_protocol::wire::encode(round, &kept)).await.unwrap();
        rogue.session.send(&quorate_protocol::wire::encode(round, &RosterRequest {})).await.unwrap();
    }
    rogue.upload(&parcel).await.unwrap();
    world.counted(0..5, &[1]).await;
    let refused: u64 = world.node.tally().refused.values().sum();
    // An empty request for the roster is none of garbage.
    assert!(refused >= 2_000, "{:?}", world.node.tally());
    assert_eq!(world.node.tally().accepted, 6, "what it did right counts");
}

// RT-40: what is no frame of a party at all ends the connection, and only that.
#[tokio::test(flavor = "multi_thread")]
async fn rt_40_frames_of_no_known_form_end_the_connection() {
    let world = World::start(Options { wanted: Some(5), deadlines: SHORT, ..slow() }).await;
    let _running = world.crowd(5).await;
    let mut rogue = world.puppet(5).await;
    for junk in [vec![0xff; 64], frame(200, 1, &[]), vec![1, Poll::TYPE], frame(Poll::TYPE, 1, &[0; 4_096])] {
        let _ = rogue.session.send(&junk).await;
        while rogue.session.next().await.is_ok() {}
        rogue.reconnect().await;
    }
    world.finished().await;
    world.counted(0..5, &[1]).await;
}
