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
mod tests {
    use std::cell::Cell;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::super::conformance::{description, key};
    use super::super::{Outage, memory::MemoryProvider};
    use super::*;

    /// A provider that hangs, as seen by whoever waited for its time-out.
    struct Hanging {
        inner: MemoryProvider,
        hangs: Cell<bool>,
        asked: Cell<u32>,
    }

    impl Hanging {
        fn ask(&self) -> Result<(), ProviderError> {
            self.asked.set(self.asked.get() + 1);
            let provider = self.inner.describe().provider.clone();
            if self.hangs.get() {
                return Err(ProviderError::Unavailable { provider, kind: Outage::TimeOut });
            }
            Ok(())
        }
    }

    impl KeyProvider for Hanging {
        fn describe(&self) -> &Description {
            self.inner.describe()
        }

        fn active(&self, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError> {
            self.ask()?;
            self.inner.active(key)
        }

        fn wrap(
            &self,
            key: &KeyName,
            data: &DataKey,
            context: &Context,
            rng: &mut dyn CryptoRng,
        ) -> Result<Wrapped, ProviderError> {
            self.ask()?;
            self.inner.wrap(key, data, context, rng)
        }

        fn unwrap(
            &self,
            wrapped: &Wrapped,
            context: &Context,
            access: Access,
        ) -> Result<DataKey, ProviderError> {
            self.ask()?;
            self.inner.unwrap(wrapped, context, access)
        }

        fn rotate(
            &mut self,
            key: &KeyName,
            rng: &mut dyn CryptoRng,
        ) -> Result<KeyRef<Wrapping>, ProviderError> {
            self.inner.rotate(key, rng)
        }
    }

    const LIMITS: Limits = Limits { outages: 3, pause: 1_000, keep: 10_000, most: 2 };

    fn breaker() -> Breaker<Hanging> {
        let mut inner = MemoryProvider::new(description("kms", "eu"));
        inner.rotate(&key(), &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        Breaker::new(Hanging { inner, hangs: Cell::new(false), asked: Cell::new(0) }, LIMITS)
    }

    fn context(what: u8) -> Context {
        Context::new(&description("kms", "eu"), &key(), &Digest::from_bytes([what; 32]))
    }

    fn wrapped(breaker: &Breaker<Hanging>, what: u8, now: u64) -> Wrapped {
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(what));
        breaker.at(now).generate_data_key(&key(), &context(what), &mut rng).unwrap().1
    }

    /// Three time-outs open it, nobody waits any more, one call tries again, an answer closes it.
    #[test]
    fn a_hanging_service_is_asked_three_times_and_once_a_pause() {
        let breaker = breaker();
        breaker.provider.hangs.set(true);
        for _ in 0..3 {
            assert!(matches!(breaker.at(5).active(&key()), Err(ProviderError::Unavailable { .. })));
        }
        assert_eq!((breaker.circuit(), breaker.provider.asked.get()), (Circuit::Open(1_005), 3));
        let open = breaker.at(1_004).active(&key()).unwrap_err();
        assert_eq!(open.to_string(), "the circuit breaker of kms is open until 1005");
        assert_eq!(breaker.provider.asked.get(), 3, "nobody waits");
        assert!(matches!(breaker.at(1_005).active(&key()), Err(ProviderError::Unavailable { .. })));
        assert_eq!((breaker.circuit(), breaker.provider.asked.get()), (Circuit::Open(2_005), 4));
        breaker.provider.hangs.set(false);
        assert!(breaker.at(2_004).active(&key()).is_err());
        assert!(breaker.at(2_005).active(&key()).is_ok());
        assert_eq!(breaker.circuit(), Circuit::Closed(0));
    }

    /// While one call tries, others do not; if it never ends, the next pause lets another one try.
    #[test]
    fn one_call_tries_at_a_time() {
        let breaker = breaker();
        breaker.state().circuit = Circuit::Open(1_000);
        breaker.at(1_000).enter().unwrap();
        assert_eq!(breaker.circuit(), Circuit::Trial(2_000));
        assert!(matches!(breaker.at(1_999).enter(), Err(ProviderError::BreakerOpen { until: 2_000, .. })));
        assert!(breaker.at(2_000).active(&key()).is_ok());
        assert_eq!(breaker.circuit(), Circuit::Closed(0));
    }

    #[test]
    fn a_refusal_is_no_outage_and_an_answer_in_between_counts() {
        let breaker = breaker();
        let nobody = KeyName::new(crate::class::Class::Wrapping, "nobody").unwrap();
        for _ in 0..5 {
            assert!(matches!(breaker.at(0).active(&nobody), Err(ProviderError::Unknown { .. })));
        }
        for hangs in [true, true, false, true, true] {
            breaker.provider.hangs.set(hangs);
            assert_eq!(breaker.at(0).active(&key()).is_err(), hangs);
        }
        assert_eq!(breaker.circuit(), Circuit::Closed(2));
    }

    #[test]
    fn data_keys_that_are_kept_bridge_an_outage_and_nothing_else() {
        let mut breaker = breaker();
        let wraps: Vec<_> = (0..3).map(|what| wrapped(&breaker, what, 0)).collect();
        let open = |breaker: &Breaker<Hanging>, what: usize, now| {
            let data = breaker.at(now).unwrap(&wraps[what], &context(what as u8), Access::Normal);
            data.map(|data| data.to_bytes().to_vec())
        };
        let want: Vec<_> = (0..3).map(|what| open(&breaker, what, what as u64).unwrap()).collect();
        breaker.provider.hangs.set(true);
        assert!(open(&breaker, 0, 10).is_err(), "two are kept, the first is gone");
        for now in 10..20 {
            assert_eq!(
                (open(&breaker, 1, now).unwrap(), open(&breaker, 2, now).unwrap()),
                (want[1].clone(), want[2].clone())
            );
        }
        assert!(matches!(breaker.circuit(), Circuit::Open(_)));
        let other = breaker.at(20).unwrap(&wraps[1], &context(2), Access::Normal);
        assert!(other.is_err(), "a kept key is for its own context");
        assert!(open(&breaker, 1, 10_001).is_err() && open(&breaker, 2, 10_001).is_ok(), "kept for a time");
        breaker.forget();
        assert!(open(&breaker, 2, 10_002).is_err());

        breaker.provider.hangs.set(false);
        assert_eq!(open(&breaker, 2, 30_000).unwrap(), want[2]);
        let version = wraps[2].key.clone();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        breaker.provider_mut().inner.mark(&version, Standing::Suspended, &mut rng).unwrap();
        assert!(
            matches!(open(&breaker, 2, 30_001), Err(ProviderError::Suspended(_))),
            "a refusal is not bridged"
        );
    }
}
