//! What the replies share: what they cover, and the parameters of a series.

use schemars::{JsonSchema, json_schema};
use serde::{Serialize, Serializer};
use tally_core::people::By;
use tally_core::time::calendar::Interval;
use tally_core::time::moment::Calendar;
use tally_core::time::zone::Zone;
use tally_core::time::{Range, TimeDelta, Timestamp};
use tally_http::limits::Limits;
use tally_http::openapi::Parameter;
use tally_http::parameters::{FromQuery, Params};
use tally_http::problem::Problem;
use tally_http::view::TimeRange;
use tally_service::people::Read;

/// Most buckets of a series.
pub(crate) const MAX_COLUMNS: usize = 2_000;

/// Why there is no `next` although not all was read.
pub(crate) const TOO_MANY: &str = "too many people to go on later: narrow the range, or filter more";

/// The problem of a `next` that leads nowhere.
pub(crate) fn unknown_next() -> Problem {
    Problem::field(
        "next",
        "unknown, expired, or of another question: send all else as before, or leave it out to start over",
    )
}

/// A range of time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CoveredRange")]
pub(crate) struct RangeBody {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

impl From<Range> for RangeBody {
    fn from(range: Range) -> Self {
        Self { since: range.since(), until: range.until() }
    }
}

/// What an answer from events covers.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Coverage {
    /// From when on was asked for.
    since: Timestamp,
    /// Before when was asked for.
    until: Timestamp,
    /// Whether every event of that time was read.
    complete: bool,
    /// The time of which every event was read: less, if the read budget ended before.
    covered: RangeBody,
    /// Everything that was accepted before this time is read.
    counted_to: Timestamp,
    /// Everything that was accepted and happened from this time on is read too; absent where what is covered ends before it, or
    /// where the filter names sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_from: Option<Timestamp>,
    /// False if not all ids of people could be read: then a person may count once for each id. Otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    identities: Option<bool>,
}

impl Coverage {
    pub(crate) fn of(range: Range, read: &Read) -> Self {
        Self {
            since: range.since(),
            until: range.until(),
            complete: read.complete,
            covered: read.covered.into(),
            counted_to: read.counted_to,
            live_from: read.live_from,
            identities: (!read.identities).then_some(false),
        }
    }
}

/// A length of time in seconds, with a fraction where it has one.
#[derive(Clone, Copy, JsonSchema)]
#[schemars(rename = "Seconds")]
pub(crate) struct Seconds(pub(crate) f64);

impl From<TimeDelta> for Seconds {
    #[allow(clippy::cast_precision_loss)] // milliseconds of a range
    fn from(length: TimeDelta) -> Self {
        Self(length.as_millis() as f64 / 1e3)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(self.0, serializer)
    }
}

/// A number of JSON, without a fraction where it has none.
#[derive(Clone, Copy, JsonSchema)]
#[schemars(rename = "AnyNumber")]
pub(crate) struct NumberBody(pub(crate) f64);

impl Serialize for NumberBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(self.0, serializer)
    }
}

fn number<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    #[allow(clippy::cast_possible_truncation)] // a whole number of that size
    if number.fract() == 0.0 && number.abs() < 1e15 {
        serializer.serialize_i64(number as i64)
    } else {
        serializer.serialize_f64(number)
    }
}

/// A share of a number, from 0 to 1, to four digits. None of none.
#[allow(clippy::cast_precision_loss)] // numbers of people
pub(crate) fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| (part as f64 / of as f64 * 1e4).round() / 1e4)
}

/// The buckets of a range.
pub(crate) struct Buckets {
    pub(crate) range: Range,
    pub(crate) zone: Zone,
    pub(crate) interval: Interval,
    /// Their starts. The first may be before the range.
    pub(crate) starts: Vec<Timestamp>,
}

impl Buckets {
    /// Reads `since`, `until`, `tz`, `week_start` and `interval`.
    pub(crate) fn read(
        params: &mut Params,
        now: Timestamp,
        (default, known): (Interval, &[&str]),
        most: usize,
    ) -> Option<Self> {
        let calendar = Calendar::read(params, now)?;
        let range = TimeRange::in_calendar(params, &calendar);
        let sent = params.text("interval");
        let interval = match &sent {
            Some(text) => Interval::read(text, calendar.week_start).filter(|interval| known.contains(&interval.name())),
            None => Some(default),
        };
        if interval.is_none() {
            let known = known
                .split_last()
                .map_or_else(String::new, |(last, others)| format!("{} or {last}", others.join(", ")));
            params.add("interval", format!("must be {known}"));
        }
        let (TimeRange(range), interval) = (range?, interval?);
        let Ok(starts) = interval.starts_at_most(range, &calendar.zone, most) else {
            params.add(
                "interval",
                format!("the range has more than {most} of them: send a shorter range or a longer interval"),
            );
            return None;
        };
        Some(Self { range, zone: calendar.zone, interval, starts })
    }

    /// The buckets of another range, of which there may be no more than before. None if there are.
    pub(crate) fn within(self, range: Range, most: usize) -> Option<Self> {
        let starts = self.interval.starts_at_most(range, &self.zone, most).ok()?;
        Some(Self { range, starts, ..self })
    }
}

/// Whether users in a filter are people with all of their ids: not for a key that is bounded to users.
pub(crate) fn joins(limits: &Limits) -> bool {
    limits.filter().user_id.is_any()
}

/// Reads `by`.
pub(crate) fn read_by(params: &mut Params) -> By {
    params.choice("by", &[("user", By::User), ("session", By::Session)]).unwrap_or_default()
}

/// The parameter `by`.
pub(crate) fn by() -> Parameter {
    let words = json_schema!({"type": "string", "enum": ["user", "session"], "default": "user"});
    Parameter::query(
        "by",
        "What tells people apart: `user` is the `user_id`, or the `session_id` of an event without one, and all ids of a user that events \
         have told of are one person; `session` is the \
         `session_id` alone. Events without either are left out.",
        words,
    )
}

/// The parameter `interval` of some intervals.
pub(crate) fn interval(default: &str, known: &[&str]) -> Parameter {
    let words = json_schema!({"type": "string", "enum": known, "default": default});
    Parameter::query("interval", "The length of a bucket.", words)
}
