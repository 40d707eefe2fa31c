//! How many stored records are not counted yet, according to the files of a data folder.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use crate::embedded::{self, POSITION};
use crate::housekeeping::stored_sequence;
use crate::stream_poller;

/// The stream of a data folder, whichever process counts it.
#[derive(Debug)]
pub struct Backlog {
    folder: PathBuf,
    table: String,
}

impl Backlog {
    /// Finds the stream of the events table in a folder.
    pub fn new(folder: &Path, table: String) -> Self {
        Self { folder: folder.to_owned(), table }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let file = self.folder.join(embedded::FILE);
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(connection)
    }

    /// The number of the newest stream record, or 0 if there are no records.
    pub fn newest(&self) -> rusqlite::Result<i64> {
        self.open()?.query_row(
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) FROM _stream_records WHERE table_name = ?1",
            params![self.table],
            |row| row.get(0),
        )
    }

    /// How many records up to `newest` are not counted yet.
    pub fn left(&self, newest: i64) -> rusqlite::Result<u64> {
        let position = stream_poller::counted(&self.folder.join(POSITION));
        let counted = position.iter().filter_map(|number| stored_sequence(number)).max().unwrap_or(0);
        self.open()?.query_row(
            "SELECT COUNT(*) FROM _stream_records
             WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) > ?2 AND CAST(sequence_number AS INTEGER) <= ?3",
            params![self.table, counted, newest],
            |row| row.get(0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_lies_after_the_position() {
        let embedded = embedded::Embedded::temporary().expect("a database");
        let folder = embedded.folder().expect("a temporary folder");
        let backlog = Backlog::new(folder, "events".to_owned());
        assert_eq!(backlog.newest(), Ok(0));
        let connection = backlog.open().expect("the same file");
        for (number, table) in [(100, "events"), (101, "events"), (102, "other"), (103, "events"), (104, "events")] {
            let insert =
                "INSERT INTO _stream_records (table_name, shard_id, sequence_number, event_name, keys_json, created_at)
                          VALUES (?1, 's', ?2, 'INSERT', '{}', 0)";
            connection.execute(insert, params![table, format!("{number:020}")]).expect("its table");
        }
        let newest = backlog.newest().expect("readable");
        assert_eq!((newest, backlog.left(newest)), (104, Ok(4)), "without a position nothing is counted");
        let position = r#"{"stream":"s","shards":{"shard":"100000000000000000101"},"finished":[]}"#;
        std::fs::write(folder.join(POSITION), position).expect("writable");
        assert_eq!((backlog.left(newest), backlog.left(103), backlog.left(101)), (Ok(2), Ok(1), Ok(0)));
    }
}
