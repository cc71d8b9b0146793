//! The database in one SQLite file.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use sqlx_core::pool::{Pool, PoolOptions};
use sqlx_core::query::query;
use sqlx_core::query_scalar::query_scalar;
use sqlx_core::raw_sql::raw_sql;
use sqlx_core::transaction::Transaction;
use sqlx_sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::StoreError;

/// A database file; several processes may have it open.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pub(super) pool: Pool<Sqlite>,
}

impl SqliteStore {
    /// Opens a database, makes it if there is none, brings it to this program's form.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Io`], [`StoreError::Database`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let pool = PoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await
            .map_err(StoreError::Database)?;
        let store = Self { pool };
        store.migrate().await?;
        Ok(store)
    }

    /// Closes all connections: nothing is left to be written.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// A transaction that nobody else can write beside.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Database)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let found: i64 =
            query_scalar("PRAGMA user_version").fetch_one(&mut *write).await.map_err(StoreError::Database)?;
        let known = i64::try_from(MIGRATIONS.len()).map_err(|_| StoreError::Range)?;
        if found > known || found < 0 {
            return Err(StoreError::Newer { found, known });
        }
        let done = usize::try_from(found).map_err(|_| StoreError::Range)?;
        for (sql, version) in MIGRATIONS.iter().skip(done) {
            raw_sql(*sql).execute(&mut *write).await.map_err(StoreError::Database)?;
            query(*version).execute(&mut *write).await.map_err(StoreError::Database)?;
        }
        write.commit().await.map_err(StoreError::Database)
    }
}

/// The file, readable by its owner only; SQLite gives its companions the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?;
    Ok(())
}

pub(super) fn number(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Range)
}

/// Each with the statement that notes it. Released ones never change.
const MIGRATIONS: &[(&str, &str)] = &[
    (include_str!("../../migrations/0001_begin.sql"), "PRAGMA user_version = 1"),
    (include_str!("../../migrations/0002_key_orders.sql"), "PRAGMA user_version = 2"),
];
const CONNECTIONS: u32 = 4;
/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(10);
