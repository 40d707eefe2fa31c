//! Since when releases are known, as far as this process has met them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tally_core::app::AppId;
use tally_core::issue::{MAX_PLACE, Release, cut};
use tally_core::time::{DAY, Timestamp};
use tally_store::{Store, StoreError};

/// Most releases of an app that one process makes known in a UTC day. A client that sends another with each event does not cost a
/// write with each event.
const MOST_RELEASES: usize = 100;
/// Most apps that a process remembers.
const MOST_APPS: usize = 200;

/// The releases that a process has met, by app, on a day.
#[derive(Debug, Default)]
pub struct KnownReleases(Mutex<HashMap<AppId, Met>>);

#[derive(Debug)]
struct Met {
    day: Timestamp,
    since: HashMap<String, Timestamp>,
}

impl KnownReleases {
    /// Makes a release known since `at`, if it is not known. None if the app has too many: nothing is said of such a release.
    pub async fn known(
        &self,
        store: &Store,
        app: &AppId,
        name: &str,
        at: Timestamp,
    ) -> Result<Option<Release>, StoreError> {
        let name = cut(name, MAX_PLACE);
        {
            let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if apps.len() >= MOST_APPS && !apps.contains_key(app) {
                apps.clear();
            }
            let day = at.floor(DAY);
            let met = apps.entry(app.clone()).or_insert_with(|| Met { day, since: HashMap::new() });
            if let Some(since) = met.since.get(&name) {
                return Ok(Some(Release { name, known_since: *since }));
            }
            if met.since.len() >= MOST_RELEASES {
                if met.day >= day {
                    return Ok(None);
                }
                *met = Met { day, since: HashMap::new() };
            }
        }
        let release = store.know_release(app, Release { name, known_since: at }).await?;
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(met) = apps.get_mut(app) {
            met.since.insert(release.name.clone(), release.known_since);
        }
        Ok(Some(release))
    }
}
