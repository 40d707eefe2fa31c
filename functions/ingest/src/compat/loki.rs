//! Loki: `POST /loki/api/v1/push`, as JSON or as protobuf in snappy, which agents (promtail, Alloy, Fluent Bit, Vector) and
//! handlers of loggers send.
//!
//! | Loki | event |
//! | --- | --- |
//! | line | what [`Said`] finds in it: `message`, or the fields of JSON or logfmt |
//! | label or metadata `level`, `severity`, `detected_level`, `lvl` | `level`, before the one of the line |
//! | label `service_name`, `app`, `job` or `service` | `category` |
//! | labels | `tags` |
//! | metadata | `data` |
//! | time | `timestamp`, to the microsecond |
//!
//! Lines have no id. Theirs is a hash of labels, time, line and metadata, so a retry counts once, if the clock of a stream is
//! finer than a second.

mod entry;
mod labels;

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Json, Kind};
use tally_core::log::keys::Object;
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_http::families::Family;
use tally_http::problem::Problem;

use self::entry::{Sent, texts};
use super::call::Call;
use super::fields::{self, object, scalar};
use super::logs::{MAX_RECORDS, Said, level_of};
use super::protobuf::Parts;
use super::protocol::{Answer, Protocol, retry_after};
use super::record_id::{Clock, RecordIds};
use super::records::{self, Records, check_sums, check_values};
use super::sanitize::{self, pick};
use crate::body::MAX_DECODED;

/// The largest labels of a stream as sent, in bytes. Loki takes 15 labels of 2 KB.
const MAX_LABELS: usize = 64 * 1024;
/// Labels and metadata that name a level.
const LEVEL: [&str; 6] = ["level", "severity", "detected_level", "lvl", "log_level", "levelname"];
/// Labels that name what logs.
const SOURCE: [&str; 4] = ["service_name", "app", "job", "service"];

/// Loki.
pub(crate) struct Loki;

/// The labels of a stream as sent.
#[derive(Clone)]
enum Labels<'a> {
    Json(Option<&'a RawValue>),
    Text(Bytes),
}

impl Labels<'_> {
    fn size(&self) -> usize {
        match self {
            Self::Json(raw) => raw.map_or(0, |raw| raw.get().len()),
            Self::Text(text) => text.len(),
        }
    }

    /// Reads them, sorted.
    fn read(&self) -> Result<Vec<(String, String)>, Refusal> {
        if self.size() > MAX_LABELS {
            return Err(Refusal::new(Reason::TooLarge, "the labels of a stream are more than 64 KB: send fewer"));
        }
        let mut labels = match self {
            Self::Json(raw) => raw.map(texts).unwrap_or_default(),
            Self::Text(text) => {
                let text = sanitize::body(text);
                // A library that does not escape its quotes loses no line by it.
                labels::parse(&text).unwrap_or_else(|| vec![("labels".to_owned(), text.into_owned())])
            }
        };
        labels.sort_unstable();
        Ok(labels)
    }
}

/// The entries of a request: slices of the body, each read when it is needed.
#[derive(Default)]
struct Entries<'a> {
    list: Vec<Record<'a>>,
    streams: Vec<Labels<'a>>,
    ids: RecordIds,
    stream: Stream,
    /// The sums of all entries so far, each with its labels.
    values: usize,
    bytes: usize,
}

/// An entry.
struct Record<'a> {
    sent: Sent<'a>,
    /// The place of its stream.
    stream: usize,
    id: Option<String>,
    /// With those of its labels.
    values: usize,
    refused: Option<Refusal>,
}

/// The stream that the next entry belongs to, which one clock has timed.
#[derive(Default)]
struct Stream {
    /// Its labels, for the identity of its entries.
    scope: String,
    values: usize,
    /// Why none of its entries can be an event.
    refused: Option<Refusal>,
    clock: Clock,
}

impl<'a> Entries<'a> {
    fn begin_stream(&mut self, labels: Labels<'a>) {
        self.end_stream();
        self.stream = match labels.read() {
            Ok(read) => Stream { scope: format!("{read:?}"), values: read.len(), ..Stream::default() },
            Err(refusal) => Stream { refused: Some(refusal), ..Stream::default() },
        };
        self.streams.push(labels);
    }

