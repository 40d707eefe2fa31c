//! Segment and `RudderStack`: `/v1/batch`, a path for each kind of call, and the settings that their libraries load.
//!
//! | call | event |
//! | --- | --- |
//! | `event` of `track`; else the kind of call (`page`, `screen`, `identify`, `group`, `alias`) | `name` |
//! | `messageId` and `timestamp`, else `originalTimestamp` | identity, so a retry counts once |
//! | `userId`, else `anonymousId` | `user_id` |
//! | `anonymousId` beside a `userId`; `previousId` of `alias` | another id of the same user |
//! | `context.sessionId` | `session_id` |
//! | `properties` or `traits`; `name`, `category`, `groupId`, `previousId` | `data` |
//! | `context`, without `ip`; `anonymousId` | `tags` |
//!
//! `sentAt` differs with each attempt, so it is neither used nor kept.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::rejected::{Reason, Refusal};
use tally_http::families::Family;
use tally_http::problem::Problem;

use super::call::Call;
use super::fields::{self, Fields, object, scalar};
use super::packed::PIXEL;
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::records::{self, Records};
use super::sanitize::{self, pick, short};

/// The maximum number of calls in a request. Segment's libraries send at most 250.
const MAX_CALLS: usize = 10_000;

/// Segment and `RudderStack`.
pub(crate) struct Segment;

/// What a path is for.
enum Use<'a> {
    /// Calls, of this kind unless they say so themselves.
    Calls(Option<&'static str>),
    /// A call in the query, answered with a picture.
    Pixel(&'static str),
    /// Something that is taken and not kept.
    Ignored,
    /// The settings of Segment's library for a key.
    Settings(&'a str),
    /// The settings of `RudderStack`'s library.
    SourceConfig,
    Unknown,
}

/// The kind of call of a word or letter in a path.
fn kind(word: &str) -> Option<&'static str> {
    Some(match word {
        "t" | "track" => "track",
        "p" | "page" => "page",
        "s" | "screen" => "screen",
        "i" | "identify" => "identify",
        "g" | "group" => "group",
        "a" | "alias" => "alias",
        _ => return None,
    })
}

impl<'a> Use<'a> {
    fn of(path: &'a str) -> Self {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match &*segments {
            ["v1", "projects", key, "settings"] | ["projects", key, "settings"] => Self::Settings(key),
            ["sourceConfig"] => Self::SourceConfig,
            ["v1", "b" | "batch" | "import"] | ["beacon", "v1", "batch"] => Self::Calls(None),
            ["v1", "m"] => Self::Ignored,
            ["v1", word] => kind(word).map_or(Self::Unknown, |kind| Self::Calls(Some(kind))),
            ["pixel", "v1", word] => kind(word).map_or(Self::Unknown, Self::Pixel),
            _ => Self::Unknown,
        }
    }
}

/// Makes an event of a call.
fn draft(call: &RawValue, of_path: Option<&str>) -> Result<Draft, Refusal> {
    if event_json::kind(call) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "a call must be an object"));
    }
    let mut fields = Fields::of(call);
    for of_transport in ["writeKey", "sentAt", "_metadata", "integrations", "channel"] {
        fields.take(of_transport);
    }
    let sent_kind = fields.take_text("type");
    let of_path = of_path.or_else(|| fields.get("event").map(|_| "track"));
    let kind = sent_kind.as_deref().or(of_path).and_then(kind).ok_or_else(|| {
        Refusal::new(Reason::InvalidName, "its `type` must be track, page, screen, identify, group or alias")
    })?;
    let timestamp = fields.take_time("timestamp");
    let original = fields.take_time("originalTimestamp");
    let timestamp = timestamp.or(original);
    // Without a time of its own a call has no identity.
    let id = timestamp.and_then(|_| fields.take_text("messageId"));
    let name = if kind == "track" { fields.take_text("event") } else { Some(kind.to_owned()) };
    let anonymous = fields.take_text("anonymousId");
    let user = fields.take_text("userId");

    let mut context = fields.take_object("context").unwrap_or_else(|| Fields::of(RawValue::NULL));
    // An address is personal, and never kept.
    context.take("ip");
    let session = context.take_text("sessionId");
    let mut traits = context.take_object("traits").map(Fields::rest).unwrap_or_default();
    let mut tags = context.rest();
    if user.is_some() {
        tags.extend(anonymous.clone().map(|id| ("anonymousId".to_owned(), Json::String(id))));
    } else if anonymous.is_some() {
        tags.insert("anonymous".to_owned(), Json::Bool(true));
    }
    let previous = if kind == "alias" { fields.get("previousId").and_then(scalar) } else { None };
    let alias = previous.or_else(|| anonymous.clone()).filter(|_| user.is_some());
    let mut data = BTreeMap::new();
    if kind == "identify" {
        // RudderStack sends the traits in the context.
        data.append(&mut traits);
    }
    for container in ["properties", "traits"] {
        data.extend(fields.take_object(container).map(Fields::rest).unwrap_or_default());
    }
    for (name, value) in fields.rest() {
        data.entry(name).or_insert(value);
    }
    Ok(Draft {
        id: short(id),
        name: short(name),
        session_id: short(session),
        user_id: short(user.or(anonymous)),
        alias: short(alias),
        timestamp,
        data: object(data),
        tags: object(tags),
        ..Draft::default()
    })
}

