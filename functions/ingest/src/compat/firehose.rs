//! Amazon Data Firehose: deliveries to an HTTP endpoint, "HTTP endpoint delivery request and response specifications" of its
//! developer guide, version 1.0.
//!
//! A record is whatever the stream carries: a batch of [CloudWatch Logs](super::cloud_watch), events of `EventBridge`, JSON
//! objects one after another, or lines. Firehose repeats a delivery that was not answered by 200, with the same `requestId`.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::log::keys::Object;
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_core::time::Timestamp;
use tally_http::families::Family;
use tally_http::problem::Problem;

use super::call::Call;
use super::cloud_events;
use super::cloud_watch::{self, Batch};
use super::fields::{object, scalar};
use super::logs::{self, MAX_RECORDS, Said};
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::record_id::RecordIds;
use super::records::{self, Records};
use super::sanitize::{self, pick};
use crate::body::{MAX_DECODED, unpack};

/// The most common attributes of a delivery, as Firehose has it.
const MAX_ATTRIBUTES: usize = 50;

/// Amazon Data Firehose.
pub(crate) struct Firehose;

/// What a delivery says of itself.
struct Delivery {
    request: String,
    at: Option<Timestamp>,
    /// What its records hold, unpacked.
    texts: Vec<String>,
}

impl Delivery {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let text = sanitize::body(body);
        let sent = event_json::document(text.as_bytes()).map_err(|error| Problem::field("", error.to_string()))?;
        if event_json::kind(sent) != Kind::Object {
            return Err(Problem::field("", "must be an object with `requestId` and `records`"));
        }
        let [request, at, records] = pick(sent, ["requestId", "timestamp", "records"]);
        let records = records.ok_or_else(|| Problem::field("records", "missing: send a list of records"))?;
        let (records, total) = event_json::array_of_at_most(records, MAX_RECORDS)
            .map_err(|error| Problem::field("records", error.to_string()))?;
        if records.len() < total {
            return Err(Problem::TooLarge(format!(
                "more than {MAX_RECORDS} records: make the buffer of the stream smaller"
            )));
        }
        let mut texts = Vec::with_capacity(records.len());
        let mut left = MAX_DECODED;
        for (place, record) in records.into_iter().enumerate() {
            let wrong = |why: String| Problem::field(format!("records.{place}.data"), why);
            let [data] = pick(record, ["data"]);
            let data = data.and_then(scalar).ok_or_else(|| wrong("missing: send base64".to_owned()))?;
            let data = STANDARD.decode(data).map_err(|error| wrong(format!("not base64: {error}")))?;
            let data = unpack(&HeaderMap::new(), Bytes::from(data)).map_err(|problem| match problem {
                Problem::Invalid(_) => wrong("not gzip, although it begins so".to_owned()),
                other => other,
            })?;
            let too_large = || {
                Problem::TooLarge(format!(
                    "the records unpack to more than {MAX_DECODED} bytes: make the buffer of the stream smaller"
                ))
            };
            left = left.checked_sub(data.len()).ok_or_else(too_large)?;
            texts.push(sanitize::body(&data).into_owned());
        }
        let at = at.and_then(scalar).and_then(|millis| millis.parse().ok());
        Ok(Self { request: request.and_then(scalar).unwrap_or_default(), at, texts })
    }
}

