//! Log lines and records as events: what they say in the usual places, and the rest as data. Families whose protocols carry
//! logs share it.

use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Json, Kind};
use tally_core::event::level::Level;
use tally_core::event::{LOG, MAX_MESSAGE, MAX_VALUES};
use tally_core::log::keys::{CATEGORY, LEVEL, MESSAGE, MESSAGE_OF_ERROR, Object, STACK, find, take};
use tally_core::log::level::{self, Scale};
use tally_core::log::logfmt;
use tally_core::time::Timestamp;

use super::fields::{object, scalar};
use super::record_id::is_finer_than_a_second;
use super::sanitize::{self, cut, pick, short};

/// The maximum number of log records in a request: as OpenTelemetry's, whose batches are the largest.
pub(super) const MAX_RECORDS: usize = 32_768;
/// The words after a time at the beginning of a line that are searched for a level, the time included.
const WORDS: usize = 5;

/// Keys of a level that agents add.
const LEVELS_OF_AGENTS: [&str; 3] = ["severity_text", "detected_level", "PRIORITY"];
/// Keys of the name of an event.
const NAME: [&str; 4] = ["event_name", "event.name", "event.action", "eventName"];
/// Keys of a service, which is the category of what has no logger.
const SERVICE: [&str; 2] = ["service.name", "service_name"];
/// Keys of a user.
const USER: [&str; 4] = ["user_id", "user.id", "userId", "usr.id"];
/// Keys of a session.
const SESSION: [&str; 3] = ["session_id", "session.id", "sessionId"];
/// Keys of the stack of an error.
const STACK_OF_ERROR: [&str; 4] = ["error.stack_trace", "error.stack", "err.stack", "exception.stacktrace"];
/// Keys of a time that are never anything else.
const TIME: [&str; 4] = ["@timestamp", "timestamp", "time", "ts"];
/// The smallest number that is a time: seconds of 2001.
const FIRST_UNIX: Timestamp = Timestamp::from_seconds(1_000_000_000);

/// What a log line or record says in the usual places.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    pub name: Option<String>,
    pub message: Option<String>,
    pub level: Option<Level>,
    pub category: Option<String>,
    pub user_id: Option<String>,
    pub session_id: Option<String>,
    pub stack: Option<Json>,
    /// All other fields.
    pub data: Object,
}

impl Said {
    /// What a line says: a JSON object, logfmt, or else a text.
    pub(super) fn by_line(line: &str) -> Self {
        let line = line.trim_end_matches(['\n', '\r']);
        match fields(line) {
            Some(fields) => Self::by_fields(fields),
            None => Self { message: Some(line.to_owned()), level: level_of_line(line), ..Self::default() },
        }
    }

    /// What a record says whose message may be a line of JSON or logfmt itself, as agents wrap the lines that they read.
    pub(super) fn by_record(mut record: Object) -> Self {
        // splunk-logging has the record of its caller in one, Docker's driver a line of JSON in the other.
        for key in ["message", "line"] {
            if let Some(Json::Object(_)) = record.get(key)
                && let Some(Json::Object(inner)) = record.remove(key)
            {
                add(&mut record, inner);
            }
        }
        let mut said = Self::by_fields(record);
        let Some(message) = said.message.take() else { return said };
        let mut inner = Self::by_line(&message);
        if inner.data.is_empty() && inner.message.is_none() {
            // An empty object, say.
            inner.message = Some(message);
        }
        said.merge(inner);
        said
    }

    /// Takes over what another says of the same, where this one says nothing.
    pub(super) fn merge(&mut self, other: Self) {
        let Self { name, message, level, category, user_id, session_id, stack, data } = other;
        self.level = self.level.or(level);
        for (own, other) in [
            (&mut self.name, name),
            (&mut self.message, message),
            (&mut self.category, category),
            (&mut self.user_id, user_id),
            (&mut self.session_id, session_id),
        ] {
            *own = own.take().or(other);
        }
        self.stack = self.stack.take().or(stack);
        self.add(data);
    }

