//! The embedded DynamoDB: dynoxide over SQLite, with the care that it needs to stay fast and small.
//!
//! dynoxide 3.2.0 finds the next sequence number of a stream, and the records after one, by reading all records that the
//! stream ever had. Two indexes on its own table, made here by a second connection to the same file, make both a look
//! into a tree: a put costs the same after 50,000 events as after none. Nor does it ever trim a stream; DynamoDB keeps 24
//! hours of it, so what is older and counted is deleted here. A version of dynoxide with other tables would need
//! other statements, so the version is pinned.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::Database;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::direct;

/// The database's file in the data folder.
pub(crate) const FILE: &str = "tally.db";
/// Held while a process has the database; tells others where it serves the DynamoDB API.
const LOCK: &str = "lock";

/// Seconds for which stream records are kept, as DynamoDB does.
const KEEP_STREAM: i64 = 24 * 60 * 60;

/// One index serves both statements: a stream has one shard here, so that a shard's records are its table's.
const INDEX: &str = "
    CREATE INDEX IF NOT EXISTS tally_stream_by_table
        ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
";

/// Threads that serve the DynamoDB API, apart from those that everything else runs on.
const THREADS: usize = 2;

/// An embedded database, open, its lock held.
pub struct Embedded {
    database: Database,
    path: PathBuf,
    lock: File,
    server: Option<Runtime>,
    // Deleted with everything in it when the last handle goes.
    _temporary: Option<TempDir>,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made, or its files not be written.
    #[error("cannot use the data folder {0}: {1}")]
    Folder(PathBuf, std::io::Error),
    /// Another process has it; where that one serves the DynamoDB API, if it says so.
    #[error("the data folder {folder} is in use by another Tally{}", .dynamodb.as_ref().map(|at| format!(" (its DynamoDB API is at {at})")).unwrap_or_default())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The URL of the other's DynamoDB API.
        dynamodb: Option<String>,
    },
    /// The file is not a database, or damaged.
    #[error("cannot open {0}: {1}")]
    Database(PathBuf, String),
}

impl Embedded {
    /// Opens the database in a folder, which is made where it is missing and may hold other files.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_in(folder, None)
    }

    /// Whether a folder has a database.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// A database in a folder of its own, gone when it is dropped. Not one in memory: that could not be reached by the
    /// connection that makes the indexes.
    pub fn temporary() -> Result<Self, OpenError> {
        let folder = TempDir::with_prefix("tally-").map_err(|e| OpenError::Folder(std::env::temp_dir(), e))?;
        let path = folder.path().to_owned();
        Self::open_in(&path, Some(folder))
    }

    fn open_in(folder: &Path, temporary: Option<TempDir>) -> Result<Self, OpenError> {
        let unusable = |e| OpenError::Folder(folder.to_owned(), e);
        make_private_folder(folder).map_err(unusable)?;
        let lock = lock(folder)?;
        let path = folder.join(FILE);
        let failed = |e: String| OpenError::Database(path.clone(), e);
        // Made before SQLite makes it: its other files take over who may read it.
        private().create(true).append(true).open(&path).map_err(unusable)?;
        let name = path.to_str().ok_or_else(|| failed("its path is not UTF-8".to_owned()))?;
        let database = Database::new(name).map_err(|e| failed(e.to_string()))?;
        let connection = Connection::open(&path).map_err(|e| failed(e.to_string()))?;
        connection.execute_batch(INDEX).map_err(|e| failed(e.to_string()))?;
        // There is no other way to `synchronous = NORMAL`, under which a commit still survives the end of the process,
        // and a put takes a third of the time.
        database
            .enable_bulk_loading()
            .and_then(|()| database.disable_bulk_loading())
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self { database, path, lock, server: None, _temporary: temporary })
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The way to it without a socket.
    pub fn client(&self) -> SharedHttpClient {
        direct::client(self.database.clone())
    }

    /// Serves the DynamoDB API for as long as this lives; returns where.
    pub fn serve(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("dynamodb").enable_all().build()?;
        let service = direct::wire_api(self.database.clone());
        {
            let _inside = runtime.enter();
            let listener = TcpListener::from_std(listener)?;
            runtime.spawn(async move { axum::serve(listener, service).await });
        }
        self.server = Some(runtime);
        let mut lock = &self.lock;
        lock.set_len(0)?;
        write!(lock, "http://{address}")?;
        Ok(address)
    }

    /// Deletes expired items, as DynamoDB does by itself.
    pub fn sweep_expired(&self) {
        match self.database.sweep_ttl() {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "deleted expired items"),
            Err(error) => tracing::warn!(%error, "could not delete expired items"),
        }
    }

    /// Deletes stream records that are older than 24 hours and at or before `counted`. The newest record stays: the next
    /// sequence number is one above it, and must never fall back below a checkpoint.
    pub fn trim_stream(&self, table: &str, counted: &str, now_seconds: i64) -> rusqlite::Result<usize> {
        let Some(stored) = stored_sequence(counted) else { return Ok(0) };
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.execute(
            "DELETE FROM _stream_records
             WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2 AND created_at < ?3",
            params![table, stored, now_seconds - KEEP_STREAM],
        )
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed where other tasks run.
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }
}

/// The stored form of a sequence number: the public one is larger by 10^20 (dynoxide's `format_sequence_number`).
pub(crate) fn stored_sequence(public: &str) -> Option<i64> {
    let public: u128 = public.parse().ok()?;
    public.checked_sub(100_000_000_000_000_000_000)?.try_into().ok()
}

/// A folder that its owner alone may enter, where it is not there already.
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// For files that their owner alone may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes the folder's lock, or tells who has it.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let unusable = |e| OpenError::Folder(folder.to_owned(), e);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let mut lock = options.open(folder.join(LOCK)).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut url = String::new();
            // Only to say where; the lock alone decides.
            let _ = lock.read_to_string(&mut url);
            Err(OpenError::InUse { folder: folder.to_owned(), dynamodb: Some(url).filter(|url| !url.is_empty()) })
        }
        Err(std::fs::TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// A handle that several tasks share.
pub type SharedDatabase = Arc<Embedded>;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connection: &Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("valid SQL");
        let rows = statement.query_map([], |row| row.get::<_, String>(3)).expect("a plan");
        rows.map(|row| row.expect("a row")).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_index_serves_the_statements_of_dynoxide() {
        let embedded = Embedded::temporary().expect("a database");
        let connection = Connection::open(&embedded.path).expect("the same file");
        // As they stand in dynoxide 3.2.0, src/storage.rs.
        let next = plan(
            &connection,
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = 't'",
        );
        assert!(next.contains("SEARCH _stream_records USING") && next.contains("tally_stream_by_table"), "{next}");
        let records = plan(
            &connection,
            "SELECT event_name FROM _stream_records WHERE table_name = 't' AND shard_id = 's' \
             AND CAST(sequence_number AS INTEGER) > 5 ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 10",
        );
        assert!(
            records.contains("tally_stream_by_table (table_name=? AND <expr>>?)") && !records.contains("TEMP B-TREE"),
            "{records}"
        );
    }

    #[test]
    fn a_folder_is_one_processs_at_a_time() {
        let folder = TempDir::new().expect("a folder");
        let first = Embedded::open(folder.path()).expect("free");
        assert!(matches!(Embedded::open(folder.path()), Err(OpenError::InUse { .. })));
        drop(first);
        assert!(Embedded::open(folder.path()).is_ok());
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = Embedded::open(file.path()).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("cannot use the data folder"), "{error}");
    }
}
