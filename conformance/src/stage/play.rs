//! The hands of a script: it announces, sends, and waits until the subject does something.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{DeploymentId, EnrolmentToken, TokenBook, token_text};
use quorate_protocol::manifest::Manifest;
use quorate_protocol::wire::{self, Message, Poll, RosterRequest, RoundKey};
use quorate_transport::{Authority, FrameSender, Limits, Server};
use rand_core::UnwrapErr;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::desk::{Desk, Event, Facts};
use super::hall::{Founding, Hall};
use crate::error::KitError;

/// Randomness of the operating system.
pub(crate) type Coins = UnwrapErr<SysRng>;

/// A scripted coordinator with its subject enrolled.
pub(crate) struct Stage {
    pub(crate) hall: Hall,
    pub(crate) log: Vec<Event>,
    pub(crate) coins: Coins,
    /// How long the subject has for anything it must do.
    pub(crate) patience: Duration,
    desk: Desk,
    _server: Server<Desk>,
    events: UnboundedReceiver<Event>,
    sender: Option<FrameSender>,
    manifest: Option<Manifest>,
    roster: Option<Vec<u8>>,
    seen: u64,
    /// All frames in order, as a recording has them.
    pub(crate) tape: Vec<String>,
}

/// Where a subject has to connect, and with what.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) pin: String,
    pub(crate) token: String,
    founding: Founding,
    desk: Desk,
    server: Server<Desk>,
    events: UnboundedReceiver<Event>,
}

impl Door {
    /// Opens an endpoint on this machine.
    pub(crate) fn open() -> Result<Self, KitError> {
        let mut coins = UnwrapErr(SysRng);
        let founding = Founding::new(&mut coins);
        let mut book = TokenBook::new();
        let token: EnrolmentToken = book.issue(&mut coins);
        let deployment: DeploymentId = *founding.registry.deployment();
        let authority =
            Authority::generate(deployment, founding.coordinator.public()).map_err(KitError::endpoint)?;
        let (sender, events) = unbounded_channel();
        let key = SigningKey::from_bytes(&founding.coordinator.to_bytes());
        let desk = Desk::new(founding.registry.clone(), book, key, sender);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server =
            Server::bind(any, authority, Limits::default(), desk.clone()).map_err(KitError::endpoint)?;
        Ok(Self {
            address: server.local_address().map_err(KitError::endpoint)?,
            pin: server.pin().to_string(),
            token: token_text(&token).to_string(),
            founding,
            desk,
            server,
            events,
        })
    }

    /// Waits until the subject has enrolled.
    pub(crate) async fn enter(self, patience: Duration) -> Result<Stage, KitError> {
        let Self { mut founding, desk, server, mut events, .. } = self;
        let enrolled = timeout(patience, async {
            loop {
                match events.recv().await {
                    Some(Event::Enrolled(id)) => return Some(id),
                    Some(_) => {}
                    None => return None,
                }
            }
        });
        let subject = enrolled.await.ok().flatten().ok_or(KitError::Absent)?;
        founding.registry = desk.with(|facts| facts.registry.clone());
        let mut coins = UnwrapErr(SysRng);
        let hall = Hall::begin(founding, subject, &mut coins).ok_or(KitError::Script)?;
        desk.with(|facts| facts.models.push(hall.model.clone().into()));
        Ok(Stage {
            hall,
            log: Vec::new(),
            coins,
            patience,
            desk,
            _server: server,
            events,
            sender: None,
            manifest: None,
            roster: None,
            seen: 0,
            tape: Vec::new(),
        })
    }
}

