//! The store: the only place that speaks DynamoDB.

mod app_keys;
mod apps;
mod barriers;
mod client;
mod counters;
mod erase;
mod event_item;
mod events;
mod keys;
mod minute_counts;
mod recount_state;
mod signing_keys;
pub mod tables;
mod uncounted;

pub use apps::CreateAppError;
pub use barriers::Barrier;
pub use client::connection::{Connection, Timeouts, connect, connect_with};
pub use client::deadline::Deadline;
pub use client::error::StoreError;
pub use client::meter::{Meter, Usage};
pub use counters::{Applied, CellRead, CounterPage, DeadLetter, Increment, Precondition};
pub use erase::{Erased, ErasedEvents};
pub use event_item::StreamImage;
pub use events::{CountedPage, EventPage, Order};
pub use keys::counter_keys;
pub use recount_state::{Corrected, VersionedItem};
pub use signing_keys::PublicKey;
pub use uncounted::UncountedDay;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use tables::TableNames;

/// A handle on the three tables; cheap to clone, made once per process.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: Arc<TableNames>,
    meter: Arc<Meter>,
    timeouts: Timeouts,
}

impl Store {
    /// A store over a client that is connected already.
    pub fn new(client: Client, tables: TableNames, timeouts: Timeouts) -> Self {
        Self { client, tables: Arc::new(tables), meter: Arc::default(), timeouts }
    }

    /// The deadline of an answer that begins now and must come soon.
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.timeouts.answer)
    }

    /// What the requests of this store have cost so far.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }
}
