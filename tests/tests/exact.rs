//! Sums are exact: whatever suite, width, cohort, weights and drop-outs, what is opened is the plain sum of the
//! quantised slots of its set, or the round ends with a reason ([CODEC-3], [RS-1], [UNMASK-1], [CMP-1]).

use std::collections::BTreeMap;

use quorate_crypto::ring::Suite;
use quorate_protocol::id::Time;
use quorate_protocol::policy::Policy;
use quorate_protocol::wire::{self, Message as _};
use quorate_tests::deployment::DEADLINES;
use quorate_tests::oracle::WEIGHT_BOUND;
use quorate_tests::{Delivery, Deployment, Ending, Options, Payload, Peer, Run};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// The seed of everything here.
const SEED: u64 = 20_260_817;

/// Random rounds of each suite.
const CASES: usize = 24;

/// Message types in the order of a round; a party that is gone loses all from one of them on.
const ORDER: [u8; 12] = [
    wire::Poll::TYPE,
    wire::Announce::TYPE,
    wire::RoundKey::TYPE,
    wire::RosterRequest::TYPE,
    wire::Roster::TYPE,
    wire::Contribution::TYPE,
    wire::Relay::TYPE,
    wire::CheckBatch::TYPE,
    wire::Close::TYPE,
    wire::Lock::TYPE,
    wire::Locks::TYPE,
    wire::Answer::TYPE,
];

fn position(delivery: &Delivery) -> usize {
    ORDER.iter().position(|&kind| kind == delivery.payload.kind()).unwrap_or(ORDER.len())
}

fn below(rng: &mut ChaCha20Rng, bound: u32) -> u32 {
    rng.next_u32() % bound
}

/// A deployment that draws everything; without corrupt ids the smallest cohort is two.
fn deployment(suite: Suite, participants: u32, rng: &mut ChaCha20Rng) -> Deployment {
    let policy = Policy { corrupt_permille: 0, ..Policy::default() };
    let (bits, dim) = (2 + below(rng, 23) as u8, 1 + below(rng, 60) as usize);
    let members = [4, 4, 7][below(rng, 3) as usize];
    let kappa = Some(1 + below(rng, 5));
    let options = Options { suite, bits, dim, policy, kappa, ..Options::sized(participants, members) };
    Deployment::build(options, rng.next_u64())
}

/// Who vanishes, and before which message. Half of the rounds lose nobody of the committee.
fn gone(deployment: &Deployment, rng: &mut ChaCha20Rng) -> BTreeMap<Peer, usize> {
    let (leaving, failing) = (below(rng, 4), [0, 0, 1, 2][below(rng, 4) as usize]);
    let mut gone = BTreeMap::new();
    for peer in deployment.participant_indices().into_iter().map(Peer::Participant) {
        if below(rng, 10) < leaving {
            gone.insert(peer, below(rng, 7) as usize);
        }
    }
    for peer in deployment.member_indices().into_iter().map(Peer::Member) {
        if below(rng, 10) < failing {
            gone.insert(peer, 1 + below(rng, ORDER.len() as u32 - 1) as usize);
        }
    }
    gone
}

/// The plain sum, from the values an application handed over: nothing of the protocol is in it.
fn plain_sum(deployment: &Deployment, included: &[u32], round: u64) -> Vec<u64> {
    let (oracle, bits) = (&deployment.oracle, deployment.options.bits);
    let (base, offset) = (1_u64 << bits, 1_i64 << (bits - 1));
    let digits = (1..).find(|digits| base.pow(*digits) > u64::from(WEIGHT_BOUND)).expect("W is finite");
    let mut sums = vec![0; digits as usize + deployment.options.dim];
    for &party in included {
        let (update, weight) = oracle.update(party, round);
        let (head, tail) = sums.split_at_mut(digits as usize);
        (0..).zip(head).for_each(|(place, sum)| *sum += weight / base.pow(place) % base);
        for (x, sum) in update.iter().zip(tail) {
            let steps = *x as i64 * weight as i64 / i64::from(WEIGHT_BOUND);
            *sum += u64::try_from(steps + offset).expect("a slot is not negative");
        }
    }
    sums
}