    fn by_fields(mut fields: Object) -> Self {
        let level = LEVEL.iter().chain(&LEVELS_OF_AGENTS).find_map(|key| {
            let level = find(&fields, key).and_then(level_of)?;
            take(&mut fields, key);
            Some(level)
        });
        let mut said = Self { level, ..Self::default() };
        let mut text = |keys: &[&str]| keys.iter().find_map(|key| take_text(&mut fields, key));
        said.name = text(&NAME);
        said.message = text(&MESSAGE);
        // structlog has its message under `event`.
        match (&said.name, &said.message) {
            (None, Some(_)) => said.name = text(&["event"]),
            (_, None) => said.message = text(&["event"]),
            (Some(_), Some(_)) => {}
        }
        // `line` is of Docker's driver.
        said.message = said.message.or_else(|| text(&["line"])).or_else(|| text(&MESSAGE_OF_ERROR));
        said.category = text(&CATEGORY);
        said.user_id = text(&USER);
        said.session_id = text(&SESSION);
        // What has a message has the name of its logger, and what has none its own.
        if said.message.is_none() && said.name.is_none() {
            said.name = text(&["name"]);
        } else if said.category.is_none() {
            said.category = text(&["name"]);
        }
        said.category = said.category.or_else(|| text(&SERVICE));
        said.stack = STACK.iter().chain(&STACK_OF_ERROR).find_map(|key| {
            find(&fields, key).filter(|stack| matches!(stack, Json::String(_) | Json::Array(_)))?;
            take(&mut fields, key)
        });
        // What was taken out of an object may have been all of it.
        fields.retain(|key, value| !key.is_empty() && !matches!(value, Json::Object(fields) if fields.is_empty()));
        said.data = fields;
        said
    }

    /// Takes the time that the record itself has, and whether it is written finer than a second.
    pub(super) fn take_time(&mut self) -> Option<(Timestamp, bool)> {
        let (key, found) = TIME.iter().find_map(|key| Some((key, time(self.data.get(*key)?)?)))?;
        self.data.remove(*key);
        Some(found)
    }

    /// Adds fields to the data. One whose name has another value already is `line.NAME`.
    pub(super) fn add(&mut self, fields: impl IntoIterator<Item = (String, Json)>) {
        add(&mut self.data, fields);
    }

    /// The event, without an identity, a time and tags.
    pub(super) fn draft(self) -> Draft {
        let Self { name, message, level, category, user_id, session_id, stack, mut data } = self;
        if let Some(message) = message.as_ref().filter(|message| message.len() > MAX_MESSAGE) {
            data.entry("message".to_owned()).or_insert_with(|| Json::String(message.clone()));
        }
        let readable = |name: &String| !name.chars().all(|c| c.is_whitespace() || c.is_control());
        Draft {
            name: short(name).filter(readable).or_else(|| Some(LOG.to_owned())),
            category: short(category),
            level: level.map(|level| level.to_string()),
            message: message.map(|message| cut(message, MAX_MESSAGE)),
            session_id: short(session_id),
            user_id: short(user_id),
            data: object(data),
            stack,
            ..Draft::default()
        }
    }
}

fn add(all: &mut Object, fields: impl IntoIterator<Item = (String, Json)>) {
    for (key, value) in fields {
        match all.get(&key) {
            None => drop(all.insert(key, value)),
            Some(other) if *other == value => {}
            Some(_) => drop(all.entry(format!("line.{key}")).or_insert(value)),
        }
    }
}

/// The time of a record as it is written, where [`Said::take_time`] finds it.
pub(super) fn written_time(record: &RawValue) -> Option<String> {
    let times = pick(record, TIME).into_iter().flatten().filter_map(scalar);
    times.into_iter().find(|time| !time.trim().is_empty())
}

/// The number of JSON values that [`Said::by_line`] makes of a line, at most.
pub(super) fn values(line: &str) -> usize {
    let line = line.trim();
    let values = if line.starts_with('{') { json::count_in(line.as_bytes()) } else { pairs(line) };
    if values <= MAX_VALUES { values } else { 1 }
}

