//! Rounding from modulo q to modulo p = 2^(8w) ([MASK-5]).
//!
//! `u = ⌊((Σᵢ zᵢ·Fᵢ + 2⁶³) mod 2⁶⁴·p)/2⁶⁴⌋` with `Fᵢ = ⌊2⁶⁴·p/qᵢ⌋` *is* the definition of the mask, so it is
//! computed exactly, with 192 bits. (It may differ by one from the nearest integer to p·v/q; that is noise.)
//! Working modulo 2¹²⁸ instead of modulo p changes nothing: words are cut to w bytes when they are written.

/// The factors Fᵢ of one word size, as limbs of 64 bits, least significant first.
#[derive(Clone, Copy)]
pub(crate) struct Rounding<const L: usize>([[u64; 3]; L]);

impl<const L: usize> Rounding<L> {
    /// Factors for words of `word_bytes` ≤ 16 bytes.
    pub(crate) fn new(primes: [u64; L], word_bytes: usize) -> Self {
        Self(primes.map(|prime| factor(prime, word_bytes)))
    }

    /// u modulo 2¹²⁸ from the z of one coefficient (each below 2⁴⁵).
    ///
    /// Column sums stay below 2¹¹²: 45 + 64 bits a product, at most three products and the rounding half.
    #[inline(always)]
    pub(crate) fn round(&self, z: [u64; L]) -> u128 {
        let (mut low, mut middle, mut high) = (1_u128 << 63, 0_u128, 0_u64);
        for (z, [f0, f1, f2]) in z.into_iter().zip(self.0) {
            low += u128::from(z) * u128::from(f0);
            middle += u128::from(z) * u128::from(f1);
            high = high.wrapping_add(z.wrapping_mul(f2));
        }
        ((low >> 64) + middle).wrapping_add(u128::from(high) << 64)
    }
}

/// ⌊2^(64 + 8·word_bytes)/prime⌋ by long division.
fn factor(prime: u64, word_bytes: usize) -> [u64; 3] {
    let mut limbs = [0_u64; 4];
    let exponent = 64 + 8 * word_bytes;
    limbs[exponent / 64] = 1 << (exponent % 64);
    let mut remainder = 0_u128;
    for limb in limbs.iter_mut().rev() {
        let numerator = remainder << 64 | u128::from(*limb);
        *limb = (numerator / u128::from(prime)) as u64;
        remainder = numerator % u128::from(prime);
    }
    // The prime has 45 bits, the quotient at most 148.
    [limbs[0], limbs[1], limbs[2]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::PRIMES;

    /// Values computed with Python integers, straight from the text of [MASK-5].
    #[test]
    fn matches_big_integers() {
        for (word_bytes, z, expected) in R8192_VALUES {
            let mask = if *word_bytes == 16 { u128::MAX } else { (1 << (8 * word_bytes)) - 1 };
            assert_eq!(Rounding::new(PRIMES, *word_bytes).round(*z) & mask, *expected, "w = {word_bytes}");
        }
        for (word_bytes, z, expected) in R4096_VALUES {
            let mask = (1 << (8 * word_bytes)) - 1;
            let rounding = Rounding::new([PRIMES[0], PRIMES[1]], *word_bytes);
            assert_eq!(rounding.round(*z) & mask, *expected, "w = {word_bytes}");
        }
    }

    const R8192_VALUES: &[(usize, [u64; 3], u128)] = &[
        (1, [8987746925637, 12617504899225, 24295750356535], 78),
        (1, [35184371613696, 35184371417088, 35184371138560], 0),
        (1, [0, 0, 1], 0),
        (8, [29609257364458, 22942598168105, 18652709354912], 438211471715507693),
        (8, [35184371613696, 35184371417088, 35184371138560], 18446744073707978752),
        (8, [0, 0, 1], 524288),
        (13, [29566679442159, 27300811967451, 8765784970100], 17552598941444512299801424471668),
        (13, [35184371613696, 35184371417088, 35184371138560], 20282409603649941041655981325600),
        (13, [0, 0, 1], 576460767872663972),
        (14, [1823853458005, 5518607346235, 13078661632246], 3013625825581249377347161168099266),
        (14, [35184371613696, 35184371417088, 35184371138560], 5192296858534384906663931219353664),
        (14, [0, 0, 1], 147573956575401976960),
        (15, [30556411979938, 13397062018472, 3588633127272], 466862058851330654030908117213625860),
        (15, [35184371613696, 35184371417088, 35184371138560], 1329227995784802536105966392154538111),
        (15, [0, 0, 1], 37778932883302906101703),
        (16, [8772788277061, 25722615460761, 14359006517922], 132208506406847622498933887339868480261),
        (16, [35184371613696, 35184371417088, 35184371138560], 340282366920909449243127396391561756390),
        (16, [0, 0, 1], 9671406818125543962035903),
    ];

    const R4096_VALUES: &[(usize, [u64; 2], u128)] = &[
        (9, [6404996605981, 30523973278753], 234156042266372803067),
        (9, [35184371613696, 35184371417088], 4722366482869376778236),
        (9, [0, 1], 134217731),
        (10, [13704234440005, 26805576389214], 182980705757692547785973),
        (10, [35184371613696, 35184371417088], 1208925819614560455228320),
        (10, [0, 1], 34359739024),
        (11, [2533159457623, 21741720453866], 213524105756495929758726067),
        (11, [35184371613696, 35184371417088], 309485009821327476538449920),
        (11, [0, 1], 8796093190144),
    ];
}
