//! How much of what is stored is not counted yet, as the files of a data folder tell.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use crate::embedded;
use crate::server::POSITION;
use crate::stream_poller;

/// The stream of a data folder, whoever counts it.
#[derive(Debug)]
pub struct Backlog {
    folder: PathBuf,
    table: String,
}

impl Backlog {
    /// The stream of the events table of a folder.
    pub fn new(folder: &Path, table: String) -> Self {
        Self { folder: folder.to_owned(), table }
    }

    /// The number of the newest stream record; records are numbered one by one.
    pub fn newest(&self) -> rusqlite::Result<u64> {
        let file = self.folder.join(embedded::FILE);
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.query_row(
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) FROM _stream_records WHERE table_name = ?1",
            params![self.table],
            |row| row.get(0),
        )
    }

    /// How many records up to `newest` are not counted.
    pub fn left(&self, newest: u64) -> u64 {
        let counted = stream_poller::counted(&self.folder.join(POSITION));
        newest.saturating_sub(counted.iter().filter_map(|number| embedded::stored_sequence(number)).max().unwrap_or(0))
    }
}
