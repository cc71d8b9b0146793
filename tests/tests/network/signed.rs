//! Devices that take only signed models ([MODEL-1]).

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_crypto::ecdsa::EcdsaKey;
use quorate_keys::audit::Value;
use quorate_keys::model_signature::{ModelKey, Standing};
use quorate_keys::{EnrolmentToken, KeyId};

use crate::keeper::told;
use crate::roots::{founding, install_with};
use crate::world::{Options, SHORT, World};

fn id() -> KeyId {
    "model/global@1".parse().unwrap()
}

/// [MODEL-1], F7: devices train on what the root's model key has signed, from the initial model on; when the root names
/// another key, nobody who wants signed models trains any more, and whoever does not want them goes on.
#[tokio::test(flavor = "multi_thread")]
async fn model_1_devices_train_on_signed_models_alone() {
    let options = Options {
        parties: 6,
        rounds: 50,
        wanted: Some(5),
        deadlines: SHORT,
        pause: Duration::from_millis(500),
        ..Options::default()
    };
    let world = World::start(options).await;
    let told = told(world.folder.path(), &world);
    let Some(Value::P256(key)) = told.public.get(&id()) else { panic!("{:?}", told.public.keys()) };
    let active = |key| BTreeMap::from([(id(), ModelKey { key, standing: Standing::Active })]);
    let pin = install_with(&world, 1, &founding(), active(key.clone()));
    let mut running = Vec::new();
    for at in 0..6 {
        let builder = world.builder(&world.device(at), world.connector()).root(pin);
        let token = EnrolmentToken::from_bytes(world.tokens[at as usize]);
        let client = builder.signed_models(at < 5).join(world.address, world.pin, token).await.unwrap();
        running.push(world.play(at, client));
    }
    world.until(|status| status.jobs["job"].opened >= 2).await;
    world.become_so(|| (0..6).all(|at| world.told(at).counted.len() >= 2)).await;
    let refuses = |at: u32| world.told(at).trouble.iter().any(|told| told.contains("Tampered"));
    assert!((0..6).all(|at| !refuses(at)));

    install_with(&world, 2, &founding(), active(EcdsaKey::from_bytes(&[77; 32]).unwrap().public()));
    world.become_so(|| (0..5).all(refuses)).await;
    assert!(!refuses(5), "{:?}", world.told(5));
    running.iter().for_each(tokio::task::JoinHandle::abort);
}
