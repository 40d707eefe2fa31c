//! Seismo (`likeastore/seismo`, an Express application and a document database), under `/seismo`.
//!
//! | Seismo | here |
//! | --- | --- |
//! | `POST auth` | `POST /auth`, the same handler: its `token` and its cookie are what Seismo gives |
//! | `POST api/events/{app}` with `event` (a text, or `{id, event}`) and `data` | one event: `event` is its `name`, `id` its `slug`, the time is the server's |
//! | `GET api/events/{app}` with `event`, `id`, `date` | `GET /apps/{app}/events` with `name`, `slug`, `date`, `order=asc`, and pages of 10,000 |
//! | `GET api/reports/{report}/{app}` with `event`, `id`, and `date`, `week`, `month`, `hour`, `from`, `to` | `GET /apps/{app}/reports/{report}` with `name`, `slug`, `week_start=sunday`, and the rest by the same names |
//! | access token in `X-Access-Token`, `?access_token=` or the cookie `token` | the same; keys of the app too |
//! | an app is a word that events are stored under | the first event from an admin makes the app; for users, an app that does not exist has no events |
//! | errors as texts, some as `{message}` | all as `{message}`, with Seismo's status codes: 403 where the date, hour, `from` or `to` of a report is missing, 400 for an invalid event, 401 without a token |
//! | trailing slashes, and unknown parameters and fields, are ignored (Express) | the same |
//!
//! Differences, and why:
//! - A report of a name in an app that has more names than its counters hold says `complete: false`.
//! - A list has all events up to 10,000 events, 4 MB, or the read budget of a request, and then a `Link` to the rest, since
//!   every reply here has a limit. Seismo reads any number into memory.
//! - Days are in UTC everywhere. Seismo's list, unlike its reports, uses the zone of the server.
//! - A report has `id` and `event` where they were asked for, or where all counted events share them. Seismo takes those of
//!   the first event that it finds.
//! - A report counts occurrences: an event that was sent to Tally's own API with a `count` counts that often. A report may
//!   lack events of the last seconds.
//! - White space in a name becomes one `-` in its `id`, whatever its length. Seismo writes one `-` for each character.
//! - An `event` object without a name is 400, since no query by name could find it. An invalid date is 400, where Seismo
//!   answers 500.
//! - Pages of other origins may read only if `TALLY_READ_ORIGINS` has them; Seismo allows all. Bodies are JSON, whatever their
//!   content type; Seismo reads forms as well.
//! - A GitHub token signs in, as Seismo's document has it; its code accepts only passwords. Sign-in refuses unknown fields,
//!   since a misspelt one could not sign anybody in.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use tally_core::app::EventClock;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Json, Kind};
use tally_core::event::{Event, MAX_TEXT};
use tally_core::invalid::{FieldError, Invalid};
use tally_core::time::Timestamp;

use crate::body::{Fields, invalid};
use crate::openapi::any_json;
use tally_core::time::moment::Moment;

use crate::parameters::{Params, SentParams};
use crate::problem::Problem;

/// An event as Seismo gives it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SeismoEvent")]
pub struct SeismoEvent<'a> {
    /// The machine-readable form of the name.
    id: &'a str,
    /// The app, as the path names it.
    app: &'a str,
    /// What happened.
    event: &'a str,
    /// When it happened, by the clock that orders the app's events. The spelling is Seismo's.
    timestampt: Timestamp,
    /// Attributes of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Json>,
}

impl<'a> SeismoEvent<'a> {
    /// An event of the app that the path calls `app`, whose clock is `clock`.
    pub fn new(app: &'a str, clock: EventClock, event: &'a Event) -> Self {
        Self { id: &event.slug, app, event: &event.name, timestampt: event.at(clock), data: event.data.as_ref() }
    }
}

/// An error, as Seismo gives it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SeismoRefusal")]
pub struct SeismoProblem {
    /// What is wrong, and what to send instead.
    message: String,
}

impl SeismoProblem {
    pub(super) fn of(problem: &Problem) -> Self {
        let message = match problem {
            Problem::Invalid(Invalid(errors)) => {
                Invalid(errors.iter().cloned().map(in_its_words).collect()).to_string()
            }
            problem => problem.to_string(),
        };
        Self { message }
    }
}

