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

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use prost::Message;
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_http::families::Family;
use tally_http::problem::Problem;

use self::wire::{Around, ExportLogsServiceResponse, LogRecord, PartialSuccess, Status};
use crate::compat::call::Call;
use crate::compat::protocol::{Answer, Protocol, retry_after};
use crate::compat::record_id::RecordIds;
use crate::compat::sanitize;

/// The largest record as sent, in bytes. An event holds 256 KB.
const MAX_RECORD: usize = 512 * 1024;
/// The maximum number of records of a request. Batches of an exporter have 512, those of a collector usually 8,192.
const MAX_RECORDS: usize = 32_768;

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

/// The records of a request as drafts, and as sent: slices of the body.
#[derive(Default)]
struct Records {
    drafts: Vec<Result<Draft, Refusal>>,
    sent: Vec<Bytes>,
    ids: RecordIds,
    group: Group,
}

/// The records of one resource and scope, which one clock has timed.
#[derive(Default)]
struct Group {
    resource: Bytes,
    scope: Bytes,
    /// Both together, for the identity of the records.
    around: Vec<u8>,
    /// Whether the clock is finer than a second.
    is_fine: bool,
    /// The records, by their places, whose times are whole seconds by chance or by their clock.
    coarse: Vec<usize>,
}

impl Records {
    /// Whether there is room for another record.
    fn check_room(&self) -> Result<(), Problem> {
        if self.drafts.len() < MAX_RECORDS {
            return Ok(());
        }
        Err(Problem::TooLarge(format!("more than {MAX_RECORDS} log records: send smaller batches")))
    }

    fn add(&mut self, around: &Around, sent: Bytes, read: Result<LogRecord, Refusal>) {
        if around.resource_sent != self.group.resource || around.scope_sent != self.group.scope {
            self.end_group();
            let (resource, scope) = (around.resource_sent.clone(), around.scope_sent.clone());
            let both = [&resource[..], &scope[..]].concat();
            let is_fine = record::is_of_sdk(&around.resource);
            self.group = Group { resource, scope, around: both, is_fine, coarse: Vec::new() };
        }
        let draft = read.map(|read| {
            let is_fine = record::is_fine(&read);
            self.group.is_fine |= is_fine;
            let id = is_fine.then(|| self.ids.id(Family::Otlp, &self.group.around, &sent));
            if !is_fine && record::has_time(&read) {
                self.group.coarse.push(self.drafts.len());
            }
            record::draft(read, &around.resource, &around.scope, id)
        });
        self.drafts.push(draft);
        self.sent.push(sent);
    }

    /// Identifies what the clock of the group timed on the second.
    fn end_group(&mut self) {
        let group = std::mem::take(&mut self.group);
        for place in group.coarse.into_iter().filter(|_| group.is_fine) {
            if let (Some(Ok(draft)), Some(sent)) = (self.drafts.get_mut(place), self.sent.get(place)) {
                draft.id = Some(self.ids.id(Family::Otlp, &group.around, sent));
            }
        }
    }

    /// A record for the list of rejected events: its body, or its JSON.
    fn sample(&self, form: Form, index: usize) -> String {
        let Some(sent) = self.sent.get(index).filter(|sent| sent.len() <= MAX_RECORD) else { return String::new() };
        match form {
            Form::Json => shortened(&String::from_utf8_lossy(sent)).to_owned(),
            Form::Protobuf => {
                let body = LogRecord::decode(sent.clone()).ok().and_then(|record| record.body);
                body.map_or_else(String::new, |body| record::text_of(&body.into_json()))
            }
        }
    }
}

/// Refuses a record that is too large to be an event.
fn check_size(sent: &[u8]) -> Result<(), Refusal> {
    if sent.len() <= MAX_RECORD {
        return Ok(());
    }
    Err(Refusal::new(Reason::TooLarge, "a log record of more than 512 KB: log less in one record"))
}

impl From<wire::Damaged> for Problem {
    fn from(damaged: wire::Damaged) -> Self {
        Self::field("", damaged.to_string())
    }
}

fn of_protobuf(body: &Bytes) -> Result<Records, Problem> {
    let mut records = Records::default();
    wire::records(body.clone(), |around, sent| {
        records.check_room()?;
        let read = check_size(&sent).and_then(|()| {
            LogRecord::decode(sent.clone()).map_err(|error| Refusal::new(Reason::Unreadable, error.to_string()))
        });
        records.add(around, sent, read);
        Ok::<_, Problem>(())
    })?;
    Ok(records)
}

fn of_json(body: &Bytes) -> Result<Records, Problem> {
    let text = sanitize::body(body);
    let raw: &RawValue =
        serde_json::from_str(&text).map_err(|error| Problem::field("", format!("not valid JSON: {error}")))?;
    // A slice of the body, unless the body had to be sanitized.
    let sent = |raw: &RawValue| match &text {
        Cow::Borrowed(_) => body.slice_ref(raw.get().as_bytes()),
        Cow::Owned(_) => Bytes::copy_from_slice(raw.get().as_bytes()),
    };
    let mut records = Records::default();
    let mut around = Around::default();
    json::records(raw, |part| {
        match part {
            json::Part::Resource(resource) => {
                around.resource_sent = resource.map_or_else(Bytes::new, sent);
                around.resource = json::resource(resource);
            }
            json::Part::Scope(scope) => {
                around.scope_sent = scope.map_or_else(Bytes::new, sent);
                around.scope = json::scope(scope);
            }
            json::Part::Record(record) => {
                records.check_room()?;
                let read = check_size(record.get().as_bytes()).and_then(|()| {
                    let no_object = || Refusal::new(Reason::Unreadable, "a log record must be an object");
                    json::record(record).ok_or_else(no_object)
                });
                records.add(&around, sent(record), read);
            }
        }
        Ok::<_, Problem>(())
    })?;
    Ok(records)
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
            let mut records = match form {
                Form::Protobuf => of_protobuf(&call.body)?,
                Form::Json if call.body.is_empty() => Records::default(),
                Form::Json => of_json(&call.body)?,
            };
            records.end_group();
            let drafts = std::mem::take(&mut records.drafts);
            if drafts.is_empty() {
                return Ok(form.success());
            }
            let stored = call.store(&sender, drafts, &|index| records.sample(form, index)).await?;
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
