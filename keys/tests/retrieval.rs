//! How long it takes to look a key up when there are a million of them and a thousand ask at once.
//!
//! `cargo test --release -p quorate-keys --test retrieval -- campaign_ --ignored --nocapture`; part of `cargo xtask campaign`.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::{Barrier, RwLock};
use std::time::{Duration, Instant};

use quorate_crypto::hash::sha256;
use quorate_keys::inventory::Inventory;
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Origin};
use quorate_keys::inventory::word::Actor;
use quorate_keys::when::{At, Time};
use quorate_keys::{Class, KeyName};

/// A line with one active key.
fn enrol(inventory: &mut Inventory, number: u32) {
    let actor: Actor = "test".parse().unwrap();
    let key = KeyName::new(Class::Participant, &number.to_string()).unwrap().version(1);
    let origin = Origin {
        fingerprint: sha256(&[&number.to_le_bytes()]),
        algorithm: Algorithm::Ed25519,
        owner: actor.clone(),
        region: None,
        parent: None,
        audience: 0,
    };
    for change in [Change::Created(origin), Change::Activated] {
        let at = At::new(Time(1), 0);
        let event = Event { at, actor: actor.clone(), cause: Cause::First, key: key.clone(), change };
        inventory.apply(&event).unwrap();
    }
}

/// `lines` keys, `readers` threads that look up `each` of them while another one writes; the latencies in order.
fn latencies(lines: u32, readers: usize, each: u32) -> Vec<Duration> {
    let mut inventory = Inventory::default();
    for number in 0..lines {
        enrol(&mut inventory, number);
    }
    let (inventory, start) = (RwLock::new(inventory), Barrier::new(readers + 1));
    let mut all = std::thread::scope(|scope| {
        let reader = |reader: usize| {
            let (inventory, start) = (&inventory, &start);
            move || {
                let mut taken = Vec::with_capacity(each as usize);
                let mut at = reader as u64 * 0x9e37_79b9;
                start.wait();
                for _ in 0..each {
                    at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let number = (at >> 33) % u64::from(lines);
                    let name = KeyName::new(Class::Participant, &number.to_string()).unwrap();
                    let begun = Instant::now();
                    let known = inventory.read().unwrap();
                    let (id, _) = known.protecting(&name).unwrap();
                    assert!(known.processing(&id).is_ok());
                    drop(known);
                    taken.push(begun.elapsed());
                }
                taken
            }
        };
        let running: Vec<_> = (0..readers)
            .map(|number| {
                std::thread::Builder::new().stack_size(1 << 17).spawn_scoped(scope, reader(number)).unwrap()
            })
            .collect();
        start.wait();
        for number in lines..lines + 1_000 {
            enrol(&mut inventory.write().unwrap(), number);
        }
        running.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    all.sort_unstable();
    all
}

/// The small version runs with all tests: every reader finds every key while keys are added.
#[test]
fn readers_find_keys_while_others_are_made() {
    assert_eq!(latencies(2_000, 16, 200).len(), 3_200);
}

#[test]
#[ignore = "a campaign: builds a million keys"]
fn campaign_a_million_keys_and_a_thousand_readers() {
    let all = latencies(1_000_000, 1_000, 100);
    let at = |permille: usize| all[(all.len() - 1) * permille / 1_000];
    println!(
        "1,000,000 keys, 1,000 readers, {} look-ups: median {:?}, p99 {:?}, longest {:?}",
        all.len(),
        at(500),
        at(990),
        at(1_000)
    );
}
