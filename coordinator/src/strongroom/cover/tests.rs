use std::fs;

use super::*;
use crate::config::InitialModel;
use crate::models::{JobModel, ModelError, ModelStore, seal_plain, stored};
use crate::optimise::Optimiser;
use crate::strongroom::tests::{At, assert_absent};

const PLAIN: Optimiser = Optimiser::FedAvg { rate: 1.0 };
const MEAN: [f64; 4] = [0.123_456_7, 7.654_321, -3.25, 1e9];

fn model(models: &Path, cover: &Cover) -> Result<JobModel, ModelError> {
    ModelStore::open(models, cover)?.job("main", 4, &InitialModel::Zeros, &PLAIN)
}

fn bytes() -> Vec<u8> {
    MEAN.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect()
}

// E1, E2, E7
#[test]
fn models_rest_sealed_and_come_back() {
    let at = At::new();
    let room = Shared::new(Some(at.create()));
    let cover = Cover::new(&room);
    let models = &at.config.files[0];
    let mut first = model(models, &cover).unwrap();
    let hash = first.advance(1, &PLAIN, &MEAN).unwrap().hash;
    assert_absent(at.folder.path(), &[bytes()]);
    drop(first);
    let again = model(models, &cover).unwrap();
    assert_eq!((again.current().version, again.current().hash), (1, hash));
    let file = stored(models, &cover, ("main", 1)).unwrap().unwrap();
    assert_eq!(file, again.current().file.to_vec());
    assert!(stored(models, &cover, ("main", 2)).unwrap().is_none());
    drop(again);

    // Another version's file, or another job's, under this name; a changed byte; plain bytes.
    let name = models.join("main/0000000001.safetensors.sealed");
    let good = fs::read(&name).unwrap();
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let zero = fs::read(models.join("main/0000000000.safetensors.sealed")).unwrap();
    for bad in [changed, zero, file, good[..good.len() - 1].to_vec()] {
        fs::write(&name, bad).unwrap();
        assert!(stored(models, &cover, ("main", 1)).is_err());
        assert!(model(models, &cover).is_err());
    }
    fs::write(&name, &good).unwrap();
    let elsewhere = cover.within("models").within("other").open("0000000001.safetensors", good);
    assert!(elsewhere.is_err());
    assert_eq!(model(models, &cover).unwrap().current().version, 1);
    // Sealed, nothing opens and nothing is written.
    *room.lock() = None;
    assert!(stored(models, &cover, ("main", 1)).is_err());
}

// C8, C9, E5: the bodies stay, the wraps move, and until then the old wrapping key is needed.
#[test]
fn files_move_to_a_new_wrapping_key_with_the_keys() {
    let at = At::new();
    let room = Shared::new(Some(at.create()));
    let cover = Cover::new(&room);
    let models = &at.config.files[0];
    model(models, &cover).unwrap().advance(1, &PLAIN, &MEAN).unwrap();
    let name = models.join("main/0000000001.safetensors.sealed");
    let before = fs::read(&name).unwrap();
    let old = room.lock().as_ref().unwrap().wrapping().unwrap();
    let mut guard = room.lock();
    let strongroom = guard.as_mut().unwrap();
    strongroom.rotate_wrapping().unwrap();
    let refused = strongroom.destroy(&old).unwrap_err();
    assert!(matches!(&refused, StrongroomError::StillNeeded { by: Sealed::Key(_), .. }), "{refused}");
    let mut job = strongroom.rewrap().unwrap();
    // What is removed meanwhile is no failure.
    fs::remove_file(models.join("main/0000000000.state.sealed")).unwrap();
    while strongroom.rewrap_step(&mut job).unwrap() {}
    assert_eq!((job.progress().total, job.progress().rewrapped, job.failures().len()), (6, 4, 0));
    // The older key of files moved with the three files, which then left it.
    assert_eq!(strongroom.list(), ["data/files@2".parse::<KeyId>().unwrap()]);
    strongroom.destroy(&old).unwrap();
    drop(guard);
    let after = fs::read(&name).unwrap();
    let body = before.len() - bytes().len() - 16;
    assert!(before != after && before[body..] == after[after.len() - (before.len() - body)..]);
    assert_eq!(model(models, &cover).unwrap().current().version, 1);
}

#[test]
fn plain_models_beside_a_strongroom_are_moved_in_or_refused() {
    let at = At::new();
    let models = &at.config.files[0];
    let plain = Cover::plain();
    let hash = model(models, &plain).unwrap().advance(1, &PLAIN, &MEAN).unwrap().hash;
    assert!(fs::read(models.join("main/0000000001.safetensors")).unwrap().ends_with(&bytes()));
    let cover = Cover::new(&Shared::new(Some(at.create())));
    assert!(matches!(model(models, &cover), Err(ModelError::Plain)));
    // Done twice, as after a death in the middle of it.
    for _ in 0..2 {
        let moved = seal_plain(models, &cover).unwrap();
        assert_eq!(moved.len(), 4);
        assert!(moved.iter().all(|path| path.exists()));
    }
    seal_plain(models, &cover).unwrap().iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_absent(at.folder.path(), &[bytes()]);
    let current = model(models, &cover).unwrap();
    assert_eq!((current.current().version, current.current().hash), (1, hash));
    // The other way round nothing opens either: sealed files are not begun anew without their strongroom.
    drop(current);
    assert!(matches!(model(models, &plain), Err(ModelError::Sealed)));
}
