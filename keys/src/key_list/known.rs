//! What a reader of lists trusts, from the founding key on.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

use super::{KeyList, KeyListError, ListedState, MAX_CHAIN, SignedKeyList};
use crate::class::KeyId;
use crate::deployment::DeploymentId;
use crate::root::{Hash, Key, SignedRoot, TrustRoot};

/// The keys a reader trusts: the founding one, and what every list since has said.
///
/// It keeps the newest list, and of those before it the ones that changed the key: with these a newcomer comes from the
/// founding key to the newest list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKeys {
    deployment: DeploymentId,
    founding: PublicKey,
    chain: Vec<Step>,
    /// Hashes of keys that were revoked, or were active and are not listed any more: they never come back.
    burnt: BTreeSet<Digest>,
}

/// One list, and the trust root that stood in for a handover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    list: SignedKeyList,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<SignedRoot>,
}

impl Step {
    /// The active key.
    fn key<'a>(&'a self, founding: &'a PublicKey) -> &'a PublicKey {
        self.list.unverified().active().map_or(founding, |(_, key)| key)
    }
}

/// As it is stored ([KL-29]).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    v: u8,
    deployment: Hash,
    founding: Key,
    lists: Vec<Step>,
}

impl KnownKeys {
    /// A reader that knows the founding key, which it has pinned, and no list.
    #[must_use]
    pub fn founding(deployment: DeploymentId, key: &PublicKey) -> Self {
        Self { deployment, founding: key.clone(), chain: Vec::new(), burnt: BTreeSet::new() }
    }

    /// The next list ([KL-9]): a greater number, and the same key or one the known key hands over to.
    ///
    /// # Errors
    /// Why not; the reader is as it was then.
    pub fn step(&self, list: SignedKeyList, now: u64) -> Result<Self, KeyListError> {
        let next = self.follow(list)?;
        next.current(now)?;
        Ok(next)
    }

    /// Takes any number of lists, and must end with one that has not expired ([KL-15]). Those on the way may have.
    ///
    /// # Errors
    /// Why one is refused. None of them is taken then.
    pub fn catch_up(
        &self,
        lists: impl IntoIterator<Item = SignedKeyList>,
        now: u64,
    ) -> Result<Self, KeyListError> {
        let next = self.follow_all(lists)?;
        next.current(now)?;
        Ok(next)
    }

    /// The same for a reader that asks for its age later ([`current`](Self::current)), before it acts.
    ///
    /// # Errors
    /// Why one is refused. None of them is taken then.
    pub fn follow_all(&self, lists: impl IntoIterator<Item = SignedKeyList>) -> Result<Self, KeyListError> {
        lists.into_iter().try_fold(self.clone(), |known, list| known.follow(list))
    }

    /// One list whatever its age, for a reader that asks for it later.
    ///
    /// # Errors
    /// Why not; the reader is as it was then.
    pub fn follow(&self, list: SignedKeyList) -> Result<Self, KeyListError> {
        let (id, key) = self.entitled(&list)?;
        if key != self.active() {
            list.is_handed_over(self.active())?;
            // A key that is handed over to is a later one: nobody goes back by a handover.
            let version = self.newest().and_then(|known| known.active().ok()).map_or(0, |(id, _)| id.version);
            let by = u64::from(id.version).saturating_sub(u64::from(version));
            if by == 0 || by > JUMP {
                return Err(KeyListError::Version);
            }
        }
        if let Some(known) = self.newest() {
            let new = list.unverified();
            if known.line()? != new.line()? {
                return Err(KeyListError::Order);
            }
            // A name stands for one key for ever.
            let renamed = |(id, listed)| known.coordinator.get(id).is_some_and(|old| old.key != listed);
            if new.coordinator.iter().map(|(id, listed)| (id, listed.key.clone())).any(renamed) {
                return Err(KeyListError::SameKey);
            }
            // What was signed between two times of a theft must not come to count again.
            let milder = |(id, since)| new.revoked.get(id).is_none_or(|now| now > since);
            if known.revoked.iter().any(milder) {
                return Err(KeyListError::Forgets);
            }
        }
        self.with(Step { list, root: None })
    }

    /// Replaces an active key that is in other hands: the trust root names the new one, and nobody hands over.
    ///
    /// The known list may be the thief's, so what it revokes is not asked for; keys that were revoked stay so, and so
    /// does the one that is replaced.
    ///
    /// # Errors
    /// Why not; the reader is as it was then.
    pub fn step_by_root(
        &self,
        list: SignedKeyList,
        root: &TrustRoot,
        now: u64,
    ) -> Result<Self, KeyListError> {
        root.current(now)?;
        let next = self.follow_root(list, root)?;
        next.current(now)?;
        Ok(next)
    }

