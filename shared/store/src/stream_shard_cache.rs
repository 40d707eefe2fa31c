//! A per-process cache of which stream shard continues which.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a stream shard without an item counts as one that continues no other.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// The maximum number of stream shards that a process remembers.
const MOST: usize = 10_000;

/// The parents of stream shards that this process has read. That of a shard never changes.
#[derive(Debug, Default)]
pub(crate) struct StreamShards(Mutex<HashMap<String, Known>>);

/// What is known of a stream shard.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// It continues this one.
    Parent(Arc<str>),
    /// It had no item at this time.
    None(Instant),
}

impl StreamShards {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a stream shard, if that may still be so.
    pub(crate) fn get(&self, shard: &str) -> Option<Known> {
        let known = self.lock().get(shard).cloned();
        known.filter(|known| !matches!(known, Known::None(at) if at.elapsed() >= UNKNOWN_FOR))
    }

    pub(crate) fn insert(&self, shard: &str, known: Known) {
        let mut all = self.lock();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(shard.to_owned(), known);
    }
}
