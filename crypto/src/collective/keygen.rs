//! A holder's part of a new key, and the key ([CKG-2], [CKG-3], [CKG-5]).
//!
//! ```text
//! HolderKey::generate ─▶ b_u = −a·S_u + e_u ─▶ commit(…) ─▶ dealing, sealed ─▶ others
//! Σ b_u ─▶ CollectiveKey (public)              Σ over dealers of what was dealt ─▶ KeyShare (secret)
//! ```
//!
//! # Security
//!
//! `S_u` is uniform ternary, `e_u` Gaussian with σ = 6.364 ([GAUSS-1]). `a` follows from the session by a hash. All
//! secrets wipe themselves; a [`HolderKey`] is used for one session, by value.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::CollectiveError;
use super::check::{Masks, Rows};
use super::committee::{Committee, DealCoins, DealContext, DealKind, Dealing, Dealt, PairSeeds, SEED};
use super::element::{DEGREE, ELEMENT_BYTES, Element, FIELDS, PLANES};
use crate::hash::{Digest, FieldHasher, digest, vector_digest};
use crate::kdf::derive;
use crate::labels;
use crate::ring::gauss::{Gaussian, sample_from};

/// The public ring element `a` of a session, transformed.
pub struct Point(pub(crate) Element);

impl Point {
    /// `a` of a session: as a block of [MASK-3] under `derive(collective-point, session;)`.
    #[must_use]
    pub fn of(session: &Digest) -> Self {
        Self(point_coefficients(session).transformed())
    }
}

pub(crate) fn point_coefficients(session: &Digest) -> Element {
    let mut key = [0; 16];
    key.copy_from_slice(&derive(labels::COLLECTIVE_POINT, session.as_bytes(), &[])[..16]);
    Element::uniform(&key, 0)
}

/// A holder's part of a new key. Wiped on drop.
pub struct HolderKey {
    pub(crate) secret: Zeroizing<Vec<i8>>,
    pub(crate) error: Zeroizing<Vec<i8>>,
}

/// A holder's public part: `b_u`, encoded.
pub type PublicPart = Vec<u8>;

impl HolderKey {
    /// Draws `S_u` and `e_u`. `rng` is the operating system's generator.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut secret = Zeroizing::new(vec![0; DEGREE]);
        ternary(rng, &mut secret);
        let mut error = Zeroizing::new(vec![0; DEGREE]);
        sample_from(Gaussian::ERROR, rng, &mut error);
        Self { secret, error }
    }

    /// `b_u = −a·S_u + e_u`.
    #[must_use]
    pub fn public(&self, point: &Point) -> PublicPart {
        let mut b = Element::small(&self.error);
        b.sub(&Element::small(&self.secret).transformed().times(&point.0));
        b.encode()
    }

    /// Deals the part to the committee, so that the check of the dealing tells nothing about it ([CKG-3], [CKG-4]).
    ///
    /// `commit` seals the plaintexts and gives the commitment of the attempt; it is called again, about 1.5 times on
    /// average, until the masks hide the secret under the challenge that follows from the commitment. Nothing of a
    /// discarded attempt may leave.
    ///
    /// # Errors
    /// Those of `commit`; and [`CollectiveError::Unlucky`] after 100 attempts, probability below 2⁻¹⁵⁰.
    pub fn deal<R: CryptoRng + ?Sized, T, E: From<CollectiveError>>(
        &self,
        committee: &Committee,
        ctx: &DealContext,
        rng: &mut R,
        mut commit: impl FnMut(&Dealing, &mut R) -> Result<(Digest, T), E>,
    ) -> Result<(Digest, T), E> {
        for _ in 0..ATTEMPTS {
            let masks = Masks::fresh(rng);
            let coins = DealCoins::fresh(committee, rng);
            let dealing = self.deal_with(committee, &masks, &coins, ctx);
            let (commitment, made) = commit(&dealing, rng)?;
            if masks.hide(&Rows::new(&commitment, ctx).project(self)) {
                return Ok((commitment, made));
            }
        }
        Err(CollectiveError::Unlucky.into())
    }

    pub(crate) fn deal_with(
        &self,
        committee: &Committee,
        masks: &Masks,
        coins: &DealCoins,
        ctx: &DealContext,
    ) -> Dealing {
        let columns = DealKind::Key.columns();
        let mut secrets = Zeroizing::new(vec![0; PLANES * columns]);
        let small = Element::small(&self.secret);
        for (at, (out, plane)) in secrets.chunks_exact_mut(columns).zip(small.planes()).enumerate() {
            out[..DEGREE].copy_from_slice(plane);
            for (out, &y) in out[DEGREE..].iter_mut().zip(masks.0.iter()) {
                *out = FIELDS[at].signed(y);
            }
        }
        committee.deal_with(DealKind::Key, &secrets, coins, ctx)
    }
}

