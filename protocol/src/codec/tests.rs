//! The codec: [CODEC-1], [CODEC-2], [CODEC-3].

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::testing::{cases, rng, unhex};

fn schema(dim: u32, bits: u8, clip: f64) -> Schema {
    Schema { dim, bits, clip, clip_l2: None, weight_bound: 1000 }
}

fn codec(dim: u32, bits: u8, clip: f64) -> Codec {
    Codec::new(&schema(dim, bits, clip)).unwrap()
}

fn l2(dim: u32, bits: u8, bound: f64) -> Codec {
    Codec::new(&Schema { clip_l2: Some(bound), ..schema(dim, bits, 1.0) }).unwrap()
}

fn refusal(codec: &Codec, update: &[f32], weight: u64) -> CodecError {
    codec.quantise(update, weight, &mut rng(1)).map(|_| ()).unwrap_err()
}

/// What the slots of one update stand for, in the units of the update.
fn values(codec: &Codec, slots: &[u32], weight: u64) -> Vec<f64> {
    let sums: Vec<u64> = slots.iter().map(|&slot| u64::from(slot)).collect();
    let mean = codec.decode(&sums, 1).unwrap();
    assert_eq!(mean.weight, weight);
    mean.mean
}

#[test]
fn schemas_out_of_range_are_refused() {
    let refused = |schema: &Schema| Codec::new(schema).unwrap_err();
    for bits in [0, 1, 25, 255] {
        assert_eq!(refused(&schema(3, bits, 1.0)), CodecError::Bits(bits));
    }
    for clip in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(refused(&schema(3, 8, clip)), CodecError::Clip);
        assert_eq!(refused(&Schema { clip_l2: Some(clip), ..schema(3, 8, 1.0) }), CodecError::Clip);
    }
    assert_eq!(refused(&Schema { weight_bound: 0, ..schema(3, 8, 1.0) }), CodecError::WeightBound);
}

// [CODEC-2], RT-20: NaN, ±Inf, wrong length, empty.
#[test]
fn codec_2_what_is_no_update_is_refused() {
    let codec = codec(3, 8, 1.0);
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..3 {
            let mut update = [0.5; 3];
            update[at] = bad;
            assert_eq!(refusal(&codec, &update, 1), CodecError::NotFinite(at));
        }
    }
    for length in [0, 1, 2, 4, 1000] {
        assert_eq!(refusal(&codec, &vec![0.5; length], 1), CodecError::Length { got: length, want: 3 });
    }
}

// [CODEC-2], RT-19: the weight is checked locally, never cut off.
#[test]
fn codec_2_weights_outside_the_bound_are_refused() {
    let codec = codec(1, 8, 1.0);
    for got in [0, 1001, 1_000_000_000_000, u64::from(u32::MAX) + 1, (1 << 32) + 5, u64::MAX] {
        assert_eq!(refusal(&codec, &[0.5], got), CodecError::Weight { got, bound: 1000 });
    }
    assert!(
        codec.quantise(&[0.5], 1, &mut rng(1)).is_ok() && codec.quantise(&[0.5], 1000, &mut rng(1)).is_ok()
    );
}

// [CODEC-1], RT-20: zeros of both signs are the middle of the grid, whatever the coin.
#[test]
fn codec_1_zero_is_exact() {
    for bits in 2..=24 {
        let codec = codec(4, bits, 0.3);
        let tiny = f32::from_bits(1);
        for seed in 0..50 {
            let slots = codec.quantise(&[0.0, -0.0, tiny, -tiny], 7, &mut rng(seed)).unwrap();
            let middle = 1 << (bits - 1);
            assert_eq!(slots.slots()[codec.weight_slots()..], [middle; 4]);
        }
        let slots = codec.quantise_with(&[0.0, -0.0, 0.0, -0.0], 7, &[0xff; 32]);
        assert!(slots.slots()[codec.weight_slots()..].iter().all(|&slot| slot == 1 << (bits - 1)));
    }
}

// [CODEC-1]: the largest coin and a clip whose product with the steps rounds upwards stay on the grid.
#[test]
fn codec_1_no_slot_leaves_the_grid() {
    for clip in [0.3, 0.1, 5.7, 1e-30, 1e30, 0.7] {
        for bits in 2..=24 {
            let codec = Codec::new(&Schema { weight_bound: 3, ..schema(4, bits, clip) }).unwrap();
            for coin in [[0; 32], [0xff; 32]] {
                for weight in 1..=3 {
                    let slots = codec.quantise_with(&[clip, -clip, f64::MAX, f64::MIN], weight, &coin);
                    let grid = 1..1_u32 << bits;
                    assert!(
                        slots.slots()[codec.weight_slots()..].iter().all(|slot| grid.contains(slot)),
                        "{clip} {bits}"
                    );
                }
            }
        }
    }
}

