//! Mixpanel: `/track`, `/import`, `/engage` and `/groups`, as a form, in the query, or as JSON.
//!
//! | Mixpanel | event |
//! | --- | --- |
//! | `event` | `name` |
//! | `$insert_id` and `time` | identity, so a retry counts once |
//! | `$user_id`, else `distinct_id` | `user_id` |
//! | `mp_lib`, `$lib_version` | `tags` |
//! | other properties | `data` |
//! | updates of profiles and groups | events `$engage` and `$groups`. They have no id: a retry counts once only with a `$time` finer than a second |
//!
//! Each event names the project that it is for. All events of a request must be for one app; others are rejected.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_http::families::Family;
use tally_http::problem::Problem;

use super::call::Call;
use super::fields::{Fields, object, scalar};
use super::keys::Keys;
use super::packed::{Form, PIXEL, json as unpacked};
use super::protocol::{Answer, Protocol, retry_after};
use super::record_id::RecordIds;
use super::sanitize::{self, short};

/// The maximum number of events in a request. Mixpanel's own limit for imports is 2,000.
const MAX_EVENTS: usize = 10_000;

/// Mixpanel.
pub(crate) struct Mixpanel;

/// What a request brings: its form and its text of JSON.
struct Sent<'a> {
    call: &'a Call,
    form: Form,
}

impl<'a> Sent<'a> {
    fn of(call: &'a Call) -> Self {
        Self { call, form: Form::of(&call.body) }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.call.parameter(name).or_else(|| self.form.get(name))
    }

    fn is_verbose(&self) -> bool {
        self.parameter("verbose").is_some_and(|verbose| verbose != "0")
    }

    /// The JSON of the events.
    fn json(&self) -> Cow<'_, [u8]> {
        match self.parameter("data") {
            Some(data) => unpacked(data),
            None => std::str::from_utf8(&self.call.body).map_or(Cow::Borrowed(&*self.call.body), unpacked),
        }
    }
}

/// Reads events: one, or a list of them.
fn events(text: &str) -> Result<Vec<&RawValue>, Problem> {
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| Problem::field("data", format!("not valid JSON: {error}")))?;
    match event_json::kind(raw) {
        Kind::Object => Ok(vec![raw]),
        Kind::Array => match event_json::array_of_at_most(raw, MAX_EVENTS) {
            Ok((events, total)) if total <= MAX_EVENTS => Ok(events),
            Ok(_) => Err(Problem::TooLarge(format!("more than {MAX_EVENTS} events: send smaller batches"))),
            Err(error) => Err(Problem::field("data", error.to_string())),
        },
        _ => Err(Problem::field("data", "must be an event or a list of events")),
    }
}

/// The project token of an event or an update.
fn token(event: &RawValue) -> Option<String> {
    let fields = Fields::of(event);
    let of_properties = || fields.get("properties").and_then(|raw| Fields::of(raw).get("token").and_then(scalar));
    of_properties().or_else(|| ["$token", "token"].into_iter().find_map(|name| fields.get(name).and_then(scalar)))
}

/// An event of `/track` or `/import`.
fn draft(event: &RawValue) -> Result<Draft, Refusal> {
    if event_json::kind(event) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "an event must be an object"));
    }
    let mut fields = Fields::of(event);
    let mut properties = fields.take_object("properties").unwrap_or_else(|| Fields::of(RawValue::NULL));
    properties.take("token");
    let timestamp = properties.take_time("time");
    let user = properties.take_text("$user_id");
    let user = if user.is_some() { user } else { properties.take_text("distinct_id") };
    // Without a time of its own an event has no identity.
    let id = timestamp.and_then(|_| properties.take_text("$insert_id"));
    let library = ["mp_lib", "$lib_version"].into_iter();
    let tags: BTreeMap<String, Json> =
        library.filter_map(|name| Some((name.to_owned(), Json::String(properties.take_text(name)?)))).collect();
    Ok(Draft {
        id: short(id),
        name: short(fields.take_text("event")),
        user_id: short(user),
        timestamp,
        data: object(properties.rest()),
        tags: object(tags),
        ..Draft::default()
    })
}