/// `H(collective-part; session, dealer, nonce, BLAKE3(b_u), share root)`: what a holder commits to. It also fixes the
/// challenge of its dealing ([CKG-2], [CKG-4]).
#[must_use]
pub fn part_commitment(ctx: &DealContext, nonce: &[u8; 32], public: &[u8], shares: &Digest) -> Digest {
    let public = vector_digest(public);
    let fields: [&[u8]; 5] =
        [ctx.session.as_bytes(), &ctx.dealer, nonce, public.as_bytes(), shares.as_bytes()];
    digest(labels::COLLECTIVE_PART, &fields)
}

/// The public collective key `(a, b)` of a session.
pub struct CollectiveKey {
    id: Digest,
    pub(crate) point: Point,
    pub(crate) b: Element,
    encoded: Vec<u8>,
}

impl CollectiveKey {
    /// The sum of all parts ([CKG-5]).
    ///
    /// # Errors
    /// No part, or one that is no ring element.
    pub fn from_parts<'a>(
        session: &Digest,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, CollectiveError> {
        let mut sum: Option<Element> = None;
        for part in parts {
            let part = Element::decode(part).ok_or(CollectiveError::Malformed)?;
            match &mut sum {
                Some(sum) => sum.add(&part),
                None => sum = Some(part),
            }
        }
        Ok(Self::new(session, sum.ok_or(CollectiveError::Malformed)?))
    }

    /// The key of an encoded `b`.
    ///
    /// # Errors
    /// Not a ring element.
    pub fn parse(session: &Digest, b: &[u8]) -> Result<Self, CollectiveError> {
        Ok(Self::new(session, Element::decode(b).ok_or(CollectiveError::Malformed)?))
    }

    fn new(session: &Digest, b: Element) -> Self {
        let encoded = b.encode();
        let id = digest(labels::COLLECTIVE_KEY, &[session.as_bytes(), vector_digest(&encoded).as_bytes()]);
        Self { id, point: Point::of(session), b: b.transformed(), encoded }
    }

    /// `H(collective-key; session, BLAKE3(b))`.
    #[must_use]
    pub const fn id(&self) -> &Digest {
        &self.id
    }

    /// `b`, encoded.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// A holder's share of the collective secret, and the seeds of its pairs. Wiped on drop.
///
/// ```compile_fail
/// fn copied(share: quorate_crypto::collective::KeyShare) -> quorate_crypto::collective::KeyShare {
///     share.clone()
/// }
/// ```
pub struct KeyShare {
    pub(crate) index: u16,
    /// Transformed.
    pub(crate) share: Element,
    /// By holder: the key of the pair ([COPEN-2]); all zero, and never used, where there is none.
    pub(crate) pairs: Zeroizing<Vec<[u8; SEED]>>,
}

impl KeyShare {
    /// Sums what all dealers dealt to holder `index`, `dealt` being theirs in the order of their indices, `own` what this
    /// holder dealt ([CKG-5]).
    ///
    /// # Errors
    /// Not one dealing of a new key from each of the m holders.
    pub fn assemble(
        committee: &Committee,
        index: u16,
        dealt: &[(u16, Dealt)],
        own: &PairSeeds,
    ) -> Result<Self, CollectiveError> {
        let all = dealt.iter().map(|(dealer, _)| *dealer).eq(1..=committee.holders());
        if !all || dealt.iter().any(|(_, dealt)| dealt.kind != DealKind::Key) {
            return Err(CollectiveError::Malformed);
        }
        let pairs = pair_keys(committee, index, dealt, own)?;
        let mut sum = Element::zero();
        for (_, dealt) in dealt {
            sum.add(&dealt.element());
        }
        Ok(Self { index, share: sum.transformed(), pairs })
    }

