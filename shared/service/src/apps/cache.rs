//! The cache of apps in a warm process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tally_core::app::{App, AppSlug, AppState};
use tally_core::time::clock::Clock;
use tally_core::time::{MINUTE, TimeDelta, Timestamp};
use tally_store::{Store, StoreError};

/// How long an app may be cached, in microseconds of wall-clock time. A revoked key stops working within this time.
const REMEMBER: TimeDelta = MINUTE;
/// The maximum number of cached apps.
const MOST_APPS: usize = 10_000;

/// A cache of apps. Apps that are not cached are read from the store.
pub struct AppCache {
    store: Store,
    clock: Clock,
    apps: Mutex<HashMap<AppSlug, Remembered>>,
}

#[derive(Clone)]
struct Remembered {
    app: Arc<App>,
    read_at: Timestamp,
}

impl AppCache {
    /// Creates an empty cache.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, apps: Mutex::default() }
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock that measures the age of cache entries.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns an app in use, as it was at most 60 s ago.
    ///
    /// # Errors
    /// Returns an error if the app must be read and cannot be. It never returns an older state, because a layout relies
    /// on the 60 s.
    pub async fn get(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        Ok(self.get_younger(slug, REMEMBER).await?.filter(|app| app.state == AppState::Active))
    }

    /// Returns an app in use, in its current state.
    pub async fn get_uncached(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        Ok(self.get_younger(slug, TimeDelta::ZERO).await?.filter(|app| app.state == AppState::Active))
    }

    /// Returns an app in any state, including a tombstone, as it was at most 60 s ago.
    pub async fn get_in_any_state(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        self.get_younger(slug, REMEMBER).await
    }

    /// Removes an app from the cache, so that this process reads it again.
    pub fn forget(&self, slug: &AppSlug) {
        self.known().remove(slug);
    }

    async fn get_younger(&self, slug: &AppSlug, age: TimeDelta) -> Result<Option<Arc<App>>, StoreError> {
        let now = self.clock.now();
        {
            let apps = self.known();
            if let Some(known) = apps.get(slug) {
                // Setting the clock back must not extend the life of a cache entry.
                if known.read_at <= now && now < known.read_at + age {
                    return Ok(Some(Arc::clone(&known.app)));
                }
            }
        }
        let Some(app) = self.store.get_app(slug).await? else {
            self.forget(slug);
            return Ok(None);
        };
        let app = Arc::new(app);
        let mut apps = self.known();
        if apps.len() >= MOST_APPS && !apps.contains_key(slug) {
            apps.retain(|_, known| now < known.read_at + REMEMBER);
            if apps.len() >= MOST_APPS {
                apps.clear();
            }
        }
        let remembered = Remembered { app: Arc::clone(&app), read_at: now };
        apps.insert(slug.clone(), remembered);
        Ok(Some(app))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<AppSlug, Remembered>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