    /// The same whatever the list's age, for a reader that asks for it later. Whether the root is current is then its to ask, too.
    ///
    /// # Errors
    /// Why not; the reader is as it was then.
    pub fn follow_by_root(&self, list: SignedKeyList, root: &TrustRoot) -> Result<Self, KeyListError> {
        self.follow_root(list, root)
    }

    /// Whether these keys are those of the trust root ([ROOT-2]): of its deployment, and come to the key in force through the
    /// newest key of the coordinator that the root names. A chain that a thief has led on from an older key does not.
    ///
    /// # Errors
    /// [`KeyListError::Deployment`], [`KeyListError::Root`].
    pub fn agrees(&self, root: &TrustRoot) -> Result<(), KeyListError> {
        if DeploymentId::new(root.get().deployment.as_str(), &self.founding) != self.deployment {
            return Err(KeyListError::Deployment);
        }
        let newest = root.get().coordinator.iter().max_by_key(|(id, _)| id.version);
        let Some((_, Key(named))) = newest else { return Ok(()) };
        let passes =
            *named == self.founding || self.chain.iter().any(|step| step.key(&self.founding) == named);
        if passes { Ok(()) } else { Err(KeyListError::Root) }
    }

    fn follow_root(&self, list: SignedKeyList, root: &TrustRoot) -> Result<Self, KeyListError> {
        let (id, key) = self.entitled(&list)?;
        if DeploymentId::new(root.get().deployment.as_str(), &self.founding) != self.deployment {
            return Err(KeyListError::Deployment);
        }
        if root.get().coordinator.get(id).is_none_or(|Key(named)| named != key) {
            return Err(KeyListError::Root);
        }
        let replaced = self.active().key_hash();
        let mut burnt = self.clone();
        if key.key_hash() != replaced {
            burnt.burnt.insert(replaced);
        }
        burnt.with(Step { list, root: Some(root.signed().clone()) })
    }

