//! Elasticsearch: `_bulk`, single documents, and what its clients ask before they send (Logstash, Beats, Fluent Bit, Vector,
//! rsyslog, and handlers of loggers). All below `/es`, since `/` is Tally's own.
//!
//! | document | event |
//! | --- | --- |
//! | its fields | what [`Said`] finds in them; a `message` may be a line of JSON or logfmt |
//! | `service.name` | `category`, unless it names a logger |
//! | `@timestamp`, else `timestamp`, `time`, `ts` | `timestamp` |
//! | the index | `tags.index` |
//!
//! A document with an `_id` and a time is known by both. One without is known by its content, if its time is finer than a second.
//! Nothing is changed or deleted: `update` and `delete` are refused.

mod bulk;

use std::collections::HashMap;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tally_core::event::draft::Draft;
use tally_core::event::json::{Json, document};
use tally_core::log::keys::Object;
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_core::time::Timestamp;
use tally_http::families::Family;
use tally_http::problem::Problem;

use self::bulk::{Item, Outcome};
use super::call::{Call, Sender, Verdict};
use super::fields::object;
use super::logs::{self, Said};
use super::protocol::{Answer, Protocol, retry_after};
use super::record_id::{Clock, RecordIds, is_finer_than_a_second};
use super::records::{self, JsonRecords, Records, Weight};
use super::sanitize;

/// The version that a client is told which does not tell its own: some refuse one that is older than they are.
const VERSION: &str = "8.19.0";
/// The media type of replies, unless a client asks for one with a version.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Elasticsearch.
pub(crate) struct Elastic;

/// What a path is for.
enum Use<'a> {
    Info,
    Bulk(Option<&'a str>),
    Document {
        index: &'a str,
        id: Option<&'a str>,
    },
    License,
    Features,
    Health,
    /// Templates, policies and indices, which are all there already.
    SetUp,
    Unknown,
}

impl<'a> Use<'a> {
    fn of(path: &'a str) -> Self {
        let segments: Vec<_> =
            path.strip_prefix("/es").unwrap_or(path).split('/').filter(|segment| !segment.is_empty()).collect();
        match &*segments {
            [] => Self::Info,
            ["_bulk"] => Self::Bulk(None),
            [index, "_bulk"] | [index, _, "_bulk"] => Self::Bulk(Some(index)),
            [index, "_doc" | "_create"] => Self::Document { index, id: None },
            [index, "_doc" | "_create", id] => Self::Document { index, id: Some(id) },
            ["_license"] => Self::License,
            ["_xpack"] => Self::Features,
            ["_cluster", "health", ..] => Self::Health,
            [
                "_index_template"
                | "_template"
                | "_component_template"
                | "_ilm"
                | "_data_stream"
                | "_ingest"
                | "_alias"
                | "_aliases",
                ..,
            ] => Self::SetUp,
            [index] | [index, "_alias" | "_aliases" | "_mapping" | "_settings" | "_refresh", ..]
                if !index.starts_with('_') =>
            {
                Self::SetUp
            }
            _ => Self::Unknown,
        }
    }
}

/// A document and its identity.
struct Known {
    index: Option<String>,
    /// The id that the client gave.
    own_id: Option<String>,
    /// What tells it apart.
    id: Option<String>,
}

/// Makes an event of a document.
fn draft(document: &RawValue, known: &Known) -> Result<Draft, Refusal> {
    let Json::Object(fields) = sanitize::value(document) else {
        return Err(Refusal::new(Reason::Unreadable, "a document must be an object"));
    };
    let mut said = Said::by_record(fields);
    let timestamp: Option<Timestamp> = said.take_time().map(|(at, _)| at);
    let text = |text: &Option<String>| text.clone().map(Json::String);
    let mut tags = Object::new();
    tags.extend(text(&known.index).map(|index| ("index".to_owned(), index)));
    if timestamp.is_none() {
        // Without a time it identifies nothing.
        tags.extend(text(&known.own_id).map(|id| ("_id".to_owned(), id)));
    }
    Ok(Draft { id: known.id.clone().filter(|_| timestamp.is_some()), timestamp, tags: object(tags), ..said.draft() })
}

