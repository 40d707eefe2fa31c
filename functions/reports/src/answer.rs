//! What reports and statistics share: parameters, counting, the parts of replies.

use std::cmp::Reverse;
use std::collections::HashMap;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::time::moment::Calendar;
use tally_core::time::{Range, Timestamp};
use tally_http::openapi::{MomentInput, Parameter};
use tally_http::parameters::{FromQuery, Params, calendar};
use tally_http::problem::Problem;
use tally_http::reply::LeftOut;
pub use tally_http::view::TimeRange;
use tally_http::view::compares;
use tally_service::reads::Reads;
use tally_service::report::by_group;
use tally_service::report::count as counters;
use tally_service::report::count::Counts;

/// The range of a statistic, and the one to compare it with if that is asked for.
pub(crate) struct Compared {
    pub(crate) range: Range,
    pub(crate) previous: Option<Range>,
}

impl FromQuery for Compared {
    fn read(params: &mut Params, now: Timestamp) -> Option<Self> {
        let calendar = Calendar::read(params, now)?;
        let compares = compares(params);
        let (range, previous) = TimeRange::compared(params, &calendar)?;
        Some(Self { range, previous: compares.then_some(previous) })
    }
}

/// The period before, to which a reply compares.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PreviousRange")]
pub(crate) struct PreviousRange {
    since: Timestamp,
    until: Timestamp,
    /// False where counts of this period may be missing, and items without `previous` may have had some; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
}

impl PreviousRange {
    pub(crate) fn of(range: Range, complete: bool) -> Self {
        Self { since: range.since(), until: range.until(), complete: (!complete).then_some(false) }
    }
}

/// The parameters of a [`TimeRange`].
pub(crate) fn time_range(schemas: &mut SchemaGenerator) -> [Parameter; 4] {
    let time = schemas.subschema_for::<MomentInput>();
    let [zone, week_start] = calendar();
    [
        Parameter::query(
            "since",
            "From this time on, or from the start of this day of `tz`; by default 24 hours before the start of this minute.",
            time.clone(),
        ),
        Parameter::query(
            "until",
            "Before this time, or before the start of this day of `tz`; by default the end of this minute.",
            time,
        ),
        zone,
        week_start,
    ]
}

/// Counts, and the time up to which they are complete. `names` are needed of what is counted, or not. More than the read budget
/// allows is an error of `field`.
pub(crate) async fn count(
    reads: &Reads,
    app: &App,
    boundaries: Vec<Timestamp>,
    filter: &CellFilter,
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
pub(crate) struct Freshness {
    /// Everything that was accepted before this time is counted.
    pub(crate) counted_to: Timestamp,
    /// Everything that was accepted and happened from this time on is counted too, since it was read from the events; absent
    /// where everything comes from counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) live_from: Option<Timestamp>,
    /// False where `(other)` is listed or may hide counts, where a day of the range lacks counts until it is recounted, or
    /// where `left_out` tells what the reply has no room for; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) complete: Option<bool>,
    /// True where the range was widened to whole minutes, since the events at its ends have expired or are too many to read;
    /// otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) widened: Option<bool>,
}

impl Freshness {
    /// Of a reply with sums over all names: a total, a series, levels.
    pub(crate) fn of_sums(counts: &Counts, counted_to: Timestamp) -> Self {
        Self::of(counts.complete, counted_to, counts.live_from)
    }

    /// Of a reply with names, slugs or categories: `(other)` may be among them.
    pub(crate) fn of_names(counts: &Counts, counted_to: Timestamp) -> Self {
        Self::of(counts.names_complete(), counted_to, counts.live_from)
    }

    pub(crate) fn of(complete: bool, counted_to: Timestamp, live_from: Option<Timestamp>) -> Self {
        Self { counted_to, live_from, complete: (!complete).then_some(false), widened: None }
    }

    /// The same, of a reply that leaves something out.
    pub(crate) fn without(mut self, left_out: Option<LeftOut>) -> Self {
        if left_out.is_some() {
            self.complete = Some(false);
        }
        self
    }

    pub(crate) fn widened(mut self, widened: bool) -> Self {
        self.widened = widened.then_some(true);
        self
    }
}

/// One point of a series.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Point {
    /// The start of the whole bucket, even where it is before the range.
    pub(crate) bucket_start: Timestamp,
    /// The number of occurrences.
    pub(crate) count: i64,
}

/// The occurrences of a name and slug.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NameCount<'a> {
    pub(crate) name: &'a str,
    pub(crate) slug: &'a str,
    pub(crate) count: i64,
}

/// Sums by name and slug, largest first, ties by name.
pub(crate) fn by_name_and_slug(counts: &Counts) -> Vec<NameCount<'_>> {
    let sums = counts.by(|cell| (cell.name(), cell.slug()));
    largest_first(sums).into_iter().map(|((name, slug), count)| NameCount { name, slug, count }).collect()
}

/// The largest first, ties by key.
pub(crate) fn largest_first<K: Ord>(sums: HashMap<K, i64>) -> Vec<(K, i64)> {
    let mut sorted: Vec<_> = sums.into_iter().collect();
    sorted.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    sorted
}

/// The boundaries of a series over a range: the starts of its buckets, cut to the range.
pub(crate) fn boundaries(starts: &[Timestamp], range: Range) -> Vec<Timestamp> {
    let mut boundaries: Vec<_> = starts.iter().map(|start| (*start).max(range.since())).collect();
    boundaries.push(range.until());
    boundaries
}
