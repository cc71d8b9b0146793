//! [`Store`] in SQLite: rounds and models, and the trait itself.

use std::collections::BTreeSet;

use quorate_crypto::hash::Digest;
use sqlx_core::query::query;
use sqlx_core::row::Row as _;
use sqlx_sqlite::Sqlite;

use super::enrolment::{bytes, conflict};
use super::rows::{ModelRow, NodeRow, OrderRow, RoundBegun, RoundEnded, RoundRow, TokenRow};
use super::sqlite::{SqliteStore, number};
use super::{Change, NewNode, NewToken, Reservation, Store, StoreError};

type Done<T> = Result<T, StoreError>;

impl Store for SqliteStore {
    async fn token_create(&self, token: &NewToken) -> Done<()> {
        self.create_tokens(std::slice::from_ref(token)).await
    }

    async fn tokens_create(&self, tokens: &[NewToken]) -> Done<()> {
        self.create_tokens(tokens).await
    }

    async fn tokens(&self) -> Done<Vec<TokenRow>> {
        self.all_tokens().await
    }

    async fn token_revoke(&self, hash: Digest, now: u64) -> Done<Change> {
        self.revoke_token(hash, now).await
    }

    async fn token_reserve(&self, hash: Digest, key_hash: Digest, now: u64) -> Done<Reservation> {
        self.reserve_token(hash, key_hash, now).await
    }

    async fn token_used(&self, hash: Digest, index: u32, now: u64) -> Done<()> {
        self.use_token(hash, index, now).await
    }

    async fn token_of(&self, key_hash: Digest) -> Done<Option<TokenRow>> {
        self.token_by_key(key_hash).await
    }

    async fn order_submit(&self, digest: Digest, body: &str, now: u64) -> Done<Change> {
        self.submit_order(digest, body, now).await
    }

    async fn orders(&self, open: bool) -> Done<Vec<OrderRow>> {
        self.all_orders(open).await
    }

    async fn order_end(&self, digest: Digest, now: u64, outcome: &str) -> Done<()> {
        self.end_order(digest, now, outcome).await
    }

    async fn allow_add(&self, key_hash: Digest, now: u64) -> Done<Change> {
        self.add_allowed(key_hash, now).await
    }

    async fn allow_remove(&self, key_hash: Digest) -> Done<Change> {
        self.remove_allowed(key_hash).await
    }

    async fn allow_list(&self) -> Done<Vec<Digest>> {
        self.all_allowed().await
    }

    async fn allowed(&self, key_hash: Digest) -> Done<bool> {
        self.is_allowed(key_hash).await
    }

    async fn node_enrolled(&self, node: &NewNode) -> Done<()> {
        self.enrol_node(node).await
    }

    async fn node_evict(&self, index: u32, now: u64, reason: &str) -> Done<Change> {
        self.evict_node(index, now, reason).await
    }

    async fn nodes(&self) -> Done<Vec<NodeRow>> {
        self.all_nodes().await
    }

    async fn node(&self, index: u32) -> Done<Option<NodeRow>> {
        self.one_node(index).await
    }

    async fn evicted(&self) -> Done<BTreeSet<u32>> {
        self.all_evicted().await
    }

    async fn round_begun(&self, round: &RoundBegun) -> Done<()> {
        let sql = "INSERT INTO rounds (number, job, mode, started, invited) VALUES (?, ?, ?, ?, ?)";
        let insert = query::<Sqlite>(sql)
            .bind(number(round.number)?)
            .bind(&round.job)
            .bind(round.mode)
            .bind(number(round.started)?)
            .bind(i64::from(round.invited));
        insert.execute(&self.pool).await.map(|_| ()).map_err(conflict)
    }

