//! What an operation says of itself in the description of the API: told in the function that serves it, beside the code
//! that it tells of. The crate `openapi` makes one document of all; no function runs any of this.

use std::borrow::Cow;

use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tally_core::event::level::Level;

use crate::routes::{self, Route};

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// One operation.
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path as clients build it: each parameter is one segment.
    pub path: &'static str,
    /// Its name in generated clients; unique.
    pub id: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What more there is to know.
    pub about: String,
    /// What it takes beside its body.
    pub parameters: Vec<Parameter>,
    /// The bodies that it takes, by media type; none where it takes no body.
    pub body: Vec<(&'static str, Schema)>,
    /// Whether it does nothing without a body.
    pub body_required: bool,
    /// How it answers where all is well.
    pub replies: Vec<ReplyDescription>,
    /// The problems that are its own; those of its credentials and its input, and a store that is away, go without
    /// saying.
    pub problems: Vec<StatusCode>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterLocation {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: ParameterLocation,
    /// Whether it must be sent.
    pub required: bool,
    /// What it means.
    pub about: String,
    /// What it may be. The properties of an object are parameters of their own.
    pub schema: Schema,
}

/// A reply that is no problem.
pub struct ReplyDescription {
    /// Its status.
    pub status: StatusCode,
    /// When it is given.
    pub about: &'static str,
    /// Its body, by media type; none where it has no body.
    pub content: Vec<(&'static str, Schema)>,
    /// Its headers beyond those that every reply has, and what they mean.
    pub headers: Vec<(&'static str, &'static str)>,
}

impl Operation {
    /// An operation without parameters, body or replies yet.
    pub fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            about: String::new(),
            parameters: vec![],
            body: vec![],
            body_required: false,
            replies: vec![],
            problems: vec![],
        }
    }

    /// Says more.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = text.into();
        self
    }

    /// Takes parameters.
    #[must_use]
    pub fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Takes a body.
    #[must_use]
    pub fn body(mut self, media_type: &'static str, schema: Schema) -> Self {
        self.body.push((media_type, schema));
        self.body_required = true;
        self
    }

    /// Takes a body, or none.
    #[must_use]
    pub fn optional_body(mut self, media_type: &'static str, schema: Schema) -> Self {
        self.body.push((media_type, schema));
        self
    }

    /// Answers with JSON.
    #[must_use]
    pub fn answers(self, status: StatusCode, about: &'static str, schema: Schema) -> Self {
        self.replies(ReplyDescription { status, about, content: vec![(JSON, schema)], headers: vec![] })
    }

    /// Answers otherwise.
    #[must_use]
    pub fn replies(mut self, reply: ReplyDescription) -> Self {
        self.replies.push(reply);
        self
    }

    /// Refuses in ways of its own.
    #[must_use]
    pub fn refuses(mut self, problems: impl IntoIterator<Item = StatusCode>) -> Self {
        self.problems.extend(problems);
        self
    }

    /// The route that serves it; none where no function does.
    pub fn route(&self) -> Option<&'static Route> {
        routes::at(self.path).find(|route| route.method == self.method)
    }
}

impl Parameter {
    /// A parameter in the path.
    pub fn path(name: &'static str, about: impl Into<String>, schema: Schema) -> Self {
        Self { name, place: ParameterLocation::Path, required: true, about: about.into(), schema }
    }

    /// A parameter in the query that may be left out.
    pub fn query(name: &'static str, about: impl Into<String>, schema: Schema) -> Self {
        Self { name, place: ParameterLocation::Query, required: false, about: about.into(), schema }
    }

    /// A header that may be left out.
    pub fn header(name: &'static str, about: impl Into<String>, schema: Schema) -> Self {
        Self { name, place: ParameterLocation::Header, required: false, about: about.into(), schema }
    }

    /// The same, but it must be sent.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// The path parameter `app`.
pub fn app() -> Parameter {
    Parameter::path("app", "The app, by its `id` or its name.", text())
}

/// The path parameter `key` of a compat whose clients know no credentials.
pub fn key(scope: &str) -> Parameter {
    let schema = json_schema!({"type": "string", "pattern": "^tly_(in|rd|rw)_[0-9a-f]{12}_[0-9a-f]{40}$"});
    Parameter::path("key", format!("A key of the app, of scope `{scope}`: part of the client's base URL."), schema)
}

/// Any text.
pub fn text() -> Schema {
    json_schema!({"type": "string", "minLength": 1})
}

/// A whole number within limits.
pub fn number(from: u64, to: u64) -> Schema {
    json_schema!({"type": "integer", "minimum": from, "maximum": to})
}

/// A whole number within limits, and what it is where nothing is said.
pub fn number_or(default: u64, from: u64, to: u64) -> Schema {
    json_schema!({"type": "integer", "minimum": from, "maximum": to, "default": default})
}

/// One of some words; the first is meant where nothing is said.
pub fn one_of(words: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": words, "default": words.first()})
}

/// A time in any of the forms that are understood.
pub struct TimeInput;

impl JsonSchema for TimeInput {
    fn schema_name() -> Cow<'static, str> {
        "TimeInput".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time: RFC 3339, the same with a space for the `T` or without a zone (UTC), a date (its first \
                moment in UTC), or a Unix time in seconds (below 1e11) or milliseconds.",
            "type": "string",
            "anyOf": [
                {"format": "date-time"},
                {"pattern": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?$"},
                {"pattern": r"^\d{4}-\d{2}-\d{2}$"},
                {"pattern": r"^\d{1,14}(\.\d{1,9})?$"},
            ],
            "examples": ["2026-11-21T10:00:00Z", "2026-11-21 10:00:00.123456", "2026-11-21", "1795255200"],
        })
    }
}

/// A day in any of the forms that are understood.
pub struct DayInput;

impl JsonSchema for DayInput {
    fn schema_name() -> Cow<'static, str> {
        "DayInput".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A day from 1970 on, as `YYYY-MM-DD` or `YYYYMMDD`, or `today`.",
            "type": "string",
            "anyOf": [{"const": "today"}, {"format": "date"}, {"pattern": r"^\d{4}-?\d{2}-?\d{2}$"}],
            "examples": ["today", "2026-11-21", "20261121"],
        })
    }
}

/// A level by any of the names that are understood, in any case.
pub struct LevelInput;

impl JsonSchema for LevelInput {
    fn schema_name() -> Cow<'static, str> {
        "LevelInput".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let any_case = |word: &str| -> String {
            word.chars().flat_map(|c| ['[', c.to_ascii_uppercase(), c.to_ascii_lowercase(), ']']).collect()
        };
        let words: Vec<_> = Level::NAMES.iter().map(|(name, _)| any_case(name)).collect();
        let others = |level| {
            let names = Level::NAMES.iter().filter(|(name, of)| *of == level && *name != level.as_str());
            format!("{level} ({})", names.map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
        };
        json_schema!({
            "description": format!(
                "A level by its name or one that other loggers use, in any case: {}.",
                Level::ALL.map(others).join(", ")
            ),
            "type": "string",
            "pattern": format!("^({})$", words.join("|")),
            "examples": ["ERROR"],
        })
    }
}