/// The calls of a body: those of its `batch`, or itself.
fn calls<'a>(body: &'a RawValue, batch: Option<&'a RawValue>) -> Result<Vec<&'a RawValue>, Problem> {
    let list = match (event_json::kind(body), batch) {
        (Kind::Array, _) => body,
        (Kind::Object, Some(batch)) => batch,
        (Kind::Object, None) => return Ok(vec![body]),
        _ => return Err(Problem::field("", "must be a call, or an object with a `batch` of calls")),
    };
    fields::list(list, MAX_CALLS, "batch", "calls")
}

fn document(text: &str) -> Result<&RawValue, Problem> {
    serde_json::from_str(text).map_err(|error| Problem::field("", format!("not valid JSON: {error}")))
}

/// Calls as records, of a kind unless they say so themselves.
fn records<'a>(calls: &[&'a RawValue], of_path: Option<&'static str>) -> impl Records + use<'a> {
    records::each(calls, move |call| draft(call, of_path))
}

/// Reads the calls of an unpacked body that is sent to a path. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(path: &str, body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let of_path = match Use::of(path) {
        Use::Calls(kind) => kind,
        _ => None,
    };
    let text = sanitize::body(body);
    let body = document(&text)?;
    let [batch] = pick(body, ["batch"]);
    Ok(records::drafts(&records(&calls(body, batch)?, of_path)))
}

/// The query of a pixel as the JSON of a call. `properties` and `context` may be JSON in it, or dotted names.
fn call_of_query(call: &Call) -> String {
    let mut fields = serde_json::Map::new();
    for (name, value) in &call.query {
        let value = match serde_json::from_str(value) {
            Ok(nested @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => nested,
            _ => serde_json::Value::String(value.clone()),
        };
        let (holder, name) = match name.split_once('.') {
            Some((outer @ ("properties" | "context" | "traits"), inner)) => {
                let outer = fields.entry(outer).or_insert_with(|| json!({}));
                let Some(outer) = outer.as_object_mut() else { continue };
                (outer, inner)
            }
            _ => (&mut fields, name.as_str()),
        };
        holder.insert(name.to_owned(), value);
    }
    serde_json::Value::Object(fields).to_string()
}

fn ok() -> Response {
    json_reply(StatusCode::OK, &json!({"success": true}))
}

fn settings(value: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "max-age=300")], value.to_string()).into_response()
}

/// The settings of Segment's library: where it sends to, and that it sends no metrics of its own.
fn segment_settings(call: &Call, key: &str) -> Response {
    let origin = call.origin();
    let (protocol, host) = origin.split_once("://").unwrap_or(("https", &origin));
    settings(&json!({
        "integrations": {"Segment.io": {
            "apiKey": key, "apiHost": format!("{host}/v1"), "protocol": protocol,
            "deliveryStrategy": {"strategy": "standard"},
        }},
        "plan": {"track": {}, "identify": {}, "group": {}},
        "edgeFunction": {},
        "metrics": {"sampleRate": 0},
    }))
}

fn source_config(key: &str) -> Response {
    let off = json!({"enabled": false});
    settings(&json!({"source": {
        "id": "tally", "name": "tally", "writeKey": key, "enabled": true, "workspaceId": "tally",
        "config": {"statsCollection": {"errors": off, "metrics": off}},
        "destinations": [], "connections": [], "dataplanes": {},
    }}))
}

impl Protocol for Segment {
    fn family(&self) -> Family {
        Family::Segment
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            let (of_path, of_query) = match Use::of(&call.path) {
                Use::Settings(key) => return Ok(segment_settings(call, key)),
                Use::SourceConfig => return Ok(source_config(call.parameter("writeKey").unwrap_or_default())),
                Use::Ignored => return Ok(ok()),
                Use::Unknown => {
                    return Err(Problem::NotFound(
                        "no such call: /v1/batch and /v1/track, page, screen, identify, group and alias are served"
                            .to_owned(),
                    ));
                }
                Use::Calls(kind) => (kind, None),
                Use::Pixel(kind) => (Some(kind), Some(call_of_query(call))),
            };
            let text = of_query.as_deref().map_or_else(|| sanitize::body(&call.body), Into::into);
            if text.trim().is_empty() {
                call.sender(&[call.parameter("writeKey")]).await?;
                return Err(Problem::field("", "the body is empty: send a call, or a `batch` of calls"));
            }
            let body = document(&text)?;
            let [key, batch] = pick(body, ["writeKey", "batch"]);
            let in_body = key.and_then(scalar);
            let sender = call.sender(&[in_body.as_deref(), call.parameter("writeKey")]).await?;
            call.store_each(&sender, &records(&calls(body, batch)?, of_path)).await?.complete()?;
            Ok(match of_query {
                Some(_) => ([(CONTENT_TYPE, "image/gif")], PIXEL).into_response(),
                None => ok(),
            })
        })
    }

    /// With a code and a message: a library of `RudderStack` fails, and repeats, where one of them is missing.
    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        let code = match problem.status() {
            StatusCode::BAD_REQUEST => "bad_request",
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limited",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "refused",
        };
        let body = json!({"code": code, "message": problem.to_string()});
        retry_after(problem, json_reply(problem.status(), &body))
    }
}
