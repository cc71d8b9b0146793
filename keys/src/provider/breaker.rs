//! A circuit breaker before a provider: an outage costs a few time-outs, not one for every call.
//!
//! ```text
//!            limit outages in a row                     pause is over, one call is let through
//! closed ────────────────────────────▶ open(until) ──────────────────────────────────────▶ trial
//!   ▲                                    ▲                                                    │
//!   └──────────────── it answers ────────┼────────────────────────────────────────────────────┤
//!                                        └──────────── another outage ────────────────────────┘
//! ```
//!
//! Only [`ProviderError::Unavailable`] counts as an outage; a refusal is an answer. While the breaker is open, calls
//! end at once with [`ProviderError::BreakerOpen`], except that data keys that were unwrapped before still are: they
//! are kept for as long as the [`Limits`] say.
//!
//! The time is an argument: [`Breaker::at`] gives the provider as it is then.
//!
//! # Security
//!
//! Kept data keys open what they opened, also after the wrapping key was suspended or destroyed at the service: keep
//! them shortly, and [`Breaker::forget`] them when a key is revoked. They are kept only if a limit asks for it, and
//! wiped when they go.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_crypto::envelope::DataKey;
use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;
use rand_core::CryptoRng;

use super::{Access, Context, Description, KeyProvider, ProviderError, Standing, Wrapped};
use crate::class::{KeyName, KeyRef, purpose::Wrapping};

/// When a breaker opens, and what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Outages in a row that open it.
    pub outages: u32,
    /// How long it stays open, in milliseconds.
    pub pause: u64,
    /// How long an unwrapped data key is kept, in milliseconds; 0: not at all.
    pub keep: u64,
    /// How many of them.
    pub most: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { outages: 3, pause: 30_000, keep: 300_000, most: 256 }
    }
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Calls go through; so many outages in a row so far.
    Closed(u32),
    /// None do, until then.
    Open(u64),
    /// One does, to see; the next one from then on, if that one never ends.
    Trial(u64),
}

/// A provider behind a breaker.
pub struct Breaker<P> {
    provider: P,
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    circuit: Circuit,
    kept: BTreeMap<Digest, Kept>,
}

struct Kept {
    until: u64,
    data: DataKey,
}

/// The provider behind a breaker, at a time in milliseconds.
pub struct At<'a, P> {
    breaker: &'a Breaker<P>,
    now: u64,
}

impl<P: KeyProvider> Breaker<P> {
    /// A closed breaker before this provider.
    #[must_use]
    pub fn new(provider: P, limits: Limits) -> Self {
        let state = State { circuit: Circuit::Closed(0), kept: BTreeMap::new() };
        Self { provider, limits, state: Mutex::new(state) }
    }