/// The number of JSON values that lines within a record become, at most: of a text, or of the messages of an object.
pub(super) fn values_within(record: &RawValue) -> usize {
    let of_text = |raw: &RawValue| json::string(raw).map_or(0, |line| values(&line));
    match json::kind(record) {
        Kind::String => of_text(record),
        Kind::Object => {
            let [line, event] = pick(record, ["line", "event"]);
            pick(record, MESSAGE).into_iter().chain([line, event]).flatten().map(of_text).sum()
        }
        _ => 0,
    }
}

/// The number of words of a line that may be logfmt.
fn pairs(line: &str) -> usize {
    if line.contains('=') { 1 + line.split_ascii_whitespace().count() } else { 1 }
}

/// The fields of a line that is a JSON object or logfmt. One of more values than an event holds stays a text.
fn fields(line: &str) -> Option<Object> {
    let line = line.trim();
    if !line.starts_with('{') {
        return if line.contains('=') && pairs(line) <= MAX_VALUES { logfmt::parse(line) } else { None };
    }
    if json::count_in(line.as_bytes()) > MAX_VALUES {
        return None;
    }
    let text = sanitize::body(line.as_bytes());
    match sanitize::value(json::document(text.as_bytes()).ok()?) {
        Json::Object(fields) => Some(fields),
        _ => None,
    }
}

/// A level as loggers write it: by name, or as a number of pino (10 to 60) or syslog (0 to 7).
pub(super) fn level_of(value: &Json) -> Option<Level> {
    [Scale::Pino, Scale::Syslog].into_iter().find_map(|scale| level::of_json(value, scale))
}

/// The level of a text: its first word, or one of the first after a time.
fn level_of_line(line: &str) -> Option<Level> {
    let line = line.trim_start();
    let has_time = line.trim_start_matches('[').starts_with(|first: char| first.is_ascii_digit());
    let mut words = line.split_ascii_whitespace().filter(|word| !matches!(*word, "-" | "|" | ":"));
    if has_time {
        return words.take(WORDS).find_map(level::of_word);
    }
    // Python's `ERROR:root:message`.
    let first = words.next()?;
    level::of_word(first.split_inclusive(':').next().unwrap_or(first))
}

/// Takes a text, or a number or truth value as text, that is not empty.
fn take_text(fields: &mut Object, key: &str) -> Option<String> {
    let text = match find(fields, key)? {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.as_str().to_owned(),
        Json::Bool(value) => value.to_string(),
        _ => return None,
    };
    if text.trim().is_empty() {
        return None;
    }
    take(fields, key);
    Some(text)
}

