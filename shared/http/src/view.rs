//! What the overview and charts are asked with: a series over a range, with any filter. The function that answers a chart reads
//! its query here, and so does the one that stores the query in a key.

use schemars::{SchemaGenerator, json_schema};
use tally_core::event::filter::EventFilter;
use tally_core::invalid::Invalid;
use tally_core::time::calendar::{Interval, WeekStart};
use tally_core::time::moment::Calendar;
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, HOUR, MINUTE, Range, TimeDelta, Timestamp};

use crate::openapi::{MomentInput, Parameter};
use crate::parameters::{FromQuery, Params, calendar};

/// The size of a picture by default: width and height in pixels.
pub const DEFAULT_SIZE: (u32, u32) = (800, 400);
/// The smallest and largest width and height in pixels.
pub const SIZES: (u64, u64) = (200, 2_000);
/// Most columns of a chart.
const MAX_COLUMNS: usize = 2_000;
/// Longest title of a chart, in bytes.
pub const MAX_TITLE: usize = 200;

/// The range of a statistic, `since` to `until`: by default the 24 hours before this minute, and this minute.
pub struct TimeRange(pub Range);

impl FromQuery for TimeRange {
    fn read(params: &mut Params, now: Timestamp) -> Option<Self> {
        let calendar = Calendar::read(params, now)?;
        Self::in_calendar(params, &calendar)
    }
}

impl TimeRange {
    /// Reads a range whose bounds may be days of a calendar.
    pub fn in_calendar(params: &mut Params, calendar: &Calendar) -> Option<Self> {
        Self::compared(params, calendar).map(|(range, _)| Self(range))
    }

    /// Reads a range, with the one to compare it with.
    pub fn compared(params: &mut Params, calendar: &Calendar) -> Option<(Range, Range)> {
        let minute = calendar.now.floor(MINUTE);
        let moment = params.moment("since");
        let since = moment.and_then(|moment| params.keep("since", calendar.at(moment)));
        let until = params.time_in("until", calendar);
        if since.is_some_and(|since| since < Timestamp::EPOCH) {
            params.add("since", "is before 1970: send a later time");
        }
        let default = Range::new(minute - DAY, minute + MINUTE).unwrap_or(Range::EMPTY);
        let range = params.range(since, until, default)?;
        Some((range, calendar.previous(moment, range)))
    }
}

/// The parameters of a [`TimeRange`].
pub fn time_range(schemas: &mut SchemaGenerator) -> [Parameter; 4] {
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

/// Whether a comparison with the period before is asked for.
pub fn compares(params: &mut Params) -> bool {
    params.choice("compare", &[("previous", true)]).unwrap_or(false)
}

/// What the columns of a series are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// By level.
    #[default]
    Level,
    /// By name: the most frequent ones, and the others.
    Name,
}

/// A view as it was asked for.
pub struct View {
    /// Which events are counted.
    pub filter: EventFilter,
    /// The zone of days.
    pub zone: Zone,
    /// The range.
    pub range: Range,
    /// The period to compare with, if one was asked for.
    pub previous: Option<Range>,
    /// The length of a column.
    pub interval: Interval,
    /// Whether that was sent, and not chosen by the length of the range.
    pub sent_interval: bool,
    /// What columns are divided by.
    pub by: By,
    /// Whether the caller may read messages.
    pub messages: bool,
}

impl View {
    /// Reads its parameters. Only the overview compares.
    pub fn read(params: &mut Params, now: Timestamp, may_compare: bool) -> Option<Self> {
        let filter = EventFilter::read(params, now);
        let messages = params.limits().is_none_or(|limits| limits.shows_messages());
        let calendar = Calendar::read(params, now)?;
        let compares = may_compare && compares(params);
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
        let previous = compares.then_some(previous);
        Some(Self { filter: filter?, zone, range, previous, interval, sent_interval: sent.is_some(), by, messages })
    }
}

/// The parameter `interval`.
pub fn intervals(about: &str, default: Option<Interval>) -> Parameter {
    let week = Interval::Week(WeekStart::default());
    let names = [Interval::Minute, Interval::Hour, Interval::Day, week, Interval::Month].map(Interval::name);
    let mut schema = json_schema!({"type": "string", "enum": names});
    if let Some(default) = default {
        schema.insert("default".to_owned(), default.name().into());
    }
    Parameter::query("interval", about, schema)
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

/// A chart as it was asked for.
pub struct ChartView {
    /// What it counts.
    pub view: View,
    /// Whether its colours are light on dark.
    pub is_dark: bool,
    /// Its width and height in pixels.
    pub size: (u32, u32),
    /// What stands above it, if that was sent.
    pub title: Option<String>,
}

impl FromQuery for ChartView {
    fn read(params: &mut Params, now: Timestamp) -> Option<Self> {
        let view = View::read(params, now, false);
        let is_dark = params.choice("theme", &[("light", false), ("dark", true)]).unwrap_or(false);
        let mut pixels = |name: &str, default: u32| params.number(name, SIZES.0, SIZES.1).unwrap_or(default);
        let size = (pixels("width", DEFAULT_SIZE.0), pixels("height", DEFAULT_SIZE.1));
        let title = params.text("title");
        if title.as_ref().is_some_and(|title| title.len() > MAX_TITLE) {
            params.add("title", format!("must be at most {MAX_TITLE} bytes"));
        }
        let view = view?;
        let columns = view.interval.starts_at_most(view.range, &view.zone, MAX_COLUMNS);
        if columns.is_err() {
            params.add("interval", format!("the range has more than {MAX_COLUMNS} columns: send a longer interval"));
        }
        Some(Self { view, is_dark, size, title })
    }
}

impl ChartView {
    /// Checks the query of a chart, as it would be answered now.
    ///
    /// # Errors
    /// Names each wrong parameter.
    pub fn check(query: &str, now: Timestamp) -> Result<(), Invalid> {
        let mut params = Params::parse(Some(query));
        Self::read(&mut params, now);
        params.finish()
    }
}
