//! The parts that describe an operation of the API. Each operation is described beside its handler; the crate `openapi`
//! makes one document of all. No function calls any of this, so no function links it.

use std::borrow::Cow;

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tally_core::event::MAX_DEPTH;
use tally_core::event::level::Level;

use crate::routes::{Access, Route};

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// One operation.
pub struct Operation {
    /// The route that serves it.
    pub route: &'static Route,
    /// Its path as clients build it: each parameter is one segment.
    pub path: String,
    /// Its name in generated clients; unique.
    pub id: String,
    /// What it does, in a few words.
    pub summary: String,
    /// Details.
    pub about: String,
    /// Its parameters, without the body.
    pub parameters: Vec<Parameter>,
    /// The bodies that it takes, by media type; none where it takes no body.
    pub body: Vec<(&'static str, Schema)>,
    /// Whether it needs a body.
    pub body_required: bool,
    /// How it answers where all is well.
    pub replies: Vec<ReplyDescription>,
    /// The problems that only it has; those of access, input, the body and the store are implied.
    pub problems: Vec<StatusCode>,
}

/// Where a parameter is sent.
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
    /// Where it is sent.
    pub place: ParameterLocation,
    /// Whether it must be sent.
    pub required: bool,
    /// What it means.
    pub about: String,
    /// What it may be. The properties of an object are parameters of their own.
    pub schema: Schema,
}

/// A reply that is not a problem.
pub struct ReplyDescription {
    /// Its status.
    pub status: StatusCode,
    /// When it is given.
    pub about: &'static str,
    /// Its body, by media type; none where it has no body.
    pub content: Vec<(&'static str, Schema)>,
    /// Headers that not every reply has, and their meaning.
    pub headers: Vec<(&'static str, &'static str)>,
}

impl Operation {
    /// The operation of a route, with the parameters `app` and `key` where its path has them.
    pub fn of(route: &'static Route, id: impl Into<String>, summary: impl Into<String>) -> Self {
        let implied = [("{app}", app as fn(Access) -> Parameter), ("{key}", key)];
        let implied = implied.into_iter().filter(|(part, _)| route.path.contains(part));
        Self {
            route,
            path: route.path.to_owned(),
            id: id.into(),
            summary: summary.into(),
            about: String::new(),
            parameters: implied.map(|(_, parameter)| parameter(route.access)).collect(),
            body: vec![],
            body_required: false,
            replies: vec![],
            problems: vec![],
        }
    }

    /// Puts other segments in place of one of the route's path: `{report}` is `day`, `{*name}` is `{name}/{n}`.
    ///
    /// # Panics
    /// Where the path of the route has no such segment.
    #[must_use]
    pub fn with(mut self, segment: &str, replacement: &str) -> Self {
        assert!(self.path.split('/').any(|part| part == segment), "{} has no {segment}", self.path);
        self.path = self.path.replace(segment, replacement);
        self
    }

    /// Adds details.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = text.into();
        self
    }

    /// Takes parameters; one of the same name and place is replaced.
    #[must_use]
    pub fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        for parameter in parameters {
            self.parameters.retain(|other| (other.name, other.place) != (parameter.name, parameter.place));
            self.parameters.push(parameter);
        }
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

    /// Answers with a JSON value of type `T`.
    #[must_use]
    pub fn answers_with<T: JsonSchema>(
        self,
        schemas: &mut SchemaGenerator,
        status: StatusCode,
        about: &'static str,
    ) -> Self {
        self.answers(status, about, schemas.subschema_for::<T>())
    }

    /// Answers without a body.
    #[must_use]
    pub fn answers_empty(self, status: StatusCode, about: &'static str) -> Self {
        self.replies(ReplyDescription { status, about, content: vec![], headers: vec![] })
    }

    /// Answers with JSON of a schema.
    #[must_use]
    pub fn answers(self, status: StatusCode, about: &'static str, schema: Schema) -> Self {
        self.replies(ReplyDescription { status, about, content: vec![(JSON, schema)], headers: vec![] })
    }

    /// Answers in another way.
    #[must_use]
    pub fn replies(mut self, reply: ReplyDescription) -> Self {
        self.replies.push(reply);
        self
    }

