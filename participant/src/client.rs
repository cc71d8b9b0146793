//! The client: a device, its connection, and the round under way, driven by its caller.
//!
//! ```text
//!   Link (a task) ── events ──▶ tick ──▶ Device ── actions ──▶ frames, transfers (tasks)
//!                                └──▶ Step ──▶ caller: trains, calls submit
//! ```
//!
//! All waiting is in one place, on one queue: a tick that is dropped there has lost nothing. Everything else is done
//! without waiting, so that it happens as a whole or not at all.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate_crypto::sign::SigningKey;
use quorate_crypto::storage::StorageKey;
use quorate_keys::PartyId;
use quorate_protocol::id::Time;
use quorate_transport::TransportError;
use tokio::time::{Instant, timeout_at};

use crate::action::DeviceError;
use crate::builder::{Builder, Home, Inhabitant};
use crate::bundle::Bundle;
use crate::config::Settings;
use crate::device::Device;
use crate::error::ClientError;
use crate::link::{Ending, Link, Up};
use crate::log::Log;
use crate::renewal::{NextKey, Renewal};
use crate::root::Roots;
use crate::step::{Step, Why};
use crate::vault::Vault;
use crate::work::Work;

/// A participant of one deployment.
pub struct Client {
    pub(crate) home: Home,
    pub(crate) settings: Settings,
    pub(crate) identity: Arc<SigningKey>,
    /// The next key, while it waits.
    pub(crate) next_key: Option<NextKey>,
    pub(crate) renewal: Renewal,
    pub(crate) roots: Roots,
    pub(crate) log: Log,
    pub(crate) options: Options,
    pub(crate) device: Device,
    pub(crate) link: Link,
    pub(crate) up: Option<Up>,
    /// Why there is no connection.
    pub(crate) trouble: Option<TransportError>,
    pub(crate) ending: Option<Ending>,
    pub(crate) work: Option<Work>,
    pub(crate) steps: VecDeque<Step>,
    /// Control frames of the newest round: sent again after a lost connection.
    pub(crate) sent: (u64, Vec<Arc<[u8]>>),
    /// The last round told as refused.
    pub(crate) refused: u64,
    /// Rounds with a contribution of this device that are over.
    pub(crate) finished: u64,
    pub(crate) wakes: BTreeSet<Instant>,
    pub(crate) poll: Instant,
    begun: Instant,
}

/// What the builder sets and the client heeds.
pub(crate) struct Options {
    pub(crate) rounds: Option<u64>,
    pub(crate) max_model: Option<usize>,
}

impl Client {
    /// A client in a folder of its own.
    pub fn builder(folder: impl Into<PathBuf>) -> Builder {
        Builder::new(folder.into())
    }

    pub(crate) fn new(home: Home, inhabitant: Inhabitant, options: Options) -> Self {
        let now = Instant::now();
        let Inhabitant { settings, identity, next_key, roots, log, device, link } = inhabitant;
        let mut client = Self {
            home,
            settings,
            identity,
            next_key,
            renewal: Renewal::default(),
            roots,
            log,
            options,
            device,
            link,
            up: None,
            trouble: None,
            ending: None,
            work: None,
            steps: VecDeque::new(),
            sent: (0, Vec::new()),
            refused: 0,
            finished: 0,
            wakes: BTreeSet::new(),
            poll: now + POLL,
            begun: now,
        };
        // Refused where there is nothing to repeat.
        let _ = client.device.retry();
        client
    }

    /// Goes on with what is in the folder by now: the same party under its next key.
    pub(crate) fn go_on(&mut self) -> Result<(), ClientError> {
        let Inhabitant { settings, identity, next_key, roots, log, device, link } = self.home.open()?;
        (self.roots, self.log) = (roots, log);
        (self.settings, self.identity, self.next_key) = (settings, identity, next_key);
        // The connection under the key before ends here.
        (self.device, self.link, self.up) = (device, link, None);
        (self.renewal, self.sent) = (Renewal::default(), (0, Vec::new()));
        Ok(())
    }

    /// The party; another id when it has taken up its next key.
    #[must_use]
    pub const fn id(&self) -> &PartyId {
        self.device.id()
    }

    /// Name of the deployment.
    #[must_use]
    pub fn deployment(&self) -> &str {
        &self.settings.name
    }

