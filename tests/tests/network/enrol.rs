//! Enrolment at a node that plays ([REG-2]).

use quorate_coordinator::store::Store as _;
use quorate_keys::EnrolmentToken;
use quorate_transport::{Refusal, TransportError};
use std::time::Duration;

use crate::puppet::identity;
use crate::world::{Options, World};

fn refused<T: std::fmt::Debug>(outcome: Result<T, TransportError>) {
    assert!(matches!(outcome, Err(TransportError::Refused(Refusal::Token))), "{outcome:?}");
}

// RT-56: what entitles to nothing: unknown, expired, revoked and used tokens; nothing is enrolled.
#[tokio::test(flavor = "multi_thread")]
async fn rt_56_only_a_good_token_enrols_and_once() {
    let mut world = World::start(Options { parties: 2, ..Options::default() }).await;
    let connector = world.connector();
    refused(connector.enrol(&identity(0), EnrolmentToken::from_bytes([9; 32])).await);
    let expired = world.token(1).await;
    refused(connector.enrol(&identity(0), expired).await);
    let revoked = world.token(u64::MAX >> 1).await;
    world.store().await.token_revoke(revoked.hash(), 1).await.unwrap();
    refused(connector.enrol(&identity(0), revoked).await);
    assert_eq!(world.node.status().enrolled, 0);
    let good = || EnrolmentToken::from_bytes(world.tokens[0]);
    let first = connector.enrol(&identity(0), good()).await.unwrap();
    let again = world.connector().enrol(&identity(0), good()).await.unwrap();
    assert_eq!((first.id, again.id.index), (again.id, 0), "the same key and token get the same place");
    refused(connector.enrol(&identity(1), good()).await);
    let tally = world.node.tally();
    assert_eq!((tally.enrolled, tally.enrolments_refused), (1, 4));
}

// RT-56: two keys at once with one token: one wins, whichever.
#[tokio::test(flavor = "multi_thread")]
async fn rt_56_of_two_keys_with_one_token_one_wins() {
    let world = World::start(Options { parties: 2, ..Options::default() }).await;
    let (one, two) = (world.connector(), world.connector());
    let token = || EnrolmentToken::from_bytes(world.tokens[0]);
    let (a, b) = (identity(0), identity(1));
    let (first, second) = tokio::join!(one.enrol(&a, token()), two.enrol(&b, token()));
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    assert_eq!(won.unwrap().id.index, 0);
    refused(lost);
    assert_eq!(world.node.tally().enrolled, 1);
}

// RT-56: with an allow-list the token alone is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn rt_56_keys_off_the_allow_list_do_not_enrol() {
    let world = World::start(Options { parties: 2, allow_list: true, ..Options::default() }).await;
    let token = || EnrolmentToken::from_bytes(world.tokens[0]);
    world.store().await.allow_add(identity(1).public().key_hash(), 1).await.unwrap();
    refused(world.connector().enrol(&identity(0), token()).await);
    assert_eq!(world.connector().enrol(&identity(1), token()).await.unwrap().id.index, 0);
}

/// [EPOCH-1]: whoever enrols in the middle of a round does not touch it, and takes part after the next ceremony.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_takes_part_after_the_next_ceremony() {
    let options = Options { training: Duration::from_millis(700), ..Options::default() };
    let mut world = World::start(options).await;
    world.token(u64::MAX >> 1).await;
    let _running = world.crowd(6).await;
    world.until(|status| status.current.is_some()).await;
    let newcomer = world.join(6).await;
    let _newcomer = world.play(6, newcomer);
    world.until(|status| status.enrolled == 7).await;
    let status = world.node.status();
    assert_eq!((status.epoch, status.current.as_ref().map(|now| now.invited)), (1, Some(6)), "{status:?}");
    world.finished().await;
    world.counted(0..6, &[1, 2]).await;
    world.counted(6..7, &[2]).await;
    let status = world.node.status();
    assert_eq!((status.epoch, status.jobs["job"].aborted), (2, 0));
}
