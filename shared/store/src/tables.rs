//! The definition of the four tables. The laptop and the tests create tables from it, and template.yaml must match
//! it.

/// The table names in this deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// Events.
    pub events: String,
    /// Counters.
    pub counters: String,
    /// Apps, their keys, signing keys.
    pub apps: String,
    /// The salts that make ids of visitors.
    pub salts: String,
}

impl Default for TableNames {
    fn default() -> Self {
        Self {
            events: "tally-events".to_owned(),
            counters: "tally-counters".to_owned(),
            apps: "tally-apps".to_owned(),
            salts: "tally-salts".to_owned(),
        }
    }
}

/// The sparse index of Events by session.
pub const BY_SESSION: &str = "by_session";
/// The sparse index of Events by user.
pub const BY_USER: &str = "by_user";
/// The partition key of every table.
pub const PK: &str = "pk";
/// The sort key of every table.
pub const SK: &str = "sk";
/// The partition key of [`BY_SESSION`]. Only events with a session have it, of apps that index by session.
pub const SESSION: &str = "session";
/// The partition key of [`BY_USER`]. Only events with a user have it, of apps that index by user.
pub const USER: &str = "user";
/// The expiry time of an item, in Unix seconds.
pub const EXPIRES_AT: &str = "expires_at";

/// What the index [`BY_SESSION`] holds of an event; [`BY_USER`] has keys in the cloud. A deployment chooses it when its tables are made; what reads the index
/// finds out by the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SessionIndex {
    /// The whole event: a write unit for each KB of it, and a session is read at once.
    #[default]
    Whole,
    /// Its keys: one write unit, and the events of a session are read from the table.
    Keys,
}

/// The properties that differ between tables. All tables are on demand, have the text keys `pk` and `sk`, and use
/// `expires_at` for TTL.
#[derive(Clone, Copy, Debug)]
pub struct TableDefinition {
    /// The logical id in template.yaml.
    pub logical_id: &'static str,
    /// Selects the table's name from the names of a deployment.
    pub name: fn(&TableNames) -> &str,
    /// The indexes of the table: their name and partition key. Their sort key is `sk`.
    pub indexes: &'static [(&'static str, &'static str)],
    /// Whether the table has a stream of new and old images.
    pub stream: bool,
    /// Whether its items must not get lost: it has backups and outlives its stack. Of salts nothing may be left.
    pub kept: bool,
}

/// All tables.
pub const TABLES: [TableDefinition; 4] = [
    TableDefinition {
        logical_id: "EventsTable",
        name: |names| &names.events,
        indexes: &[(BY_SESSION, SESSION), (BY_USER, USER)],
        stream: true,
        kept: true,
    },
    TableDefinition {
        logical_id: "CountersTable",
        name: |names| &names.counters,
        indexes: &[],
        stream: false,
        kept: true,
    },
    TableDefinition { logical_id: "AppsTable", name: |names| &names.apps, indexes: &[], stream: false, kept: true },
    TableDefinition { logical_id: "SaltsTable", name: |names| &names.salts, indexes: &[], stream: false, kept: false },
];