/// The documents of items as records.
fn records<'a>(items: &[Item<'a>]) -> impl Records + use<'a> {
    let mut ids = RecordIds::default();
    let mut clock = Clock::default();
    let mut coarse = Vec::new();
    let mut records = JsonRecords::new(draft);
    let stored = items.iter().filter_map(|item| Some((item, *item.document.as_ref().ok()?)));
    for (place, (item, document)) in stored.enumerate() {
        let Item { index, id: own_id, .. } = item;
        let more = Weight { values: logs::values_within(document), bytes: 0 };
        let scope = index.as_deref().unwrap_or_default();
        records.add_within(document, more, || {
            let time = logs::written_time(document);
            let id = match (own_id, &time) {
                (Some(id), _) => Some(sanitize::distinct(format!("{scope}/{id}"))),
                (None, Some(time)) => {
                    let is_fine = is_finer_than_a_second(time);
                    clock.note(place, is_fine);
                    coarse.extend((!is_fine).then(|| (place, index.clone())));
                    Some(ids.id(Family::Elasticsearch, scope.as_bytes(), document.get().as_bytes()))
                }
                (None, None) => None,
            };
            Ok(Known { index: index.clone(), own_id: own_id.clone(), id })
        });
    }
    // It is all of them or none.
    if !clock.unidentified().is_empty() {
        for (place, index) in coarse {
            records.set(place, Known { index, own_id: None, id: None });
        }
    }
    records
}

/// Reads the documents of an unpacked body of `_bulk`. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let text = sanitize::body(body);
    Ok(records::drafts(&records(&bulk::read(&text, None)?)))
}

/// Stores the documents of a body.
async fn take(call: &Call, sender: &Sender, index: Option<&str>) -> Result<Value, Problem> {
    let text = sanitize::body(&call.body);
    let items = bulk::read(&text, index)?;
    if items.is_empty() {
        return Err(Problem::field("", "request body is required: send actions and documents"));
    }
    let stored = call.store_each(sender, &records(&items)).await?;
    let failed = stored.0.iter().filter(|verdict| matches!(verdict, Verdict::Failed(_))).count();
    if failed > 0 && (failed == stored.0.len() || has_twin(&items, &stored.0)) {
        stored.complete()?;
    }
    let mut verdicts = stored.0.into_iter();
    let mut outcomes = Vec::with_capacity(items.len());
    for item in &items {
        outcomes.push(match &item.document {
            Ok(_) => match verdicts.next() {
                Some(Verdict::Stored(id)) => Outcome::Stored(item.id.clone().unwrap_or_else(|| id.to_string())),
                Some(Verdict::Rejected(refusal)) => Outcome::Refused(refusal),
                Some(Verdict::Failed(_)) | None => Outcome::Failed,
            },
            Err(refusal) => {
                call.reject(sender, refusal, 1, || shortened(item.line).to_owned());
                Outcome::Refused(refusal.clone())
            }
        });
    }
    Ok(bulk::reply(&items, outcomes, call.parameter("filter_path").is_some()))
}

