//! Rounds in which everybody is honest: all machines end to end, in every mode and suite.

use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_protocol::manifest::Mode;
use quorate_protocol::participant::ParticipantEvent;
use quorate_tests::{Deployment, Options, Run};

/// Plays `rounds` rounds in which everybody takes part.
fn honest(options: Options, rounds: u64) {
    let deployment = Deployment::build(options, 7);
    let mut run = Run::new(&deployment);
    for round in 1..=rounds {
        let ending = run.play();
        assert_eq!(run.faults, vec![]);
        let opened = ending.opened();
        assert_eq!(opened.round, round);
        assert_eq!(opened.included, deployment.participant_indices());
        let counted = |(_, event): &&(u32, ParticipantEvent)| matches!(event, ParticipantEvent::Counted { round: at } if *at == round);
        assert_eq!(run.events.participants.iter().filter(counted).count(), opened.included.len());
    }
    assert_eq!(run.coordinator.transcript().last_round(), rounds);
}

#[test]
fn masked_r4096() {
    honest(Options::sized(5, 4), 3);
    honest(Options::sized(9, 7), 1);
    honest(Options { dim: 9000, ..Options::sized(20, 4) }, 1);
}

#[test]
fn masked_r8192() {
    honest(Options::sized(4, 4).suite(Suite::R8192), 2);
    honest(Options::sized(12, 16).suite(Suite::R8192), 1);
    honest(Options { dim: 17_000, ..Options::sized(4, 7).suite(Suite::R8192) }, 1);
}

#[test]
fn direct() {
    honest(Options::sized(5, 4).suite(Suite::Direct), 2);
    honest(Options::sized(8, 7).suite(Suite::Direct), 1);
    honest(Options { dim: 500, ..Options::sized(12, 16).suite(Suite::Direct) }, 1);
}

#[test]
fn plain() {
    let policy = quorate_protocol::policy::Policy { allow_plain: true, ..Default::default() };
    honest(Options { mode: Mode::Plain, policy, ..Options::sized(5, 4) }, 3);
}

#[test]
fn forty_participants() {
    honest(Options::sized(40, 7), 1);
}

#[test]
fn post_quantum_sealing() {
    honest(Options { seal: SealSuite::XWing, ..Options::sized(4, 4) }, 1);
}

#[test]
fn drawn_committee() {
    honest(Options { drawn: Some(10), ..Options::sized(6, 4) }, 3);
}

#[test]
fn homomorphic() {
    honest(Options::sized(5, 4).homomorphic(), 3);
    honest(Options { dim: 17_000, ..Options::sized(6, 7).homomorphic() }, 1);
    honest(Options { drawn: Some(10), ..Options::sized(6, 4).homomorphic() }, 2);
    honest(Options { dual: true, ..Options::sized(8, 4).homomorphic() }, 2);
}
