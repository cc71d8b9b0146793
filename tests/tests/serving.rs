//! What a later round does to a member that still serves in an earlier one ([OPEN-3]).

use quorate_protocol::error::FaultKind;
use quorate_protocol::member::MemberEvent;
use quorate_protocol::wire::{self, Answer};
use quorate_tests::{Deployment, Options, Peer, Run};

/// [OPEN-3]: a manifest with a higher round wipes the round key, says so, and the locks of the old round come too late.
#[test]
fn a_later_manifest_wipes_the_key_of_a_member_that_has_locked() {
    let deployment = Deployment::build(Options::sized(6, 4), 91);
    let mut run = Run::new(&deployment);
    let scene = run.up_to_close();
    let member = scene.places[0].1;
    let close = deployment.close(&scene.context, scene.sid, &scene.leaves);
    run.hand(Peer::Coordinator, Peer::Member(member), wire::encode(1, &close)).unwrap();
    let next = deployment.announcement(&deployment.plain_manifest(2), member);
    let before = run.events.members.len();
    run.hand(Peer::Coordinator, Peer::Member(member), next).unwrap();
    let events = run.events.members.split_off(before);
    assert!(matches!(events[..], [(at, MemberEvent::Wiped { round: 1 })] if at == member), "{events:?}");
    let locks = deployment.locks(&scene.context, close.set, &scene.places);
    let late = run.hand(Peer::Coordinator, Peer::Member(member), wire::encode(1, &locks));
    assert_eq!(late.unwrap_err().kind, FaultKind::OutOfTurn);
    assert!(run.sent::<Answer>().is_empty());
}
