//! What every provider does, as one suite: each provider's tests call [`check`], and [`check_standings`] where
//! versions can be marked.

use std::collections::BTreeSet;

use quorate_crypto::envelope::DataKey;
use quorate_crypto::hash::Digest;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::*;

/// A description of a provider in a test.
pub(crate) fn description(provider: &str, region: &str) -> Description {
    Description { provider: provider.parse().unwrap(), region: region.parse().unwrap() }
}

/// Name of the wrapping key of the tests; a provider must be able to make it by `rotate`.
pub(crate) fn key() -> KeyName {
    KeyName::new(Class::Wrapping, "conformance").unwrap()
}

fn context(provider: &dyn KeyProvider, what: u8) -> Context {
    Context::new(provider.describe(), &key(), &Digest::from_bytes([what; 32]))
}

/// The suite. The provider has no key [`key`] yet.
pub(crate) fn check(provider: &mut dyn KeyProvider) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let one = context(provider, 1);
    assert!(
        matches!(provider.active(&key()), Err(ProviderError::Unknown { .. })),
        "a key nobody made is unknown"
    );
    let first = provider.rotate(&key(), &mut rng).unwrap();
    assert_eq!((first.id().version, provider.active(&key()).unwrap()), (1, first.clone()));

    let (data, wrapped) = provider.generate_data_key(&key(), &one, &mut rng).unwrap();
    assert_eq!(wrapped.key, first);
    assert_eq!((&wrapped.provider, &wrapped.region), {
        let description = provider.describe();
        (&description.provider, &description.region)
    });
    let opened = |provider: &dyn KeyProvider, wrapped: &Wrapped, context: &Context| {
        provider.unwrap(wrapped, context, Access::Normal).map(|data| data.to_bytes().to_vec())
    };
    let bytes = data.to_bytes().to_vec();
    assert_eq!(opened(provider, &wrapped, &one).unwrap(), bytes);
    assert!(!wrapped.bytes.windows(32).any(|window| window == bytes.as_slice()));

    check_refusals(provider, &wrapped, &one);
    check_rotation(provider, &wrapped, &bytes);
    let other = KeyName::new(Class::Model, "conformance").unwrap();
    assert!(matches!(provider.active(&other), Err(ProviderError::Class(Class::Model))));
    assert!(matches!(provider.rotate(&other, &mut rng), Err(ProviderError::Class(Class::Model))));
}

/// [KL-2] Changed, moved, foreign and unknown are refused, and told apart.
fn check_refusals(provider: &dyn KeyProvider, wrapped: &Wrapped, one: &Context) {
    let refusal = |wrapped: &Wrapped, context: &Context| {
        provider.unwrap(wrapped, context, Access::Normal).err().unwrap()
    };
    let two = context(provider, 2);
    assert!(matches!(refusal(wrapped, &two), ProviderError::Refused(_)), "another context");
    for at in [0, 1, wrapped.bytes.len() / 2, wrapped.bytes.len() - 1] {
        let mut changed = wrapped.clone();
        changed.bytes[at] ^= 1;
        let error = refusal(&changed, one);
        assert!(matches!(error, ProviderError::Refused(_)), "byte {at} changed: {error}");
    }
    let mut short = wrapped.clone();
    short.bytes.pop();
    assert!(matches!(refusal(&short, one), ProviderError::Refused(_)), "one byte less");
    let mut empty = wrapped.clone();
    empty.bytes.clear();
    assert!(matches!(refusal(&empty, one), ProviderError::Refused(_)), "nothing");
    let foreign = Wrapped { provider: "somebody-else".parse().unwrap(), ..wrapped.clone() };
    assert!(matches!(refusal(&foreign, one), ProviderError::WrongProvider { .. }));
    let moved = Wrapped { region: "elsewhere".parse().unwrap(), ..wrapped.clone() };
    assert!(matches!(refusal(&moved, one), ProviderError::WrongProvider { .. }));
    let unknown = KeyRef::new(KeyName::new(Class::Wrapping, "nobody").unwrap().version(1)).unwrap();
    let unknown = Wrapped { key: unknown, ..wrapped.clone() };
    assert!(matches!(refusal(&unknown, one), ProviderError::Unknown { .. }));
    let future = Wrapped { key: KeyRef::new(key().version(4_000_000)).unwrap(), ..wrapped.clone() };
    assert!(matches!(refusal(&future, one), ProviderError::Unknown { .. }), "a version nobody made");
}

