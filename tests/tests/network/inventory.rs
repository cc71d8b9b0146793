//! The inventory of a deployment in which half of the parties die, against what is found by looking (A1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_coordinator::keeper::PlainRoom;
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::Value;
use quorate_keys::state::State;
use quorate_keys::{Class, KeyId};

use crate::keeper::{id, told};
use crate::world::{Options, SHORT, World};

/// The identity key in a device's folder.
fn device_key(world: &World, at: u32) -> SigningKey {
    let bytes = std::fs::read(world.device(at).join("identity")).unwrap();
    SigningKey::from_bytes(bytes[1..].try_into().unwrap())
}

/// A1: 20 parties, half of which are killed between two rounds. By class there are as many keys in the inventory as are found
/// on the devices, in the coordinator's folders and in its counts; no secret is anywhere that is not in the inventory, and none
/// of a key in force is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a1_the_inventory_is_what_is_found_by_looking() {
    let options = Options {
        parties: 20,
        rounds: 4,
        deadlines: SHORT,
        wanted: Some(8),
        pause: Duration::from_millis(500),
        ..Options::default()
    };
    let mut world = World::start(options).await;
    let running = world.crowd(20).await;
    world.until(|status| status.jobs.values().any(|job| job.opened >= 2)).await;
    running[10..].iter().for_each(tokio::task::JoinHandle::abort);
    world.finished().await;
    let begun = world.node.tally().begun;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;

    let told = told(world.folder.path(), &world);
    let mut counted: BTreeMap<Class, BTreeSet<KeyId>> = BTreeMap::new();
    for (name, line) in told.inventory.lines() {
        let versions = line.keys().map(|(version, _)| name.version(version));
        counted.entry(name.class()).or_default().extend(versions);
    }
    let count = |class: Class| counted.get(&class).map_or(0, BTreeSet::len);

    // Devices, dead ones too: each key is in the inventory once, under the party's own name.
    let devices: BTreeMap<KeyId, SigningKey> = (0..20)
        .map(|at| {
            let key = device_key(&world, at);
            let known = told.inventory.find(&key.public().key_hash());
            (
                known.unwrap_or_else(|| panic!("device {at} has a key that is not in the inventory")).clone(),
                key,
            )
        })
        .collect();
    assert_eq!((devices.len(), count(Class::Participant)), (20, 20));
    for (id, key) in &devices {
        assert_eq!(told.public.get(id), Some(&Value::Key(key.public().clone())));
        assert_eq!(told.inventory.key(id).unwrap().state, State::Active);
    }

    // The coordinator's room: every secret is of a key in the inventory, every key in force has its secret.
    let room = PlainRoom::new(&world.folder.path().join("keys"));
    let secrets: BTreeSet<KeyId> = room.list().unwrap().into_iter().collect();
    let own: BTreeSet<KeyId> = counted
        .iter()
        .filter(|(class, _)| matches!(class, Class::Coordinator | Class::Audit | Class::Model))
        .flat_map(|(_, ids)| ids.clone())
        .filter(|id| told.inventory.key(id).unwrap().state.processes())
        .collect();
    // The founding key is the test's, not the room's.
    let founding = id("coordinator/identity@1");
    assert_eq!(secrets.iter().chain([&founding]).cloned().collect::<BTreeSet<_>>(), own);
    let found = |name: &str| std::fs::read_dir(world.folder.path().join(name)).unwrap().count();
    assert_eq!((count(Class::Coordinator), count(Class::Audit), count(Class::Model)), (1, found("audit"), 1));
    // One certificate was shown; parties' are counted, not listed.
    assert_eq!(count(Class::Transport), 1);
    assert!(told.inventory.line(&"transport/coordinator".parse().unwrap()).is_some());

    // Rounds: as many secrets as the coordinator has begun, none of them open.
    assert!(begun >= 4, "{begun}");
    assert_eq!(told.inventory.round_secrets() as u64, begun);
    assert_eq!(told.inventory.open_round_secrets().count(), 0);
    let others = [Class::Root, Class::Collective, Class::Data, Class::Wrapping, Class::Escrow];
    assert_eq!(others.map(count), [0; 5]);
}
