//! Creating apps.

use std::sync::Arc;

use tally_core::app::key::{Key, Scope, generate};
use tally_core::app::layout::{EventIndexes, Layout};
use tally_core::app::{App, AppId, AppNameError, AppSlug, AppState, EventClock};
use tally_core::counter::property::CountedPath;
use tally_core::event::group::Grouping;
use tally_core::event::level::Level;
use tally_core::time::Timestamp;
use tally_store::{CreateAppError, StoreError};

use crate::apps::cache::AppCache;

/// The parameters of a new app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewApp {
    /// The display name.
    pub name: String,
    /// The clock that keys its events.
    pub clock: EventClock,
    /// The number of days after which events expire. `None` keeps them forever.
    pub retention_days: Option<u32>,
    /// The number of partitions over which its events are spread.
    pub shards: Option<u16>,
    /// The number of events accepted per minute.
    pub events_per_minute: Option<u32>,
    /// The only names that it takes; empty for any.
    pub names: Vec<String>,
    /// The number of names that may be new in a UTC day.
    pub max_new_names_per_day: Option<u32>,
    /// The lowest level at which a group is an issue. By default `ERROR`.
    pub issue_level: Option<Level>,
    /// How its events are grouped. By default by template; by message where the clock is the server's, as clients of the Log
    /// Handler make their apps, whose list of messages has an item for each.
    pub grouping: Option<Grouping>,
    /// By what its events are indexed.
    pub index: EventIndexes,
    /// The paths of `data` whose values are counted.
    pub counted: Vec<CountedPath>,
}

impl NewApp {
    /// Builds the app, for a generation of its name, with keys.
    ///
    /// # Errors
    /// Returns an error if the name is invalid.
    pub fn app(self, generation: u32, now: Timestamp, keys: Vec<Key>) -> Result<App, AppNameError> {
        let grouping = self.grouping.unwrap_or(match self.clock {
            EventClock::Event => Grouping::Template1,
            EventClock::Received => Grouping::Exact,
        });
        let layout = Layout::new(self.shards.unwrap_or(1), self.retention_days).grouped(grouping).indexed(self.index);
        let layout = layout.counting(&self.counted);
        let app = App::new(self.name, self.clock, layout, now)?;
        let id = AppId::new(&app.slug, generation);
        let Self { events_per_minute, names, max_new_names_per_day, .. } = self;
        let issue_level = self.issue_level.unwrap_or(app.issue_level);
        Ok(App { id, generation, keys, events_per_minute, names, max_new_names_per_day, issue_level, ..app })
    }
}

/// Why an app was not created.
#[derive(Debug, thiserror::Error)]
pub enum NewAppError {
    /// The name is invalid.
    #[error(transparent)]
    Name(#[from] AppNameError),
    /// The name is taken, possibly by an app that is being erased.
    #[error("the app `{0}` exists already, or is still being erased: choose another name")]
    Taken(AppSlug),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates an app with keys of the given scopes. Returns it with the keys as text, which cannot be read again later.
pub async fn create_app(apps: &AppCache, new: NewApp, scopes: &[&[Scope]]) -> Result<(App, Vec<String>), NewAppError> {
    let slug = AppSlug::of_name(&new.name)?;
    let now = apps.clock().now();
    let generation = match apps.store().get_app(&slug).await? {
        None => 1,
        Some(app) if app.state == AppState::Deleted => app.generation + 1,
        Some(_) => return Err(NewAppError::Taken(slug)),
    };
    let (keys, texts) = scopes.iter().map(|scopes| generate(scopes, None, now)).unzip();
    let app = new.app(generation, now, keys)?;
    match apps.store().create_app(&app).await {
        Ok(()) => {
            apps.forget(&slug);
            Ok((app, texts))
        }
        Err(CreateAppError::Exists) => Err(NewAppError::Taken(slug)),
        Err(CreateAppError::Store(error)) => Err(error.into()),
    }
}

/// Creates an app without keys on its first use. If several calls run at once, one creates it, and all return that app.
pub async fn create_app_on_first_use(apps: &AppCache, new: NewApp) -> Result<Arc<App>, NewAppError> {
    match create_app(apps, new, &[]).await {
        Ok((app, _)) => Ok(Arc::new(app)),
        Err(NewAppError::Taken(slug)) => {
            // The cache may contain the tombstone of the previous generation.
            apps.forget(&slug);
            apps.get(&slug).await?.ok_or(NewAppError::Taken(slug))
        }
        Err(error) => Err(error),
    }
}
