//! A dealer that cheats, for tests: what it committed to is exchanged before the commitment leaves.

use quorate_crypto::collective::{DealContext, KeyShare, part_commitment};
use quorate_crypto::merkle;
use quorate_crypto::seal::{RoundPublic, SealSuite, Sealer};
use rand_core::CryptoRng;

use super::{Holder, Stage};
use crate::participant::share_info;
use crate::wire::{self, PartCommit, Sealed};

impl Holder {
    /// The commitment to a part with another public part, and with `plaintext` dealt to the holder at a place, or
    /// bytes that do not open.
    pub(in crate::collective) fn cheat<R: CryptoRng>(
        &mut self,
        public: Option<Vec<u8>>,
        dealt: Option<(u16, Option<Vec<u8>>)>,
        rng: &mut R,
    ) -> Vec<u8> {
        let Stage::Committed(committed) = &mut self.stage else { panic!("the holder has committed") };
        if let Some(public) = public {
            committed.opening.public = public;
        }
        let active = committed.base.record.active();
        if let Some((victim, plaintext)) = dealt {
            let at = active.iter().position(|place| *place == victim).unwrap();
            let to = &committed.joins[at].join;
            let info = share_info(&committed.session, &self.who.id, &to.id, victim);
            let key = RoundPublic::parse(SealSuite::X25519, &to.key).unwrap();
            if let Some(bytes) = &plaintext {
                let made =
                    Sealer::new(SealSuite::X25519, rng).seal(&key, info.as_bytes(), bytes, rng).unwrap();
                committed.sealed[at] = Sealed { enc: made.enc, ct: made.ciphertext };
            } else {
                committed.sealed[at].ct[3] ^= 1;
            }
        }
        let leaves: Vec<_> =
            active.iter().zip(&committed.sealed).map(|(place, sealed)| sealed.leaf(*place)).collect();
        committed.opening.shares = merkle::root(&leaves);
        let ctx = DealContext { session: committed.session, dealer: self.who.id.to_bytes() };
        let opening = &committed.opening;
        committed.commitment = part_commitment(&ctx, &opening.nonce, &opening.public, &opening.shares);
        let (session, id, commitment) = (committed.session, self.who.id, committed.commitment);
        let message = super::Signed(&self.who.deployment).commit(&session, &id, &commitment);
        let signature = self.who.identity.sign(&message);
        wire::encode(0, &PartCommit { session, id, commitment, signature })
    }

    /// Its share becomes another one that has the form of a share.
    pub(in crate::collective) fn spoil_share(&mut self) {
        let known = self.in_force.as_deref_mut().unwrap();
        let mut bytes = known.share.to_bytes();
        let at = bytes.len() / 8;
        bytes[at] ^= 1;
        known.share = KeyShare::parse(&known.committee, &bytes).unwrap();
    }

    /// The public part it would reveal.
    pub(in crate::collective) fn public_part(&self) -> Vec<u8> {
        let Stage::Committed(committed) = &self.stage else { panic!("the holder has committed") };
        committed.opening.public.clone()
    }
}
