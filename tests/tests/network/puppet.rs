//! A real device on a real connection, moved by the test alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_crypto::sign::SigningKey;
use quorate_keys::EnrolmentToken;
use quorate_participant::{Action, Device, DeviceError};
use quorate_protocol::announce::Membership;
use quorate_protocol::id::Time;
use quorate_protocol::wire::{self, Announce, Message as _};
use quorate_transport::{Connector, Enrolled, Incoming, Session, TransportError};
use tokio::time::timeout;

use crate::world::World;

/// A contribution: round, frame, vector.
pub type Parcel = (u64, Arc<[u8]>, Arc<[u8]>);

pub struct Puppet {
    pub enrolled: Enrolled,
    pub identity: Arc<SigningKey>,
    pub connector: Connector,
    pub session: Session,
    pub folder: PathBuf,
    pub device: Option<Device>,
    pub parcel: Option<Parcel>,
    pub counted: Vec<u64>,
    /// The last announcement.
    pub announced: Option<Vec<u8>>,
    pub refused: Vec<DeviceError>,
    begun: Instant,
}

/// A puppet without a connection.
pub struct Away {
    enrolled: Enrolled,
    identity: Arc<SigningKey>,
    connector: Connector,
    folder: PathBuf,
    device: Option<Device>,
    announced: Option<Vec<u8>>,
}

impl Away {
    /// Connects again, and asks what there is.
    pub async fn back(self) -> Puppet {
        let Self { enrolled, identity, connector, folder, device, announced } = self;
        let certificate = connector.certify(enrolled.id, &identity).await.unwrap();
        let session = connector.connect(&certificate).await.unwrap();
        let (parcel, counted, refused, begun) = (None, Vec::new(), Vec::new(), Instant::now());
        let mut puppet = Puppet {
            enrolled,
            identity,
            connector,
            session,
            folder,
            device,
            parcel,
            counted,
            announced,
            refused,
            begun,
        };
        puppet.device.as_mut().unwrap().poll().unwrap();
        puppet
    }
}

/// The key of a party that keeps no rules.
pub fn identity(at: u32) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_bytes(&[100 + at as u8; 32]))
}

impl World {
    /// Enrols with this party's token and connects; there is a device, but nobody moves it.
    pub async fn puppet(&self, at: u32) -> Puppet {
        let (connector, identity) = (self.connector(), identity(at));
        let token = EnrolmentToken::from_bytes(self.tokens[at as usize]);
        let enrolled = connector.enrol(&identity, token).await.unwrap();
        let certificate = connector.certify(enrolled.id, &identity).await.unwrap();
        let session = connector.connect(&certificate).await.unwrap();
        let mut puppet = Puppet {
            enrolled,
            identity,
            connector,
            session,
            folder: self.device(at),
            device: None,
            parcel: None,
            counted: Vec::new(),
            announced: None,
            refused: Vec::new(),
            begun: Instant::now(),
        };
        let folder = puppet.folder.clone();
        let device = Device::create(puppet.membership(self), Arc::clone(&self.plans), &folder).unwrap();
        puppet.device = Some(device);
        puppet
    }
}

impl Puppet {
    fn membership(&self, world: &World) -> Membership {
        Membership {
            keys: self.enrolled.keys.clone(),
            id: self.enrolled.id,
            identity: Arc::clone(&self.identity),
            policy: world.options.policy(),
            head: self.enrolled.head,
        }
    }

    /// Puts another folder in the place of the device's, and opens it.
    pub fn restore(&mut self, world: &World, from: &Path) {
        self.device = None;
        crate::world::copy(from, &self.folder);
        let device = Device::open(self.membership(world), Arc::clone(&world.plans), &self.folder).unwrap();
        (self.device, self.parcel) = (Some(device), None);
        self.perform(0.0);
    }

    /// A new connection.
    pub async fn reconnect(&mut self) {
        let certificate = self.connector.certify(self.enrolled.id, &self.identity).await.unwrap();
        self.session = self.connector.connect(&certificate).await.unwrap();
        self.device.as_mut().unwrap().poll().unwrap();
    }

    /// Takes in what comes, until the device has made its contribution with this update.
    pub async fn contribute(&mut self, update: f32) -> Parcel {
        self.device.as_mut().unwrap().poll().unwrap();
        while self.parcel.is_none() {
            for frame in self.perform(update) {
                self.session.send(&frame).await.unwrap();
            }
            if self.parcel.is_none() {
                self.listen().await;
            }
        }
        self.parcel.clone().unwrap()
    }

