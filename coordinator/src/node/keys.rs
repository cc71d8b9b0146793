//! Lists of keys taken into force by a running coordinator ([KEY-1], [KEY-2]).
//!
//! ```text
//! Node::publish ─ Command ─▶ waits ─ neither round nor ceremony ─▶ Service::publish_keys ─▶ everybody connected
//!                             └ Urgency::AtOnce: what is under way is cancelled
//! ```

use quorate_crypto::sign::SigningKey;
use quorate_keys::SignedKeyList;
use quorate_protocol::coordinator::KeysError;
use thiserror::Error;
use tokio::sync::oneshot;

use super::task::{Task, tolerable};
use super::{Node, NodeError};
use crate::hub::Command;
use crate::service::ServiceError;
use crate::store::Store;

/// Whether a list waits for the end of what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It does: no round is lost.
    BetweenRounds,
    /// The key in force is in other hands: the round or ceremony is cancelled ([KL-10]).
    AtOnce,
}

/// A list, and the successor's key where it names another active one.
pub struct Publication {
    /// The list.
    pub list: SignedKeyList,
    /// The successor's key, durable already.
    pub identity: Option<SigningKey>,
    /// Whether it waits.
    pub urgency: Urgency,
}

/// Why a list was not taken into force.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The list, or the key.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The coordinator stops, or has stopped.
    #[error("the coordinator does not run any more")]
    Stopped,
}

/// A publication that waits.
pub(crate) struct Waiting {
    pub(crate) publication: Box<Publication>,
    pub(crate) answer: oneshot::Sender<Result<(), PublishError>>,
}

impl Node {
    /// Takes a list of keys into force; comes back when it is, and everything is signed by its active key.
    ///
    /// # Errors
    /// [`PublishError`]; nothing has changed then.
    pub async fn publish(&self, publication: Publication) -> Result<(), PublishError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { publication: Box::new(publication), answer };
        self.commands.send(Command::Publish(waiting)).await.map_err(|_| PublishError::Stopped)?;
        answered.await.unwrap_or(Err(PublishError::Stopped))
    }
}

impl<S: Store> Task<S> {
    /// Takes in a publication; one that cannot wait ends what is under way.
    pub(super) fn publish_soon(&mut self, waiting: Waiting) -> Result<(), NodeError> {
        if waiting.publication.urgency == Urgency::AtOnce {
            self.service.cancel(self.now()).or_else(tolerable)?;
        }
        self.publications.push_back(waiting);
        Ok(())
    }

    /// Between rounds: takes what waits into force; whether there was something.
    pub(super) fn publish_waiting(&mut self) -> Result<bool, NodeError> {
        if !self.publications.is_empty() {
            self.end_session()?;
        }
        let Some(Waiting { publication, answer }) = self.publications.pop_front() else { return Ok(false) };
        let Publication { list, identity, .. } = *publication;
        let outcome = match self.service.publish_keys(list, identity) {
            Ok(()) => Ok(()),
            Err(ServiceError::Keys(error)) => Err(error.into()),
            Err(ServiceError::Misuse(misuse)) => Err(KeysError::Misuse(misuse).into()),
            Err(error) => {
                tolerable(error)?;
                Err(PublishError::Stopped)
            }
        };
        self.drawn = None;
        self.changed();
        // Who has asked may have left.
        let _ = answer.send(outcome);
        Ok(true)
    }
}
