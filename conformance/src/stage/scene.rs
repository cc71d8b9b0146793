//! One round of a script: what the puppets do in it, and what the coordinator makes of it.

use std::sync::Arc;

use quorate_crypto::hash::{Digest, vector_digest};
use quorate_crypto::mask::MaskSecret;
use quorate_crypto::merkle;
use quorate_crypto::seal::{RoundPublic, RoundSecret, Sealer};
use quorate_crypto::share::{Share, ShareContext};
use quorate_keys::PartyId;
use quorate_protocol::draw::Role;
use quorate_protocol::id::{Context, SetId};
use quorate_protocol::manifest::Manifest;
use quorate_protocol::params::{DataPlane, RoundPlan};
use quorate_protocol::participant::share_info;
use quorate_protocol::roster::{roster_hash, session};
use quorate_protocol::statement::{
    CloseStatement, Header, LockStatement, ResultStatement, RosterStatement, RoundKeyStatement,
};
use quorate_protocol::wire::{
    self, Close, Contribution, Leaf, Lock, Locks, Place, Relay, RelayItem, ResultNotice, Roster, RosterEntry,
    RoundKey, Sealed, set_leaf,
};

use super::hall::{Hall, MEMBERS, sign};
use super::play::Coins;
use crate::error::KitError;

/// A contribution as the coordinator holds it.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) contribution: Contribution,
    /// What a puppet sealed to the subject; of the subject's own contribution nobody knows it.
    pub(crate) plaintext: Vec<u8>,
}

/// A round with its session fixed.
pub(crate) struct Scene {
    pub(crate) manifest: Manifest,
    pub(crate) context: Context,
    pub(crate) plan: Arc<RoundPlan>,
    pub(crate) roster: Roster,
    pub(crate) sid: Digest,
    /// The subject's place on the roster.
    pub(crate) place: u16,
    secrets: Vec<(u32, RoundSecret)>,
}

impl Scene {
    /// The round of a manifest with fresh round keys of the puppets and this one of the subject.
    pub(crate) fn new(
        hall: &Hall,
        manifest: &Manifest,
        key: &RoundKey,
        coins: &mut Coins,
    ) -> Result<Self, KitError> {
        let plan = RoundPlan::new(manifest).map_err(|_| KitError::Script)?;
        let context = manifest.context();
        let (mut keys, mut secrets) = (vec![key.clone()], Vec::new());
        for index in 0..MEMBERS {
            let (secret, public) = RoundSecret::generate(manifest.seal, coins);
            keys.push(round_key(hall, manifest, index, &public));
            secrets.push((index, secret));
        }
        let draw = hall.epoch.draw(manifest.round);
        keys.sort_by_key(|key| draw.ticket(Role::Committee, &key.id));
        let roster = Self::roster_of(hall, manifest, &keys);
        let sid = session_of(manifest, &roster);
        let place = keys.iter().position(|other| other.id == key.id).map_or(0, |at| at as u16 + 1);
        Ok(Self { manifest: manifest.clone(), context, plan: Arc::new(plan), roster, sid, place, secrets })
    }

    /// A roster of any round keys, in this order, signed.
    pub(crate) fn roster_of(hall: &Hall, manifest: &Manifest, keys: &[RoundKey]) -> Roster {
        let size = hall.evidence.record.eligible.size;
        let member = |key: &RoundKey| {
            let identity = hall.registry.key(key.id.index)?.clone();
            let proof = hall.registry.inclusion(key.id.index, size).unwrap_or_default();
            Some(RosterEntry {
                index: key.id.index,
                identity,
                proof,
                key: key.key.clone(),
                signature: key.signature,
            })
        };
        let members: Vec<_> = keys.iter().filter_map(member).collect();
        let roster = Roster { members, signature: keys[0].signature };
        Self::sign_roster(hall, manifest, roster)
    }

    /// The same members, signed anew.
    pub(crate) fn sign_roster(hall: &Hall, manifest: &Manifest, roster: Roster) -> Roster {
        let mh = manifest.hash();
        let rh = hash_of(&mh, &roster);
        let statement = RosterStatement { mh: &mh, rh: &rh };
        Roster { signature: sign(&statement, &manifest.context(), &hall.coordinator), ..roster }
    }

