//! Joining, moving, leaving: what is on the device and what the coordinator knows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use std::collections::BTreeSet;

use quorate_participant::{Client, ClientError, Step, StorageKey, Why};
use quorate_transport::{Pin, TransportError};
use support::{World, os, run_all, until};

/// [REG-2]: killed before the answer, the same call goes on with the same key, and the token is spent once.
#[tokio::test]
async fn an_interrupted_join_goes_on_with_the_same_key() {
    let world = World::new();
    let secret = *world.token().expose();
    let token = || quorate_keys::EnrolmentToken::from_bytes(secret);
    world.hub().state().mute = 1;
    let lost = world.builder(0).join(world.address, world.pin, token()).await;
    assert!(matches!(lost, Err(ClientError::Transport(TransportError::Refused(_)))));
    assert!(matches!(world.builder(0).open(), Err(ClientError::NotJoined(_))));
    let client = world.builder(0).join(world.address, world.pin, token()).await.unwrap();
    assert_eq!((client.id().index, client.deployment()), (0, "test"));
    let seen: Vec<_> = world.hub().state().enrolments.iter().map(|seen| seen.key.clone()).collect();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], seen[1]);
    assert_eq!(world.hub().registry().len(), 1);
    drop(client);
    let again = world.builder(0).join(world.address, world.pin, token()).await;
    assert!(matches!(again, Err(ClientError::Joined(_))));
    let other = world.builder(1).join(world.address, world.pin, token()).await;
    assert!(matches!(other, Err(ClientError::Transport(TransportError::Refused(_)))), "a spent token");
}

/// A coordinator that is not the pinned one gets neither key nor token.
#[tokio::test]
async fn a_wrong_pin_is_refused_before_anything_is_sent() {
    let world = World::new();
    let outcome = world.builder(0).join(world.address, Pin::from_bytes([1; 32]), world.token()).await;
    assert!(matches!(outcome, Err(ClientError::Transport(TransportError::Unreachable))));
    assert!(world.hub().state().enrolments.is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_is_for_its_owner_alone_and_runs_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let client = world.join(1).await.pop().unwrap();
    for name in ["identity", "state", "participant.toml"] {
        let mode = std::fs::metadata(world.folder(0).join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(matches!(world.builder(0).open(), Err(ClientError::Store(_))));
    drop(client);
    assert!(world.builder(0).open().is_ok());
}

/// A sealed identity opens with its key only; a moved device goes on elsewhere, and not here any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_sealed_and_moved() {
    let world = World::new();
    let (key, other) = (StorageKey::generate(&mut os()), StorageKey::generate(&mut os()));
    let same = |key: [u8; 32]| StorageKey::from_bytes(&key);
    drop(world.join(4).await);
    let bytes = [7; 32];
    let sealed = world.builder(4).storage_key(same(bytes));
    let client = sealed.join(world.address, world.pin, world.token()).await.unwrap();
    let id = *client.id();
    drop(client);
    assert!(matches!(world.builder(4).open(), Err(ClientError::Sealed(_))));
    assert!(matches!(world.builder(4).storage_key(same([8; 32])).open(), Err(ClientError::Storage(_))));
    let client = world.builder(4).storage_key(same(bytes)).open().unwrap();
    let saved = client.save(&key).unwrap();
    assert!(matches!(world.builder(4).storage_key(same(bytes)).open(), Err(ClientError::Moved(_))));
    assert!(matches!(world.builder(5).restore(&saved, &other), Err(ClientError::Storage(_))));
    let fifth = world.builder(5).rounds(1).restore(&saved, &key).unwrap();
    assert_eq!(*fifth.id(), id);
    world.hold_ceremony();
    let mut clients: Vec<Client> = (0..4).map(|name| world.builder(name).rounds(1).open().unwrap()).collect();
    clients.push(fifth);
    let running = run_all(clients);
    world.start(b"model");
    assert_eq!(world.hub().opened(1).await[0].included, [0, 1, 2, 3, 4]);
    for device in running {
        device.await.unwrap();
    }
}

#[tokio::test]
async fn an_evicted_device_is_done() {
    let world = World::new();
    let mut client = world.join(1).await.pop().unwrap();
    let connected = async {
        while !client.is_connected() {
            client.tick().await.unwrap();
        }
    };
    connected.await;
    world.server.revoke(BTreeSet::from([0]));
    let step = until(&mut client, |step| matches!(step, Step::Done(_))).await;
    assert!(matches!(step, Step::Done(Why::Evicted)));
    assert!(matches!(client.tick().await.unwrap(), Step::Done(Why::Evicted)));
    drop(client);
    let mut again = world.builder(0).open().unwrap();
    until(&mut again, |step| matches!(step, Step::Done(Why::Evicted))).await;
}

/// A second device with the same key is no reconnection: the first one stops and says why.
#[tokio::test]
async fn a_clone_is_noticed() {
    let world = World::new();
    let mut client = world.join(1).await.pop().unwrap();
    while !client.is_connected() {
        client.tick().await.unwrap();
    }
    let copy = world.folder(7);
    std::fs::create_dir(&copy).unwrap();
    for name in ["identity", "state", "participant.toml"] {
        std::fs::copy(world.folder(0).join(name), copy.join(name)).unwrap();
    }
    let _clone = world.builder(7).open().unwrap();
    let replaced = async {
        loop {
            if let Err(error) = client.tick().await {
                return error;
            }
        }
    };
    assert!(matches!(replaced.await, ClientError::Replaced));
}
