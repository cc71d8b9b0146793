//! The drivers of participant and coordinator over the real machines: a full round, a crash at every byte
//! written, disks that fail (RT-11, RT-68).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod ceremony;
mod net;
mod opening;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use quorate_coordinator::{Service, ServiceError};
use quorate_crypto::ring::Suite;
use quorate_participant::{Action, Device, DeviceError, StoreError};
use quorate_protocol::error::Abort;
use quorate_protocol::id::Time;
use quorate_protocol::transcript::Outcome;
use quorate_protocol::wire::{
    self, Announce, Answer, CheckBatch, Close, Contribution, Lock, Locks, Message, ResultNotice, RoundKey,
};
use quorate_tests::{Deployment, Options};

use net::{Ending, Files, Net, Payload, Step, files, folder, open_device};

fn deployment(suite: Suite) -> Deployment {
    Deployment::build(Options { dual: true, ..Options::sized(5, 4).suite(suite) }, 11)
}

const ALL: [u32; 5] = [0, 1, 2, 3, 4];

#[test]
fn rounds_are_exact_also_after_everybody_was_restarted() {
    for suite in [Suite::R4096, Suite::Direct] {
        let deployment = deployment(suite);
        let mut net = Net::new(&deployment);
        for round in 1..=3 {
            net.play();
            assert!(net.device_errors.is_empty() && net.service_errors.is_empty(), "{:?}", net.device_errors);
            assert_eq!(net.assert_opened(&ALL), round);
            net.counted.sort_unstable();
            assert_eq!(net.counted, ALL);
            net = net.restart();
        }
        let transcript = net.service.coordinator().unwrap().transcript();
        assert_eq!(transcript.entries().len(), 3);
    }
}

/// Distinct messages of one type.
fn distinct<T: Message>(sent: &[Payload]) -> BTreeSet<&Payload> {
    sent.iter().filter(|payload| payload.is::<T>()).collect()
}

/// What a folder can look like when the device or service dies in step `at`: nothing of the step written, any
/// part of it that a crash can leave, or all of it. The flag says whether the step's messages may have left.
fn crashes(steps: &[Step], at: usize, state: &str) -> Vec<(Files, bool)> {
    let (before, after) = (&steps[at - 1].files, &steps[at].files);
    let mut crashes = vec![(before.clone(), false), (after.clone(), true), (after.clone(), false)];
    let (old, new) = (&before[state], &after[state]);
    // Appended records: cut at every byte. A new file appears whole, its temporary may be left in any state.
    let begun = if new.starts_with(old) { old.len() } else { first_record(new) };
    for length in begun..new.len() {
        let mut torn = after.clone();
        torn.insert(state.to_owned(), new[..length].to_vec());
        crashes.push((torn, false));
    }
    for (name, bytes) in after.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes)) {
        for part in 0..8 {
            let mut torn = before.clone();
            torn.insert(format!("{name}.tmp"), bytes[..bytes.len() * part / 8].to_vec());
            crashes.push((torn, false));
        }
    }
    crashes
}

/// Where the first record after the snapshot ends: magic, then frames of length, body, check.
fn first_record(bytes: &[u8]) -> usize {
    let frame = |at: usize| at + 8 + u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize + 32;
    frame(frame(8))
}

/// Everything a restarted device sends if the whole round is said to it again.
fn replay(deployment: &Deployment, device: &mut Device, index: u32, steps: &[Step]) -> Vec<Payload> {
    let mut sent = Vec::new();
    let _ = device.retry();
    let frames = steps.iter().filter_map(|step| step.input.as_ref());
    for frame in std::iter::once(None).chain(frames.map(Some)) {
        if let Some((_, payload)) = frame {
            let _ = device.handle(Time(2000), payload.frame());
        }
        while let Some(action) = device.next_action() {
            match action {
                Action::Send { frame } => sent.push(Payload::Frame(frame)),
                Action::Upload { frame, vector } => sent.push(Payload::Contribution(frame, vector)),
                Action::Train { round } => {
                    let model = device.current().unwrap().manifest.model;
                    device.check_model_hash(round, &model).unwrap();
                    device.trained(round).unwrap();
                }
                Action::Ready { round } => {
                    let (update, weight) = deployment.oracle.update(index, round);
                    device.contribute(round, &update, weight).unwrap();
                }
                _ => {}
            }
        }
    }
    sent
}

