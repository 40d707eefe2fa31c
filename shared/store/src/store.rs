//! The handle that all requests are methods of.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

use crate::client::deadline::Deadline;
use crate::client::meter::Meter;
use crate::client::timeouts::Timeouts;
use crate::tables::TableNames;
use crate::uncounted_cache::UncountedCache;

/// A handle on the three tables; cheap to clone, made once per process.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) client: Client,
    pub(crate) tables: Arc<TableNames>,
    pub(crate) meter: Arc<Meter>,
    timeouts: Timeouts,
    pub(crate) uncounted: Arc<UncountedCache>,
}

impl Store {
    /// A store over a client that is connected already.
    pub fn new(client: Client, tables: TableNames, timeouts: Timeouts) -> Self {
        Self { client, tables: Arc::new(tables), meter: Arc::default(), timeouts, uncounted: Arc::default() }
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