/// Whether a document without an id could not be stored that is in the request twice. Sent again by itself it would be taken
/// for the other one, so the whole request must be sent again.
fn has_twin(items: &[Item<'_>], verdicts: &[Verdict]) -> bool {
    let documents: Vec<_> = items
        .iter()
        .filter_map(|item| Some((&item.index, item.document.as_ref().ok()?.get(), item.id.is_none())))
        .collect();
    let mut times = HashMap::new();
    for (index, document, _) in &documents {
        *times.entry((*index, *document)).or_insert(0_usize) += 1;
    }
    documents.iter().zip(verdicts).any(|((index, document, is_nameless), verdict)| {
        *is_nameless && matches!(verdict, Verdict::Failed(_)) && times.get(&(*index, *document)) > Some(&1)
    })
}

/// Stores one document.
async fn take_one(call: &Call, sender: &Sender, index: &str, id: Option<&str>) -> Result<Value, Problem> {
    let text = sanitize::body(&call.body);
    let read = document(text.as_bytes()).map_err(|error| Problem::field("", error.to_string()))?;
    let item = Item {
        action: bulk::Action::Index,
        index: Some(index.to_owned()),
        id: id.map(str::to_owned),
        document: Ok(read),
        line: &text,
    };
    let stored = call.store_each(sender, &records(&[item])).await?;
    stored.complete()?;
    match stored.0.into_iter().next() {
        Some(Verdict::Stored(own)) => Ok(bulk::created(index, id.unwrap_or(&own.to_string()))),
        Some(Verdict::Rejected(refusal)) => Err(Problem::field("", refusal.detail)),
        Some(Verdict::Failed(_)) | None => Err(Problem::Unavailable),
    }
}

/// What a server says of itself. Some clients refuse one that is older than they are, so it is as old as the client.
fn info(call: &Call) -> Value {
    let agent = call.header(USER_AGENT.as_str()).unwrap_or_default();
    let version = version_of(agent).unwrap_or(VERSION);
    json!({
        "name": "tally", "cluster_name": "tally", "cluster_uuid": "tally",
        "version": {
            "number": version, "build_flavor": "default", "build_type": "docker", "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    })
}

/// The version in a `User-Agent` of one of Elastic's own clients, such as `Elastic-Filebeat/8.13.4 (…)`.
fn version_of(agent: &str) -> Option<&str> {
    let (product, rest) = agent.split_once('/')?;
    let product = product.to_ascii_lowercase();
    let is_own = ["elastic", "beat", "logstash"].iter().any(|name| product.contains(name));
    let version = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    let is_known = matches!(parts.as_deref(), Some([7..=99, _, _]));
    (is_own && is_known).then_some(version)
}

/// The keys of `Authorization: ApiKey`, which is `id:secret` in base64.
fn api_keys(call: &Call) -> Option<(String, String)> {
    let (scheme, rest) = call.header(AUTHORIZATION.as_str())?.split_once(' ')?;
    let decoded = STANDARD.decode(rest.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("apikey"))?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// A reply with the header by which clients know a server of Elasticsearch, and in the media type that they ask for.
fn reply(call: &Call, status: StatusCode, body: &Value) -> Response {
    let asked = call.headers.get(ACCEPT).filter(|accept| {
        // One media type and its version.
        accept.to_str().is_ok_and(|accept| accept.contains("vnd.elasticsearch+json") && !accept.contains(','))
    });
    let text = if call.method == Method::HEAD { String::new() } else { body.to_string() };
    let mut reply = (status, [(CONTENT_TYPE, asked.cloned().unwrap_or(JSON))], text).into_response();
    reply.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    reply
}

impl Protocol for Elastic {
    fn family(&self) -> Family {
        Family::Elasticsearch
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            let keys = api_keys(call);
            let (id, secret) = keys.as_ref().map(|(id, secret)| (&**id, &**secret)).unzip();
            // Also before the first document, so that a wrong key is told at the start.
            let sender = call.sender(&[id, secret]).await?;
            let sends = matches!(call.method, Method::POST | Method::PUT);
            let (status, body) = match Use::of(&call.path) {
                Use::Bulk(index) if sends => (StatusCode::OK, take(call, &sender, index).await?),
                Use::Document { index, id } if sends => {
                    (StatusCode::CREATED, take_one(call, &sender, index, id).await?)
                }
                Use::Info => (StatusCode::OK, info(call)),
                Use::License => {
                    (StatusCode::OK, json!({"license": {"status": "active", "type": "basic", "uid": "tally"}}))
                }
                Use::Features => (StatusCode::OK, json!({"features": {}, "license": {"status": "active"}})),
                Use::Health => {
                    (StatusCode::OK, json!({"status": "green", "cluster_name": "tally", "timed_out": false}))
                }
                Use::SetUp if sends => (StatusCode::OK, json!({"acknowledged": true})),
                Use::SetUp => (StatusCode::OK, json!({})),
                Use::Bulk(_) | Use::Document { .. } | Use::Unknown => {
                    return Err(Problem::NotFound(
                        "no such call: documents are sent to _bulk, {index}/_bulk and {index}/_doc, and nothing is searched"
                            .to_owned(),
                    ));
                }
            };
            Ok(reply(call, status, &body))
        })
    }

    fn refuse(&self, call: &Call, problem: &Problem) -> Response {
        let status = problem.status();
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
            StatusCode::NOT_FOUND => "resource_not_found_exception",
            StatusCode::PAYLOAD_TOO_LARGE => "content_too_long_exception",
            StatusCode::TOO_MANY_REQUESTS => "es_rejected_execution_exception",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable_shards_exception",
            _ => "illegal_argument_exception",
        };
        let cause = json!({"type": kind, "reason": problem.to_string()});
        let mut error = cause.clone();
        error["root_cause"] = json!([cause]);
        retry_after(problem, reply(call, status, &json!({"error": error, "status": status.as_u16()})))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_elastic_tells_its_version() {
        for (agent, version) in [
            ("Elastic-Filebeat/8.13.4 (linux; amd64; 1a2b; 2024-01-01)", Some("8.13.4")),
            ("elasticsearch-py/9.5.0 (Python/3.12.3; elastic-transport/9.4.0)", Some("9.5.0")),
            ("logstash/8.19.3 (OS=Linux) logstash-output-elasticsearch/11.22.12", Some("8.19.3")),
            ("Fluent-Bit", None),
            ("curl/8.5.0", None),
            ("elasticsearch-js/5.0.0", None),
            ("Elastic/8.13", None),
        ] {
            assert_eq!(version_of(agent), version, "{agent}");
        }
    }
}