/// Whether a time is written with a fraction of a second, or in milliseconds. Its value does not tell: a clock may strike the
/// second.
fn is_finer_than_a_second(time: &str) -> bool {
    time.contains('.') || (time.len() > 11 && time.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An update of a profile or a group as an event.
fn update(name: &str, update: &RawValue, ids: &mut RecordIds) -> Result<Draft, Refusal> {
    if event_json::kind(update) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "an update must be an object"));
    }
    let mut fields = Fields::of(update);
    fields.take("$token");
    // Two honest updates may be the same within a second.
    let is_fine = fields.get("$time").and_then(scalar).is_some_and(|time| is_finer_than_a_second(&time));
    let timestamp = fields.take_time("$time");
    let is_identified = timestamp.is_some() && is_fine;
    let id = is_identified.then(|| ids.id(Family::Mixpanel, name.as_bytes(), update.get().as_bytes()));
    Ok(Draft {
        id,
        name: Some(name.to_owned()),
        user_id: short(fields.take_text("$distinct_id")),
        timestamp,
        data: object(fields.rest()),
        ..Draft::default()
    })
}

/// A reply of this status.
fn reply(sent: &Sent<'_>, status: StatusCode, error: Option<&str>) -> Response {
    let number = u8::from(error.is_none());
    if sent.is_verbose() {
        let body = json!({"status": number, "error": error}).to_string();
        return (status, [(CONTENT_TYPE, "application/json")], body).into_response();
    }
    if sent.call.parameter("img").is_some_and(|img| img != "0") {
        return (status, [(CONTENT_TYPE, "image/gif")], PIXEL).into_response();
    }
    let is_name = |name: &&str| {
        name.len() <= 128 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.'))
    };
    match sent.call.parameter("callback").filter(is_name) {
        Some(callback) => {
            (status, [(CONTENT_TYPE, "text/javascript")], format!("{callback}({number});")).into_response()
        }
        None => (status, [(CONTENT_TYPE, "text/plain")], number.to_string()).into_response(),
    }
}

fn ok_json(value: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

impl Protocol for Mixpanel {
    fn family(&self) -> Family {
        Family::Mixpanel
    }

    fn takes(&self, call: &Call) -> bool {
        if call.path == "/flags" {
            return call.method == Method::GET;
        }
        let sent = Sent::of(call);
        if sent.parameter("verbose").is_some() || (call.method == Method::GET && sent.parameter("data").is_some()) {
            return true;
        }
        if sent.form.get("data").is_none() {
            return false;
        }
        let json = sent.json();
        // PostHog's libraries compress what they put into base64; Mixpanel's never do.
        if json.starts_with(b"\x1f\x8b") {
            return false;
        }
        let text = sanitize::body(&json);
        let Ok(events) = events(&text) else { return true };
        // PostHog's events have `api_key` or `uuid`.
        events.first().is_none_or(|event| {
            let fields = Fields::of(event);
            fields.get("api_key").is_none() && fields.get("uuid").is_none()
        })
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            match &*call.path {
                "/settings" => return Ok(ok_json(&json!({}))),
                "/flags" => return Ok(ok_json(&json!({"flags": {}}))),
                // A session replay, which is not kept.
                "/record" => {
                    call.sender(&[]).await?;
                    return Ok(ok_json(&json!({"code": 200, "status": "OK"})));
                }
                _ => {}
            }
            let sent = Sent::of(call);
            let json = sent.json();
            let text = sanitize::body(&json);
            if text.trim().is_empty() {
                call.sender(&[sent.parameter("api_key")]).await?;
                return Err(Problem::field("data", "missing: send events as JSON"));
            }
            let events = events(&text)?;
            let first = events.iter().find_map(|event| token(event));
            let sender = call.sender(&[sent.parameter("api_key"), first.as_deref()]).await?;
            let mut keys = Keys::default();
            let mut ids = RecordIds::default();
            let mut drafts = Vec::with_capacity(events.len());
            for event in &events {
                let own = match token(event).filter(|token| Some(token) != first.as_ref()) {
                    Some(token) => keys.check(call, &sender, &token).await,
                    None => Ok(()),
                };
                drafts.push(own.and_then(|()| match &*call.path {
                    "/engage" => update("$engage", event, &mut ids),
                    "/groups" => update("$groups", event, &mut ids),
                    _ => draft(event),
                }));
            }
            let sample =
                |index: usize| events.get(index).map_or_else(String::new, |event| shortened(event.get()).to_owned());
            let (stored, _) = call.store(&sender, drafts, &sample).await?.complete()?;
            if call.path == "/import" && !sent.is_verbose() && sent.parameter("data").is_none() {
                return Ok(ok_json(&json!({"code": 200, "status": "OK", "num_records_imported": stored})));
            }
            Ok(reply(&sent, StatusCode::OK, None))
        })
    }

    fn refuse(&self, call: &Call, problem: &Problem) -> Response {
        retry_after(problem, reply(&Sent::of(call), problem.status(), Some(&problem.to_string())))
    }
}
