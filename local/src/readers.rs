//! Connections that only read, beside the writer: no read waits for a write, or for another read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use dynoxide::DynoxideError;
use dynoxide::storage::Storage;

/// Connections that are kept while nobody uses them.
const KEPT: usize = 8;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;

/// The connections.
pub(crate) struct Readers {
    name: String,
    idle: Mutex<Vec<Reader>>,
    /// Counts changes of tables, of which dynoxide remembers the definitions.
    changes: AtomicU64,
}

struct Reader {
    storage: Storage,
    changes: u64,
}

impl Readers {
    /// Opens one for each thread that handles requests: to open one later, while there is much to write, takes long.
    pub(crate) fn open(name: &str) -> Result<Self, DynoxideError> {
        let readers = Self { name: name.to_owned(), idle: Mutex::default(), changes: AtomicU64::new(0) };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let opened = (0..threads.min(KEPT)).map(|_| Ok(Reader { storage: readers.connect()?, changes: 0 }));
        *readers.idle.lock().unwrap_or_else(PoisonError::into_inner) = opened.collect::<Result<_, DynoxideError>>()?;
        Ok(readers)
    }

    /// Reads with a connection that nobody else uses.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Storage) -> Result<T, DynoxideError>) -> Result<T, DynoxideError> {
        let changes = self.changes.load(Ordering::Acquire);
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let free = idle().pop().filter(|reader| reader.changes == changes);
        let reader = match free {
            Some(reader) => reader,
            None => Reader { storage: self.connect()?, changes },
        };
        // A connection that a panic interrupts is dropped.
        let done = read(&reader.storage);
        let mut idle = idle();
        if idle.len() < KEPT {
            idle.push(reader);
        }
        done
    }

    fn connect(&self) -> Result<Storage, DynoxideError> {
        let storage = Storage::new(&self.name)?;
        storage.conn().pragma_update(None, "query_only", true)?;
        storage.conn().set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(storage)
    }

    /// Forgets the definitions of tables.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}
