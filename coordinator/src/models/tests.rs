use super::*;

const MOMENTUM: Optimiser = Optimiser::FedAvgM { rate: 1.0, momentum: 0.5 };

fn open(at: &Path) -> JobModel {
    let store = ModelStore::open(at, &Cover::plain()).unwrap();
    store.job("digits", 2, &InitialModel::Zeros, &MOMENTUM).unwrap()
}

#[test]
fn versions_follow_one_another_and_survive() {
    let at = tempfile::tempdir().unwrap();
    let mut model = open(at.path());
    assert_eq!((model.current().version, model.current().round), (0, 0));
    model.advance(3, &MOMENTUM, &[1.0, 2.0]).unwrap();
    model.advance(4, &MOMENTUM, &[0.0, 2.0]).unwrap();
    assert_eq!(*model.current().numbers, [1.5, 5.0]);
    assert!(matches!(model.advance(4, &MOMENTUM, &[1.0; 2]), Err(ModelError::Applied { round: 4 })));
    let store = ModelStore::open(at.path(), &Cover::plain()).unwrap();
    let twice = store.job("digits", 2, &InitialModel::Zeros, &MOMENTUM);
    assert!(matches!(twice, Err(ModelError::InUse)));
    let before = model.current().clone();
    drop(model);
    let mut model = open(at.path());
    assert_eq!((model.current().hash, model.current().round), (before.hash, 4));
    assert_eq!(model_hash(&model.current().file), before.hash);
    model.advance(9, &MOMENTUM, &[0.0, 0.0]).unwrap();
    assert_eq!(*model.current().numbers, [1.75, 6.5], "the momentum is remembered");
    drop(model);
    let other = Optimiser::FedAvg { rate: 1.0 };
    assert!(store.job("digits", 2, &InitialModel::Zeros, &other).is_err(), "another optimiser's state");
    let dimension = store.job("digits", 3, &InitialModel::Zeros, &MOMENTUM);
    assert!(matches!(dimension, Err(ModelError::Dimension { found: 2, dim: 3 })));
}

// A crash at every point of writing version 2: the pair before it or the pair after it, never a mixture.
#[test]
fn a_crash_between_the_files_leaves_a_pair() {
    let at = tempfile::tempdir().unwrap();
    let mut model = open(at.path());
    model.advance(1, &MOMENTUM, &[1.0, 1.0]).unwrap();
    let one = model.current().hash;
    model.advance(2, &MOMENTUM, &[1.0, 1.0]).unwrap();
    let two = model.current().clone();
    drop(model);
    let folder = at.path().join("digits");
    let (state, file) = (folder.join(state_name(2)), folder.join(model_name(2)));
    let state_bytes = std::fs::read(&state).unwrap();

    let found = |expected| {
        let model = open(at.path());
        assert_eq!(model.current().hash, expected);
    };
    // Before the model file was there, with and without its state.
    std::fs::remove_file(&file).unwrap();
    found(one);
    std::fs::remove_file(&state).unwrap();
    found(one);
    // From there the same step gives the same bytes.
    let mut model = open(at.path());
    assert_eq!(model.advance(2, &MOMENTUM, &[1.0, 1.0]).unwrap().file, two.file);
    drop(model);
    assert_eq!(std::fs::read(&state).unwrap(), state_bytes);
    found(two.hash);
    // A state of another model, a model without state, damaged bytes.
    std::fs::copy(folder.join(state_name(1)), &state).unwrap();
    found(one);
    std::fs::write(&state, &state_bytes[..state_bytes.len() - 1]).unwrap();
    found(one);
    std::fs::write(&state, &state_bytes).unwrap();
    let mut damaged = two.file.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    found(one);
    for version in 0..2 {
        std::fs::remove_file(folder.join(model_name(version))).unwrap();
    }
    let store = ModelStore::open(at.path(), &Cover::plain()).unwrap();
    let lost = store.job("digits", 2, &InitialModel::Zeros, &MOMENTUM);
    assert!(matches!(lost, Err(ModelError::Damaged)), "never begun anew silently");
}

#[test]
fn old_versions_go_and_the_newest_never_does() {
    let at = tempfile::tempdir().unwrap();
    let mut model = open(at.path());
    for round in 1..=5 {
        model.advance(round, &MOMENTUM, &[1.0, 1.0]).unwrap();
    }
    assert_eq!(model.retain(2).unwrap(), [0, 1, 2, 3]);
    assert!(model.file(4).unwrap().is_some() && model.file(3).unwrap().is_none());
    assert_eq!(model.retain(0).unwrap(), [4]);
    drop(model);
    assert_eq!(open(at.path()).current().version, 5);
}

#[test]
fn an_initial_file_keeps_its_tensors() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("initial.safetensors");
    let tensor = |shape: Vec<usize>, numbers: &'static [u8]| {
        safetensors::tensor::TensorView::new(Dtype::F32, shape, numbers).unwrap()
    };
    let ones: &[u8] = &[0, 0, 128, 63, 0, 0, 128, 63];
    let zeros: &[u8] = &[0; 8];
    let tensors = [("w", tensor(vec![1, 2], ones)), ("a", tensor(vec![2], zeros))];
    std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    check_initial(&path, 4).unwrap();
    assert!(matches!(check_initial(&path, 5), Err(ModelError::Dimension { found: 4, dim: 5 })));
    let store = ModelStore::open(&at.path().join("models"), &Cover::plain()).unwrap();
    let initial = InitialModel::File(path.clone());
    let model = store.job("x", 4, &initial, &MOMENTUM).unwrap();
    assert_eq!(*model.current().numbers, [0.0, 0.0, 1.0, 1.0], "in the order of the names");
    let read = safetensors::SafeTensors::deserialize(&model.current().file).unwrap();
    assert_eq!(read.tensor("w").unwrap().shape(), [1, 2]);
    std::fs::write(&path, b"nothing").unwrap();
    assert!(matches!(check_initial(&path, 4), Err(ModelError::Form)));
}