// RT-11, RT-68 [MASK-4], [OPEN-1], [OPEN-3], [ROST-1]: whatever a crash leaves of the folder, over the whole life of
// the device there is one round key, one contribution, one lock, one answer.
#[test]
fn a_device_that_crashes_anywhere_signs_nothing_twice() {
    let deployment = deployment(Suite::Direct);
    let mut net = Net::new(&deployment);
    net.play();
    net.assert_opened(&ALL);
    let steps = net.device_steps;
    let (mut before, mut tried, mut repeated, mut afresh) = (Vec::new(), 0, 0, 0);
    for at in 1..steps.len() {
        let with: Vec<Payload> = before.iter().chain(&steps[at].sent).cloned().collect();
        for (files, left) in crashes(&steps, at, "state") {
            let folder = folder(&files);
            let mut device = open_device(&deployment, 0, folder.path());
            let after = replay(&deployment, &mut device, 0, &steps);
            let known = if left { &with } else { &before };
            let all: Vec<Payload> = known.iter().chain(&after).cloned().collect();
            assert!(distinct::<RoundKey>(&all).len() <= 1, "step {at}");
            assert!(distinct::<Contribution>(&all).len() <= 1, "step {at}");
            assert!(distinct::<Lock>(&all).len() <= 1 && distinct::<Answer>(&all).len() <= 1, "step {at}");
            if !distinct::<RoundKey>(known).is_empty() {
                let speaks = |sent: &Payload| {
                    sent.is::<RoundKey>()
                        || sent.is::<CheckBatch>()
                        || sent.is::<Lock>()
                        || sent.is::<Answer>()
                };
                assert!(!after.iter().any(speaks), "a member that crashed is silent, step {at}");
            }
            tried += 1;
            repeated += usize::from(!distinct::<Contribution>(known).is_empty() && after.len() == 1);
            afresh += usize::from(known.iter().all(|sent| sent.is::<wire::Poll>()) && after.len() > 2);
        }
        before = with;
    }
    // The canary: crashes before anything left are no obstacle, and there were retries.
    assert!(tried > 300 && repeated > 0 && afresh > 0, "{tried} {repeated} {afresh}");
}

// RT-11 [MASK-4]: kept bytes that are not those on record are never sent.
#[test]
fn a_damaged_contribution_is_not_sent_again() {
    let deployment = deployment(Suite::R4096);
    let mut net = Net::new(&deployment);
    net.play();
    let at = net.device_steps.iter().position(|step| step.files.contains_key("contribution")).unwrap();
    let files = &net.device_steps[at].files;
    let sent = net.device_steps[at].sent.last().unwrap();
    let whole = &files["contribution"];
    for round in 0..60 {
        let mut damaged = whole.clone();
        let place = whole.len() * round / 60;
        if round % 2 == 0 {
            damaged[place] ^= 4
        } else {
            damaged.truncate(place)
        }
        let folder = folder(&Files::from([
            ("state".into(), files["state"].clone()),
            ("contribution".into(), damaged),
        ]));
        let mut device = open_device(&deployment, 0, folder.path());
        assert!(matches!(device.retry(), Err(DeviceError::Misuse(_))) && device.next_action().is_none());
        assert!(!folder.path().join("contribution").exists());
    }
    let folder = folder(files);
    let mut device = open_device(&deployment, 0, folder.path());
    for _ in 0..2 {
        device.retry().unwrap();
        let Some(Action::Upload { frame, vector }) = device.next_action() else { unreachable!() };
        assert_eq!(&Payload::Contribution(frame, vector), sent);
    }
    // The result is understood without anything but the record, once.
    let mut notices = net.device_steps.iter().filter_map(|step| Some(&step.input.as_ref()?.1));
    let notice = notices.find(|payload| payload.is::<ResultNotice>()).unwrap();
    device.acknowledged().unwrap();
    device.handle(Time(2000), notice.frame()).unwrap();
    assert!(matches!(device.next_action(), Some(Action::Counted { round: 1 })));
    drop(device);
    let other = Device::open(deployment.membership(1), Arc::clone(&deployment.plans), folder.path());
    assert!(matches!(other, Err(StoreError::Foreign)));
}

