//! The embedded DynamoDB: dynoxide over SQLite, with the care that it needs to stay fast and small.
//!
//! dynoxide 3.2.0 finds the next sequence number of a stream, and the records after one, by reading all records that the
//! stream ever had. Two indexes on its own table, made here by a second connection to the same file, make both a look
//! into a tree: a put costs the same after 50,000 events as after none. Nor does it ever trim a stream; DynamoDB keeps 24
//! hours of it, so what is older and counted is deleted here. Nor does it hold a page of stream records to any size;
//! [`StreamSizes`] tells how many fit. A version of dynoxide with other tables would need other statements, so the
//! version is pinned.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use axum::Router;
use dynoxide::Database;
use dynoxide::actions::get_shard_iterator::decode_shard_iterator;
use rusqlite::{Connection, OpenFlags, params};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::direct::{self, Direct};

/// The database's file in the data folder.
pub(crate) const FILE: &str = "tally.db";
/// Held while a process has the database; tells others where it serves the DynamoDB API.
const LOCK: &str = "lock";

/// Seconds for which stream records are kept, as DynamoDB does.
const KEEP_STREAM: i64 = 24 * 60 * 60;

/// Most bytes of a page of stream records, as DynamoDB has it.
const PAGE_BYTES: usize = 1024 * 1024;
/// Most records of a page, as DynamoDB has it.
const PAGE_RECORDS: usize = 1_000;

/// How long a statement waits for another connection's.
const BUSY: Duration = Duration::from_secs(5);

/// One index serves all statements: a stream has one shard here, so that a shard's records are its table's.
const INDEX: &str = "
    CREATE INDEX IF NOT EXISTS tally_stream_by_table
        ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
";

/// The sizes of stream records after a position. SQLite reads them from the records' headers, not from the images.
const SIZES: &str = "
    SELECT octet_length(keys_json) + COALESCE(octet_length(new_image), 0) + COALESCE(octet_length(old_image), 0)
    FROM _stream_records
    WHERE table_name = ?1 AND shard_id = ?2 AND CAST(sequence_number AS INTEGER) > ?3
    ORDER BY CAST(sequence_number AS INTEGER)
    LIMIT ?4";

/// Threads that serve the DynamoDB API, apart from those that everything else runs on.
const THREADS: usize = 2;

/// An embedded database, open, its lock held.
pub struct Embedded {
    database: Database,
    sizes: Arc<StreamSizes>,
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
        let sizes = Arc::new(StreamSizes::open(&path).map_err(|e| failed(e.to_string()))?);
        Ok(Self { database, sizes, path, lock, server: None, _temporary: temporary })
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// What answers requests of the DynamoDB API.
    pub(crate) fn direct(&self) -> Direct {
        Direct { database: self.database.clone(), sizes: Arc::clone(&self.sizes) }
    }

    /// The way to it without a socket.
    pub fn client(&self) -> SharedHttpClient {
        direct::client(self.direct())
    }

    /// The DynamoDB API as a service.
    pub(crate) fn wire_api(&self) -> Router {
        direct::wire_api(self.direct())
    }

    /// Serves the DynamoDB API for as long as this lives; returns where.
    pub fn serve(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("dynamodb").enable_all().build()?;
        let service = self.wire_api();
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
        connection.busy_timeout(BUSY)?;
        connection.execute(
            "DELETE FROM _stream_records
             WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2 AND created_at < ?3",
            params![table, stored, now_seconds - KEEP_STREAM],
        )
    }
}

/// Tells how many stream records make a page, by a connection of its own: dynoxide has no way to ask.
pub(crate) struct StreamSizes {
    connection: Mutex<Connection>,
}

impl StreamSizes {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// How many records at a shard iterator make a page: as many as fit, and at least one, or a record larger than a
    /// page would hold up its stream. What is put meanwhile comes after them, so that the number stays right.
    pub(crate) fn page(&self, iterator: &str, limit: Option<usize>) -> rusqlite::Result<usize> {
        let most = limit.unwrap_or(PAGE_RECORDS).clamp(1, PAGE_RECORDS);
        // dynoxide says what is wrong with it.
        let Some((table, shard, position)) = decode_shard_iterator(iterator) else { return Ok(most) };
        // A panic in between leaves a connection that only reads as it was.
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection.prepare_cached(SIZES)?;
        let mut rows = statement.query(params![table, shard, position, most])?;
        let (mut records, mut bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            bytes += row.get::<_, usize>(0)?;
            if bytes > PAGE_BYTES {
                break;
            }
            records += 1;
        }
        Ok(records.max(1))
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
        let sizes =
            plan(&connection, &SIZES.replace("?1", "'t'").replace("?2", "'s'").replace("?3", "5").replace("?4", "10"));
        assert!(
            sizes.contains("tally_stream_by_table (table_name=? AND <expr>>?)") && !sizes.contains("TEMP B-TREE"),
            "{sizes}"
        );
    }

    #[test]
    fn a_page_of_stream_records_is_held_to_a_size() {
        use dynoxide::actions::get_shard_iterator::encode_shard_iterator;
        let embedded = Embedded::temporary().expect("a database");
        let connection = Connection::open(&embedded.path).expect("the same file");
        // Bytes of the images; the keys are two more.
        for (n, (new, old)) in
            [(400_000, 0), (400_000, 0), (400_000, 0), (1_000, 2 * PAGE_BYTES), (9, 9)].iter().enumerate()
        {
            connection
                .execute(
                    "INSERT INTO _stream_records
                     (table_name, event_name, keys_json, new_image, old_image, sequence_number, shard_id, created_at)
                     VALUES ('events', 'MODIFY', '{}', ?1, ?2, ?3, 'shard', 0)",
                    params!["x".repeat(*new), "x".repeat(*old), n + 1],
                )
                .expect("a row");
        }
        let page = |after, limit| {
            embedded.sizes.page(&encode_shard_iterator("events", "shard", after), limit).expect("a number")
        };
        assert_eq!([page(0, None), page(0, Some(1)), page(1, None), page(2, None)], [2, 1, 2, 1]);
        assert_eq!(page(3, None), 1, "one that is larger than a page is a page");
        assert_eq!([page(4, None), page(5, None)], [1, 1], "at the end there is nothing to cut");
        assert_eq!([page(0, Some(0)), embedded.sizes.page("nonsense", Some(5_000)).expect("a number")], [1, 1_000]);
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
