//! A token that speaks PKCS#11: a hardware module, or SoftHSM.
//!
//! ```text
//! wrapping/NAME@N  ◀─▶  AES-256 key, label "quorate/wrapping/NAME", id N (4 bytes, big-endian),
//!                        sensitive, not extractable
//!
//! wrap      AES-GCM, context as associated data  ──▶  nonce (12) ‖ ciphertext (32) ‖ tag (16)
//! ```
//!
//! # Security
//!
//! Keys are made in the token and never leave it. Nonces are random, 96 bits: rotate before 2³² wraps. Whoever has
//! the PIN can make the token encrypt and decrypt, and destroy keys; it can't read them. A destroyed version is
//! [`ProviderError::Unknown`] here: a token keeps no record of it. The library of the token runs in this process.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::{AuthPin, Ulong};
use quorate_crypto::envelope::DataKey;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    Access, Context, Description, KeyProvider, Outage, ProviderError, Standing, Wrapped, check_class,
    check_origin, version,
};
use crate::class::{KeyId, KeyName, KeyRef, purpose::Wrapping};

/// Keys in a token.
pub struct Pkcs11Provider {
    description: Description,
    session: Session,
}

impl Pkcs11Provider {
    /// Opens a session with the token of this label. The library is initialised once a process.
    ///
    /// # Errors
    /// [`ProviderError`]: no such library or token, or another PIN.
    pub fn open(
        description: Description,
        library: &Path,
        token: &str,
        pin: &Zeroizing<String>,
    ) -> Result<Self, ProviderError> {
        let failed = |error: &Error| failure(&description, error);
        let module = Pkcs11::new(library).map_err(|error| failed(&error))?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(&error)),
        }
        let slots = module.get_slots_with_initialized_token().map_err(|error| failed(&error))?;
        let named =
            |slot: &&_| module.get_token_info(**slot).is_ok_and(|info| info.label().trim_end() == token);
        let slot = slots.iter().find(named).ok_or_else(|| unavailable(&description, Outage::Unreachable))?;
        let session = module.open_rw_session(*slot).map_err(|error| failed(&error))?;
        let pin = AuthPin::from(pin.as_str().to_owned());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(failed(&error)),
        }
        Ok(Self { description, session })
    }

    fn find(&self, key: &KeyName, number: Option<u32>) -> Result<Vec<ObjectHandle>, ProviderError> {
        let mut template = vec![Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(label(key))];
        template.extend(number.map(|number| Attribute::Id(number.to_be_bytes().to_vec())));
        self.session.find_objects(&template).map_err(|error| failure(&self.description, &error))
    }

    fn newest(&self, key: &KeyName) -> Result<Option<u32>, ProviderError> {
        let mut newest = None;
        for object in self.find(key, None)? {
            let attributes = self.session.get_attributes(object, &[AttributeType::Id]);
            for attribute in attributes.map_err(|error| failure(&self.description, &error))? {
                if let Attribute::Id(id) = attribute {
                    let number = id.try_into().map(u32::from_be_bytes).ok();
                    newest = newest.max(number);
                }
            }
        }
        Ok(newest)
    }

    fn key(&self, id: &KeyId) -> Result<ObjectHandle, ProviderError> {
        match self.find(&id.name, Some(id.version))?.as_slice() {
            [] if self.newest(&id.name)?.is_some_and(|newest| id.version < newest) => {
                Err(ProviderError::Destroyed(id.clone()))
            }
            [] => Err(self.unknown(id)),
            [one] => Ok(*one),
            _ => Err(ProviderError::Answer {
                provider: self.description.provider.clone(),
                what: "two keys of one version",
            }),
        }
    }

    fn unknown(&self, key: &impl ToString) -> ProviderError {
        ProviderError::Unknown { provider: self.description.provider.clone(), key: key.to_string() }
    }
}

impl KeyProvider for Pkcs11Provider {
    fn describe(&self) -> &Description {
        &self.description
    }

