//! The Eye (<https://github.com/MAkcanca/the-eye>): a Django REST framework API that stores events of sessions.
//!
//! | The Eye | Tally |
//! | --- | --- |
//! | base URL | `/the-eye/{key}`: the key chooses the app, since The Eye's clients send no credentials |
//! | `POST api/event/` | one event: `session_id`, `category`, `name`, `timestamp`, `data` are fields of the same names |
//! | `GET api/event/` | the events of `session_id`, `category`, `name`, newest first, at most `limit` from `offset` on |
//! | `timestamp_after`, `timestamp_start` | from this time on (a date is its first moment in UTC) |
//! | `timestamp_before`, `timestamp_end` | up to and including this time, as in django-filter: `2021-01-02` includes only the first microsecond of that day |
//! | `count` | occurrences: as many as there are events, unless some were sent with a `count` through Tally's own API |
//! | `next`, `previous` | the URL of the request with another `limit` and `offset` |
//!
//! As The Eye's document has it, or Django REST framework where the document is silent:
//! - All five fields are required; only `data` may be an empty text. A number is accepted as a text. White space at the ends
//!   of a text is removed. Unknown fields are ignored.
//! - Unknown and empty parameters are ignored. Of a parameter that is sent twice the last value counts. A `limit` or `offset`
//!   that is not a number is ignored. Bounds in the wrong order contain no events.
//! - A timestamp in a reply is in UTC with `Z`, without a fraction or with six digits.
//!
//! Differences, and why:
//! - Errors are reported: 400 with `{"success": false, "detail": …}`, where The Eye answered 201 with `success` alone; other
//!   errors have the same format. Django REST framework uses `detail` for this.
//! - Tally's limits apply: texts of 256 bytes (The Eye: 150 characters), times from 1970 to a day ahead, events of 256 KB.
//! - A page has at most 1,000 events and 4 MB. A larger `limit` is reduced, and `next` leads on. `next` is null at the last
//!   event, whatever `count` is.
//! - An `offset` over 10,000 is refused, since every event before it would be read. Beyond it, `next` and `previous` have a
//!   `cursor` instead.
//! - A page may be short or empty and still have a `next`, where reading on would exceed the read budget of a request.
//! - `count` comes from the counters, which follow an accepted event within a second or two; it is never less than what the
//!   page shows. For one session it is counted in the index. `complete: false` beside it means that there may be more: a
//!   session too long to count in one request, or more names than counters hold.
//! - Times are the events' own. An app with `clock: received` uses the time of receipt here too: make another app.
//! - An event from other clients may have no session, category or data: null.
//! - Bodies are JSON, whatever their content type; The Eye reads forms as well.
//! - HEAD and OPTIONS are 405, as everywhere in Tally (except preflights of browsers). There are no HTML replies.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::filter::values::Values;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::json::{self, Json, Kind};
use tally_core::event::{Event, MAX_DEPTH, MAX_TEXT};
use tally_core::invalid::Invalid;
use tally_core::time::zone::Zone;
use tally_core::time::{MICROSECOND, Range, SECOND, Timestamp};

use crate::body::Fields;
use crate::openapi::TimeInput;
use crate::parameters::Params;
use crate::problem::Problem;

/// An error, as The Eye gives it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TheEyeRefusal")]
pub struct TheEyeProblem {
    /// False.
    success: bool,
    /// What is wrong, and what to send instead.
    detail: String,
}

impl TheEyeProblem {
    pub(super) fn of(problem: &Problem) -> Self {
        Self { success: false, detail: problem.to_string() }
    }
}

/// A time as Django REST framework writes it: in UTC, without a fraction or with six digits of it.
fn timestamp(at: Timestamp) -> String {
    let precision = if at.floor(SECOND) == at { 0 } else { 6 };
    format!("{:.precision$}", at.jiff())
}

/// A stored event, as The Eye confirms it.
#[derive(Serialize, JsonSchema)]
pub struct TheEyeSuccess {
    /// True.
    pub success: bool,
}

/// A page of events, in the format of Django REST framework.
#[derive(Serialize, JsonSchema)]
pub struct TheEyePage<'a> {
    /// The number of occurrences of all that was asked for, on any page.
    pub count: i64,
    /// False where there may be more than `count`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// The URL of the next page; null on the last.
    pub next: Option<String>,
    /// The URL of the previous page; null on the first.
    pub previous: Option<String>,
    /// The newest first.
    pub results: Vec<TheEyeEvent<'a>>,
}

/// An event, as The Eye gives it.
#[derive(Serialize, JsonSchema)]
pub struct TheEyeEvent<'a> {
    session_id: Option<&'a str>,
    /// In UTC, without a fraction or to the microsecond.
    timestamp: String,
    category: Option<&'a str>,
    name: &'a str,
    data: Option<&'a Json>,
}

impl<'a> TheEyeEvent<'a> {
    /// An event.
    pub fn new(event: &'a Event) -> Self {
        Self {
            session_id: event.session_id.as_deref(),
            timestamp: timestamp(event.timestamp),
            category: event.category.as_deref(),
            name: &event.name,
            data: event.data.as_ref(),
        }
    }
}

