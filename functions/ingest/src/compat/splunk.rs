//! Splunk's HTTP Event Collector: events as JSON objects one after another, lines of text, acknowledgements and health. Agents
//! send to it (Fluent Bit, Vector, Logstash), Docker's log driver, and handlers of loggers.
//!
//! | Splunk | event |
//! | --- | --- |
//! | `event` | what [`Said`] finds in it; a text may be a line of JSON or logfmt |
//! | `sourcetype` | `category`, unless the event has a logger |
//! | `host`, `source`, `sourcetype`, `index` | `tags` |
//! | `fields` | `data` |
//! | `time` | `timestamp` |
//!
//! Events have no id. Theirs is a hash of what was sent, so a retry counts once, if `time` is finer than a second.
//!
//! An event is stored before its request is answered. So an acknowledgement needs no memory of it: each id that was given out
//! is of something stored.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::response::Response;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::log::keys::Object;
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_core::time::Timestamp;
use tally_http::families::Family;
use tally_http::problem::{self, Problem};

use super::call::Call;
use super::fields::{Fields, object, scalar};
use super::logs::{self, MAX_RECORDS, Said};
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::record_id::{RecordIds, is_finer_than_a_second};
use super::records::{self, Records, Weight, check_values};
use super::sanitize::{self, pick, short};

/// The maximum number of acknowledgements that one request asks for.
const MAX_ACKS: usize = 10_000;
/// Fields of an event, and parameters of lines, that say where it is from.
const PLACES: [&str; 4] = ["host", "source", "sourcetype", "index"];
/// Why an event without `event` is refused.
const NO_EVENT: &str = "an event needs the field `event`";
/// Why an event whose `event` is an empty text is refused.
const BLANK_EVENT: &str = "the field `event` must not be blank";
/// Why a request without a body is refused.
const NO_DATA: &str = "the body is empty: send events";

/// Splunk's HTTP Event Collector.
pub(crate) struct Splunk;

/// What a path is for.
enum Use {
    Events,
    Lines,
    Acks,
    Health,
    Unknown,
}

impl Use {
    fn of(path: &str) -> Self {
        match path.strip_prefix("/services/collector") {
            Some("" | "/event" | "/event/1.0") => Self::Events,
            Some("/raw" | "/raw/1.0") => Self::Lines,
            Some("/ack") => Self::Acks,
            Some("/health" | "/health/1.0") => Self::Health,
            _ => Self::Unknown,
        }
    }
}

/// The events of a body: JSON values one after another, with white space between them or without; a list is its items. What
/// follows the first value that is no JSON cannot be read: it is returned beside them.
fn events(text: &str) -> Result<(Vec<&RawValue>, Option<&str>), Problem> {
    let too_many = || Problem::TooLarge(format!("more than {MAX_RECORDS} events: send smaller batches"));
    let mut events = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    loop {
        let start = values.byte_offset();
        let value = match values.next() {
            None => return Ok((events, None)),
            Some(Err(error)) if events.is_empty() => {
                return Err(Problem::field("", format!("not valid JSON: {error}")));
            }
            Some(Err(_)) => return Ok((events, Some(text[start..].trim()))),
            Some(Ok(value)) => value,
        };
        if event_json::kind(value) == Kind::Array {
            let (items, total) = event_json::array_of_at_most(value, MAX_RECORDS - events.len())
                .map_err(|error| Problem::field("", error.to_string()))?;
            if items.len() < total {
                return Err(too_many());
            }
            events.extend(items);
        } else if events.len() < MAX_RECORDS {
            events.push(value);
        } else {
            return Err(too_many());
        }
    }
}

/// The content of an event, unless it has none.
fn content(event: &RawValue) -> Result<&RawValue, Refusal> {
    if event_json::kind(event) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "an event must be an object"));
    }
    let [content] = pick(event, ["event"]);
    let content = content.ok_or_else(|| Refusal::new(Reason::InvalidField, NO_EVENT))?;
    if event_json::kind(content) == Kind::String && content.get().trim_matches('"').trim().is_empty() {
        return Err(Refusal::new(Reason::InvalidField, BLANK_EVENT));
    }
    Ok(content)
}

/// Makes an event of an event.
fn draft(event: &RawValue, id: Option<String>) -> Result<Draft, Refusal> {
    let content = content(event)?;
    let mut fields = Fields::of(event);
    fields.take("event");
    let time = fields.take_time("time");
    let places = PLACES.map(|name| fields.take_text(name));
    let more = fields.take_object("fields").map(Fields::rest).unwrap_or_default();
    let mut said = match sanitize::value(content) {
        Json::Object(record) => Said::by_record(record),
        Json::String(line) => Said::by_line(&line),
        other => Said {
            message: Some(content.get().to_owned()),
            data: Object::from([("event".to_owned(), other)]),
            ..Said::default()
        },
    };
    let time = time.or_else(|| said.take_time().map(|(at, _)| at));
    said.add(more);
    said.add(fields.rest());
    Ok(placed(said, places, time, id))
}

