//! How long functions run: waiting, which is assumed, and computing, which `bench` counts in instructions.

/// Milliseconds until DynamoDB has answered one write or read, as seen by a function beside it (assumed; AWS: "single-digit
/// milliseconds").
const TRIP: f64 = 5.0;
/// Milliseconds until it has answered a `BatchWriteItem` of 25 (assumed).
const BATCH_TRIP: f64 = 8.0;
/// `BatchWriteItem` calls that `ingest` has under way at once, and updates that `aggregate` has.
const AT_ONCE: f64 = 16.0;
/// Instructions a second of a whole vCPU (assumed: Graviton2 at 2.5 GHz and 1.2 instructions a cycle).
const VCPU: f64 = 3e9;
/// MB of memory that come with a whole vCPU (AWS: "Configure Lambda function memory"), and those of the functions.
const SHARE: f64 = 256.0 / 1_769.0;

/// Instructions of `ingest` for a request, and for each event in it (`bench`, 21 November 2026).
const REQUEST: f64 = 450_000.0;
const EVENT: f64 = 108_000.0;
/// Instructions of `aggregate` for each update, and for an event (`bench`, the same day).
const UPDATE: f64 = 440_000.0;
const FOLD: f64 = 97_000.0;
/// Milliseconds of a whole vCPU that a question takes for each read unit (`bench`, the same day, on a busy machine; what the
/// embedded database computes is in it, so this is too much).
const ANSWER: f64 = 0.9;

/// Milliseconds in which a function of 256 MB executes so many instructions.
fn compute(instructions: f64) -> f64 {
    instructions / (VCPU * SHARE) * 1e3
}

/// Milliseconds of `ingest` for a request of so many events.
pub(super) fn ingest(events: f64) -> f64 {
    let waits = if events > 1.0 { BATCH_TRIP * (events / 25.0 / AT_ONCE).ceil() } else { TRIP };
    waits + compute(REQUEST + EVENT * events)
}

/// Milliseconds of `aggregate` for a batch of so many events that updates so many items.
pub(super) fn aggregate(events: f64, updates: f64) -> f64 {
    TRIP * (updates / AT_ONCE).ceil() + compute(FOLD * events + UPDATE * updates)
}

/// Milliseconds of a question that reads so many units in so many round trips, were they one after another.
pub(super) fn question(read_units: f64, trips: f64) -> f64 {
    TRIP * trips + ANSWER / SHARE * read_units
}
