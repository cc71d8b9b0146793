//! What a malicious coordinator or party makes with its own keys: anything it can sign.
//!
//! Every function takes what it is told: nothing here checks a rule.

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{PartyId, SignedHead};
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::epoch::EpochEvidence;
use quorate_protocol::id::{Context, SetId};
use quorate_protocol::manifest::{Manifest, VERSION};
use quorate_protocol::roster::{roster_hash, session};
use quorate_protocol::statement::{
    AnswerStatement, CheckStatement, CloseStatement, LockStatement, ManifestStatement, RosterStatement,
    RoundKeyStatement, Statement,
};
use quorate_protocol::wire::{
    self, Announce, Answer, CheckBatch, CheckEntry, Close, Leaf, Lock, Locks, Roster, RosterEntry, RoundKey,
    set_leaf,
};

use crate::deployment::Deployment;

/// Signs any statement, permit or not.
#[must_use]
pub fn sign<S: Statement>(
    statement: &S,
    context: &Context,
    key: &SigningKey,
) -> quorate_crypto::sign::Signature {
    key.sign(&statement.digest(context))
}

impl Deployment {
    /// The manifest of a round under a configuration and an epoch.
    #[must_use]
    pub fn manifest(&self, round: u64, config: &RoundConfig, evidence: &EpochEvidence) -> Manifest {
        let epoch = evidence.verify(&self.id(), self.coordinator_key().public());
        let seed = epoch.map_or(Digest::ZERO, |epoch| *epoch.seed());
        Manifest {
            version: VERSION,
            deployment: *self.id(),
            round,
            mode: config.mode,
            suite: config.suite,
            seal: config.seal,
            epoch: evidence.record.hash(),
            seed,
            head: self.registry.head(),
            committee: config.committee,
            cohort: config.cohort,
            schema: config.schema,
            model: config.model,
            deadlines: config.deadlines,
            key_life: config.key_life,
            policy: config.policy,
            keys: Digest::ZERO,
            previous: Digest::ZERO,
            collective: None,
        }
    }

    /// The honest manifest of a round.
    #[must_use]
    pub fn plain_manifest(&self, round: u64) -> Manifest {
        self.manifest(round, &self.config(), &self.evidence)
    }

    /// An announcement of any manifest to one party, signed and proven as well as it can be.
    #[must_use]
    pub fn announce(&self, manifest: &Manifest, evidence: &EpochEvidence, to: u32) -> Announce {
        let key = self.coordinator_key();
        let (eligible, head) = (evidence.record.eligible.size, manifest.head.size);
        let own = self.registry.len() as u64;
        Announce {
            manifest: manifest.clone(),
            signature: sign(&ManifestStatement(manifest.hash()), &manifest.context(), &key),
            evidence: evidence.clone(),
            head_signature: SignedHead::sign(manifest.head, &self.id(), &key).signature,
            eligible_proof: self.registry.consistency(eligible.min(head), head).unwrap_or_default(),
            seen_proof: self.registry.consistency(head.min(own), own).unwrap_or_default(),
            own_proof: self.registry.inclusion(to, eligible.min(own)).unwrap_or_default(),
        }
    }

    /// The frame of an announcement of the deployment's own epoch.
    #[must_use]
    pub fn announcement(&self, manifest: &Manifest, to: u32) -> Vec<u8> {
        wire::encode(manifest.round, &self.announce(manifest, &self.evidence, to))
    }

    /// A round key signed by a party.
    #[must_use]
    pub fn round_key(&self, manifest: &Manifest, index: u32, key: &[u8]) -> RoundKey {
        let (mh, id) = (manifest.hash(), self.ids[index as usize]);
        let statement = RoundKeyStatement { mh: &mh, id: &id, key };
        let signature = sign(&statement, &manifest.context(), &self.keys[index as usize]);
        RoundKey { mh, id, key: key.to_vec(), signature }
    }

    /// A roster of these round keys, in this order.
    #[must_use]
    pub fn roster(&self, manifest: &Manifest, keys: &[RoundKey]) -> Roster {
        let mh = manifest.hash();
        let size = self.evidence.record.eligible.size;
        let members = keys
            .iter()
            .map(|key| RosterEntry {
                index: key.id.index,
                identity: self.keys[key.id.index as usize].public().clone(),
                proof: self.registry.inclusion(key.id.index, size).unwrap_or_default(),
                key: key.key.clone(),
                signature: key.signature,
            })
            .collect();
        let rh = roster_hash(&mh, keys.iter().map(|key| (key.id, key.key.as_slice())));
        let statement = RosterStatement { mh: &mh, rh: &rh };
        Roster { members, signature: sign(&statement, &manifest.context(), &self.coordinator_key()) }
    }

    /// A closed set with any leaves, its root computed over them as they are.
    #[must_use]
    pub fn close(&self, context: &Context, sid: Digest, leaves: &[Leaf]) -> Close {
        let hashes: Vec<Digest> =
            leaves.iter().map(|leaf| set_leaf(&sid, &self.ids[leaf.sender as usize], &leaf.hdr)).collect();
        let set = SetId { sid, root: merkle::root(&hashes), size: leaves.len() as u32 };
        self.close_as(context, set, leaves)
    }

    /// A closed set that claims any triple.
    #[must_use]
    pub fn close_as(&self, context: &Context, set: SetId, leaves: &[Leaf]) -> Close {
        let signature = sign(&CloseStatement(set), context, &self.coordinator_key());
        Close { set, leaves: leaves.to_vec(), signature }
    }

    /// A lock of the member at a place of the roster, signed by any party.
    #[must_use]
    pub fn lock(&self, context: &Context, set: SetId, place: u16, signer: u32) -> Lock {
        let signature = sign(&LockStatement(set), context, &self.keys[signer as usize]);
        Lock { set, member: place, signature }
    }

    /// Locks of members, each signed by the member itself.
    #[must_use]
    pub fn locks(&self, context: &Context, set: SetId, members: &[(u16, u32)]) -> Locks {
        Locks { locks: members.iter().map(|&(place, index)| self.lock(context, set, place, index)).collect() }
    }

    /// An answer with any shares.
    #[must_use]
    pub fn answer(&self, context: &Context, set: SetId, place: (u16, u32), shares: Vec<u8>) -> Answer {
        let (member, signer) = place;
        let statement = AnswerStatement { set, index: member, shares: &shares };
        let signature = sign(&statement, context, &self.keys[signer as usize]);
        Answer { set, member, shares, signature }
    }

    /// A check batch with any entries.
    #[must_use]
    pub fn check_batch(
        &self,
        context: &Context,
        sid: Digest,
        place: (u16, u32),
        entries: Vec<CheckEntry>,
    ) -> CheckBatch {
        let (member, signer) = place;
        let leaves: Vec<Digest> = entries.iter().map(CheckEntry::leaf).collect();
        let statement = CheckStatement { sid, root: merkle::root(&leaves) };
        let signature = sign(&statement, context, &self.keys[signer as usize]);
        CheckBatch { sid, member, entries, signature }
    }
}

/// Session of a roster under a manifest.
#[must_use]
pub fn session_of(manifest: &Manifest, roster: &Roster) -> Digest {
    let mh = manifest.hash();
    let members =
        roster.members.iter().map(|entry| (PartyId::new(entry.index, &entry.identity), entry.key.as_slice()));
    session(&mh, &roster_hash(&mh, members))
}