/// The event of what is said, at its place and time.
fn placed(said: Said, places: [Option<String>; 4], time: Option<Timestamp>, id: Option<String>) -> Draft {
    let [_, _, sourcetype, _] = &places;
    let category = said.category.clone().or_else(|| sourcetype.clone());
    let tags: Object = PLACES
        .iter()
        .zip(places)
        .filter_map(|(name, value)| Some(((*name).to_owned(), Json::String(value?))))
        .collect();
    Draft {
        // Without a time of its own an event has no identity.
        id: id.filter(|_| time.is_some()),
        timestamp: time,
        category: short(category),
        tags: object(tags),
        ..said.draft()
    }
}

/// Events as records.
fn records<'a>(events: &[&'a RawValue]) -> impl Records + use<'a> {
    let more = |event: &RawValue| {
        let [content] = pick(event, ["event"]);
        Weight { values: content.map_or(0, logs::values_within), bytes: 0 }
    };
    records::by_content(events, (Family::Splunk, "time"), more, draft)
}

/// Lines of text, and where all of them are from.
struct Lines<'a> {
    texts: Vec<&'a str>,
    ids: Vec<Option<String>>,
    places: [Option<String>; 4],
    time: Option<Timestamp>,
}

impl<'a> Lines<'a> {
    fn read(text: &'a str, parameter: impl Fn(&str) -> Option<String>) -> Result<Self, Problem> {
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).take(MAX_RECORDS + 1).collect();
        if lines.len() > MAX_RECORDS {
            return Err(Problem::TooLarge(format!("more than {MAX_RECORDS} lines: send smaller batches")));
        }
        let time = parameter("time");
        let places = PLACES.map(&parameter);
        let is_fine = time.as_deref().is_some_and(is_finer_than_a_second);
        let mut ids = RecordIds::default();
        let scope = format!("{places:?} {time:?}");
        let id = |line: &&str| is_fine.then(|| ids.id(Family::Splunk, scope.as_bytes(), line.as_bytes()));
        let time = time.and_then(|time| time.trim().parse().ok());
        Ok(Self { ids: lines.iter().map(id).collect(), texts: lines, places, time })
    }
}

impl Records for Lines<'_> {
    fn count(&self) -> usize {
        self.texts.len()
    }

    fn draft(&self, index: usize) -> Result<Draft, Refusal> {
        let line = self.texts.get(index).zip(self.ids.get(index));
        let (line, id) = line.ok_or_else(|| Refusal::new(Reason::Unreadable, "no such line"))?;
        check_values(logs::values(line))?;
        let mut said = Said::by_line(line);
        let time = self.time.or_else(|| said.take_time().map(|(at, _)| at));
        Ok(placed(said, self.places.clone(), time, id.clone()))
    }

    fn size(&self, index: usize) -> usize {
        self.texts.get(index).map_or(0, |line| line.len())
    }

    fn values(&self, index: usize) -> usize {
        self.texts.get(index).map_or(0, |line| logs::values(line))
    }

    fn sample(&self, index: usize) -> String {
        self.texts.get(index).map_or_else(String::new, |line| shortened(line).to_owned())
    }
}

/// Reads the events of an unpacked body that is sent to a path. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(path: &str, body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let text = sanitize::body(body);
    match Use::of(path) {
        Use::Lines => Ok(records::drafts(&Lines::read(&text, |_| None)?)),
        _ => Ok(records::drafts(&records(&events(&text)?.0))),
    }
}

/// The channel of a request, if it names one: its acknowledgements are asked for by it.
fn channel(call: &Call) -> Option<&str> {
    let channel = call.header("x-splunk-request-channel").or_else(|| call.parameter("channel"));
    channel.filter(|channel| !channel.trim().is_empty())
}

/// The last id of an acknowledgement that this process has given out.
static LAST_ACK: AtomicI64 = AtomicI64::new(0);

/// An id of an acknowledgement: the time in microseconds, and another one for each request of a process.
fn next_ack(now: Timestamp) -> i64 {
    let before = LAST_ACK.fetch_max(now.micros(), Ordering::Relaxed);
    if before < now.micros() { now.micros() } else { LAST_ACK.fetch_add(1, Ordering::Relaxed) + 1 }
}

/// The first id that can have been given out: that of 2020.
const FIRST_ACK: i64 = 1_577_836_800_000_000;

