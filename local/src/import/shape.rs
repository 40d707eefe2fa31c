//! Turns a parsed line into an event. Fields are found by `--map`, by the format's keys, and by keys with a common
//! meaning. All other values go to `data`.

#[cfg(test)]
mod tests;

use tally_core::event::json::{Json, Number};
use tally_core::event::{MAX_COUNT, MAX_EVENT, MAX_MESSAGE, MAX_TEXT};
use tally_core::log::keys::{CATEGORY, LEVEL, MESSAGE, MESSAGE_OF_ERROR, STACK, TIME};
use tally_core::log::level;
use tally_core::time::Timestamp;

use super::format::Parsed;
use super::json::{self, Object, find, take};
use super::oddity::{Oddities, Oddity};
use super::time::{self, Clock};

/// Text fields of an event, except the level and message.
const TEXTS: [&str; 7] = ["name", "slug", "category", "session_id", "user_id", "fingerprint", "id"];
/// Fields of an event that `--map` and `--set` may name.
pub(super) const FIELDS: [&str; 15] = [
    "id",
    "name",
    "slug",
    "category",
    "level",
    "message",
    "session_id",
    "user_id",
    "fingerprint",
    "event",
    "timestamp",
    "count",
    "data",
    "tags",
    "stack",
];
/// Fields of free JSON that a line may have by their own names.
const FREE: [&str; 2] = ["tags", "stack"];

/// The smallest number that is read as a time without a mapping: 10^9 seconds since 1970.
const FIRST_UNIX: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// Bytes of a line that `data.line` keeps of an event that is too large. As JSON they take at most six times as much.
const KEPT: usize = 32 * 1024;

/// A field of the event and where its value lies in a line.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub field: String,
    pub path: String,
}

/// A field of the event, or a path in its `data`, and its value in every event.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub field: String,
    pub value: String,
}

/// A line as an event.
#[derive(Debug)]
pub(super) struct Shaped {
    /// Its fields, except `timestamp`, and except `id` if the line does not contain one.
    pub event: Object,
    /// When it happened, if the line says so.
    pub time: Option<Timestamp>,
}

/// A line that has neither a name nor a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nameless {
    /// The keys that it has.
    pub keys: Vec<String>,
    /// What may name it.
    pub message: Option<String>,
    /// What may be its time.
    pub time: Option<String>,
}

/// Makes an event of a line.
pub(super) fn shape(
    parsed: Parsed,
    mappings: &[Mapping],
    constants: &[Constant],
    clock: &mut Clock,
    oddities: &mut Oddities,
) -> Result<Shaped, Nameless> {
    let Parsed { format, mut object, time, level, .. } = parsed;
    let mut about = Vec::new();
    if object.len() <= 64 {
        about = object.keys().cloned().collect();
    }
    let mut line = Line { object: &mut object, event: Object::new(), time: None, clock, oddities };
    for mapping in mappings {
        line.mapped(mapping, format.scale);
    }
    line.time(format.time, time);
    line.level(format, level);
    line.message(format.message);
    line.texts(format);
    for field in FREE {
        line.free(field);
    }
    if format.request && !line.event.contains_key("name") {
        line.event.insert("name".to_owned(), Json::String("request".to_owned()));
    }
    for constant in constants {
        line.set(constant, format.scale);
    }
    let Line { mut event, time, .. } = line;
    if !event.contains_key("name") && !event.contains_key("message") {
        return Err(nameless(about, &object, clock));
    }
    add_data(&mut event, object);
    Ok(Shaped { event, time })
}

/// The rest of a line while its fields are found.
struct Line<'a> {
    object: &'a mut Object,
    event: Object,
    time: Option<Timestamp>,
    clock: &'a mut Clock,
    oddities: &'a mut Oddities,
}

