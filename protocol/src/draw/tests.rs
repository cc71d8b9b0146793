//! The draw: thresholds, tails, shares of the population.

use proptest::prelude::*;

use super::*;
use quorate_crypto::hash::sha256;

#[test]
fn the_threshold_is_the_exact_fraction() {
    assert_eq!(threshold(1, 2).as_bytes()[0], 0x80);
    assert!(threshold(1, 2).as_bytes()[1..].iter().all(|&byte| byte == 0));
    let third = threshold(1, 3);
    assert!(third.as_bytes()[..31].iter().all(|&byte| byte == 0x55) && third.as_bytes()[31] == 0x56);
}

// [DRAW-1]: the default figures of PROTOCOL.md §5.
#[test]
fn published_tails_are_reached() {
    let large = tail_bits(500, 192, 10_000, 42);
    assert!((49.0..52.0).contains(&large), "{large}");
    let small = tail_bits(500, 96, 10_000, 21);
    assert!((26.0..28.5).contains(&small), "{small}");
    assert_eq!(tail_bits(3, 96, 10_000, 3), f64::INFINITY);
    assert_eq!(tail_bits(30, 96, 96, 3), 0.0);
    let bound = corrupt_bound(500, 192, 10_000, 40.0);
    assert!(tail_bits(500, 192, 10_000, bound) >= 40.0 && tail_bits(500, 192, 10_000, bound - 1) < 40.0);
}

// [DRAW-1], RT-59: eligibility depends on every input and hits the wanted share of ids.
#[test]
fn about_width_ids_are_eligible_and_roles_differ() {
    let draw = Draw { deployment: Digest::ZERO, seed: sha256(&[b"seed"]), round: 7, size: 4000 };
    let ids: Vec<_> =
        (0..4000_u32).map(|i| PartyId { index: i, key_hash: sha256(&[&i.to_le_bytes()]) }).collect();
    let count = |draw: &Draw, role| ids.iter().filter(|id| draw.is_eligible(role, id, 400)).count();
    let cohort = count(&draw, Role::Cohort);
    assert!((320..480).contains(&cohort), "{cohort}");
    let both = ids
        .iter()
        .filter(|id| draw.is_eligible(Role::Cohort, id, 400) && draw.is_eligible(Role::Committee, id, 400));
    assert!(both.count() < 90);
    let next = Draw { round: 8, ..draw };
    assert_ne!(draw.ticket(Role::Cohort, &ids[0]), next.ticket(Role::Cohort, &ids[0]));
}

/// ticket·size < width·2²⁵⁶ by school multiplication.
fn is_below(ticket: &Digest, width: u32, size: u64) -> bool {
    let mut product = [0_u64; 6];
    let words: Vec<u64> =
        ticket.as_bytes().rchunks(8).map(|c| u64::from_be_bytes(c.try_into().unwrap())).collect();
    let mut carry = 0;
    for (out, word) in product.iter_mut().zip(words.into_iter().chain([0, 0])) {
        let sum = u128::from(word) * u128::from(size) + carry;
        *out = sum as u64;
        carry = sum >> 64;
    }
    (u128::from(product[5]) << 64 | u128::from(product[4])) < u128::from(width)
}

fn shifted(digest: &Digest, up: bool) -> Digest {
    let mut bytes = *digest.as_bytes();
    for byte in bytes.iter_mut().rev() {
        *byte = if up { byte.wrapping_add(1) } else { byte.wrapping_sub(1) };
        if *byte != if up { 0 } else { 255 } {
            break;
        }
    }
    Digest::from_bytes(bytes)
}

proptest! {
    // [DRAW-1]: exactly at the threshold, one below, one above, and anywhere.
    #[test]
    fn draw_1_the_threshold_is_exact(width in 1_u32.., above in 1_u64.., any: [u8; 32]) {
        let size = u64::from(width).saturating_add(above);
        let limit = threshold(width, size);
        for ticket in [limit, shifted(&limit, false), shifted(&limit, true), Digest::from_bytes(any)] {
            prop_assert_eq!(ticket < limit, is_below(&ticket, width, size), "{}", ticket);
        }
    }
}

