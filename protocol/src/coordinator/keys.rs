//! Lists of keys, the coordinator's side ([KEY-1], [KEY-2], [KEY-5]); its twin is `participant/keys.rs`.
//!
//! ```text
//! publish_keys(list)                 the same active key: signs on as before
//! publish_keys(list, Some(key))      another one: the epoch's record is signed anew, then everything by the new key
//! ```
//!
//! Only between rounds and ceremonies: all of a round is signed by the key of its manifest ([KEY-4]). Where a key has to
//! go at once, the driver cancels what is under way first.

use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::{KeyId, KeyListError, KnownKeys, SignedKeyList};
use thiserror::Error;

use super::{Coordinator, CoordinatorEvent, refused};
use crate::epoch::EpochEvidence;
use crate::error::{ApiMisuse, Fault, FaultKind};
use crate::record::KeysRecord;
use crate::snapshot::StoredKeys;
use crate::wire::{self, Keys};

/// Why a list was not published, or a stored one not taken up.
#[derive(Debug, Error)]
pub enum KeysError {
    /// Not the time for it.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// The key at hand is not the one that signs from this list on.
    #[error("the identity key at hand is not {active}, the active one of list {seq}")]
    NotActive {
        /// The list.
        seq: u64,
        /// Whose key is asked for.
        active: Box<KeyId>,
    },
    /// The list does not follow from the one in force.
    #[error("the list of keys: {0}")]
    List(#[from] KeyListError),
}

impl Coordinator {
    /// Takes a list into force, durably, and with it the successor's key where it names another active one. `wall` is
    /// the time in seconds since 1970.
    ///
    /// # Errors
    /// [`KeysError`]; nothing has changed then.
    pub fn publish_keys(
        &mut self,
        list: SignedKeyList,
        successor: Option<SigningKey>,
        wall: u64,
    ) -> Result<(), KeysError> {
        self.ensure_idle()?;
        self.ensure_no_session()?;
        let known = self.keys.step(list, wall)?;
        let signer = successor.as_ref().unwrap_or(&self.identity).public();
        signs(&known, signer)?;
        if let Some(successor) = successor {
            self.identity = successor;
        }
        let (seq, list) = (known.seq(), known.digest());
        self.keys = known;
        // A round that is over is told of under the key it had.
        self.resign();
        let _permit = self.out.persist(KeysRecord { seq, list });
        self.out.event(CoordinatorEvent::Keys { seq });
        Ok(())
    }

    /// The keys in force.
    #[must_use]
    pub const fn keys(&self) -> &KnownKeys {
        &self.keys
    }

    /// The newest list as a frame, for parties that are connected.
    #[must_use]
    pub fn keys_frame(&self) -> Option<Vec<u8>> {
        self.keys.signed().and_then(frame)
    }

    /// Takes up the keys that were stored ([KEY-5]), verified again from the founding key on.
    pub(super) fn resume_keys(&mut self, stored: Option<&StoredKeys>, mark: u64) -> Result<(), KeysError> {
        let loaded = stored.map(|stored| stored.load_own(self.registry.deployment())).transpose()?;
        let known = loaded.flatten().unwrap_or_else(|| self.keys.clone());
        if known.seq() < mark {
            return Err(KeyListError::Sequence { known: mark, shown: known.seq() }.into());
        }
        signs(&known, self.identity.public())?;
        self.keys = known;
        Ok(())
    }

    /// Takes the coordinator's own stored epoch into force: its record is signed anew by the key in force, whichever key
    /// it was begun under ([KEY-4]).
    pub fn resume_epoch(&mut self, evidence: EpochEvidence) -> Result<(), FaultKind> {
        if self.keys.seq() == 0 {
            return self.install_epoch(evidence);
        }
        let signature = self.sign_epoch(&evidence.record);
        self.install_epoch(EpochEvidence { signature, ..evidence })
    }

    /// Signs the record of the epoch in force with the key in force.
    fn resign(&mut self) {
        if let Some((_, evidence)) = &mut self.epoch {
            evidence.signature = self.identity.sign(&evidence.record.signed_digest());
        }
    }

    /// Tells a party the lists it lacks, in order ([KEY-5]).
    pub(super) fn tell_keys(&mut self, to: u32, known: u64) -> Result<(), Fault> {
        if known > self.keys.seq() {
            // It knows a list that this coordinator has not made, or has forgotten.
            return Err(refused(FaultKind::OtherKeys));
        }
        for list in self.keys.since(known).filter_map(frame) {
            self.out.send_to(vec![to], list.into());
        }
        Ok(())
    }
}

/// Whether this key is the active one.
fn signs(known: &KnownKeys, key: &PublicKey) -> Result<(), KeysError> {
    match known.newest() {
        Some(list) if known.active() != key => {
            let (active, _) = list.active()?;
            Err(KeysError::NotActive { seq: list.seq, active: Box::new(active.clone()) })
        }
        _ => Ok(()),
    }
}

/// A list as it travels.
fn frame(list: &SignedKeyList) -> Option<Vec<u8>> {
    list.to_bytes().ok().map(|list| wire::encode(0, &Keys { list }))
}