    fn active(&self, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError> {
        check_class(key)?;
        let newest = self.newest(key)?.ok_or_else(|| self.unknown(key))?;
        version(key, newest)
    }

    fn wrap(
        &self,
        key: &KeyName,
        data: &DataKey,
        context: &Context,
        rng: &mut dyn CryptoRng,
    ) -> Result<Wrapped, ProviderError> {
        let key = self.active(key)?;
        let handle = self.key(key.id())?;
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let sealed = GcmParams::new(&mut nonce, context.digest().as_bytes(), tag_bits())
            .and_then(|gcm| self.session.encrypt(&Mechanism::AesGcm(gcm), handle, data.to_bytes().as_ref()));
        let sealed = sealed.map_err(|error| failure(&self.description, &error))?;
        // A token that takes a nonce of its own has written it over ours.
        let Description { provider, region } = self.description.clone();
        Ok(Wrapped { provider, region, key, bytes: [nonce.as_slice(), &sealed].concat() })
    }

    fn unwrap(&self, wrapped: &Wrapped, context: &Context, _: Access) -> Result<DataKey, ProviderError> {
        check_origin(&self.description, wrapped)?;
        let id = wrapped.key.id();
        let refused = || ProviderError::Refused(id.clone());
        let handle = self.key(id)?;
        let (nonce, sealed) = wrapped.bytes.split_first_chunk::<NONCE>().ok_or_else(refused)?;
        if sealed.len() != 32 + TAG {
            return Err(refused());
        }
        let mut nonce = *nonce;
        let plain = GcmParams::new(&mut nonce, context.digest().as_bytes(), tag_bits())
            .and_then(|gcm| self.session.decrypt(&Mechanism::AesGcm(gcm), handle, sealed));
        let plain = plain.map(Zeroizing::new).map_err(|error| match error {
            Error::Pkcs11(
                RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::GeneralError,
                _,
            ) => refused(),
            other => failure(&self.description, &other),
        })?;
        let bytes = <&[u8; 32]>::try_from(plain.as_slice()).map_err(|_| refused())?;
        Ok(DataKey::from_bytes(bytes))
    }

    fn rotate(&mut self, key: &KeyName, _: &mut dyn CryptoRng) -> Result<KeyRef<Wrapping>, ProviderError> {
        check_class(key)?;
        let next = self.newest(key)?.unwrap_or(0).checked_add(1);
        let next = next.ok_or_else(|| ProviderError::Exhausted(key.clone()))?;
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
            Attribute::Label(label(key)),
            Attribute::Id(next.to_be_bytes().to_vec()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        let made = self.session.generate_key(&Mechanism::AesKeyGen, &template);
        made.map_err(|error| failure(&self.description, &error))?;
        version(key, next)
    }

    fn mark(
        &mut self,
        key: &KeyRef<Wrapping>,
        standing: Standing,
        _: &mut dyn CryptoRng,
    ) -> Result<(), ProviderError> {
        let id = key.id();
        if standing != Standing::Destroyed {
            return Err(ProviderError::Unsupported);
        }
        if self.active(&id.name)? == *key {
            // The next rotation would take its number again.
            return Err(ProviderError::Refused(id.clone()));
        }
        let destroyed = match self.key(id) {
            Err(ProviderError::Destroyed(_)) => return Ok(()),
            found => self.session.destroy_object(found?),
        };
        destroyed.map_err(|error| failure(&self.description, &error))
    }
}

fn label(key: &KeyName) -> Vec<u8> {
    format!("quorate/{key}").into_bytes()
}

fn failure(at: &Description, error: &Error) -> ProviderError {
    match error {
        Error::Pkcs11(
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinLocked
            | RvError::PinExpired
            | RvError::UserNotLoggedIn
            | RvError::KeyFunctionNotPermitted,
            _,
        ) => ProviderError::Denied(at.provider.clone()),
        Error::Pkcs11(
            RvError::DeviceError
            | RvError::DeviceMemory
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::SlotIdInvalid
            | RvError::CryptokiNotInitialized,
            _,
        )
        | Error::LibraryLoading(_) => unavailable(at, Outage::Unreachable),
        _ => ProviderError::Answer { provider: at.provider.clone(), what: "an error of the token" },
    }
}

fn unavailable(at: &Description, kind: Outage) -> ProviderError {
    ProviderError::Unavailable { provider: at.provider.clone(), kind }
}

fn tag_bits() -> Ulong {
    128.into()
}

const NONCE: usize = 12;
/// Bytes of the tag.
const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::conformance::description;
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_an_outage() {
        let pin = Zeroizing::new("1234".to_owned());
        let missing = Path::new("no-such-library.so");
        let error = Pkcs11Provider::open(description("hsm", "eu"), missing, "quorate", &pin).err();
        assert_eq!(error, Some(unavailable(&description("hsm", "eu"), Outage::Unreachable)));
    }

    #[cfg(feature = "provider-tests")]
    mod real {
        //! Against SoftHSM.

        use std::process::Command;

        use super::super::super::conformance;
        use super::*;

        const LIBRARIES: [&str; 4] = [
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib64/pkcs11/libsofthsm2.so",
            "/usr/local/lib/softhsm/libsofthsm2.so",
            "/opt/homebrew/lib/softhsm/libsofthsm2.so",
        ];

        fn open(pin: &str) -> Result<Pkcs11Provider, ProviderError> {
            let library = LIBRARIES.iter().find(|path| Path::new(path).exists());
            let library = library.expect("this test needs SoftHSM: apt-get install softhsm2");
            let pin = Zeroizing::new(pin.to_owned());
            Pkcs11Provider::open(description("hsm", "eu"), Path::new(library), "quorate", &pin)
        }

        /// SoftHSM reads where its tokens are from the environment, so this test runs itself again with one.
        #[test]
        fn the_pkcs11_provider_conforms_to_softhsm() {
            if std::env::var_os("QUORATE_TEST_TOKEN").is_some() {
                return within();
            }
            let folder = tempfile::tempdir().unwrap();
            let tokens = folder.path().join("tokens");
            std::fs::create_dir(&tokens).unwrap();
            let config = folder.path().join("softhsm2.conf");
            std::fs::write(&config, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
            let made = Command::new("softhsm2-util")
                .args(["--init-token", "--free", "--label", "quorate", "--pin", "1234", "--so-pin", "5678"])
                .env("SOFTHSM2_CONF", &config)
                .output()
                .expect("this test needs SoftHSM: apt-get install softhsm2");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let name = concat!(module_path!(), "::the_pkcs11_provider_conforms_to_softhsm");
            let name = name.split_once("::").unwrap().1;
            let ran = Command::new(std::env::current_exe().unwrap())
                .args([name, "--exact", "--nocapture"])
                .env("SOFTHSM2_CONF", &config)
                .env("QUORATE_TEST_TOKEN", "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
            assert!(said.contains("1 passed"), "{said}");
        }

        fn within() {
            assert_eq!(open("wrong").err(), Some(ProviderError::Denied("hsm".parse().unwrap())));
            let mut provider = open("1234").unwrap();
            conformance::check(&mut provider);
            conformance::check_destruction(&mut provider, true);
            // The keys are in the token: another session has them, and nobody can read them.
            let again = open("1234").unwrap();
            let newest = again.active(&conformance::key()).unwrap();
            let object = again.key(newest.id()).unwrap();
            let value = again.session.get_attributes(object, &[AttributeType::Value]).unwrap();
            assert!(value.is_empty(), "the value of a key is not to be had");
        }
    }
}
