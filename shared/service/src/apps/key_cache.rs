//! A warm process's cache of which app a key belongs to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::AppSlug;
use tally_core::app::key::KeyId;
use tally_store::{Store, StoreError};

/// The maximum number of cached keys.
const MOST_KEYS: usize = 10_000;

/// A cache that maps keys to apps. Keys that are not cached are read from the store.
pub struct KeyCache {
    store: Store,
    keys: Mutex<HashMap<KeyId, AppSlug>>,
}

impl KeyCache {
    /// Creates an empty cache.
    pub fn new(store: Store) -> Self {
        Self { store, keys: Mutex::default() }
    }

    /// Returns the app for which a key with this ID was once created. Only the app itself shows whether it still has
    /// the key, and whether the key has this ID. A key belongs to the same app forever, so the entry is valid for the
    /// life of the process.
    pub async fn app_of(&self, key: &KeyId) -> Result<Option<AppSlug>, StoreError> {
        if let Some(slug) = self.known().get(key) {
            return Ok(Some(slug.clone()));
        }
        let slug = self.store.app_of_key(key).await?;
        if let Some(slug) = &slug {
            let mut keys = self.known();
            if keys.len() >= MOST_KEYS {
                keys.clear();
            }
            keys.insert(key.clone(), slug.clone());
        }
        Ok(slug)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<KeyId, AppSlug>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
