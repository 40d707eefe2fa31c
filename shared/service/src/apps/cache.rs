//! The apps that a warm process remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tally_core::app::{App, AppSlug, AppState};
use tally_core::time::clock::Clock;
use tally_core::time::{MINUTE, TimeDelta, Timestamp};
use tally_store::{Store, StoreError};

/// How long an app may be remembered, in microseconds of wall-clock time: a revoked key stops within it.
const REMEMBER: TimeDelta = MINUTE;
/// How many apps are remembered.
const MOST_APPS: usize = 10_000;

/// Apps, read from the store where they are not remembered.
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
    /// A cache that remembers nothing yet.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, apps: Mutex::default() }
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock that tells how old a memory is.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// An app in use, as it was at most 60 s ago.
    ///
    /// # Errors
    /// Where it must be read and cannot be: never an older one, since a layout relies on the 60 s.
    pub async fn get(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        Ok(self.get_younger(slug, REMEMBER).await?.filter(|app| app.state == AppState::Active))
    }

    /// An app in use, as it is now.
    pub async fn get_uncached(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        Ok(self.get_younger(slug, TimeDelta::ZERO).await?.filter(|app| app.state == AppState::Active))
    }

    /// An app in any state, also a tombstone, as it was at most 60 s ago.
    pub async fn get_in_any_state(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        self.get_younger(slug, REMEMBER).await
    }

    /// Forgets an app, so that this process reads it again.
    pub fn forget(&self, slug: &AppSlug) {
        self.known().remove(slug);
    }

    async fn get_younger(&self, slug: &AppSlug, age: TimeDelta) -> Result<Option<Arc<App>>, StoreError> {
        let now = self.clock.now();
        {
            let apps = self.known();
            if let Some(known) = apps.get(slug) {
                // A clock set back must not make a memory last.
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