    /// Has problems that are not implied.
    #[must_use]
    pub fn refuses(mut self, problems: impl IntoIterator<Item = StatusCode>) -> Self {
        self.problems.extend(problems);
        self
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

fn app(_: Access) -> Parameter {
    Parameter::path("app", "The app, by its `id` or its name.", text())
}

/// A key in the path, for clients of a system without credentials.
fn key(access: Access) -> Parameter {
    let schema = json_schema!({"type": "string", "pattern": "^tly_(in|rd|rw|up)_[0-9a-f]{12}_[0-9a-f]{40}$"});
    let scope = if access == Access::Ingest { "ingest" } else { "read" };
    Parameter::path("key", format!("A key of the app with the scope `{scope}`; part of the client's base URL."), schema)
}

/// Any text.
pub fn text() -> Schema {
    json_schema!({"type": "string", "minLength": 1})
}

/// A whole number within limits.
pub fn number(from: u64, to: u64) -> Schema {
    json_schema!({"type": "integer", "minimum": from, "maximum": to})
}

/// A whole number within limits, with a default.
pub fn number_or(default: u64, from: u64, to: u64) -> Schema {
    json_schema!({"type": "integer", "minimum": from, "maximum": to, "default": default})
}

/// One of some words; the first is the default.
pub fn one_of(words: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": words, "default": words.first()})
}

/// Any JSON within the limits of an event.
pub fn any_json(about: &str) -> Schema {
    json_schema!({
        "description": format!(
            "{about} Any JSON, up to {MAX_DEPTH} levels deep; no key empty or repeated; numbers of at most 38 digits \
             within \u{b1}1e125."
        ),
    })
}

/// A time in any of the accepted forms.
pub struct TimeInput;

impl JsonSchema for TimeInput {
    fn schema_name() -> Cow<'static, str> {
        "TimeInput".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time: RFC 3339, the same with a space for the `T` or without a zone (UTC), a date (its first \
                moment, in the zone of `tz` where there is one, else in UTC), or a Unix time in seconds (below 1e11) or \
                milliseconds.",
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {
                    "type": "string",
                    "pattern": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?$",
                },
                {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
                {"type": "string", "pattern": r"^\d{1,14}(\.\d{1,9})?$"},
            ],
            "examples": ["2026-11-21T10:00:00Z", "2026-11-21 10:00:00.123456", "2026-11-21", "1795255200"],
        })
    }
}

/// A time of a query in any of the accepted forms: absolute or relative.
pub struct MomentInput;

impl JsonSchema for MomentInput {
    fn schema_name() -> Cow<'static, str> {
        "MomentInput".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time, or one relative to now: minutes, hours, days of 24 hours or weeks before the start of this \
                minute (`15m`, `1h`, `7d`, `2w`), `now`, or the first moment of `today`, `yesterday`, `this-week` or \
                `this-month` (in the zone of `tz` where there is one, else in UTC; weeks by `week_start`).",
            "anyOf": [
                schemas.subschema_for::<TimeInput>(),
                {"type": "string", "pattern": r"^\d{1,4}[mhdw]$"},
                {"type": "string", "enum": ["now", "today", "yesterday", "this-week", "this-month"]},
            ],
            "examples": ["24h", "this-month", "2026-11-21T10:00:00Z"],
        })
    }
}

/// A day of a query in any of the accepted forms: absolute or relative.
pub struct PastDayInput;

impl JsonSchema for PastDayInput {
    fn schema_name() -> Cow<'static, str> {
        "PastDayInput".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A day from 1970 on, or one relative to now: `today`, `yesterday`, or the day of `7d` before now.",
            "anyOf": [
                schemas.subschema_for::<DayInput>(),
                {"type": "string", "const": "yesterday"},
                {"type": "string", "pattern": r"^\d{1,4}[mhdw]$"},
            ],
            "examples": ["today", "yesterday", "2026-11-21"],
        })
    }
}

/// A day in any of the accepted forms.
pub struct DayInput;

impl JsonSchema for DayInput {
    fn schema_name() -> Cow<'static, str> {
        "DayInput".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A day from 1970 on, as `YYYY-MM-DD` or `YYYYMMDD`, or `today`.",
            "anyOf": [
                {"type": "string", "format": "date"},
                {"type": "string", "const": "today"},
                {"type": "string", "pattern": r"^\d{4}-?\d{2}-?\d{2}$"},
            ],
            "examples": ["today", "2026-11-21", "20261121"],
        })
    }
}

/// A level by any of its names, in any case.
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
