//! Lists of a coordinator's keys, and every secret key in them.

use std::collections::BTreeMap;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::root::{Hash, Key};
use quorate_keys::{DeploymentId, KeyId, KeyList, ListedKey, ListedState, SignedKeyList};

/// Makes lists of a deployment. Version 1 is the founding key.
pub struct Lists {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Seed of the founding key.
    pub founding: [u8; 32],
    /// When lists are issued, in seconds since 1970.
    pub issued: u64,
    /// How long they live, in seconds.
    pub life: u64,
}

impl Lists {
    /// For the deployment of this founding key.
    #[must_use]
    pub fn new(deployment: DeploymentId, founding: &SigningKey, issued: u64) -> Self {
        Self { deployment, founding: *founding.to_bytes(), issued, life: 10_000 }
    }

    /// The coordinator's key of a version.
    #[must_use]
    pub fn key(&self, version: u32) -> SigningKey {
        let mut seed = self.founding;
        seed[0] ^= (version - 1) as u8;
        SigningKey::from_bytes(&seed)
    }

    /// Its name.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn id(version: u32) -> KeyId {
        format!("coordinator/identity@{version}").parse().expect("a name of a key")
    }

    /// The list of this number with one active key, the one before retiring unless it is revoked.
    #[must_use]
    pub fn list(&self, seq: u64, version: u32, revoked: &[u32]) -> KeyList {
        let listed = |version: u32, state| {
            (Self::id(version), ListedKey { key: Key(self.key(version).public().clone()), state })
        };
        let mut coordinator = BTreeMap::from([listed(version, ListedState::Active)]);
        if version > 1 && !revoked.contains(&(version - 1)) {
            coordinator.extend([listed(version - 1, ListedState::Retiring)]);
        }
        KeyList {
            v: 1,
            deployment: Hash(*self.deployment),
            seq,
            issued: self.issued,
            expires: self.issued + self.life,
            coordinator,
            audit: BTreeMap::new(),
            model: BTreeMap::new(),
            policy: Hash(Digest::ZERO),
            revoked: revoked.iter().map(|&version| (Self::id(version), self.issued)).collect(),
        }
    }

    /// Signed by the active key, and handed over by the key of the version before.
    ///
    /// # Panics
    /// If it is no list.
    #[must_use]
    pub fn sign(&self, list: KeyList) -> SignedKeyList {
        let version = list.active().expect("one key is active").0.version;
        let signed = SignedKeyList::sign(list, &self.key(version)).expect("a list");
        if version == 1 { signed } else { signed.hand_over(&self.key(version - 1)).expect("a list") }
    }

    /// The list of this number, in which this version is active.
    #[must_use]
    pub fn next(&self, seq: u64, version: u32) -> SignedKeyList {
        self.sign(self.list(seq, version, &[]))
    }
}