/// Plays a round; how many vectors were taken out of its sum again, if it was opened.
fn exact(deployment: &Deployment, gone: BTreeMap<Peer, usize>) -> Option<usize> {
    let what = format!("{:?}, gone: {gone:?}", deployment.options);
    let mut run = Run::new(deployment);
    let lost = gone.clone();
    // Where anybody is gone, one member also loses a share now and then: an edge, whose vector has to come out again.
    let victim = Peer::Member(deployment.member_indices()[0]);
    run.hook(move |mut delivery| {
        let of = |peer: Peer| lost.get(&peer).copied().unwrap_or(usize::MAX);
        if of(delivery.from).min(of(delivery.to)) <= position(&delivery) {
            return Vec::new();
        }
        if !lost.is_empty()
            && delivery.to == victim
            && let Some(mut relay) = delivery.payload.parse::<wire::Relay>()
        {
            relay.items.pop();
            delivery.payload = Payload::Frame(wire::encode(1, &relay).into());
        }
        vec![delivery]
    });
    run.start();
    run.settle_until(|run| run.now > Time(u64::from(DEADLINES.open)));
    let opened = match run.ending() {
        Ending::Opened(opened) => opened,
        Ending::Aborted(reason) => {
            assert!(!gone.is_empty(), "{reason}: nobody was gone; {what}");
            return None;
        }
    };
    if gone.is_empty() {
        assert_eq!(opened.included, deployment.participant_indices(), "{what}");
    }
    let uploaded = |index: &u32| gone.get(&Peer::Participant(*index)).is_none_or(|&from| from > 5);
    assert!(opened.included.iter().all(uploaded), "{what}");
    assert_eq!(opened.sums, plain_sum(deployment, &opened.included, opened.round), "{what}");
    run.closed().map(|closed| closed.left_out.len())
}

/// Random rounds of small cohorts, then one of each given size.
fn campaign(suite: Suite, sizes: &[u32]) {
    println!("seed {SEED}, {suite:?}");
    let mut rng = ChaCha20Rng::seed_from_u64(SEED ^ u64::from(suite as u8));
    let (mut opened, mut withdrawn) = (0, 0);
    for _ in 0..CASES {
        let most = [3, 12, 30][below(&mut rng, 3) as usize];
        let participants = 2 + below(&mut rng, most);
        let deployment = deployment(suite, participants, &mut rng);
        let gone = gone(&deployment, &mut rng);
        if let Some(left_out) = exact(&deployment, gone) {
            (opened, withdrawn) = (opened + 1, withdrawn + left_out);
        }
    }
    assert!((CASES / 3..CASES).contains(&opened), "{opened} of {CASES} were opened: no campaign");
    assert!(withdrawn > 0, "no vector was ever taken out again");
    println!("{opened} of {CASES} opened, {withdrawn} vectors taken out again");
    for &participants in sizes {
        let deployment = deployment(suite, participants, &mut rng);
        assert_eq!(exact(&deployment, BTreeMap::new()), Some(0));
    }
}

#[test]
fn sums_of_suite_r8192_are_exact() {
    campaign(Suite::R8192, &[2, 120]);
}

#[test]
fn sums_of_suite_r4096_are_exact() {
    campaign(Suite::R4096, &[2, 300]);
}

#[test]
fn sums_of_suite_direct_are_exact() {
    campaign(Suite::Direct, &[2, 300]);
}

/// Every width there is, in every suite.
#[test]
fn every_width_is_exact() {
    println!("seed {SEED}");
    for bits in 2..=24 {
        for suite in [Suite::R8192, Suite::R4096, Suite::Direct] {
            let options = Options { bits, dim: 9, ..Options::sized(5, 4).suite(suite) };
            let deployment = Deployment::build(options, SEED + u64::from(bits));
            assert_eq!(exact(&deployment, BTreeMap::new()), Some(0));
        }
    }
}

/// [CODEC-2]: a bound on the norm that no update reaches changes nothing; one that all exceed holds for the mean,
/// which without it is far longer.
#[test]
fn a_bound_on_the_norm_goes_through_the_machines() {
    for suite in [Suite::R4096, Suite::Direct] {
        let deployment = Deployment::build(Options { bits: 12, ..Options::sized(6, 4).suite(suite) }, SEED);
        let norm = |mean: &[f64]| mean.iter().map(|x| x * x).sum::<f64>().sqrt();
        let play = |clip_l2: f64, strict: bool| {
            let mut run = Run::new(&deployment);
            if !strict {
                run.invariants.foreign_updates();
            }
            let mut config = deployment.config();
            config.schema.clip_l2 = Some(clip_l2);
            run.start_with(&config);
            run.settle();
            assert_eq!(run.faults, vec![]);
            run.ending().opened()
        };
        let steps = f64::from((1 << 11) - 1);
        let loose = play(steps * 100.0, true);
        assert_eq!(loose.sums, plain_sum(&deployment, &loose.included, 1));
        let bound = norm(&loose.mean) / 4.0;
        let tight = play(bound, false);
        assert_eq!((tight.included, tight.weight), (loose.included, loose.weight));
        let got = norm(&tight.mean);
        assert!(got <= bound && got > bound / 8.0, "{got} under a bound of {bound}");
    }
}