/// What an event is made of.
enum Part<'a> {
    /// A log event of a batch, by the place of the batch.
    Log(usize, &'a RawValue),
    /// A JSON object, and the id of the event.
    Object(&'a RawValue, String),
    /// A line, and the id of the event.
    Line(&'a str, String),
    /// What cannot be read, and why.
    Bad(&'a str, Refusal),
}

impl<'a> Part<'a> {
    fn text(&self) -> &'a str {
        match self {
            Self::Log(_, raw) | Self::Object(raw, _) => raw.get(),
            Self::Line(text, _) | Self::Bad(text, _) => text,
        }
    }

    /// The number of JSON values that are read for it, at most.
    fn values(&self) -> usize {
        match self {
            Self::Log(_, raw) => cloud_watch::values(raw),
            Self::Object(raw, _) => event_json::count(raw) + logs::values_within(raw),
            Self::Line(line, _) => logs::values(line),
            Self::Bad(..) => 0,
        }
    }
}

/// The events of a delivery.
struct Parts<'a> {
    batches: Vec<Batch<'a>>,
    /// Each with its number of JSON values.
    all: Vec<(Part<'a>, usize)>,
    /// Common attributes of the stream.
    tags: Object,
    /// When the delivery was made: the time of what has none.
    at: Option<Timestamp>,
}

impl<'a> Parts<'a> {
    fn of(delivery: &'a Delivery, tags: Object) -> Result<Self, Problem> {
        let mut parts = Self { batches: vec![], all: vec![], tags, at: delivery.at };
        let mut ids = RecordIds::default();
        for text in &delivery.texts {
            let mut id = |part: &str| ids.id(Family::Firehose, delivery.request.as_bytes(), part.as_bytes());
            // JSON values one after another: Firehose puts nothing between records that it joins.
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
            let mut read = 0;
            while text[read..].trim_start().starts_with('{') {
                let Some(Ok(value)) = values.next() else { break };
                read = values.byte_offset();
                parts.add(value, &mut id)?;
            }
            for line in text[read..].lines().filter(|line| !line.trim().is_empty()) {
                parts.push(Part::Line(line, id(line)))?;
            }
        }
        Ok(parts)
    }

    fn add(&mut self, value: &'a RawValue, id: &mut impl FnMut(&str) -> String) -> Result<(), Problem> {
        match Batch::of(value, MAX_RECORDS) {
            Some(Ok(batch)) => {
                let place = self.batches.len();
                for event in &batch.events {
                    self.push(Part::Log(place, event))?;
                }
                self.batches.push(batch);
                Ok(())
            }
            Some(Err(refusal)) => self.push(Part::Bad(value.get(), refusal)),
            None => self.push(Part::Object(value, id(value.get()))),
        }
    }

    fn push(&mut self, part: Part<'a>) -> Result<(), Problem> {
        if self.all.len() == MAX_RECORDS {
            return Err(Problem::TooLarge(format!(
                "more than {MAX_RECORDS} events: make the buffer of the stream smaller"
            )));
        }
        let values = part.values();
        self.all.push((part, values));
        Ok(())
    }

    fn said(&self, mut said: Said, id: &str) -> Draft {
        let timestamp = said.take_time().map(|(at, _)| at).or(self.at);
        Draft { id: timestamp.map(|_| id.to_owned()), timestamp, ..said.draft() }
    }

    fn draft_of(&self, part: &Part<'a>) -> Result<Draft, Refusal> {
        match part {
            Part::Log(place, event) => {
                let batch =
                    self.batches.get(*place).ok_or_else(|| Refusal::new(Reason::Unreadable, "no such batch"))?;
                batch.event(event)
            }
            Part::Object(value, id) => {
                let [kind] = pick(value, ["detail-type"]);
                if kind.is_some() {
                    return cloud_events::draft(value);
                }
                match sanitize::value(value) {
                    Json::Object(record) => Ok(self.said(Said::by_record(record), id)),
                    _ => Err(Refusal::new(Reason::Unreadable, "must be an object")),
                }
            }
            Part::Line(line, id) => Ok(self.said(Said::by_line(line), id)),
            Part::Bad(_, refusal) => Err(refusal.clone()),
        }
    }
}

impl Records for Parts<'_> {
    fn count(&self) -> usize {
        self.all.len()
    }

    fn draft(&self, index: usize) -> Result<Draft, Refusal> {
        let (part, values) = self.all.get(index).ok_or_else(|| Refusal::new(Reason::Unreadable, "no such record"))?;
        records::check_values(*values)?;
        let mut draft = self.draft_of(part)?;
        if !self.tags.is_empty() {
            let mut tags = self.tags.clone();
            if let Some(Json::Object(own)) = draft.tags {
                tags.extend(own);
            }
            draft.tags = object(tags);
        }
        Ok(draft)
    }

    fn size(&self, index: usize) -> usize {
        self.all.get(index).map_or(0, |(part, _)| part.text().len())
    }

    fn values(&self, index: usize) -> usize {
        self.all.get(index).map_or(0, |(_, values)| *values)
    }

    fn sample(&self, index: usize) -> String {
        self.all.get(index).map_or_else(String::new, |(part, _)| shortened(part.text()).to_owned())
    }
}

/// The common attributes of a stream, which are texts.
fn common(header: Option<&str>) -> Object {
    let Some(raw) = header.and_then(|header| event_json::document(header.as_bytes()).ok()) else {
        return Object::new();
    };
    let [attributes] = pick(raw, ["commonAttributes"]);
    match attributes.map(sanitize::value) {
        Some(Json::Object(attributes)) if attributes.len() <= MAX_ATTRIBUTES => attributes,
        _ => Object::new(),
    }
}

/// Reads the events of an unpacked body. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let delivery = Delivery::read(body)?;
    let parts = Parts::of(&delivery, Object::new())?;
    Ok(records::drafts(&parts))
}

/// What Firehose reads of a reply: the request that it answers, and when.
fn reply(call: &Call, status: StatusCode, request: &str, error: Option<String>) -> Response {
    let mut body = json!({"requestId": request, "timestamp": call.now().millis()});
    if let Some(error) = error {
        body["errorMessage"] = error.into();
    }
    json_reply(status, &body)
}

impl Protocol for Firehose {
    fn family(&self) -> Family {
        Family::Firehose
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            let sender = call.sender(&[call.header("x-amz-firehose-access-key")]).await?;
            let delivery = Delivery::read(&call.body)?;
            let parts = Parts::of(&delivery, common(call.header("x-amz-firehose-common-attributes")))?;
            call.store_each(&sender, &parts).await?.complete()?;
            Ok(reply(call, StatusCode::OK, &delivery.request, None))
        })
    }

    fn refuse(&self, call: &Call, problem: &Problem) -> Response {
        let request = call.header("x-amz-firehose-request-id").unwrap_or_default();
        retry_after(problem, reply(call, problem.status(), request, Some(problem.to_string())))
    }
}
