//! The deployment's trust root, as this device holds it ([ROOT-1], [ROOT-2]).
//!
//! ```text
//! join: fingerprint from the operator, or none ─▶ participant.toml
//! connected, polling: the root after the one held ─▶ one step ─▶ file `root`, durable ─▶ judges the coordinator's keys
//! ```
//!
//! # Security
//!
//! The first root is known by its fingerprint, where the owner has given one: until it has come nothing begins. Without one
//! it is taken from the coordinator that the pin stands for, once; that holds against who has only stolen the coordinator's
//! key, and not against who runs the coordinator at that moment. Every later one is signed by a threshold of the root before.

use quorate_crypto::hash::Digest;
use quorate_keys::DeploymentId;
use quorate_keys::audit::Listed;
use quorate_keys::root::{RootError, SignedRoot, TrustRoot};
use quorate_protocol::announce::Anchor;
use quorate_transport::TransportError;

use crate::client::Client;
use crate::config::Settings;
use crate::error::ClientError;
use crate::vault::Vault;

/// What is known of roots.
pub(crate) struct Roots {
    pin: Option<Digest>,
    known: Option<TrustRoot>,
    /// A request is under way.
    pub(crate) asking: bool,
}

impl Roots {
    /// As stored: verified again by its own threshold ([KL-14]); its age is judged with every manifest.
    pub(crate) fn load(vault: &Vault, settings: &Settings) -> Result<Self, ClientError> {
        let pin = settings.root;
        let known = match vault.root()? {
            Some(bytes) => {
                let root = TrustRoot::load_aged(&bytes).map_err(ClientError::Root)?;
                // One that was pinned later than it came has to be the pinned one, or to follow from it.
                if let Some(pin) = pin.filter(|_| root.get().version == 1)
                    && root.fingerprint().map_err(ClientError::Root)? != pin
                {
                    return Err(ClientError::Root(RootError::Fingerprint));
                }
                Some(root)
            }
            None => None,
        };
        Ok(Self { pin, known, asking: false })
    }

    /// The root that is held.
    pub(crate) const fn known(&self) -> Option<&TrustRoot> {
        self.known.as_ref()
    }

    /// By what the coordinator's keys are judged.
    pub(crate) fn anchor(&self) -> Anchor {
        match (&self.known, self.pin) {
            (Some(root), _) => Anchor::Root(Box::new(root.clone())),
            (None, Some(_)) => Anchor::Awaited,
            (None, None) => Anchor::None,
        }
    }

    /// The keys of the audit log that the root lists; none without a root, and `None` while a pinned one is awaited.
    pub(crate) fn listed(&self) -> Option<Listed> {
        match (&self.known, self.pin) {
            (Some(root), _) => Some(root.audit_keys()),
            (None, Some(_)) => None,
            (None, None) => Some(Listed::new()),
        }
    }

    /// Version of the root that comes next.
    fn next(&self) -> u64 {
        self.known.as_ref().map_or(0, |root| root.get().version).saturating_add(1)
    }

    /// The root that these bytes give, if they are that of the next version.
    fn step(
        &self,
        bytes: &[u8],
        deployment: &DeploymentId,
        settings: &Settings,
    ) -> Result<TrustRoot, RootError> {
        let signed = SignedRoot::parse(bytes)?;
        let root = match &self.known {
            Some(known) => known.step(signed)?,
            None => {
                let version = signed.unverified().version;
                if version != 1 {
                    return Err(RootError::Step { from: 0, to: version });
                }
                let fingerprint = self.pin.map_or_else(|| signed.fingerprint(), Ok)?;
                TrustRoot::pin(signed, &fingerprint)?
            }
        };
        let named = DeploymentId::new(root.get().deployment.as_str(), &settings.coordinator);
        if named == *deployment { Ok(root) } else { Err(RootError::Deployment) }
    }
}

impl Client {
    /// Asks for the root after the one that is held ([ROOT-1]).
    pub(crate) fn ask_for_root(&mut self) {
        if let Some(up) = self.up.as_ref().filter(|_| !self.roots.asking) {
            self.link.root(up, self.roots.next());
            self.roots.asking = true;
        }
    }

    /// A root came, or none. One that does not follow changes nothing; a good one is durable before anything is judged by it.
    pub(crate) fn root_came(
        &mut self,
        outcome: Result<Option<Vec<u8>>, TransportError>,
    ) -> Result<(), ClientError> {
        self.roots.asking = false;
        let Ok(Some(bytes)) = outcome else { return Ok(()) };
        let deployment = self.settings.deployment();
        let Ok(root) = self.roots.step(&bytes, &deployment, &self.settings) else { return Ok(()) };
        self.home.vault()?.keep_root(&bytes)?;
        self.roots.known = Some(root);
        self.device.rest_on(&self.roots.anchor())?;
        // Whoever was away takes every step ([KL-15]).
        self.ask_for_root();
        Ok(())
    }

    /// Version of the trust root that is held; 0 if none is.
    #[must_use]
    pub fn known_root(&self) -> u64 {
        self.roots.known.as_ref().map_or(0, |root| root.get().version)
    }
}

#[cfg(test)]
mod tests;