    /// Does all that is asked of it but uploading, and is back at once whenever its connection ends.
    pub async fn hold(mut self) {
        loop {
            while let Ok(incoming) = self.session.next().await {
                let device = self.device.as_mut().unwrap();
                let _ = match incoming {
                    Incoming::Nudge => device.poll(),
                    Incoming::Frame(frame) => {
                        device.handle(Time(self.begun.elapsed().as_millis() as u64), &frame)
                    }
                };
                for frame in self.perform(0.0) {
                    let _ = self.session.send(&frame).await;
                }
            }
            while self.try_reconnect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn try_reconnect(&mut self) -> Result<(), TransportError> {
        let certificate = self.connector.certify(self.enrolled.id, &self.identity).await?;
        self.session = self.connector.connect(&certificate).await?;
        let _ = self.device.as_mut().unwrap().poll();
        Ok(())
    }

    /// Takes in one thing.
    pub async fn listen(&mut self) {
        let incoming =
            timeout(Duration::from_secs(30), self.session.next()).await.expect("it says something");
        let device = self.device.as_mut().unwrap();
        let outcome = match incoming.unwrap() {
            Incoming::Nudge => device.poll(),
            Incoming::Frame(frame) => {
                let outcome = device.handle(Time(self.begun.elapsed().as_millis() as u64), &frame);
                if matches!(wire::split(&frame), Ok((Announce::TYPE, ..))) {
                    self.announced = Some(frame);
                }
                outcome
            }
        };
        self.refused.extend(outcome.err());
    }

    /// Waits until this round has counted.
    pub async fn see(&mut self, round: u64) {
        while !self.counted.contains(&round) {
            for frame in self.perform(0.0) {
                self.session.send(&frame).await.unwrap();
            }
            if !self.counted.contains(&round) {
                self.listen().await;
            }
        }
    }

    /// Plays its part in the round that comes next, which is this one.
    pub async fn take_part(&mut self, round: u64) {
        let index = self.enrolled.id.index;
        self.parcel = None;
        let parcel = self.contribute(World::update(index, round)).await;
        assert_eq!(parcel.0, round);
        self.upload(&parcel).await.unwrap();
        self.device.as_mut().unwrap().acknowledged().unwrap();
        self.see(round).await;
    }

    /// Takes in what comes, until this list of keys is known.
    pub async fn know(&mut self, list: u64) {
        while self.device.as_ref().unwrap().known_list() < list {
            for frame in self.perform(0.0) {
                self.session.send(&frame).await.unwrap();
            }
            self.listen().await;
        }
    }

    /// Ends the connection.
    pub fn leave(self) -> Away {
        let Self { enrolled, identity, connector, folder, device, announced, .. } = self;
        Away { enrolled, identity, connector, folder, device, announced }
    }

    /// Takes in what comes, until the device has refused something.
    pub async fn refuse(&mut self) {
        while self.refused.is_empty() {
            for frame in self.perform(0.0) {
                self.session.send(&frame).await.unwrap();
            }
            self.listen().await;
        }
    }

    /// Uploads a contribution as whoever this is.
    pub async fn upload(&self, (round, frame, vector): &Parcel) -> Result<u64, TransportError> {
        let exchanges = self.session.exchanges();
        Ok(exchanges.upload(*round, frame, vector).await?.resumed_at)
    }

    /// Performs the device's actions but uploads; gives the frames to send.
    fn perform(&mut self, update: f32) -> Vec<Arc<[u8]>> {
        let device = self.device.as_mut().unwrap();
        let mut frames = Vec::new();
        while let Some(action) = device.next_action() {
            match action {
                Action::Send { frame } => frames.push(frame),
                Action::Upload { frame, vector } => {
                    let (_, round, _) = wire::split(&frame).unwrap();
                    self.parcel = Some((round, frame, vector));
                }
                Action::Train { round } => {
                    let model = device.current().unwrap().manifest.model;
                    device.check_model_hash(round, &model).unwrap();
                    device.trained(round).unwrap();
                }
                Action::Ready { round } => {
                    let dim = device.current().unwrap().manifest.schema.dim as usize;
                    if self.parcel.is_none() {
                        device.contribute(round, &vec![update; dim], 1).unwrap();
                    }
                }
                Action::Counted { round } => self.counted.push(round),
                _ => {}
            }
        }
        frames
    }
}
