//! RT-23: everybody may vanish at every stage. The round ends with an exact sum or with a reason, and which of
//! them it is can be told beforehand ([CMP-1], [OPEN-1], [RS-1]).

use std::collections::BTreeMap;

use quorate_crypto::ring::Suite;
use quorate_protocol::error::Abort;
use quorate_protocol::id::Time;
use quorate_protocol::member::Member;
use quorate_protocol::wire;
use quorate_tests::deployment::DEADLINES;
use quorate_tests::{Delivery, Deployment, Ending, Options, Peer, Run};
use rand_core::{Rng as _, SeedableRng as _};

/// When a participant vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    BeforeRoster,
    AfterRoster,
    UploadLost,
    AfterUpload,
    Never,
}

const LEAVES: [Leaves; 5] =
    [Leaves::BeforeRoster, Leaves::AfterRoster, Leaves::UploadLost, Leaves::AfterUpload, Leaves::Never];

/// When a member vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fails {
    BeforeKey,
    AfterKey,
    BeforeCheck,
    BeforeLock,
    BeforeAnswer,
    Never,
}

const FAILS: [Fails; 6] = [
    Fails::BeforeKey,
    Fails::AfterKey,
    Fails::BeforeCheck,
    Fails::BeforeLock,
    Fails::BeforeAnswer,
    Fails::Never,
];

type Pattern = (Vec<Leaves>, Vec<Fails>);

/// Whether a message is lost because its party is gone.
fn is_lost(delivery: &Delivery, gone: &BTreeMap<Peer, usize>) -> bool {
    let of = |peer: Peer| gone.get(&peer).copied().unwrap_or(usize::MAX);
    of(delivery.from).min(of(delivery.to)) <= position(delivery)
}

/// The place of a message in a round.
fn position(delivery: &Delivery) -> usize {
    const ORDER: [u8; 11] = [
        <wire::Poll as wire::Message>::TYPE,
        <wire::Announce as wire::Message>::TYPE,
        <wire::RoundKey as wire::Message>::TYPE,
        <wire::RosterRequest as wire::Message>::TYPE,
        <wire::Roster as wire::Message>::TYPE,
        <wire::Contribution as wire::Message>::TYPE,
        <wire::Relay as wire::Message>::TYPE,
        <wire::CheckBatch as wire::Message>::TYPE,
        <wire::Close as wire::Message>::TYPE,
        <wire::Lock as wire::Message>::TYPE,
        <wire::Locks as wire::Message>::TYPE,
    ];
    let kind = delivery.payload.kind();
    ORDER.iter().position(|&other| other == kind).unwrap_or(ORDER.len())
}

fn gone(deployment: &Deployment, (leaves, fails): &Pattern) -> BTreeMap<Peer, usize> {
    let participants = leaves.iter().enumerate().map(|(at, leaves)| {
        let first_lost = match leaves {
            Leaves::BeforeRoster => 3,
            Leaves::AfterRoster | Leaves::UploadLost => 5,
            Leaves::AfterUpload => 6,
            Leaves::Never => 99,
        };
        (Peer::Participant(at as u32), first_lost)
    });
    let members = deployment.member_indices().into_iter().zip(fails).map(|(index, fails)| {
        let first_lost = match fails {
            Fails::BeforeKey => 1,
            Fails::AfterKey => 3,
            Fails::BeforeCheck => 7,
            Fails::BeforeLock => 8,
            Fails::BeforeAnswer => 10,
            Fails::Never => 99,
        };
        (Peer::Member(index), first_lost)
    });
    participants.chain(members).collect()
}

/// What has to come of it. No member is spare here: each of the m is needed for the roster.
fn expected(deployment: &Deployment, (leaves, fails): &Pattern) -> Result<Vec<u32>, Abort> {
    let config = deployment.config();
    let (shape, cohort) = (config.committee, config.cohort);
    let up_to = |stage: Fails| fails.iter().filter(|&&fails| fails > stage).count();
    let (m, r, q) = (usize::from(shape.m), usize::from(shape.r.max(shape.a_min)), usize::from(shape.q));
    let keys = up_to(Fails::BeforeKey);
    if keys < m {
        return Err(Abort::CommitteeTooSmall { got: keys, need: m });
    }
    let present = |leaves: &Leaves| matches!(leaves, Leaves::AfterUpload | Leaves::Never);
    let included: Vec<u32> =
        (0..).zip(leaves).filter(|(_, leaves)| present(leaves)).map(|(at, _)| at).collect();
    let (holders, kappa, n_min) = (up_to(Fails::BeforeCheck), cohort.kappa as usize, cohort.n_min as usize);
    if included.len() > kappa && holders < r.max(q) {
        return Err(Abort::TooFewHolders { got: holders, need: r.max(q) });
    }
    if included.len() < n_min {
        let got = if included.len() <= kappa && holders < m { 0 } else { included.len() };
        return Err(Abort::CohortTooSmall { got, need: n_min });
    }
    let (locks, answers) = (up_to(Fails::BeforeLock), up_to(Fails::BeforeAnswer));
    if locks < q {
        return Err(Abort::TooFewLocks { got: locks, need: q });
    }
    if answers < r { Err(Abort::TooFewAnswers { got: answers, need: r }) } else { Ok(included) }
}