fn stored(call: &Call) -> Result<Response, Problem> {
    let mut reply = json!({"text": "Success", "code": 0});
    if channel(call).is_some() {
        reply["ackId"] = next_ack(call.now()).into();
    }
    problem::json(StatusCode::OK, &reply)
}

/// Tells which acknowledgements were given out: what they are of is stored.
fn acknowledged(call: &Call) -> Result<Response, Problem> {
    if channel(call).is_none() {
        return Err(Problem::field("channel", "send the channel as `X-Splunk-Request-Channel` or `?channel=`"));
    }
    let wanted = || Problem::field("acks", "send a list of ids: {\"acks\":[1,2]}");
    let text = sanitize::body(&call.body);
    let [acks] = pick(event_json::document(text.as_bytes()).map_err(|_| wanted())?, ["acks"]);
    let (acks, _) = event_json::array_of_at_most(acks.ok_or_else(wanted)?, MAX_ACKS).map_err(|_| wanted())?;
    let last = LAST_ACK.load(Ordering::Relaxed).max(call.now().micros());
    let is_given = |id: &str| id.parse().is_ok_and(|id| (FIRST_ACK..=last).contains(&id));
    let acks: serde_json::Map<_, _> =
        acks.into_iter().filter_map(scalar).map(|id| (id.clone(), is_given(&id).into())).collect();
    problem::json(StatusCode::OK, &json!({"acks": acks}))
}

impl Protocol for Splunk {
    fn family(&self) -> Family {
        Family::Splunk
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            let asked = Use::of(&call.path);
            match asked {
                Use::Health => return problem::json(StatusCode::OK, &json!({"text": "HEC is healthy", "code": 17})),
                Use::Unknown => return Err(Problem::NotFound("no such call of a collector".to_owned())),
                Use::Events | Use::Lines | Use::Acks => {}
            }
            let sender = call.sender(&[call.parameter("token")]).await?;
            if let Use::Acks = asked {
                return acknowledged(call);
            }
            let text = sanitize::body(&call.body);
            if text.trim().is_empty() {
                return Err(Problem::field("", NO_DATA));
            }
            if let Use::Lines = asked {
                let lines = Lines::read(&text, |name| call.parameter(name).map(str::to_owned))?;
                call.store_each(&sender, &lines).await?.complete()?;
                return stored(call);
            }
            let (events, rest) = events(&text)?;
            if events.is_empty() {
                return Err(Problem::field("", NO_DATA));
            }
            // A request of nothing but such events is of somebody who tries it out.
            if let Some(Err(refusal)) = events.first().map(|event| content(event))
                && events.iter().all(|event| content(event).is_err())
            {
                return Err(Problem::field("event", refusal.detail));
            }
            call.store_each(&sender, &records(&events)).await?.complete()?;
            if let Some(rest) = rest {
                let refusal = Refusal::new(Reason::Unreadable, "the body is not JSON from here on: the rest is lost");
                call.reject(&sender, &refusal, 1, || shortened(rest).to_owned());
            }
            stored(call)
        })
    }

    fn refuse(&self, call: &Call, problem: &Problem) -> Response {
        let (text, code) = code(call, problem);
        let mut body = json!({"text": format!("{text}: {problem}"), "code": code});
        if code == 6 || code == 12 || code == 13 {
            body["invalid-event-number"] = 0.into();
        }
        retry_after(problem, json_reply(problem.status(), &body))
    }
}

/// Splunk's own text and code of a problem.
fn code(call: &Call, problem: &Problem) -> (&'static str, u32) {
    match problem {
        Problem::Unauthorized(_)
            if call.header(AUTHORIZATION.as_str()).is_none() && call.parameter("token").is_none() =>
        {
            ("Token is required", 2)
        }
        Problem::Unauthorized(_) | Problem::ExpiredKey(_) | Problem::Forbidden(_) => ("Invalid token", 4),
        Problem::Invalid(invalid) => {
            let first = invalid.0.first().map(|error| (error.field.as_str(), error.detail.as_str()));
            match first {
                Some((_, NO_DATA)) => ("No data", 5),
                Some((_, NO_EVENT)) => ("Event field is required", 12),
                Some((_, BLANK_EVENT)) => ("Event field cannot be blank", 13),
                Some(("channel", _)) => ("Data channel is missing", 10),
                _ => ("Invalid data format", 6),
            }
        }
        Problem::NotFound(_) => ("The requested URL was not found on this server", 404),
        Problem::TooManyRequests(..) | Problem::Unavailable | Problem::Upstream(_) | Problem::Internal(_) => {
            ("Server is busy", 9)
        }
        _ => ("Invalid data format", 6),
    }
}