// RT-11, RT-14: a round under way when the coordinator dies is over; nothing about it is said again and its number
// is never used again.
#[test]
fn a_service_that_crashes_anywhere_has_used_up_the_round() {
    let deployment = deployment(Suite::Direct);
    let mut net = Net::new(&deployment);
    net.play();
    net.play();
    net.assert_opened(&ALL);
    let steps = net.service_steps;
    let (mut before, mut tried, mut aborted): (Vec<Payload>, usize, usize) = (Vec::new(), 0, 0);
    for at in 1..steps.len() {
        let with: Vec<Payload> = before.iter().chain(&steps[at].sent).cloned().collect();
        for (files, left) in crashes(&steps, at, "ledger") {
            let folder = folder(&files);
            let mut service = Service::open(deployment.coordinator_key(), folder.path()).unwrap();
            let entry = *service.coordinator().unwrap().transcript().entries().last().unwrap();
            let known = if left { &with } else { &before };
            let announced = known.iter().any(|sent| sent.is::<Announce>());
            assert!(entry.round == 2 || !announced, "the transcript knows of the round");
            if let (2, Outcome::Aborted { closed, .. }) = (entry.round, entry.outcome) {
                assert!(closed || !known.iter().any(|sent| sent.is::<Close>() || sent.is::<Locks>()));
                assert!(!known.iter().any(|sent| sent.is::<ResultNotice>()), "a result was not durable");
                aborted += 1;
            }
            while service.next_action().is_some() {}
            for (from, payload) in steps.iter().filter_map(|step| step.input.as_ref()) {
                let _ = match payload {
                    Payload::Frame(frame) => service.handle(Time(3000), *from, frame),
                    Payload::Contribution(frame, vector) => {
                        service.handle_contribution(Time(3000), frame, vector)
                    }
                };
            }
            assert!(service.next_action().is_none(), "nothing comes of the old round");
            let next = service.start_round(Time(4000), &deployment.config(), &deployment.plans).unwrap();
            assert!(next > entry.round && (next == 3 || !announced));
            drop(service);
            let service = Service::open(deployment.coordinator_key(), folder.path()).unwrap();
            assert_eq!(
                service.coordinator().unwrap().transcript().last_round(),
                next,
                "aborted by the restart"
            );
            tried += 1;
        }
        before = with;
    }
    assert!(tried > 300 && aborted > 100, "{tried} {aborted}");
}

/// Plays a round in which something about the folders is broken by `meddle` once `when` is seen at the service.
fn meddled<'a, T: Message>(deployment: &'a Deployment, meddle: impl Fn() + 'a, mut net: Net<'a>) -> Net<'a> {
    let _ = deployment;
    net.lose = Box::new(move |_, payload| {
        if payload.is::<T>() {
            meddle();
        }
        false
    });
    net.play();
    net
}

// [OPEN-3], [MASK-4]: what cannot be made durable is never followed by a message.
#[test]
fn a_device_whose_disk_fails_stops_for_good() {
    let deployment = deployment(Suite::Direct);
    // Where the disk fails: the file of the new round, the kept contribution, a record.
    type Break = fn(&std::path::Path);
    let cases: [(Break, bool); 3] = [
        (|path| fs::create_dir(path.join("state.tmp")).unwrap(), false),
        (|path| fs::create_dir(path.join("contribution.tmp")).unwrap(), true),
        (|path| fs::remove_file(path.join("state")).unwrap(), true),
    ];
    for (number, (meddle, keyed)) in cases.into_iter().enumerate() {
        let net = Net::new(&deployment);
        let path = net.device_folder(0);
        let mut net = if keyed {
            let once = std::cell::Cell::new(false);
            let meddle = move || {
                if !once.replace(true) {
                    meddle(&path)
                }
            };
            meddled::<wire::RosterRequest>(&deployment, meddle, net)
        } else {
            meddle(&path);
            let mut net = net;
            net.play();
            net
        };
        let errors: Vec<&DeviceError> = net.device_errors.iter().map(|(_, error)| error).collect();
        assert!(matches!(errors[0], DeviceError::Store(StoreError::Io(_))), "{number}: {errors:?}");
        assert!(errors[1..].iter().all(|error| matches!(error, DeviceError::Stopped)));
        let sent: Vec<Payload> = net.device_steps.iter().flat_map(|step| step.sent.clone()).collect();
        assert_eq!(distinct::<RoundKey>(&sent).len(), usize::from(keyed));
        assert!(distinct::<Contribution>(&sent).is_empty() && distinct::<Lock>(&sent).is_empty());
        let device = net.devices.get_mut(&0).unwrap();
        assert!(matches!(device.poll(), Err(DeviceError::Stopped)) && device.next_action().is_none());
    }
}

