//! Elements as bits: ⌈log₂P⌉ bits each, least significant bit first ([FIELD-1]).
//!
//! The length is exact, every element is below P and the bits left in the last byte are zero, so
//! each list of elements has one encoding.

use zeroize::Zeroizing;

use super::errors::ShareError;
use super::field::Field;

/// Bytes that `count` elements take.
pub(crate) fn packed_bytes(field: &Field, count: usize) -> usize {
    (count * field.bits() as usize).div_ceil(8)
}

/// Packs `elements` into `out`, which must have [`packed_bytes`].
pub(crate) fn pack_into(field: &Field, elements: &[u64], out: &mut [u8]) {
    debug_assert_eq!(out.len(), packed_bytes(field, elements.len()));
    let bits = field.bits();
    let (mut pending, mut filled) = (0u64, 0u32);
    let mut words = out.chunks_mut(8);
    for &element in elements {
        pending |= element << filled;
        filled += bits;
        if filled >= 64 {
            if let Some(word) = words.next() {
                word.copy_from_slice(&pending.to_le_bytes()[..word.len()]);
            }
            filled -= 64;
            pending = if filled == 0 { 0 } else { element >> (bits - filled) };
        }
    }
    if let Some(word) = words.next() {
        word.copy_from_slice(&pending.to_le_bytes()[..word.len()]);
    }
}

/// Unpacks without checking; `bytes` must come from [`pack_into`] or have passed [`unpack`].
pub(crate) fn unpack_trusted(field: &Field, bytes: &[u8], out: &mut [u64]) {
    let bits = field.bits() as usize;
    let mask = (1u64 << bits) - 1;
    for (i, element) in out.iter_mut().enumerate() {
        let bit = i * bits;
        // At most 40 bits from bit 7 on: eight bytes always hold an element.
        let start = (bit / 8).min(bytes.len());
        let word = match bytes[start..].first_chunk::<8>() {
            Some(word) => *word,
            None => tail(&bytes[start..]),
        };
        *element = (u64::from_le_bytes(word) >> (bit % 8)) & mask;
    }
}

/// Unpacks `count` elements of exactly the canonical encoding ([FIELD-1]).
pub(crate) fn unpack(field: &Field, bytes: &[u8], count: usize) -> Result<Zeroizing<Vec<u64>>, ShareError> {
    let want = packed_bytes(field, count);
    if bytes.len() != want {
        return Err(ShareError::WrongLength { have: bytes.len(), want });
    }
    let used = count * field.bits() as usize % 8;
    let spare = bytes.last().map_or(0, |&last| if used == 0 { 0 } else { last >> used });
    if spare != 0 {
        return Err(ShareError::PaddingNotZero);
    }
    let mut elements = Zeroizing::new(vec![0; count]);
    unpack_trusted(field, bytes, &mut elements);
    // One bit for all elements: which one is too large is not looked at.
    let over = elements.iter().fold(0, |over, &x| over | (field.prime() - 1).wrapping_sub(x) >> 63);
    if over != 0 {
        return Err(ShareError::ElementTooLarge);
    }
    Ok(elements)
}

fn tail(bytes: &[u8]) -> [u8; 8] {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::share::field::smallest_prime_above;

    fn field(bound: u64) -> Field {
        Field::new(smallest_prime_above(bound).unwrap())
    }

    /// [FIELD-1]: bit i of the encoding is bit i mod b of element i/b.
    #[test]
    fn bits_are_where_the_rule_puts_them() {
        for bound in [90, 7_400, 74_000, 740_000, 1 << 24, (1 << 32) - 1, 1 << 38] {
            let field = field(bound);
            let elements: Vec<u64> =
                (0..41).map(|i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % field.prime()).collect();
            let mut bytes = vec![0; packed_bytes(&field, 41)];
            pack_into(&field, &elements, &mut bytes);
            let bits = field.bits() as usize;
            for bit in 0..bytes.len() * 8 {
                let want = elements.get(bit / bits).map_or(0, |x| x >> (bit % bits) & 1);
                assert_eq!(u64::from(bytes[bit / 8] >> (bit % 8) & 1), want);
            }
        }
    }

    /// RT-22: wrong length, an element ≥ P and a padding bit are errors.
    #[test]
    fn other_encodings_are_refused() {
        let field = field(74_000);
        let mut bytes = vec![0; packed_bytes(&field, 3)];
        pack_into(&field, &[1, 2, field.prime() - 1], &mut bytes);
        assert!(unpack(&field, &bytes, 3).is_ok());
        assert_eq!(unpack(&field, &bytes[1..], 3), Err(ShareError::WrongLength { have: 6, want: 7 }));
        assert_eq!(unpack(&field, &[], 3), Err(ShareError::WrongLength { have: 0, want: 7 }));
        let mut padded = bytes.clone();
        padded[6] |= 0x08;
        assert_eq!(unpack(&field, &padded, 3), Err(ShareError::PaddingNotZero));
        pack_into(&field, &[1, field.prime(), 3], &mut bytes);
        assert_eq!(unpack(&field, &bytes, 3), Err(ShareError::ElementTooLarge));
        assert_eq!(unpack(&field, &[], 0).map(|x| x.len()), Ok(0));
    }

    proptest! {
        #[test]
        fn packing_goes_there_and_back(seed: [u64; 21], count in 0usize..21, size in 0usize..4) {
            let field = field([74_000, 7_400, 740_000, 1 << 38][size]);
            let elements: Vec<u64> = seed[..count].iter().map(|&x| field.reduce(x)).collect();
            let mut bytes = vec![0; packed_bytes(&field, count)];
            pack_into(&field, &elements, &mut bytes);
            prop_assert_eq!(&**unpack(&field, &bytes, count).unwrap(), &elements[..]);
        }

        #[test]
        fn whatever_unpacks_packs_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let field = field(74_000);
            for count in 0..10 {
                if let Ok(elements) = unpack(&field, &bytes, count) {
                    let mut again = vec![0; bytes.len()];
                    pack_into(&field, &elements, &mut again);
                    prop_assert_eq!(&again, &bytes);
                }
            }
        }
    }
}