/// [KL-1], [KL-2] After a rotation the new version wraps and both unwrap; rewrapping keeps the data key.
fn check_rotation(provider: &mut dyn KeyProvider, wrapped: &Wrapped, bytes: &[u8]) {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let one = context(provider, 1);
    let open = |provider: &dyn KeyProvider, wrapped: &Wrapped| {
        provider.unwrap(wrapped, &one, Access::Normal).unwrap().to_bytes().to_vec()
    };
    let second = provider.rotate(&key(), &mut rng).unwrap();
    assert_eq!((second.id().version, provider.active(&key()).unwrap()), (2, second.clone()));
    assert_eq!(open(provider, wrapped), bytes, "the older version still opens");
    let again = provider.rewrap(wrapped, &one, &mut rng).unwrap();
    assert_eq!((&again.key, open(provider, &again).as_slice()), (&second, bytes));
    let stale = Wrapped { key: wrapped.key.clone(), ..again.clone() };
    let error = provider.unwrap(&stale, &one, Access::Normal).err().unwrap();
    assert!(matches!(error, ProviderError::Refused(_)), "the version of the header decides: {error}");
    let data = DataKey::generate(&mut rng);
    let wraps = (0..4).map(|_| provider.wrap(&key(), &data, &one, &mut rng).unwrap());
    let wraps: Vec<_> = wraps.collect();
    assert!(wraps.iter().all(|wrapped| wrapped.key == second));
    assert_eq!(wraps.iter().map(|wrapped| &wrapped.bytes).collect::<BTreeSet<_>>().len(), 4);
}

/// [KL-2] Suspended, too old, compromised, destroyed: errors of their own; an override opens all but the destroyed.
/// After [`check`].
pub(crate) fn check_standings(provider: &mut dyn KeyProvider) {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let one = context(provider, 1);
    let (_, wrapped) = provider.generate_data_key(&key(), &one, &mut rng).unwrap();
    let (key_ref, id) = (wrapped.key.clone(), wrapped.key.id().clone());
    provider.rotate(&key(), &mut rng).unwrap();
    let errors = [
        (Standing::Suspended, ProviderError::Suspended(id.clone())),
        (Standing::Archived, ProviderError::TooOld(id.clone())),
        (Standing::Compromised, ProviderError::Compromised(id.clone())),
        (Standing::Destroyed, ProviderError::Destroyed(id)),
    ];
    for (standing, error) in errors {
        provider.mark(&key_ref, standing, &mut rng).unwrap();
        assert_eq!(provider.unwrap(&wrapped, &one, Access::Normal).err(), Some(error.clone()));
        let forced = provider.unwrap(&wrapped, &one, Access::Override);
        assert_eq!(forced.err(), (standing == Standing::Destroyed).then_some(error.clone()));
        if matches!(standing, Standing::Compromised | Standing::Destroyed) {
            assert_eq!(provider.mark(&key_ref, Standing::Enabled, &mut rng), Err(error), "never back");
        }
    }
    let active = provider.active(&key()).unwrap();
    provider.mark(&active, Standing::Compromised, &mut rng).unwrap();
    let data = DataKey::generate(&mut rng);
    let refused = provider.wrap(&key(), &data, &one, &mut rng).err();
    assert_eq!(
        refused,
        Some(ProviderError::Compromised(active.id().clone())),
        "[KL-1] nothing else wraps instead"
    );
    provider.rotate(&key(), &mut rng).unwrap();
    assert!(provider.wrap(&key(), &data, &one, &mut rng).is_ok());
}

/// Services destroy a version, never the active one, once or twice; what was under it opens no more, the rest does. After
/// [`check`]. `enforced`: moto goes on opening.
#[cfg(feature = "provider-tests")]
pub(crate) fn check_destruction(provider: &mut dyn KeyProvider, enforced: bool) {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let one = context(provider, 1);
    let (_, old) = provider.generate_data_key(&key(), &one, &mut rng).unwrap();
    let destroy = |provider: &mut dyn KeyProvider, key: &KeyRef<Wrapping>| {
        provider.mark(key, Standing::Destroyed, &mut ChaCha20Rng::seed_from_u64(5))
    };
    assert!(matches!(destroy(provider, &old.key), Err(ProviderError::Refused(_))), "the active one");
    let active = provider.rotate(&key(), &mut rng).unwrap();
    let (data, new) = provider.generate_data_key(&key(), &one, &mut rng).unwrap();
    let unsupported = provider.mark(&old.key, Standing::Suspended, &mut rng);
    assert_eq!(unsupported, Err(ProviderError::Unsupported));
    assert_eq!((destroy(provider, &old.key), destroy(provider, &old.key)), (Ok(()), Ok(())));
    let gone = provider.unwrap(&old, &one, Access::Override).err();
    let known = matches!(gone, Some(ProviderError::Destroyed(_) | ProviderError::TooOld(_)));
    assert!(known || !enforced, "{gone:?}");
    let opened = provider.unwrap(&new, &one, Access::Normal).unwrap();
    assert_eq!((opened.to_bytes().to_vec(), new.key), (data.to_bytes().to_vec(), active.clone()));
    assert_eq!(provider.rotate(&key(), &mut rng).unwrap().id().version, active.id().version + 1);
}
