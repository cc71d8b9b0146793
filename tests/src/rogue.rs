//! A participant that makes its contribution by hand, so that it can make it wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::hash::{Digest, digest, vector_digest};
use quorate_crypto::labels;
use quorate_crypto::mask::MaskSecret;
use quorate_crypto::merkle;
use quorate_crypto::seal::{RoundPublic, Sealer};
use quorate_crypto::share::{Dealing, ShareContext};
use quorate_keys::PartyId;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::params::{DataPlane, RoundPlan};
use quorate_protocol::participant::share_info;
use quorate_protocol::statement::Header;
use quorate_protocol::wire::{self, Contribution, Roster, Sealed};
use rand_chacha::ChaCha20Rng;

use crate::deployment::Deployment;
use crate::forge::{session_of, sign};
use crate::run::Payload;

/// What is wrong with the share of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// A share, but off the polynomial.
    Off,
    /// It opens to something that is no share.
    Malformed,
    /// It does not open.
    Unopenable,
}

/// A round as a rogue participant sees it.
pub struct Rogue<'a> {
    deployment: &'a Deployment,
    manifest: Manifest,
    roster: Roster,
    plan: Arc<RoundPlan>,
    index: u32,
}

impl<'a> Rogue<'a> {
    /// Party `index` in the round of this manifest and roster.
    ///
    /// # Panics
    /// If the manifest can't be computed with.
    #[must_use]
    pub fn new(deployment: &'a Deployment, manifest: &Manifest, roster: &Roster, index: u32) -> Self {
        let plan = deployment.plans.plan(manifest).expect("the manifest works");
        Self { deployment, manifest: manifest.clone(), roster: roster.clone(), plan, index }
    }

    fn id(&self) -> PartyId {
        self.deployment.ids[self.index as usize]
    }

    /// A contribution of the oracle's update with shares poisoned by place on the roster.
    ///
    /// # Panics
    /// If the cryptography refuses.
    pub fn contribution(&self, poison: &BTreeMap<u16, Poison>, rng: &mut ChaCha20Rng) -> Payload {
        let sid = session_of(&self.manifest, &self.roster);
        let context = ShareContext { sid, sender: self.id().to_bytes() };
        let slots = self.deployment.oracle.slots(self.index, self.manifest.round);
        let slots: Vec<u32> = slots.iter().map(|&slot| slot as u32).collect();
        let sharing = self.plan.sharing().expect("a masked round");
        let (vector, hash, dealing) = match self.plan.data() {
            DataPlane::Masked(packing) => {
                let secret = MaskSecret::sample(packing.suite(), rng);
                let matrix = self.plan.matrix(packing);
                let (vector, spent) = secret.mask(packing, matrix, &slots, rng).expect("slots that fit");
                let hash = vector_digest(&vector);
                (vector, hash, sharing.deal(spent, &context, rng).expect("a secret of the suite"))
            }
            _ => {
                let dealing = sharing.deal_slots(&slots, &context, rng).expect("slots that fit");
                (Vec::new(), digest(labels::DIRECT_VECTOR, &[]), dealing)
            }
        };
        let shares = self.seal(&sid, &dealing, poison, rng);
        self.sign(sid, hash, shares, vector)
    }

    fn seal(
        &self,
        sid: &Digest,
        dealing: &Dealing,
        poison: &BTreeMap<u16, Poison>,
        rng: &mut ChaCha20Rng,
    ) -> Vec<Sealed> {
        let sharing = self.plan.sharing().expect("a masked round");
        let mut sealer = Sealer::new(self.manifest.seal, rng);
        let mut shares = Vec::new();
        for (place, entry) in (1..).zip(&self.roster.members) {
            let member = PartyId::new(entry.index, &entry.identity);
            let key = RoundPublic::parse(self.manifest.seal, &entry.key).expect("a member's own key");
            let mut plaintext = dealing.plaintext(place).to_vec();
            match poison.get(&place) {
                Some(Poison::Off) => plaintext[0] ^= 1,
                // A seed is always a share: only longer shares can be malformed.
                Some(Poison::Malformed) if !sharing.is_seed_member(place) => plaintext.fill(0xff),
                Some(Poison::Malformed) => plaintext[0] ^= 1,
                _ => {}
            }
            let info = share_info(sid, &self.id(), &member, place);
            let sealed = sealer.seal(&key, info.as_bytes(), &plaintext, rng).expect("a good key");
            let mut sealed = Sealed { enc: sealed.enc, ct: sealed.ciphertext };
            if poison.get(&place) == Some(&Poison::Unopenable) {
                sealed.ct[0] ^= 1;
            }
            shares.push(sealed);
        }
        shares
    }

    /// Signs a header over shares and vector, whatever they are.
    #[must_use]
    pub fn sign(&self, sid: Digest, hash: Digest, shares: Vec<Sealed>, vector: Vec<u8>) -> Payload {
        let leaves: Vec<Digest> = (1..).zip(&shares).map(|(place, sealed)| sealed.leaf(place)).collect();
        let header = Header { sid, sender: self.id(), vector: hash, shares: merkle::root(&leaves) };
        let key = &self.deployment.keys[self.index as usize];
        let signature = sign(&header, &self.manifest.context(), key);
        let frame = wire::encode(self.manifest.round, &Contribution { header, signature, shares });
        Payload::Contribution(frame.into(), vector.into())
    }
}