    /// Takes the identity from what a clock of whole seconds timed.
    fn end_stream(&mut self) {
        for place in std::mem::take(&mut self.stream).clock.unidentified() {
            if let Some(record) = self.list.get_mut(place) {
                record.id = None;
            }
        }
    }

    fn add(&mut self, sent: Sent<'a>) -> Result<(), Problem> {
        if self.list.len() == MAX_RECORDS {
            return Err(too_many());
        }
        let stream = self.streams.len().saturating_sub(1);
        self.bytes += sent.size() + self.streams.last().map_or(0, Labels::size);
        check_sums(self.values, self.bytes)?;
        let read = self.stream.refused.clone().map_or(Ok(()), Err).and_then(|()| sent.read());
        let read = read.and_then(|entry| {
            let values = self.stream.values + entry.values();
            check_values(values).map(|()| (entry, values))
        });
        let mut record = Record { sent, stream, id: None, values: 0, refused: None };
        match read {
            Ok((entry, values)) => {
                record.values = values;
                self.values += values;
                if entry.nanos.is_some() {
                    self.stream.clock.note(self.list.len(), entry.is_fine());
                    let id = self.ids.id(Family::Loki, self.stream.scope.as_bytes(), entry.content().as_bytes());
                    record.id = Some(id);
                }
            }
            Err(refusal) => record.refused = Some(refusal),
        }
        self.list.push(record);
        Ok(())
    }
}

fn too_many() -> Problem {
    Problem::TooLarge(format!("more than {MAX_RECORDS} entries: send smaller batches"))
}

impl Records for Entries<'_> {
    fn count(&self) -> usize {
        self.list.len()
    }

    fn draft(&self, index: usize) -> Result<Draft, Refusal> {
        let record = self.list.get(index);
        let found = record.and_then(|record| Some((record, self.streams.get(record.stream)?)));
        let (record, labels) = found.ok_or_else(|| Refusal::new(Reason::Unreadable, "no such entry"))?;
        if let Some(refusal) = &record.refused {
            return Err(refusal.clone());
        }
        let (entry, labels) = (record.sent.read()?, labels.read()?);
        let timestamp = entry.time();
        let texts = |pairs: Vec<(String, String)>| -> Object {
            let named = pairs.into_iter().filter(|(name, _)| !name.is_empty());
            named.map(|(name, value)| (name, Json::String(value))).collect()
        };
        let (tags, metadata) = (texts(labels), texts(entry.metadata));
        let level = LEVEL.iter().find_map(|name| level_of(metadata.get(*name).or_else(|| tags.get(*name))?));
        let mut said = Said::by_line(&entry.line);
        said.level = level.or(said.level);
        said.merge(Said::by_record(metadata));
        let source = SOURCE.iter().find_map(|name| match tags.get(*name)? {
            Json::String(source) if !source.is_empty() => Some(source.clone()),
            _ => None,
        });
        if let Some(source) = source
            && let Some(logger) = said.category.replace(source)
        {
            said.add([("logger".to_owned(), Json::String(logger))]);
        }
        Ok(Draft { id: record.id.clone(), timestamp, tags: object(tags), ..said.draft() })
    }

    fn size(&self, index: usize) -> usize {
        let found = self.list.get(index).and_then(|record| Some((record, self.streams.get(record.stream)?)));
        found.map_or(0, |(record, labels)| record.sent.size() + labels.size())
    }

    fn values(&self, index: usize) -> usize {
        self.list.get(index).map_or(0, |record| record.values)
    }

    /// The line of an entry, or its JSON.
    fn sample(&self, index: usize) -> String {
        match self.list.get(index).map(|record| &record.sent) {
            Some(Sent::Json(raw) | Sent::Old(raw)) => shortened(raw.get()).to_owned(),
            Some(sent @ Sent::Protobuf(_)) => sent.read().map_or_else(|_| String::new(), |entry| entry.line),
            None => String::new(),
        }
    }
}

