//! What everybody may know of a split, and what each custodian gets.
//!
//! ```text
//! split(key, terms) ──▶ Record    commitments, custodians, approvers, hash of the sealed key      public
//!                  └──▶ Package   share ‖ sealed key, sealed to one custodian (X-Wing)            one each
//!
//! custodian: Package::open(record, key) checks share and sealed key against the record, then keeps the file
//! ```
//!
//! # Security
//!
//! The sealed key travels with the shares and not with the record: the record alone gives nothing away, to nobody.
//! Packages are sealed in suite `x-wing`, for they may lie in safes for years. A custodian who does not check its
//! package may find out at the recovery that it holds nothing.

use std::collections::BTreeSet;

use quorate_crypto::envelope::WrapKey;
use quorate_crypto::escrow_key::EscrowKey;
use quorate_crypto::feldman::{self, Commitments, ELEMENT, EscrowShare};
use quorate_crypto::hash::{Digest, FieldHasher, sha256};
use quorate_crypto::labels::{self, Label};
use quorate_crypto::seal::{RoundPublic, SealSuite, Sealed, Sealer};
use quorate_crypto::sign::PublicKey;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::EscrowError;
use crate::class::{KeyRef, purpose::Wrapping};
use crate::provider::Tag;

/// Somebody who keeps a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custodian {
    /// Who.
    pub name: Tag,
    /// Where the share is kept.
    pub region: Tag,
    /// What the share is sealed to, of suite `x-wing`.
    pub public: RoundPublic,
}

/// How a key is to be split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which key. Only wrapping keys are split:
    ///
    /// ```compile_fail
    /// use quorate_keys::class::{KeyRef, purpose::Round};
    /// use quorate_keys::escrow::Terms;
    /// fn escrow_of_a_round(key: KeyRef<Round>, mut terms: Terms) {
    ///     terms.key = key;
    /// }
    /// ```
    pub key: KeyRef<Wrapping>,
    /// Number of this split of the key, from 1 on.
    pub split: u32,
    /// Shares that give the key back.
    pub threshold: u8,
    /// Who keeps them; each gets the share of its place.
    pub custodians: Vec<Custodian>,
    /// Who may approve a recovery: two of them must.
    pub approvers: Vec<PublicKey>,
}

/// What everybody may know of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    terms: Terms,
    commitments: Commitments,
    sealed_hash: Digest,
    hash: Digest,
}

/// A custodian's share, sealed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The custodian's place, from 1.
    pub index: u8,
    /// Hash of the record it belongs to.
    pub record: Digest,
    pub(super) sealed: Sealed,
}

/// An opened package; wiped on drop.
pub struct Holding {
    pub(super) share: EscrowShare,
    pub(super) sealed_key: Vec<u8>,
}

impl Terms {
    /// Refuses terms under which a recovery would not need two people, or custodians be one.
    ///
    /// # Errors
    /// [`EscrowError`].
    fn check(&self) -> Result<(), EscrowError> {
        let names: BTreeSet<_> = self.custodians.iter().map(|custodian| &custodian.name).collect();
        let keys: BTreeSet<_> = self.custodians.iter().map(|custodian| &custodian.public).collect();
        let approvers: BTreeSet<_> = self.approvers.iter().collect();
        let count = self.custodians.len();
        if names.len() != count || keys.len() != count || count > MAX_CUSTODIANS {
            return Err(EscrowError::Custodians);
        }
        if self.custodians.iter().any(|custodian| custodian.public.suite() != SealSuite::XWing) {
            return Err(EscrowError::Custodians);
        }
        if approvers.len() != self.approvers.len() || !(2..=MAX_CUSTODIANS).contains(&approvers.len()) {
            return Err(EscrowError::Approvers);
        }
        if self.threshold < 2 || usize::from(self.threshold) > count {
            return Err(EscrowError::Threshold);
        }
        Ok(())
    }

    /// Refuses terms whose custodians are in fewer regions than a policy asks for.
    ///
    /// # Errors
    /// [`EscrowError::Regions`].
    pub fn check_regions(&self, least: usize) -> Result<(), EscrowError> {
        let regions: BTreeSet<_> = self.custodians.iter().map(|custodian| &custodian.region).collect();
        if regions.len() < least {
            return Err(EscrowError::Regions { found: regions.len(), least });
        }
        Ok(())
    }
}

impl Record {
    /// A record from its parts, as it was stored.
    ///
    /// # Errors
    /// [`EscrowError`].
    pub fn new(terms: Terms, commitments: Commitments, sealed_hash: Digest) -> Result<Self, EscrowError> {
        terms.check()?;
        if commitments.threshold() != usize::from(terms.threshold) {
            return Err(EscrowError::Threshold);
        }
        let hash = hash(&terms, &commitments, &sealed_hash);
        Ok(Self { terms, commitments, sealed_hash, hash })
    }

    /// The terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Hash of the whole record: its name in packages, requests and the log.
    #[must_use]
    pub const fn hash(&self) -> &Digest {
        &self.hash
    }

