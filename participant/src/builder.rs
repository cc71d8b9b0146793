//! How a client comes to be: joined, opened, or restored.
//!
//! ```text
//! join:  key made and stored ─▶ enrol (proof of possession, token) ─▶ state ─▶ participant.toml
//!        killed anywhere: the same call goes on with the same key; the coordinator gives the same answer
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use getrandom::SysRng;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_crypto::storage::StorageKey;
use quorate_keys::{EnrolmentToken, Head, KnownKeys, PartyId};
use quorate_protocol::announce::Membership;
use quorate_protocol::params::PlanCache;
use quorate_protocol::policy::Policy;
use quorate_transport::{Connector, Limits, Pin};
use rand_core::UnwrapErr;

use crate::bundle::Bundle;
use crate::client::{Client, Options};
use crate::clock::{Clock, system_clock};
use crate::config::Settings;
use crate::device::Device;
use crate::error::ClientError;
use crate::link::Link;
use crate::log::Log;
use crate::renewal::{NextKey, finish};
use crate::root::Roots;
use crate::store::StoreError;
use crate::vault::Vault;

/// Settings of a client before it is joined or opened.
#[must_use]
pub struct Builder {
    folder: PathBuf,
    policy: Option<Policy>,
    root: Option<Digest>,
    signed_models: bool,
    limits: Limits,
    plans: Option<Arc<PlanCache>>,
    storage_key: Option<StorageKey>,
    connector: Option<Connector>,
    clock: Clock,
    options: Options,
}

impl Builder {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            policy: None,
            root: None,
            signed_models: false,
            limits: Limits::default(),
            plans: None,
            storage_key: None,
            connector: None,
            clock: system_clock(),
            options: Options { rounds: None, max_model: None },
        }
    }

    /// The device's own policy. At join it is written to `participant.toml`; at open it wins over what stands there.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Fingerprint of the deployment's first trust root, from its operator: until that has come nothing begins ([ROOT-1]).
    /// For [`Builder::join`], which writes it to `participant.toml`. Without one the first root is the one that the
    /// coordinator gives out.
    pub fn root(mut self, fingerprint: Digest) -> Self {
        self.root = Some(fingerprint);
        self
    }

    /// Models are taken only with a signature that the trust root vouches for ([MODEL-1]). For [`Builder::join`], which
    /// writes it to `participant.toml`.
    pub fn signed_models(mut self, signed: bool) -> Self {
        self.signed_models = signed;
        self
    }

    /// Limits of the transport.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Plans shared by many clients of one process: the mask matrix is expanded once for all.
    pub fn plans(mut self, plans: Arc<PlanCache>) -> Self {
        self.plans = Some(plans);
        self
    }

    /// Seals the identity key where it is stored; without it the file is plain, for its owner alone.
    pub fn storage_key(mut self, key: StorageKey) -> Self {
        self.storage_key = Some(key);
        self
    }

    /// Uses this socket; address and pin of the connector do not matter.
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = Some(connector);
        self
    }

    /// What time it is, in seconds since 1970: the age of the coordinator's list of keys is judged by it. Else the
    /// system's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Ends with [`crate::Why::Rounds`] after so many rounds with a contribution of this device.
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.options.rounds = Some(rounds);
        self
    }

    /// Longest model file in bytes; else four bytes a coordinate of the manifest's schema and 1 MiB.
    pub fn max_model(mut self, bytes: usize) -> Self {
        self.options.max_model = Some(bytes);
        self
    }

    /// Joins a deployment: the coordinator at this address, known by its pin, for a one-time token. May be killed at
    /// any instant and called again with the same folder and token.
    ///
    /// # Errors
    /// [`ClientError::Joined`] if the folder's device has joined; [`ClientError::Transport`] with nothing sent if the
    /// pin is not the coordinator's, or if the token entitles to nothing; [`ClientError::Keys`] if the coordinator's list
    /// of keys has expired.
    pub async fn join(
        self,
        address: SocketAddr,
        pin: Pin,
        token: EnrolmentToken,
    ) -> Result<Client, ClientError> {
        let vault = Vault::create(&self.folder)?;
        let identity = match vault.identity(self.storage_key.as_ref())? {
            Some(identity) => identity,
            None => {
                let identity = SigningKey::generate(&mut UnwrapErr(SysRng));
                vault.keep_identity(&identity, self.storage_key.as_ref())?;
                identity
            }
        };
        let enrolled = self.towards(address, pin)?.enrol(&identity, token).await?;
        // A coordinator whose list has expired is one that is held back, or set back ([KEY-3]).
        enrolled.keys.current((self.clock)())?;
        let settings = Settings {
            address,
            pin,
            name: enrolled.name,
            coordinator: enrolled.keys.founding_key().clone(),
            index: enrolled.id.index,
            version: 1,
            root: self.root,
            signed_models: self.signed_models,
            policy: self.policy.clone().unwrap_or_default(),
        };
        let membership = || Membership {
            keys: enrolled.keys.clone(),
            ..membership(&settings, Arc::new(SigningKey::from_bytes(&identity.to_bytes())), enrolled.head)
        };
        let plans = || self.plans.clone().unwrap_or_default();
        drop(vault);
        // An earlier join may have come to here.
        match Device::create(membership(), plans(), &self.folder) {
            Err(StoreError::Exists) => drop(Device::open(membership(), plans(), &self.folder)?),
            device => drop(device?),
        }
        Vault::create(&self.folder)?.keep_settings(&settings)?;
        self.open()
    }

    /// Opens the folder of a device that has joined. Needs a tokio runtime; connecting goes on beside.
    ///
    /// # Errors
    /// [`ClientError::NotJoined`], [`ClientError::Moved`], [`ClientError::Config`], [`ClientError::Store`].
    pub fn open(self) -> Result<Client, ClientError> {
        let plans = self.plans.clone().unwrap_or_default();
        finish(&self.folder, self.storage_key.as_ref(), &plans)?;
        let settings = Vault::open(&self.folder)?.settings()?;
        let settings = settings.ok_or_else(|| ClientError::NotJoined(self.folder.clone()))?;
        let connector = self.towards(settings.address, settings.pin)?;
        let Self { folder, policy, storage_key, clock, options, .. } = self;
        let home = Home { folder, storage_key, policy, plans, connector, clock };
        let inhabitant = home.open()?;
        Ok(Client::new(home, inhabitant, options))
    }

    /// Puts a device that [`Client::save`] gave into this folder, and opens it. Restoring the same bytes twice makes
    /// two devices with one key: they contradict each other, and both count as corrupt.
    ///
    /// # Errors
    /// [`ClientError::Storage`] if the key is not the one it was saved with, [`ClientError::Joined`] if the folder
    /// has a device; as [`Builder::open`].
    pub fn restore(self, bytes: &[u8], key: &StorageKey) -> Result<Client, ClientError> {
        let bundle = Bundle::open(bytes, key)?;
        let vault = Vault::create(&self.folder)?;
        bundle.unpack(&vault, self.storage_key.as_ref())?;
        drop(vault);
        self.open()
    }

    fn towards(&self, address: SocketAddr, pin: Pin) -> Result<Connector, ClientError> {
        Ok(match &self.connector {
            Some(connector) => connector.towards(address, pin),
            None => Connector::new(address, pin, self.limits.clone())?,
        })
    }
}