#[test]
fn a_service_whose_ledger_fails_stops_for_good() {
    let deployment = deployment(Suite::Direct);
    let mut net = Net::new(&deployment);
    fs::create_dir(net.coordinator_folder().join("ledger.tmp")).unwrap();
    net.play();
    assert!(matches!(net.service_errors[..], [ServiceError::Ledger(_)]) && net.device_steps.len() == 1);
    assert!(net.service.coordinator().is_none());

    let net = Net::new(&deployment);
    let path = net.coordinator_folder().join("ledger");
    let net = meddled::<Contribution>(&deployment, move || drop(fs::remove_file(&path)), net);
    assert!(matches!(net.service_errors[0], ServiceError::Ledger(_)));
    assert!(net.service_errors[1..].iter().all(|error| matches!(error, ServiceError::Stopped)));
    let sent: Vec<Payload> = net.service_steps.into_iter().flat_map(|step| step.sent).collect();
    assert!(distinct::<Close>(&sent).is_empty() && !distinct::<wire::Relay>(&sent).is_empty());
}

// [FOLD-1]: no receipt without a durable vector.
#[test]
fn a_spool_that_fails_costs_the_round_and_nothing_else() {
    let deployment = deployment(Suite::R4096);
    let mut net = Net::new(&deployment);
    let trap = net.coordinator_folder().join("spool/3.contribution.tmp");
    fs::create_dir(&trap).unwrap();
    net.play();
    assert_eq!(net.ending, Some(Ending::Aborted(Abort::Cancelled)));
    assert!(matches!(net.service_errors[0], ServiceError::Spool(_)));
    fs::remove_dir(&trap).unwrap();
    net.service_errors.clear();
    net.play();
    assert_eq!(net.assert_opened(&ALL), 2);
}

/// A round in which one member's first check values are lost, so that party 0 is left out.
fn left_out<'a>(deployment: &'a Deployment, forget: bool) -> Net<'a> {
    let mut net = Net::new(deployment);
    net.late = vec![1, 2, 3, 4];
    let spooled = net.coordinator_folder().join("spool/0.contribution");
    let mut lost = false;
    net.lose = Box::new(move |from, payload| {
        let lose = from == 2 && payload.is::<CheckBatch>() && !std::mem::replace(&mut lost, true);
        if lose && forget {
            fs::remove_file(&spooled).unwrap();
        }
        lose
    });
    net.play();
    net
}

// [CMP-1]: a vector that is left out comes back from the spool and out of the sum.
#[test]
fn a_vector_left_out_is_taken_out_of_the_sum() {
    let deployment = deployment(Suite::R4096);
    let net = left_out(&deployment, false);
    assert_eq!(net.assert_opened(&[1, 2, 3, 4]), 1);
    assert!(net.counted.len() == 4 && !net.counted.contains(&0));
    let net = left_out(&deployment, true);
    assert_eq!(net.ending, Some(Ending::Aborted(Abort::Cancelled)));
    assert!(net.service_errors.iter().any(|error| matches!(error, ServiceError::Spool(_))));
}

#[test]
fn enrolment_survives_and_waits_for_the_round_to_end() {
    let deployment = deployment(Suite::Direct);
    let mut net = Net::new(&deployment);
    let key = quorate_crypto::sign::SigningKey::from_bytes(&[77; 32]);
    let append = |service: &mut Service| {
        service.change_registry(|registry| registry.append(key.public().clone()).map(|id| id.index))
    };
    assert_eq!(append(&mut net.service).unwrap(), Ok(5));
    net.service.start_round(Time(5), &deployment.config(), &deployment.plans).unwrap();
    assert!(matches!(append(&mut net.service), Err(ServiceError::Misuse(_))));
    net.service.cancel(Time(6)).unwrap();
    let net = net.restart();
    let coordinator = net.service.coordinator().unwrap();
    assert_eq!((coordinator.registry().len(), coordinator.transcript().last_round()), (6, 1));
    assert!(coordinator.epoch().is_some() && files(&net.coordinator_folder()).contains_key("epoch"));
}
