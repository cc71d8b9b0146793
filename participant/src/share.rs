//! The stored share of a collective key: sealed under a key that follows from the device's identity key, so that it is as
//! well kept as that one and moves with the device.

use getrandom::SysRng;
use quorate_crypto::kdf::derive;
use quorate_crypto::labels;
use quorate_crypto::sign::SigningKey;
use quorate_crypto::storage::StorageKey;
use quorate_protocol::collective::{HolderRecord, StoredShareError};
use quorate_protocol::member::Member;
use quorate_protocol::record::MemberRecord;
use rand_core::UnwrapErr;

use crate::store::{Store, StoreError};

/// Seals and opens shares.
pub(crate) struct ShareSeal(StorageKey);

impl ShareSeal {
    /// The seal of a device with this identity key.
    pub(crate) fn of(identity: &SigningKey) -> Self {
        Self(StorageKey::from_bytes(&derive(labels::STORED_SHARE, identity.to_bytes().as_slice(), &[])))
    }

    /// What has to be on disk before a record of the member is.
    pub(crate) fn before(
        &self,
        record: &MemberRecord,
        member: &Member,
        store: &Store,
    ) -> Result<(), StoreError> {
        match record {
            MemberRecord::Holder(HolderRecord::InForce { record, .. }) => {
                let Some(share) = member.share_to_store(record) else { return Ok(()) };
                store.keep_share(&self.0.seal(labels::STORED_SHARE, &share, &mut UnwrapErr(SysRng)))
            }
            MemberRecord::Holder(HolderRecord::Forgotten { .. }) => store.forget_share(),
            _ => Ok(()),
        }
    }

    /// Gives a member that was just restored its share back.
    pub(crate) fn restore(&self, member: &mut Member, store: &Store) -> Result<(), StoreError> {
        let Some(sealed) = store.share()? else { return Ok(()) };
        let share = self.0.open(labels::STORED_SHARE, &sealed).map_err(|_| {
            StoreError::Share("it does not open under this device's identity key, or was changed")
        })?;
        match member.take_share(&share) {
            Ok(()) => Ok(()),
            Err(StoredShareError::Forgotten) => store.forget_share(),
            Err(StoredShareError::Form | StoredShareError::Mismatch) => {
                Err(StoreError::Share("it does not have the form of one"))
            }
        }
    }
}
