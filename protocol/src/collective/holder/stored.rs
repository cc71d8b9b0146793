//! What survives a restart of a holder: its records, and the share of the key in force under the driver's seal.
//!
//! # Security
//!
//! The bytes of a share are in one buffer that wipes itself; what they are sealed with is the driver's business. Counts
//! of openings are stored with the share and are in the records: whichever is higher counts ([OPEN-5]).

use quorate_crypto::collective::{CollectiveKey, KeyShare};
use quorate_crypto::sign::PublicKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Holder, HolderRecord, KeyInForce};
use crate::collective::{HOLDERS, KeyRecord, OpeningLedger};
use crate::wire::{self, bytes, list};

/// Room for two elements, the keys of 128 pairs, a record and 128 identities.
const ROOM: usize = 320 << 10;

/// Why a stored share was not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StoredShareError {
    /// Not what a holder stores.
    #[error("the stored share of the collective key does not have the form of one")]
    Form,
    /// The records say that it was to be removed.
    #[error("the stored share is of a key whose epoch is over")]
    Forgotten,
    /// Its parts do not belong together.
    #[error("the stored share is not one of the collective key it is stored with")]
    Mismatch,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    record: KeyRecord,
    #[serde(with = "bytes")]
    b: Vec<u8>,
    #[serde(with = "bytes")]
    share: Vec<u8>,
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    identities: Vec<Option<PublicKey>>,
    opened: u32,
    blamed: u16,
}

impl Drop for Stored {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.share);
    }
}

impl KeyInForce {
    /// What to seal and store when [`HolderRecord::InForce`] is made durable.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let stored = Stored {
            record: self.record.clone(),
            b: self.key.encoded().to_vec(),
            share: std::mem::take(&mut *self.share.to_bytes()),
            identities: self.identities.clone(),
            opened: self.ledger.opened(),
            blamed: self.ledger.blamed(),
        };
        let mut out = Zeroizing::new(Vec::with_capacity(ROOM));
        wire::append(&mut out, &stored);
        debug_assert!(out.len() <= ROOM, "a buffer that grew has left a copy behind");
        out
    }

    /// Takes up what was stored, with what the records say was opened since.
    ///
    /// # Errors
    /// [`StoredShareError`].
    pub fn load(stored: &[u8], records: &[HolderRecord]) -> Result<Self, StoredShareError> {
        let stored: Stored = wire::decode_body(stored).map_err(|_| StoredShareError::Form)?;
        let committee = stored.record.made_by.check().map_err(|_| StoredShareError::Form)?;
        let key = CollectiveKey::parse(&stored.record.key_session, &stored.b);
        let share = KeyShare::parse(&committee, &stored.share);
        let (key, share) = key.ok().zip(share.ok()).ok_or(StoredShareError::Form)?;
        if records.contains(&HolderRecord::Forgotten { record: stored.record.hash() }) {
            return Err(StoredShareError::Forgotten);
        }
        let named = stored.identities.len() == stored.record.made_by.holders.len();
        if *key.id() != stored.record.key || !named {
            return Err(StoredShareError::Mismatch);
        }
        let mut ledger = OpeningLedger::restore(&stored.record, records);
        ledger.at_least(stored.opened, stored.blamed);
        let (record, identities) = (stored.record.clone(), stored.identities.clone());
        Ok(Self { record, key, share, committee, identities, ledger })
    }
}

impl Holder {
    /// The records a holder comes back from as it is now: what a snapshot keeps of all earlier ones.
    #[must_use]
    pub fn records(&self) -> Vec<HolderRecord> {
        let mut records = Vec::new();
        if self.last > 0 {
            records.push(HolderRecord::Session(self.last));
        }
        records.extend(self.last_lock.map(HolderRecord::Lock));
        if let Some(known) = self.in_force() {
            let (record, generation) = (known.record.hash(), known.record.made_by.generation());
            records.push(HolderRecord::InForce { record, generation, opened: known.ledger.opened() });
            records.push(HolderRecord::Blamed { record, count: known.ledger.blamed() });
            records.extend(known.ledger.last_openings().map(HolderRecord::Opened));
        }
        records
    }
}
