//! `POST /the-eye/{key}/api/event/`; see [`tally_http::compat::the_eye`].

use std::borrow::Cow;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Kind};
use tally_core::event::{MAX_DEPTH, MAX_TEXT};
use tally_core::invalid::Invalid;
use tally_http::body::{Fields, read as read_all};
use tally_http::guard::{Target, TimeLeft};
use tally_http::openapi::TimeInput;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;

use crate::accept::accept;
use crate::body::{self, MAX_SENT, Raw};
use crate::draft::{self, free_of, time_of};
use crate::events::answered;

/// What became of an event that was sent to The Eye.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TheEyeSuccess")]
pub(crate) struct Success {
    /// True.
    success: bool,
}

pub(crate) async fn send(
    State(context): Shared,
    Target(app): Target,
    left: TimeLeft,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let sent = read_all(body, MAX_SENT).await?;
    let deadline = left.deadline();
    let body = body::decompress(&parts.headers, sent)?;
    let draft = match body::split(&parts.headers, &body)? {
        Raw::One(event) => read(event)?,
        Raw::Many(_) => return Err(Problem::field("", "send one event as a JSON object")),
    };
    let verdicts = accept(&context, &app, vec![Ok(draft)], deadline).await?;
    Ok(answered(verdicts, |_| json(StatusCode::CREATED, &Success { success: true })))
}

/// Reads an event of The Eye: all of its five fields, whatever else is sent.
fn read(raw: &RawValue) -> Result<Draft, Invalid> {
    let mut fields = draft::fields(raw)?;
    let draft = Draft {
        session_id: text(&mut fields, "session_id"),
        category: text(&mut fields, "category"),
        name: text(&mut fields, "name"),
        timestamp: not_blank(&mut fields, "timestamp").and_then(|raw| time_of(&mut fields, "timestamp", raw)),
        data: sent(&mut fields, "data").and_then(|raw| free_of(&mut fields, "data", raw)),
        ..Draft::default()
    };
    fields.check()?;
    Ok(draft)
}

/// A field that must be there.
fn sent<'a>(fields: &mut Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let raw = fields.raw(name);
    if raw.is_none() {
        fields.add(name, "missing: send it, not null");
    }
    raw
}

/// A field that must be there, and no empty text.
fn not_blank<'a>(fields: &mut Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let raw = sent(fields, name)?;
    if json::string(raw).is_ok_and(|text| text.trim().is_empty()) {
        fields.add(name, "must not be blank");
        return None;
    }
    Some(raw)
}

/// A text; a number is taken for one.
fn text(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    let raw = not_blank(fields, name)?;
    if json::kind(raw) == Kind::Number {
        return Some(raw.get().to_owned());
    }
    fields.keep(name, json::string(raw)).map(|text| text.trim().to_owned())
}

/// What [`read`] takes.
pub(crate) struct TheEyeEventInput;

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
            "description": "An event as The Eye's clients send it; fields that are not listed are left out.",
            "type": "object",
            "properties": {
                "session_id": text("The session it happened in."),
                "category": text("What kind of thing happened."),
                "name": text("What happened."),
                "timestamp": {
                    "description": "When it happened. At most a day ahead, and not older than the app's retention.",
                    "anyOf": [time, {"type": "number", "minimum": 0}],
                },
                "data": {
                    "description": format!("Free JSON, up to {MAX_DEPTH} levels deep; not null."),
                    "type": ["object", "array", "string", "number", "boolean"],
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
