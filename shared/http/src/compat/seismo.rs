//! Seismo (`likeastore/seismo`, an Express application and a document database), under `/seismo`.
//!
//! | Seismo | here |
//! | --- | --- |
//! | `POST auth` | `POST /auth`, the same handler: its `token` and its cookie are what Seismo gives |
//! | `POST api/events/{app}` with `event` (a text, or `{id, event}`) and `data` | one event: `event` is its `name`, `id` its `slug`, the time is the server's |
//! | `GET api/events/{app}` with `event`, `id`, `date` | `GET /apps/{app}/events` with `name`, `slug`, `date`, `order=asc`, and pages of 10,000 |
//! | `GET api/reports/{report}/{app}` with `event`, `id`, and `date`, `week`, `month`, `hour`, `from`, `to` | `GET /apps/{app}/reports/{report}` with `name`, `slug`, `week_start=sunday`, and the rest by the same names |
//! | access token in `X-Access-Token`, `?access_token=` or the cookie `token` | the same; keys of the app too |
//! | an app is a word that events are stored under | an admin's first event makes it; to users an app that is not there has no events |
//! | errors as texts, some as `{message}` | all as `{message}`, with Seismo's status codes: 403 where a report's date, hour, `from` or `to` is missing, 400 for an event that is none, 401 without a token |
//! | trailing slashes, and parameters and fields that it does not know, are ignored (Express) | the same |
//!
//! Differences, and why:
//! - The list of events is whole up to 10,000 events, 4 MB, or the budget of a request; then `Link` leads on, as no reply
//!   here may be without end. Seismo reads any number into memory.
//! - Days are days in UTC everywhere. Seismo's list, other than its reports, takes those of the server's own zone.
//! - A report names `id` and `event` where they were asked for, or all that it counts have the same. Seismo names those
//!   of whichever event it finds first.
//! - A report counts occurrences, so one event that was sent to Tally's own API with a `count` is as many; and it may lack
//!   what was accepted in the last seconds.
//! - White space in a name becomes one `-` in its `id`, however much of it there is; Seismo gives a `-` for each.
//! - An `event` object without a name is 400, as it would be an event that no query by name could find. A date that is none
//!   is 400, where Seismo gives 500.
//! - Pages of other origins may read only where `TALLY_READ_ORIGINS` names them; Seismo lets all of them. Bodies are JSON,
//!   whatever their type is said to be; Seismo reads forms as well.
//! - A GitHub token signs in, as Seismo's document says; its code knew passwords alone by then. Sign-in refuses fields that it
//!   does not know, as a misspelt one leaves nobody signed in anyway.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use tally_core::app::EventClock;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Json, Kind};
use tally_core::event::{Event, MAX_TEXT};
use tally_core::invalid::{FieldError, Invalid};
use tally_core::time::Timestamp;

use crate::body::Fields;
use crate::openapi::any_json;
use crate::parameters::Params;
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
}

/// An event as Seismo's clients send it.
pub struct SeismoEventInput;

impl SeismoEventInput {
    /// Reads an event; fields that Seismo does not know are ignored.
    ///
    /// # Errors
    /// Names each wrong field.
    pub fn read(body: &[u8]) -> Result<Draft, Invalid> {
        let mut fields = Fields::parse(body)?;
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
    let mut params = BTreeMap::from([("order".to_owned(), "asc".to_owned())]);
    for (theirs, ours) in [("event", "name"), ("id", "slug"), ("date", "date"), ("cursor", "cursor")] {
        params.extend(sent.text(theirs).map(|value| (ours.to_owned(), value)));
    }
    sent.check()?;
    Ok(Params::of(&params))
}
