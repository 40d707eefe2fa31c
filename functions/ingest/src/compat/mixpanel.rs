//! Mixpanel: `/track`, `/import`, `/engage` and `/groups`, as a form, in the query, or as JSON.
//!
//! | Mixpanel | event |
//! | --- | --- |
//! | `event` | `name` |
//! | `$insert_id` and `time` | identity, so a retry counts once |
//! | `$user_id`, else `distinct_id` | `user_id` |
//! | `$anon_distinct_id` or `$anon_id` of `$identify`; `alias` of `$create_alias`; else `$device_id` beside a `$user_id` | another id of the same user |
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
use tally_core::rejected::{Reason, Refusal};
use tally_http::families::Family;
use tally_http::problem::Problem;

use super::call::Call;
use super::fields::{self, Fields, object, scalar};
use super::keys::Keys;
use super::packed::{Form, PIXEL, json as unpacked};
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::record_id::{Clock, RecordIds, is_finer_than_a_second};
use super::records::{self, JsonRecords, Records};
use super::sanitize::{self, pick, short};

/// The maximum number of events in a request. Mixpanel's own limit for imports is 2,000.
const MAX_EVENTS: usize = 10_000;

/// Mixpanel.
pub(crate) struct Mixpanel;

/// What a request brings: its form and its text of JSON.
struct Sent<'a> {
    call: &'a Call,
    form: Form<'a>,
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
        json_of(self.parameter("data"), &self.call.body)
    }
}

/// Reads events: one, or a list of them.
fn events(text: &str) -> Result<Vec<&RawValue>, Problem> {
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| Problem::field("data", format!("not valid JSON: {error}")))?;
    match event_json::kind(raw) {
        Kind::Object => Ok(vec![raw]),
        Kind::Array => fields::list(raw, MAX_EVENTS, "data", "events"),
        _ => Err(Problem::field("data", "must be an event or a list of events")),
    }
}

/// The project token of an event or an update.
fn token(event: &RawValue) -> Option<String> {
    let [properties, of_update, of_event] = pick(event, ["properties", "$token", "token"]);
    let of_properties = properties.and_then(|properties| {
        let [token] = pick(properties, ["token"]);
        token
    });
    [of_properties, of_update, of_event].into_iter().flatten().find_map(scalar)
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
    let name = fields.take_text("event");
    let property = |name: &str| properties.get(name).and_then(scalar);
    let alias = match name.as_deref() {
        Some("$identify") => property("$anon_distinct_id").or_else(|| property("$anon_id")),
        Some("$create_alias") => property("alias"),
        // The library names somebody like this before it knows a user.
        _ => property("$user_id").and_then(|_| property("$device_id")).map(|device| format!("$device:{device}")),
    };
    let identified = property("$identified_id").filter(|_| name.as_deref() == Some("$identify"));
    let user = properties.take_text("$user_id");
    let user = if user.is_some() { user } else { properties.take_text("distinct_id") };
    // Without a time of its own an event has no identity.
    let id = timestamp.and_then(|_| properties.take_text("$insert_id"));
    let library = ["mp_lib", "$lib_version"].into_iter();
    let tags: BTreeMap<String, Json> =
        library.filter_map(|name| Some((name.to_owned(), Json::String(properties.take_text(name)?)))).collect();
    Ok(Draft {
        id: short(id),
        name: short(name),
        user_id: short(user.or(identified)),
        alias: short(alias),
        timestamp,
        data: object(properties.rest()),
        tags: object(tags),
        ..Draft::default()
    })
}

/// An update of a profile or a group as an event. `id` is its identity, if it has one.
fn update(name: &str, update: &RawValue, id: Option<&str>) -> Result<Draft, Refusal> {
    if event_json::kind(update) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "an update must be an object"));
    }
    let mut fields = Fields::of(update);
    fields.take("$token");
    let timestamp = fields.take_time("$time");
    Ok(Draft {
        id: id.map(str::to_owned).filter(|_| timestamp.is_some()),
        name: Some(name.to_owned()),
        user_id: short(fields.take_text("$distinct_id")),
        timestamp,
        data: object(fields.rest()),
        ..Draft::default()
    })
}

/// The records of a request to a path, each with whether it may be stored.
fn records<'a>(path: &str, events: &[&'a RawValue], own: Vec<Result<(), Refusal>>) -> impl Records + use<'a> {
    let name = match path {
        "/engage" => Some("$engage"),
        "/groups" => Some("$groups"),
        _ => None,
    };
    let mut ids = RecordIds::default();
    let mut clock = Clock::default();
    let mut given: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(place, event)| {
            // Only updates have no id of their own.
            let name = name?;
            let [time] = pick(event, ["$time"]);
            clock.note(place, is_finer_than_a_second(&time.and_then(scalar)?));
            Some(ids.id(Family::Mixpanel, name.as_bytes(), event.get().as_bytes()))
        })
        .collect();
    for place in clock.unidentified() {
        given[place] = None;
    }
    let mut records = JsonRecords::new(move |event, id: &Option<String>| match name {
        Some(name) => update(name, event, id.as_deref()),
        None => draft(event),
    });
    for ((event, own), id) in events.iter().zip(own).zip(given) {
        records.add(event, || own.map(|()| id));
    }
    records
}

/// Reads the events of an unpacked body that is sent to a path. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(path: &str, body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let form = Form::of(body);
    let json = json_of(form.get("data"), body);
    let text = sanitize::body(&json);
    let events = events(&text)?;
    let own = vec![Ok(()); events.len()];
    Ok(records::drafts(&records(path, &events, own)))
}

/// The JSON of the events of a body whose parameter or field `data` is given.
fn json_of<'a>(data: Option<&'a str>, body: &'a [u8]) -> Cow<'a, [u8]> {
    match data {
        Some(data) => unpacked(data),
        None => std::str::from_utf8(body).map_or(Cow::Borrowed(body), unpacked),
    }
}

/// A reply of this status.
fn reply(sent: &Sent<'_>, status: StatusCode, error: Option<&str>) -> Response {
    let number = u8::from(error.is_none());
    if sent.is_verbose() {
        return json_reply(status, &json!({"status": number, "error": error}));
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
            let of_posthog = pick(event, ["api_key", "uuid"]);
            of_posthog.iter().all(Option::is_none)
        })
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            match &*call.path {
                "/settings" => return Ok(json_reply(StatusCode::OK, &json!({}))),
                "/flags" => return Ok(json_reply(StatusCode::OK, &json!({"flags": {}}))),
                // A session replay, which is not kept.
                "/record" => {
                    call.sender(&[]).await?;
                    return Ok(json_reply(StatusCode::OK, &json!({"code": 200, "status": "OK"})));
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
            let mut own = Vec::with_capacity(events.len());
            for event in &events {
                own.push(match token(event).filter(|token| Some(token) != first.as_ref()) {
                    Some(token) => keys.check(call, &sender, &token).await,
                    None => Ok(()),
                });
            }
            let (stored, _) = call.store_each(&sender, &records(&call.path, &events, own)).await?.complete()?;
            if call.path == "/import" && !sent.is_verbose() && sent.parameter("data").is_none() {
                return Ok(json_reply(
                    StatusCode::OK,
                    &json!({"code": 200, "status": "OK", "num_records_imported": stored}),
                ));
            }
            Ok(reply(&sent, StatusCode::OK, None))
        })
    }

    fn refuse(&self, call: &Call, problem: &Problem) -> Response {
        retry_after(problem, reply(&Sent::of(call), problem.status(), Some(&problem.to_string())))
    }
}
