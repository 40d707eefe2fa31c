//! `GET /apps/{app}/attributes`

use std::cmp::Reverse;
use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::event::Event;
use tally_core::event::filter::EventFilter;
use tally_core::event::json::Json;
use tally_core::invalid::Invalid;
use tally_core::time::{Range, Timestamp};
use tally_http::guard::Target;
use tally_http::openapi::{MomentInput, Operation, Parameter};
use tally_http::parameters::{FromQuery, Params, calendar, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::routes::LIST_ATTRIBUTES;
use tally_http::service::Shared;
use tally_service::read::query::EventQuery;
use tally_service::read::reader::read_page;

use crate::events::read_range;

/// Most events that are looked at.
const MOST_EVENTS: usize = 1_000;
/// Most paths of a reply.
const MOST_PATHS: usize = 200;
/// Most paths that are held while events are looked at.
const MOST_HELD: usize = 2_000;
/// Longest path, in bytes.
const MAX_PATH: usize = 256;
/// Most examples of a path, and their longest text in characters.
const EXAMPLES: usize = 5;
const MAX_EXAMPLE: usize = 100;

/// The paths of `data` in the newest events.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Attributes {
    /// The most frequent first, then by path; at most 200.
    items: Vec<Attribute>,
    /// The number of events that were looked at: the newest 1,000, or fewer if there are no more, or the read budget allows no
    /// more.
    sampled: usize,
    /// Whether every event that matches was looked at and every path is listed.
    complete: bool,
}

/// A path of `data`.
#[derive(Serialize, JsonSchema)]
struct Attribute {
    /// As in `attr.PATH`: keys from the top of `data`, joined with dots. Lists are not looked into.
    path: String,
    kind: Kind,
    /// The number of sampled events that have it.
    seen: usize,
    /// A few different values, the newest first; long texts are cut.
    examples: Vec<Json>,
}

/// The kind of the values at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Nothing but `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// Numbers.
    Number,
    /// Texts.
    String,
    /// Lists.
    Array,
    /// Maps without keys.
    Object,
    /// Several of these, `null` aside.
    Mixed,
}

impl Kind {
    fn of(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(_) => Self::Boolean,
            Json::Number(_) => Self::Number,
            Json::String(_) => Self::String,
            Json::Array(_) => Self::Array,
            Json::Object(_) => Self::Object,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (one, other) if one == other => one,
            _ => Self::Mixed,
        }
    }
}

pub(crate) async fn list(State(context): Shared, Target(app): Target, params: Params) -> Result<Response, Problem> {
    let (filter, range) = read(params, context.clock.now())?;
    let page = read_page(&context.reads(), &app, &EventQuery::newest(range, filter, MOST_EVENTS)).await?;
    let mut found = Found::default();
    page.events.iter().for_each(|event| found.add(event));
    let (items, all) = found.largest();
    json(StatusCode::OK, &Attributes { items, sampled: page.events.len(), complete: all && page.next.is_none() })
}

fn read(mut params: Params, now: Timestamp) -> Result<(EventFilter, Range), Invalid> {
    let filter = EventFilter::read(&mut params, now).unwrap_or_default();
    let range = read_range(&mut params, now);
    params.finish()?;
    Ok((filter, range))
}

/// The paths that were found.
#[derive(Default)]
struct Found {
    paths: HashMap<String, (Kind, usize, Vec<Json>)>,
    /// Whether a path was left out.
    is_cut: bool,
}

impl Found {
    fn add(&mut self, event: &Event) {
        if let Some(Json::Object(fields)) = &event.data {
            for (key, value) in fields {
                self.add_value(key.clone(), value);
            }
        }
    }

    fn add_value(&mut self, path: String, value: &Json) {
        if let Json::Object(fields) = value
            && !fields.is_empty()
        {
            for (key, value) in fields {
                self.add_value(format!("{path}.{key}"), value);
            }
            return;
        }
        let has_room = self.paths.len() < MOST_HELD && path.len() <= MAX_PATH;
        if !has_room && !self.paths.contains_key(&path) {
            self.is_cut = true;
            return;
        }
        let (kind, seen, examples) = self.paths.entry(path).or_insert((Kind::Null, 0, vec![]));
        *kind = kind.and(Kind::of(value));
        *seen += 1;
        if examples.len() < EXAMPLES
            && let Some(example) = example(value)
            && !examples.contains(&example)
        {
            examples.push(example);
        }
    }

    /// The most frequent paths, and whether these are all.
    fn largest(self) -> (Vec<Attribute>, bool) {
        let all = !self.is_cut && self.paths.len() <= MOST_PATHS;
        let attribute = |(path, (kind, seen, examples))| Attribute { path, kind, seen, examples };
        let mut items: Vec<_> = self.paths.into_iter().map(attribute).collect();
        items.sort_by(|a, b| (Reverse(a.seen), &a.path).cmp(&(Reverse(b.seen), &b.path)));
        items.truncate(MOST_PATHS);
        (items, all)
    }
}

/// A value to show, unless it is a list, a map or null.
fn example(value: &Json) -> Option<Json> {
    match value {
        Json::Bool(_) | Json::Number(_) => Some(value.clone()),
        Json::String(text) if text.chars().nth(MAX_EXAMPLE).is_none() => Some(value.clone()),
        Json::String(text) => Some(Json::String(text.chars().take(MAX_EXAMPLE - 1).chain(['…']).collect())),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    let time = schemas.subschema_for::<MomentInput>();
    Operation::of(&LIST_ATTRIBUTES, "listAttributes", "Lists the paths of `data` in the newest events")
        .about(
            "Looks at the newest 1,000 events that match, or as many as the read budget allows: an attribute that only older \
             events have is not listed.",
        )
        .takes(event_filters(schemas))
        .takes(calendar())
        .takes([
            Parameter::query("since", "Only events from this time on.", time.clone()),
            Parameter::query("until", "Only events before this time.", time),
        ])
        .answers_with::<Attributes>(schemas, StatusCode::OK, "The paths.")
}
