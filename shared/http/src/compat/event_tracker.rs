//! Event Tracker (<https://github.com/alexeipopov95/event-tracker>): a Django service that counts names by the hour.
//!
//! | Event Tracker | Tally |
//! | --- | --- |
//! | base URL | `/event-tracker/{key}`: the key chooses the app, since Event Tracker's clients send no credentials |
//! | `POST api/events/{EVENT}` | one occurrence of a name, now |
//! | `POST api/events/{EVENT}/{NUM}` | an event of that name with `count`, now |
//! | `GET api/events?start_date=&end_date=` | the statistic `hours`, in order of name, then hour |
//! | `GET api/events/unique` | the statistic `totals`, by name, largest first |
//! | `GET api/events/histogram/{EVENT}/{YYYYMMDD}` | the histogram of that day: PNG, JPEG where `Accept` prefers it, or with `application/json` its numbers |
//! | `status`, `response`, `error` | the body, and the text of a problem |
//!
//! As Event Tracker's document has it, or the service where the document is silent:
//! - All days and hours are UTC. Either date may be a day or an hour; the day or hour of the end date is included.
//! - The lists in the document are not JSON. The service sends a list of lists of one row each, and so does this.
//! - `error` is present only in errors: `external` is a sentence for the user of the client, `internal` tells its developer
//!   what to change.
//! - Unknown parameters and bodies are ignored.
//!
//! Differences, and why:
//! - The status 201 in the body of a reply is also the HTTP status, and an error has the status of its problem; the service
//!   answered 200. `response` of an error while counting is the document's: 403, or 404 with a NUM.
//! - Every request is counted by itself, so `response` is always 201 and never 204 ("updated") or 403 ("exists").
//! - A name may contain slashes, sent as they are or percent-encoded, since HTTP API decodes paths. So if the last segment is
//!   all digits it is NUM and the rest is the name: `resource/209/1` counts `resource/209` once. A trailing slash is ignored.
//! - A name that was sent with several slugs is one name here. If an app has more names than its counters hold, the rest is
//!   one name, `(other)`, and `complete: false` stands beside `response`.
//! - A list of hours that is larger than a reply of 4 MiB may be (more than 50,000 rows of short names) is refused, with the
//!   `end_date` up to which it fits. It is of at most 100,000 hours.
//! - The list of names that is larger has the most frequent ones, `complete: false`, and in `left_out` the number and sum of
//!   the others.
//! - The histogram is a picture as in the document, not the HTML page of the service, and counts occurrences, not requests.

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, HOUR, Range, TimeError, Timestamp, parse_date};

use crate::name_in_path::name_and_number;
use crate::parameters::Params;
use crate::problem::Problem;
use crate::reply::LeftOut;

/// A reply without an error, as Event Tracker gives it.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Envelope<T> {
    /// True.
    status: bool,
    /// What was asked for.
    response: T,
    /// False where names are missing, or counted as `(other)`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    /// The names for which the reply has no room; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
}

impl<T> Envelope<T> {
    /// An answer in its envelope.
    pub fn of(response: T) -> Self {
        Self { status: true, response, complete: None, left_out: None }
    }

    /// The same, saying what is missing.
    #[must_use]
    pub fn lacking(self, complete: Option<bool>, left_out: Option<LeftOut>) -> Self {
        Self { complete: complete.or(left_out.is_some().then_some(false)), left_out, ..self }
    }
}

/// An error, as Event Tracker gives it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTrackerRefusal")]
pub struct EventTrackerProblem {
    /// False.
    status: bool,
    /// 403 where an occurrence could not be counted, 404 where several could not; null otherwise.
    response: Option<u16>,
    error: ErrorTexts,
}

/// The same error, for two readers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTrackerError")]
struct ErrorTexts {
    /// For the developer of the client: what is wrong, and what to send instead.
    internal: String,
    /// For the user of the client.
    external: &'static str,
}

impl EventTrackerProblem {
    pub(super) fn of(problem: &Problem, (method, path): (&Method, &str)) -> Self {
        let counted = path.split_once("/api/events/").map_or("", |(_, counted)| counted);
        let response = (method == Method::POST).then(|| match name_and_number(counted) {
            (_, None) => 403,
            (_, Some(_)) => 404,
        });
        let error = ErrorTexts { internal: problem.to_string(), external: in_short(problem.status()) };
        Self { status: false, response, error }
    }
}