    /// The holder's index.
    #[must_use]
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// The bytes to be kept under a seal: index, share, keys of pairs.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 + ELEMENT_BYTES + self.pairs.len() * SEED));
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&Zeroizing::new(self.share.coefficients().encode()));
        bytes.extend_from_slice(self.pairs.as_flattened());
        bytes
    }

    /// The share of these bytes.
    ///
    /// # Errors
    /// Not bytes of [`Self::to_bytes`] for this committee.
    pub fn parse(committee: &Committee, bytes: &[u8]) -> Result<Self, CollectiveError> {
        let (index, rest) = bytes.split_first_chunk::<2>().ok_or(CollectiveError::Malformed)?;
        let index = u16::from_le_bytes(*index);
        let (share, pairs) = rest.split_at_checked(ELEMENT_BYTES).ok_or(CollectiveError::Malformed)?;
        let (pairs, none) = pairs.as_chunks::<SEED>();
        let fits = pairs.len() == usize::from(committee.holders()) && none.is_empty();
        if !fits || index == 0 || index > committee.holders() {
            return Err(CollectiveError::Malformed);
        }
        let share = Element::decode(share).ok_or(CollectiveError::Malformed)?.transformed();
        Ok(Self { index, share, pairs: Zeroizing::new(pairs.to_vec()) })
    }
}

impl Dealt {
    /// The share of the element, without the check polynomials.
    pub(crate) fn element(&self) -> Element {
        let mut out = Element::zero();
        for (out, (words, _)) in out.planes_mut().zip(self.parts()) {
            out.copy_from_slice(words);
        }
        out
    }
}

/// `derive(collective-pair, seed of the lower index's dealing ‖ of the higher's; u16le, u16le)` for every other dealer.
pub(crate) fn pair_keys(
    committee: &Committee,
    index: u16,
    dealt: &[(u16, Dealt)],
    own: &PairSeeds,
) -> Result<Zeroizing<Vec<[u8; SEED]>>, CollectiveError> {
    let dealers: Vec<u16> = dealt.iter().map(|(dealer, _)| *dealer).collect();
    committee.check_responders(&dealers).map_err(|_| CollectiveError::Malformed)?;
    if !dealers.contains(&index) {
        return Err(CollectiveError::Malformed);
    }
    let mut keys = Zeroizing::new(vec![[0; SEED]; usize::from(committee.holders())]);
    for (other, theirs) in dealt.iter().filter(|(other, _)| *other != index) {
        let (other, at) = (*other, usize::from(*other) - 1);
        let mine = own.0.get(at).ok_or(CollectiveError::Malformed)?;
        let key = keys.get_mut(at).ok_or(CollectiveError::Malformed)?;
        let (low, high) = if index < other { (mine, &*theirs.pair) } else { (&*theirs.pair, mine) };
        let mut ikm = Zeroizing::new([0; 2 * SEED]);
        ikm[..SEED].copy_from_slice(low);
        ikm[SEED..].copy_from_slice(high);
        let (first, second) = (index.min(other).to_le_bytes(), index.max(other).to_le_bytes());
        *key = *derive(labels::COLLECTIVE_PAIR, ikm.as_ref(), &[&first, &second]);
    }
    Ok(keys)
}

/// Uniform in −1, 0, 1: ⌊3u/2⁶⁴⌋ − 1 for 64-bit words u.
pub(crate) fn ternary<R: CryptoRng + ?Sized>(rng: &mut R, out: &mut [i8]) {
    let mut bytes = Zeroizing::new(vec![0; 8 * out.len()]);
    rng.fill_bytes(&mut bytes);
    for (out, word) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *out = ((u128::from(u64::from_le_bytes(*word)) * 3) >> 64) as i8 - 1;
    }
}

/// Most attempts of [`HolderKey::deal`].
const ATTEMPTS: usize = 100;

/// A hash over every part, in order: what the record of a key covers ([CKG-5]).
#[must_use]
pub fn parts_digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = FieldHasher::new(labels::COLLECTIVE_PARTS);
    for part in parts {
        hasher.field(vector_digest(part).as_bytes());
    }
    hasher.finish()
}
