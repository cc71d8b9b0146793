//! The ceremony over the drivers, with folders: [EPOCH-1], [DRAW-3].

use std::fs;

use quorate_coordinator::ServiceError;
use quorate_crypto::ring::Suite;
use quorate_crypto::sign::SigningKey;
use quorate_keys::SignedHead;
use quorate_participant::DeviceError;
use quorate_protocol::coordinator::{CeremonyError, CoordinatorEvent, StartError};
use quorate_protocol::error::{ApiMisuse, FaultKind};
use quorate_protocol::id::Time;
use quorate_protocol::wire::{self, Call, Commit, Commitments, Message as _, SeedReveal};

use super::net::{Net, Payload, Step, files};
use super::{ALL, deployment};

fn is_ready(net: &Net<'_>, number: u64) -> bool {
    matches!(net.ceremonies.last(), Some(CoordinatorEvent::EpochReady { epoch }) if *epoch == number)
}

/// Number and restarts of the epoch in force.
fn epoch(net: &Net<'_>) -> (u64, u8) {
    let record = net.service.coordinator().unwrap().epoch().unwrap().record();
    (record.epoch, record.restarts)
}

/// What a device says to a frame.
fn verdict(net: &mut Net<'_>, index: u32, frame: &[u8]) -> Result<(), FaultKind> {
    let device = net.devices.get_mut(&index).unwrap();
    let verdict = device.handle(Time(1), frame).map_err(|error| match error {
        DeviceError::Fault(fault) => fault.kind,
        other => unreachable!("{other}"),
    });
    while device.next_action().is_some() {}
    verdict
}

// [EPOCH-1], [DRAW-3]: rounds run under the epoch of a ceremony, also after everybody was restarted.
#[test]
fn draw_3_rounds_run_under_the_epoch_of_a_ceremony() {
    let deployment = deployment(Suite::Direct);
    let mut net = Net::new(&deployment);
    net.call_ceremony(&[0, 2, 4]);
    assert!(is_ready(&net, 2), "{:?} {:?}", net.service_errors, net.device_errors);
    for round in 1..=2 {
        net.play();
        assert!(net.device_errors.is_empty() && net.service_errors.is_empty(), "{:?}", net.device_errors);
        assert_eq!((net.assert_opened(&ALL), epoch(&net)), (round, (2, 0)));
        net = net.restart();
        assert_eq!(epoch(&net), (2, 0), "the evidence was kept");
    }
    net.play();
    // RT-61: a call for an epoch that is over gets nothing, however many restarts it claims.
    let mut record = net.service.coordinator().unwrap().epoch().unwrap().record().clone();
    record.restarts = 3;
    let key = deployment.coordinator_key();
    let call = Call {
        signature: key.sign(&record.signed_digest()),
        head_signature: SignedHead::sign(record.eligible, &deployment.id(), &key).signature,
        seen_proof: vec![],
        own_proof: deployment.registry.inclusion(0, record.eligible.size).unwrap(),
        record,
    };
    assert_eq!(verdict(&mut net, 0, &wire::encode(0, &call)), Err(FaultKind::StaleCeremony));
}

