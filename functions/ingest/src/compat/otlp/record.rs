//! A log record as an event.

use std::collections::BTreeMap;

use tally_core::event::draft::Draft;
use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::event::{LOG, MAX_MESSAGE};
use tally_core::time::Timestamp;

use super::wire::{AnyValue, InstrumentationScope, LogRecord, Resource, attributes, id};
use crate::compat::raised::title;
use crate::compat::sanitize::{cut, short};

/// Nanoseconds of a microsecond.
const MICROSECOND: u64 = 1_000;
/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// The time of a record: its own, else when it was first seen.
fn time(record: &LogRecord) -> Option<Timestamp> {
    let nanos = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|nanos| *nanos > 0)?;
    i64::try_from(nanos / MICROSECOND).ok().map(Timestamp::from_micros)
}

/// Whether one of its times is finer than a second.
pub(super) fn is_fine(record: &LogRecord) -> bool {
    [record.time_unix_nano, record.observed_time_unix_nano].iter().any(|nanos| !nanos.is_multiple_of(SECOND))
}

/// Whether it has a time.
pub(super) fn has_time(record: &LogRecord) -> bool {
    time(record).is_some()
}

/// Whether an SDK of OpenTelemetry sent it: their clocks are finer than a second, but one that knows milliseconds may strike
/// the second.
pub(super) fn is_of_sdk(resource: &Resource) -> bool {
    resource.attributes.iter().any(|attribute| attribute.key == "telemetry.sdk.name")
}

/// `SeverityNumber` of opentelemetry-proto: four numbers for each level.
fn level(number: i32) -> Option<Level> {
    match number {
        1..=4 => Some(Level::Trace),
        5..=8 => Some(Level::Debug),
        9..=12 => Some(Level::Info),
        13..=16 => Some(Level::Warn),
        17..=20 => Some(Level::Error),
        21..=24 => Some(Level::Fatal),
        _ => None,
    }
}

/// A text as it is, and anything else as JSON.
pub(super) fn text_of(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

/// Makes an event of a record. `id` is its identity, if it has one.
pub(super) fn draft(
    record: LogRecord,
    resource: Resource,
    scope: InstrumentationScope,
    own_id: Option<String>,
) -> Draft {
    let timestamp = time(&record);
    let mut data: BTreeMap<String, Json> = attributes(record.attributes).collect();
    let mut take = |key: &str| data.remove(key).filter(|value| *value != Json::Null).map(|value| text_of(&value));
    let name = Some(record.event_name).filter(|name| !name.trim().is_empty()).or_else(|| take("event.name"));
    let session_id = take("session.id");
    let user_id = take("user.id").or_else(|| take("enduser.id"));
    let (kind, what) = (take("exception.type"), take("exception.message"));
    let stack = take("exception.stacktrace");
    let exception = title(kind.as_deref(), what.as_deref());
    let body = record.body.map(AnyValue::into_json).filter(|body| *body != Json::Null);
    let text = body.as_ref().map(text_of).filter(|text| !text.is_empty());
    // A body that is no text, or too long, is kept whole.
    if let Some(body) = body.filter(|body| !matches!(body, Json::String(text) if text.len() <= MAX_MESSAGE)) {
        data.entry("body".to_owned()).or_insert(body);
    }
    if let (Some(exception), true) = (&exception, text.is_some()) {
        data.insert("exception".to_owned(), Json::String(exception.clone()));
    }
    let severity = level(record.severity_number).or_else(|| record.severity_text.parse().ok());
    let mut tags: BTreeMap<String, Json> = BTreeMap::new();
    let mut tag = |key: &str, value: Option<String>| {
        tags.extend(value.filter(|value| !value.is_empty()).map(|value| (key.to_owned(), Json::String(value))));
    };
    tag("trace_id", id(&record.trace_id));
    tag("span_id", id(&record.span_id));
    tag("severity_text", Some(record.severity_text).filter(|text| text.parse::<Level>().ok() != severity));
    tag("scope", Some(scope.name));
    tag("scope_version", Some(scope.version));
    let around: BTreeMap<String, Json> = attributes(resource.attributes).collect();
    let category = around.get("service.name").map(text_of);
    if !around.is_empty() {
        tags.insert("resource".to_owned(), Json::Object(around));
    }
    let scope_attributes: BTreeMap<String, Json> = attributes(scope.attributes).collect();
    if !scope_attributes.is_empty() {
        tags.insert("scope_attributes".to_owned(), Json::Object(scope_attributes));
    }
    Draft {
        id: own_id,
        name: short(name).filter(|name| !name.trim().is_empty()).or_else(|| Some(LOG.to_owned())),
        category: short(category),
        level: severity.map(|level| level.to_string()),
        message: text.or(exception).map(|text| cut(text, MAX_MESSAGE)),
        session_id: short(session_id),
        user_id: short(user_id),
        timestamp,
        data: (!data.is_empty()).then_some(Json::Object(data)),
        tags: (!tags.is_empty()).then_some(Json::Object(tags)),
        stack: stack.map(Json::String),
        ..Draft::default()
    }
}
