//! Aptabase: `/api/v0/event` and `/api/v0/events`.
//!
//! | Aptabase | event |
//! | --- | --- |
//! | `eventName` | `name` |
//! | `sessionId` | `session_id` |
//! | `timestamp` | `timestamp` |
//! | `props` | `data` |
//! | `systemProps` | `tags` |
//!
//! Events have no id. Theirs is a hash of what was sent, so a retry counts once, if their times are finer than a second.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Kind};
use tally_core::rejected::{Reason, Refusal};
use tally_http::families::Family;
use tally_http::problem::Problem;

use super::call::Call;
use super::fields::{Fields, object};
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::records::{self, Records, Weight};
use super::sanitize::{self, short};

/// The maximum number of events in a request. The libraries send 25.
const MAX_EVENTS: usize = 10_000;

/// Aptabase.
pub(crate) struct Aptabase;

/// Makes an event of an event.
fn draft(event: &RawValue, id: Option<String>) -> Result<Draft, Refusal> {
    if event_json::kind(event) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "an event must be an object"));
    }
    let mut fields = Fields::of(event);
    let timestamp = fields.take_time("timestamp");
    let name = fields.take_text("eventName");
    let session = fields.take_text("sessionId");
    let tags = fields.take_object("systemProps").map(Fields::rest).unwrap_or_default();
    let mut data = fields.take_object("props").map(Fields::rest).unwrap_or_default();
    for (name, value) in fields.rest() {
        data.entry(name).or_insert(value);
    }
    Ok(Draft {
        id: id.filter(|_| timestamp.is_some()),
        name: short(name),
        session_id: short(session),
        timestamp,
        data: object(data),
        tags: object(tags),
        ..Draft::default()
    })
}

/// The events of a body: one, or a list of them.
fn events(text: &str) -> Result<Vec<&RawValue>, Problem> {
    let sent = event_json::document(text.as_bytes()).map_err(|error| Problem::field("", error.to_string()))?;
    if event_json::kind(sent) == Kind::Object {
        return Ok(vec![sent]);
    }
    let (events, total) = event_json::array_of_at_most(sent, MAX_EVENTS)
        .map_err(|_| Problem::field("", "send an event, or a list of events"))?;
    if events.len() < total {
        return Err(Problem::TooLarge(format!("more than {MAX_EVENTS} events: send smaller batches")));
    }
    Ok(events)
}

fn records<'a>(events: &[&'a RawValue]) -> impl Records + use<'a> {
    records::by_content(events, (Family::Aptabase, "timestamp"), |_| Weight::default(), draft)
}

/// Reads the events of an unpacked body. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let text = sanitize::body(body);
    Ok(records::drafts(&records(&events(&text)?)))
}

impl Protocol for Aptabase {
    fn family(&self) -> Family {
        Family::Aptabase
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            // The libraries want `A-SH-` in front of whatever follows.
            let key = call.header("app-key").map(|key| key.rsplit('-').next().unwrap_or(key));
            let sender = call.sender(&[key]).await?;
            let text = sanitize::body(&call.body);
            if text.trim().is_empty() {
                return Err(Problem::field("", "the body is empty: send an event, or a list of events"));
            }
            call.store_each(&sender, &records(&events(&text)?)).await?.complete()?;
            Ok(json_reply(StatusCode::OK, &json!({})))
        })
    }

    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        let status: StatusCode = problem.status();
        let body = json!({"title": problem.to_string(), "status": status.as_u16()});
        retry_after(problem, json_reply(status, &body))
    }
}