// RT-61, RT-11 [DRAW-3]: void by silence, then by a crash of everybody: each try is counted, no value is made twice.
#[test]
fn rt_61_void_ceremonies_are_counted_over_restarts() {
    let deployment = deployment(Suite::Direct);
    let mut net = Net::new(&deployment);
    for (at, lost) in [Commit::TYPE, SeedReveal::TYPE].into_iter().enumerate() {
        net.lose = Box::new(move |index, payload| index == 2 && payload.frame()[1] == lost);
        net.call_ceremony(&[0, 2]);
        assert!(net.ceremonies.is_empty());
        net.expire();
        let event = net.ceremonies.pop().unwrap();
        let CoordinatorEvent::CeremonyVoid { epoch: 2, silent, liars } = event else {
            unreachable!("{event:?}")
        };
        assert_eq!((silent, liars.len()), (vec![2], 0), "{at}");
    }
    // Everybody ends in the middle of the third.
    net.lose = Box::new(|index, payload| index == 2 && payload.frame()[1] == SeedReveal::TYPE);
    let first = Step { files: files(&net.device_folder(0)), ..Step::default() };
    net.device_steps = vec![first];
    net.call_ceremony(&[0, 2]);
    let steps = std::mem::take(&mut net.device_steps);
    let inputs: Vec<Payload> = steps.iter().filter_map(|step| Some(step.input.as_ref()?.1.clone())).collect();
    assert!(inputs.len() == 2 && inputs[0].is::<Call>() && inputs[1].is::<Commitments>());
    let commit = steps.iter().position(|step| step.sent.iter().any(|sent| sent.is::<Commit>())).unwrap();
    assert_ne!(
        steps[commit].files["state"],
        steps[commit - 1].files["state"],
        "the attempt is durable first"
    );
    let mut net = net.restart();
    assert_eq!(verdict(&mut net, 0, inputs[0].frame()), Err(FaultKind::StaleCeremony));
    assert_eq!(verdict(&mut net, 0, inputs[1].frame()), Err(FaultKind::OutOfTurn));
    net.call_ceremony(&[0, 2]);
    assert!(is_ready(&net, 2), "{:?} {:?}", net.service_errors, net.device_errors);
    assert_eq!(epoch(&net), (2, 3));
    net.play();
    net.assert_opened(&ALL);
}

// [EPOCH-1]: rounds and ceremonies exclude each other; enrolment goes on and is not under E.
#[test]
fn epoch_1_no_round_during_a_ceremony() {
    let deployment = deployment(Suite::Direct);
    let mut net = Net::new(&deployment);
    net.lose = Box::new(|index, payload| index == 2 && payload.is::<Commit>());
    net.call_ceremony(&[0, 2]);
    let started = net.service.start_round(Time(2), &deployment.config(), &deployment.plans);
    assert!(matches!(started, Err(ServiceError::Start(StartError::Misuse(ApiMisuse::CeremonyRunning)))));
    let again = net.ceremony(&[0]);
    let again = net.service.start_ceremony(Time(2), &again);
    let running = CeremonyError::Misuse(ApiMisuse::CeremonyRunning);
    assert!(matches!(again, Err(ServiceError::Ceremony(error)) if error == running));
    let installed = net.service.install_epoch(deployment.evidence.clone());
    assert!(matches!(installed, Err(ServiceError::Misuse(ApiMisuse::CeremonyRunning))));
    let key = SigningKey::from_bytes(&[77; 32]).public().clone();
    net.service.change_registry(|registry| registry.append(key).unwrap()).unwrap();
    net.lose = Box::new(|_, _| false);
    net.devices.get_mut(&2).unwrap().poll().unwrap();
    let poll = net.devices.get_mut(&2).unwrap().next_action();
    let Some(quorate_participant::Action::Send { frame }) = poll else { unreachable!() };
    net.hand_over(2, &frame);
    assert!(is_ready(&net, 2), "{:?} {:?}", net.service_errors, net.device_errors);
    let coordinator = net.service.coordinator().unwrap();
    assert_eq!(coordinator.epoch().unwrap().record().eligible, deployment.registry.head());
    assert_eq!(coordinator.registry().len(), deployment.registry.len() + 1);
    net.play();
    net.assert_opened(&ALL);
    // And the other way round.
    net.service.start_round(Time(50_000), &deployment.config(), &deployment.plans).unwrap();
    let busy = net.ceremony(&[0]);
    let busy = net.service.start_ceremony(Time(50_000), &busy);
    let running = CeremonyError::Misuse(ApiMisuse::RoundRunning);
    assert!(matches!(busy, Err(ServiceError::Ceremony(error)) if error == running));
}

// RT-11 [EPOCH-1]: nobody hears of an epoch whose evidence could not be kept.
#[test]
fn rt_11_an_epoch_is_ready_only_when_its_evidence_is_durable() {
    let deployment = deployment(Suite::Direct);
    let mut net = Net::new(&deployment);
    let path = net.coordinator_folder().join("epoch");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("in the way"), []).unwrap();
    net.call_ceremony(&[0, 2]);
    assert!(net.ceremonies.is_empty() && net.service.coordinator().is_none());
    assert!(matches!(net.service_errors[..], [ServiceError::Ledger(_)]), "{:?}", net.service_errors);
}
