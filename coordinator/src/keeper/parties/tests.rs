use std::time::{Duration, Instant};

use quorate_crypto::sign::SigningKey;
use quorate_keys::PartyId;
use quorate_keys::when::Span;

use super::super::tests::{DAY, at, deployment, id, open, told};
use super::*;
use crate::keeper::Order;

fn key(party: u32, version: u32) -> SigningKey {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&party.to_le_bytes());
    seed[4..8].copy_from_slice(&version.to_le_bytes());
    SigningKey::from_bytes(&seed)
}

fn request(index: u32, party: u32, version: u32) -> RenewalRequest {
    let before = key(party, version - 1);
    let id = PartyId::new(index, before.public());
    RenewalRequest::new(&deployment(), (id, &before), version, &key(party, version))
}

/// [RENEW-2], [KL-4], [KL-7]: a next key waits until it is taken up, however long that takes; then the one before retires and is
/// retired by policy. Over restarts, and told by the log alone.
#[test]
fn renew_2_a_next_key_waits_and_then_its_predecessor_retires() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    keeper.enrolled(at(DAY), 0, key(0, 1).public()).unwrap();
    keeper.step(at(300 * DAY)).unwrap();
    assert!(keeper.due_parties().is_empty());
    assert_eq!(keeper.renewal(at(300 * DAY), 0, &request(0, 0, 2)).unwrap(), Err(Unrenewed::NotDue));
    keeper.step(at(360 * DAY)).unwrap();
    assert_eq!(keeper.due_parties(), [(0, 2)].into());
    assert_eq!(keeper.renewal(at(360 * DAY), 0, &request(0, 0, 2)).unwrap(), Ok(id("participant/0@2")));
    let another = RenewalRequest { key: key(7, 7).public().clone(), ..request(0, 0, 2) };
    assert_eq!(keeper.renewal(at(360 * DAY), 0, &another).unwrap(), Err(Unrenewed::Over), "another key");
    keeper.settle(at(360 * DAY)).unwrap();
    drop(keeper);
    // Recorded, and not in the registry yet when the process ended.
    let mut keeper = open(folder.path(), 361 * DAY);
    keeper.enrolled(at(361 * DAY), 0, key(0, 1).public()).unwrap();
    assert!(keeper.pending_parties().is_empty());
    assert_eq!(keeper.renewal(at(361 * DAY), 0, &request(0, 0, 2)).unwrap(), Ok(id("participant/0@2")));
    keeper.enrolled(at(361 * DAY), 1, key(0, 2).public()).unwrap();
    assert_eq!(keeper.pending_parties(), [(0, (1, id("participant/0@2")))].into());
    for day in [362, 380, 400] {
        keeper.step(at(day * DAY)).unwrap();
        let (active, _) = keeper.inventory().protecting(&id("participant/0@1").name).unwrap();
        assert_eq!(active, id("participant/0@1"), "nobody has taken it up");
    }
    assert!(keeper.taken_up(at(400 * DAY), 1).unwrap());
    keeper.settle(at(400 * DAY)).unwrap();
    assert!(!keeper.taken_up(at(400 * DAY), 1).unwrap(), "once");
    assert_eq!(keeper.superseded(), [(0, 1)].into());
    assert_eq!(keeper.indices(&id("participant/0@1").name), [0, 1].into());
    let state = |keeper: &Keeper, version| {
        keeper.inventory().key(&id("participant/0@1").name.version(version)).unwrap().state
    };
    assert_eq!([1, 2].map(|version| state(&keeper, version)), [State::Retiring, State::Active]);
    assert_eq!(
        keeper.renewal(at(400 * DAY), 0, &request(0, 0, 2)).unwrap(),
        Err(Unrenewed::Over),
        "the old key"
    );
    let after = keeper.policy().rule(&id("participant/0@1").name).retiring_time.0;
    keeper.step(at(400 * DAY + after + Span::days(1).0)).unwrap();
    assert_eq!(state(&keeper, 1), State::Retired);
    assert_eq!(told(folder.path()).inventory, *keeper.inventory());
}

