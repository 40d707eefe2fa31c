//! The keys under which logs have a time, a level, a message and other fields, most usual first, and how a value is found by one.

use std::collections::BTreeMap;

use crate::event::json::Json;

/// The fields of a line or record.
pub type Object = BTreeMap<String, Json>;

/// Keys of times, in any JSON.
pub const TIME: [&str; 18] = [
    "timestamp",
    "occurred_at",
    "time",
    "ts",
    "@timestamp",
    "asctime",
    "datetime",
    "@t",
    "eventTime",
    "event_time",
    "time_iso8601",
    "time_local",
    "date",
    "created_at",
    "createdAt",
    "Timestamp",
    "t",
    "dt",
];
/// Keys of levels.
pub const LEVEL: [&str; 12] = [
    "level",
    "severity",
    "lvl",
    "levelname",
    "log.level",
    "loglevel",
    "log_level",
    "logLevel",
    "@l",
    "levelName",
    "severityText",
    "Level",
];
/// Keys of messages.
pub const MESSAGE: [&str; 11] =
    ["message", "msg", "@m", "@mt", "log", "text", "textPayload", "short_message", "body", "Message", "MESSAGE"];
/// Keys of messages of errors, where there is no other message.
pub const MESSAGE_OF_ERROR: [&str; 4] = ["err.message", "error.message", "error", "exception"];
/// Keys of categories.
pub const CATEGORY: [&str; 4] = ["category", "logger", "logger_name", "loggerName"];
/// Keys of stack traces.
pub const STACK: [&str; 4] = ["stack", "stacktrace", "stack_trace", "exc_info"];

/// Takes a value out of nested objects. At each level the whole rest of the path may be a key itself
/// (`http.status_code`).
pub fn take(object: &mut Object, path: &str) -> Option<Json> {
    if let Some(value) = object.remove(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| match object.get_mut(&path[..dot])? {
        Json::Object(inner) => take(inner, &path[dot + 1..]),
        _ => None,
    })
}

/// Finds the value that [`take`] would take.
pub fn find<'a>(object: &'a Object, path: &str) -> Option<&'a Json> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| match object.get(&path[..dot])? {
        Json::Object(inner) => find(inner, &path[dot + 1..]),
        _ => None,
    })
}