/// An event as The Eye's clients send it.
pub struct TheEyeEventInput;

impl TheEyeEventInput {
    /// Reads an event: all five fields must be there; others are ignored.
    ///
    /// # Errors
    /// Names each wrong field.
    pub fn read(raw: &RawValue) -> Result<Draft, Invalid> {
        let mut fields = Fields::of_event(raw)?;
        let draft = Draft {
            session_id: text(&mut fields, "session_id"),
            category: text(&mut fields, "category"),
            name: text(&mut fields, "name"),
            timestamp: not_blank(&mut fields, "timestamp").and_then(|raw| fields.time_of("timestamp", raw)),
            data: sent(&mut fields, "data").and_then(|raw| fields.json_of("data", raw)),
            ..Draft::default()
        };
        fields.check()?;
        Ok(draft)
    }
}

/// A field that must be there.
fn sent<'a>(fields: &mut Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let raw = fields.raw(name);
    if raw.is_none() {
        fields.add(name, "missing: send it, not null");
    }
    raw
}

/// A field that must be there and not be an empty text.
fn not_blank<'a>(fields: &mut Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let raw = sent(fields, name)?;
    if json::string(raw).is_ok_and(|text| text.trim().is_empty()) {
        fields.add(name, "must not be blank");
        return None;
    }
    Some(raw)
}

/// A text; a number is taken as one.
fn text(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    let raw = not_blank(fields, name)?;
    if json::kind(raw) == Kind::Number {
        return Some(raw.get().to_owned());
    }
    fields.keep_json(name, json::string(raw)).map(|text| text.trim().to_owned())
}

impl JsonSchema for TheEyeEventInput {
    fn schema_name() -> Cow<'static, str> {
        "TheEyeEventInput".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let text = |about: &str| {
            json_schema!({
                "description": about,
                "anyOf": [{"type": "string", "minLength": 1, "maxLength": MAX_TEXT}, {"type": "number"}],
            })
        };
        let time = schemas.subschema_for::<TimeInput>();
        json_schema!({
            "description": "An event as The Eye's clients send it; other fields are ignored.",
            "type": "object",
            "properties": {
                "session_id": text("The session it happened in."),
                "category": text("Category."),
                "name": text("What happened."),
                "timestamp": {
                    "description": "When it happened: at most a day ahead, and within the retention of the app.",
                    "anyOf": [time, {"type": "number", "minimum": 0}],
                },
                "data": {
                    "description": format!("Attributes of the event. Any JSON but null, up to {MAX_DEPTH} levels deep."),
                    "type": ["object", "array", "string", "number", "boolean"],
                    "items": {},
                    "additionalProperties": true,
                },
            },
            "required": ["session_id", "category", "name", "timestamp", "data"],
            "examples": [{
                "session_id": "e2085be5-9137-4e4e-80b5-f1ffddc25423",
                "category": "page interaction",
                "name": "cta click",
                "data": {"host": "www.xxxxx.com", "path": "/", "element": "chat bubble"},
                "timestamp": "2021-01-01 09:15:27.243860",
            }],
        })
    }
}

/// The filter of a list.
pub fn filter(params: &mut Params) -> EventFilter {
    let only = |params: &mut Params, name| trimmed(params, name).map_or_else(Values::default, Values::only);
    EventFilter {
        cell: CellFilter { name: only(params, "name"), category: only(params, "category"), ..CellFilter::default() },
        session_id: only(params, "session_id"),
        ..EventFilter::default()
    }
}

/// A text without the white space at its ends.
pub fn trimmed(params: &mut Params, name: &str) -> Option<String> {
    params.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The range of a list: by either name of either bound, the narrower where both are sent.
/// A day is its first moment in `tz`, which The Eye does not have.
pub fn range(params: &mut Params, now: Timestamp) -> Range {
    let zone = trimmed(params, "tz").and_then(|zone| params.keep("tz", zone.parse())).unwrap_or_else(Zone::utc);
    let mut bound = |name: &str| -> Option<Timestamp> {
        let text = trimmed(params, name)?;
        // The last day means no bound, since not all of its moments can be named.
        let read = if text.starts_with("9999-12-31") { Ok(Timestamp::MAX) } else { zone.read_time(&text, now) };
        params.keep(name, read)
    };
    let (after, start) = (bound("timestamp_after"), bound("timestamp_start"));
    let (before, end) = (bound("timestamp_before"), bound("timestamp_end"));
    let since = after.max(start).unwrap_or(Timestamp::EPOCH);
    // The range includes the bound itself.
    let until = before.into_iter().chain(end).min().map_or(Timestamp::MAX, |last| last + MICROSECOND);
    Range::new(since.max(Timestamp::EPOCH), until).unwrap_or(Range::EMPTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_has_six_digits_or_none() {
        for (sent, written) in [
            ("2021-01-01 09:15:27.243860", "2021-01-01T09:15:27.243860Z"),
            ("2021-01-01 09:15:27.5", "2021-01-01T09:15:27.500000Z"),
            ("2021-01-01T10:15:27+01:00", "2021-01-01T09:15:27Z"),
        ] {
            assert_eq!(timestamp(sent.parse().expect("a time")), written);
        }
    }
}
