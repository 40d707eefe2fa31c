//! Since when releases are known, as far as this process has met them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::AppId;
use tally_core::issue::{MAX_PLACE, Release, cut};
use tally_core::time::{DAY, Timestamp};
use tally_store::{Store, StoreError};

/// Most releases of an app that one process makes known in a UTC day. A client that sends another with each event does not cost a
/// write with each event.
const MOST_NEW: usize = 100;
/// Most releases of an app that a process remembers.
const MOST_REMEMBERED: usize = 1_000;
/// Most apps that a process remembers.
const MOST_APPS: usize = 200;

/// The releases that a process has met, by app.
#[derive(Debug, Default)]
pub struct KnownReleases(Mutex<HashMap<AppId, Met>>);

#[derive(Debug, Default)]
struct Met {
    since: HashMap<String, Timestamp>,
    /// How many were made known on a day.
    new: (Timestamp, usize),
}

impl KnownReleases {
    /// Tells since when a release is known. One that is not is known since `at`; if that would be one too many today, it counts as
    /// one that was always known, so that it opens nothing.
    pub async fn known(&self, store: &Store, app: &AppId, name: &str, at: Timestamp) -> Result<Release, StoreError> {
        let name = cut(name, MAX_PLACE);
        let may_be_new = {
            let mut apps = self.lock();
            if apps.len() >= MOST_APPS && !apps.contains_key(app) {
                let other = apps.keys().next().cloned();
                other.map(|other| apps.remove(&other));
            }
            let met = apps.entry(app.clone()).or_default();
            if let Some(since) = met.since.get(&name).filter(|since| **since <= at) {
                return Ok(Release { name, known_since: *since });
            }
            let day = at.floor(DAY);
            if met.new.0 < day {
                met.new = (day, 0);
            }
            met.new.1 += 1;
            met.new.1 <= MOST_NEW
        };
        let known_since = if may_be_new {
            store.know_release(app, Release { name: name.clone(), known_since: at }).await?.known_since
        } else {
            store.release_since(app, &name).await?.unwrap_or(Timestamp::EPOCH)
        };
        if let Some(met) = self.lock().get_mut(app) {
            if met.since.len() >= MOST_REMEMBERED {
                met.since.clear();
            }
            met.since.insert(name.clone(), known_since);
        }
        Ok(Release { name, known_since })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, Met>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
