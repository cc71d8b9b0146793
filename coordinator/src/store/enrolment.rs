//! [`Store`] in SQLite: what each call says to the database.

use std::collections::BTreeSet;

use quorate_crypto::hash::Digest;
use sqlx_core::query::query;
use sqlx_core::query_scalar::query_scalar;
use sqlx_sqlite::{Sqlite, SqliteRow};

use super::rows::{NodeRow, TokenRow, digest, small};
use super::sqlite::{SqliteStore, number};
use super::{Change, NewNode, NewToken, Reservation, StoreError, TokenRefusal};

type Done<T> = Result<T, StoreError>;

impl SqliteStore {
    /// In one transaction: a thousand tokens cost one synchronisation of the disk.
    pub(super) async fn create_tokens(&self, tokens: &[NewToken]) -> Done<()> {
        let sql =
            "INSERT INTO tokens (hash, site, created, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let mut write = self.write().await?;
        for token in tokens {
            let insert = query::<Sqlite>(sql)
                .bind(bytes(&token.hash))
                .bind(&token.site)
                .bind(number(token.created)?)
                .bind(number(token.expires)?);
            if insert.execute(&mut *write).await?.rows_affected() != 1 {
                return Err(StoreError::Conflict);
            }
        }
        write.commit().await?;
        Ok(())
    }

    pub(super) async fn all_tokens(&self) -> Done<Vec<TokenRow>> {
        let rows =
            query::<Sqlite>("SELECT * FROM tokens ORDER BY created, hash").fetch_all(&self.pool).await?;
        rows.iter().map(TokenRow::read).collect()
    }

    pub(super) async fn revoke_token(&self, hash: Digest, now: u64) -> Done<Change> {
        let sql = "UPDATE tokens SET revoked = ?2 WHERE hash = ?1 AND revoked IS NULL AND party IS NULL";
        let done = query::<Sqlite>(sql).bind(bytes(&hash)).bind(number(now)?).execute(&self.pool).await?;
        if done.rows_affected() == 1 {
            return Ok(Change::Done);
        }
        Ok(match self.token(&hash).await? {
            None => Change::Unknown,
            Some(TokenRow { party: Some(index), .. }) => Change::Enrolled(index),
            Some(_) => Change::Already,
        })
    }

    /// One UPDATE decides; what it did not do is explained by a row that only ever goes on from there.
    pub(super) async fn reserve_token(&self, hash: Digest, key: Digest, now: u64) -> Done<Reservation> {
        let sql = "UPDATE tokens SET reserved_for = ?2
                   WHERE hash = ?1 AND reserved_for IS NULL AND revoked IS NULL AND expires > ?3";
        let update = query::<Sqlite>(sql).bind(bytes(&hash)).bind(bytes(&key)).bind(number(now)?);
        if update.execute(&self.pool).await?.rows_affected() == 1 {
            return Ok(Reservation::New);
        }
        let refused = match self.token(&hash).await? {
            None => TokenRefusal::Unknown,
            Some(TokenRow { party: Some(index), reserved_for, .. }) if reserved_for == Some(key) => {
                return Ok(Reservation::Again(Some(index)));
            }
            Some(TokenRow { revoked: Some(_), .. }) => TokenRefusal::Revoked,
            Some(TokenRow { reserved_for: Some(holder), .. }) if holder == key => {
                return Ok(Reservation::Again(None));
            }
            Some(TokenRow { reserved_for: Some(_), .. }) => TokenRefusal::Used,
            Some(_) => TokenRefusal::Expired,
        };
        Ok(Reservation::Refused(refused))
    }

    pub(super) async fn use_token(&self, hash: Digest, index: u32, now: u64) -> Done<()> {
        let sql = "UPDATE tokens SET party = ?2, used = COALESCE(used, ?3)
                   WHERE hash = ?1 AND reserved_for IS NOT NULL AND (party IS NULL OR party = ?2)";
        let update = query::<Sqlite>(sql).bind(bytes(&hash)).bind(i64::from(index)).bind(number(now)?);
        match update.execute(&self.pool).await {
            Ok(done) if done.rows_affected() == 1 => Ok(()),
            Ok(_) => Err(StoreError::Conflict),
            Err(error) => Err(conflict(error)),
        }
    }

    pub(super) async fn token_by_key(&self, key: Digest) -> Done<Option<TokenRow>> {
        let sql = "SELECT * FROM tokens WHERE reserved_for = ? ORDER BY party IS NULL, created LIMIT 1";
        let row = query::<Sqlite>(sql).bind(bytes(&key)).fetch_optional(&self.pool).await?;
        row.as_ref().map(TokenRow::read).transpose()
    }