// [CODEC-2]: clipping is counted; an update that the L2 bound scales counts whole.
#[test]
fn codec_2_clipping_is_counted() {
    let codec = codec(5, 16, 0.5);
    let update = [0.5, -0.5, 0.6, -7.0, f32::MAX];
    assert_eq!(codec.count_clipped(&update), 3);
    let quantised = codec.quantise(&update, 1000, &mut rng(2)).unwrap();
    let steps = codec.steps() as u32;
    let middle = 1 << 15;
    let expected = [middle + steps, middle - steps, middle + steps, middle - steps, middle + steps];
    assert_eq!(quantised.slots()[1..], expected);
    let l2 = l2(5, 16, 1.0);
    assert_eq!((l2.count_clipped(&[0.4; 5]), l2.count_clipped(&[0.5; 5])), (0, 5));
}

// [CODEC-2]: after rounding the norm is within the bound, also where rounding adds most of it.
#[test]
fn codec_2_the_l2_bound_holds_after_rounding() {
    for (dim, bits, bound) in
        [(1, 8, 0.5), (100, 16, 1.0), (1000, 4, 0.3), (1000, 2, 0.05), (50, 24, 3.0), (64, 8, 1e-9)]
    {
        let codec = l2(dim, bits, bound);
        for seed in 0..20 {
            let mut source = rng(seed);
            let update: Vec<f32> =
                (0..dim).map(|_| (source.next_u32() as f32 / u32::MAX as f32 - 0.5) * 4.0).collect();
            for weight in [1, 37, 1000] {
                let quantised = codec.quantise(&update, weight, &mut source).unwrap();
                let values = values(&codec, quantised.slots(), weight);
                let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt();
                assert!(norm <= bound * (1.0 + 1e-9), "{dim} {bits} {bound} {weight}: {norm}");
            }
        }
    }
}

// [CODEC-1]: over many coins the rounded value is the value.
#[test]
fn codec_1_rounding_is_unbiased() {
    let update = [0.3, -0.3, 0.777, -0.001, 0.001, 0.999];
    let codec = codec(6, 4, 1.0);
    let (rounds, weight) = (40_000, 500);
    let mut coins = rng(5);
    let mut sums = [0.0; 6];
    for _ in 0..rounds {
        let quantised = codec.quantise(&update, weight, &mut coins).unwrap();
        let slots = quantised.slots().iter().skip(codec.weight_slots());
        sums.iter_mut().zip(slots).for_each(|(sum, &slot)| *sum += f64::from(slot) - 8.0);
    }
    for (sum, x) in sums.iter().zip(update) {
        let expected = f64::from(x) * 0.5 * codec.steps();
        // A rounded value varies by at most 1/4 of a step²; five standard deviations.
        let tolerance = 5.0 * (0.25 / f64::from(rounds)).sqrt();
        assert!((sum / f64::from(rounds) - expected).abs() < tolerance, "{x}: {sum}");
    }
}

// [MASK-1]: coins are drawn anew for every contribution.
#[test]
fn codec_1_coins_differ_from_call_to_call() {
    let codec = codec(64, 8, 1.0);
    let mut coins = rng(6);
    let mut quantise = || codec.quantise(&[0.123; 64], 333, &mut coins).unwrap().slots().to_vec();
    assert_ne!(quantise(), quantise());
}

// [CODEC-3]: what no updates give is refused, and the length is the schema's.
#[test]
fn codec_3_impossible_sums_are_refused() {
    let codec = codec(2, 8, 1.0);
    assert_eq!(codec.slots(), 4);
    assert!(codec.decode(&[232, 3, 128, 255], 1).is_ok());
    assert_eq!(codec.decode(&[232, 3, 128], 1), Err(CodecError::Length { got: 3, want: 4 }));
    assert_eq!(codec.decode(&[], 1), Err(CodecError::Length { got: 0, want: 4 }));
    for sums in [[0, 0, 128, 128], [233, 3, 128, 128], [232, 3, 256, 128], [232, 3, 128, u64::MAX]] {
        assert_eq!(codec.decode(&sums, 1), Err(CodecError::Sums), "{sums:?}");
    }
    // Weight 1 from two contributors, and nobody at all.
    assert_eq!(codec.decode(&[1, 0, 256, 256], 2), Err(CodecError::Sums));
    assert_eq!(codec.decode(&[0, 0, 0, 0], 0), Err(CodecError::Sums));
    assert_eq!(codec.decode(&[u64::MAX; 4], u32::MAX), Err(CodecError::Sums));
}