impl Stage {
    /// Changes how the endpoint behaves.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Facts)) {
        self.desk.with(change);
    }

    /// The first line of a recording: by whom things must be signed.
    pub(crate) fn head(&self) -> String {
        let keys: Vec<String> = (0..)
            .zip(self.hall.registry.keys())
            .map(|(index, key): (u32, _)| format!("\"{index}\":\"{}\"", Hex(key.as_bytes())))
            .collect();
        let coordinator = Hex(self.hall.coordinator.public().as_bytes());
        format!("{{\"coordinator\":\"{coordinator}\",\"keys\":{{{}}}}}", keys.join(","))
    }

    /// What follows is looked for from here on.
    pub(crate) fn mark(&self) -> usize {
        self.log.len()
    }

    /// Announces a manifest: a word to poll, and the announcement for whoever polls from now on.
    pub(crate) fn announce(&mut self, manifest: Manifest) {
        (self.manifest, self.roster) = (Some(manifest), None);
        if let Some(sender) = &self.sender {
            let _ = sender.nudge();
        }
    }

    /// The roster for who asks for it, and at once.
    pub(crate) fn give_roster(&mut self, frame: Vec<u8>) {
        self.send(&frame);
        self.roster = Some(frame);
    }

    /// Sends one frame, if the subject is connected.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.tape.push(line(None, frame));
        if let Some(sender) = &self.sender {
            let _ = sender.send(Arc::from(frame));
        }
    }

    /// Waits until something is found in the log at or after a mark.
    pub(crate) async fn until<T>(&mut self, mark: usize, find: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let end = Instant::now() + self.patience;
        let mut next = mark;
        loop {
            while let Some(event) = self.log.get(next) {
                if let Some(found) = find(event) {
                    return Some(found);
                }
                next += 1;
            }
            let left = end.saturating_duration_since(Instant::now());
            let event = timeout(left, self.events.recv()).await.ok().flatten()?;
            self.take(event);
        }
    }

    /// Whether something is in the log at or after a mark, without waiting.
    pub(crate) fn has(&self, mark: usize, find: impl Fn(&Event) -> bool) -> bool {
        self.log.iter().skip(mark).any(find)
    }

    fn take(&mut self, event: Event) {
        if let Event::Frame(frame) | Event::Contribution { frame, .. } = &event {
            self.tape.push(line(Some(self.hall.subject.index), frame));
        }
        match &event {
            Event::Connected(sender) => self.sender = Some(sender.clone()),
            Event::Frame(frame) => self.answer(frame),
            _ => {}
        }
        self.log.push(event);
    }

    /// What every coordinator answers by itself.
    fn answer(&mut self, frame: &[u8]) {
        match wire::split(frame) {
            Ok((Poll::TYPE, _, body)) => {
                if let Ok(poll) = wire::decode_body::<Poll>(body) {
                    self.seen = poll.seen;
                }
                if let Some(manifest) = &self.manifest {
                    let frame = self.hall.announcement(manifest, self.seen);
                    self.send(&frame);
                }
            }
            Ok((RosterRequest::TYPE, round, _)) => {
                if let (Some(roster), Some(manifest)) = (self.roster.clone(), &self.manifest)
                    && manifest.round == round
                {
                    self.send(&roster);
                }
            }
            _ => {}
        }
    }

    /// Size of the head the subject said it has seen.
    pub(crate) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Waits for a frame of a type and round.
    pub(crate) async fn frame<T: Message>(&mut self, mark: usize, round: u64) -> Option<T> {
        self.until(mark, |event| of::<T>(event, round)).await
    }

    /// Waits for the subject's contribution to a round: frame and vector.
    pub(crate) async fn contribution(&mut self, mark: usize, round: u64) -> Option<(Vec<u8>, Vec<u8>)> {
        self.until(mark, |event| match event {
            Event::Contribution { round: of, frame, vector } if *of == round => {
                Some((frame.clone(), vector.clone()))
            }
            _ => None,
        })
        .await
    }

    /// Announces this honest manifest and waits for its round key: whatever was sent before has been dealt with then
    /// ([WIRE-4]).
    pub(crate) async fn settle(&mut self, manifest: Manifest) -> Option<RoundKey> {
        let (mark, round) = (self.mark(), manifest.round);
        self.announce(manifest);
        self.frame::<RoundKey>(mark, round).await
    }
}

/// A line of a recording: who sent this frame.
pub(crate) fn line(from: Option<u32>, frame: &[u8]) -> String {
    let hex = Hex(frame);
    match from {
        Some(index) => format!("{{\"from\":{index},\"frame\":\"{hex}\"}}"),
        None => format!("{{\"from\":\"coordinator\",\"frame\":\"{hex}\"}}"),
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The message of a type and round that an event is, if it is one.
pub(crate) fn of<T: Message>(event: &Event, round: u64) -> Option<T> {
    let Event::Frame(frame) = event else { return None };
    match wire::split(frame) {
        Ok((kind, number, body)) if kind == T::TYPE && number == round => wire::decode_body(body).ok(),
        _ => None,
    }
}
