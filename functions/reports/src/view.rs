//! What the overview and charts count: a series over a range, with any filter.

use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::time::calendar::{Interval, TooManyBuckets};
use tally_core::time::moment::Calendar;
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, HOUR, MINUTE, Range, TimeDelta, Timestamp};
use tally_http::parameters::{FromQuery, Params};
use tally_http::problem::Problem;
use tally_service::reads::Reads;
use tally_service::report::count::{self as counters, Counts, widen};
use tally_service::report::from_events::{FromEvents, count_events};

use crate::answer::{self, TimeRange, boundaries};

/// What the columns of a series are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum By {
    #[default]
    Level,
    Name,
}

/// A view as it was asked for.
pub(crate) struct View {
    pub(crate) filter: EventFilter,
    pub(crate) zone: Zone,
    pub(crate) range: Range,
    /// The period to compare with, if one was asked for.
    pub(crate) previous: Option<Range>,
    pub(crate) interval: Interval,
    pub(crate) by: By,
    /// Whether the caller may read messages.
    pub(crate) messages: bool,
}

impl View {
    /// Reads its parameters. Only the overview compares.
    pub(crate) fn read(params: &mut Params, now: Timestamp, compares: bool) -> Option<Self> {
        let filter = EventFilter::read(params, now);
        let messages = params.limits().is_none_or(|limits| limits.shows_messages());
        let calendar = Calendar::read(params, now)?;
        let compares = compares && answer::compares(params);
        let range = TimeRange::compared(params, &calendar);
        let by = params.choice("by", &[("level", By::Level), ("name", By::Name)]).unwrap_or_default();
        let sent = params.text("interval");
        let interval = match (&sent, &range) {
            (Some(text), _) => Interval::read(text, calendar.week_start),
            (None, Some((range, _))) => Some(sensible(*range, &calendar)),
            (None, None) => Some(Interval::Hour),
        };
        if interval.is_none() {
            params.add("interval", "must be MINUTE, HOUR, DAY, WEEK or MONTH");
        }
        let ((range, previous), interval) = (range?, interval?);
        let zone = calendar.zone;
        params.keep(if sent.is_some() { "interval" } else { "since" }, interval.starts(range, &zone))?;
        Some(Self { filter: filter?, zone, range, previous: compares.then_some(previous), interval, by, messages })
    }
}

/// The interval with which a range has a few dozen columns, or a few hundred minutes.
fn sensible(range: Range, calendar: &Calendar) -> Interval {
    // A range up to now has the rest of this minute as well.
    match range.until() - range.since() - MINUTE {
        length if length <= 6 * HOUR => Interval::Minute,
        length if length <= 3 * DAY => Interval::Hour,
        length if length <= 100 * DAY => Interval::Day,
        length if length <= TimeDelta::days(2 * 366) => Interval::Week(calendar.week_start),
        _ => Interval::Month,
    }
}

/// A range with its counts.
pub(crate) struct Counted {
    /// The starts of its buckets, the first of which may lie before the range.
    pub(crate) starts: Vec<Timestamp>,
    /// The range, as asked for or wider.
    pub(crate) range: Range,
    /// The counts; their slots are the buckets.
    pub(crate) counts: Counts,
    /// What was found in the events, if the counters could not answer.
    pub(crate) events: Option<FromEvents>,
    pub(crate) widened: bool,
}

impl Counted {
    /// Counts a range: from the counters if they know all that the filter asks, else from the events, as far as the read
    /// budget goes.
    pub(crate) async fn of(reads: &Reads, app: &App, range: Range, view: &View) -> Result<Self, Problem> {
        let starts = |range| view.interval.starts(range, &view.zone);
        let too_many = |e: TooManyBuckets| Problem::field("interval", e.to_string());
        if !view.filter.beyond_cells().is_empty() {
            let starts = starts(range).map_err(too_many)?;
            let mut events = count_events(reads, app, &boundaries(&starts, range), &view.filter, usize::MAX).await?;
            let counts = std::mem::take(&mut events.counts);
            return Ok(Self { starts, range, counts, events: Some(events), widened: false });
        }
        let wide = widen(app, range, reads.now);
        let starts = starts(wide).map_err(too_many)?;
        let counts = counters::count(reads, app, boundaries(&starts, wide), &view.filter.cell).await;
        let counts = counts.map_err(|e| Problem::of_read(e, "since"))?;
        let range_of_counts = counts.range;
        Ok(Self { starts, range: range_of_counts, counts, events: None, widened: range_of_counts != range })
    }

    /// The time from which events are counted, if the read budget ended before all were.
    pub(crate) fn covered_since(&self) -> Option<Timestamp> {
        self.events.as_ref()?.covered_since
    }
}