    /// Id of the member at a place.
    pub(crate) fn member(&self, place: u16) -> Option<PartyId> {
        let entry = self.roster.members.get(usize::from(place).checked_sub(1)?)?;
        Some(PartyId::new(entry.index, &entry.identity))
    }

    /// Places of the puppets on the committee with their round secrets.
    pub(crate) fn puppets(&self) -> impl Iterator<Item = (u16, &RoundSecret)> {
        (1..).zip(&self.roster.members).filter_map(|(place, entry)| {
            let secret = self.secrets.iter().find(|(index, _)| *index == entry.index)?;
            Some((place, &secret.1))
        })
    }

    /// What a puppet contributes: zeros with weight 1.
    pub(crate) fn contribute(&self, hall: &Hall, index: u32, coins: &mut Coins) -> Result<Held, KitError> {
        let id = hall.puppet(index);
        let (Some(sharing), DataPlane::Masked(packing)) = (self.plan.sharing(), self.plan.data()) else {
            return Err(KitError::Script);
        };
        let slots = self.plan.codec().quantise(&vec![0.0; self.plan.codec().dim()], 1, coins);
        let slots = slots.map_err(|_| KitError::Script)?;
        let matrix = self.plan.matrix(packing);
        let (vector, spent) = MaskSecret::sample(packing.suite(), coins)
            .mask(packing, matrix, slots.slots(), coins)
            .map_err(|_| KitError::Script)?;
        let context = ShareContext { sid: self.sid, sender: id.to_bytes() };
        let dealing = sharing.deal(spent, &context, coins).map_err(|_| KitError::Script)?;
        let mut sealer = Sealer::new(self.manifest.seal, coins);
        let mut shares = Vec::new();
        for (place, entry) in (1..).zip(&self.roster.members) {
            let member = PartyId::new(entry.index, &entry.identity);
            let key = RoundPublic::parse(self.manifest.seal, &entry.key).map_err(|_| KitError::Script)?;
            let info = share_info(&self.sid, &id, &member, place);
            let sealed = sealer.seal(&key, info.as_bytes(), dealing.plaintext(place), coins);
            let sealed = sealed.map_err(|_| KitError::Script)?;
            shares.push(Sealed { enc: sealed.enc, ct: sealed.ciphertext });
        }
        let plaintext = dealing.plaintext(self.place).to_vec();
        let contribution = self.sign(hall, index, vector_digest(&vector), shares);
        Ok(Held { contribution, plaintext })
    }

    /// A puppet's header over any shares.
    pub(crate) fn sign(&self, hall: &Hall, index: u32, vector: Digest, shares: Vec<Sealed>) -> Contribution {
        let header = Header {
            sid: self.sid,
            sender: hall.puppet(index),
            vector,
            shares: merkle::root(&leaves(&shares)),
        };
        let signature = sign(&header, &self.context, &hall.puppets[index as usize]);
        Contribution { header, signature, shares }
    }

    /// A contribution as it is relayed to the subject.
    pub(crate) fn item(&self, hall: &Hall, contribution: &Contribution) -> Option<RelayItem> {
        let sender = contribution.header.sender;
        let at = usize::from(self.place).checked_sub(1)?;
        Some(RelayItem {
            header: contribution.header,
            signature: contribution.signature,
            identity: hall.registry.key(sender.index)?.clone(),
            proof: hall.registry.inclusion(sender.index, hall.evidence.record.eligible.size)?,
            path: merkle::inclusion_proof(&leaves(&contribution.shares), at)?,
            sealed: contribution.shares.get(at)?.clone(),
        })
    }

    /// Relays of these contributions.
    pub(crate) fn relay(&self, hall: &Hall, of: &[Contribution]) -> Relay {
        Relay { items: of.iter().filter_map(|contribution| self.item(hall, contribution)).collect() }
    }

    /// The closed set of these contributions, in the order of their senders.
    pub(crate) fn close(&self, hall: &Hall, of: &[Contribution]) -> Close {
        let mut headers: Vec<Header> = of.iter().map(|contribution| contribution.header).collect();
        headers.sort_by_key(|header| header.sender.index);
        self.close_as(hall, &headers)
    }

