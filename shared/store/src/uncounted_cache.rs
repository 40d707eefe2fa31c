//! What a process remembers of the days whose counters lack events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tally_core::app::AppId;
use tally_core::time::Timestamp;

/// How long a process remembers which days of an app are marked.
const REMEMBER: Duration = Duration::from_mins(1);
/// For how many apps a process remembers it.
const MAX_APPS: usize = 1_000;

/// A day (UTC) whose counters lack events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UncountedDay {
    /// Its first moment.
    pub day: Timestamp,
    /// When it was marked last.
    pub marked_at: Timestamp,
}

/// The marked days of an app, and when they were read.
type Remembered = (Instant, Arc<Vec<UncountedDay>>);

/// The marked days of apps.
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
