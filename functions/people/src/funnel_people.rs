//! `POST /apps/{app}/funnels/people`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tally_core::people::funnel::STEPS;
use tally_core::time::{Range, Timestamp, micros};
use tally_http::body::SmallBody;
use tally_http::cursor::{CursorError, open, seal};
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{JSON, Operation};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::FUNNEL_PEOPLE;
use tally_http::service::Shared;
use tally_service::people::funnel::{self as uses, AtStep};

use crate::answer::Coverage;
use crate::funnel_input::{FunnelInput, schema};

/// People in a page by default, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
/// What to do about a field that is not known.
const HINT: &str = "send the fields of a funnel, step, reached, limit and cursor";

/// People at a step.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FunnelPeople")]
struct PeopleBody {
    /// The last to reach it come first.
    items: Vec<PersonBody>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
    #[serde(flatten)]
    coverage: Coverage,
}

/// A person, by user or else by session.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FunnelPerson")]
struct PersonBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// When the person first reached the step, or the one before of who did not go on.
    at: Timestamp,
}

/// Where a list continues: after a person.
#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "f")]
    bound: String,
    #[serde(rename = "r", with = "micros::range")]
    range: Range,
    #[serde(rename = "t")]
    at: i64,
    #[serde(rename = "p")]
    person: String,
    #[serde(rename = "u")]
    is_user: bool,
}

impl Cursor {
    /// Reads a cursor of a question.
    fn decode(text: &str, bound: &str) -> Result<Self, CursorError> {
        let cursor: Self = serde_json::from_slice(&open(text)?).map_err(|_| CursorError)?;
        let in_time = cursor.range.since() >= Timestamp::EPOCH && cursor.range.until() <= Timestamp::MAX;
        if in_time && cursor.bound == bound { Ok(cursor) } else { Err(CursorError) }
    }

    /// Whether a person comes after it.
    fn is_before(&self, person: &AtStep) -> bool {
        let place = (std::cmp::Reverse(person.at.micros()), person.id(), person.user_id.is_some());
        place > (std::cmp::Reverse(self.at), self.person.as_str(), self.is_user)
    }
}

pub(crate) async fn people(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    _: NoQuery,
    body: SmallBody,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let mut fields = body.fields()?;
    let input = FunnelInput::read(&mut fields, &limits, now);
    let step: usize = fields.number("step", 1, STEPS.1 as u64).unwrap_or(1);
    let reached = fields.raw("reached").map(serde_json::value::RawValue::get);
    let reached = match reached {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => {
            fields.add("reached", "must be true or false");
            true
        }
    };
    let limit = fields.number("limit", 1, MAX_LIMIT as u64).unwrap_or(DEFAULT_LIMIT);
    let cursor = fields.text("cursor");
    if let Some(input) = &input {
        if step > input.question.steps.len() {
            fields.add("step", "the funnel has fewer steps");
        }
        if step == 1 && !reached {
            fields.add("reached", "there is no step before the first: ask for those who reached it");
        }
    }
    fields.finish(HINT)?;
    let input = input.ok_or_else(|| Problem::Internal("a funnel without a value passed its checks".to_owned()))?;
    let bound = input.question.bound(&app, &format!("{:?} {step} {reached}", input.sent_range));
    let after = match cursor {
        None => None,
        Some(text) => {
            let cursor = Cursor::decode(&text, &bound);
            Some(cursor.map_err(|e| Problem::field("cursor", e.to_string()))?)
        }
    };
    let range = after.as_ref().map_or(input.range, |cursor| cursor.range);
    let asked = (step - 1, reached);
    let (mut all, read) = uses::people(&context.reads(), &app, &input.question, range, asked).await?;
    all.retain(|person| after.as_ref().is_none_or(|after| after.is_before(person)));
    let has_more = all.len() > limit;
    all.truncate(limit);
    let cursor = |last: &AtStep| Cursor {
        bound: bound.clone(),
        range,
        at: last.at.micros(),
        person: last.id().to_owned(),
        is_user: last.user_id.is_some(),
    };
    // Texts and numbers alone always serialize.
    let next = all.last().filter(|_| has_more).map(|last| seal(serde_json::to_vec(&cursor(last)).unwrap_or_default()));
    let items = all.into_iter().map(|AtStep { user_id, session_id, at }| PersonBody { user_id, session_id, at });
    json(StatusCode::OK, &PeopleBody { items: items.collect(), next, coverage: Coverage::of(range, &read) })
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    let step = json_schema!({
        "description": "The step, from 1; by default the first.",
        "type": ["integer", "null"], "minimum": 1, "maximum": STEPS.1,
    });
    let reached = json_schema!({
        "description": "`true` (the default) for those who reached the step, `false` for those who reached the one before and not \
            this one.",
        "type": ["boolean", "null"],
    });
    let limit = json_schema!({
        "description": "Most people in a page; by default 100.", "type": ["integer", "null"], "minimum": 1, "maximum": MAX_LIMIT,
    });
    let cursor = json_schema!({
        "description": "Continues after the page that gave this as `next`. The other fields are the same as before.",
        "type": ["string", "null"],
    });
    let more = [("step", step), ("reached", reached), ("limit", limit), ("cursor", cursor)];
    Operation::of(&FUNNEL_PEOPLE, "funnelPeople", "Lists the people at a step of a funnel")
        .about("Each page reads the events again, within the read budget. A key that may not read all may not list people.")
        .body(JSON, schema(&["steps"], &more))
        .answers_with::<PeopleBody>(schemas, StatusCode::OK, "The people.")
}
