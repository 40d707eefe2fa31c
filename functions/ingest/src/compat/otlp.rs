//! OpenTelemetry: `POST /v1/logs` (OTLP/HTTP as protobuf or JSON, opentelemetry-proto `docs/specification.md`). Traces,
//! metrics and profiles are answered and not kept, so that an exporter of all signals goes on.
//!
//! | record | event |
//! | --- | --- |
//! | `event_name`, else the attribute `event.name`, else `log` | `name` |
//! | `body` | `message`; in `data.body` as well where it is no text, or longer than a message |
//! | severity | `level` |
//! | attributes `session.id`, `user.id` or `enduser.id` | `session_id`, `user_id` |
//! | attributes `exception.type`, `exception.message`, `exception.stacktrace` | `message` without a body, `stack` |
//! | other attributes | `data` |
//! | resource attribute `service.name` | `category` |
//! | resource, scope, trace and span | `tags` |
//! | time, else observed time | `timestamp` |
//!
//! Records have no id. Theirs is a hash of the record with its resource and scope, so a retry counts once. Two honest
//! records may be the same within a second, so there is none where the clock of the resource and scope knows only whole
//! seconds.

mod json;
mod record;
mod wire;

use std::borrow::Cow;
use std::error::Error;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use prost::Message;
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::document;
use tally_core::rejected::{MAX_SAMPLE, Reason, Refusal, shortened};
use tally_http::families::Family;
use tally_http::problem::Problem;

use self::wire::{
    Around, ExportLogsServiceResponse, InstrumentationScope, LogRecord, MAX_RECORDS, PartialSuccess, Resource, Status,
};
use crate::compat::call::Call;
use crate::compat::protocol::{Answer, Protocol, retry_after};
use crate::compat::record_id::{Clock, RecordIds};
use crate::compat::records::{self, Records, check_sums, check_values};
use crate::compat::sanitize;

/// The largest record as sent, in bytes. An event holds 256 KB.
const MAX_RECORD: usize = 512 * 1024;
/// The media type of protobuf.
const PROTOBUF: &str = "application/x-protobuf";

/// OpenTelemetry.
pub(crate) struct Otlp;

