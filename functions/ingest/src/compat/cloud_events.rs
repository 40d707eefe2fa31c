//! `CloudEvents` over HTTP (cloudevents/spec `http-protocol-binding.md`): binary, structured and batched. Amazon `EventBridge`'s own
//! form is taken as well, since that is what its API destinations send.
//!
//! | `CloudEvents` | `EventBridge` | event |
//! | --- | --- | --- |
//! | `type` | `detail-type` | `name` |
//! | `source` | `source` | `category` |
//! | `source` and `id`, and `time` | `source` and `id`, and `time` | identity |
//! | `data`, or `data_base64` | `detail` | `data` |
//! | `subject`, `dataschema`, `datacontenttype`, extensions | `account`, `region`, `resources` | `tags` |
//!
//! A subject names one thing of many, so it is no `slug`: counters have one of those for each name.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_core::time::Timestamp;
use tally_http::families::Family;
use tally_http::path::decoded;
use tally_http::problem::Problem;

use super::call::{Call, Sender, Stored, Verdict};
use super::fields::{self, Fields, object};
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::records::{self, Records, check_values};
use super::sanitize::{self, distinct, pick, short};

/// The maximum number of events in a batch.
const MAX_EVENTS: usize = 10_000;
/// How the headers of a binary event begin.
const BINARY: &str = "ce-";

/// `CloudEvents`.
pub(crate) struct CloudEvents;

/// The attributes of an event that Tally has a place for.
struct Attributes {
    version: Option<String>,
    kind: Option<String>,
    source: Option<String>,
    id: Option<String>,
    time: Option<String>,
}

impl Attributes {
    /// The event of these attributes.
    fn draft(self, data: Option<Json>, tags: BTreeMap<String, Json>) -> Result<Draft, Refusal> {
        let Self { version, kind, source, id, time } = self;
        let missing = |name: &str| Refusal::new(Reason::InvalidField, format!("the attribute `{name}` is missing"));
        if !version.as_deref().is_some_and(|version| version.starts_with("1.") || version == "0.3") {
            return Err(Refusal::new(Reason::InvalidField, "`specversion` must be 1.0"));
        }
        let kind = kind.ok_or_else(|| Refusal::new(Reason::InvalidName, "the attribute `type` is missing"))?;
        let (source, id) = (source.ok_or_else(|| missing("source"))?, id.ok_or_else(|| missing("id"))?);
        let timestamp: Option<Timestamp> = match time {
            Some(time) => Some(time.trim().parse().map_err(|_| {
                Refusal::new(Reason::InvalidTime, format!("`time` is not RFC 3339: {}", shortened(&time)))
            })?),
            None => None,
        };
        Ok(Draft {
            // Without a time of its own an event has no identity.
            id: timestamp.map(|_| distinct(format!("{source} {id}"))),
            name: short(Some(kind)),
            category: short(Some(source)),
            timestamp,
            data,
            tags: object(tags),
            ..Draft::default()
        })
    }
}

/// Data as that of an event: an object as it is, anything else under the name `data`.
fn data(value: Json) -> Option<Json> {
    match value {
        Json::Null => None,
        Json::Object(fields) => object(fields),
        other => object(BTreeMap::from([("data".to_owned(), other)])),
    }
}

/// An event of JSON: a structured one, or one in the form of `EventBridge`.
pub(super) fn draft(event: &RawValue) -> Result<Draft, Refusal> {
    if event_json::kind(event) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "an event must be an object"));
    }
    let mut fields = Fields::of(event);
    if fields.get("specversion").is_none() && fields.get("detail-type").is_some() {
        fields.take("version");
        let attributes = Attributes {
            version: Some("1.0".to_owned()),
            kind: fields.take_text("detail-type"),
            source: fields.take_text("source"),
            id: fields.take_text("id"),
            time: fields.take_text("time"),
        };
        let detail = fields.take("detail").map(sanitize::value).and_then(data);
        return attributes.draft(detail, fields.rest());
    }
    let attributes = Attributes {
        version: fields.take_text("specversion"),
        kind: fields.take_text("type"),
        source: fields.take_text("source"),
        id: fields.take_text("id"),
        time: fields.take_text("time"),
    };
    let sent = fields.take("data").map(sanitize::value).and_then(data);
    let base64 = fields.take_text("data_base64").map(|base64| ("data_base64".to_owned(), Json::String(base64)));
    let sent = sent.or_else(|| object(base64.into_iter().collect()));
    attributes.draft(sent, fields.rest())
}

