//! What AWS asks, and what a thing costs by it.

/// When the prices were looked up, and where they hold.
pub(super) const AS_OF: &str = "us-east-1, arm64, November 2026";

/// Dollars for a million write units on demand: one for each started KB of an item, in the table and in each index.
const WRITE_UNITS: f64 = 0.625;
/// Dollars for a million read units on demand: one for each started 4 KB, half where consistency is not asked for.
const READ_UNITS: f64 = 0.125;
/// Dollars for a million calls of Lambda.
const CALLS: f64 = 0.20;
/// Dollars for a GB of memory for a second (arm64).
const GB_SECOND: f64 = 0.000_013_333_4;
/// Dollars for a million requests of an HTTP API, each of up to 512 KB.
const REQUESTS: f64 = 1.00;

/// MB of the functions behind the API, and of `aggregate`: the defaults of template.yaml.
const MEMORY: f64 = 256.0;

/// What something uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bill {
    /// Requests of the HTTP API.
    pub(super) requests: f64,
    /// Calls of functions.
    pub(super) calls: f64,
    /// Milliseconds that functions run.
    pub(super) milliseconds: f64,
    /// Write units.
    pub(super) write_units: f64,
    /// Read units.
    pub(super) read_units: f64,
}

impl Bill {
    /// Dollars of API Gateway.
    pub(super) fn api(self) -> f64 {
        self.requests * REQUESTS / 1e6
    }

    /// Dollars of Lambda.
    pub(super) fn lambda(self) -> f64 {
        self.calls * CALLS / 1e6 + self.milliseconds / 1e3 * MEMORY / 1024.0 * GB_SECOND
    }

    /// Dollars of DynamoDB. Streams cost nothing where Lambda reads them.
    pub(super) fn dynamodb(self) -> f64 {
        (self.write_units * WRITE_UNITS + self.read_units * READ_UNITS) / 1e6
    }

    /// Dollars in all.
    pub(super) fn dollars(self) -> f64 {
        self.api() + self.lambda() + self.dynamodb()
    }

    /// So many times this.
    pub(super) fn times(self, n: f64) -> Self {
        Self {
            requests: self.requests * n,
            calls: self.calls * n,
            milliseconds: self.milliseconds * n,
            write_units: self.write_units * n,
            read_units: self.read_units * n,
        }
    }
}

impl std::ops::Add for Bill {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            calls: self.calls + other.calls,
            milliseconds: self.milliseconds + other.milliseconds,
            write_units: self.write_units + other.write_units,
            read_units: self.read_units + other.read_units,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million events in requests of so many, each taking so long.
    fn sent(batch: f64, milliseconds: f64) -> Bill {
        let requests = 1e6 / batch;
        Bill { requests, calls: requests, milliseconds: requests * milliseconds, write_units: 1e6, read_units: 0.0 }
    }

    #[test]
    fn dollars_are_those_reckoned_by_hand() {
        for (batch, milliseconds, dollars) in
            [(1.0, 7.0, 1.848), (25.0, 12.0, 0.675), (100.0, 20.0, 0.638), (500.0, 60.0, 0.628)]
        {
            assert!((sent(batch, milliseconds).dollars() - dollars).abs() < 0.001, "in batches of {batch}");
        }
        let question = Bill { read_units: 20.0, ..Bill::default() };
        assert!((question.times(1e6).dollars() - 2.5).abs() < 1e-9);
    }
}
