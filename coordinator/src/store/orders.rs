//! Orders about keys in SQLite: submitted once, ended once.

use quorate_crypto::hash::Digest;
use sqlx_core::query::query;
use sqlx_sqlite::Sqlite;

use super::enrolment::bytes;
use super::rows::OrderRow;
use super::sqlite::{SqliteStore, number};
use super::{Change, StoreError};

type Done<T> = Result<T, StoreError>;

impl SqliteStore {
    pub(super) async fn submit_order(&self, digest: Digest, body: &str, now: u64) -> Done<Change> {
        let sql = "INSERT INTO key_orders (digest, body, submitted) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
        let insert = query::<Sqlite>(sql).bind(bytes(&digest)).bind(body).bind(number(now)?);
        let done = insert.execute(&self.pool).await?;
        Ok(if done.rows_affected() == 1 { Change::Done } else { Change::Already })
    }

    pub(super) async fn all_orders(&self, open: bool) -> Done<Vec<OrderRow>> {
        let sql = if open {
            "SELECT * FROM key_orders WHERE ended IS NULL ORDER BY submitted, digest"
        } else {
            "SELECT * FROM key_orders ORDER BY submitted, digest"
        };
        let rows = query::<Sqlite>(sql).fetch_all(&self.pool).await?;
        rows.iter().map(OrderRow::read).collect()
    }

    pub(super) async fn end_order(&self, digest: Digest, now: u64, outcome: &str) -> Done<()> {
        let sql = "UPDATE key_orders SET ended = ?2, outcome = ?3 WHERE digest = ?1 AND ended IS NULL";
        let update = query::<Sqlite>(sql).bind(bytes(&digest)).bind(number(now)?).bind(outcome);
        let done = update.execute(&self.pool).await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }
}
