//! Members that publish wrong check values: what more of them than the code corrects can do, and what they cannot
//! ([CMP-1], [CHK-1]; the limit of claim (i) in docs/THREAT_MODEL.md).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use quorate_crypto::share::Sharing;
use quorate_protocol::coordinator::{CoordinatorEvent, LeftOut};
use quorate_protocol::error::Abort;
use quorate_protocol::id::{Context, PartyId};
use quorate_protocol::wire::{self, CheckBatch, CheckEntry, CheckValue, Roster};
use quorate_tests::{Delivery, Deployment, Ending, Options, Payload, Peer, Run};

/// Seven members, two of them bad: r = 5, so one wrong value is corrected.
fn deployment() -> Deployment {
    Deployment::build(Options { kappa: Some(2), ..Options::sized(7, 7) }, 47)
}

/// Plays a round in which the members at some places add to each of their check values; gives the run.
fn lied<'a>(deployment: &'a Deployment, lie: impl Fn(u16, u64) -> Option<u64> + 'a) -> (Run<'a>, Ending) {
    let config = deployment.config();
    let (shape, n_max) = (config.committee, config.cohort.n_max);
    let sharing = Sharing::masked(config.suite, n_max, shape.m, shape.r, shape.rho).unwrap();
    let mut run = Run::new(deployment);
    run.hook(move |mut delivery: Delivery| {
        let (Peer::Member(index), Some(batch)) = (delivery.from, delivery.payload.parse::<CheckBatch>())
        else {
            return vec![delivery];
        };
        let Some(shift) = lie(batch.member, sharing.prime()) else { return vec![delivery] };
        let entries = batch.entries.into_iter().map(|entry| CheckEntry {
            value: match entry.value {
                CheckValue::Values(bytes) => {
                    let values = sharing.parse_elements(&bytes, sharing.checks()).unwrap().to_vec();
                    let values: Vec<u64> = values.iter().map(|x| (x + shift) % sharing.prime()).collect();
                    CheckValue::Values(sharing.encode_elements(&values))
                }
                other @ CheckValue::Complaint(_) => other,
            },
            ..entry
        });
        let context = Context { deployment: *deployment.id(), round: 1 };
        let batch = deployment.check_batch(&context, batch.sid, (batch.member, index), entries.collect());
        delivery.payload = Payload::Frame(wire::encode(1, &batch).into());
        vec![delivery]
    });
    let ending = run.play();
    (run, ending)
}

/// Nobody is named: no sender as a bad dealer, no member for its answer.
fn nobody_is_named(run: &Run<'_>) {
    let blamed = run.events.coordinator.iter().any(|event| match event {
        CoordinatorEvent::WrongAnswers(ids) => !ids.is_empty(),
        CoordinatorEvent::Closed(closed) => {
            closed.left_out.iter().any(|(_, why)| matches!(why, LeftOut::Named))
        }
        _ => false,
    });
    assert!(!blamed);
}

/// The member third in the roster.
fn at_place_3(run: &Run<'_>) -> PartyId {
    let (.., roster) = run.sent::<Roster>().remove(0);
    run.deployment.ids[roster.members[2].index as usize]
}

/// As many liars as the code corrects cost nothing but themselves.
#[test]
fn rt_69_a_liar_within_the_radius_is_dropped() {
    let deployment = deployment();
    let (run, ending) = lied(&deployment, |place, _| (place == 3).then_some(5));
    assert_eq!(ending.opened().included.len(), 7);
    assert_eq!(run.closed().unwrap().dropped, vec![at_place_3(&run)]);
    nobody_is_named(&run);
}

/// RT-69 [CMP-1]: one liar more makes every word undecodable. The round ends with a reason; nobody is named.
#[test]
fn rt_69_liars_beyond_the_radius_end_the_round_and_get_nobody_named() {
    let deployment = deployment();
    let lie = |place: u16, _| (place <= 2).then(|| 5 + 1000 * u64::from(place));
    let (run, ending) = lied(&deployment, lie);
    assert!(matches!(ending, Ending::Aborted(Abort::CohortTooSmall { .. })), "{ending:?}");
    // No set was closed, so nothing is said of anybody; that an undecodable word names no sender is a test of close.rs.
    assert!(run.closed().is_none());
}

/// RT-69 [CMP-1]: two liars shift the word by a polynomial that vanishes at four honest members, so that the fifth
/// looks wrong. It is dropped, not named; the sum is right and every honest sender is in it.
#[test]
fn rt_69_liars_can_get_an_honest_member_dropped_but_not_named() {
    let deployment = deployment();
    let lie = |place: u16, prime: u64| {
        let vanishing = (4..=7_u64).fold(1_u64, |product, x| {
            let difference = (u64::from(place) + prime - x) % prime;
            product * difference % prime
        });
        (place <= 2).then_some(vanishing)
    };
    let (run, ending) = lied(&deployment, lie);
    let opened = ending.opened();
    assert_eq!(opened.included.len(), 7);
    assert_eq!(run.closed().unwrap().dropped, vec![at_place_3(&run)], "an honest member");
    nobody_is_named(&run);
}
