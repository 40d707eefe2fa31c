//! The store: the only place that speaks DynamoDB.

mod app_keys;
mod apps;
mod by_minute;
mod client;
mod counters;
mod erase;
mod events;
mod fences;
mod item;
mod keys;
mod recounts;
mod signing_keys;
pub mod tables;

pub use apps::CreateAppError;
pub use client::connection::{Connection, Patience, connect, connect_with};
pub use client::deadline::Deadline;
pub use client::error::StoreError;
pub use client::meter::{Meter, Usage};
pub use counters::{Applied, CellRead, CounterPage, Increment, SetAside, Unless};
pub use erase::{Erased, ErasedEvents};
pub use events::{CountedPage, EventPage, Order};
pub use fences::Fence;
pub use item::StreamImage;
pub use keys::counter_keys;
pub use recounts::{Corrected, VersionedItem};
pub use signing_keys::PublicKey;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use tables::TableNames;

/// A handle on the three tables; cheap to clone, made once per process.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: Arc<TableNames>,
    meter: Arc<Meter>,
    patience: Patience,
}

impl Store {
    /// A store over a client that is connected already.
    pub fn new(client: Client, tables: TableNames, patience: Patience) -> Self {
        Self { client, tables: Arc::new(tables), meter: Arc::default(), patience }
    }

    /// The deadline of an answer that begins now and must come soon.
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.patience.answer)
    }

    /// What the requests of this store have cost so far.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }
}
