//! Which app a key is of, as a warm process remembers it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_core::app::AppSlug;
use tally_core::app::key::KeyId;
use tally_store::{Store, StoreError};

/// How many keys are remembered.
const MOST_KEYS: usize = 10_000;

/// The apps of keys, read from the store where they are not remembered.
pub struct KeyCache {
    store: Store,
    keys: Mutex<HashMap<KeyId, AppSlug>>,
}

impl KeyCache {
    /// A cache that remembers nothing yet.
    pub fn new(store: Store) -> Self {
        Self { store, keys: Mutex::default() }
    }

    /// The app that a key with this id was once made for. Whether it still has the key, and the key this id, only the app
    /// tells; a key is of one app for ever, so this may be remembered for as long as the process lives.
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