const fn in_short(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "The request is not valid",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "Access is denied",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => "There is no such resource",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "The service is busy: try again later",
        _ => "Something went wrong",
    }
}

/// The occurrences of a name in an hour, as Event Tracker gives them.
#[derive(Serialize, JsonSchema)]
pub struct EventTrackerHour<'a> {
    /// `YYYYMMDDHH`, in UTC.
    pub date: String,
    /// The name.
    pub event: &'a str,
    /// The number of occurrences.
    pub count: i64,
}

/// The occurrences of a name of all time, as Event Tracker gives them.
#[derive(Serialize, JsonSchema)]
pub struct EventTrackerName<'a> {
    /// The name.
    pub event: &'a str,
    /// The number of occurrences.
    pub count: i64,
}

/// A list as Event Tracker sends it: of lists of one row each.
pub type EventTrackerRows<T> = Envelope<Vec<[T; 1]>>;

/// The problem of a path under `api/events` that is not there.
pub fn no_such_path() -> Problem {
    let all = "events, events/unique or events/histogram/EVENT/YYYYMMDD";
    Problem::NotFound(format!("no such path: ask for {all}"))
}

/// The range of a list: from the start of one day, or hour, to the end of another.
pub fn range(params: &mut Params) -> Option<Range> {
    let mut bound = |name: &str| {
        let read = match params.text(name) {
            Some(text) => {
                day_or_hour(&text).map_err(|_| "must be a day from 1970 on (YYYYMMDD), or an hour (YYYYMMDDHH)")
            }
            None => Err("missing: send a day (YYYYMMDD), or an hour (YYYYMMDDHH)"),
        };
        params.keep(name, read)
    };
    let (start, end) = (bound("start_date"), bound("end_date"));
    let range = Range::new(start?.0, end?.1).ok().filter(|range| !range.is_empty());
    let range = range.ok_or("must not be after `end_date`");
    params.keep("start_date", range)
}

/// A day or an hour of it, in UTC: its start and the end.
///
/// # Errors
/// Where the text is neither `YYYYMMDD` nor `YYYYMMDDHH`, or a day before 1970.
fn day_or_hour(text: &str) -> Result<(Timestamp, Timestamp), TimeError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let (day, hour) = match text.len() {
        8 if digits => (text, None),
        10 if digits => (&text[..8], Some(&text[8..])),
        _ => return Err(TimeError),
    };
    let start = Zone::utc().start_of_day(parse_date(day)?)?;
    let (start, length) = match hour {
        None => (start, DAY),
        Some(hour) => {
            let hour: Option<i64> = hour.parse().ok().filter(|hour| (0..24).contains(hour));
            let hour = hour.ok_or(TimeError)?;
            (start + hour * HOUR, HOUR)
        }
    };
    if start < Timestamp::EPOCH { Err(TimeError) } else { Ok((start, start + length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_or_an_hour() {
        let read = |text: &str| day_or_hour(text).map(|(start, end)| format!("{start} {end}"));
        assert_eq!(read("20200911").as_deref(), Ok("2020-09-11T00:00:00Z 2020-09-12T00:00:00Z"));
        assert_eq!(read("2020091123").as_deref(), Ok("2020-09-11T23:00:00Z 2020-09-12T00:00:00Z"));
        for text in ["", "2020", "202009", "2020-09-11", "20200931", "2020091124", "20200911 1", "19691231", "2020091١"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_includes_both_days() {
        let read = |query: &str| {
            let mut params = Params::lenient(Some(query));
            let range = super::range(&mut params);
            params.check().map(|()| range.map(|range| format!("{} {}", range.since(), range.until())))
        };
        let whole = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read("start_date=2020091112&end_date=20200911"), whole("2020-09-11T12:00:00Z 2020-09-12T00:00:00Z"));
        assert_eq!(read("start_date=20200911&end_date=2020091100"), whole("2020-09-11T00:00:00Z 2020-09-11T01:00:00Z"));
        for (query, fields) in [
            ("", vec!["start_date", "end_date"]),
            ("start_date=2020091113&end_date=2020091111", vec!["start_date"]),
            ("start_date=yesterday&end_date=20200911&color=red", vec!["start_date"]),
        ] {
            let errors = read(query).expect_err(query).0;
            assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), fields, "{query}");
        }
    }
}
