//! The three tables: one definition, which the laptop and the tests create and template.yaml is held equal to.

/// The names that the tables have in this deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// Events.
    pub events: String,
    /// Counters.
    pub counters: String,
    /// Apps, their keys, signing keys.
    pub apps: String,
}

impl Default for TableNames {
    fn default() -> Self {
        Self { events: "tally-events".to_owned(), counters: "tally-counters".to_owned(), apps: "tally-apps".to_owned() }
    }
}

/// The sparse index of Events by session.
pub const BY_SESSION: &str = "by_session";
/// Partition key of every table.
pub const PK: &str = "pk";
/// Sort key of every table.
pub const SK: &str = "sk";
/// Partition key of [`BY_SESSION`]; only events with a session have it.
pub const SESSION: &str = "session";
/// When an item expires, in Unix seconds.
pub const EXPIRES_AT: &str = "expires_at";

/// What tells one table from another; all are on demand, keyed by text `pk` and `sk`, with a TTL on `expires_at`.
#[derive(Clone, Copy, Debug)]
pub struct TableDefinition {
    /// Its logical id in template.yaml.
    pub logical_id: &'static str,
    /// Its name among the names of a deployment.
    pub name: fn(&TableNames) -> &str,
    /// Whether it has the index [`BY_SESSION`] (`session`, `sk`, all attributes).
    pub by_session: bool,
    /// Whether it has a stream of new and old images.
    pub stream: bool,
}

/// All tables.
pub const TABLES: [TableDefinition; 3] = [
    TableDefinition { logical_id: "EventsTable", name: |names| &names.events, by_session: true, stream: true },
    TableDefinition { logical_id: "CountersTable", name: |names| &names.counters, by_session: false, stream: false },
    TableDefinition { logical_id: "AppsTable", name: |names| &names.apps, by_session: false, stream: false },
];
