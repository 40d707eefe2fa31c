//! Amplitude: `/2/httpapi` and `/batch`, which `PostHog` has as well; its bodies have `events`.
//!
//! | Amplitude | event |
//! | --- | --- |
//! | `event_type` | `name` |
//! | `insert_id` and `time` | identity, so a retry counts once |
//! | `user_id`, else `device_id` | `user_id` |
//! | `device_id` beside a `user_id` | another id of the same user |
//! | `session_id` | `session_id` |
//! | `event_properties`, `user_properties`, `groups`, and other fields | `data` |
//! | what is known of library, application and device | `tags` |
//!
//! The library goes by the `code` in the body of a reply, whatever its status, and throws everything away where the error
//! begins with "Invalid API key".

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::rejected::{Reason, Refusal};
use tally_http::families::Family;
use tally_http::problem::Problem;

use super::call::Call;
use super::fields::{self, Fields, object, scalar};
use super::packed::Form;
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::records::{self, Records};
use super::sanitize::{self, distinct, pick, short};

/// The maximum number of events in a request. Amplitude's own limit is 2,000.
const MAX_EVENTS: usize = 10_000;
/// Fields that are about what sent the event.
const ABOUT: [&str; 17] = [
    "platform",
    "library",
    "app_version",
    "version_name",
    "start_version",
    "os_name",
    "os_version",
    "device_brand",
    "device_manufacturer",
    "device_model",
    "carrier",
    "country",
    "region",
    "city",
    "language",
    "user_agent",
    "partner_id",
];
/// Fields that are never kept: addresses, and ids for advertising.
const PERSONAL: [&str; 5] = ["ip", "idfa", "idfv", "adid", "android_id"];

/// Amplitude.
pub(crate) struct Amplitude;

/// Makes an event of an event.
fn draft(event: &RawValue) -> Result<Draft, Refusal> {
    if event_json::kind(event) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "an event must be an object"));
    }
    let mut fields = Fields::of(event);
    for personal in PERSONAL {
        fields.take(personal);
    }
    let timestamp = fields.take_time("time");
    // Without a time of its own an event has no identity.
    let id = timestamp.and_then(|_| fields.take_text("insert_id"));
    let name = fields.take_text("event_type");
    let user = fields.take_text("user_id");
    let device = fields.take_text("device_id");
    // -1 is an event outside of any session.
    let session = fields.take_text("session_id").filter(|session| session != "-1");
    let mut tags: BTreeMap<String, Json> =
        ABOUT.iter().filter_map(|name| Some(((*name).to_owned(), Json::String(fields.take_text(name)?)))).collect();
    if user.is_some() {
        tags.extend(device.clone().map(|device| ("device_id".to_owned(), Json::String(device))));
    } else if device.is_some() {
        tags.insert("anonymous".to_owned(), Json::Bool(true));
    }
    let mut data = fields.take_object("event_properties").map(Fields::rest).unwrap_or_default();
    for (name, value) in fields.rest() {
        let is_empty = matches!(&value, Json::Object(fields) if fields.is_empty());
        if !is_empty {
            data.entry(name).or_insert(value);
        }
    }
    Ok(Draft {
        id: id.map(distinct),
        name: short(name),
        session_id: short(session),
        alias: short(device.clone().filter(|_| user.is_some())),
        user_id: short(user.or(device)),
        timestamp,
        data: object(data),
        tags: object(tags),
        ..Draft::default()
    })
}

/// A request: its key, and its events.
struct Sent<'a> {
    key: Option<String>,
    events: &'a RawValue,
}

impl<'a> Sent<'a> {
    /// Reads a text of JSON.
    fn read(text: &'a str) -> Result<Self, Problem> {
        let sent = event_json::document(text.as_bytes()).map_err(|error| Problem::field("", error.to_string()))?;
        let [key, events] = pick(sent, ["api_key", "events"]);
        let events = events.ok_or_else(|| Problem::field("events", "missing: send a list of events"))?;
        Ok(Self { key: key.and_then(scalar), events })
    }

    /// Its events, none of them read yet.
    fn events(&self) -> Result<Vec<&'a RawValue>, Problem> {
        if event_json::kind(self.events) == Kind::Object {
            return Ok(vec![self.events]);
        }
        fields::list(self.events, MAX_EVENTS, "events", "events")
    }
}

/// The JSON of a body. The first version of the protocol is a form whose field `event` has the events.
fn text(body: &[u8]) -> Cow<'_, str> {
    let form = Form::of(body);
    match form.get("event") {
        Some(events) => {
            let key = json!(form.get("api_key"));
            let json = format!("{{\"api_key\":{key},\"events\":{events}}}");
            Cow::Owned(sanitize::body(json.as_bytes()).into_owned())
        }
        None => sanitize::body(body),
    }
}

fn records<'a>(events: &[&'a RawValue]) -> impl Records + use<'a> {
    records::each(events, draft)
}

/// Reads the events of an unpacked body. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    Ok(records::drafts(&records(&Sent::read(&text(body))?.events()?)))
}

impl Protocol for Amplitude {
    fn family(&self) -> Family {
        Family::Amplitude
    }

    /// A batch of `PostHog` has a `batch`.
    fn takes(&self, call: &Call) -> bool {
        let text = sanitize::body(&call.body);
        // Most batches are read once.
        text.contains("\"events\"")
            && event_json::document(text.as_bytes())
                .is_ok_and(|sent| matches!(pick(sent, ["events", "batch"]), [Some(_), None]))
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            let text = text(&call.body);
            if text.trim().is_empty() {
                call.sender(&[]).await?;
                return Err(Problem::field("", "the body is empty: send `api_key` and `events`"));
            }
            let sent = Sent::read(&text)?;
            let sender = call.sender(&[sent.key.as_deref()]).await?;
            let (stored, _) = call.store_each(&sender, &records(&sent.events()?)).await?.complete()?;
            let body = json!({
                "code": 200, "events_ingested": stored, "payload_size_bytes": call.body.len(),
                "server_upload_time": call.now().millis(),
            });
            Ok(json_reply(StatusCode::OK, &body))
        })
    }

    fn refuse(&self, call: &Call, problem: &Problem) -> Response {
        let (status, error) = match problem.status() {
            // Of another status the library would send the events again and again.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                (StatusCode::BAD_REQUEST, format!("Invalid API key: {problem}"))
            }
            status => (status, problem.to_string()),
        };
        let mut body = json!({"code": status.as_u16(), "error": error});
        let lists: &[&str] = match status {
            StatusCode::BAD_REQUEST => {
                body["missing_field"] = serde_json::Value::Null;
                &["events_with_invalid_fields", "events_with_missing_fields", "events_with_invalid_id_lengths"]
            }
            StatusCode::TOO_MANY_REQUESTS => {
                // The events that it names wait for half a minute, the others for nothing.
                let text = text(&call.body);
                let count = Sent::read(&text).and_then(|sent| sent.events()).map_or(0, |events| events.len());
                body["eps_threshold"] = 0.into();
                body["throttled_events"] = (0..count).collect();
                &["throttled_users", "throttled_devices", "exceeded_daily_quota_users", "exceeded_daily_quota_devices"]
            }
            _ => &[],
        };
        for list in lists {
            body[*list] = json!({});
        }
        retry_after(problem, json_reply(status, &body))
    }
}
