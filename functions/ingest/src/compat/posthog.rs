//! `PostHog`: events of all its libraries, as batches or one by one, in every packing; the settings that they ask for; and
//! capture v1, which answers each event by itself.
//!
//! Feature flags, session replays, surveys and experiments are not offered. The settings say so, and what is sent or asked
//! all the same gets an empty answer, so that no library repeats it.

mod batch;
mod event;
mod exception;
mod settings;

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tally_core::event::draft::Draft;
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;
use tally_http::families::Family;
use tally_http::problem::{self, Problem};

use crate::compat::call::{Call, Sender, Stored, Verdict};
use crate::compat::keys::Keys;
use crate::compat::posthog::batch::Batch;
use crate::compat::posthog::event::Record;
use crate::compat::protocol::{Answer, Protocol, retry_after};
use crate::compat::record_id::{Clock, RecordIds};
use crate::compat::records::{self, JsonRecords, Records};

/// The path of capture v1.
const CAPTURE_V1: &str = "/i/v1/analytics/events";

/// `PostHog`.
pub(crate) struct PostHog;

impl Protocol for PostHog {
    fn family(&self) -> Family {
        Family::PostHog
    }

    fn takes(&self, call: &Call) -> bool {
        // Mixpanel asks for its flags with GET.
        call.path != "/flags" || call.method == Method::POST
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            if let Some(answered) = settings::answer(call) {
                return answered;
            }
            match call.path.as_str() {
                CAPTURE_V1 => capture_v1(call).await,
                "/s" => replay(call).await,
                _ => capture(call).await,
            }
        })
    }

    fn refuse(&self, call: &Call, problem: &Problem) -> Response {
        let status = problem.status();
        let (code, detail) = (code(status), problem.to_string());
        let body = if call.path == CAPTURE_V1 {
            json!({"error": code, "error_description": detail, "error_uri": null})
        } else {
            let kind = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "authentication_error",
                StatusCode::TOO_MANY_REQUESTS => "quota_limited",
                _ if status.is_server_error() => "server_error",
                _ => "validation_error",
            };
            json!({"type": kind, "code": code, "detail": detail, "attr": null})
        };
        retry_after(problem, problem::json(status, &body).unwrap_or_else(|_| status.into_response()))
    }
}

/// The code of an error.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "invalid_api_key",
        StatusCode::FORBIDDEN => "permission_denied",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_encoding",
        StatusCode::TOO_MANY_REQUESTS => "rate_limited",
        StatusCode::SERVICE_UNAVAILABLE => "service_unavailable",
        _ => "invalid_payload",
    }
}

/// The reply that every library takes for delivered. One of them takes no status but 200.
fn delivered() -> Result<Response, Problem> {
    problem::json(StatusCode::OK, &json!({"status": 1}))
}

/// Reads the events of an unpacked body, or of the query without one, at the time `now`. What a request does beyond this
/// needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read, or is too large.
pub fn read(query: &[(String, String)], body: &[u8], now: Timestamp) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let text = batch::text(query, body)?;
    let events = Batch::read(&text)?.events;
    let own = vec![Ok(()); events.len()];
    Ok(records::drafts(&records(&events, now, None, own)))
}

/// Events as records, each with whether it may be stored. `now` and `library` are those of [`Record::draft`].
fn records<'a>(
    events: &[&'a RawValue],
    now: Timestamp,
    library: Option<(&'a str, &'a str)>,
    own: Vec<Result<(), Refusal>>,
) -> impl Records + use<'a> {
    let mut ids = RecordIds::default();
    let mut clock = Clock::default();
    let mut records =
        JsonRecords::new(move |raw, id: &Option<String>| Record::of(raw)?.draft(now, library, id.clone()));
    for (place, (event, own)) in events.iter().zip(own).enumerate() {
        records.add(event, || {
            own?;
            let (id, is_fine) = Record::of(event)?.identity(&mut ids);
            if let Some(is_fine) = is_fine {
                clock.note(place, is_fine);
            }
            Ok(id)
        });
    }
    for place in clock.unidentified() {
        records.set(place, None);
    }
    records
}

