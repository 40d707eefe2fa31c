//! AWS prices, and the cost of usage at these prices.

/// When the prices were looked up, and the region that they apply to.
pub const AS_OF: &str = "us-east-1, arm64, November 2026";

/// Dollars for a million write units on demand: one for each started KB of an item, in the table and in each index.
const WRITE_UNITS: f64 = 0.625;
/// Dollars for a million read units on demand: one for each started 4 KB, or half without strong consistency.
const READ_UNITS: f64 = 0.125;
/// Dollars for a million calls of Lambda.
const CALLS: f64 = 0.20;
/// Dollars for a GB of memory for a second (arm64).
const GB_SECOND: f64 = 0.000_013_333_4;
/// Dollars for a million requests of an HTTP API, each of up to 512 KB.
const REQUESTS: f64 = 1.00;

/// MB of the functions behind the API, and of `aggregate`: the defaults of template.yaml.
const MEMORY: f64 = 256.0;

/// The resources that something uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    /// Requests of the HTTP API.
    pub requests: f64,
    /// Calls of functions.
    pub calls: f64,
    /// Milliseconds of function run time.
    pub milliseconds: f64,
    /// Write units.
    pub write_units: f64,
    /// Read units.
    pub read_units: f64,
}

impl Bill {
    /// Dollars of API Gateway.
    pub fn api(self) -> f64 {
        self.requests * REQUESTS / 1e6
    }

    /// Dollars of Lambda.
    pub fn lambda(self) -> f64 {
        self.calls * CALLS / 1e6 + self.milliseconds / 1e3 * MEMORY / 1024.0 * GB_SECOND
    }

    /// Dollars of DynamoDB. Streams cost nothing when Lambda reads them.
    pub fn dynamodb(self) -> f64 {
        (self.write_units * WRITE_UNITS + self.read_units * READ_UNITS) / 1e6
    }

    /// Total dollars.
    pub fn dollars(self) -> f64 {
        self.api() + self.lambda() + self.dynamodb()
    }

    /// Multiplies all quantities.
    #[must_use]
    pub fn times(self, n: f64) -> Self {
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

impl std::iter::Sum for Bill {
    fn sum<I: Iterator<Item = Self>>(bills: I) -> Self {
        bills.fold(Self::default(), |all, bill| all + bill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million events in requests of this many events and this duration each.
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
