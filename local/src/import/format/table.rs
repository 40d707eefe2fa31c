//! The table of formats, and the parsed form of a line.

use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::log::level::{self, Scale};
use tally_core::log::logfmt;
use tally_core::time::Timestamp;

use crate::import::json::Object;

/// How lines of a format are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Reader {
    /// JSON that has all keys in `all`, and one of `any` unless `any` is empty.
    Json {
        all: &'static [&'static str],
        any: &'static [&'static str],
    },
    /// JSON around a line of any other format.
    Docker,
    Access,
    Syslog,
    Stamped,
    Logfmt,
    Plain,
}

/// A log format. Its keys are tried in order, before the keys with a common meaning.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::import) struct Format {
    /// Its name for `--format`.
    pub name: &'static str,
    /// Other names for it.
    pub(in crate::import) aliases: &'static [&'static str],
    pub(in crate::import) reader: Reader,
    /// Keys of the time.
    pub time: &'static [&'static str],
    /// Keys of the level.
    pub level: &'static [&'static str],
    /// The scale of numeric levels.
    pub scale: Scale,
    /// Keys of the message.
    pub message: &'static [&'static str],
    /// Keys of the category: the logger, program or service.
    pub category: &'static [&'static str],
    /// Whether `name` is the logger, and therefore the category, rather than the event name.
    pub name_is_logger: bool,
    /// Whether lines are requests of a web server: their name is `request`, and `status` sets their level.
    pub request: bool,
}

const JSON: Format = Format {
    name: "json",
    aliases: &["ndjson"],
    reader: Reader::Json { all: &[], any: &[] },
    time: &[],
    level: &[],
    scale: Scale::Pino,
    message: &[],
    category: &[],
    name_is_logger: false,
    request: false,
};

