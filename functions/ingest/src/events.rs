//! `POST /apps/{app}/events`

use std::collections::HashSet;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::app::role::Role;
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
use tally_http::reply::{MAX_BODY, shortened};
use tally_http::routes::SEND_EVENTS;
use tally_http::service::Shared;
use tally_service::ingest::accept::Drafts;
use tally_service::ingest::rejection::Rejection;

use crate::accept::{EVENTS, intake, key_of};
use crate::body::{MAX_DECODED, MAX_EVENTS, MAX_SENT, MAX_VALUES, Sent, decompress};
use crate::draft::{EventInput, Sender};

/// Most errors that one reply lists.
const MAX_LISTED: usize = 100;
/// Bytes of a reply for the details of all events that were not stored, which share them. Their ids take less than the rest.
const DETAILS: usize = MAX_BODY / 2;

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
    let intake = intake(&context, &app, key_of(&caller), EVENTS);
    // Its sender may be a beacon, which reads no reply.
    let unreadable = |problem: &Problem| {
        if let Problem::Invalid(invalid) = problem {
            intake.reject(&Refusal::new(Reason::Unreadable, invalid.to_string()), 1, String::new);
        }
    };
    let body = decompress(&parts.headers, body).inspect_err(unreadable)?;
    // The route lets in no other users.
    let sender = if let Caller::User { role: Role::Admin, .. } = caller { Sender::Admin } else { Sender::Anybody };
    let sent = Sent::split(&parts.headers, &body).inspect_err(unreadable)?.by(sender);
    if sent.alone().is_some() {
        let verdict = match sent.read(0) {
            Ok(draft) => intake.accept(draft, left.deadline()).await?,
            Err(rejection) => {
                if let Rejection::Invalid(invalid) = &rejection {
                    intake.reject(&invalid.clone().into(), 1, || sent.sample(0));
                }
                Err(rejection)
            }
        };
        return Ok(created(&app, verdict));
    }
    let verdicts = intake.accept_each(&sent, |bytes| left.deadline_for(bytes)).await?;
    Ok(with_figures(figures(&verdicts), batch(verdicts)))
}

fn figures(verdicts: &[Result<EventId, Rejection>]) -> Figures {
    let accepted = || verdicts.iter().flatten();
    let count = accepted().count();
    let stored = accepted().collect::<HashSet<_>>().len();
    Figures { accepted: count, rejected: verdicts.len() - count, stored }
}

/// A reply or problem with the figures for the log.
fn with_figures(figures: Figures, reply: Result<Response, Problem>) -> Response {
    let mut reply = reply.into_response();
    reply.extensions_mut().insert(figures);
    reply
}

/// The reply to one event, with figures for the log.
pub(crate) fn created(app: &App, verdict: Result<Event, Rejection>) -> Response {
    answered(verdict, |event| json(StatusCode::CREATED, &EventBody::new(&app.slug, event)))
}

/// The same with another reply for a stored event.
pub(crate) fn answered(
    verdict: Result<Event, Rejection>,
    stored: impl FnOnce(&Event) -> Result<Response, Problem>,
) -> Response {
    let accepted = usize::from(verdict.is_ok());
    let figures = Figures { accepted, rejected: 1 - accepted, stored: accepted };
    let reply = match verdict {
        Ok(event) => stored(&event),
        Err(Rejection::Invalid(invalid)) => Err(invalid.into()),
        Err(Rejection::Refused(refusal)) => Err(Problem::field("name", refusal.detail)),
        Err(Rejection::Store(error)) => Err(error.into()),
    };
    with_figures(figures, reply)
}

/// The reply to a batch: 201 if all were accepted, 207 if some were, 400 or 503 if none.
fn batch(verdicts: Vec<Result<EventId, Rejection>>) -> Result<Response, Problem> {
    let ids: Vec<_> = verdicts.iter().map(|verdict| verdict.as_ref().ok().copied()).collect();
    let accepted = ids.iter().flatten().count();
    if accepted == 0 {
        return Err(all_rejected(verdicts));
    }
    let share = DETAILS / (verdicts.len() - accepted).max(1);
    let rejected: Vec<_> = verdicts
        .into_iter()
        .enumerate()
        .filter_map(|(index, verdict)| {
            let rejection = verdict.err()?;
            Some(Rejected { index, detail: shortened(rejection.to_string(), share), retry: rejection.retry() })
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

fn all_rejected(verdicts: Vec<Result<EventId, Rejection>>) -> Problem {
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
             {MAX_SENT} bytes as sent, {MAX_DECODED} bytes decompressed and {MAX_VALUES} JSON values (lists, maps, texts, \
             numbers, booleans and nulls). A body without a content type is read as JSON, or as NDJSON if its first line is an \
             event. A compressed body may also be sent as `application/gzip` or `application/zstd`. \
             Two events with the same `id` and the same millisecond are the same event: the later one replaces the earlier \
             and is counted once, so a retry with both is safe. A batch without any valid event is refused with 400, and \
             one of which nothing could be stored with 503. An admin may send back what `GET /apps/{{app}}/export` gave: an \
             event with `received_at` keeps its `id`."
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
            "Stored: of one event the event as it was stored, of a batch (also of one) the ids.",
            json_schema!({"oneOf": [event, batch]}),
        )
        .answers(StatusCode::MULTI_STATUS, "Some events of the batch were stored; `rejected` lists the others.", batch)
        .refuses([StatusCode::UNSUPPORTED_MEDIA_TYPE])
}
