//! Signed heads of the registry and the watch for split views (PROTOCOL.md §2, [REG-3]).
//!
//! A head is (size, root), signed as `H(head; deployment, u64le(0), u64le(size), root)`. A party keeps the newest head it has
//! seen; whatever it is shown next must lie on the same log:
//!
//! ```text
//!   size  older           same            newer
//!         a prefix of     equal to        an extension of     the head kept
//!         (keep)          (keep)          (replace)
//! ```
//!
//! # Security
//!
//! A coordinator that shows two parties different logs must keep them apart for ever: as soon as one of them sees a
//! head of the other's log, [`HeadWatch::observe`] fails and gives the two heads. Two signed heads of one size with
//! different roots prove the fork to anybody; heads of different sizes prove it once the coordinator
//! cannot show their consistency. Make the kept head durable: a party that forgets it can be led onto another log.

use quorate_crypto::hash::Digest;
use quorate_crypto::labels;
use quorate_crypto::merkle::{verify_consistency, verify_inclusion};
use quorate_crypto::sign::{PublicKey, Signature, SignatureError, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::deployment::signed;
use crate::registry::entry_leaf;

/// Size and root of the registry at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of entries.
    pub size: u64,
    /// Merkle root over their leaves.
    pub root: Digest,
}

impl Head {
    /// Whether `proof` shows `key` at `index` under this head ([REG-1]).
    #[must_use]
    pub fn contains(&self, deployment: &Digest, index: u32, key: &PublicKey, proof: &[Digest]) -> bool {
        let leaf = entry_leaf(deployment, index, key);
        verify_inclusion(&self.root, self.size, u64::from(index), &leaf, proof)
    }

    /// Whether `proof` shows that this head extends `older`, or equals it.
    #[must_use]
    pub fn extends(&self, older: &Self, proof: &[Digest]) -> bool {
        verify_consistency(older.size, &older.root, self.size, &self.root, proof)
    }

    /// What a signature over this head covers ([REG-3]).
    fn digest(&self, deployment: &Digest) -> Digest {
        signed(labels::HEAD, deployment, 0, &[&self.size.to_le_bytes(), self.root.as_bytes()])
    }
}

/// A head with the coordinator's signature, as it travels; not yet verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// The head.
    pub head: Head,
    /// The coordinator's signature.
    pub signature: Signature,
}

impl SignedHead {
    /// Signs a head ([REG-3]).
    #[must_use]
    pub fn sign(head: Head, deployment: &Digest, coordinator: &SigningKey) -> Self {
        Self { head, signature: coordinator.sign(&head.digest(deployment)) }
    }

    /// Verifies the signature ([REG-3]).
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn verify(&self, deployment: &Digest, coordinator: &PublicKey) -> Result<KnownHead, SignatureError> {
        coordinator.verify(&self.head.digest(deployment), &self.signature)?;
        Ok(KnownHead { head: self.head, signature: Some(self.signature) })
    }
}

/// A head known to come from the coordinator: a verified [`SignedHead`], or a head out of another verified message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownHead {
    head: Head,
    signature: Option<Signature>,
}

impl KnownHead {
    /// The head.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Its own signature, unless it came inside another signed message.
    #[must_use]
    pub fn signature(&self) -> Option<Signature> {
        self.signature
    }
}

/// A head that stood in a message whose signature the caller has verified (a manifest, an epoch record).
impl From<Head> for KnownHead {
    fn from(head: Head) -> Self {
        Self { head, signature: None }
    }
}

/// Two heads that were not shown to lie on one log: the evidence of [REG-3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitView {
    /// The head the party had kept.
    pub kept: KnownHead,
    /// The head it was shown.
    pub shown: KnownHead,
}

/// Why a head is refused ([REG-3]).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeadError {
    /// One size, two roots: a fork, whatever proof there might be.
    #[error("split view: two roots for {} registry entries", .0.kept.head.size)]
    Fork(Box<SplitView>),
    /// No valid proof that the longer log extends the shorter one.
    #[error("split view: heads of {} and {} entries not shown consistent", .0.kept.head.size, .0.shown.head.size)]
    Unproven(Box<SplitView>),
}