/// An event whose attributes are headers, and whose data is the body.
fn binary(call: &Call) -> Result<Draft, Refusal> {
    let headers = call.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(BINARY)?;
        Some((name.to_owned(), decoded(&String::from_utf8_lossy(value.as_bytes()))))
    });
    let mut headers: BTreeMap<String, String> =
        headers.filter(|(name, value)| !(name.is_empty() || value.is_empty())).collect();
    let mut take = |name: &str| headers.remove(name);
    let attributes = Attributes {
        version: take("specversion"),
        kind: take("type"),
        source: take("source"),
        id: take("id"),
        time: take("time"),
    };
    let kind = call.header(CONTENT_TYPE.as_str()).unwrap_or_default().to_owned();
    let sent = body_data(&kind, &call.body)?;
    if !kind.is_empty() {
        headers.insert("datacontenttype".to_owned(), kind);
    }
    let tags = headers.into_iter().map(|(name, value)| (name, Json::String(value))).collect();
    attributes.draft(sent, tags)
}

/// The body of a binary event: JSON where it is some, a text, or base64.
fn body_data(kind: &str, body: &[u8]) -> Result<Option<Json>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    let text = sanitize::body(body);
    if kind.is_empty() || kind.contains("json") {
        if let Ok(sent) = event_json::document(text.as_bytes()) {
            check_values(event_json::count(sent))?;
            return Ok(data(sanitize::value(sent)));
        }
        if kind.contains("json") {
            return Err(Refusal::new(Reason::Unreadable, "the data is not JSON as its content type says"));
        }
    }
    let (name, text) = match std::str::from_utf8(body) {
        Ok(_) => ("data", text.into_owned()),
        Err(_) => ("data_base64", STANDARD.encode(body)),
    };
    Ok(object(BTreeMap::from([(name.to_owned(), Json::String(text))])))
}

fn records<'a>(events: &[&'a RawValue]) -> impl Records + use<'a> {
    records::each(events, draft)
}

/// The events of a batch, and whether it is one by itself.
fn events(text: &str) -> Result<(Vec<&RawValue>, bool), Problem> {
    let sent = event_json::document(text.as_bytes()).map_err(|error| Problem::field("", error.to_string()))?;
    if event_json::kind(sent) != Kind::Array {
        return Ok((vec![sent], true));
    }
    Ok((fields::list(sent, MAX_EVENTS, "", "events")?, false))
}

/// Reads the events of an unpacked body of JSON. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let text = sanitize::body(body);
    Ok(records::drafts(&records(&events(&text)?.0)))
}

/// Stores what a request brings; what became of it, and whether it is one event by itself.
async fn take(call: &Call, sender: &Sender) -> Result<(Stored, bool), Problem> {
    if call.headers.contains_key("ce-specversion") {
        let sample = |_: usize| shortened(&String::from_utf8_lossy(&call.body)).to_owned();
        return Ok((call.store(sender, vec![binary(call)], &sample).await?, true));
    }
    let text = sanitize::body(&call.body);
    if text.trim().is_empty() {
        return Err(Problem::field("", "neither headers `ce-…` nor a body: send an event"));
    }
    let (events, is_one) = events(&text)?;
    let is_named = call.header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("cloudevents"));
    let [version, bridge] = events.first().map_or([None; 2], |event| pick(event, ["specversion", "detail-type"]));
    if !is_named && !events.is_empty() && version.is_none() && bridge.is_none() {
        return Err(Problem::UnsupportedMediaType(
            "no CloudEvents: send headers `ce-…`, application/cloudevents+json or application/cloudevents-batch+json; other \
             JSON goes to /apps/{app}/events"
                .to_owned(),
        ));
    }
    Ok((call.store_each(sender, &records(&events)).await?, is_one))
}

impl Protocol for CloudEvents {
    fn family(&self) -> Family {
        Family::CloudEvents
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            let sender = call.sender(&[]).await?;
            if !matches!(call.method, Method::POST | Method::PUT) {
                return Err(Problem::MethodNotAllowed("POST".to_owned()));
            }
            let (stored, is_one) = take(call, &sender).await?;
            stored.complete()?;
            if let (true, Some(Verdict::Rejected(refusal))) = (is_one, stored.0.into_iter().next()) {
                return Err(Problem::field("", refusal.detail));
            }
            Ok(StatusCode::NO_CONTENT.into_response())
        })
    }

    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        let body = json!({"error": problem.to_string()});
        retry_after(problem, json_reply(problem.status(), &body))
    }
}
