//! Silence: deadlines fire, and the round ends as the rules say (RT-23).

use crate::world::{Options, SHORT, World};

// RT-23 [CMP-1]: a participant that was invited, connects and says nothing: the round closes without it.
#[tokio::test(flavor = "multi_thread")]
async fn rt_23_a_silent_participant_costs_a_deadline() {
    let world = World::start(Options { rounds: 1, deadlines: SHORT, ..Options::default() }).await;
    let _running = world.crowd(5).await;
    let _silent = world.puppet(5).await;
    world.finished().await;
    world.counted(0..5, &[1]).await;
    let tally = world.node.tally();
    assert_eq!((tally.accepted, tally.opened, tally.begun), (5, 1, 1), "{tally:?}");
}

// RT-23 [CONV-1]: a silent member of the panel: one that is spare steps in.
#[tokio::test(flavor = "multi_thread")]
async fn rt_23_a_spare_member_steps_in() {
    let options = Options { rounds: 1, deadlines: SHORT, named: vec![1, 2, 3, 4, 5], ..Options::default() };
    let world = World::start(options).await;
    let _running = world.crowd(5).await;
    let _silent = world.puppet(5).await;
    world.finished().await;
    world.counted(0..5, &[1]).await;
    assert_eq!(world.node.status().jobs["job"].aborted, 0);
}

// RT-23 [CONV-1]: without a spare one the round ends with its reason, and so does the next; nothing is opened.
#[tokio::test(flavor = "multi_thread")]
async fn rt_23_a_silent_member_without_a_spare_one_ends_the_round() {
    let options = Options { rounds: 1, deadlines: SHORT, named: vec![2, 3, 4, 5], ..Options::default() };
    let world = World::start(options).await;
    let _running = world.crowd(5).await;
    let _silent = world.puppet(5).await;
    world.until(|status| status.jobs["job"].aborted >= 2).await;
    let tally = world.node.tally();
    assert_eq!((tally.accepted, tally.opened), (0, 0), "{tally:?}");
    assert_eq!(tally.aborted.keys().copied().collect::<Vec<_>>(), ["committee_too_small"]);
}
