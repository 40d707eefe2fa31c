//! The context that the HTTP layer and `aggregate` pass to the use cases. Created once per process.

use std::sync::{Arc, OnceLock};

use tally_core::time::clock::Clock;
use tally_store::{Connection, Store, connect};

use crate::apps::cache::AppCache;
use crate::apps::key_cache::KeyCache;
use crate::auth::token::TokenVerifier;
use crate::budget::Limits;
use crate::chart_link::KnownLinkKey;
use crate::config::{Config, ConfigError};
use crate::countries::Countries;
use crate::disk::Disk;
use crate::event_units::EventUnits;
use crate::ingest::names::Names;
use crate::ingest::quota::Quotas;
use crate::ingest::rejected::Rejections;
use crate::issues::known_releases::KnownReleases;
use crate::issues::new_issues::NewIssues;
use crate::people::known_aliases::KnownAliases;
use crate::reads::Reads;
use crate::visitors::Salts;

/// The store, the clock, the settings, and the caches of a warm process. Each use case takes what it needs.
pub struct Context {
    /// The tables.
    pub store: Store,
    /// The server's clock.
    pub clock: Clock,
    /// The settings.
    pub config: Config,
    /// Verifies access tokens.
    pub tokens: TokenVerifier,
    /// The quota state of the apps.
    pub quotas: Quotas,
    /// The names that this process has met.
    pub names: Names,
    /// The rejected events that were not written yet.
    pub rejections: Rejections,
    /// The cache of apps.
    pub apps: AppCache,
    /// The cache that maps keys to apps.
    pub keys: KeyCache,
    /// The disk of the database, on a machine of its own; set once, by the server that runs there.
    pub disk: OnceLock<Box<dyn Disk>>,
    /// How many new issues this process has stored.
    pub new_issues: NewIssues,
    /// The releases that this process has met.
    pub releases: KnownReleases,
    /// The other ids of users that this process has met.
    pub aliases: KnownAliases,
    /// The key that signs links to charts.
    pub link_key: KnownLinkKey,
    /// The salts that make ids of visitors.
    pub salts: Salts,
    /// What tells the country of an address; set once, where `TALLY_GEOIP` names a file.
    pub countries: OnceLock<Box<dyn Countries>>,
    /// How much the events of apps weigh.
    pub event_units: Arc<EventUnits>,
}

impl Context {
    /// Creates the context of a Lambda function from its environment variables.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid.
    pub fn from_environment() -> Result<Arc<Self>, ConfigError> {
        let config = Config::from_env()?;
        let store = connect(Connection::Environment, config.tables.clone());
        Ok(Self::new(store, Clock::System, config))
    }

    /// Creates a context with empty caches.
    pub fn new(store: Store, clock: Clock, config: Config) -> Arc<Self> {
        Arc::new(Self {
            tokens: TokenVerifier::default(),
            quotas: Quotas::default(),
            names: Names::default(),
            rejections: Rejections::default(),
            new_issues: NewIssues::default(),
            releases: KnownReleases::default(),
            aliases: KnownAliases::default(),
            link_key: KnownLinkKey::default(),
            salts: Salts::default(),
            countries: OnceLock::new(),
            event_units: Arc::default(),
            apps: AppCache::new(store.clone(), clock.clone()),
            keys: KeyCache::new(store.clone()),
            store,
            clock,
            config,
            disk: OnceLock::new(),
        })
    }

    /// Creates the reads of a request, which keep to the read budget.
    pub fn reads(&self) -> Reads {
        let limits = Limits::new(self.config.read_budget, self.config.tail_budget, self.config.read_time);
        Reads::new(self.store.clone(), limits, Arc::clone(&self.event_units), self.clock.now())
    }
}