impl Line<'_> {
    fn has(&self, field: &str) -> bool {
        self.event.contains_key(field)
    }

    fn keep(&mut self, key: &str, value: Json) {
        self.object.entry(key.to_owned()).or_insert(value);
    }

    /// Takes a field from where `--map` says.
    fn mapped(&mut self, mapping: &Mapping, scale: level::Scale) {
        let Some(value) = take(self.object, &mapping.path).filter(|value| *value != Json::Null) else { return };
        let field = if mapping.field == "event" { "name" } else { mapping.field.as_str() };
        if !self.put(field, value.clone(), scale) {
            self.keep(&mapping.path, value);
        }
    }

    /// Sets a constant.
    fn set(&mut self, constant: &Constant, scale: level::Scale) {
        let text = Json::String(constant.value.clone());
        if let Some(path) = constant.field.strip_prefix("data.") {
            self.object.insert(path.to_owned(), text);
            return;
        }
        let field = if constant.field == "event" { "name" } else { constant.field.as_str() };
        self.event.remove(field);
        let value = match field {
            "data" | "tags" | "stack" => parsed_or_text(&constant.value),
            "count" => Number::parse(&constant.value).map_or(text, Json::Number),
            _ => text,
        };
        self.put(field, value, scale);
    }

    /// Puts a value in a field if it is valid there. Returns whether it was.
    fn put(&mut self, field: &str, value: Json, scale: level::Scale) -> bool {
        match field {
            "timestamp" | "occurred_at" => {
                let Some(at) = time::of_json(&value, self.clock) else {
                    self.oddities.add(Oddity::Time(shown(&value)));
                    return false;
                };
                self.time = Some(at);
            }
            "level" => {
                let Some(level) = level::of_json(&value, scale) else {
                    self.oddities.add(Oddity::Level(shown(&value)));
                    return false;
                };
                self.event.insert("level".to_owned(), Json::String(level.to_string()));
            }
            "message" => {
                let Some(text) = text_of(&value) else {
                    self.oddities.add(Oddity::Type("message"));
                    return false;
                };
                self.put_message(text);
            }
            "count" => {
                let count = match &value {
                    Json::Number(number) => number.as_str().parse().ok(),
                    Json::String(text) => text.trim().parse().ok(),
                    _ => None,
                };
                let Some(count) = count.filter(|count: &u64| (1..=MAX_COUNT).contains(count)) else {
                    self.oddities.add(Oddity::Count(shown(&value)));
                    return false;
                };
                self.event
                    .extend(Number::parse(&count.to_string()).ok().map(|n| ("count".to_owned(), Json::Number(n))));
            }
            "data" | "tags" | "stack" => {
                self.event.insert(field.to_owned(), value);
            }
            _ => return self.put_text(field, &value),
        }
        true
    }

    fn put_message(&mut self, text: String) {
        if text.len() > MAX_MESSAGE {
            self.oddities.add(Oddity::LongMessage(text.len()));
            self.event.insert("message".to_owned(), Json::String(cut(&text, MAX_MESSAGE).to_owned()));
            self.keep("message", Json::String(text));
        } else {
            self.event.insert("message".to_owned(), Json::String(text));
        }
    }

    fn put_text(&mut self, field: &str, value: &Json) -> bool {
        let Some(&field) = TEXTS.iter().find(|known| **known == field) else { return false };
        let Some(text) = text_of(value) else {
            self.oddities.add(Oddity::Type(field));
            return false;
        };
        if text.len() > MAX_TEXT {
            self.oddities.add(Oddity::LongText(field));
            if field == "name" {
                self.event.insert("name".to_owned(), Json::String(cut(&text, MAX_TEXT).to_owned()));
            }
            // Not cut, since two users or sessions would become one.
            self.keep(field, Json::String(text));
            return true;
        }
        if !text.is_empty() {
            self.event.insert(field.to_owned(), Json::String(text));
        }
        true
    }

    fn time(&mut self, keys: &[&str], found: Option<Timestamp>) {
        if self.time.is_some() {
            return;
        }
        self.time = found;
        if self.time.is_some() {
            return;
        }
        let mut odd = None;
        for key in keys.iter().chain(&TIME) {
            let Some(value) = find(self.object, key).filter(|value| **value != Json::Null) else { continue };
            // Durations and other small numbers are no times.
            if matches!(value, Json::Number(_)) && time::of_json(value, self.clock).is_none_or(|at| at < FIRST_UNIX) {
                continue;
            }
            if let Some(at) = time::of_json(value, self.clock) {
                self.time = Some(at);
                take(self.object, key);
                return;
            }
            odd = odd.or_else(|| Some(shown(value)));
        }
        if let Some(odd) = odd {
            self.oddities.add(Oddity::Time(odd));
        }
    }

    fn level(&mut self, format: &super::format::Format, given: Option<tally_core::event::level::Level>) {
        if self.has("level") {
            return;
        }
        let mut found = given;
        if format.request {
            let status = find(self.object, "status").and_then(text_of);
            found = found.or_else(|| level::of_status(&status?));
        }
        let mut odd = None;
        if found.is_none() {
            for key in format.level.iter().chain(&LEVEL) {
                let Some(value) = find(self.object, key).filter(|value| **value != Json::Null) else { continue };
                if let Some(level) = level::of_json(value, format.scale) {
                    found = Some(level);
                    take(self.object, key);
                    break;
                }
                odd = odd.or_else(|| Some(shown(value)));
            }
        }
        match (found, odd) {
            (Some(level), _) => {
                self.event.insert("level".to_owned(), Json::String(level.to_string()));
            }
            (None, Some(odd)) => self.oddities.add(Oddity::Level(odd)),
            (None, None) => {}
        }
    }

    fn message(&mut self, keys: &[&str]) {
        if self.has("message") {
            return;
        }
        for key in keys.iter().chain(&MESSAGE).chain(&MESSAGE_OF_ERROR) {
            let Some(text) = find(self.object, key).and_then(text_of).filter(|text| !text.is_empty()) else { continue };
            take(self.object, key);
            self.put_message(text);
            return;
        }
    }

    fn texts(&mut self, format: &super::format::Format) {
        if format.name_is_logger && !self.has("category") {
            self.own_text("name", "category");
        }
        for key in format.category.iter().chain(&CATEGORY) {
            if !self.has("category") {
                self.own_text(key, "category");
            }
        }
        for field in ["name", "slug", "session_id", "user_id"] {
            let is_logger = field == "name" && format.name_is_logger;
            if !is_logger && !self.has(field) {
                self.own_text(field, field);
            }
        }
        self.named_by_event();
    }

    /// Takes a text by its key.
    fn own_text(&mut self, key: &str, field: &'static str) {
        let Some(value) = find(self.object, key).filter(|value| **value != Json::Null).cloned() else { return };
        if text_of(&value).is_none() {
            self.oddities.add(Oddity::Type(field));
            return;
        }
        take(self.object, key);
        self.put_text(field, &value);
    }

    /// `event` is an alias of the name if it is a text, or an object of name and slug.
    fn named_by_event(&mut self) {
        let words = |key: &str| matches!(key, "id" | "slug" | "event" | "name");
        match self.object.get("event") {
            Some(Json::String(_)) if !self.has("name") => self.own_text("event", "name"),
            Some(Json::Object(parts))
                if !parts.is_empty()
                    && parts.iter().all(|(key, value)| words(key) && matches!(value, Json::String(_))) =>
            {
                let parts = parts.clone();
                self.object.remove("event");
                for (keys, field) in [(["event", "name"], "name"), (["id", "slug"], "slug")] {
                    for value in keys.iter().filter_map(|key| parts.get(*key)) {
                        if !self.has(field) {
                            self.put_text(field, value);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn free(&mut self, field: &str) {
        if self.has(field) {
            return;
        }
        let keys: &[&str] = if field == "stack" { &STACK } else { &[field] };
        for key in keys {
            if let Some(value) = self.object.remove(*key).filter(|value| *value != Json::Null) {
                self.event.insert(field.to_owned(), value);
                return;
            }
        }
    }
}

/// Adds the rest of a line to the `data` of its event.
fn add_data(event: &mut Object, mut rest: Object) {
    let own = event.remove("data").or_else(|| rest.remove("data")).filter(|own| *own != Json::Null);
    match own {
        Some(Json::Object(mut own)) => {
            for (key, value) in rest {
                own.entry(key).or_insert(value);
            }
            rest = own;
        }
        Some(own) => {
            rest.insert("data".to_owned(), own);
        }
        None => {}
    }
    if !rest.is_empty() {
        event.insert("data".to_owned(), Json::Object(rest));
    }
}

/// Adds a value to the `data` of an event.
pub(super) fn add_to_data(event: &mut Object, key: &str, value: Json) {
    add_data(event, Object::from([(key.to_owned(), value)]));
}

/// An event as JSON on one line, cut if it is larger than Tally accepts.
pub(super) fn to_json(event: &mut Object, line: &str, oddities: &mut Oddities) -> serde_json::Result<String> {
    let json = serde_json::to_string(&Json::Object(event.clone()))?;
    if json.len() <= MAX_EVENT {
        return Ok(json);
    }
    oddities.add(Oddity::LargeEvent);
    for field in ["data", "tags", "stack"] {
        event.remove(field);
    }
    keep_line(event, line);
    serde_json::to_string(&Json::Object(event.clone()))
}

/// Keeps the beginning of a line in `data`.
pub(super) fn keep_line(event: &mut Object, line: &str) {
    add_to_data(event, "line", Json::String(cut(line, KEPT).to_owned()));
}

/// The beginning of a text, of at most as many bytes, in whole characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.as_str().to_owned()),
        Json::Bool(value) => Some(value.to_string()),
        // journald writes a message that is no text as a list of its bytes.
        Json::Array(bytes) if !bytes.is_empty() => {
            let bytes: Option<Vec<u8>> = bytes
                .iter()
                .map(|byte| match byte {
                    Json::Number(number) => number.as_str().parse().ok(),
                    _ => None,
                })
                .collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        _ => None,
    }
}

fn parsed_or_text(text: &str) -> Json {
    let object = json::object(&format!("{{\"value\":{text}}}"), &mut Oddities::default());
    object.ok().flatten().and_then(|mut object| object.remove("value")).unwrap_or_else(|| Json::String(text.to_owned()))
}

/// A value for people, in a few characters.
fn shown(value: &Json) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    if json.len() > 60 { format!("{}…", cut(&json, 60)) } else { json }
}

fn nameless(keys: Vec<String>, object: &Object, clock: &mut Clock) -> Nameless {
    let mut time = None;
    let mut texts = Vec::new();
    for (key, value) in object {
        if time::of_json(value, clock).is_some_and(|at| at > FIRST_UNIX) {
            time = time.or_else(|| Some(key.clone()));
        } else if let Json::String(text) = value {
            texts.push((key, text));
        }
    }
    let telling = |key: &str| {
        let key = key.to_ascii_lowercase();
        ["msg", "mess", "text", "desc", "event", "action", "title", "log"].iter().any(|word| key.contains(word))
    };
    let message =
        texts.iter().find(|(key, _)| telling(key)).or_else(|| texts.iter().max_by_key(|(_, text)| text.len()));
    Nameless { keys, message: message.map(|(key, _)| (*key).clone()), time }
}
