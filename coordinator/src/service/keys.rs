//! Keys of the service and of parties: lists in force, who signs, who enrols and what newcomers are told.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::{PartyId, SignedHead, SignedKeyList};
use quorate_protocol::coordinator::{KeysError, RestoreError};
use quorate_protocol::id::Time;

use super::{Call, Service, ServiceError};
use crate::ledger::{Ledger, LedgerError};

/// What a newcomer is told beside its index and the deployment's name.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The founding key, which the pin stands for.
    pub founding: PublicKey,
    /// The lists that changed the coordinator's key, and the newest, in order.
    pub keys: Vec<Vec<u8>>,
    /// The registry's head, signed by the key in force.
    pub head: SignedHead,
    /// The newcomer's inclusion under it.
    pub proof: Vec<Digest>,
}

/// Whose keys a stored coordinator goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// What deployment, pin and certificates are tied to.
    pub founding: PublicKey,
    /// What signs now.
    pub active: PublicKey,
}

impl Service {
    /// The founding key of the coordinator in this folder and the key that signs now, as far as lists of keys were
    /// stored; only looked up: nothing is verified, and the folder may be in use.
    ///
    /// # Errors
    /// [`LedgerError`] if there is no coordinator, or its ledger does not read.
    pub fn signer(folder: &Path) -> Result<Option<Signer>, LedgerError> {
        let known = Ledger::keys(folder)?;
        Ok(known
            .map(|known| Signer { founding: known.founding_key().clone(), active: known.active().clone() }))
    }

    /// Takes a list of keys into force between rounds, durably, and with it the successor's key where the list names
    /// another active one ([KEY-1], [KEY-2]). From then on everything is signed by that key, and
    /// [`Service::open`] takes it alone. Parties are told by [`quorate_protocol::coordinator::CoordinatorEvent::Keys`] and whenever they poll.
    ///
    /// Make the successor's key durable before this: a coordinator that has lost its key cannot go on.
    ///
    /// # Errors
    /// [`ServiceError::Misuse`] during a round or ceremony; [`ServiceError::Keys`] if the list does not follow, has
    /// expired, or names another active key. Nothing has changed then.
    pub fn publish_keys(
        &mut self,
        list: SignedKeyList,
        identity: Option<SigningKey>,
    ) -> Result<(), ServiceError> {
        self.run(Call::at(Time(0)), |running| Ok(running.coordinator.publish_keys(list, identity, wall())?))
    }

    /// The list of keys in force; `None` if there is none, or the service has stopped.
    #[must_use]
    pub fn keys(&self) -> Option<&SignedKeyList> {
        self.coordinator()?.keys().signed()
    }

    /// Appends a key to the registry, durably, at any time; tell the party its place only after this ([REG-2]). Whether
    /// the key may enrol is the caller's to know.
    ///
    /// # Errors
    /// [`ServiceError::Registry`] if the registry cannot take the key.
    pub fn enrol(&mut self, key: PublicKey) -> Result<PartyId, ServiceError> {
        self.run(Call::at(Time(0)), |running| Ok(running.coordinator.enrol(key)?))
    }

    /// What a newcomer is told ([REG-3], [KEY-1]).
    #[must_use]
    pub fn welcome(&self, index: u32) -> Option<Greeting> {
        let coordinator = &self.running.as_ref()?.coordinator;
        let (head, known) = (coordinator.sign_head(), coordinator.keys());
        let keys = known.since(0).map(SignedKeyList::to_bytes).collect::<Result<_, _>>().ok()?;
        let proof = coordinator.registry().inclusion(index, head.head.size)?;
        Some(Greeting { founding: known.founding_key().clone(), keys, head, proof })
    }
}

impl From<KeysError> for ServiceError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Misuse(misuse) => Self::Misuse(misuse),
            error => Self::Keys(error),
        }
    }
}

impl From<RestoreError> for ServiceError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Form(error) => Self::Ledger(LedgerError::Form(error)),
            RestoreError::Keys(error) => Self::Keys(error),
        }
    }
}

/// Seconds since 1970: the age of lists of keys is judged by it, and nothing else here.
fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
