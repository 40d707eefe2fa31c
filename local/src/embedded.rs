//! The embedded DynamoDB: dynoxide over SQLite, with the maintenance that keeps it fast and small.
//!
//! dynoxide 3.2.0 reads all records that a stream ever had to find the next sequence number, or the records after a
//! given one. This module adds an index to dynoxide's table through a second connection, so both become a tree lookup:
//! a put costs the same after 50,000 events as after none. [`crate::writer`] makes one transaction of what waits, and
//! [`crate::readers`] read beside it. [`crate::puts`] and [`crate::queries`] answer the most frequent requests without
//! dynoxide, [`crate::catalog`] replaces its copies of items by indexes, [`crate::pages`] limits what it loads for a
//! page, and [`crate::housekeeping`] deletes expired and counted data. The statements depend on dynoxide's tables, so
//! its version is pinned.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::DynoxideError;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::catalog::Catalog;
use crate::condition::Condition;
use crate::direct::{self, Direct};
use crate::door::Door;
use crate::housekeeping::Housekeeping;
use crate::readers::Readers;
use crate::writer::Writer;

/// The database's file in the data folder.
pub(crate) const FILE: &str = "tally.db";
/// The lock file. A process holds it while it has the database open; it tells other processes how to connect.
const LOCK: &str = "lock";
/// The file in the data folder that stores the poller's position.
pub(crate) const POSITION: &str = "stream-position.json";

/// One index serves all statements: each stream has one shard here, so a shard's records are its table's records.
const INDEX: &str = "
    CREATE INDEX IF NOT EXISTS tally_stream_by_table
        ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
";

/// Numbers the in-memory databases of this process.
static IN_MEMORY: AtomicU64 = AtomicU64::new(0);

/// An open embedded database.
pub struct Embedded {
    direct: Direct,
    /// What SQLite opens: a path, or the URI of a database in memory.
    name: PathBuf,
    /// The folder and its lock; `None` for a database in memory.
    folder: Option<(PathBuf, File)>,
    // The folder and its contents are deleted when the last handle is dropped.
    _temporary: Option<TempDir>,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be created, or its files cannot be written.
    #[error("cannot use the data folder {0}: {1}")]
    Folder(PathBuf, std::io::Error),
    /// Another process has the database open. Includes the door to that process, if it published one.
    #[error("the data folder {folder} is in use by another Tally")]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// How to reach its database.
        door: Option<Door>,
    },
    /// The file is not a database, or it is damaged.
    #[error("cannot open {0}: {1}; restore the data folder from a backup, or move it away to start with an empty one")]
    Database(PathBuf, String),
    /// The database is missing, although other files show that it existed.
    #[error(
        "{0} is missing or empty, but {1} says that it held events; restore the data folder from a backup, or move it away to start with an empty one"
    )]
    Lost(PathBuf, &'static str),
}

impl Embedded {
    /// Opens the database in a folder. The folder is created if it is missing, and may hold other files.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_in(folder, None)
    }

    /// Whether a folder has a database.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Opens a database in a temporary folder, deleted on drop.
    pub fn temporary() -> Result<Self, OpenError> {
        let folder = TempDir::with_prefix("tally-").map_err(|e| OpenError::Folder(std::env::temp_dir(), e))?;
        let path = folder.path().to_owned();
        Self::open_in(&path, Some(folder))
    }

    /// Opens a database in memory, of at most 1 GiB. Nothing remains of it, however the process ends.
    pub fn in_memory() -> Result<Self, OpenError> {
        // Connections of this process find an in-memory database by its name; other processes cannot.
        let name = format!("file:/tally-{}?vfs=memdb", IN_MEMORY.fetch_add(1, Ordering::Relaxed));
        Self::open_database(PathBuf::from(name), None, None)
    }

    fn open_in(folder: &Path, temporary: Option<TempDir>) -> Result<Self, OpenError> {
        let unusable = |e| OpenError::Folder(folder.to_owned(), e);
        make_private_folder(folder).map_err(unusable)?;
        let lock = lock(folder)?;
        let path = folder.join(FILE);
        let is_empty = std::fs::metadata(&path).map_or(true, |file| file.len() == 0);
        if is_empty && folder.join(POSITION).exists() {
            return Err(OpenError::Lost(path, POSITION));
        }
        // Creates the file before SQLite does, because SQLite copies its permissions to the other files.
        private().create(true).append(true).open(&path).map_err(unusable)?;
        Self::open_database(path, Some((folder.to_owned(), lock)), temporary)
    }

    fn open_database(
        name: PathBuf,
        folder: Option<(PathBuf, File)>,
        temporary: Option<TempDir>,
    ) -> Result<Self, OpenError> {
        let failed = |e: String| OpenError::Database(name.clone(), e);
        let text = name.to_str().ok_or_else(|| failed("its path is not UTF-8".to_owned()))?;
        let connection = Connection::open(&name).map_err(|e| failed(e.to_string()))?;
        make_shrinkable(&connection).map_err(|e| failed(e.to_string()))?;
        let failed_to_open = |e: DynoxideError| failed(e.to_string());
        let writer = Arc::new(Writer::start(text).map_err(failed_to_open)?);
        connection.execute_batch(INDEX).map_err(|e| failed(e.to_string()))?;
        let catalog = writer.alone(|desk| Catalog::open(&desk.storage)).get_blocking().map_err(failed_to_open)?;
        let readers = folder.as_ref().map(|_| Readers::open(text)).transpose().map_err(failed_to_open)?;
        let direct = Direct {
            writer,
            readers: readers.map(Arc::new),
            catalog: Arc::new(catalog),
            condition: Arc::new(Condition::of(&name)),
        };
        Ok(Self { direct, name, folder, _temporary: temporary })
    }

    /// The folder of the database, or `None` if it is in memory.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(|(folder, _)| folder.as_path())
    }

    /// The path of the poller's position, or `None` for a database in memory.
    pub fn position_file(&self) -> Option<PathBuf> {
        self.folder().map(|folder| folder.join(POSITION))
    }

    /// The handler for DynamoDB API requests.
    pub(crate) fn direct(&self) -> Direct {
        self.direct.clone()
    }

    /// The client that connects without a socket.
    pub fn client(&self) -> SharedHttpClient {
        direct::client(self.direct())
    }

    /// Opens another connection to the same database.
    #[cfg(test)]
    pub(crate) fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(&self.name)?;
        connection.busy_timeout(crate::pages::BUSY)?;
        Ok(connection)
    }

    /// The housekeeping of the database. Its tables must exist.
    pub fn housekeeping(&self) -> Result<Housekeeping, OpenError> {
        let failed = |e: DynoxideError| OpenError::Database(self.name.clone(), e.to_string());
        Housekeeping::open(Arc::clone(&self.direct.writer)).map_err(failed)
    }

    /// Tells other processes how to reach it.
    pub(crate) fn announce(&self, door: &Door) -> std::io::Result<()> {
        let Some((_, mut lock)) = self.folder.as_ref().map(|(folder, lock)| (folder, lock)) else { return Ok(()) };
        lock.set_len(0)?;
        lock.write_all(&serde_json::to_vec(door)?)
    }

    /// The query plan that SQLite uses for a statement.
    #[cfg(test)]
    pub(crate) fn plan(&self, sql: &str) -> String {
        let connection = self.connect().expect("the same database");
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("valid SQL");
        let rows = statement.query_map([], |row| row.get::<_, String>(3)).expect("a plan");
        rows.map(|row| row.expect("a row")).collect::<Vec<_>>().join("; ")
    }
}