/// Reads a request of JSON: of the current version, and of the first, whose streams have `labels` and `entries`.
fn of_json(text: &str) -> Result<Entries<'_>, Problem> {
    let invalid = |field: &str, detail: String| Problem::field(field, detail);
    let request: &RawValue =
        serde_json::from_str(text).map_err(|error| invalid("", format!("not valid JSON: {error}")))?;
    let [streams] = pick(request, ["streams"]);
    let Some(streams) = streams else { return Err(invalid("streams", "missing: send a list of streams".to_owned())) };
    let streams = fields::list(streams, MAX_RECORDS, "streams", "streams")?;
    let mut records = Entries::default();
    for stream in streams {
        let [labels, values, old_labels, entries] = pick(stream, ["stream", "values", "labels", "entries"]);
        let is_old = values.is_none() && entries.is_some();
        let Some(entries) = values.or(entries) else { continue };
        let labels = match old_labels.filter(|_| is_old).and_then(scalar) {
            Some(labels) => Labels::Text(labels.into()),
            None => Labels::Json(labels.filter(|labels| json::kind(labels) == Kind::Object)),
        };
        let room = MAX_RECORDS - records.list.len();
        let (entries, total) =
            json::array_of_at_most(entries, room).map_err(|error| invalid("streams", error.to_string()))?;
        if entries.len() < total {
            return Err(too_many());
        }
        records.begin_stream(labels);
        for entry in entries {
            records.add(if is_old { Sent::Old(entry) } else { Sent::Json(entry) })?;
        }
    }
    records.end_stream();
    Ok(records)
}

/// Reads a `PushRequest` of Loki's `push.proto`.
fn of_protobuf<'a>(body: Bytes) -> Result<Entries<'a>, Problem> {
    let mut records = Entries::default();
    for stream in Parts::of(body) {
        let (1, stream) = stream? else { continue };
        let mut labels = Bytes::new();
        // Labels follow their entries in no encoder, but they may.
        for part in Parts::of(stream.clone()) {
            if let (1, part) = part? {
                labels = part;
            }
        }
        let mut has_begun = false;
        for part in Parts::of(stream) {
            let (2, entry) = part? else { continue };
            if !std::mem::replace(&mut has_begun, true) {
                records.begin_stream(Labels::Text(labels.clone()));
            }
            records.add(Sent::Protobuf(entry))?;
        }
    }
    records.end_stream();
    Ok(records)
}

/// A body as JSON or protobuf.
enum Body<'a> {
    Json(Cow<'a, str>),
    Protobuf(Bytes),
}

impl<'a> Body<'a> {
    /// By its first byte: a snappy block that begins like JSON would say that it has 123 bytes, and then repeat what is not
    /// there.
    fn of(body: &'a Bytes) -> Result<Self, Problem> {
        match body.trim_ascii_start().first() {
            Some(b'{') => Ok(Self::Json(sanitize::body(body))),
            _ => unsnap(body).map(Self::Protobuf),
        }
    }

    fn entries(&'a self) -> Result<Entries<'a>, Problem> {
        match self {
            Self::Json(text) => of_json(text),
            Self::Protobuf(body) => of_protobuf(body.clone()),
        }
    }
}

/// Undoes snappy, in its block format.
fn unsnap(body: &Bytes) -> Result<Bytes, Problem> {
    let no_snappy = |_| Problem::field("", "the body is neither JSON nor protobuf in a block of snappy");
    let size = snap::raw::decompress_len(body).map_err(no_snappy)?;
    if size > MAX_DECODED {
        return Err(Problem::TooLarge(format!(
            "more than {MAX_DECODED} bytes once decompressed: send smaller batches"
        )));
    }
    snap::raw::Decoder::new().decompress_vec(body).map(Bytes::from).map_err(no_snappy)
}

/// Reads the entries of an unpacked body, JSON or protobuf that is not in snappy. What a request does beyond this needs the
/// store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(is_json: bool, body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let body = if is_json { Body::Json(sanitize::body(body)) } else { Body::Protobuf(Bytes::copy_from_slice(body)) };
    Ok(records::drafts(&body.entries()?))
}

impl Protocol for Loki {
    fn family(&self) -> Family {
        Family::Loki
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            if call.path == "/ready" {
                return Ok(text(StatusCode::OK, "ready\n".to_owned()));
            }
            let sender = call.sender(&[]).await?;
            if call.body.is_empty() {
                return Err(Problem::field("", "the body is empty: send streams"));
            }
            let body = Body::of(&call.body)?;
            call.store_each(&sender, &body.entries()?).await?.complete()?;
            // One library takes nothing else for success.
            Ok(StatusCode::NO_CONTENT.into_response())
        })
    }

    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        retry_after(problem, text(problem.status(), format!("{problem}\n")))
    }
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