/// A time as loggers write it, and whether it is finer than a second.
fn time(value: &Json) -> Option<(Timestamp, bool)> {
    match value {
        // Python and log4j write a comma before the fraction.
        Json::String(text) => {
            let text = text.trim().replacen(',', ".", 1);
            Some((text.parse().ok()?, is_finer_than_a_second(&text)))
        }
        Json::Number(number) => {
            let text = number.as_str();
            let at: Timestamp = text.parse().ok()?;
            (at >= FIRST_UNIX).then(|| (at, is_finer_than_a_second(text)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> (Option<String>, Option<Level>, Option<String>, String) {
        let said = Said::by_line(line);
        (said.message, said.level, said.name, serde_json::to_string(&Json::Object(said.data)).expect("JSON"))
    }

    #[test]
    fn json_logfmt_and_text_say_what_they_mean() {
        for (line, message, level, name, data) in [
            (r#"{"level":"warn","msg":"slow","took":12}"#, "slow", Some(Level::Warn), "", r#"{"took":12}"#),
            (r#"{"level":50,"msg":"bad","pid":7}"#, "bad", Some(Level::Error), "", r#"{"pid":7}"#),
            (r#"{"PRIORITY":"3","MESSAGE":"bad"}"#, "bad", Some(Level::Error), "", "{}"),
            (r#"{"log":{"level":"error"},"message":"bad"}"#, "bad", Some(Level::Error), "", "{}"),
            (r#"{"event":"signed up","level":"info"}"#, "signed up", Some(Level::Info), "", "{}"),
            (r#"{"event":"signup","message":"new user"}"#, "new user", None, "signup", "{}"),
            (r#"{"name":"signup","plan":"pro"}"#, "", None, "signup", r#"{"plan":"pro"}"#),
            (r#"{"level":"loud","message":"x"}"#, "x", None, "", r#"{"level":"loud"}"#),
            (r#"level=error msg="it failed" took=1.5"#, "it failed", Some(Level::Error), "", r#"{"took":1.5}"#),
            ("it failed", "it failed", None, "", "{}"),
            ("ERROR:root:it failed", "ERROR:root:it failed", Some(Level::Error), "", "{}"),
            (
                "2026-11-21 10:00:00,123 [main] WARN slow",
                "2026-11-21 10:00:00,123 [main] WARN slow",
                Some(Level::Warn),
                "",
                "{}",
            ),
            ("the FATAL flaw", "the FATAL flaw", None, "", "{}"),
            ("{not json}", "{not json}", None, "", "{}"),
            ("[1,2]", "[1,2]", None, "", "{}"),
        ] {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            assert_eq!(said(line), (some(message), level, some(name), data.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_line_within_a_record_is_read_as_well() {
        let record = |text: &str| match sanitize::value(json::document(text.as_bytes()).expect("JSON")) {
            Json::Object(fields) => Said::by_record(fields),
            _ => Said::default(),
        };
        let wrapped = record(r#"{"log":"{\"level\":\"error\",\"msg\":\"bad\",\"a\":1}\n","stream":"stderr","a":2}"#);
        assert_eq!((wrapped.message.as_deref(), wrapped.level), (Some("bad"), Some(Level::Error)));
        let data = |said: Said| serde_json::to_string(&Json::Object(said.data)).expect("JSON");
        assert_eq!(data(wrapped), r#"{"a":2,"line.a":1,"stream":"stderr"}"#, "nothing is lost");
        let docker =
            record(r#"{"line":{"message":"one","level":"error","tag":"inner"},"source":"stdout","tag":"shop"}"#);
        assert_eq!((docker.message.as_deref(), docker.level), (Some("one"), Some(Level::Error)));
        assert_eq!(data(docker), r#"{"line.tag":"inner","source":"stdout","tag":"shop"}"#);
        let plain = record(r#"{"message":"WARN: slow","host":"a"}"#);
        assert_eq!((plain.message.as_deref(), plain.level), (Some("WARN: slow"), Some(Level::Warn)));
        let nested = record(r#"{"message":{"message":"bad","a":1},"severity":"error"}"#);
        assert_eq!((nested.message.as_deref(), nested.level, nested.data.len()), (Some("bad"), Some(Level::Error), 1));
        let only_pairs = record(r#"{"message":"a=1 b=2"}"#);
        assert_eq!((only_pairs.message, only_pairs.data.len()), (None, 2));
    }

    #[test]
    fn a_line_of_very_many_values_stays_a_text() {
        let line = format!("{{\"a\":[{}0]}}", "0,".repeat(MAX_VALUES));
        assert_eq!((values(&line), said(&line).0.as_deref()), (1, Some(&*line)));
        let line = format!("level=info {}", "a=1 ".repeat(MAX_VALUES));
        assert_eq!((values(&line), said(&line).1), (1, None));
        for line in [r#"{"a":[1,2],"b":{}}"#, "a=1 b=2", "level=info it failed", "text", "{", ""] {
            let made: usize = Said::by_line(line).data.values().map(Json::values).sum();
            assert!(values(line) >= made, "{line}");
        }
    }

    #[test]
    fn times_are_taken_in_the_forms_of_loggers() {
        for (text, at, is_fine) in [
            (r#"{"a":1,"ts":1795255705.5}"#, "2026-11-21T10:08:25.500Z", true),
            (r#"{"time":1795255705123}"#, "2026-11-21T10:08:25.123Z", true),
            (r#"{"@timestamp":"2026-11-21T10:08:25Z","ts":3}"#, "2026-11-21T10:08:25Z", false),
            (r#"{"timestamp":"2026-11-21 10:08:25,123"}"#, "2026-11-21T10:08:25.123Z", true),
        ] {
            let mut said = Said::by_line(text);
            assert_eq!(said.take_time().map(|(at, fine)| (at.to_string(), fine)), Some((at.to_owned(), is_fine)));
        }
        assert_eq!(Said::by_line(r#"{"time":12,"ts":"soon"}"#).take_time(), None);
    }
}