/// A wrong field by the name that it has in Seismo.
fn in_its_words(error: FieldError) -> FieldError {
    let field = match error.field.as_str() {
        "name" => "event".to_owned(),
        "slug" => "id".to_owned(),
        _ => error.field,
    };
    FieldError { field, ..error }
}

/// How often something happened in a period, as Seismo gives it.
#[derive(Serialize, JsonSchema)]
pub struct SeismoReport<'a> {
    /// The slug that was asked for, or that all the events share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// The name that was asked for, or that all the events share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<&'a str>,
    /// The number of occurrences.
    pub total: i64,
    /// False where there may be more than `total`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
}

/// An event as Seismo's clients send it.
pub struct SeismoEventInput;

impl SeismoEventInput {
    /// Reads an event; fields that Seismo does not know are ignored.
    ///
    /// # Errors
    /// Names each wrong field.
    pub fn read(body: &[u8]) -> Result<Draft, Invalid> {
        let mut fields = if body.trim_ascii().is_empty() {
            Fields::of(vec![])
        } else {
            Fields::of_event(json::document(body).map_err(invalid)?)?
        };
        let mut draft = Draft { data: fields.json("data"), ..Draft::default() };
        match fields.raw("event") {
            Some(event) => (draft.slug, draft.name) = id_and_name(&mut fields, event),
            None => fields.add("event", "missing: send what happened, as a text or as `{id, event}`"),
        }
        fields.check()?;
        Ok(draft)
    }
}

fn id_and_name(fields: &mut Fields<'_>, event: &RawValue) -> (Option<String>, Option<String>) {
    if json::kind(event) != Kind::Object {
        let name = fields.keep_json("event", json::string(event));
        if name.as_deref() == Some("") {
            fields.add("event", "empty: send what happened");
        }
        return (None, name);
    }
    let Some(parts) = fields.keep_json("event", json::object(event)) else { return (None, None) };
    let mut parts = Fields::of(parts);
    let (id, name) = (parts.text("id"), parts.text("event"));
    if name.is_none() {
        parts.add("event", "missing: send what happened");
    }
    fields.add_nested("event", parts.check());
    (id, name)
}

impl JsonSchema for SeismoEventInput {
    fn schema_name() -> Cow<'static, str> {
        "SeismoEventInput".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_TEXT});
        json_schema!({
            "description": "An event as Seismo's clients send it; other fields are ignored.",
            "type": "object",
            "properties": {
                "event": {
                    "description": "What happened: its name, or its slug and its name.",
                    "oneOf": [name, {
                        "type": "object",
                        "properties": {"id": {"type": ["string", "null"], "maxLength": MAX_TEXT}, "event": name},
                        "required": ["event"],
                    }],
                },
                "data": any_json("Attributes of the event."),
            },
            "required": ["event"],
            "examples": [{"event": {"id": "app-start", "event": "application started"}, "data": {"plan": "pro"}}],
        })
    }
}

/// Seismo's parameters of a list as those of `GET /apps/{app}/events`; others are ignored.
///
/// # Errors
/// Names each parameter that is sent twice.
pub fn list_params(mut sent: Params) -> Result<Params, Invalid> {
    let mut params = SentParams::from([("order".to_owned(), "asc".to_owned().into())]);
    for (theirs, ours) in [("event", "name"), ("id", "slug"), ("date", "date"), ("cursor", "cursor")] {
        let value = sent.text(theirs);
        if let ("date", Some(date)) = (theirs, &value)
            && is_relative(date)
        {
            sent.add(theirs, "must be `today` or a day, e.g. 2013-09-29");
        }
        params.extend(value.map(|value| (ours.to_owned(), value.into())));
    }
    sent.check()?;
    Ok(Params::of(params))
}

/// Whether a time is one of Tally's own forms, relative to now, that Seismo does not know. It knows `today`.
pub fn is_relative(text: &str) -> bool {
    use tally_core::time::moment::Span;
    let relative = |moment| !matches!(moment, Moment::At(_) | Moment::Day(_) | Moment::StartOf(Span::Today));
    text.parse().is_ok_and(relative)
}
