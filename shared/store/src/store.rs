//! The store handle. All requests are methods of it.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

use crate::client::deadline::Deadline;
use crate::client::meter::Meter;
use crate::client::timeouts::Timeouts;
use crate::stream_shard_cache::StreamShards;
use crate::tables::TableNames;
use crate::uncounted_cache::UncountedCache;

/// A handle to the four tables. It is cheap to clone. Create one per process.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) client: Client,
    pub(crate) tables: Arc<TableNames>,
    pub(crate) meter: Arc<Meter>,
    timeouts: Timeouts,
    pub(crate) uncounted: Arc<UncountedCache>,
    pub(crate) stream_shards: Arc<StreamShards>,
}

impl Store {
    /// Creates a store from a connected client.
    pub fn new(client: Client, tables: TableNames, timeouts: Timeouts) -> Self {
        Self {
            client,
            tables: Arc::new(tables),
            meter: Arc::default(),
            timeouts,
            uncounted: Arc::default(),
            stream_shards: Arc::default(),
        }
    }

    /// Returns the deadline of a time-critical response that starts now.
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.timeouts.answer)
    }

    /// Returns the total cost of this store's requests so far.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }
}
