//! A per-process cache of the days whose counters lack events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tally_core::app::AppId;
use tally_core::time::Timestamp;

/// The lifetime of a cache entry.
const REMEMBER: Duration = Duration::from_mins(1);
/// The maximum number of apps in the cache.
const MAX_APPS: usize = 1_000;

/// A day (UTC) whose counters lack events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UncountedDay {
    /// The start of the day.
    pub day: Timestamp,
    /// The time of the last mark.
    pub marked_at: Timestamp,
}

/// The marked days of an app, and the time when they were read.
type Remembered = (Instant, Arc<Vec<UncountedDay>>);

/// The cached marked days of apps.
#[derive(Debug, Default)]
pub(crate) struct UncountedCache(Mutex<HashMap<AppId, Remembered>>);

impl UncountedCache {
    pub(crate) fn get(&self, app: &AppId) -> Option<Arc<Vec<UncountedDay>>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(app).filter(|(read_at, _)| read_at.elapsed() < REMEMBER).map(|(_, days)| Arc::clone(days))
    }

    pub(crate) fn insert(&self, app: &AppId, days: Arc<Vec<UncountedDay>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_APPS {
            all.clear();
        }
        all.insert(app.clone(), (Instant::now(), days));
    }

    pub(crate) fn forget(&self, app: &AppId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(app);
    }
}