/// Enables SQLite to release free space. A database created without this setting is rewritten once.
fn make_shrinkable(connection: &Connection) -> rusqlite::Result<()> {
    const INCREMENTAL: i64 = 2;
    let mode = |connection: &Connection| connection.query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0));
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    if pages > 0 && mode(connection)? != INCREMENTAL {
        tracing::warn!("the database is rewritten once, so that it can give space back");
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")?;
    }
    // Reading the schema detects a truncated file or one that is not a database.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// Creates a folder that only its owner can enter, if it does not exist.
pub(crate) fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Options for files that only their owner can read.
pub(crate) fn private() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes the folder's lock, or reports which process holds it.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let unusable = |e| OpenError::Folder(folder.to_owned(), e);
    let mut options = private();
    options.read(true).write(true).create(true).truncate(false);
    let mut lock = options.open(folder.join(LOCK)).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {
            // The file will hold a secret; an earlier version made it readable for everyone.
            #[cfg(unix)]
            lock.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(unusable)?;
            Ok(lock)
        }
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut door = String::new();
            // This is only informational; the lock alone decides.
            let _ = lock.read_to_string(&mut door);
            Err(OpenError::InUse { folder: folder.to_owned(), door: serde_json::from_str(&door).ok() })
        }
        Err(std::fs::TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// A handle that several tasks share.
pub type SharedDatabase = Arc<Embedded>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_serves_the_statements_of_dynoxide() {
        let embedded = Embedded::temporary().expect("a database");
        // As in dynoxide 3.2.0, src/storage.rs.
        let next = embedded.plan(
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = 't'",
        );
        assert!(next.contains("SEARCH _stream_records USING") && next.contains("tally_stream_by_table"), "{next}");
        let records = embedded.plan(
            "SELECT event_name FROM _stream_records WHERE table_name = 't' AND shard_id = 's' \
             AND CAST(sequence_number AS INTEGER) > 5 ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 10",
        );
        assert!(
            records.contains("tally_stream_by_table (table_name=? AND <expr>>?)") && !records.contains("TEMP B-TREE"),
            "{records}"
        );
    }

    #[test]
    fn what_is_deleted_is_overwritten() {
        let embedded = Embedded::temporary().expect("a database");
        let connection = embedded.connect().expect("the same database");
        // A connection begins as SQLite was built, and so does dynoxide's.
        let is_on: i64 = connection.query_row("PRAGMA secure_delete", [], |row| row.get(0)).expect("a pragma");
        assert_eq!(is_on, 1, ".cargo/config.toml sets it");
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

    #[test]
    fn a_database_of_an_earlier_version_learns_to_shrink() {
        let folder = TempDir::new().expect("a folder");
        dynoxide::Database::new(folder.path().join(FILE).to_str().expect("UTF-8")).expect("as dynoxide makes it");
        let embedded = Embedded::open(folder.path()).expect("a database");
        let connection = embedded.connect().expect("the same database");
        let mode: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0)).expect("a pragma");
        assert_eq!(mode, 2);
    }

    #[test]
    fn databases_in_memory_are_several_and_each_has_several_connections() {
        let (one, other) = (Embedded::in_memory().expect("one"), Embedded::in_memory().expect("another"));
        one.connect().and_then(|c| c.execute_batch("CREATE TABLE t (x)")).expect("a table");
        let has = |embedded: &Embedded| {
            let connection = embedded.connect().expect("the same database");
            connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 't'", [], |row| row.get::<_, i64>(0))
        };
        assert_eq!((has(&one), has(&other)), (Ok(1), Ok(0)));
    }
}
