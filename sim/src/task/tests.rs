//! Tests of the tasks as a whole: plain federated averaging, determinism, files.

use rand_core::Rng;
use rayon::prelude::*;
use safetensors::SafeTensors;

use super::arith::{derived_rng, shuffle, unit_f64};
use super::*;

fn options(participants: usize, seed: u8) -> TaskOptions {
    TaskOptions { participants, dim: 50, seed: [seed; 32], ..TaskOptions::default() }
}

fn build(kind: TaskKind, participants: usize, seed: u8) -> Box<dyn Task> {
    kind.build(&options(participants, seed)).unwrap()
}

/// Federated averaging without any protocol, with the codec's clip, weight bound and 16-bit stochastic rounding
/// ([CODEC-1], [CODEC-2], [CODEC-3]). Accuracy after each round, and the fraction of coordinates clipped.
fn federated(
    task: &dyn Task,
    rounds: u64,
    participants: usize,
    per_round: usize,
    seed: u8,
) -> (Vec<f64>, f64) {
    let (clip, bound) = (task.default_clip(), f64::from(task.max_examples()));
    let mut rng = derived_rng(&[seed; 32], &[99]);
    let mut model = task.initial_model();
    let (mut accuracy, mut clipped, mut coordinates) = (Vec::new(), 0u64, 0u64);
    for round in 0..rounds {
        let mut who: Vec<usize> = (0..participants).collect();
        shuffle(&mut rng, &mut who);
        who.truncate(per_round);
        let updates: Vec<_> = who.par_iter().map(|&p| task.train(&model, p, round, &[seed; 32])).collect();
        let (mut sum, mut weight) = (vec![0.0f64; model.len()], 0.0);
        for LocalUpdate { delta, examples } in &updates {
            assert!((1..=task.max_examples()).contains(examples));
            weight += f64::from(*examples);
            let factor = f64::from(*examples) / bound * 32_767.0 / clip;
            for (s, &x) in sum.iter_mut().zip(delta) {
                let x = f64::from(x);
                clipped += u64::from(x.abs() > clip);
                *s += (x.clamp(-clip, clip) * factor + unit_f64(&mut rng)).floor();
            }
            coordinates += delta.len() as u64;
        }
        for (m, s) in model.iter_mut().zip(&sum) {
            *m += (s * (bound * clip / 32_767.0) / weight) as f32;
        }
        accuracy.push(task.evaluate(&model).unwrap());
    }
    (accuracy, clipped as f64 / coordinates as f64)
}

#[test]
fn the_perceptron_learns_within_ten_rounds() {
    let task = build(TaskKind::Mnist, 1_000, 1);
    let (accuracy, clipped) = federated(&*task, 10, 1_000, 100, 1);
    assert!(accuracy[9] > 0.82, "{accuracy:?}");
    assert!(clipped < 1e-3, "{clipped} clipped");
}

#[test]
fn logistic_regression_learns_within_ten_rounds() {
    let task = build(TaskKind::Logistic, 1_000, 1);
    let (accuracy, _) = federated(&*task, 10, 1_000, 100, 1);
    assert!(accuracy[9] > 0.83, "{accuracy:?}");
}

#[test]
fn ten_thousand_participants_share_images_and_learn() {
    let task = build(TaskKind::Logistic, 10_000, 1);
    let (accuracy, _) = federated(&*task, 5, 10_000, 200, 1);
    assert!(accuracy[4] > 0.75, "{accuracy:?}");
}