/// A party is expelled with a key that was in other hands while it could have been renewed, and not with one that had been
/// replaced before that.
#[test]
fn renew_2_a_key_replaced_in_time_expels_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    keeper.enrolled(at(DAY), 0, key(0, 1).public()).unwrap();
    keeper.step(at(360 * DAY)).unwrap();
    keeper.renewal(at(360 * DAY), 0, &request(0, 0, 2)).unwrap().unwrap();
    keeper.enrolled(at(360 * DAY), 1, key(0, 2).public()).unwrap();
    let (first, second) = (id("participant/0@1"), id("participant/0@2"));
    assert!(keeper.expels(&first, Time(361 * DAY)), "not taken up");
    keeper.taken_up(at(362 * DAY), 1).unwrap();
    assert!(keeper.expels(&first, Time(361 * DAY)));
    assert!(!keeper.expels(&first, Time(363 * DAY)));
    assert!(keeper.expels(&second, Time(363 * DAY)));
    assert!(!keeper.expels(&id("model/global@1"), Time(0)));
}

/// `keys rotate participant/N` makes that one due, and a revocation leaves it without a next key.
#[test]
fn renew_2_an_order_makes_one_due() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    for party in 0..3 {
        keeper.enrolled(at(DAY), party, key(party, 1).public()).unwrap();
    }
    let rotate = Order::Rotate { line: id("participant/1@1").name };
    keeper.execute(at(2 * DAY), &super::super::tests::signed(rotate), &[].into()).unwrap();
    keeper.step(at(2 * DAY)).unwrap();
    assert_eq!(keeper.due_parties(), [(1, 2)].into());
    keeper.removed(at(3 * DAY), 1).unwrap();
    keeper.step(at(3 * DAY)).unwrap();
    assert!(keeper.due_parties().is_empty());
    assert_eq!(keeper.renewal(at(3 * DAY), 1, &request(1, 1, 2)).unwrap(), Err(Unrenewed::Over));
}

/// C5: of 20 parties that are due two are told first; who is not told is refused, also after a restart; then half of them, and
/// with a fault in those nobody more, while every party stays under a key that protects.
#[test]
fn c5_parties_are_told_in_waves_and_a_fault_stops_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    for party in 0..20 {
        keeper.enrolled(at(DAY), party, key(party, 1).public()).unwrap();
    }
    keeper.step(at(350 * DAY)).unwrap();
    let first: Vec<u32> = keeper.due_parties().into_keys().collect();
    assert_eq!(first.len(), 2);
    let other = (0..20).find(|party| !first.contains(party)).unwrap();
    let early = keeper.renewal(at(350 * DAY), other, &request(other, other, 2)).unwrap();
    assert_eq!(early, Err(Unrenewed::NotDue));
    drop(keeper);
    let mut keeper = open(folder.path(), 350 * DAY);
    for party in 0..20 {
        keeper.enrolled(at(350 * DAY), party, key(party, 1).public()).unwrap();
    }
    assert_eq!(keeper.due_parties().into_keys().collect::<Vec<u32>>(), first);
    let renew = |keeper: &mut Keeper, indices: &[u32], taken: usize| {
        for &index in indices {
            keeper.renewal(at(350 * DAY), index, &request(index, index, 2)).unwrap().unwrap();
            keeper.enrolled(at(350 * DAY), 20 + index, key(index, 2).public()).unwrap();
        }
        for &index in &indices[..taken] {
            assert!(keeper.taken_up(at(350 * DAY), 20 + index).unwrap());
        }
        keeper.settle(at(350 * DAY)).unwrap();
    };
    renew(&mut keeper, &first, 2);
    keeper.step(at(350 * DAY)).unwrap();
    let second: Vec<u32> = keeper.due_parties().into_keys().collect();
    assert_eq!(second.len(), 8);
    // Half of the second wave cannot take their keys up.
    renew(&mut keeper, &second, 4);
    assert!(!keeper.step(at(351 * DAY - 1)).unwrap().turned);
    assert!(keeper.step(at(351 * DAY)).unwrap().turned);
    assert!(keeper.renewals().stopped && keeper.due_parties().is_empty(), "{:?}", keeper.renewals());
    let third = (0..20).find(|party| !first.contains(party) && !second.contains(party)).unwrap();
    let refused = keeper.renewal(at(351 * DAY), third, &request(third, third, 2)).unwrap();
    assert_eq!(refused, Err(Unrenewed::NotDue));
    for party in 0..20 {
        assert!(keeper.inventory().protecting(&id(&format!("participant/{party}@1")).name).is_ok());
    }
    // The same keys work after all.
    for index in &second[4..] {
        assert!(keeper.taken_up(at(352 * DAY), 20 + index).unwrap());
    }
    assert!(keeper.step(at(352 * DAY)).unwrap().turned);
    assert_eq!(keeper.due_parties().len(), 10);
    assert_eq!(told(folder.path()).inventory, *keeper.inventory());
}