// [DRAW-1]: a width of size(E) or more makes everybody eligible, whatever the ticket; 0 nobody.
#[test]
fn draw_1_wide_panels_take_everybody() {
    let draw = Draw { deployment: Digest::ZERO, seed: sha256(&[b"seed"]), round: 1, size: 50 };
    for index in 0..50_u32 {
        let id = PartyId { index, key_hash: sha256(&[&index.to_le_bytes()]) };
        assert!(draw.is_eligible(Role::Committee, &id, 50) && draw.is_eligible(Role::Cohort, &id, u32::MAX));
        assert!(!draw.is_eligible(Role::Cohort, &id, 0));
        let empty = Draw { size: 0, ..draw };
        assert!(empty.is_eligible(Role::Cohort, &id, 0));
    }
}

// [DRAW-1], RT-59: every input moves the ticket.
#[test]
fn draw_1_every_input_counts() {
    let draw = Draw { deployment: Digest::ZERO, seed: sha256(&[b"seed"]), round: 7, size: 100 };
    let id = PartyId { index: 3, key_hash: sha256(&[b"key"]) };
    let ticket = draw.ticket(Role::Committee, &id);
    let others = [
        draw.ticket(Role::Cohort, &id),
        draw.ticket(Role::Committee, &PartyId { index: 4, ..id }),
        draw.ticket(Role::Committee, &PartyId { key_hash: Digest::ZERO, ..id }),
        Draw { round: 8, ..draw }.ticket(Role::Committee, &id),
        Draw { seed: Digest::ZERO, ..draw }.ticket(Role::Committee, &id),
        Draw { deployment: sha256(&[]), ..draw }.ticket(Role::Committee, &id),
    ];
    assert!(others.iter().all(|other| *other != ticket));
    // The size of E only sets the threshold.
    assert_eq!(Draw { size: 101, ..draw }.ticket(Role::Committee, &id), ticket);
}

// [POL-1]: the tail falls with c, rises with corruption; the bound is the least one that holds.
#[test]
fn tails_are_monotone() {
    let tail = |corrupt, width, most| tail_bits(corrupt, width, 10_000, most);
    for most in 1..60 {
        assert!(tail(500, 192, most) >= tail(500, 192, most - 1));
        assert!(tail(500, 192, most) >= tail(501, 192, most) && tail(500, 192, most) >= tail(500, 193, most));
    }
    // Two ids, each drawn with probability 1/2: none is 1/4, so at least one is 3/4.
    assert!((tail_bits(2, 50, 100, 0) - (4.0_f64 / 3.0).log2()).abs() < 1e-12);
    assert!((tail_bits(2, 50, 100, 1) - 2.0).abs() < 1e-12);
    for bits in [10.0, 20.0, 40.0, 60.0] {
        let bound = corrupt_bound(500, 192, 10_000, bits);
        assert!(tail(500, 192, bound) >= bits && tail(500, 192, bound - 1) < bits);
    }
    assert_eq!(corrupt_bound(5, 10_000, 10_000, 40.0), 5);
    assert_eq!(corrupt_bound(0, 10, 10_000, 40.0), 0);
}

// [DRAW-1]: thresholds against a program that shares no code.
#[test]
fn draw_1_known_thresholds() {
    use crate::testing::cases;
    use crate::vectors::{digest_of, number};
    let mut compared = 0;
    for case in cases(include_str!("../../../tests/vectors/v1/manifest.json")) {
        let input = &case["input"];
        if input["op"] == "threshold" {
            let limit = threshold(number(&input["width"]) as u32, number(&input["size"]));
            assert_eq!(limit, digest_of(&case["expect"]), "{}", case["name"]);
            compared += 1;
        }
    }
    assert!(compared > 5);
}

/// [DRAW-1], claim (h): sizes that only a liar can sign take no more time than others.
#[test]
fn tails_of_absurd_sizes_are_quick() {
    assert_eq!(tail_bits(1 << 57, 10_000, 1 << 60, 100).to_bits(), 0.0_f64.to_bits());
    assert!(tail_bits(1 << 57, 10_000, 1 << 60, 2_000) > 40.0);
    assert!(corrupt_bound(1 << 57, 10_000, 1 << 60, 40.0) > 1_250);
}