#[test]
fn same_seed_same_bits_whatever_the_threads() {
    for kind in TaskKind::ALL {
        let (task, twin) = (build(kind, 40, 3), build(kind, 40, 3));
        let model = task.initial_model();
        let bits = |model: &[f32]| model.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&model), bits(&twin.initial_model()));
        let alone: Vec<_> = (0..12).map(|p| task.train(&model, p, 1, &[9; 32])).collect();
        let together: Vec<_> = (0..12).into_par_iter().map(|p| twin.train(&model, p, 1, &[9; 32])).collect();
        for (a, b) in alone.iter().zip(&together) {
            assert_eq!((a.examples, bits(&a.delta)), (b.examples, bits(&b.delta)));
            assert!(a.delta.iter().any(|&x| x != 0.0) && a.delta.iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn training_depends_on_participant_and_seed() {
    let task = build(TaskKind::Mnist, 40, 3);
    let model = task.initial_model();
    let base = task.train(&model, 0, 1, &[9; 32]);
    for other in [task.train(&model, 1, 1, &[9; 32]), task.train(&model, 0, 2, &[9; 32])] {
        assert_ne!(base.delta, other.delta);
    }
    assert_ne!(base.delta, task.train(&model, 0, 1, &[8; 32]).delta);
    assert_ne!(model, build(TaskKind::Mnist, 40, 4).initial_model());
}

/// Pins the bits of a training step across machines, compilers and libraries.
#[test]
fn pinned_fingerprints() {
    let fingerprint = |values: &[f32]| {
        values.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, x| {
            (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let pins = TaskKind::ALL.map(|kind| {
        let task = build(kind, 100, 5);
        let model = task.initial_model();
        let update = task.train(&model, 7, 3, &[6; 32]);
        (fingerprint(&model), update.examples, fingerprint(&update.delta))
    });
    let expected = [
        (18_135_019_478_667_781_049, 73, 9_437_485_614_762_653_240),
        (13_293_296_807_479_126_029, 73, 6_671_673_820_391_744_445),
        (9_712_894_080_799_832_493, 3, 5_667_111_379_739_978_942),
    ];
    assert_eq!(pins, expected);
}

#[test]
fn who_does_not_exist_contributes_nothing() {
    for kind in TaskKind::ALL {
        let task = build(kind, 10, 1);
        let update = task.train(&task.initial_model(), 10, 0, &[0; 32]);
        assert_eq!((update.examples, update.delta.len()), (0, task.dim()));
        assert!(update.delta.iter().all(|&x| x == 0.0));
        assert_eq!(task.evaluate(&[0.0; 3]), None);
    }
    let task = build(TaskKind::Mnist, 10, 1);
    assert_eq!(task.train(&[0.0; 3], 0, 0, &[0; 32]).examples, 0);
}

#[test]
fn files_hold_every_parameter_under_a_name() {
    for (kind, names) in [
        (TaskKind::Mnist, &["hidden.bias", "hidden.weight", "output.bias", "output.weight"][..]),
        (TaskKind::Logistic, &["bias", "weight"][..]),
        (TaskKind::Synthetic, &["vector"][..]),
    ] {
        let task = build(kind, 10, 1);
        let mut rng = derived_rng(&[1; 32], &[]);
        let model: Vec<f32> = (0..task.dim()).map(|_| (rng.next_u32() >> 8) as f32).collect();
        let bytes = task.safetensors(&model);
        assert_eq!(bytes, task.safetensors(&model));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut found = file.names();
        found.sort_unstable();
        assert_eq!(found, names);
        let total: usize = file.tensors().iter().map(|(_, t)| t.data().len()).sum();
        assert_eq!(total, 4 * task.dim());
        assert!(task.safetensors(&model[1..]).is_empty());
        assert_eq!(task.read_model(&bytes), Some(model));
        assert_eq!(task.read_model(&bytes[..bytes.len() - 1]), None);
        assert_eq!(
            build(TaskKind::Synthetic, 10, 1).read_model(&bytes).is_some(),
            kind == TaskKind::Synthetic
        );
    }
    let task = build(TaskKind::Mnist, 10, 1);
    let mut model = vec![0.0; task.dim()];
    model[784 * 128 + 2] = 1.5; // the third hidden bias
    let bytes = task.safetensors(&model);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let bias = file.tensor("hidden.bias").unwrap();
    assert_eq!((bias.shape(), &bias.data()[8..12]), (&[128][..], &1.5f32.to_le_bytes()[..]));
    assert_eq!(file.tensor("hidden.weight").unwrap().shape(), [784, 128]);
}

#[test]
fn names_round_trip() {
    for kind in TaskKind::ALL {
        assert_eq!(kind.name().parse::<TaskKind>(), Ok(kind));
        assert_eq!(build(kind, 3, 0).name(), kind.name());
    }
    assert_eq!("mnists".parse::<TaskKind>(), Err(UnknownTask));
}

#[test]
fn bad_options_are_refused() {
    assert!(TaskKind::Mnist.build(&options(0, 0)).is_err());
    assert!(TaskKind::Logistic.build(&TaskOptions { alpha: f64::NAN, ..options(5, 0) }).is_err());
    assert!(TaskKind::Synthetic.build(&TaskOptions { dim: 0, ..options(5, 0) }).is_err());
}