/// The form of a request and its reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// By the first byte, since content types may be wrong, and by the content type where there is none.
    fn of(call: &Call) -> Self {
        let of_json = call.header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("json"));
        match call.body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Self::Json,
            _ if !of_json => Self::Protobuf,
            _ => Self::Json,
        }
    }

    /// The reply where everything was taken.
    fn success(self) -> Response {
        self.reply(StatusCode::OK, &ExportLogsServiceResponse::default(), &json!({}))
    }

    fn reply(self, status: StatusCode, message: &impl Message, json: &serde_json::Value) -> Response {
        let (kind, body) = match self {
            Self::Protobuf => (PROTOBUF, message.encode_to_vec()),
            // `{}` of an empty success as well.
            Self::Json => ("application/json", json.to_string().into_bytes()),
        };
        (status, [(CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
    }
}

/// The records of a request: slices of the body, each read when it is needed.
struct LogRecords {
    form: Form,
    records: Vec<Sent>,
    groups: Vec<Around>,
    ids: RecordIds,
    /// The group that the next record belongs to, unless it begins another.
    group: Group,
    /// The sums of all records so far, each with its resource and scope.
    values: usize,
    bytes: usize,
}

/// A record as sent.
struct Sent {
    bytes: Bytes,
    /// The place of what surrounds it.
    around: usize,
    id: Option<String>,
    /// With those around it.
    values: usize,
    refused: Option<Refusal>,
}

/// The records of one resource and scope, which one clock has timed.
#[derive(Default)]
struct Group {
    /// Resource and scope together, for the identity of the records.
    around: Vec<u8>,
    values: usize,
    /// Why none of its records can be an event.
    refused: Option<Refusal>,
    clock: Clock,
}

impl LogRecords {
    fn new(form: Form) -> Self {
        let (records, groups, ids, group) = Default::default();
        Self { form, records, groups, ids, group, values: 0, bytes: 0 }
    }

    /// Reads a request.
    fn read(form: Form, body: &Bytes) -> Result<Self, Problem> {
        let mut records = Self::new(form);
        match form {
            Form::Protobuf => wire::records(body.clone(), |around, sent| records.add(around, sent))?,
            Form::Json if body.is_empty() => {}
            Form::Json => of_json(&mut records, body)?,
        }
        records.end_group();
        Ok(records)
    }

    fn add(&mut self, around: &Around, bytes: Bytes) -> Result<(), Problem> {
        if self.records.len() == MAX_RECORDS {
            return Err(too_many());
        }
        if self.groups.last() != Some(around) {
            self.end_group();
            self.begin_group(around);
        }
        self.bytes += bytes.len() + self.group.around.len();
        check_sums(self.values, self.bytes)?;
        let read = self.group.refused.clone().map_or(Ok(()), Err).and_then(|()| log_record(self.form, &bytes));
        let read = read.and_then(|read| {
            let values = self.group.values + read.values();
            check_values(values).map(|()| (read, values))
        });
        let place = self.records.len();
        let mut sent = Sent { bytes, around: self.groups.len() - 1, id: None, values: 0, refused: None };
        match read {
            Ok((read, values)) => {
                sent.values = values;
                self.values += values;
                if record::has_time(&read) {
                    self.group.clock.note(place, record::is_fine(&read));
                    sent.id = Some(self.ids.id(Family::Otlp, &self.group.around, &sent.bytes));
                }
            }
            Err(refusal) => sent.refused = Some(refusal),
        }
        self.records.push(sent);
        Ok(())
    }

    fn begin_group(&mut self, around: &Around) {
        self.groups.push(around.clone());
        let both = [&around.resource[..], &around.scope[..]].concat();
        let read = check_size(&both, "a resource with its scope").and_then(|()| {
            let resource = resource(self.form, &around.resource)?;
            let values =
                wire::values(&resource.attributes) + wire::values(&scope(self.form, &around.scope)?.attributes);
            Ok((values, Clock::fine(record::is_of_sdk(&resource))))
        });
        self.group = match read {
            Ok((values, clock)) => Group { around: both, values, refused: None, clock },
            Err(refusal) => Group { around: both, refused: Some(refusal), ..Group::default() },
        };
    }

    /// Takes the identity from what a clock of whole seconds timed.
    fn end_group(&mut self) {
        for place in std::mem::take(&mut self.group).clock.unidentified() {
            if let Some(sent) = self.records.get_mut(place) {
                sent.id = None;
            }
        }
    }
}

impl records::Records for LogRecords {
    fn count(&self) -> usize {
        self.records.len()
    }

    fn draft(&self, index: usize) -> Result<Draft, Refusal> {
        let sent = self.records.get(index);
        let found = sent.and_then(|sent| Some((sent, self.groups.get(sent.around)?)));
        let (sent, around) = found.ok_or_else(|| Refusal::new(Reason::Unreadable, "no such record"))?;
        if let Some(refusal) = &sent.refused {
            return Err(refusal.clone());
        }
        let read = log_record(self.form, &sent.bytes)?;
        let (resource, scope) = (resource(self.form, &around.resource)?, scope(self.form, &around.scope)?);
        Ok(record::draft(read, resource, scope, sent.id.clone()))
    }

    fn size(&self, index: usize) -> usize {
        let found = self.records.get(index).and_then(|sent| Some((sent, self.groups.get(sent.around)?)));
        found.map_or(0, |(sent, around)| sent.bytes.len() + around.resource.len() + around.scope.len())
    }

    fn values(&self, index: usize) -> usize {
        self.records.get(index).map_or(0, |sent| sent.values)
    }

    /// The body of a record, or its JSON.
    fn sample(&self, index: usize) -> String {
        let sent = self.records.get(index).map(|sent| &sent.bytes).filter(|bytes| bytes.len() <= MAX_RECORD);
        let Some(sent) = sent else { return String::new() };
        match self.form {
            Form::Json => shortened(&String::from_utf8_lossy(&sent[..sent.len().min(4 * MAX_SAMPLE)])).to_owned(),
            Form::Protobuf => {
                let body = LogRecord::decode(sent.clone()).ok().and_then(|record| record.body);
                body.map_or_else(String::new, |body| record::text_of(&body.into_json()))
            }
        }
    }
}

/// Refuses what is too large to be an event.
fn check_size(sent: &[u8], what: &str) -> Result<(), Refusal> {
    if sent.len() <= MAX_RECORD {
        return Ok(());
    }
    Err(Refusal::new(Reason::TooLarge, format!("{what} of more than 512 KB: log less in one record")))
}

fn too_many() -> Problem {
    Problem::TooLarge(format!("more than {MAX_RECORDS} log records: send smaller batches"))
}

impl From<json::TooMany> for Problem {
    fn from(_: json::TooMany) -> Self {
        too_many()
    }
}

fn unreadable(error: impl Into<Box<dyn Error>>) -> Refusal {
    Refusal::new(Reason::Unreadable, error.into().to_string())
}

/// Reads a record.
fn log_record(form: Form, sent: &Bytes) -> Result<LogRecord, Refusal> {
    check_size(sent, "a log record")?;
    match form {
        Form::Protobuf => LogRecord::decode(sent.clone()).map_err(unreadable),
        Form::Json => json::record(document(sent).map_err(unreadable)?)
            .ok_or_else(|| unreadable("a log record must be an object")),
    }
}

fn resource(form: Form, sent: &Bytes) -> Result<Resource, Refusal> {
    match form {
        Form::Protobuf => Resource::decode(sent.clone()).map_err(unreadable),
        Form::Json if sent.is_empty() => Ok(Resource::default()),
        Form::Json => document(sent).map(json::resource).map_err(unreadable),
    }
}

fn scope(form: Form, sent: &Bytes) -> Result<InstrumentationScope, Refusal> {
    match form {
        Form::Protobuf => InstrumentationScope::decode(sent.clone()).map_err(unreadable),
        Form::Json if sent.is_empty() => Ok(InstrumentationScope::default()),
        Form::Json => document(sent).map(json::scope).map_err(unreadable),
    }
}

fn of_json(records: &mut LogRecords, body: &Bytes) -> Result<(), Problem> {
    let text = match sanitize::body(body) {
        Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    };
    let raw: &RawValue =
        serde_json::from_slice(&text).map_err(|error| Problem::field("", format!("not valid JSON: {error}")))?;
    let sent = |raw: Option<&RawValue>| raw.map_or_else(Bytes::new, |raw| text.slice_ref(raw.get().as_bytes()));
    let mut around = Around::default();
    json::records(raw, |part| match part {
        json::Part::Resource(resource) => {
            around.resource = sent(resource);
            Ok(())
        }
        json::Part::Scope(scope) => {
            around.scope = sent(scope);
            Ok(())
        }
        json::Part::Record(record) => records.add(&around, sent(Some(record))),
    })
}

/// Reads the records of an unpacked body, protobuf or JSON. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(is_json: bool, body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let form = if is_json { Form::Json } else { Form::Protobuf };
    Ok(records::drafts(&LogRecords::read(form, &Bytes::copy_from_slice(body))?))
}

impl Protocol for Otlp {
    fn family(&self) -> Family {
        Family::Otlp
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            let form = Form::of(call);
            let sender = call.sender(&[call.parameter("token")]).await?;
            if !call.path.ends_with("/logs") {
                return Ok(form.success());
            }
            let records = LogRecords::read(form, &call.body)?;
            if records.count() == 0 {
                return Ok(form.success());
            }
            let stored = call.store_each(&sender, &records).await?;
            let (_, rejected) = stored.complete()?;
            if rejected == 0 {
                return Ok(form.success());
            }
            let first = stored.0.iter().find_map(|verdict| match verdict {
                crate::compat::call::Verdict::Rejected(refusal) => Some(refusal.detail.clone()),
                _ => None,
            });
            let message = format!("{rejected} rejected; the first: {}", first.unwrap_or_default());
            let json = json!({"partialSuccess": {"rejectedLogRecords": rejected.to_string(), "errorMessage": message}});
            let partial = PartialSuccess {
                rejected_log_records: i64::try_from(rejected).unwrap_or(i64::MAX),
                error_message: message,
            };
            let response = ExportLogsServiceResponse { partial_success: Some(partial) };
            Ok(form.reply(StatusCode::OK, &response, &json))
        })
    }

    fn refuse(&self, call: &Call, problem: &Problem) -> Response {
        // The codes of gRPC (google/rpc/code.proto).
        let code = match problem.status().as_u16() {
            401 => 16,
            403 => 7,
            404 => 5,
            413 | 429 => 8,
            503 => 14,
            _ => 3,
        };
        let message = problem.to_string();
        let json = json!({"code": code, "message": message});
        retry_after(problem, Form::of(call).reply(problem.status(), &Status { code, message }, &json))
    }
}