    /// Where the coordinator is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.settings.address
    }

    /// Whether there is a connection now.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.up.is_some()
    }

    /// Why there is no connection, after an attempt has failed. The client tries again by itself.
    #[must_use]
    pub const fn trouble(&self) -> Option<&TransportError> {
        self.trouble.as_ref()
    }

    /// Number of the newest list of the coordinator's keys that is known; 0 if there is none.
    #[must_use]
    pub fn known_list(&self) -> u64 {
        self.device.known_list()
    }

    /// Rounds with a contribution of this device that are over, since it was opened.
    #[must_use]
    pub const fn rounds(&self) -> u64 {
        self.finished
    }

    /// Does what is due, waits for the network up to a second, and says what it came to. Dropping the future loses
    /// nothing. A few milliseconds of it are computing and writing to disk (masking: about as long as hashing the
    /// vector), so a runtime with other work should have a thread more.
    ///
    /// # Errors
    /// [`ClientError::Device`] if the state cannot be made durable; [`ClientError::Replaced`]; [`ClientError::TwoLogs`].
    /// All are final. What goes wrong on the network is no error: see [`Client::trouble`].
    pub async fn tick(&mut self) -> Result<Step, ClientError> {
        self.log.check()?;
        let bound = Instant::now() + PATIENCE;
        loop {
            self.advance()?;
            if let Some(step) = self.steps.pop_front() {
                return Ok(step);
            }
            if let Some(why) = self.ended()? {
                return Ok(Step::Done(why));
            }
            let due = self.due();
            match timeout_at(due.min(bound), self.link.next()).await {
                Ok(event) => self.happened(event)?,
                Err(_) if Instant::now() >= bound => return Ok(Step::Wait { until: due }),
                Err(_) => {}
            }
        }
    }

    /// Ends the client and gives the whole device, sealed, to be restored elsewhere ([`Builder::restore`]). The
    /// folder does not open any more from then on, even if the bytes are lost: store them at once.
    ///
    /// # Errors
    /// [`ClientError::Io`]; the folder is as it was then.
    pub fn save(self, key: &StorageKey) -> Result<Vec<u8>, ClientError> {
        let Self { home: Home { folder, storage_key, .. }, device, link, .. } = self;
        drop((link, device));
        let vault = Vault::open(&folder)?;
        let sealed = Bundle::pack(&vault, storage_key.as_ref())?.seal(key);
        // First the mark: bytes that are out beside a folder that opens would be two devices.
        vault.mark_moved()?;
        Ok(sealed)
    }

    fn ended(&self) -> Result<Option<Why>, ClientError> {
        match self.ending {
            Some(Ending::Replaced) => Err(ClientError::Replaced),
            Some(Ending::Evicted) => Ok(Some(Why::Evicted)),
            None if self.is_full() => Ok(Some(Why::Rounds)),
            None => Ok(None),
        }
    }

    /// Whether as many rounds are over as were asked for.
    pub(crate) fn is_full(&self) -> bool {
        self.options.rounds.is_some_and(|rounds| self.finished >= rounds)
    }

    /// Everything that is due, without waiting.
    fn advance(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        let later = self.wakes.split_off(&(now + Duration::from_nanos(1)));
        if !std::mem::replace(&mut self.wakes, later).is_empty() {
            lasting(self.device.wake(self.time()))?;
        }
        if self.poll <= now && self.up.is_some() {
            self.ask()?;
        }
        self.ask_for_checkpoint(now);
        self.perform()?;
        self.expire(now);
        self.take_up_when_idle()?;
        self.transfer(now);
        self.link.trains(self.work.as_ref().is_some_and(Work::trains));
        Ok(())
    }

    /// When something is due.
    fn due(&self) -> Instant {
        let up = self.up.is_some();
        let work = self.work.as_ref();
        let transfer = work.and_then(Work::again).filter(|_| up);
        let poll = up.then_some(self.poll);
        let log = self.log.due().filter(|_| up);
        let times = [self.wakes.first().copied(), transfer, poll, log, work.and_then(Work::ends)];
        times.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + POLL)
    }

    /// The device's clock.
    pub(crate) fn time(&self) -> Time {
        Time(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// A time of the device's clock.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        // Far beyond the life of any round key: an Instant must not overflow.
        self.begun + Duration::from_millis(time.0.min(u64::from(u32::MAX) * 1000))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({}, connected: {})", self.id(), self.is_connected())
    }
}

/// What is left of a device's error: only what is final. A fault costs the frame, a misuse nothing.
pub(crate) fn lasting<T>(outcome: Result<T, DeviceError>) -> Result<Option<T>, ClientError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error @ (DeviceError::Store(_) | DeviceError::Stopped)) => Err(ClientError::Device(error)),
        Err(DeviceError::Fault(_) | DeviceError::Misuse(_) | DeviceError::Contribute(_)) => Ok(None),
    }
}

/// Longest wait of a tick.
const PATIENCE: Duration = Duration::from_secs(1);
/// Nudges say when to poll; in case one got lost, this long after the last poll.
pub(crate) const POLL: Duration = Duration::from_secs(60);
