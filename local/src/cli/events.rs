//! Events as the API gives them, and as people read them.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::CliError;
use super::out::{Out, row};
use super::text::{Look, cut, harmless, pad, width};
use super::zone::Zone;

/// Characters of the data of an event that are shown.
const FACTS: usize = 300;
/// The fields of CSV, which are those of the API's export.
pub(super) const FIELDS: [&str; 11] =
    ["id", "timestamp", "name", "category", "level", "message", "session_id", "user_id", "count", "data", "tags"];

/// A page of events.
#[derive(Deserialize)]
pub(super) struct Page {
    /// As they came, with all digits of their numbers.
    pub(super) items: Vec<Box<RawValue>>,
    /// The next page.
    pub(super) next: Option<String>,
    /// How far a page looked that may have missed some.
    pub(super) searched_to: Option<String>,
}

/// What is shown of an event. A key may hide any of it.
#[derive(Deserialize)]
pub(super) struct Event {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) timestamp: String,
    #[serde(default)]
    pub(super) name: String,
    pub(super) level: Option<String>,
    pub(super) message: Option<String>,
    pub(super) category: Option<String>,
    pub(super) session_id: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) count: Option<u64>,
    pub(super) data: Option<Box<RawValue>>,
    pub(super) tags: Option<Box<RawValue>>,
}

impl Event {
    /// Reads an event.
    pub(super) fn read(json: &RawValue) -> Result<Self, CliError> {
        serde_json::from_str(json.get()).map_err(|_| CliError::NoTally("what the server sent".to_owned()))
    }

    /// Its level, or nothing.
    pub(super) fn level(&self) -> &str {
        self.level.as_deref().unwrap_or_default()
    }

    /// Its message, harmless, with the number of its occurrences where they are several.
    pub(super) fn said(&self) -> String {
        let message = harmless(self.message.as_deref().unwrap_or_default());
        match self.count {
            Some(count) if count > 1 && message.is_empty() => format!("{count} times"),
            Some(count) if count > 1 => format!("{message} ({count} times)"),
            _ => message.into_owned(),
        }
    }

    /// The first level of its data, as `plan=pro ms=5`, harmless.
    pub(super) fn facts(&self) -> String {
        let data = self.data.as_ref().and_then(|data| serde_json::from_str::<Value>(data.get()).ok());
        let mut facts = String::new();
        for (key, value) in data.iter().filter_map(Value::as_object).flatten() {
            if facts.len() > FACTS {
                break;
            }
            let joint = if facts.is_empty() { "" } else { " " };
            // Writing to a text cannot fail.
            let _ = match value {
                Value::String(text) => write!(facts, "{joint}{}={}", harmless(key), harmless(text)),
                other => write!(facts, "{joint}{}={}", harmless(key), harmless(&other.to_string())),
            };
        }
        facts
    }

    /// The event as one line: when, how severe, what, and as much of its details as there is room for.
    pub(super) fn line(&self, zone: &Zone, format: &str, names: usize, out: &Out) -> String {
        let mut line = Line { text: String::new(), taken: 0, out };
        line.add(&zone.show(&self.timestamp, format), Look::Dim);
        line.add(&pad(&harmless(self.level()), 5, false), Look::of_level(self.level()));
        line.add(&pad(&harmless(&self.name), names, false), Look::Bold);
        let said = self.said();
        line.add(&said, Look::Plain);
        if let Some(user) = &self.user_id {
            line.add(&harmless(user), Look::Code("36"));
        }
        line.add(&self.facts(), Look::Dim);
        line.text
    }

    /// The event as a line of CSV.
    pub(super) fn csv(&self) -> String {
        let count = self.count.unwrap_or(1).to_string();
        let optional = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let json =
            |json: &'_ Option<Box<RawValue>>| json.as_ref().map_or_else(String::new, |json| json.get().to_owned());
        let cells = [
            self.id.clone(),
            self.timestamp.clone(),
            self.name.clone(),
            optional(&self.category),
            optional(&self.level),
            optional(&self.message),
            optional(&self.session_id),
            optional(&self.user_id),
            count,
            json(&self.data),
            json(&self.tags),
        ];
        row(cells.iter().map(String::as_str))
    }
}

/// A line that ends where the terminal does.
struct Line<'a> {
    text: String,
    taken: usize,
    out: &'a Out,
}

impl Line<'_> {
    fn add(&mut self, part: &str, look: Look) {
        let gap = match self.taken {
            0 => 0,
            // Times, levels and names are columns; what is behind them is apart.
            _ if part.is_empty() => return,
            _ => 2,
        };
        let room = self.out.room.map_or(usize::MAX, |room| room.saturating_sub(self.taken + gap));
        let part = cut(part, room, self.out.unicode);
        if part.is_empty() {
            return;
        }
        self.text.push_str(&" ".repeat(gap));
        self.text.push_str(&look.paint(&part, self.out.color));
        self.taken += gap + width(&part);
    }
}
