//! Enrolment: a token for a place in the registry ([REG-2]).
//!
//! ```text
//! reserve the token for this key ─▶ record ─▶ append the key, durably ─▶ note the index ─▶ Welcome
//!       database                   audit log       ledger                    database
//! ```
//!
//! A crash after any step leaves a request that, repeated with the same key and token, gets the one answer. The ledger
//! is the truth: a key that is in it is enrolled, whatever the database says.

use std::collections::BTreeSet;

use quorate_crypto::hash::Digest;
use quorate_keys::EnrolmentRequest;
use quorate_keys::audit::{Fact, Value, What};
use quorate_transport::{Refusal, Welcome};
use tokio::sync::oneshot;

use super::NodeError;
use super::task::{Task, tolerable, wall};
use crate::audit::{self, Particulars};
use crate::service::Greeting;
use crate::store::{NewNode, Reservation, Store, StoreError};

/// Who may enrol.
pub(super) struct Rules {
    /// Whether only keys of the allow-list may.
    pub(super) allow_list: bool,
    /// Most parties.
    pub(super) most: u32,
}

/// A request that waits.
pub(super) struct Enrolment {
    pub(super) request: Box<EnrolmentRequest>,
    pub(super) answer: oneshot::Sender<Result<Welcome, Refusal>>,
}

impl<S: Store> Task<S> {
    /// Answers all requests that wait.
    pub(super) async fn enrol_all(&mut self) -> Result<(), NodeError> {
        let mut requests = Vec::new();
        for Enrolment { request, answer } in std::mem::take(&mut self.enrolments) {
            let entitled = self.entitled(&request).await.unwrap_or_else(|_| {
                crate::events::store_failed("enrolment");
                Err(Refusal::Failed)
            });
            if entitled == Ok(true) {
                let facts = Particulars::from([(Fact::PublicKey, Value::Key(request.key.clone()))]);
                self.note(What::PartyEnrolled, audit::identity(), "a token entitles it", facts);
            }
            requests.push((request, answer, entitled));
        }
        let recorded = requests.is_empty() || self.recorded();
        for (request, answer, entitled) in requests {
            let outcome = match entitled {
                Ok(true) if !recorded => Err(Refusal::Failed),
                Ok(_) => self.enter(&request).await?.and_then(|index| self.welcome(index)),
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = outcome {
                crate::events::enrolment_refused(refusal);
                self.shared.count(|tally| tally.enrolments_refused += 1);
            }
            // Whoever has left meanwhile asks again.
            let _ = answer.send(outcome);
        }
        Ok(())
    }

    /// Whether the request may enrol its key, and whether that would be new; from then on the token is this key's.
    async fn entitled(&self, request: &EnrolmentRequest) -> Result<Result<bool, Refusal>, StoreError> {
        let Some(coordinator) = self.service.coordinator() else { return Ok(Err(Refusal::Failed)) };
        let registry = coordinator.registry();
        if request.verify_possession(registry.deployment()).is_err() {
            return Ok(Err(Refusal::Invalid));
        }
        let (token, key) = (request.token.hash(), request.key.key_hash());
        let known = registry.find(&key);
        let full = self.renewals.count(registry.len()) >= self.rules.most as usize;
        if known.is_some_and(|id| self.shared.evicted().contains(&id.index)) || (known.is_none() && full) {
            return Ok(Err(Refusal::Token));
        }
        if self.rules.allow_list && !self.store.allowed(key).await? {
            return Ok(Err(Refusal::Token));
        }
        Ok(match self.store.token_reserve(token, key, wall()).await? {
            Reservation::New | Reservation::Again(_) => Ok(known.is_none()),
            Reservation::Refused(_) => Err(Refusal::Token),
        })
    }

    /// The key's index: the one it has, or a new one.
    async fn enter(&mut self, request: &EnrolmentRequest) -> Result<Result<u32, Refusal>, NodeError> {
        let key: Digest = request.key.key_hash();
        let known = self.service.coordinator().and_then(|coordinator| coordinator.registry().find(&key));
        let id = match known {
            Some(id) => id,
            None => match self.service.enrol(request.key.clone()) {
                Ok(id) => id,
                Err(error) => {
                    tolerable(error)?;
                    return Ok(Err(Refusal::Failed));
                }
            },
        };
        if let Some(coordinator) = self.service.coordinator() {
            self.shared.grow(coordinator.registry().keys());
        }
        if self.note_row(key, (request.token.hash(), id.index)).await.is_err() {
            crate::events::store_failed("enrolment");
        }
        if known.is_none() {
            self.key_event(|keeper, at| keeper.enrolled(at, id.index, &request.key));
            crate::events::enrolled(id.index);
            self.shared.count(|tally| tally.enrolled += 1);
            self.drawn = None;
            self.changed();
        }
        Ok(Ok(id.index))
    }

    /// Rows of an enrolment; a crash before them leaves them to the party's next try.
    async fn note_row(&self, key_hash: Digest, (token, index): (Digest, u32)) -> Result<(), StoreError> {
        let site = self.store.token_of(key_hash).await?.map(|row| row.site).unwrap_or_default();
        self.store.node_enrolled(&NewNode { index, key_hash, site, enrolled: wall() }).await?;
        self.store.token_used(token, index, wall()).await
    }

    /// Rows of parties that a crash left without: only who has one can be evicted.
    pub(super) async fn note_missing(&self) -> Result<(), StoreError> {
        let Some(coordinator) = self.service.coordinator() else { return Ok(()) };
        let noted: BTreeSet<u32> = self.store.nodes().await?.into_iter().map(|node| node.index).collect();
        for (index, key) in (0..).zip(coordinator.registry().keys()) {
            if noted.contains(&index) {
                continue;
            }
            let key_hash = key.key_hash();
            let token = self.store.token_of(key_hash).await?;
            let site = token.as_ref().map(|row| row.site.clone()).unwrap_or_default();
            self.store.node_enrolled(&NewNode { index, key_hash, site, enrolled: wall() }).await?;
            if let Some(token) = token {
                self.store.token_used(token.hash, index, wall()).await?;
            }
        }
        Ok(())
    }

    fn welcome(&self, index: u32) -> Result<Welcome, Refusal> {
        let Greeting { founding, keys, head, proof } = self.service.welcome(index).ok_or(Refusal::Failed)?;
        Ok(Welcome { name: self.name.clone(), coordinator: founding, keys, index, head, proof })
    }
}
