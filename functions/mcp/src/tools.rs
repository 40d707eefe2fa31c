//! The tools: what each is for, and what it is asked with.

use serde_json::{Value, json};
use tally_core::event::level::Level;
use tally_core::people::funnel::STEPS;

use crate::arguments::{FILTERS, SEARCH};

/// Most events and issues of an answer: a model reads no more.
pub(crate) const MOST_ITEMS: u64 = 100;
/// Most days that `describe` looks at.
pub(crate) const MOST_DAYS: u64 = 30;

/// A tool. All of them read, and change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Apps,
    Describe,
    Overview,
    Events,
    Issues,
    Funnel,
}

impl Tool {
    const ALL: [Self; 6] = [Self::Apps, Self::Describe, Self::Overview, Self::Events, Self::Issues, Self::Funnel];

    const fn name(self) -> &'static str {
        match self {
            Self::Apps => "apps",
            Self::Describe => "describe",
            Self::Overview => "overview",
            Self::Events => "events",
            Self::Issues => "issues",
            Self::Funnel => "funnel",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Apps => "List apps",
            Self::Describe => "Describe an app",
            Self::Overview => "Count events",
            Self::Events => "List events and logs",
            Self::Issues => "List or read issues",
            Self::Funnel => "Count people through steps",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Apps => "Lists the apps that may be read. Use it first if you do not know the id of the app.",
            Self::Describe => {
                "Tells what an app sends: the names of its events, levels, categories and attributes (`data`) with examples, and \
                 since when. Use it before you filter, to learn which names and attributes there are."
            }
            Self::Overview => {
                "Counts the events of a time: the total, errors, users and sessions, the most frequent names, levels, categories and \
                 messages, and a series. Use it for how many, how it developed, and with `compare` for what changed. Counts are exact."
            }
            Self::Events => {
                "Lists single events or log lines, the newest first, with all their fields. Use it to read what happened, with filters; \
                 to count, use `overview`."
            }
            Self::Issues => {
                "Lists issues, which are errors grouped by cause, with counts and when they were first and last seen; or with `id` \
                 reads one with its newest events and their stacks. Use it for what is broken."
            }
            Self::Funnel => {
                "Counts the people who go through steps in order, such as view, add, pay, with the time between, and the errors that \
                 people met where they left. Use it for conversion and where people drop out."
            }
        }
    }

    #[allow(clippy::too_many_lines)] // one arm for each tool
    fn input(self) -> Value {
        let text = |about: &str| json!({"type": "string", "description": about});
        let one_of = |about: &str, words: &[&str]| json!({"type": "string", "enum": words, "description": about});
        let limit = |default: u64| json!({"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "description": format!("Most of them in the answer; by default {default}.")});
        let app =
            ("app", text("The id of the app, as `apps` lists it. It may be left out where the key is of one app."));
        let time = |by_default: &str| {
            [
                (
                    "since",
                    text(&format!(
                        "From this time on: 24h, 7d, today, 2026-11-21 or RFC 3339; by default {by_default}."
                    )),
                ),
                ("until", text("Before this time; by default now.")),
                ("tz", text("The time zone of days, such as Europe/Berlin; by default UTC.")),
            ]
        };
        let filters = ("filters", filters());
        let mut all = match self {
            Self::Apps => vec![("cursor", text("Goes on after the answer that has this as `next`."))],
            Self::Describe => vec![
                app,
                (
                    "days",
                    json!({"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "description": "The last days that are looked at; by default 7."}),
                ),
            ],
            Self::Overview => vec![
                app,
                filters,
                ("compare", one_of("Adds the counts of the period before.", &["previous"])),
                (
                    "interval",
                    one_of(
                        "The length of a column of the series; by default by the length of the time.",
                        &["MINUTE", "HOUR", "DAY", "WEEK", "MONTH"],
                    ),
                ),
                ("by", one_of("What the series is divided by.", &["level", "name"])),
            ],
            Self::Events => vec![
                app,
                filters,
                ("order", one_of("By default the newest first.", &["desc", "asc"])),
                ("limit", limit(DEFAULT_EVENTS)),
                (
                    "cursor",
                    text(
                        "Goes on after the answer that has this as `next`: send it with `app` alone, or with `limit`.",
                    ),
                ),
            ],
            Self::Issues => vec![
                app,
                ("id", text("Reads this issue; then send no more than `since`, `until` and `tz`.")),
                ("state", one_of("Only issues in this state.", &["open", "resolved", "ignored"])),
                ("level", one_of("Only issues of this level.", &Level::ALL.map(Level::as_str))),
                ("q", text("Only issues whose title, name or place contains this text.")),
                ("sort", one_of("By default `last_seen`.", &["last_seen", "first_seen", "count"])),
                ("limit", limit(DEFAULT_ISSUES)),
                (
                    "cursor",
                    text(
                        "Goes on after the answer that has this as `next`: send it with `app` alone, or with `limit`.",
                    ),
                ),
            ],
            Self::Funnel => {
                let step = json!({
                    "type": "object",
                    "properties": {"name": text("The name of the event."), "where": filters.1},
                    "required": ["name"],
                    "additionalProperties": false,
                });
                let steps = json!({
                    "type": "array", "minItems": STEPS.0, "maxItems": STEPS.1,
                    "items": {"anyOf": [text("The name of an event."), step]},
                    "description": "The steps in order: names of events, or a name with more conditions.",
                });
                vec![
                    app,
                    ("steps", steps),
                    filters,
                    (
                        "within",
                        text("How long after the first step the last may be, such as 1h or 30d; by default 7d."),
                    ),
                    (
                        "by",
                        one_of(
                            "What tells people apart; by default the user, or the session without one.",
                            &["user", "session"],
                        ),
                    ),
                    ("breakdown", text("Divides people by level, category, slug, or attr. and a path into `data`.")),
                    ("next", text("Goes on where an answer has this as `next`: send all else as before.")),
                ]
            }
        };
        match self {
            Self::Overview | Self::Funnel => all.extend(time("24 hours ago")),
            Self::Events => all.extend(time("the first event")),
            Self::Issues => all.extend(time("14 days ago")),
            Self::Apps | Self::Describe => {}
        }
        let required: &[&str] = if self == Self::Funnel { &["steps"] } else { &[] };
        let properties: serde_json::Map<_, _> =
            all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    fn definition(self) -> Value {
        json!({
            "name": self.name(),
            "title": self.title(),
            "description": self.about(),
            "inputSchema": self.input(),
            "annotations": {
                "title": self.title(),
                "readOnlyHint": true,
                "destructiveHint": false,
                "idempotentHint": true,
                "openWorldHint": false,
            },
        })
    }
}

/// Events and issues of an answer by default.
pub(crate) const DEFAULT_EVENTS: u64 = 20;
pub(crate) const DEFAULT_ISSUES: u64 = 20;

fn filters() -> Value {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    json!({
        "type": "object",
        "description": format!(
            "Only events that match all of these: {}; `{SEARCH}` searches all texts; `attr.PATH` is a value in `data`. A list means \
             any of its values. Operators stand behind the name: `level[ne]`, `attr.amount[gte]` (ne, gt, gte, lt, lte, contains, \
             exists). Example: {{\"level\": [\"ERROR\", \"FATAL\"], \"attr.plan\": \"pro\"}}",
            FILTERS.join(", ")
        ),
        "additionalProperties": {"anyOf": [scalar, {"type": "array", "items": scalar}]},
    })
}

/// All tools, as the protocol lists them.
pub(crate) fn definitions() -> Vec<Value> {
    Tool::ALL.into_iter().map(Tool::definition).collect()
}
