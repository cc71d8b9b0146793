//! The admin API's view of a running node: its status and counts, and the rows of the database.

use std::sync::Arc;

use quorate_transport::Counts;

use super::{AdminSource, Unavailable};
use crate::node::View;
use crate::rows::{ModelQuery, ModelRow, NodeRow, RoundOutcome, RoundQuery, RoundRow};
use crate::status::{Status, Tally};
use crate::store::{self, Outcome, SqliteStore, Store as _, StoreError};

/// A node and its database.
pub struct NodeSource {
    /// The node.
    pub view: View,
    /// Its database, by a connection of its own.
    pub store: SqliteStore,
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
        self.view.status()
    }

    fn tally(&self) -> Tally {
        self.view.tally()
    }

    fn counts(&self) -> Counts {
        self.view.counts()
    }

    async fn rounds(&self, query: RoundQuery) -> Result<Vec<RoundRow>, Unavailable> {
        let rows = self.store.rounds(query.job.as_deref(), query.before, query.limit()).await;
        Ok(rows.map_err(unavailable)?.into_iter().map(round).collect())
    }

    async fn round(&self, number: u64) -> Result<Option<RoundRow>, Unavailable> {
        Ok(self.store.round(number).await.map_err(unavailable)?.map(round))
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, Unavailable> {
        let status = self.view.status();
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

    async fn models(&self, query: ModelQuery) -> Result<Vec<ModelRow>, Unavailable> {
        let names: Vec<String> =
            query.job.map_or_else(|| self.view.status().jobs.keys().cloned().collect(), |job| vec![job]);
        let mut rows = Vec::new();
        for name in names {
            let known = self.store.models(&name).await.map_err(unavailable)?;
            rows.extend(known.into_iter().filter(|row| row.removed.is_none()).map(model));
        }
        Ok(rows)
    }
}
