//! Which deployment a signature belongs to, and the digest that every signature covers (PROTOCOL.md §2, [SIG-1]).

use std::ops::Deref;

use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels::{self, Label};
use quorate_crypto::sign::PublicKey;
use serde::{Deserialize, Serialize};

/// `H(deployment; name, coordinator key)`: two deployments never share a signature, not even under one name.
///
/// Dereferences to the [`Digest`] that enters hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeploymentId(Digest);

impl DeploymentId {
    /// The id of the deployment of this name under this coordinator key.
    #[must_use]
    pub fn new(name: &str, coordinator: &PublicKey) -> Self {
        Self(digest(labels::DEPLOYMENT, &[name.as_bytes(), coordinator.as_bytes()]))
    }

    /// One that was stored.
    pub(crate) const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }
}

impl DeploymentId {
    /// The id as it was written down by whoever made the deployment.
    #[must_use]
    pub const fn known(id: Digest) -> Self {
        Self(id)
    }
}

impl Deref for DeploymentId {
    type Target = Digest;

    fn deref(&self) -> &Digest {
        &self.0
    }
}

/// What a signature covers: `H(label; deployment, u64le(round), fields…)`, round 0 outside rounds ([SIG-1]).
#[must_use]
pub fn signed(label: Label, deployment: &Digest, round: u64, fields: &[&[u8]]) -> Digest {
    let mut hasher = FieldHasher::new(label);
    hasher.field(deployment.as_bytes()).field(&round.to_le_bytes());
    for field in fields {
        hasher.field(field);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::sign::SigningKey;

    #[test]
    fn sig_1_every_part_is_covered() {
        let key = |seed| SigningKey::from_bytes(&[seed; 32]).public().clone();
        let here = DeploymentId::new("here", &key(1));
        assert_ne!(here, DeploymentId::new("there", &key(1)));
        assert_ne!(here, DeploymentId::new("here", &key(2)));

        let base = signed(labels::LOCK_SIGN, &here, 7, &[b"a", b"b"]);
        let seven = 7_u64.to_le_bytes();
        assert_eq!(base, digest(labels::LOCK_SIGN, &[here.as_bytes(), &seven, b"a", b"b"]));
        for other in [
            signed(labels::ANSWER_SIGN, &here, 7, &[b"a", b"b"]),
            signed(labels::LOCK_SIGN, &DeploymentId::new("there", &key(1)), 7, &[b"a", b"b"]),
            signed(labels::LOCK_SIGN, &here, 8, &[b"a", b"b"]),
            signed(labels::LOCK_SIGN, &here, 7, &[b"ab"]),
            signed(labels::LOCK_SIGN, &here, 7, &[b"a", b"b", b""]),
        ] {
            assert_ne!(base, other);
        }
    }
}