fn update(dim: usize) -> impl Strategy<Value = (Vec<f32>, u64)> {
    let coordinate = prop_oneof![8 => -2.0_f32..2.0, 1 => Just(0.0), 1 => any::<f32>().prop_filter("finite", |x| x.is_finite())];
    (prop::collection::vec(coordinate, dim), 1_u64..=1000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    // [CODEC-3]: the mean of a round is the weighted mean of the clipped updates to within the bound.
    #[test]
    fn codec_3_the_mean_is_within_the_bound(
        updates in prop::collection::vec(update(5), 1..12),
        bits in 2_u8..=24,
        clip in prop_oneof![Just(1.0), Just(0.3), 1e-6..1e6],
        seed: u64,
    ) {
        let codec = codec(5, bits, clip);
        let mut coins = rng(seed);
        let mut sums = vec![0_u64; codec.slots()];
        let mut exact = vec![0.0; 5];
        for (update, weight) in &updates {
            let quantised = codec.quantise(update, *weight, &mut coins).unwrap();
            prop_assert!(quantised.slots().iter().all(|&slot| slot < 1 << bits));
            sums.iter_mut().zip(quantised.slots()).for_each(|(sum, &slot)| *sum += u64::from(slot));
            codec.add_clipped(update, *weight as f64, &mut exact);
        }
        let (count, total) = (updates.len() as u32, updates.iter().map(|(_, weight)| weight).sum::<u64>());
        let mean = codec.decode(&sums, count).unwrap();
        prop_assert_eq!(mean.weight, total);
        let bound = codec.mean_error_bound(count, total) * (1.0 + 1e-6);
        for (got, sum) in mean.mean.iter().zip(&exact) {
            prop_assert!((got - sum / total as f64).abs() <= bound);
        }
    }

    // RT-20: any bits at all give slots or a typed error.
    #[test]
    fn any_floats_give_slots_or_an_error(bits in prop::collection::vec(any::<u32>(), 0..8), weight: u64, bound in 1e-3..1e3) {
        let codec = l2(4, 8, bound);
        let update: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        if let Ok(quantised) = codec.quantise(&update, weight, &mut rng(1)) {
            prop_assert!(update.iter().all(|x| x.is_finite()) && update.len() == 4 && (1..=1000).contains(&weight));
            prop_assert!(quantised.slots().iter().all(|&slot| slot < 256));
        }
    }
}

fn float(value: &Value) -> f64 {
    f64::from_be_bytes(unhex(value.as_str().unwrap()).try_into().unwrap())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn kind(error: CodecError) -> &'static str {
    match error {
        CodecError::Bits(_) => "bits",
        CodecError::Length { .. } => "length",
        CodecError::NotFinite(_) => "not finite",
        CodecError::Weight { .. } => "weight",
        CodecError::Clip | CodecError::WeightBound | CodecError::Sums => "other",
    }
}

fn codec_of(input: &Value, dim: u64) -> Result<Codec, CodecError> {
    Codec::new(&Schema {
        dim: dim as u32,
        bits: number(&input["bits"]) as u8,
        clip: input.get("clip").map_or(1.0, float),
        clip_l2: None,
        weight_bound: number(&input["weight_limit"]) as u32,
    })
}

fn slots(input: &Value, updates: &[f64], coins: &[u64], dim: u64) -> Result<(Vec<u32>, usize), CodecError> {
    let codec = codec_of(input, dim)?;
    let weight = codec.checked_weight(number(&input["weight"]))?;
    codec.check_update(updates)?;
    let coins: Vec<u8> = coins.iter().flat_map(|coin| (coin << 11).to_le_bytes()).collect();
    let quantised = codec.quantise_with(updates, weight, &coins);
    Ok((quantised.slots().to_vec(), codec.count_changed(updates)))
}

fn answer(input: &Value) -> Result<Value, CodecError> {
    let list = |name: &str| input[name].as_array().unwrap().iter();
    match input["op"].as_str().unwrap() {
        "weight" => {
            let (slots, _) = slots(input, &[0.0], &[0], 1)?;
            Ok(slots[..slots.len() - 1].into())
        }
        "encode" => {
            let values: Vec<f64> = list("values").map(float).collect();
            let coins: Vec<u64> = list("coins").map(number).collect();
            let (slots, clipped) = slots(input, &values, &coins, number(&input["coordinates"]))?;
            Ok(serde_json::json!({ "slots": slots, "clipped": clipped }))
        }
        _ => {
            let sums: Vec<u64> = list("sums").map(number).collect();
            let weight_slots = codec_of(input, 1)?.weight_slots();
            let codec = codec_of(input, (sums.len() - weight_slots) as u64)?;
            let Mean { mean, weight } = codec.decode(&sums, number(&input["contributors"]) as u32)?;
            let hex: Vec<String> = mean.iter().map(|x| format!("{:016x}", x.to_bits())).collect();
            Ok(serde_json::json!({ "weight": weight, "mean": hex }))
        }
    }
}

// [CODEC-1] [CODEC-2] [CODEC-3]: to the bit, against a program that shares no code.
#[test]
fn codec_known_answers() {
    for case in cases(include_str!("../../../tests/vectors/v1/codec.json")) {
        let answer = answer(&case["input"]);
        match case.get("expect") {
            Some(expect) => assert_eq!(answer.as_ref(), Ok(expect), "{}", case["name"]),
            None => {
                assert_eq!(answer.map_err(kind), Err(case["error"].as_str().unwrap()), "{}", case["name"])
            }
        }
    }
}