    /// The provider as it is now. Times do not go back.
    #[must_use]
    pub const fn at(&self, now: u64) -> At<'_, P> {
        At { breaker: self, now }
    }

    /// Where it stands.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.state().circuit
    }

    /// Forgets all data keys that are kept.
    pub fn forget(&self) {
        self.state().kept.clear();
    }

    /// The provider itself, to rotate and mark: not behind the breaker, and what is kept is forgotten.
    pub fn provider_mut(&mut self) -> &mut P {
        self.forget();
        &mut self.provider
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is in there is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: KeyProvider> At<'_, P> {
    /// Lets a call through, or not, and learns from how it ends. The state is not locked meanwhile: others who come
    /// while a call hangs are not held up.
    fn guard<T>(&self, call: impl FnOnce(&P) -> Result<T, ProviderError>) -> Result<T, ProviderError> {
        self.enter()?;
        let outcome = call(&self.breaker.provider);
        let mut state = self.breaker.state();
        let outage = matches!(outcome, Err(ProviderError::Unavailable { .. }));
        state.circuit = match (state.circuit, outage) {
            (Circuit::Closed(_) | Circuit::Trial(_), false) => Circuit::Closed(0),
            (Circuit::Closed(before), true) if before + 1 < self.breaker.limits.outages => {
                Circuit::Closed(before + 1)
            }
            (Circuit::Closed(_) | Circuit::Trial(_), true) => {
                Circuit::Open(self.now + self.breaker.limits.pause)
            }
            // It opened while this call was on its way.
            (open @ Circuit::Open(_), _) => open,
        };
        outcome
    }

    fn enter(&self) -> Result<(), ProviderError> {
        let mut state = self.breaker.state();
        let until = match state.circuit {
            Circuit::Closed(_) => return Ok(()),
            Circuit::Open(until) | Circuit::Trial(until) if self.now >= until => {
                state.circuit = Circuit::Trial(self.now + self.breaker.limits.pause);
                return Ok(());
            }
            Circuit::Open(until) | Circuit::Trial(until) => until,
        };
        let provider = self.breaker.provider.describe().provider.clone();
        Err(ProviderError::BreakerOpen { provider, until })
    }

    fn kept(&self, which: &Digest) -> Option<DataKey> {
        let mut state = self.breaker.state();
        state.kept.retain(|_, kept| kept.until > self.now);
        state.kept.get(which).map(|kept| DataKey::from_bytes(&kept.data.to_bytes()))
    }

    fn keep(&self, which: Digest, data: &DataKey) {
        let Limits { keep, most, .. } = self.breaker.limits;
        if keep == 0 || most == 0 {
            return;
        }
        let mut state = self.breaker.state();
        if state.kept.len() >= most {
            let oldest = state.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(which, _)| *which);
            oldest.and_then(|oldest| state.kept.remove(&oldest));
        }
        let data = DataKey::from_bytes(&data.to_bytes());
        state.kept.insert(which, Kept { until: self.now + keep, data });
    }
}

impl<P: KeyProvider> KeyProvider for At<'_, P> {
    fn describe(&self) -> &Description {
        self.breaker.provider.describe()
    }

    fn active(&self, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError> {
        self.guard(|provider| provider.active(key))
    }

    fn wrap(
        &self,
        key: &KeyName,
        data: &DataKey,
        context: &Context,
        rng: &mut dyn CryptoRng,
    ) -> Result<Wrapped, ProviderError> {
        self.guard(|provider| provider.wrap(key, data, context, rng))
    }

    fn unwrap(&self, wrapped: &Wrapped, context: &Context, access: Access) -> Result<DataKey, ProviderError> {
        let which = which(wrapped, context);
        let asked = self.guard(|provider| provider.unwrap(wrapped, context, access));
        match asked {
            Ok(data) => {
                self.keep(which, &data);
                Ok(data)
            }
            // Only an outage is bridged: a provider that refuses has decided.
            Err(error @ (ProviderError::Unavailable { .. } | ProviderError::BreakerOpen { .. })) => {
                self.kept(&which).ok_or(error)
            }
            Err(error) => {
                self.breaker.state().kept.remove(&which);
                Err(error)
            }
        }
    }

    /// Through [`Breaker::provider_mut`].
    fn rotate(&mut self, _: &KeyName, _: &mut dyn CryptoRng) -> Result<KeyRef<Wrapping>, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    /// Through [`Breaker::provider_mut`].
    fn mark(
        &mut self,
        _: &KeyRef<Wrapping>,
        _: Standing,
        _: &mut dyn CryptoRng,
    ) -> Result<(), ProviderError> {
        Err(ProviderError::Unsupported)
    }

    fn sign(&self, key: &KeyName, message: &Digest) -> Result<Vec<u8>, ProviderError> {
        self.guard(|provider| provider.sign(key, message))
    }
}

fn which(wrapped: &Wrapped, context: &Context) -> Digest {
    let mut hasher = FieldHasher::new(labels::WRAP_CONTEXT);
    hasher.field(wrapped.provider.as_str().as_bytes()).field(wrapped.region.as_str().as_bytes());
    hasher.field(wrapped.key.id().to_string().as_bytes()).field(&wrapped.bytes);
    hasher.field(context.digest().as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests;