/// H5: many parties renew their keys at once, in their waves.
#[test]
fn h5_identities_are_renewed_at_once() {
    renewed_at_once(200);
}

/// H5: `cargo test -p quorate-coordinator --lib -- h5_ten --ignored --nocapture` prints the figure.
#[test]
#[ignore = "a campaign: a minute of writing to disk"]
fn h5_ten_thousand_identities_are_renewed_at_once() {
    renewed_at_once(10_000);
}

/// What the keeper does for so many parties, in batches as the node makes them.
fn renewed_at_once(parties: u32) {
    const BATCH: usize = 32;
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    for party in 0..parties {
        keeper.enrolled(at(DAY), party, key(party, 1).public()).unwrap();
    }
    keeper.settle(at(DAY)).unwrap();
    let now = at(350 * DAY);
    let (mut swept, mut recorded, mut taken_up, mut done) = (ZERO, ZERO, ZERO, 0);
    for wave in [parties / 10, parties / 2 - parties / 10, parties / 2] {
        let begun = Instant::now();
        keeper.step(now).unwrap();
        let indices: Vec<u32> = keeper.due_parties().into_keys().collect();
        swept += begun.elapsed();
        assert_eq!(indices.len(), wave as usize);
        let requests: Vec<_> = indices.iter().map(|&party| request(party, party, 2)).collect();
        let begun = Instant::now();
        for batch in requests
            .chunks(BATCH)
            .zip(indices.chunks(BATCH))
            .map(|(requests, indices)| indices.iter().zip(requests))
        {
            for (&index, request) in batch {
                let before = key(index, 1);
                request.verify(&deployment(), PartyId::new(index, before.public()), before.public()).unwrap();
                keeper.renewal(now, index, request).unwrap().unwrap();
            }
            keeper.settle(now).unwrap();
        }
        recorded += begun.elapsed();
        for &index in &indices {
            keeper.enrolled(now, parties + index, key(index, 2).public()).unwrap();
        }
        let begun = Instant::now();
        for batch in indices.chunks(BATCH) {
            for &index in batch {
                assert!(keeper.taken_up(now, parties + index).unwrap());
            }
            keeper.settle(now).unwrap();
        }
        taken_up += begun.elapsed();
        done += indices.len();
    }
    assert_eq!(done, parties as usize);
    println!(
        "{parties} identities: swept in {:.2} s, recorded in {:.2} s, taken up in {:.2} s",
        swept.as_secs_f64(),
        recorded.as_secs_f64(),
        taken_up.as_secs_f64()
    );
    keeper.step(now).unwrap();
    assert!(keeper.due_parties().is_empty() && keeper.pending_parties().is_empty());
    assert_eq!(keeper.superseded().len(), parties as usize);
    assert_eq!(told(folder.path()).inventory, *keeper.inventory());
}

const ZERO: Duration = Duration::ZERO;
