//! The cost of requests, from DynamoDB's `ReturnConsumedCapacity`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Sums the cost of a store's requests.
#[derive(Debug, Default)]
pub struct Meter {
    reads: Tally,
    writes: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    // In thousandths: consumed capacity can be a multiple of one half.
    milli_units: AtomicU64,
}

/// Requests and capacity units up to a point in time. The difference of two values is the cost between them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// The number of read requests.
    pub read_requests: u64,
    /// Read units.
    pub read_units: f64,
    /// The number of write requests.
    pub write_requests: u64,
    /// Write units.
    pub write_units: f64,
}

/// Whether a request reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
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
    /// Returns the current sums.
    pub fn usage(&self) -> Usage {
        Usage {
            read_requests: self.reads.requests.load(Ordering::Relaxed),
            read_units: self.reads.units(),
            write_requests: self.writes.requests.load(Ordering::Relaxed),
            write_units: self.writes.units(),
        }
    }

    /// Adds one request and its consumed units.
    pub(crate) fn add(&self, direction: Direction, units: f64) {
        match direction {
            Direction::Read => self.reads.add(units),
            Direction::Write => self.writes.add(units),
        }
    }
}

impl Tally {
    fn add(&self, units: f64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // units are small and positive
        self.milli_units.fetch_add((units * 1000.0).round() as u64, Ordering::Relaxed);
    }

    #[allow(clippy::cast_precision_loss)] // exact below 2^53 thousandths
    fn units(&self) -> f64 {
        self.milli_units.load(Ordering::Relaxed) as f64 / 1000.0
    }
}
