//! What requests cost, from DynamoDB's own `ReturnConsumedCapacity`.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::types::ConsumedCapacity;

/// Adds up what a store's requests cost.
#[derive(Debug, Default)]
pub struct Meter {
    reads: Tally,
    writes: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    // In thousandths: capacity comes in halves and, for transactions, in whole units.
    milli_units: AtomicU64,
}

/// Requests and capacity units up to a moment; subtract two to learn what lay between.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Round trips that read.
    pub read_requests: u64,
    /// Read units.
    pub read_units: f64,
    /// Round trips that wrote.
    pub write_requests: u64,
    /// Write units.
    pub write_units: f64,
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            read_requests: self.read_requests - earlier.read_requests,
            read_units: self.read_units - earlier.read_units,
            write_requests: self.write_requests - earlier.write_requests,
            write_units: self.write_units - earlier.write_units,
        }
    }
}

impl Meter {
    /// The sums so far.
    pub fn usage(&self) -> Usage {
        Usage {
            read_requests: self.reads.requests.load(Ordering::Relaxed),
            read_units: self.reads.units(),
            write_requests: self.writes.requests.load(Ordering::Relaxed),
            write_units: self.writes.units(),
        }
    }

    /// Notes a request that read; returns its units.
    pub(crate) fn read<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> f64 {
        self.reads.add(consumed)
    }

    /// Notes a request that wrote; returns its units.
    pub(crate) fn wrote<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> f64 {
        self.writes.add(consumed)
    }
}

impl Tally {
    fn add<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> f64 {
        let units: f64 = consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
        self.requests.fetch_add(1, Ordering::Relaxed);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // units are small and positive
        self.milli_units.fetch_add((units * 1000.0).round() as u64, Ordering::Relaxed);
        units
    }

    #[allow(clippy::cast_precision_loss)] // exact below 2^53 thousandths
    fn units(&self) -> f64 {
        self.milli_units.load(Ordering::Relaxed) as f64 / 1000.0
    }
}
