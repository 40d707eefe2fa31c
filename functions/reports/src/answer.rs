//! What reports and statistics share: parameters, counting, the parts of replies.

use std::cmp::Reverse;
use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, MINUTE, Range, Timestamp};
use tally_http::parameters::Params;
use tally_service::context::Context;
use tally_service::report::count as counters;
use tally_service::report::count::Counts;
use tally_store::StoreError;

/// The filters that counters know.
pub(crate) fn read_filter(params: &mut Params) -> CellFilter {
    CellFilter {
        name: params.text_of("name", "event"),
        slug: params.text("slug"),
        category: params.text("category"),
        level: params.level(),
    }
}

/// The zone, UTC where nothing is said.
pub fn read_zone(params: &mut Params) -> Zone {
    params.parsed("tz").unwrap_or_else(Zone::utc)
}

/// The range of a statistic: by default the 24 hours before this minute, and this minute.
pub fn read_range(params: &mut Params, now: Timestamp) -> Range {
    let minute = now.floor(MINUTE);
    let since = params.parsed("since").unwrap_or(minute - DAY);
    let until = params.parsed("until").unwrap_or(minute + MINUTE);
    if since < Timestamp::EPOCH {
        params.add("since", "is before 1970: send a later time");
    }
    Range::new(since, until).unwrap_or_else(|e| {
        params.add("since", e);
        Range::ALL
    })
}

/// Counts and how far they reach at the least.
pub(crate) async fn count(
    context: &Context,
    app: &App,
    boundaries: Vec<Timestamp>,
    filter: &CellFilter,
) -> Result<(Counts, Timestamp), StoreError> {
    // Before the counters, or a batch that is folded in between would be told as in.
    let counted_to = counters::counted_to(context, app).await?;
    Ok((counters::count(context, app, boundaries, filter).await?, counted_to))
}

/// What every reply says about itself.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Freshness {
    /// All that was accepted before it is in.
    pub(crate) counted_to: Timestamp,
    /// Said only where something may be hidden under `(other)`, or where a day of the range lacks counts until it is
    /// recounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) complete: Option<bool>,
    /// Said only where the range was widened to whole minutes, since the events of its ends have expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) widened: Option<bool>,
}

impl Freshness {
    pub(crate) fn new(counts: &Counts, counted_to: Timestamp) -> Self {
        Self { counted_to, complete: (!counts.complete).then_some(false), widened: None }
    }

    pub(crate) fn widened(mut self, widened: bool) -> Self {
        self.widened = widened.then_some(true);
        self
    }
}

/// One point of a series.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Point {
    /// The start of the whole bucket, also where that is before the range.
    pub(crate) bucket_start: Timestamp,
    /// The occurrences in it.
    pub(crate) count: i64,
}

/// A name, its slug, and how often.
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
    sorted.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    sorted
}

/// The boundaries of a series over a range: the starts of its buckets, cut to the range.
pub(crate) fn boundaries(starts: &[Timestamp], range: Range) -> Vec<Timestamp> {
    let mut boundaries: Vec<_> = starts.iter().map(|start| (*start).max(range.since())).collect();
    boundaries.push(range.until());
    boundaries
}
