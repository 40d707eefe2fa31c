//! `POST /apps/{app}/events`

use std::collections::HashSet;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::id::EventId;
use tally_core::invalid::{FieldError, Invalid};
use tally_core::rejected::{Reason, Refusal};
use tally_http::Figures;
use tally_http::body::read as read_all;
use tally_http::event::EventBody;
use tally_http::guard::{Caller, Target, TimeLeft};
use tally_http::openapi::{JSON, Operation, Parameter, one_of};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, RETRY_SECONDS, json};
use tally_http::routes::SEND_EVENTS;
use tally_http::service::Shared;
use tally_service::ingest::rejection::Rejection;

use crate::accept::{EVENTS, intake, key_of};
use crate::body::{self, MAX_DECODED, MAX_EVENTS, MAX_SENT, Sent};
use crate::draft::EventInput;

/// Most errors that one reply lists.
const MAX_LISTED: usize = 100;

/// The result of a batch.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Batch")]
pub(crate) struct BatchReply {
    /// How many events were stored.
    accepted: usize,
    /// The id of each event, in the order sent; null for an event that was not stored.
    ids: Vec<Option<EventId>>,
    /// The events that were not stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rejected: Vec<Rejected>,
}

/// An event of a batch that was not stored.
#[derive(Serialize, JsonSchema)]
struct Rejected {
    /// Its position in the batch, from 0.
    index: usize,
    /// What is wrong with it.
    detail: String,
    /// Whether a retry with the same event may succeed.
    retry: bool,
}

pub(crate) async fn send(
    State(context): Shared,
    Target(app): Target,
    caller: Caller,
    left: TimeLeft,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = read_all(body, MAX_SENT).await?;
    let deadline = left.deadline();
    let intake = intake(&context, &app, key_of(&caller), EVENTS, deadline);
    let Sent { drafts, texts, alone } = body::read(&parts.headers, body).inspect_err(|problem| {
        // Its sender may be a beacon, which reads no reply.
        if let Problem::Invalid(invalid) = problem {
            intake.reject(&Refusal::new(Reason::Unreadable, invalid.to_string()), 1, String::new);
        }
    })?;
    let drafts = drafts.into_iter().map(|draft| draft.map_err(Rejection::Invalid)).collect();
    let sample = |index: usize| texts.get(index).map(|text| String::from_utf8_lossy(text).into_owned());
    let verdicts = intake.accept(drafts, &|index| sample(index).unwrap_or_default()).await?;
    let figures = figures(&verdicts);
    let reply = if alone { one(verdicts, |event| whole(&app, event)) } else { batch(verdicts) };
    Ok(with_figures(figures, reply))
}

fn figures(verdicts: &[Result<Event, Rejection>]) -> Figures {
    let accepted = || verdicts.iter().flatten();
    let count = accepted().count();
    let stored = accepted().map(|event| event.id).collect::<HashSet<_>>().len();
    Figures { accepted: count, rejected: verdicts.len() - count, stored }
}

/// A reply or problem with the figures for the log.
fn with_figures(figures: Figures, reply: Result<Response, Problem>) -> Response {
    let mut reply = reply.into_response();
    reply.extensions_mut().insert(figures);
    reply
}

/// The reply to one event, with figures for the log.
pub(crate) fn created(app: &App, verdicts: Vec<Result<Event, Rejection>>) -> Response {
    answered(verdicts, |event| whole(app, event))
}

/// The same with another reply for a stored event.
pub(crate) fn answered(
    verdicts: Vec<Result<Event, Rejection>>,
    stored: impl FnOnce(&Event) -> Result<Response, Problem>,
) -> Response {
    with_figures(figures(&verdicts), one(verdicts, stored))
}

/// An event that was stored.
fn whole(app: &App, event: &Event) -> Result<Response, Problem> {
    json(StatusCode::CREATED, &EventBody::new(&app.slug, event))
}