    /// What every list must be: of this deployment, later, and signed by the active key it names.
    fn entitled<'a>(&self, list: &'a SignedKeyList) -> Result<(&'a KeyId, &'a PublicKey), KeyListError> {
        let new = list.unverified();
        new.check()?;
        if new.deployment != Hash(*self.deployment) {
            return Err(KeyListError::Deployment);
        }
        // Not so far that nothing could follow.
        let known = self.seq();
        if new.seq <= known || new.seq - known > JUMP {
            return Err(KeyListError::Sequence { known, shown: new.seq });
        }
        list.is_signed()?;
        new.active()
    }

    /// The reader after a step that was approved.
    fn with(&self, step: Step) -> Result<Self, KeyListError> {
        let Self { deployment, founding, mut chain, mut burnt } = self.clone();
        let new = step.list.unverified();
        let gone = |known: &KeyList| {
            let left = |id: &KeyId, state| state == ListedState::Active && !new.coordinator.contains_key(id);
            let listed = known.coordinator.iter();
            let gone = listed.filter(|(id, key)| new.revoked.contains_key(*id) || left(id, key.state));
            gone.map(|(_, listed)| listed.key.0.key_hash()).collect::<Vec<_>>()
        };
        burnt.extend(self.newest().map(gone).unwrap_or_default());
        // No list names the founding key's revocation before one has listed it.
        let listed = |key: &PublicKey| new.coordinator.values().any(|listed| listed.key.0 == *key);
        if self.newest().is_none() && !listed(&founding) {
            burnt.insert(founding.key_hash());
        }
        if new.coordinator.values().any(|listed| burnt.contains(&listed.key.0.key_hash())) {
            return Err(KeyListError::Revoked);
        }
        // A list that changed no key is not needed any more to get here.
        let before = chain.iter().rev().nth(1).map_or(&founding, |step| step.key(&founding));
        if chain.last().is_some_and(|last| last.root.is_none() && last.key(&founding) == before) {
            chain.pop();
        }
        chain.push(step);
        let next = Self { deployment, founding, chain, burnt };
        if next.to_bytes()?.len() > MAX_CHAIN { Err(KeyListError::Full) } else { Ok(next) }
    }

    /// Takes back what a reader had stored ([KL-14]); `seen` is the number it had reached, stored with it.
    ///
    /// # Errors
    /// If it does not lead from the founding key to a list of at least that number, or that list has expired.
    pub fn load(bytes: &[u8], seen: u64, now: u64) -> Result<Self, KeyListError> {
        let known = Self::restore(bytes, seen)?;
        known.current(now)?;
        Ok(known)
    }

    /// The same for a reader that may have been away for longer than the list lives, and catches up before it acts. Whether
    /// deployment and founding key are the pinned ones is for the caller to ask ([`begins_as`](Self::begins_as)).
    ///
    /// # Errors
    /// If it does not lead from the founding key to a list of at least that number.
    pub fn restore(bytes: &[u8], seen: u64) -> Result<Self, KeyListError> {
        if bytes.len() > MAX_CHAIN {
            return Err(KeyListError::Full);
        }
        let Stored { v, deployment, founding: Key(founding), lists } =
            serde_json::from_slice(bytes).map_err(|_| KeyListError::Form)?;
        let deployment = DeploymentId::from_digest(deployment.0);
        let mut known = Self::founding(deployment, &founding);
        for Step { list, root } in lists {
            known = match root {
                Some(root) => known.follow_root(list, &TrustRoot::own(root)?)?,
                None => known.follow(list)?,
            };
        }
        if v != 1 || known.to_bytes()? != bytes {
            return Err(KeyListError::Form);
        }
        if known.seq() < seen {
            return Err(KeyListError::Sequence { known: seen, shown: known.seq() });
        }
        Ok(known)
    }

    /// What a reader stores.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyListError> {
        let deployment = Hash(*self.deployment);
        let founding = Key(self.founding.clone());
        let stored = Stored { v: 1, deployment, founding, lists: self.chain.clone() };
        serde_json::to_vec(&stored).map_err(|_| KeyListError::Form)
    }

    /// Whether both begin with one deployment and founding key.
    #[must_use]
    pub fn begins_as(&self, pinned: &Self) -> bool {
        (&self.deployment, &self.founding) == (&pinned.deployment, &pinned.founding)
    }

    /// Refuses a list whose time is over. The founding key alone has none.
    ///
    /// # Errors
    /// If it is.
    pub fn current(&self, now: u64) -> Result<(), KeyListError> {
        match self.newest() {
            Some(list) if now >= list.expires => Err(KeyListError::Expired { at: list.expires }),
            _ => Ok(()),
        }
    }

    /// The deployment.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    /// The key that deployment, pin and certificates are tied to.
    #[must_use]
    pub const fn founding_key(&self) -> &PublicKey {
        &self.founding
    }

    /// The newest list.
    #[must_use]
    pub fn newest(&self) -> Option<&KeyList> {
        self.signed().map(SignedKeyList::unverified)
    }

    /// The newest list with its signatures.
    #[must_use]
    pub fn signed(&self) -> Option<&SignedKeyList> {
        self.chain.last().map(|step| &step.list)
    }

    /// Its number; 0 without a list.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.newest().map_or(0, |list| list.seq)
    }

    /// By which a manifest names it; zero without a list.
    ///
    /// # Panics
    /// Never: a list that is known was written before.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.newest().map_or(Digest::ZERO, |list| list.hash().expect("it was hashed to be verified"))
    }

    /// The key that signs now.
    #[must_use]
    pub fn active(&self) -> &PublicKey {
        self.chain.last().map_or(&self.founding, |step| step.key(&self.founding))
    }

    /// The keys that may verify what was signed before: the active one first, then those that retire. Never a revoked one.
    pub fn verifying(&self) -> impl Iterator<Item = &PublicKey> {
        let retiring = self.newest().into_iter().flat_map(|list| list.coordinator.values());
        let retiring = retiring.filter(|listed| listed.state == ListedState::Retiring);
        std::iter::once(self.active()).chain(retiring.map(|listed| &listed.key.0))
    }

    /// Whether what this key signed before still counts.
    #[must_use]
    pub fn verifies(&self, key: &PublicKey) -> bool {
        self.verifying().any(|known| known == key)
    }

    /// The key of this name, if what it signed before still counts.
    #[must_use]
    pub fn verifying_key(&self, id: &KeyId) -> Option<&PublicKey> {
        let listed = self.newest()?.coordinator.get(id)?;
        (listed.state != ListedState::Pending).then_some(&listed.key.0)
    }

    /// Whether one of the keys that may verify old things signed this.
    ///
    /// # Errors
    /// If none did.
    pub fn verify(&self, message: &Digest, signature: &Signature) -> Result<(), KeyListError> {
        let signed = self.verifying().any(|key| key.verify(message, signature).is_ok());
        if signed { Ok(()) } else { Err(KeyListError::Signature) }
    }

    /// What a reader lacks that knows the list of this number: each step in order, the newest last.
    pub fn since(&self, seq: u64) -> impl Iterator<Item = &SignedKeyList> {
        self.chain.iter().map(|step| &step.list).filter(move |list| list.unverified().seq > seq)
    }

    /// Keys that are revoked, and since when.
    #[must_use]
    pub fn revoked(&self) -> Option<&BTreeMap<KeyId, u64>> {
        self.newest().map(|list| &list.revoked)
    }
}

/// How far a number or version may be above the one before. A thief of the key can take a million steps; he cannot take
/// the last number there is with one, so that no list could follow.
const JUMP: u64 = 1 << 20;