    /// The commitments.
    #[must_use]
    pub const fn commitments(&self) -> &Commitments {
        &self.commitments
    }

    /// Hash of the sealed key that every package carries.
    #[must_use]
    pub const fn sealed_hash(&self) -> &Digest {
        &self.sealed_hash
    }

    pub(super) fn custodian(&self, index: u8) -> Result<&Custodian, EscrowError> {
        let place = usize::from(index).checked_sub(1);
        place.and_then(|place| self.terms.custodians.get(place)).ok_or(EscrowError::Index(index))
    }

    /// The share and sealed key of these bytes, if they are what the record says.
    pub(super) fn holding(&self, index: u8, plain: &[u8]) -> Result<Holding, EscrowError> {
        let (share, sealed_key) =
            plain.split_first_chunk::<ELEMENT>().ok_or(EscrowError::WrongShare(index))?;
        let share = EscrowShare::parse(index, share).map_err(|_| EscrowError::WrongShare(index))?;
        if !self.commitments.fits(&share) || sha256(&[sealed_key]) != self.sealed_hash {
            return Err(EscrowError::WrongShare(index));
        }
        Ok(Holding { share, sealed_key: sealed_key.to_vec() })
    }
}

/// Splits a wrapping key under these terms.
///
/// # Errors
/// [`EscrowError`].
pub fn split<R: CryptoRng + ?Sized>(
    key: &WrapKey,
    terms: Terms,
    rng: &mut R,
) -> Result<(Record, Vec<Package>), EscrowError> {
    terms.check()?;
    let count = u8::try_from(terms.custodians.len()).map_err(|_| EscrowError::Custodians)?;
    let split = feldman::split(key, terms.threshold, count, rng).map_err(|_| EscrowError::Threshold)?;
    let record = Record::new(terms, split.commitments, sha256(&[&split.sealed]))?;
    let mut packages = Vec::with_capacity(split.shares.len());
    for share in &split.shares {
        let holding = plain(share, &split.sealed);
        let to = &record.custodian(share.index())?.public;
        let info = info(labels::ESCROW_PACKAGE, record.hash(), share.index());
        let sealed = seal(to, &info, &holding, rng)?;
        packages.push(Package { index: share.index(), record: record.hash, sealed });
    }
    Ok((record, packages))
}

impl Package {
    /// Opens a package with the custodian's key and checks it against the record.
    ///
    /// # Errors
    /// [`EscrowError`]: of another record, not sealed to this custodian, or a share that is wrong.
    pub fn open(&self, record: &Record, key: &EscrowKey) -> Result<Holding, EscrowError> {
        if self.record != *record.hash() {
            return Err(EscrowError::Record);
        }
        record.custodian(self.index)?;
        let info = info(labels::ESCROW_PACKAGE, record.hash(), self.index);
        let opened = key.open(&info, &self.sealed.enc, &self.sealed.ciphertext);
        record.holding(self.index, &opened.map_err(|_| EscrowError::NotSealed)?)
    }
}

pub(super) fn plain(share: &EscrowShare, sealed_key: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(ELEMENT + sealed_key.len()));
    plain.extend_from_slice(share.to_bytes().as_ref());
    plain.extend_from_slice(sealed_key);
    plain
}

pub(super) fn seal<R: CryptoRng + ?Sized>(
    to: &RoundPublic,
    info: &[u8],
    plain: &[u8],
    rng: &mut R,
) -> Result<Sealed, EscrowError> {
    Sealer::new(SealSuite::XWing, rng).seal(to, info, plain, rng).map_err(|_| EscrowError::NotSealed)
}

/// What a sealed text is bound to.
pub(super) fn info(label: Label, whole: &Digest, index: u8) -> Vec<u8> {
    let mut hasher = FieldHasher::new(label);
    hasher.field(whole.as_bytes()).field(&[index]);
    hasher.finish().as_bytes().to_vec()
}

fn hash(terms: &Terms, commitments: &Commitments, sealed_hash: &Digest) -> Digest {
    let mut hasher = FieldHasher::new(labels::ESCROW_RECORD);
    hasher.field(terms.key.id().to_string().as_bytes());
    hasher.field(&terms.split.to_le_bytes()).field(&[terms.threshold]);
    hasher.field(&(terms.custodians.len() as u64).to_le_bytes());
    for custodian in &terms.custodians {
        hasher.field(custodian.name.as_str().as_bytes()).field(custodian.region.as_str().as_bytes());
        hasher.field(custodian.public.as_bytes());
    }
    hasher.field(&(terms.approvers.len() as u64).to_le_bytes());
    for approver in &terms.approvers {
        hasher.field(approver.as_bytes());
    }
    for commitment in commitments.to_bytes() {
        hasher.field(&commitment);
    }
    hasher.field(sealed_hash.as_bytes());
    hasher.finish()
}

/// Most custodians, and most approvers.
pub const MAX_CUSTODIANS: usize = 64;