/// The reply to one event.
fn one(
    verdicts: Vec<Result<Event, Rejection>>,
    stored: impl FnOnce(&Event) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    match verdicts.into_iter().next() {
        Some(Ok(event)) => stored(&event),
        Some(Err(Rejection::Invalid(invalid))) => Err(invalid.into()),
        Some(Err(Rejection::Refused(refusal))) => Err(Problem::field("name", refusal.detail)),
        Some(Err(Rejection::Store(error))) => Err(error.into()),
        None => Err(Problem::Internal("an event has no verdict".to_owned())),
    }
}

/// The reply to a batch: 201 if all were accepted, 207 if some were, 400 or 503 if none.
fn batch(verdicts: Vec<Result<Event, Rejection>>) -> Result<Response, Problem> {
    let ids: Vec<_> = verdicts.iter().map(|verdict| verdict.as_ref().ok().map(|event| event.id)).collect();
    let accepted = ids.iter().flatten().count();
    if accepted == 0 {
        return Err(all_rejected(verdicts));
    }
    let rejected: Vec<_> = verdicts
        .into_iter()
        .enumerate()
        .filter_map(|(index, verdict)| {
            let rejection = verdict.err()?;
            Some(Rejected { index, detail: rejection.to_string(), retry: rejection.retry() })
        })
        .collect();
    let status = if rejected.is_empty() { StatusCode::CREATED } else { StatusCode::MULTI_STATUS };
    let retry = rejected.iter().any(|rejected| rejected.retry);
    let mut reply = json(status, &BatchReply { accepted, ids, rejected })?;
    if retry {
        reply.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    }
    Ok(reply)
}

fn all_rejected(verdicts: Vec<Result<Event, Rejection>>) -> Problem {
    let mut errors = Vec::new();
    for (index, verdict) in verdicts.into_iter().enumerate() {
        match verdict {
            Err(Rejection::Store(error)) => return error.into(),
            Err(Rejection::Invalid(Invalid(fields))) => errors.extend(fields.into_iter().map(|error| FieldError {
                field: format!("[{index}].{}", error.field).trim_end_matches('.').to_owned(),
                ..error
            })),
            Err(Rejection::Refused(refusal)) => {
                errors.push(FieldError { field: format!("[{index}].name"), detail: refusal.detail });
            }
            Ok(_) => {}
        }
    }
    errors.truncate(MAX_LISTED);
    Invalid(errors).into()
}

pub(crate) fn send_operation(schemas: &mut SchemaGenerator) -> Operation {
    let one = schemas.subschema_for::<EventInput>();
    let list = json_schema!({"type": "array", "items": one, "minItems": 1, "maxItems": MAX_EVENTS});
    let mut lines = list.clone();
    lines.insert("description".to_owned(), "One event per line.".into());
    let body = json_schema!({"oneOf": [one, list]});
    let unnamed = json_schema!({
        "description": "The same JSON, as the `sendBeacon` of browsers sends it.",
        "type": "string",
        "contentMediaType": JSON,
    });
    let event = schemas.subschema_for::<EventBody<'_>>();
    let batch = schemas.subschema_for::<BatchReply>();
    Operation::of(&SEND_EVENTS, "sendEvents", "Accepts one event or a batch")
        .about(format!(
            "One event as an object, or up to {MAX_EVENTS} as a list or as NDJSON; each has its own result. At most \
             {MAX_SENT} bytes as sent and {MAX_DECODED} bytes decompressed. A body without a content type is read as JSON. \
             Two events with the same `id` and the same millisecond are the same event: the later one replaces the earlier \
             and is counted once, so a retry with both is safe. A batch without any valid event is refused with 400, and \
             one of which nothing could be stored with 503."
        ))
        .takes([Parameter::header(
            "Content-Encoding",
            "How the body is compressed.",
            one_of(&["identity", "gzip", "zstd"]),
        )])
        .body(JSON, body)
        .body("application/x-ndjson", lines)
        .body("text/plain", unnamed)
        .answers(
            StatusCode::CREATED,
            "Stored: the event as it was stored, or the ids of a batch.",
            json_schema!({"anyOf": [event, batch]}),
        )
        .answers(StatusCode::MULTI_STATUS, "Some events of the batch were stored; `rejected` lists the others.", batch)
        .refuses([StatusCode::UNSUPPORTED_MEDIA_TYPE])
}
