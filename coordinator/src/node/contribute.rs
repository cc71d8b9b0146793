//! Contributions: folded one by one, receipts for many at a time.
//!
//! ```text
//! endpoint's tasks: written and synchronised (hub.rs) ─▶ folded, named ─▶ names synchronised ─▶ receipts
//!                   32 at a time                          the node         once a batch
//! ```

use quorate_protocol::error::FaultKind;
use quorate_transport::Refusal;
use tokio::sync::oneshot;

use super::NodeError;
use super::task::{Task, tolerable};
use crate::service::ServiceError;
use crate::spool::Staged;
use crate::store::Store;

/// Where a contribution's answer goes, and what it will be.
pub(super) type Receipt = (oneshot::Sender<Result<(), Refusal>>, Result<(), Refusal>);

impl<S: Store> Task<S> {
    /// Folds a contribution; its receipt waits until its name is durable.
    pub(super) async fn contribution(&mut self, staged: &Staged) -> Result<Result<(), Refusal>, NodeError> {
        let outcome = self.service.handle_staged(self.now(), staged);
        let verdict = match &outcome {
            Ok(()) => Ok(()),
            Err(ServiceError::Fault(fault)) => {
                self.count_refused(&fault.kind);
                Err(match fault.kind {
                    FaultKind::Late | FaultKind::StaleRound | FaultKind::OutOfTurn => Refusal::NotNow,
                    _ => Refusal::Invalid,
                })
            }
            Err(ServiceError::Misuse(_)) => Err(Refusal::NotNow),
            Err(_) => Err(Refusal::Failed),
        };
        outcome.or_else(tolerable)?;
        if verdict.is_ok() {
            let bytes = staged.vector.len() as u64;
            self.shared.count(|tally| tally.vector_bytes += bytes);
        }
        self.perform().await?;
        Ok(verdict)
    }

    /// Gives receipts for all contributions that were folded, once they are durable.
    pub(super) async fn settle_receipts(&mut self) -> Result<(), NodeError> {
        if self.receipts.is_empty() {
            return Ok(());
        }
        let outcome = self.service.settle();
        let failed = outcome.is_err();
        outcome.or_else(tolerable)?;
        for (answer, verdict) in std::mem::take(&mut self.receipts) {
            let verdict = if failed { verdict.and(Err(Refusal::Failed)) } else { verdict };
            // Whoever has left meanwhile asks again.
            let _ = answer.send(verdict);
        }
        self.perform().await
    }
}
