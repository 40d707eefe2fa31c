//! The store. Only this crate accesses DynamoDB.

mod alert_deliveries;
mod alerts;
mod app_item;
mod app_keys;
mod apps;
mod attempts;
mod barriers;
mod client;
mod counter_repair;
mod counters;
mod create_tables;
mod dead_letters;
mod erase;
mod event_item;
mod events;
mod heartbeats;
mod issues;
mod item;
mod keys;
mod names;
mod quota;
mod recount_state;
mod rejected;
mod releases;
mod sessions;
mod sign_in_codes;
mod signing_keys;
mod store;
mod stored;
mod stream_shard_cache;
mod stream_shards;
pub mod tables;
mod uncounted;
mod uncounted_cache;
mod views;

pub use alert_deliveries::{DeliveriesChanged, Delivery, DeliveryStatus, PendingDelivery, Told};
pub use alerts::{AppRules, Judged, LogEntry, StoredRule, ToldIssue, ToldReport};
pub use apps::CreateAppError;
pub use attempts::{Attempts, Ended};
pub use barriers::Barrier;
pub use client::connection::{Connection, connect, connect_with};
pub use client::deadline::Deadline;
pub use client::error::StoreError;
pub use client::meter::{Meter, Usage};
pub use client::timeouts::Timeouts;
pub use counter_repair::{Corrected, VersionedItem};
pub use counters::{
    Applied, CellRead, CheckpointPage, CheckpointRead, CounterPage, CounterPlace, CounterQuery, Increment,
    Precondition, WholeItem,
};
pub use dead_letters::DeadLetter;
pub use erase::{Erased, ErasedEvents};
pub use event_item::{StreamImage, Trace};
pub use events::{CountedPage, EventPage, EventSource, Order};
pub use issues::{IssueNews, IssuePage, IssuePlace, KnownIssues, StoredIssue};
pub use keys::counter_keys;
pub use quota::Accepted;
pub use rejected::Rejected;
pub use sessions::MAX_REVOKED;
pub use sign_in_codes::StoredCode;
pub use signing_keys::PublicKey;
pub use store::Store;
pub use uncounted_cache::UncountedDay;
