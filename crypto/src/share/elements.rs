//! Lists of field elements as they travel outside shares: check values ([FIELD-1], [CHK-1]).

use super::pack::{pack_into, packed_bytes, unpack};
use super::{ShareError, Sharing};

impl Sharing {
    /// Bit-packs elements ([FIELD-1]).
    #[must_use]
    pub fn encode_elements(&self, elements: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; packed_bytes(&self.layout.field, elements.len())];
        pack_into(&self.layout.field, elements, &mut bytes);
        bytes
    }

    /// Bytes that the K check values of a member take.
    #[must_use]
    pub fn check_bytes(&self) -> usize {
        packed_bytes(&self.layout.field, self.layout.checks)
    }

    /// Unpacks exactly `count` elements; another length, an element ≥ P or a set padding bit is refused.
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn parse_elements(&self, bytes: &[u8], count: usize) -> Result<Vec<u64>, ShareError> {
        unpack(&self.layout.field, bytes, count).map(|elements| elements.to_vec())
    }
}