fn play(deployment: &Deployment, pattern: &Pattern) {
    let gone = gone(deployment, pattern);
    let mut run = Run::new(deployment);
    run.lose(move |delivery| is_lost(delivery, &gone));
    // The upload of one that leaves after the roster is never made.
    for (index, leaves) in (0..).zip(&pattern.0) {
        if *leaves == Leaves::AfterRoster {
            run.idle.insert(index);
        }
    }
    run.start();
    run.settle_until(|run| run.now > Time(u64::from(DEADLINES.open)));
    let ending = match run.ending() {
        Ending::Opened(opened) => Ok(opened.included),
        Ending::Aborted(reason) => Err(reason),
    };
    assert_eq!(ending, expected(deployment, pattern), "{pattern:?}");
    run.settle();
    assert!(!run.members.values().any(Member::holds_round_key), "[OPEN-3] a round key outlives its life");
}

/// Every way to choose `count` out of `kinds` with repetition, order aside.
fn multisets<T: Copy>(kinds: &[T], count: usize) -> Vec<Vec<T>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let with = |at: usize| {
        multisets(&kinds[at..], count - 1).into_iter().map(move |rest| {
            let mut set = vec![kinds[at]];
            set.extend(rest);
            set
        })
    };
    (0..kinds.len()).flat_map(with).collect()
}

/// Patterns but for order: every stage of every participant and of every member.
fn every_pattern(options: Options) -> usize {
    let deployment = Deployment::build(options, 11);
    let participants = multisets(&LEAVES, deployment.options.participants as usize);
    let members = multisets(&FAILS, usize::from(deployment.options.members));
    let mut count = 0;
    for leaves in &participants {
        for fails in &members {
            // Up to three of both together, and all of either kind alone.
            let left = leaves.iter().filter(|&&leaves| leaves != Leaves::Never).count();
            let failed = fails.iter().filter(|&&fails| fails != Fails::Never).count();
            if left + failed <= 3 || left * failed == 0 {
                play(&deployment, &(leaves.clone(), fails.clone()));
                count += 1;
            }
        }
    }
    count
}

#[test]
fn rt_23_every_pattern_of_dropouts_masked() {
    assert!(every_pattern(Options::sized(4, 4)) > 300);
}

#[test]
fn rt_23_every_pattern_of_dropouts_direct() {
    assert!(every_pattern(Options::sized(4, 4).suite(Suite::Direct)) > 300);
}

/// Larger committees, stages at random.
#[test]
fn rt_23_random_dropouts_in_larger_rounds() {
    for (participants, members, suite) in
        [(9, 7, Suite::R4096), (12, 16, Suite::R4096), (6, 7, Suite::Direct)]
    {
        let deployment = Deployment::build(Options::sized(participants, members).suite(suite), 12);
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(u64::from(members));
        for _ in 0..25 {
            let mut pick = |stay: u32, kinds: usize| {
                if rng.next_u32() % 10 < stay { kinds - 1 } else { rng.next_u32() as usize % kinds }
            };
            let leaves = (0..participants).map(|_| LEAVES[pick(6, LEAVES.len())]).collect();
            let fails = (0..members).map(|_| FAILS[1..][pick(7, FAILS.len() - 1)]).collect();
            play(&deployment, &(leaves, fails));
        }
    }
}

/// RT-23 [CONV-1]: with more named than needed, the roster does without those that don't come.
#[test]
fn rt_23_spare_members_step_in_at_convene_only() {
    let deployment = Deployment::build(Options { spare: 2, ..Options::sized(5, 4) }, 13);
    for absent in 0..=3_usize {
        let mut run = Run::new(&deployment);
        let lost = deployment.member_indices()[..absent].to_vec();
        run.lose(move |delivery| lost.iter().any(|&index| delivery.from == Peer::Member(index)));
        match run.play() {
            Ending::Opened(opened) => assert!(absent <= 2 && opened.included.len() == 5),
            Ending::Aborted(reason) => {
                assert_eq!((absent, reason), (3, Abort::CommitteeTooSmall { got: 3, need: 4 }));
            }
        }
    }
}

/// RT-23 [CMP-1]: a driver that has lost the vector it should give back ends the round, late but surely.
#[test]
fn rt_23_a_lost_spool_ends_the_round() {
    let deployment = Deployment::build(Options { kappa: Some(3), ..Options::sized(6, 4) }, 14);
    let mut run = Run::new(&deployment);
    run.forgets = true;
    let victim = deployment.member_indices()[0];
    // One member hears of one contribution less: an edge, so that a vector has to come out again.
    run.hook(move |mut delivery| {
        if delivery.to == Peer::Member(victim)
            && let Some(mut relay) = delivery.payload.parse::<wire::Relay>()
        {
            relay.items.pop();
            delivery.payload = quorate_tests::Payload::Frame(wire::encode(1, &relay).into());
        }
        vec![delivery]
    });
    assert_eq!(run.play(), Ending::Aborted(Abort::Cancelled));
}
