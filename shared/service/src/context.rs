//! What every function is built on: the store, the clock, the settings, and what a warm process remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tally_core::app::key::KeyId;
use tally_core::app::{App, AppId, AppSlug, AppState};
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, MINUTE, Range, TimeDelta, Timestamp};
use tally_store::{Store, StoreError, UncountedDay};

use crate::auth::token::TokenVerifier;
use crate::config::Config;
use crate::ingest::quota::Quotas;

/// How long an app may be remembered, by the wall clock: a revoked key stops within it.
const REMEMBER: TimeDelta = MINUTE;
/// How many apps are remembered.
const MOST_APPS: usize = 10_000;
/// For how many apps it is remembered which days lack counts.
const MOST_UNCOUNTED: usize = 1_000;
/// How many keys' apps are remembered.
const MOST_KEYS: usize = 10_000;

/// The store, the clock, the settings, and what a warm process remembers; made once per process.
pub struct Context {
    /// The tables.
    pub store: Store,
    /// The server's clock.
    pub clock: Clock,
    /// The settings.
    pub config: Config,
    /// Checks access tokens.
    pub tokens: TokenVerifier,
    /// What is known of the quotas of apps.
    pub quotas: Quotas,
    apps: Mutex<HashMap<AppSlug, Remembered>>,
    keys: Mutex<HashMap<KeyId, AppSlug>>,
    uncounted: Mutex<HashMap<AppId, Uncounted>>,
}

/// The days whose counters lack events, and when that was read.
type Uncounted = (Timestamp, Arc<Vec<UncountedDay>>);

#[derive(Clone)]
struct Remembered {
    app: Arc<App>,
    read_at: Timestamp,
}

impl Context {
    /// A context that remembers nothing yet.
    pub fn new(store: Store, clock: Clock, config: Config) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock,
            config,
            tokens: TokenVerifier::default(),
            quotas: Quotas::default(),
            apps: Mutex::default(),
            keys: Mutex::default(),
            uncounted: Mutex::default(),
        })
    }

    /// An app in use, as it was at most 60 s ago.
    ///
    /// # Errors
    /// Where it must be read and cannot be: never an older one, since a layout relies on the 60 s.
    pub async fn app(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        Ok(self.any_app(slug, REMEMBER).await?.filter(|app| app.state == AppState::Active))
    }

    /// An app in use, as it is now.
    pub async fn app_uncached(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        Ok(self.any_app(slug, TimeDelta::ZERO).await?.filter(|app| app.state == AppState::Active))
    }

    /// An app in any state, also a tombstone, as it was at most 60 s ago.
    pub async fn app_in_any_state(&self, slug: &AppSlug) -> Result<Option<Arc<App>>, StoreError> {
        self.any_app(slug, REMEMBER).await
    }

    async fn any_app(&self, slug: &AppSlug, age: TimeDelta) -> Result<Option<Arc<App>>, StoreError> {
        let now = self.clock.now();
        {
            let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// The app that a key with this id was once made for. Whether it still has the key, and the key this id, only the app
    /// tells; a key is of one app for ever, so this may be remembered for as long as the process lives.
    pub async fn app_of_key(&self, key: &KeyId) -> Result<Option<AppSlug>, StoreError> {
        if let Some(slug) = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(Some(slug.clone()));
        }
        let slug = self.store.app_of_key(key).await?;
        if let Some(slug) = &slug {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.len() >= MOST_KEYS {
                keys.clear();
            }
            keys.insert(key.clone(), slug.clone());
        }
        Ok(slug)
    }

    /// Whether counters lack events of a day that lies in a range, if only in part; as it was at most 60 s ago.
    pub async fn lacks_counts(&self, app: &AppId, range: Range) -> Result<bool, StoreError> {
        let days = self.uncounted_days(app).await?;
        // In order.
        let first = days.partition_point(|day| day.day + DAY <= range.since());
        Ok(days.get(first).is_some_and(|day| day.day < range.until()))
    }

    async fn uncounted_days(&self, app: &AppId) -> Result<Arc<Vec<UncountedDay>>, StoreError> {
        let now = self.clock.now();
        if let Some((read_at, days)) = self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).get(app) {
            // A clock set back must not make a memory last.
            if *read_at <= now && now < *read_at + REMEMBER {
                return Ok(Arc::clone(days));
            }
        }
        let days = Arc::new(self.store.uncounted_days(app, false).await?);
        let mut all = self.uncounted.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_UNCOUNTED {
            all.clear();
        }
        all.insert(app.clone(), (now, Arc::clone(&days)));
        Ok(days)
    }

    /// Forgets which days of an app lack counts, so that this process reads it again.
    pub fn forget_uncounted(&self, app: &AppId) {
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).remove(app);
    }

    /// Forgets an app, so that this process reads it again.
    pub fn forget(&self, slug: &AppSlug) {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).remove(slug);
    }
}
