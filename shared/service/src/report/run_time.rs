//! How long functions run: waiting time, which is assumed, and computing time, which `bench` counts in instructions.

/// Milliseconds until DynamoDB has answered one write or read, as seen by a function in the same region (assumed; AWS: "single-digit
/// milliseconds").
const TRIP: f64 = 5.0;
/// Milliseconds until DynamoDB has answered a `BatchWriteItem` of 25 (assumed).
const BATCH_TRIP: f64 = 8.0;
/// Concurrent `BatchWriteItem` calls of `ingest`, and concurrent updates of `aggregate`.
const AT_ONCE: f64 = 16.0;
/// Instructions per second of a full vCPU (assumed: Graviton2 at 2.5 GHz and 1.2 instructions a cycle).
const VCPU: f64 = 3e9;
/// MB of memory that come with a full vCPU (AWS: "Configure Lambda function memory"), and the memory of the functions.
const SHARE: f64 = 256.0 / 1_769.0;

/// Instructions of `ingest` for a request, and for each event in it (`bench`, 21 November 2026).
const REQUEST: f64 = 450_000.0;
const EVENT: f64 = 108_000.0;
/// Instructions of `aggregate` for each update, and for an event (`bench`, the same day).
const UPDATE: f64 = 440_000.0;
const FOLD: f64 = 97_000.0;
/// Milliseconds of a full vCPU that a query takes for each read unit (`bench`, the same day, on a busy machine). This
/// includes the work of the embedded database, so it is an overestimate.
const ANSWER: f64 = 0.9;

/// Milliseconds in which a function of 256 MB executes this many instructions.
fn compute(instructions: f64) -> f64 {
    instructions / (VCPU * SHARE) * 1e3
}

/// Milliseconds of `ingest` for a request with this many events.
pub fn ingest(events: f64) -> f64 {
    let waits = if events > 1.0 { BATCH_TRIP * (events / 25.0 / AT_ONCE).ceil() } else { TRIP };
    waits + compute(REQUEST + EVENT * events)
}

/// Milliseconds of `aggregate` for a batch with this many events that updates this many items.
pub fn aggregate(events: f64, updates: f64) -> f64 {
    TRIP * (updates / AT_ONCE).ceil() + compute(FOLD * events + UPDATE * updates)
}

/// Milliseconds of a query that reads this many units in this many sequential round trips.
pub fn question(read_units: f64, trips: f64) -> f64 {
    TRIP * trips + ANSWER / SHARE * read_units
}