/// Where a device lives, and what it is opened with.
pub(crate) struct Home {
    pub(crate) folder: PathBuf,
    pub(crate) storage_key: Option<StorageKey>,
    policy: Option<Policy>,
    pub(crate) plans: Arc<PlanCache>,
    connector: Connector,
    pub(crate) clock: Clock,
}

/// Who lives there.
pub(crate) struct Inhabitant {
    pub(crate) settings: Settings,
    pub(crate) identity: Arc<SigningKey>,
    pub(crate) next_key: Option<NextKey>,
    pub(crate) roots: Roots,
    pub(crate) log: Log,
    pub(crate) device: Device,
    pub(crate) link: Link,
}

impl Home {
    /// Opens the device and begins to connect.
    pub(crate) fn open(&self) -> Result<Inhabitant, ClientError> {
        let vault = Vault::open(&self.folder)?;
        let mut settings = vault.settings()?.ok_or_else(|| ClientError::NotJoined(self.folder.clone()))?;
        let identity = vault.identity(self.storage_key.as_ref())?;
        let next_key = vault.next_key(self.storage_key.as_ref())?;
        let roots = Roots::load(&vault, &settings)?;
        let log = Log::load(&vault, &settings)?;
        drop(vault);
        if let Some(policy) = &self.policy {
            settings.policy = policy.clone();
        }
        let identity = Arc::new(identity.ok_or(ClientError::Form("identity"))?);
        // The head last seen is in the state, and so are the lists of keys.
        let nothing = Head { size: 0, root: Digest::ZERO };
        let membership = membership(&settings, Arc::clone(&identity), nothing);
        let id = membership.id;
        let mut device = Device::open(membership, Arc::clone(&self.plans), &self.folder)?;
        device.set_clock(Arc::clone(&self.clock));
        device.rest_on(&roots.anchor())?;
        let link = Link::new(self.connector.clone(), id, Arc::clone(&identity));
        Ok(Inhabitant { settings, identity, next_key, roots, log, device, link })
    }

    /// The files beside the device's state, while the device has the folder locked.
    pub(crate) fn vault(&self) -> Result<Vault, ClientError> {
        Vault::held(&self.folder)
    }
}

pub(crate) fn membership(settings: &Settings, identity: Arc<SigningKey>, head: Head) -> Membership {
    Membership {
        keys: KnownKeys::founding(settings.deployment(), &settings.coordinator),
        id: PartyId::new(settings.index, identity.public()),
        identity,
        policy: settings.policy.clone(),
        head,
    }
}
