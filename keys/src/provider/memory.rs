//! Wrapping keys in this process: for tests and the simulator.
//!
//! ```text
//! MemoryProvider::new ── rotate(name) ──▶ wrapping/name@1 ── rotate ──▶ @2 …      gone when it is dropped
//! ```
//!
//! # Security
//!
//! What is wrapped here opens only as long as the process runs. Nothing that is to be read again may depend on it.

use quorate_crypto::envelope::{DataKey, WrapKey};
use rand_core::CryptoRng;

use super::ring::{Ring, Standing};
use super::{Access, Context, Description, KeyProvider, ProviderError, Wrapped, version};
use crate::class::{KeyName, KeyRef, purpose::Wrapping};

/// Wrapping keys in this process.
pub struct MemoryProvider {
    description: Description,
    ring: Ring,
}

impl MemoryProvider {
    /// A provider without keys.
    #[must_use]
    pub fn new(description: Description) -> Self {
        Self { description, ring: Ring::default() }
    }

    /// A key of it, to be split among custodians.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn secret(&self, key: &KeyRef<Wrapping>) -> Result<&WrapKey, ProviderError> {
        self.ring.key(&self.description, key.id(), Access::Normal)
    }

    /// Brings back a key that custodians have recovered.
    ///
    /// # Errors
    /// If it is there.
    pub fn restore(&mut self, key: &KeyRef<Wrapping>, secret: WrapKey) -> Result<(), ProviderError> {
        self.ring.restore(key.id(), secret)
    }
}

impl KeyProvider for MemoryProvider {
    fn describe(&self) -> &Description {
        &self.description
    }

    fn active(&self, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError> {
        self.ring.active(&self.description, key)
    }

    fn wrap(
        &self,
        key: &KeyName,
        data: &DataKey,
        context: &Context,
        rng: &mut dyn CryptoRng,
    ) -> Result<Wrapped, ProviderError> {
        self.ring.wrap(&self.description, key, data, (context, rng))
    }

    fn unwrap(&self, wrapped: &Wrapped, context: &Context, access: Access) -> Result<DataKey, ProviderError> {
        self.ring.unwrap(&self.description, wrapped, context, access)
    }

    fn rotate(&mut self, key: &KeyName, rng: &mut dyn CryptoRng) -> Result<KeyRef<Wrapping>, ProviderError> {
        let number = self.ring.next(key)?;
        self.ring.add(key, number, WrapKey::generate(rng));
        version(key, number)
    }

    fn mark(
        &mut self,
        key: &KeyRef<Wrapping>,
        standing: Standing,
        _: &mut dyn CryptoRng,
    ) -> Result<(), ProviderError> {
        self.ring.mark(&self.description, key.id(), standing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::MemoryProvider;

    #[test]
    fn the_memory_provider_conforms() {
        let mut provider = MemoryProvider::new(conformance::description("memory", "eu"));
        conformance::check(&mut provider);
        conformance::check_standings(&mut provider);
    }
}
