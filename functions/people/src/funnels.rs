//! `POST /apps/{app}/funnels`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::people::funnel::Reached;
use tally_http::body::SmallBody;
use tally_http::guard::Target;
use tally_http::limits::{Limited, Limits};
use tally_http::openapi::{JSON, Operation};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::FUNNEL;
use tally_http::service::Shared;
use tally_service::people::continuation::{Begun, begun};
use tally_service::people::funnel::{self as uses, MAX_VALUES, Value};
use tally_service::people::funnel_issues::{MetIssue, StepIssues, issues};

use crate::answer::{Coverage, Seconds, TOO_MANY, share, unknown_next};
use crate::funnel_input::{FunnelInput, HINT, schema};

/// Most values of a breakdown in a reply; the others are one.
const SHOWN_VALUES: usize = 20;
/// What stands for the other values.
const OTHERS: &str = "(other)";

/// How many people go through the steps.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Funnel")]
struct FunnelBody {
    steps: Vec<StepBody>,
    /// The same by the value that people are divided by, the most people first; absent without `breakdown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    breakdown: Option<Vec<ValueBody>>,
    #[serde(flatten)]
    coverage: Coverage,
    /// Where the read budget ended: what to send with the same body, within an hour, to go on. Null if there is nothing more, or
    /// too much was read to be kept.
    next: Option<String>,
    /// Why there is no `next` although not all was read; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// A step.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FunnelStep")]
struct StepBody {
    /// The values that it asks for.
    label: String,
    /// The people who reached it.
    people: u64,
    /// Their share of those who reached the first step, from 0 to 1; null of none.
    of_first: Option<f64>,
    /// Their share of those who reached the step before; null of none.
    of_previous: Option<f64>,
    /// The median time from the step before, in the chain by which a person first reached this one; null of the first step.
    median_seconds: Option<Seconds>,
    /// The errors that people met after they first reached it. Absent of the last step, in a breakdown, until all steps are read,
    /// and for keys with bounds, which may read no issues.
    #[serde(skip_serializing_if = "Option::is_none")]
    issues: Option<IssuesBody>,
}

/// The issues that people met after a step.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FunnelIssues")]
struct IssuesBody {
    /// Those of people who did not reach the next step, until the end of the range: at most 10, the most people first.
    left: Vec<IssueBody>,
    /// Those of people who did, before they reached it: the first 10, and those that are in `left`.
    went_on: Vec<IssueBody>,
    /// Whether all errors of the range were read. If not, the oldest were.
    complete: bool,
}

/// An issue that people met.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FunnelIssue")]
struct IssueBody {
    /// The issue, as in `/issues/{id}`.
    id: String,
    /// The message if all that were met are equal, else what they have in common.
    title: String,
    /// The people who met it.
    people: u64,
}

impl IssuesBody {
    fn of(StepIssues { left, went_on }: StepIssues, complete: bool) -> Self {
        let all = |issues: Vec<MetIssue>| {
            issues
                .into_iter()
                .map(|MetIssue { group, title, people }| IssueBody { id: group.to_string(), title, people })
                .collect()
        };
        Self { left: all(left), went_on: all(went_on), complete }
    }
}

/// The people of a value.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FunnelValue")]
struct ValueBody {
    /// The value as a text; `(other)` stands for all that are not among the 20 most frequent; null where there is none.
    value: Option<String>,
    steps: Vec<StepBody>,
}

fn steps(labels: &[String], reached: &[Reached]) -> Vec<StepBody> {
    let people = |k: usize| reached.get(k).map_or(0, |reached| reached.people);
    let step = |(k, (label, reached)): (usize, (&String, &Reached))| StepBody {
        label: label.clone(),
        people: reached.people,
        of_first: share(reached.people, people(0)),
        of_previous: share(reached.people, people(k.saturating_sub(1))),
        median_seconds: reached.median.map(Into::into),
        issues: None,
    };
    labels.iter().zip(reached).enumerate().map(step).collect()
}

/// What a state of a funnel is bound to: the question, and all that the caller may not read.
fn bound(input: &FunnelInput, app: &App, limits: &Limits) -> String {
    let restrictions: Vec<_> = limits.restrictions().collect();
    input.question.bound(app, &format!("{:?}\n{restrictions:?}", input.sent_range))
}

pub(crate) async fn funnel(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    _: NoQuery,
    body: SmallBody,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let mut fields = body.fields()?;
    let input = FunnelInput::read(&mut fields, &limits, now);
    let next = fields.text("next");
    fields.finish(HINT)?;
    let input = input.ok_or_else(|| Problem::Internal("a funnel without a value passed its checks".to_owned()))?;
    let bound = bound(&input, &app, &limits);
    let state = match next {
        None => None,
        Some(token) => Some(begun(&context.store, &token, &bound, now).await?.ok_or_else(unknown_next)?),
    };
    let range = state.as_ref().map_or(input.range, Begun::range);
    let reads = context.reads();
    let found = uses::funnel(&reads, &app, &input.question, range, state).await?;
    let value = |(value, reached): (Value, Vec<Reached>)| ValueBody {
        value: match value {
            Value::Text(text) => Some(text),
            Value::Other => Some(OTHERS.to_owned()),
            Value::None => None,
        },
        steps: steps(&input.labels, &reached),
    };
    let by_value = || found.by_value(SHOWN_VALUES).into_iter().map(value).collect();
    let breakdown = input.question.breakdown.as_ref().map(|_| by_value());
    let mut steps = steps(&input.labels, &found.funnel.reached());
    if found.read.complete && limits.is_none() {
        let (issues, complete) = issues(&reads, &app, &input.question, &found, range).await?;
        for (step, issues) in steps.iter_mut().zip(issues) {
            step.issues = Some(IssuesBody::of(issues, complete));
        }
    }
    let read = found.read;
    let next = uses::keep(&context.store, found, range, bound, now).await?;
    let is_cut = !read.complete && next.is_none();
    let reply =
        FunnelBody { steps, breakdown, coverage: Coverage::of(range, &read), next, note: is_cut.then_some(TOO_MANY) };
    json(StatusCode::OK, &reply)
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    let next = json_schema!({
        "description": "The `next` of an earlier reply to the same body: goes on where it ended.",
        "type": ["string", "null"],
    });
    Operation::of(&FUNNEL, "funnel", "Counts the people who go through some steps in order")
        .about(format!(
            "A person reaches a step by events of all steps up to it, each strictly after the one before (by time to the \
             millisecond, then by id), all `within` a time of the first and all in the range. Each person counts with their \
             furthest step. An event is one step, whatever its `count`. Reads the oldest events first, within the read budget; \
             where each step has a `name`, only the minutes that have those names. A breakdown tells {MAX_VALUES} values apart.",
        ))
        .body(JSON, schema(&["steps"], &[("next", next)]))
        .answers_with::<FunnelBody>(schemas, StatusCode::OK, "The steps.")
}