    async fn round_ended(&self, round: &RoundEnded) -> Done<()> {
        let sql = "UPDATE rounds SET ended = ?2, outcome = ?3, reason = ?4, accepted = ?5, included = ?6,
                   root = ?7, version = ?8 WHERE number = ?1 AND ended IS NULL";
        let update = query::<Sqlite>(sql)
            .bind(number(round.number)?)
            .bind(number(round.ended)?)
            .bind(round.outcome.name())
            .bind(&round.reason)
            .bind(i64::from(round.accepted))
            .bind(i64::from(round.included))
            .bind(round.root.as_ref().map(bytes))
            .bind(round.version.map(number).transpose()?);
        let done = update.execute(&self.pool).await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    async fn rounds(&self, job: Option<&str>, before: Option<u64>, limit: u32) -> Done<Vec<RoundRow>> {
        let sql = "SELECT * FROM rounds WHERE (?1 IS NULL OR job = ?1) AND (?2 IS NULL OR number < ?2)
                   ORDER BY number DESC LIMIT ?3";
        let before = before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
        let select =
            query::<Sqlite>(sql).bind(job.map(ToOwned::to_owned)).bind(before).bind(i64::from(limit));
        select.fetch_all(&self.pool).await?.iter().map(RoundRow::read).collect()
    }

    async fn round(&self, round: u64) -> Done<Option<RoundRow>> {
        let Ok(round) = number(round) else { return Ok(None) };
        let select = query::<Sqlite>("SELECT * FROM rounds WHERE number = ?").bind(round);
        select.fetch_optional(&self.pool).await?.as_ref().map(RoundRow::read).transpose()
    }

    async fn round_counts(&self, job: &str) -> Done<(u64, u64)> {
        let sql = "SELECT COALESCE(SUM(outcome = 'opened'), 0), COALESCE(SUM(outcome <> 'opened'), 0)
                   FROM rounds WHERE job = ? AND ended IS NOT NULL";
        let row = query::<Sqlite>(sql).bind(job.to_owned()).fetch_one(&self.pool).await?;
        let count = |at: usize| u64::try_from(row.try_get::<i64, _>(at)?).map_err(|_| StoreError::Row);
        Ok((count(0)?, count(1)?))
    }

    async fn rounds_trim(&self, keep: u32) -> Done<u64> {
        let sql = "DELETE FROM rounds WHERE ended IS NOT NULL AND number NOT IN
                   (SELECT number FROM rounds ORDER BY number DESC LIMIT ?)";
        Ok(query::<Sqlite>(sql).bind(i64::from(keep)).execute(&self.pool).await?.rows_affected())
    }

    async fn model_added(&self, model: &ModelRow) -> Done<()> {
        let sql = "INSERT INTO models (job, version, hash, round, created, bytes) VALUES (?, ?, ?, ?, ?, ?)
                   ON CONFLICT (job, version) DO NOTHING";
        let insert = query::<Sqlite>(sql)
            .bind(&model.job)
            .bind(number(model.version)?)
            .bind(bytes(&model.hash))
            .bind(number(model.round)?)
            .bind(number(model.created)?)
            .bind(number(model.bytes)?);
        if insert.execute(&self.pool).await?.rows_affected() == 1 {
            return Ok(());
        }
        let select = query::<Sqlite>("SELECT * FROM models WHERE job = ? AND version = ?")
            .bind(&model.job)
            .bind(number(model.version)?);
        let there = ModelRow::read(&select.fetch_one(&self.pool).await?)?;
        if there.hash == model.hash { Ok(()) } else { Err(StoreError::Conflict) }
    }

    async fn models(&self, job: &str) -> Done<Vec<ModelRow>> {
        let sql = "SELECT * FROM models WHERE job = ? ORDER BY version DESC";
        let rows = query::<Sqlite>(sql).bind(job.to_owned()).fetch_all(&self.pool).await?;
        rows.iter().map(ModelRow::read).collect()
    }

    async fn model_removed(&self, job: &str, version: u64, now: u64) -> Done<()> {
        let sql = "UPDATE models SET removed = ?3 WHERE job = ?1 AND version = ?2 AND removed IS NULL";
        let update = query::<Sqlite>(sql).bind(job.to_owned()).bind(number(version)?).bind(number(now)?);
        update.execute(&self.pool).await?;
        Ok(())
    }
}