impl HeadError {
    /// The two heads.
    #[must_use]
    pub fn evidence(&self) -> &SplitView {
        match self {
            Self::Fork(view) | Self::Unproven(view) => view,
        }
    }
}

/// How a head relates to the one kept before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It is the first; kept.
    First,
    /// It is a prefix of the kept one.
    Older,
    /// It is the kept one.
    Same,
    /// It extends the kept one, and is kept instead.
    Newer,
}

/// Keeps the last head seen and holds every other one against it ([REG-3]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadWatch {
    kept: Option<KnownHead>,
}

impl HeadWatch {
    /// A watch that takes the first head it sees.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A watch that starts from a head from out of band, or from the one it had stored.
    #[must_use]
    pub fn starting_at(head: KnownHead) -> Self {
        Self { kept: Some(head) }
    }

    /// The head kept.
    #[must_use]
    pub fn kept(&self) -> Option<&KnownHead> {
        self.kept.as_ref()
    }

    /// Holds `shown` against the head kept; `proof` shows that the longer of the two extends the shorter ([REG-3]).
    ///
    /// After an error the watch is unchanged.
    ///
    /// # Errors
    /// [`HeadError`] with the two heads as evidence.
    pub fn observe(&mut self, shown: impl Into<KnownHead>, proof: &[Digest]) -> Result<Observed, HeadError> {
        let shown = shown.into();
        let Some(kept) = self.kept else {
            self.kept = Some(shown);
            return Ok(Observed::First);
        };
        let evidence = || Box::new(SplitView { kept, shown });
        if shown.head.size == kept.head.size {
            if shown.head.root != kept.head.root {
                return Err(HeadError::Fork(evidence()));
            }
            self.kept = Some(if kept.signature.is_some() { kept } else { shown });
            return Ok(Observed::Same);
        }
        let newer = shown.head.size > kept.head.size;
        let (longer, shorter) = if newer { (&shown, &kept) } else { (&kept, &shown) };
        if !longer.head.extends(&shorter.head, proof) {
            return Err(HeadError::Unproven(evidence()));
        }
        if newer {
            self.kept = Some(shown);
        }
        Ok(if newer { Observed::Newer } else { Observed::Older })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::DeploymentId;
    use crate::registry::Registry;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    /// A registry of `size` entries; from entry `fork` on the keys differ.
    fn registry(size: u8, fork: u8) -> Registry {
        let mut registry = Registry::new(DeploymentId::new("test", key(0).public()));
        for i in 0..size {
            let seed = if i < fork { 1 + i } else { 101 + i };
            registry.append(key(seed).public().clone()).unwrap();
        }
        registry
    }

    fn known(registry: &Registry, size: u64) -> KnownHead {
        SignedHead::sign(registry.head_at(size).unwrap(), registry.deployment(), &key(0))
            .verify(registry.deployment(), key(0).public())
            .unwrap()
    }

    #[test]
    fn reg_3_a_signature_covers_deployment_size_and_root() {
        let registry = registry(5, 5);
        let good = registry.sign_head(&key(0));
        let deployment = registry.deployment();
        assert_eq!(good.verify(deployment, key(0).public()).unwrap().head(), registry.head());
        let mut larger = good;
        larger.head.size += 1;
        let mut other_root = good;
        other_root.head.root = Digest::ZERO;
        let elsewhere = DeploymentId::new("elsewhere", key(0).public());
        for (head, deployment, signer) in [
            (larger, deployment, 0),
            (other_root, deployment, 0),
            (good, &elsewhere, 0),
            (good, deployment, 1),
        ] {
            let result = head.verify(deployment, key(signer).public());
            assert_eq!(result, Err(SignatureError::Equation));
        }
    }

    #[test]
    fn reg_3_heads_of_one_log_are_consistent_in_both_directions() {
        let registry = registry(24, 24);
        for (kept, shown) in (0..=24).flat_map(|a| (0..=24).map(move |b| (a, b))) {
            let mut watch = HeadWatch::starting_at(known(&registry, kept));
            let proof = registry.consistency(kept.min(shown), kept.max(shown)).unwrap();
            let expected = match shown.cmp(&kept) {
                std::cmp::Ordering::Less => Observed::Older,
                std::cmp::Ordering::Equal => Observed::Same,
                std::cmp::Ordering::Greater => Observed::Newer,
            };
            assert_eq!(watch.observe(known(&registry, shown), &proof), Ok(expected));
            assert_eq!(watch.kept(), Some(&known(&registry, kept.max(shown))));
        }
        let mut watch = HeadWatch::new();
        assert_eq!(watch.observe(registry.head(), &[]), Ok(Observed::First));
        // The same head with a signature makes better evidence and takes the place of the plain one.
        assert_eq!(watch.observe(known(&registry, 24), &[]), Ok(Observed::Same));
        assert_eq!(watch.kept(), Some(&known(&registry, 24)));
        assert_eq!(watch.observe(registry.head(), &[]), Ok(Observed::Same));
        assert_eq!(watch.kept(), Some(&known(&registry, 24)));
    }

    /// RT-08: the victim is shown a log with another key in one place, everybody else the honest one.
    #[test]
    fn rt_08_a_split_view_is_caught() {
        let (honest, forked) = (registry(20, 20), registry(20, 7));
        for (kept, shown) in (0..=20).flat_map(|a| (0..=20).map(move |b| (a, b))) {
            let kept_head = known(&honest, kept);
            let shown_head = known(&forked, shown);
            let mut watch = HeadWatch::starting_at(kept_head);
            // The best proofs a coordinator with two logs has.
            for log in [&honest, &forked] {
                let proof = log.consistency(kept.min(shown), kept.max(shown)).unwrap();
                let result = watch.observe(shown_head, &proof);
                if kept <= 7 && shown <= 7 {
                    assert!(result.is_ok());
                    watch = HeadWatch::starting_at(kept_head);
                } else if kept > 7 && shown > 7 {
                    let error = result.unwrap_err();
                    assert_eq!(matches!(error, HeadError::Fork(_)), kept == shown);
                    assert_eq!(*error.evidence(), SplitView { kept: kept_head, shown: shown_head });
                    assert_eq!(watch.kept(), Some(&kept_head));
                }
            }
        }
    }

    #[test]
    fn rt_08_a_substituted_key_is_not_under_the_head() {
        let (honest, forked) = (registry(20, 20), registry(20, 7));
        let deployment = honest.deployment();
        let victim = honest.key(9).unwrap();
        let substitute = forked.key(9).unwrap();
        let proof = honest.inclusion(9, 20).unwrap();
        assert!(honest.head().contains(deployment, 9, victim, &proof));
        for path in [&proof, &forked.inclusion(9, 20).unwrap()] {
            assert!(!honest.head().contains(deployment, 9, substitute, path));
        }
        assert!(!honest.head().contains(deployment, 8, victim, &proof));
    }

    #[test]
    fn reg_3_a_missing_or_mutated_proof_is_refused() {
        let registry = registry(13, 13);
        let mut watch = HeadWatch::starting_at(known(&registry, 6));
        let proof = registry.consistency(6, 13).unwrap();
        assert!(watch.observe(registry.head(), &[]).is_err());
        for i in 0..proof.len() {
            let mut bad = proof.clone();
            bad[i] = Digest::ZERO;
            assert!(matches!(watch.observe(registry.head(), &bad), Err(HeadError::Unproven(_))));
        }
        assert_eq!(watch.kept(), Some(&known(&registry, 6)));
        assert_eq!(watch.observe(registry.head(), &proof), Ok(Observed::Newer));
    }
}
