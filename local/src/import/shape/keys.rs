//! The keys under which logs have a time, a level, a message and other fields, most usual first.

/// Keys of times, in any JSON.
pub(super) const TIME: [&str; 18] = [
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
pub(super) const LEVEL: [&str; 12] = [
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
pub(super) const MESSAGE: [&str; 15] = [
    "message",
    "msg",
    "@m",
    "@mt",
    "log",
    "text",
    "textPayload",
    "short_message",
    "body",
    "Message",
    "MESSAGE",
    "err.message",
    "error.message",
    "error",
    "exception",
];
/// Keys of categories.
pub(super) const CATEGORY: [&str; 4] = ["category", "logger", "logger_name", "loggerName"];
/// Keys of stack traces.
pub(super) const STACK: [&str; 4] = ["stack", "stacktrace", "stack_trace", "exc_info"];
