//! The admin API's view of a coordinator: status and counts of its node while there is one, and the rows of the
//! database, sealed or not.

use std::sync::{Arc, PoisonError, RwLock};

use quorate_crypto::hash::Digest;
use quorate_transport::Counts;

use super::keys::{KeyBook, NotTaken, OrderRow};
use super::{AdminSource, Unavailable};
use crate::config::Config;
use crate::keeper::{Approvers, OrderError, SignedOrder};
use crate::node::View;
use crate::rows::{ModelQuery, ModelRow, NodeRow, RoundOutcome, RoundQuery, RoundRow};
use crate::status::{Status, Tally};
use crate::store::{self, Change, Outcome, SqliteStore, Store as _, StoreError};

/// A coordinator, sealed at first, and its database.
pub struct NodeSource {
    node: RwLock<State>,
    deployment: String,
    /// Whose orders are taken: the deployment's id and the approvers.
    orders: (Option<Digest>, Approvers),
    /// By a connection of its own.
    store: SqliteStore,
}

/// A node, or why there is none.
enum State {
    Open(View),
    Sealed(String),
}

impl NodeSource {
    /// Of a deployment, without a node.
    #[must_use]
    pub fn new(config: &Config, store: SqliteStore) -> Self {
        let node = RwLock::new(State::Sealed("not started".to_owned()));
        // An older program did not write the id down; then orders wait for the next start.
        let orders = (config.deployment_id().ok().map(|id| *id), config.rotation.approvers.clone());
        Self { node, deployment: config.deployment.clone(), orders, store }
    }

    fn approved(&self, order: &[u8], seconds: u64) -> Result<(Digest, String), NotTaken> {
        let signed = SignedOrder::parse(order).map_err(|_| NotTaken::Form)?;
        let (deployment, approvers) = &self.orders;
        let deployment = deployment.ok_or(NotTaken::Unavailable(Unavailable))?;
        let refused = |error: OrderError| NotTaken::NotApproved(error.to_string());
        let names = signed.approved(&deployment, approvers, seconds).map_err(refused)?;
        if names.is_empty() {
            return Err(refused(OrderError::Approvers { have: 0, need: 1 }));
        }
        let body = serde_json::to_string(&signed).map_err(|_| NotTaken::Form)?;
        Ok((signed.digest().map_err(refused)?, body))
    }

    /// A node plays from now on.
    pub fn open(&self, view: View) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = State::Open(view);
    }

    /// Lets go of the node: nothing of it is held here any more.
    pub fn seal(&self, why: &str) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = State::Sealed(why.to_owned());
    }

    fn with<T>(&self, open: impl FnOnce(&View) -> T, sealed: impl FnOnce(&str) -> T) -> T {
        match &*self.node.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(view) => open(view),
            State::Sealed(why) => sealed(why),
        }
    }
}

/// Why is for the log.
fn unavailable(_: StoreError) -> Unavailable {
    crate::events::store_failed("admin");
    Unavailable
}

fn round(row: store::RoundRow) -> RoundRow {
    let opened = row.outcome == Some(Outcome::Opened);
    RoundRow {
        number: row.number,
        job: row.job,
        mode: row.mode,
        started: row.started,
        ended: row.ended,
        outcome: row.outcome.map(|_| if opened { RoundOutcome::Opened } else { RoundOutcome::Aborted }),
        reason: row.reason,
        invited: row.invited,
        accepted: row.accepted,
        included: opened.then_some(row.included),
        set_root: row.root.map(|root| root.to_hex()),
        model_version: row.version,
    }
}

fn model(row: store::ModelRow) -> ModelRow {
    ModelRow {
        job: row.job,
        version: row.version,
        hash: row.hash.to_hex(),
        round: row.round,
        created: row.created,
        bytes: row.bytes,
    }
}

impl AdminSource for NodeSource {
    fn status(&self) -> Arc<Status> {
        self.with(View::status, |why| {
            let (deployment, why) = (self.deployment.clone(), Some(format!("sealed: {why}")));
            Arc::new(Status { deployment, why, ..Status::default() })
        })
    }

    fn tally(&self) -> Tally {
        self.with(View::tally, |_| Tally::default())
    }

    fn counts(&self) -> Counts {
        self.with(View::counts, |_| Counts::default())
    }

    async fn rounds(&self, query: RoundQuery) -> Result<Vec<RoundRow>, Unavailable> {
        let rows = self.store.rounds(query.job.as_deref(), query.before, query.limit()).await;
        Ok(rows.map_err(unavailable)?.into_iter().map(round).collect())
    }

    async fn round(&self, number: u64) -> Result<Option<RoundRow>, Unavailable> {
        Ok(self.store.round(number).await.map_err(unavailable)?.map(round))
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, Unavailable> {
        let status = self.status();
        let rows = self.store.nodes().await.map_err(unavailable)?;
        let node = |row: store::NodeRow| NodeRow {
            index: row.index,
            key_hash: row.key_hash.to_hex(),
            site: row.site,
            enrolled: row.enrolled,
            evicted: row.evicted,
            reason: row.reason,
            connected: status.connected.binary_search(&row.index).is_ok(),
        };
        Ok(rows.into_iter().map(node).collect())
    }

    fn keys(&self) -> Arc<KeyBook> {
        self.with(View::keys, |_| Arc::default())
    }

    async fn orders(&self) -> Result<Vec<OrderRow>, Unavailable> {
        let rows = self.store.orders(false).await.map_err(unavailable)?;
        Ok(rows.into_iter().map(OrderRow::from).collect())
    }

    async fn submit(&self, order: Vec<u8>, now: u64) -> Result<String, NotTaken> {
        let (digest, body) = self.approved(&order, now / 1_000)?;
        match self.store.order_submit(digest, &body, now).await.map_err(unavailable)? {
            Change::Already => Err(NotTaken::Before),
            _ => Ok(digest.to_hex()),
        }
    }

    async fn models(&self, query: ModelQuery) -> Result<Vec<ModelRow>, Unavailable> {
        let names: Vec<String> =
            query.job.map_or_else(|| self.status().jobs.keys().cloned().collect(), |job| vec![job]);
        let mut rows = Vec::new();
        for name in names {
            let known = self.store.models(&name).await.map_err(unavailable)?;
            rows.extend(known.into_iter().filter(|row| row.removed.is_none()).map(model));
        }
        Ok(rows)
    }
}
