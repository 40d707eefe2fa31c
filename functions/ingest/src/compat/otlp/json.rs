//! The JSON of OTLP: names in camel case (or as in the `.proto` files), ids of traces in hex, 64-bit numbers as numbers or
//! texts. Unknown fields are ignored, and of equal keys the last counts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use tally_core::event::json::{self, Kind};

use super::wire::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, LogRecord, MAX_RECORDS, Resource, Value,
};
use crate::compat::sanitize::{object, pick};

/// The deepest value that is read; deeper ones are the text of their JSON.
const MAX_DEPTH: usize = 32;

/// A field of an object by its name in camel case, or else as in the `.proto` files.
fn field<'a>(object: &'a RawValue, camel: &str, snake: &str) -> Option<&'a RawValue> {
    let [camel, snake] = pick(object, [camel, snake]);
    camel.or(snake)
}

fn list(value: Option<&RawValue>) -> Vec<&RawValue> {
    value.and_then(|value| json::array(value).ok()).unwrap_or_default()
}

/// A list has more items than a request may have records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// A list that surrounds records.
fn outer_list(value: Option<&RawValue>) -> Result<Vec<&RawValue>, TooMany> {
    let (items, count) = value.and_then(|value| json::array_of_at_most(value, MAX_RECORDS).ok()).unwrap_or_default();
    if count > items.len() { Err(TooMany) } else { Ok(items) }
}

fn text(value: Option<&RawValue>) -> String {
    value.and_then(scalar).unwrap_or_default()
}

/// A text, or a number or truth value as text.
fn scalar(value: &RawValue) -> Option<String> {
    match json::kind(value) {
        Kind::String => json::string(value).ok(),
        Kind::Number | Kind::Bool => Some(value.get().to_owned()),
        _ => None,
    }
}

fn number<T: std::str::FromStr + Default>(value: Option<&RawValue>) -> T {
    value.and_then(scalar).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

/// The id of a trace or a span: hex.
fn id(value: Option<&RawValue>) -> Vec<u8> {
    let text = text(value);
    let digits = text.as_bytes().chunks(2);
    let bytes = digits.map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    bytes.collect::<Option<Vec<u8>>>().unwrap_or_default()
}

/// A part of a request, in order: a resource, its scopes, and the records of each.
pub(super) enum Part<'a> {
    Resource(Option<&'a RawValue>),
    Scope(Option<&'a RawValue>),
    Record(&'a RawValue),
}

/// Hands over each part of a request.
///
/// # Errors
/// What `part` returns, and [`TooMany`].
pub(super) fn records<'a, E: From<TooMany>>(
    body: &'a RawValue,
    mut part: impl FnMut(Part<'a>) -> Result<(), E>,
) -> Result<(), E> {
    for resource_logs in outer_list(field(body, "resourceLogs", "resource_logs"))? {
        part(Part::Resource(field(resource_logs, "resource", "resource")))?;
        for scope_logs in outer_list(field(resource_logs, "scopeLogs", "scope_logs"))? {
            part(Part::Scope(field(scope_logs, "scope", "scope")))?;
            for record in outer_list(field(scope_logs, "logRecords", "log_records"))? {
                part(Part::Record(record))?;
            }
        }
    }
    Ok(())
}

/// Reads a resource.
pub(super) fn resource(value: &RawValue) -> Resource {
    Resource { attributes: key_values(field(value, "attributes", "attributes"), MAX_DEPTH) }
}

/// Reads a scope.
pub(super) fn scope(value: &RawValue) -> InstrumentationScope {
    let [name, version, attributes] = pick(value, ["name", "version", "attributes"]);
    InstrumentationScope { name: text(name), version: text(version), attributes: key_values(attributes, MAX_DEPTH) }
}

/// Reads a record. Returns none of what is no object.
pub(super) fn record(value: &RawValue) -> Option<LogRecord> {
    if json::kind(value) != Kind::Object {
        return None;
    }
    let [time, observed, number_of_level, level, body, attributes, trace, span, name] = pick(
        value,
        [
            "timeUnixNano",
            "observedTimeUnixNano",
            "severityNumber",
            "severityText",
            "body",
            "attributes",
            "traceId",
            "spanId",
            "eventName",
        ],
    );
    let [time_, observed_, number_of_level_, level_, trace_, span_, name_] = pick(
        value,
        [
            "time_unix_nano",
            "observed_time_unix_nano",
            "severity_number",
            "severity_text",
            "trace_id",
            "span_id",
            "event_name",
        ],
    );
    Some(LogRecord {
        time_unix_nano: number(time.or(time_)),
        observed_time_unix_nano: number(observed.or(observed_)),
        severity_number: number(number_of_level.or(number_of_level_)),
        severity_text: text(level.or(level_)),
        body: body.map(|body| any_value(body, MAX_DEPTH)),
        attributes: key_values(attributes, MAX_DEPTH),
        trace_id: id(trace.or(trace_)),
        span_id: id(span.or(span_)),
        event_name: text(name.or(name_)),
    })
}

fn key_values(value: Option<&RawValue>, depth: usize) -> Vec<KeyValue> {
    let pairs = list(value).into_iter().map(|pair| pick(pair, ["key", "value"]));
    pairs.map(|[key, value]| KeyValue { key: text(key), value: value.map(|value| any_value(value, depth)) }).collect()
}

fn any_value(value: &RawValue, depth: usize) -> AnyValue {
    let as_text = || Value::String(value.get().to_owned());
    let fields = object(value);
    // The last one that is not null, as with equal keys.
    let kind = fields.iter().rev().find(|(_, value)| json::kind(value) != Kind::Null);
    let read = kind.and_then(|(name, value)| {
        let raw = *value;
        Some(match (name.as_str(), depth.checked_sub(1)) {
            ("stringValue" | "string_value", _) => Value::String(scalar(raw)?),
            ("boolValue" | "bool_value", _) => Value::Bool(scalar(raw)? == "true"),
            ("intValue" | "int_value", _) => {
                let text = scalar(raw)?;
                text.trim().parse().map_or(Value::String(text), Value::Int)
            }
            ("doubleValue" | "double_value", _) => {
                let text = scalar(raw)?;
                text.trim().parse().map_or(Value::String(text), Value::Double)
            }
            ("bytesValue" | "bytes_value", _) => {
                let text = scalar(raw)?;
                STANDARD.decode(&text).map_or(Value::String(text), Value::Bytes)
            }
            ("arrayValue" | "array_value", Some(depth)) => {
                let values = list(field(raw, "values", "values"));
                Value::Array(ArrayValue { values: values.into_iter().map(|item| any_value(item, depth)).collect() })
            }
            ("kvlistValue" | "kvlist_value", Some(depth)) => {
                Value::Map(KeyValueList { values: key_values(field(raw, "values", "values"), depth) })
            }
            ("arrayValue" | "array_value" | "kvlistValue" | "kvlist_value", None) => as_text(),
            _ => return None,
        })
    });
    AnyValue { value: read }
}