    async fn token(&self, hash: &Digest) -> Done<Option<TokenRow>> {
        let row = query::<Sqlite>("SELECT * FROM tokens WHERE hash = ?")
            .bind(bytes(hash))
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(TokenRow::read).transpose()
    }

    pub(super) async fn add_allowed(&self, key: Digest, now: u64) -> Done<Change> {
        let insert =
            query::<Sqlite>("INSERT INTO allowed (key_hash, added) VALUES (?, ?) ON CONFLICT DO NOTHING");
        let done = insert.bind(bytes(&key)).bind(number(now)?).execute(&self.pool).await?;
        Ok(if done.rows_affected() == 1 { Change::Done } else { Change::Already })
    }

    pub(super) async fn remove_allowed(&self, key: Digest) -> Done<Change> {
        let delete = query::<Sqlite>("DELETE FROM allowed WHERE key_hash = ?").bind(bytes(&key));
        let done = delete.execute(&self.pool).await?;
        Ok(if done.rows_affected() == 1 { Change::Done } else { Change::Unknown })
    }

    pub(super) async fn all_allowed(&self) -> Done<Vec<Digest>> {
        let sql = "SELECT key_hash FROM allowed ORDER BY added, key_hash";
        let rows = query::<Sqlite>(sql).fetch_all(&self.pool).await?;
        rows.iter().map(|row: &SqliteRow| digest(row, "key_hash")).collect()
    }

    pub(super) async fn is_allowed(&self, key: Digest) -> Done<bool> {
        let sql = "SELECT COUNT(*) FROM allowed WHERE key_hash = ?";
        let count: i64 = query_scalar::<Sqlite, _>(sql).bind(bytes(&key)).fetch_one(&self.pool).await?;
        Ok(count > 0)
    }

    pub(super) async fn enrol_node(&self, node: &NewNode) -> Done<()> {
        let sql = "INSERT INTO nodes (party, key_hash, site, enrolled) VALUES (?, ?, ?, ?)
                   ON CONFLICT (party) DO NOTHING";
        let insert = query::<Sqlite>(sql)
            .bind(i64::from(node.index))
            .bind(bytes(&node.key_hash))
            .bind(&node.site)
            .bind(number(node.enrolled)?);
        if insert.execute(&self.pool).await.map_err(conflict)?.rows_affected() == 1 {
            return Ok(());
        }
        let there = self.one_node(node.index).await?;
        let same = there.is_some_and(|there| there.key_hash == node.key_hash);
        if same { Ok(()) } else { Err(StoreError::Conflict) }
    }

    pub(super) async fn evict_node(&self, index: u32, now: u64, reason: &str) -> Done<Change> {
        let sql = "UPDATE nodes SET evicted = ?2, reason = ?3 WHERE party = ?1 AND evicted IS NULL";
        let update = query::<Sqlite>(sql).bind(i64::from(index)).bind(number(now)?).bind(reason.to_owned());
        if update.execute(&self.pool).await?.rows_affected() == 1 {
            return Ok(Change::Done);
        }
        Ok(self.one_node(index).await?.map_or(Change::Unknown, |_| Change::Already))
    }

    pub(super) async fn all_nodes(&self) -> Done<Vec<NodeRow>> {
        let rows = query::<Sqlite>("SELECT * FROM nodes ORDER BY party").fetch_all(&self.pool).await?;
        rows.iter().map(NodeRow::read).collect()
    }

    pub(super) async fn one_node(&self, index: u32) -> Done<Option<NodeRow>> {
        let select = query::<Sqlite>("SELECT * FROM nodes WHERE party = ?").bind(i64::from(index));
        select.fetch_optional(&self.pool).await?.as_ref().map(NodeRow::read).transpose()
    }

    pub(super) async fn all_evicted(&self) -> Done<BTreeSet<u32>> {
        let sql = "SELECT party FROM nodes WHERE evicted IS NOT NULL";
        let indices: Vec<i64> = query_scalar::<Sqlite, _>(sql).fetch_all(&self.pool).await?;
        let index = |index: i64| small(u64::try_from(index).map_err(|_| StoreError::Row)?);
        indices.into_iter().map(index).collect()
    }
}

impl From<sqlx_core::Error> for StoreError {
    fn from(error: sqlx_core::Error) -> Self {
        Self::Database(error)
    }
}

pub(super) fn bytes(digest: &Digest) -> Vec<u8> {
    digest.as_bytes().to_vec()
}

/// A broken uniqueness is a conflict, anything else a failure.
pub(super) fn conflict(error: sqlx_core::Error) -> StoreError {
    let unique = error.as_database_error().is_some_and(|error| error.is_unique_violation());
    if unique { StoreError::Conflict } else { StoreError::Database(error) }
}
