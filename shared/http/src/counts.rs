//! What the functions that answer with counts share: counting, how fresh counts are, and the points of a series.

use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::time::Timestamp;
use tally_service::reads::Reads;
use tally_service::report::count::Counts;
use tally_service::report::{by_group, count as counters};

use crate::problem::Problem;
use crate::reply::LeftOut;

/// Counts, and the time up to which they are complete. `names` are needed of what is counted, or not. More than the read budget
/// allows is an error of `field`.
pub async fn count(
    reads: &Reads,
    app: &App,
    boundaries: Vec<Timestamp>,
    filter: &EventFilter,
    names: bool,
    field: &str,
) -> Result<(Counts, Timestamp), Problem> {
    // Read before the counters: a batch that is folded in between is then not claimed to be counted.
    let counted_to = counters::counted_to(reads, app).await?;
    let counts = by_group::count(reads, app, boundaries, filter, names).await;
    let counts = counts.map_err(|e| Problem::of_read(e, field))?;
    Ok((counts, counted_to))
}

/// How fresh and complete the counts of a reply are.
#[derive(Serialize, JsonSchema)]
pub struct Freshness {
    /// Everything that was accepted before this time is counted.
    pub counted_to: Timestamp,
    /// Everything that was accepted and happened from this time on is counted too, since it was read from the events; absent
    /// where everything comes from counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_from: Option<Timestamp>,
    /// False where `(other)` is listed or may hide counts, where a day of the range lacks counts until it is recounted, or
    /// where `left_out` tells what the reply has no room for; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Where the read budget ended before all events that the filter asks for, or all days of all time, were read: `complete` is
    /// false, and what happened before this time is not counted; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered_since: Option<Timestamp>,
    /// True where the range was widened to whole minutes, since the events at its ends have expired or are too many to read;
    /// otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widened: Option<bool>,
}

impl Freshness {
    /// Of a reply with sums over all names: a total, a series, levels.
    pub fn of_sums(counts: &Counts, counted_to: Timestamp) -> Self {
        Self::of(counts.complete, counted_to, counts.live_from).covering(counts.covered_since)
    }

    /// Of a reply with names, slugs or categories: `(other)` may be among them.
    pub fn of_names(counts: &Counts, counted_to: Timestamp) -> Self {
        Self::of(counts.names_complete(), counted_to, counts.live_from).covering(counts.covered_since)
    }

    /// Of a reply whose counts are complete, or not.
    pub fn of(complete: bool, counted_to: Timestamp, live_from: Option<Timestamp>) -> Self {
        Self { counted_to, live_from, complete: (!complete).then_some(false), covered_since: None, widened: None }
    }

    /// The same, of counts that begin with this time, if they do not begin with their range.
    #[must_use]
    pub fn covering(mut self, since: Option<Timestamp>) -> Self {
        self.covered_since = since;
        self
    }

    /// The same, of a reply that leaves something out.
    #[must_use]
    pub fn without(mut self, left_out: Option<LeftOut>) -> Self {
        if left_out.is_some() {
            self.complete = Some(false);
        }
        self
    }

    /// The same, of a range that was widened.
    #[must_use]
    pub fn widened(mut self, widened: bool) -> Self {
        self.widened = widened.then_some(true);
        self
    }
}

/// One point of a series.
#[derive(Serialize, JsonSchema)]
pub struct Point {
    /// The start of the whole bucket, even where it is before the range.
    pub bucket_start: Timestamp,
    /// The number of occurrences.
    pub count: i64,
}