const fn json(name: &'static str, all: &'static [&'static str], any: &'static [&'static str]) -> Format {
    Format { name, aliases: &[], reader: Reader::Json { all, any }, ..JSON }
}

const fn text(name: &'static str, reader: Reader) -> Format {
    Format { name, aliases: &[], reader, ..JSON }
}

/// The format of what Tally exports.
pub(in crate::import) const EXPORT: &str = "tally";

/// All formats. A JSON line has the first JSON format whose marks it contains.
pub(in crate::import) static FORMATS: [Format; 20] = [
    json(EXPORT, &["id", "name", "slug", "timestamp", "received_at", "count"], &[]),
    Format {
        time: &["__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP"],
        level: &["PRIORITY"],
        scale: Scale::Syslog,
        message: &["MESSAGE"],
        category: &["SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_COMM"],
        ..json("journald", &["__REALTIME_TIMESTAMP"], &["MESSAGE", "PRIORITY", "__CURSOR"])
    },
    text("docker", Reader::Docker),
    Format {
        scale: Scale::Syslog,
        message: &["short_message"],
        category: &["_logger", "facility"],
        ..json("gelf", &["short_message", "host"], &[])
    },
    Format {
        aliases: &["opentelemetry"],
        time: &["timeUnixNano", "observedTimeUnixNano", "Timestamp"],
        level: &[
            "severityNumber",
            "severity_number",
            "SeverityNumber",
            "severityText",
            "severity_text",
            "SeverityText",
        ],
        scale: Scale::OpenTelemetry,
        message: &["body", "Body", "body.stringValue"],
        ..json("otel", &[], &["severityNumber", "severity_number", "SeverityNumber"])
    },
    Format {
        aliases: &["apache-json"],
        time: &["time_iso8601", "time_local", "msec", "@timestamp"],
        message: &["request"],
        request: true,
        ..json("nginx-json", &["status"], &["request", "request_uri", "request_method", "body_bytes_sent"])
    },
    Format { name_is_logger: true, ..json("bunyan", &["v", "name", "hostname", "pid", "level", "time", "msg"], &[]) },
    Format { name_is_logger: true, ..json("pino", &["level", "time", "pid", "hostname"], &[]) },
    Format { name_is_logger: true, ..json("python", &[], &["levelname", "asctime"]) },
    json("zap", &["level", "ts"], &["msg", "caller", "logger"]),
    // slog writes levels in capitals and logrus in lower case. Both are read alike.
    json("slog", &["time", "level", "msg"], &[]),
    json("logrus", &["time", "level", "msg"], &[]),
    json("winston", &["level", "message"], &[]),
    Format { ..JSON },
    Format {
        aliases: &["nginx", "apache", "combined", "common"],
        request: true,
        message: &["request"],
        ..text("access", Reader::Access)
    },
    Format {
        aliases: &["rfc3164", "rfc5424"],
        level: &["severity"],
        scale: Scale::Syslog,
        category: &["app"],
        ..text("syslog", Reader::Syslog)
    },
    Format { aliases: &["cloudwatch"], ..text("timestamped", Reader::Stamped) },
    text("logfmt", Reader::Logfmt),
    text("plain", Reader::Plain),
    // Only on request: its output has no marks of its own.
    Format { scale: Scale::Syslog, ..json("syslog-json", &["\0"], &[]) },
];

impl Format {
    /// The format with a name.
    pub(in crate::import) fn of_name(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name || format.aliases.contains(&name))
    }

    /// Whether its lines are JSON.
    pub(in crate::import) fn is_json(&self) -> bool {
        matches!(self.reader, Reader::Json { .. } | Reader::Docker)
    }

    pub(in crate::import) fn of_reader(reader: Reader) -> &'static Self {
        FORMATS.iter().find(|format| format.reader == reader).unwrap_or(&JSON)
    }

    /// The format of an object.
    pub(in crate::import) fn of_object(object: &Object) -> &'static Self {
        let has = |key: &&str| object.contains_key(*key);
        let found = FORMATS.iter().find(|format| match format.reader {
            Reader::Json { all, any } => all.iter().all(has) && (any.is_empty() || any.iter().any(has)),
            Reader::Docker => ["log", "stream", "time"].iter().all(has) && matches!(object["log"], Json::String(_)),
            _ => false,
        });
        // logrus and slog have the same keys.
        match found {
            Some(format) if format.name == "slog" => match object.get("level") {
                Some(Json::String(level)) if level.bytes().any(|b| b.is_ascii_lowercase()) => {
                    Self::of_name("logrus").unwrap_or(format)
                }
                _ => format,
            },
            found => found.unwrap_or(&JSON),
        }
    }
}

/// Which following lines may belong to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Text {
    /// None, because the line is not text.
    None,
    /// Continuation lines without a time.
    Stamped,
    /// Frames of a stack trace.
    Other,
    /// Frames of a stack trace. The line has no time, and may itself belong to the previous line.
    Plain,
}

/// A parsed line.
#[derive(Debug)]
pub(in crate::import) struct Parsed {
    /// Its format.
    pub format: &'static Format,
    /// Its fields.
    pub object: Object,
    /// The time outside its fields.
    pub time: Option<Timestamp>,
    /// The level outside its fields.
    pub level: Option<Level>,
    /// What may follow it.
    pub text: Text,
    /// The inner text, if another line wraps it.
    pub inner: Option<String>,
}

impl Parsed {
    pub(in crate::import) fn new(format: &'static Format, object: Object, text: Text) -> Self {
        Self { format, object, time: None, level: None, text, inner: None }
    }

    /// A line of logfmt.
    pub(in crate::import) fn logfmt(line: &str) -> Option<Self> {
        logfmt::parse(line).map(|object| Self::new(Format::of_reader(Reader::Logfmt), object, Text::Other))
    }

    pub(in crate::import) fn plain(text: &str) -> Self {
        let first = text.trim_start().split([' ', '\t']).next().unwrap_or("");
        // Python's `ERROR:root:message`.
        let first = first.split_inclusive(':').next().unwrap_or(first);
        let message = Object::from([("message".to_owned(), Json::String(text.to_owned()))]);
        let mut parsed = Self::new(Format::of_reader(Reader::Plain), message, Text::Plain);
        parsed.level = level::of_word(first);
        parsed
    }
}
