//! Whether the database can work. A full disk and a damaged file are each reported once, clearly.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What is wrong with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no space left to write. The condition clears when space becomes free.
    Full,
    /// The file is not valid SQLite data. The condition is permanent.
    Damaged,
}

impl Trouble {
    /// Classifies SQLite's message, which is the only detail that dynoxide passes on.
    fn of(error: &str) -> Option<Self> {
        if error.contains("database or disk is full") {
            Some(Self::Full)
        } else if error.contains("malformed")
            || error.contains("not a database")
            || error.contains("not a valid database")
        {
            Some(Self::Damaged)
        } else {
            None
        }
    }
}

/// The condition of one database.
pub(crate) struct Condition {
    database: PathBuf,
    trouble: Mutex<Option<Trouble>>,
}

impl Condition {
    pub(crate) fn of(database: &Path) -> Self {
        Self { database: database.to_owned(), trouble: Mutex::new(None) }
    }

    /// Records an error, and logs it if it is the first of its kind.
    pub(crate) fn failed(&self, error: &str) -> Option<Trouble> {
        let trouble = Trouble::of(error)?;
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != Some(trouble) {
            *known = Some(trouble);
            let database = self.database.display();
            match trouble {
                Trouble::Full => {
                    tracing::error!(%database, "the disk is full: nothing can be stored until there is space");
                }
                Trouble::Damaged => tracing::error!(
                    %database, error,
                    "the database is damaged: stop Tally and restore the data folder from a backup"
                ),
            }
        }
        Some(trouble)
    }

    /// Records that a write succeeded.
    pub(crate) fn wrote(&self) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == Some(Trouble::Full) {
            *known = None;
            tracing::warn!("there is space on the disk again");
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_full_disk_is_told_by_sqlites_message() {
        let connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch("CREATE TABLE t (x); PRAGMA max_page_count = 3").expect("a table");
        let full = connection.execute("INSERT INTO t VALUES (zeroblob(100000))", []).expect_err("no space");
        let condition = Condition::of(Path::new("tally.db"));
        assert_eq!(condition.failed(&full.to_string()), Some(Trouble::Full));
        assert_eq!(condition.failed("database is locked"), None);
        condition.wrote();
        assert_eq!(*condition.trouble.lock().expect("not poisoned"), None);
    }

    #[test]
    fn damage_is_told_by_sqlites_message_and_stays() {
        let condition = Condition::of(Path::new("tally.db"));
        assert_eq!(condition.failed("backend: database disk image is malformed"), Some(Trouble::Damaged));
        condition.wrote();
        assert_eq!(*condition.trouble.lock().expect("not poisoned"), Some(Trouble::Damaged));
    }
}
