//! The endpoint of a script: it enrols one party, takes whatever comes, and notes it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::PublicKey;
use quorate_keys::{EnrolmentRequest, PartyId, Registry, TokenBook};
use quorate_protocol::manifest::model_hash;
use quorate_transport::{FrameSender, Handler, Peer, Refusal, UploadHeader, Uploaded, Welcome};
use tokio::sync::mpsc::UnboundedSender;

use super::hall::NAME;

/// What the subject did.
#[derive(Clone)]
pub(crate) enum Event {
    Enrolled(PartyId),
    Connected(FrameSender),
    Gone,
    Frame(Vec<u8>),
    /// An upload was announced for this round.
    Begun(u64),
    Contribution {
        round: u64,
        frame: Vec<u8>,
        vector: Vec<u8>,
    },
    Model(Digest),
}

/// What happens to the next contribution.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It gets its receipt.
    Given,
    /// The connection ends instead.
    Lost,
}

pub(crate) struct Facts {
    pub(crate) registry: Registry,
    pub(crate) book: TokenBook,
    pub(crate) coordinator: quorate_crypto::sign::SigningKey,
    /// Given out for every hash that is asked for, if there is any; else each model for its own hash.
    pub(crate) swapped: Option<Arc<[u8]>>,
    pub(crate) models: Vec<Arc<[u8]>>,
    pub(crate) receipt: Receipt,
    sender: Option<FrameSender>,
}

#[derive(Clone)]
pub(crate) struct Desk {
    facts: Arc<Mutex<Facts>>,
    events: UnboundedSender<Event>,
}

impl Desk {
    pub(crate) fn new(
        registry: Registry,
        book: TokenBook,
        coordinator: quorate_crypto::sign::SigningKey,
        events: UnboundedSender<Event>,
    ) -> Self {
        let facts = Facts {
            registry,
            book,
            coordinator,
            swapped: None,
            models: Vec::new(),
            receipt: Receipt::Given,
            sender: None,
        };
        Self { facts: Arc::new(Mutex::new(facts)), events }
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Facts) -> T) -> T {
        act(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, event: Event) {
        // Nobody listens any more once the script is over.
        let _ = self.events.send(event);
    }
}

impl Handler for Desk {
    async fn connected(&self, _: Peer, sender: FrameSender) {
        self.with(|facts| facts.sender = Some(sender.clone()));
        self.note(Event::Connected(sender));
    }

    async fn disconnected(&self, _: Peer) {
        self.note(Event::Gone);
    }

    async fn frame(&self, _: Peer, frame: Vec<u8>) {
        self.note(Event::Frame(frame));
    }

    async fn admit(&self, _: Peer, header: UploadHeader) -> Result<(), Refusal> {
        self.note(Event::Begun(header.round));
        Ok(())
    }

    async fn contribution(&self, _: Peer, upload: Uploaded) -> Result<(), Refusal> {
        let Uploaded { round, frame, vector } = upload;
        self.note(Event::Contribution { round, frame, vector });
        let lost = self.with(|facts| {
            let lost = facts.receipt == Receipt::Lost;
            facts.receipt = Receipt::Given;
            facts.sender.clone().filter(|_| lost)
        });
        match lost {
            Some(sender) => {
                sender.part(Duration::from_millis(50));
                Err(Refusal::Busy)
            }
            None => Ok(()),
        }
    }

    async fn model(&self, _: Peer, hash: Digest) -> Option<Arc<[u8]>> {
        self.note(Event::Model(hash));
        self.with(|facts| {
            let own = || facts.models.iter().find(|model| model_hash(model) == hash).cloned();
            facts.swapped.clone().or_else(own)
        })
    }

    async fn enrol(&self, request: EnrolmentRequest) -> Result<Welcome, Refusal> {
        let welcome = self.with(|facts| {
            let known = facts.registry.find(&request.key.key_hash());
            let Facts { registry, book, .. } = facts;
            let id = match known {
                Some(id) => id,
                None => registry.enrol(book, &request).map_err(|_| Refusal::Token)?,
            };
            let size = facts.registry.len() as u64;
            let proof = facts.registry.inclusion(id.index, size).ok_or(Refusal::Unknown)?;
            let head = facts.registry.sign_head(&facts.coordinator);
            let coordinator = facts.coordinator.public().clone();
            let name = NAME.to_owned();
            Ok((id, Welcome { name, coordinator, keys: Vec::new(), index: id.index, head, proof }))
        });
        welcome.map(|(id, welcome)| {
            self.note(Event::Enrolled(id));
            welcome
        })
    }

    async fn key(&self, index: u32) -> Option<PublicKey> {
        self.with(|facts| facts.registry.key(index).cloned())
    }
}