    /// The same in this order, whatever it is.
    pub(crate) fn close_as(&self, hall: &Hall, headers: &[Header]) -> Close {
        let hashes: Vec<_> =
            headers.iter().map(|header| set_leaf(&self.sid, &header.sender, &header.hdr())).collect();
        let set = SetId { sid: self.sid, root: merkle::root(&hashes), size: headers.len() as u32 };
        let leaves = headers.iter().map(|header| Leaf { sender: header.sender.index, hdr: header.hdr() });
        Close {
            set,
            leaves: leaves.collect(),
            signature: sign(&CloseStatement(set), &self.context, &hall.coordinator),
        }
    }

    /// Locks of the puppets on a set.
    pub(crate) fn locks(&self, hall: &Hall, set: SetId) -> Locks {
        let lock = |(place, entry): (u16, &RosterEntry)| {
            let key = hall.puppets.get(entry.index as usize)?;
            Some(Lock { set, member: place, signature: sign(&LockStatement(set), &self.context, key) })
        };
        Locks { locks: (1..).zip(&self.roster.members).filter_map(lock).collect() }
    }
}

/// A round key of a puppet, signed.
pub(crate) fn round_key(hall: &Hall, manifest: &Manifest, index: u32, public: &RoundPublic) -> RoundKey {
    let (mh, id, key) = (manifest.hash(), hall.puppet(index), public.as_bytes());
    let statement = RoundKeyStatement { mh: &mh, id: &id, key };
    let signature = sign(&statement, &manifest.context(), &hall.puppets[index as usize]);
    RoundKey { mh, id, key: key.to_vec(), signature }
}

/// Leaves of a share tree.
pub(crate) fn leaves(shares: &[Sealed]) -> Vec<Digest> {
    (1..).zip(shares).map(|(place, sealed)| sealed.leaf(place)).collect()
}

fn hash_of(mh: &Digest, roster: &Roster) -> Digest {
    let members = roster.members.iter();
    roster_hash(mh, members.map(|entry| (PartyId::new(entry.index, &entry.identity), entry.key.as_slice())))
}

/// Session of a roster under a manifest.
pub(crate) fn session_of(manifest: &Manifest, roster: &Roster) -> Digest {
    let mh = manifest.hash();
    session(&mh, &hash_of(&mh, roster))
}

impl Held {
    /// The share of a puppet on the committee.
    pub(crate) fn share_of(&self, scene: &Scene, place: u16, secret: &RoundSecret) -> Option<Share> {
        let sender = self.contribution.header.sender;
        let sealed = self.contribution.shares.get(usize::from(place) - 1)?;
        let info = share_info(&scene.sid, &sender, &scene.member(place)?, place);
        let plaintext = secret.open(info.as_bytes(), &sealed.enc, &sealed.ct).ok()?;
        let context = ShareContext { sid: scene.sid, sender: sender.to_bytes() };
        scene.plan.sharing()?.open_share(&plaintext, place, &context).ok()
    }
}

impl Scene {
    /// What a contributor in the set is told; over what sums does not matter to it.
    pub(crate) fn result(&self, hall: &Hall, close: &Close) -> Vec<u8> {
        let key = &hall.coordinator;
        let statement = ResultStatement {
            set: close.set,
            result: Digest::ZERO,
            locks: Digest::ZERO,
            answers: Digest::ZERO,
        };
        let position = close.leaves.iter().position(|leaf| leaf.sender == hall.subject.index).unwrap_or(0);
        let id = |sender: u32| hall.registry.party(sender).unwrap_or(hall.subject);
        let leaf = |leaf: &Leaf| set_leaf(&self.sid, &id(leaf.sender), &leaf.hdr);
        let hashes: Vec<Digest> = close.leaves.iter().map(leaf).collect();
        let proof = merkle::inclusion_proof(&hashes, position).unwrap_or_default();
        let signature = sign(&statement, &self.context, key);
        let place = Place::Counted { position: position as u32, proof };
        wire::encode(self.manifest.round, &ResultNotice { statement, signature, place })
    }
}
