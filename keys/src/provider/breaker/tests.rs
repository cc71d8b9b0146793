//! A breaker before a provider that hangs.

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

    fn unwrap(&self, wrapped: &Wrapped, context: &Context, access: Access) -> Result<DataKey, ProviderError> {
        self.ask()?;
        self.inner.unwrap(wrapped, context, access)
    }

    fn rotate(&mut self, key: &KeyName, rng: &mut dyn CryptoRng) -> Result<KeyRef<Wrapping>, ProviderError> {
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
