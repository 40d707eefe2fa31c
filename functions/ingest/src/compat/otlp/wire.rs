//! The protobuf of OTLP (opentelemetry-proto, `logs/v1/logs.proto` and `common/v1/common.proto`), as far as logs need it.
//!
//! `prost` decodes single records; the three levels around them are walked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message;
use tally_core::app::key::hex;
use tally_core::event::MAX_DEPTH;
use tally_core::event::json::{Json, Number};

use crate::compat::protobuf::{Damaged, Parts};

/// The maximum number of records of a request. Batches of an exporter have 512, those of a collector usually 8,192.
pub(super) const MAX_RECORDS: usize = 32_768;

/// What surrounds a record, as sent: slices of the body. It is read with each record, whose event takes it over.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub resource: Bytes,
    pub scope: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InstrumentationScope {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    #[prost(fixed64, tag = "11")]
    pub observed_time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub severity_number: i32,
    #[prost(string, tag = "3")]
    pub severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    #[prost(bytes = "vec", tag = "9")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    pub span_id: Vec<u8>,
    #[prost(string, tag = "12")]
    pub event_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// The success of a request of which some records were refused for good.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub rejected_log_records: i64,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`, the body of errors.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Hands over each record of an `ExportLogsServiceRequest`, as sent, with what surrounds it.
///
/// # Errors
/// What `record` returns, and [`Damaged`].
pub(super) fn records<E: From<Damaged>>(
    body: Bytes,
    mut record: impl FnMut(&Around, Bytes) -> Result<(), E>,
) -> Result<(), E> {
    for resource_logs in Parts::of(body) {
        let (1, resource_logs) = resource_logs? else { continue };
        // The resource follows its records in no encoder, but it may.
        let mut around = Around { resource: last(&resource_logs)?, ..Around::default() };
        for scope_logs in Parts::of(resource_logs) {
            let (2, scope_logs) = scope_logs? else { continue };
            around.scope = last(&scope_logs)?;
            for part in Parts::of(scope_logs) {
                if let (2, sent) = part? {
                    record(&around, sent)?;
                }
            }
        }
    }
    Ok(())
}

/// The last part with the tag 1.
fn last(message: &Bytes) -> Result<Bytes, Damaged> {
    let mut found = Bytes::new();
    for part in Parts::of(message.clone()) {
        if let (1, part) = part? {
            found = part;
        }
    }
    Ok(found)
}

/// The number of values in attributes.
pub(super) fn values(attributes: &[KeyValue]) -> usize {
    attributes.iter().map(|attribute| attribute.value.as_ref().map_or(1, AnyValue::values)).sum()
}

impl LogRecord {
    /// The number of values in its body and attributes.
    pub(super) fn values(&self) -> usize {
        values(&self.attributes) + self.body.as_ref().map_or(0, AnyValue::values)
    }
}

impl AnyValue {
    /// The number of values that it consists of: itself, and those in it.
    fn values(&self) -> usize {
        match &self.value {
            Some(Value::Array(list)) => 1 + list.values.iter().map(Self::values).sum::<usize>(),
            Some(Value::Map(map)) => 1 + values(&map.values),
            _ => 1,
        }
    }

    /// The value as an event can keep it: what is nested deeper than 16 levels, and numbers that JSON does not have, are
    /// texts.
    pub(super) fn into_json(self) -> Json {
        self.within(MAX_DEPTH)
    }

    fn within(self, depth: usize) -> Json {
        match self.value {
            None => Json::Null,
            Some(Value::String(text)) => Json::String(text),
            Some(Value::Bool(value)) => Json::Bool(value),
            Some(Value::Int(number)) => number_or_text(number.to_string()),
            Some(Value::Double(number)) if number.is_finite() => number_or_text(number.to_string()),
            Some(Value::Double(number)) => Json::String(number.to_string()),
            Some(Value::Bytes(bytes)) => Json::String(STANDARD.encode(bytes)),
            Some(nested @ (Value::Array(_) | Value::Map(_))) => match depth.checked_sub(1) {
                None => {
                    let nested = Self { value: Some(nested) }.within(usize::MAX);
                    Json::String(serde_json::to_string(&nested).unwrap_or_default())
                }
                Some(depth) => match nested {
                    Value::Array(list) => Json::Array(list.values.into_iter().map(|item| item.within(depth)).collect()),
                    Value::Map(map) => Json::Object(fields(map.values, depth).collect()),
                    _ => Json::Null,
                },
            },
        }
    }
}

fn number_or_text(text: String) -> Json {
    Number::parse(&text).map_or(Json::String(text), Json::Number)
}

fn fields(list: Vec<KeyValue>, depth: usize) -> impl Iterator<Item = (String, Json)> {
    list.into_iter()
        .filter(|field| !field.key.is_empty())
        .map(move |field| (field.key, field.value.unwrap_or_default().within(depth)))
}

/// Attributes as the fields of an object. Of equal keys the last counts; an empty key is dropped.
pub(super) fn attributes(list: Vec<KeyValue>) -> impl Iterator<Item = (String, Json)> {
    fields(list, MAX_DEPTH - 1)
}

/// The id of a trace or a span, unless it is absent.
pub(super) fn id(bytes: &[u8]) -> Option<String> {
    bytes.iter().any(|byte| *byte != 0).then(|| hex(bytes))
}
