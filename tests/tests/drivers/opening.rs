//! The mean of an opened round outlives a crash between the record of its result and its model (RT-11).

use std::collections::BTreeMap;

use quorate_coordinator::Service;
use quorate_coordinator::config::InitialModel;
use quorate_coordinator::models::ModelStore;
use quorate_coordinator::optimise::Optimiser;
use quorate_coordinator::strongroom::Cover;
use quorate_crypto::ring::Suite;
use quorate_protocol::transcript::Outcome;

use crate::net::{Ending, Files, Net, files, folder};
use crate::{ALL, deployment};

const MOMENTUM: Optimiser = Optimiser::FedAvgM { rate: 1.0, momentum: 0.5 };

/// The files of a model after two steps, the second with this mean.
fn learnt(mean: &[f64]) -> Files {
    let at = tempfile::tempdir().unwrap();
    let store = ModelStore::open(at.path(), &Cover::plain()).unwrap();
    let mut model = store.job("job", mean.len() as u32, &InitialModel::Zeros, &MOMENTUM).unwrap();
    model.advance(1, &MOMENTUM, &vec![0.25; mean.len()]).unwrap();
    model.advance(2, &MOMENTUM, mean).unwrap();
    files(&at.path().join("job"))
}

// RT-11 [RES-1]: dead at exactly the point between record and model, the same step gives the same bytes.
#[test]
fn a_mean_outlives_a_crash_after_its_record() {
    for suite in [Suite::R4096, Suite::Direct] {
        let deployment = deployment(suite);
        let mut net = Net::new(&deployment);
        net.play();
        net.assert_opened(&ALL);
        let Some(Ending::Opened(opened)) = net.ending.take() else { unreachable!() };
        let (before, after) = match net.service_steps.as_slice() {
            [.., before, after] => (before.files.clone(), after.files.clone()),
            _ => unreachable!(),
        };
        let net = net.restart();
        let opening = net.service.opening().unwrap().expect("the mean is kept");
        assert_eq!(opening.model, deployment.config().model);
        let bits = |mean: &[f64]| mean.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&opening.opened.mean), bits(&opened.mean));
        assert_eq!(learnt(&opening.opened.mean), learnt(&opened.mean));
        let facts = |opened: &quorate_protocol::coordinator::Opened| {
            (opened.round, opened.set, opened.included.clone(), opened.weight, opened.detects)
        };
        assert_eq!(facts(&opening.opened), facts(&opened));
        net.service.forget_opening().unwrap();
        assert_eq!(net.service.opening().unwrap(), None);

        // Kept, and the record is missing: the round is aborted, and nobody learns from it.
        let kept = BTreeMap::from([("opening".to_owned(), after["opening"].clone())]);
        let at = folder(&before.into_iter().chain(kept).collect());
        let service = Service::open(deployment.coordinator_key(), at.path()).unwrap();
        let last = service.coordinator().unwrap().transcript().entries().last().unwrap().outcome;
        assert!(matches!(last, Outcome::Aborted { closed: true, .. }));
        assert_eq!(service.opening().unwrap(), None);
        drop(service);

        // Damaged anywhere, or cut off anywhere: it is nobody's mean.
        for byte in (0..after["opening"].len()).step_by(13) {
            let mut damaged = after["opening"].clone();
            damaged[byte] ^= 1;
            for bytes in [damaged, after["opening"][..byte].to_vec()] {
                let at = folder(&after.clone().into_iter().chain([("opening".to_owned(), bytes)]).collect());
                let service = Service::open(deployment.coordinator_key(), at.path()).unwrap();
                assert_eq!(service.opening().unwrap(), None, "byte {byte}");
            }
        }
    }
}
