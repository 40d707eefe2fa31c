//! What the overview and charts count: the series of a view.

use tally_core::app::App;
use tally_core::time::calendar::TooManyBuckets;
use tally_core::time::{Range, Timestamp};
use tally_service::reads::Reads;
use tally_service::report::by_group;
use tally_service::report::by_group::range_of;
use tally_service::report::count::{Counts, boundaries};
use tally_service::report::from_events::{FromEvents, count_events};

use crate::problem::Problem;
use crate::view::View;

/// The names of a series that are shown by themselves.
pub const TOP_OF_SERIES: usize = 8;
/// What the other names of a series are shown as.
pub const OTHER_NAMES: &str = "(other names)";

/// A range with its counts.
pub struct Counted {
    /// The starts of its buckets, the first of which may lie before the range.
    pub starts: Vec<Timestamp>,
    /// The range, as asked for or wider.
    pub range: Range,
    /// The counts; their slots are the buckets.
    pub counts: Counts,
    /// What was found in the events, if the counters could not answer.
    pub events: Option<FromEvents>,
    /// Whether the range is wider than was asked for.
    pub widened: bool,
}

impl Counted {
    /// Counts a range: from the counters if they know all that the filter asks, else from the events, as far as the read
    /// budget goes.
    pub async fn of(reads: &Reads, app: &App, range: Range, view: &View) -> Result<Self, Problem> {
        let starts = |range| view.interval.starts(range, &view.zone);
        let too_many = |e: TooManyBuckets| Problem::field("interval", e.to_string());
        if view.filter.asks_events() {
            let starts = starts(range).map_err(too_many)?;
            let mut events = count_events(reads, app, &boundaries(&starts, range), &view.filter, usize::MAX).await?;
            let counts = std::mem::take(&mut events.counts);
            return Ok(Self { starts, range, counts, events: Some(events), widened: false });
        }
        let wide = range_of(app, range, &view.filter, reads.now);
        let starts = starts(wide).map_err(too_many)?;
        let counts = by_group::count(reads, app, boundaries(&starts, wide), &view.filter, true).await;
        let counts = counts.map_err(|e| Problem::of_read(e, "since"))?;
        let range_of_counts = counts.range;
        Ok(Self { starts, range: range_of_counts, counts, events: None, widened: range_of_counts != range })
    }

    /// The time from which events are counted, if the read budget ended before all were.
    pub fn covered_since(&self) -> Option<Timestamp> {
        self.counts.covered_since
    }
}
