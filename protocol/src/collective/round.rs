//! What holders and coordinator know of a round under a collective key, and how a set of its contributions is judged
//! ([OPEN-2], [CKG-8]).

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::sign::{self, PublicKey, SignedItem};
use rand_core::CryptoRng;

use crate::announce::Accepted;
use crate::draw::{Draw, Role};
use crate::error::FaultKind;
use crate::id::{Context, Head, PartyId};
use crate::roster::session;
use crate::statement::{CloseStatement, Statement as _};
use crate::wire::{SealedClose, SealedLeaf, set_leaf};

/// What a holder knows of a round from a manifest it has accepted.
#[derive(Clone)]
pub struct RoundTerms {
    /// Deployment and round.
    pub context: Context,
    /// Session: manifest and key record.
    pub sid: Digest,
    /// Record of the key, as the manifest names it.
    pub key: Digest,
    /// The coordinator's key of this round.
    pub signer: PublicKey,
    /// Locks that certify a set.
    pub q: u16,
    /// Least contributions: the manifest's n_min, or more by the holder's own policy ([OPEN-4]).
    pub n_min: u32,
    /// Most contributions.
    pub n_max: u32,
    /// E, under which senders are registered.
    pub eligible: Head,
    /// The draw of the cohort, and its width.
    pub draw: (Draw, u32),
}

impl RoundTerms {
    /// What an accepted manifest says, its n_min raised to `n_min` where the party's own policy asks for more
    /// ([OPEN-4]). None for a round in another mode.
    #[must_use]
    pub fn of(accepted: &Accepted, n_min: u32) -> Option<Self> {
        let (manifest, record) = (&accepted.manifest, accepted.epoch.record());
        let key = manifest.collective?.record;
        Some(Self {
            context: accepted.context(),
            sid: session(&accepted.mh, &key),
            key,
            signer: accepted.signer.clone(),
            q: manifest.committee.q,
            n_min: manifest.cohort.n_min.max(n_min),
            n_max: manifest.cohort.n_max,
            eligible: record.eligible,
            draw: (accepted.epoch.draw(manifest.round), record.cohort_width),
        })
    }

    /// [OPEN-2] over all leaves: ascending, registered, drawn, signed, of this session, in number.
    pub(super) fn check_set<R: CryptoRng + ?Sized>(
        &self,
        close: &SealedClose,
        rng: &mut R,
    ) -> Result<(), FaultKind> {
        CloseStatement(close.set).verify(&self.context, &self.signer, &close.signature)?;
        let size = close.leaves.len();
        if close.set.sid != self.sid {
            return Err(FaultKind::WrongSession);
        }
        if size != close.set.size as usize || size < self.n_min as usize || size > self.n_max as usize {
            return Err(FaultKind::CohortSize);
        }
        if close.leaves.windows(2).any(|pair| pair[0].header.sender.index >= pair[1].header.sender.index) {
            return Err(FaultKind::BadSet);
        }
        let mut hashes = Vec::with_capacity(size);
        let mut items: Vec<SignedItem<'_>> = Vec::with_capacity(size);
        for leaf in &close.leaves {
            self.check_leaf(leaf)?;
            hashes.push(set_leaf(&self.sid, &leaf.header.sender, &leaf.header.hdr()));
            items.push(leaf.header.item(&self.context, &leaf.identity, leaf.signature));
        }
        sign::verify_batch(&items, rng).map_err(|_| FaultKind::BadSignature)?;
        if merkle::root(&hashes) == close.set.root { Ok(()) } else { Err(FaultKind::BadSet) }
    }

    fn check_leaf(&self, leaf: &SealedLeaf) -> Result<(), FaultKind> {
        let id: &PartyId = &leaf.header.sender;
        if leaf.header.sid != self.sid {
            return Err(FaultKind::WrongSession);
        }
        let registered = leaf.identity.key_hash() == id.key_hash
            && self.eligible.contains(&self.context.deployment, id.index, &leaf.identity, &leaf.proof);
        if !registered {
            return Err(FaultKind::NotRegistered);
        }
        let (draw, width) = &self.draw;
        if draw.is_eligible(Role::Cohort, id, *width) { Ok(()) } else { Err(FaultKind::NotEligible) }
    }
}