/// Takes one event or a batch.
async fn capture(call: &Call) -> Result<Response, Problem> {
    let text = text(call).await?;
    let batch = Batch::read(&text)?;
    let sender = sender(call, &batch).await?;
    let (_, stored) = store(call, &sender, &batch).await?;
    stored.complete()?;
    delivered()
}

/// Takes a batch and answers each event under its `uuid`. Only those answered `retry` are sent again.
async fn capture_v1(call: &Call) -> Result<Response, Problem> {
    let text = text(call).await?;
    let batch = Batch::read(&text)?;
    let sender = sender(call, &batch).await?;
    let (uuids, verdicts) = match store(call, &sender, &batch).await {
        Ok((uuids, stored)) => {
            let nameless =
                uuids.iter().zip(&stored.0).any(|(uuid, v)| uuid.is_none() && matches!(v, Verdict::Failed(_)));
            if nameless {
                // Nothing but the whole request can be asked for again.
                stored.complete()?;
            }
            (uuids, stored.0.iter().map(result).collect::<Vec<_>>())
        }
        Err(Problem::TooManyRequests(detail, _)) => {
            let uuids: Vec<_> = batch.events.iter().map(|raw| event::uuid(raw)).collect();
            let limited = vec![json!({"result": "limited", "details": detail}); uuids.len()];
            (uuids, limited)
        }
        Err(problem) => return Err(problem),
    };
    let mut results = Map::new();
    for (uuid, result) in uuids.into_iter().zip(verdicts) {
        let Some(uuid) = uuid else { continue };
        // Of several with the same, one that must come again must not be hidden.
        let kept = results.entry(uuid).or_insert(Value::Null);
        if kept.is_null() || result["result"] == "retry" {
            *kept = result;
        }
    }
    problem::json(StatusCode::OK, &json!({"results": results}))
}

/// What became of an event, in the words of capture v1.
fn result(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Stored(_) => json!({"result": "ok"}),
        Verdict::Rejected(refusal) => json!({"result": "drop", "details": refusal.detail}),
        Verdict::Failed(_) => json!({"result": "retry", "details": "could not be stored: send it again"}),
    }
}

/// Throws a part of a session replay away. The settings switch replays off, but sessions that began before go on.
async fn replay(call: &Call) -> Result<Response, Problem> {
    let text = text(call).await?;
    let batch = Batch::read(&text)?;
    let sender = sender(call, &batch).await?;
    let refusal = Refusal::new(Reason::NotOffered, "session replays are not kept: switch them off in the library");
    call.reject(&sender, &refusal, 1, || "session replay".to_owned());
    delivered()
}

/// The JSON of a request.
async fn text(call: &Call) -> Result<String, Problem> {
    if call.body.is_empty() && call.parameter("data").is_none() {
        // Nothing but the key can be wrong with it, or right.
        call.sender(&[call.parameter("token"), call.parameter("api_key")]).await?;
    }
    batch::text(&call.query, &call.body)
}

/// Who sends: the key is in the body or in one of its events, in the query, or where Tally has it.
async fn sender(call: &Call, batch: &Batch<'_>) -> Result<Sender, Problem> {
    let first = batch.events.first().and_then(|raw| event::token(raw));
    let own = [batch.token.as_deref(), first.as_deref(), call.parameter("token"), call.parameter("api_key")];
    call.sender(&own).await
}

/// Stores the events of a batch; the `uuid` of each, and what became of it.
async fn store(call: &Call, sender: &Sender, batch: &Batch<'_>) -> Result<(Vec<Option<String>>, Stored), Problem> {
    let mut keys = Keys::default();
    // Capture v1 says it once for all events.
    let library = call.header("posthog-sdk-info").and_then(|info| info.split_once('/'));
    let (mut uuids, mut own) = (Vec::new(), Vec::new());
    for raw in &batch.events {
        uuids.push(event::uuid(raw));
        own.push(match event::token(raw) {
            Some(token) => keys.check(call, sender, &token).await,
            None => Ok(()),
        });
    }
    let stored = call.store_each(sender, &records(&batch.events, call.now(), library, own)).await?;
    Ok((uuids, stored))
}
