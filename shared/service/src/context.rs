//! What the HTTP layer and `aggregate` hand to the use cases; made once per process.

use std::sync::Arc;

use tally_core::time::clock::Clock;
use tally_store::{Connection, Store, connect};

use crate::apps::cache::AppCache;
use crate::apps::key_cache::KeyCache;
use crate::auth::token::TokenVerifier;
use crate::config::{Config, ConfigError};
use crate::ingest::quota::Quotas;

/// The store, the clock, the settings, and what a warm process remembers. Use cases take of it what they need.
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
    /// The apps.
    pub apps: AppCache,
    /// The apps of keys.
    pub keys: KeyCache,
}

impl Context {
    /// The context of a Lambda function, as its environment variables say.
    ///
    /// # Errors
    /// Where a setting cannot be used.
    pub fn from_environment() -> Result<Arc<Self>, ConfigError> {
        let config = Config::from_env()?;
        let store = connect(Connection::Environment, config.tables.clone());
        Ok(Self::new(store, Clock::System, config))
    }

    /// A context that remembers nothing yet.
    pub fn new(store: Store, clock: Clock, config: Config) -> Arc<Self> {
        Arc::new(Self {
            tokens: TokenVerifier::default(),
            quotas: Quotas::default(),
            apps: AppCache::new(store.clone(), clock.clone()),
            keys: KeyCache::new(store.clone()),
            store,
            clock,
            config,
        })
    }
}
