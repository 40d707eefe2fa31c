//! `POST /apps/{app}/alerts/preview`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::alert::sentence::sentence;
use tally_core::time::{TimeDelta, Timestamp};
use tally_http::body::{Fields, FromFields, JsonBody};
use tally_http::guard::Target;
use tally_http::openapi::{JSON, Operation};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::PREVIEW_ALERT;
use tally_http::service::Shared;
use tally_service::alerts::preview;

use crate::body::ValueBody;
use crate::input::{RuleInput, rule_schema};

/// Most days of a preview, and how many there are by default.
const MOST_DAYS: u64 = 7;

/// What a rule would have done.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertPreview")]
struct PreviewBody {
    /// The rule as a sentence.
    sentence: String,
    /// What was looked at.
    since: Timestamp,
    until: Timestamp,
    /// When it would have fired, in order.
    would_have_fired: Vec<FiredBody>,
    /// Whether that is all of what was asked for, and all of it could be judged.
    complete: bool,
}

/// A time during which a rule would have fired.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertFired")]
struct FiredBody {
    /// The end of the first window.
    from: Timestamp,
    /// The end of the first window in which it did not fire any more; null if it fires still.
    to: Option<Timestamp>,
    /// The largest value meanwhile: occurrences, or a change in percent.
    value: ValueBody,
    /// True if that is a number of occurrences where there were none before, and no percentage; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_none: Option<bool>,
}

/// A rule to try, and on how many days.
pub(crate) struct PreviewInput {
    rule: RuleInput,
    days: u64,
}

impl FromFields for PreviewInput {
    const HINT: &'static str = RuleInput::HINT;

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let days = fields.number("days", 1, MOST_DAYS);
        RuleInput::read(fields).map(|rule| Self { rule, days: days.unwrap_or(MOST_DAYS) })
    }
}

pub(crate) async fn preview(
    State(context): Shared,
    Target(app): Target,
    _: NoQuery,
    JsonBody(PreviewInput { rule, days }): JsonBody<PreviewInput>,
) -> Result<Response, Problem> {
    let rule = rule.new_rule(context.clock.now())?;
    if rule.news().is_some() {
        return Err(Problem::field(
            "condition",
            "a rule about issues looks at no counts, so there is nothing to preview",
        ));
    }
    if rule.schedule().is_some() {
        return Err(Problem::field(
            "condition",
            "a report waits for nothing, so there is nothing to preview: POST …/alerts/{id}/test sends the last one",
        ));
    }
    // At most 7.
    let length = TimeDelta::days(i64::try_from(days).unwrap_or(1));
    let reads = context.reads();
    let would = preview::preview(&reads, &app, &rule, length).await.map_err(|error| Problem::of_read(error, "days"))?;
    let fired = would.fired.into_iter().map(|fired| FiredBody {
        from: fired.from,
        to: fired.to,
        value: ValueBody(fired.value),
        from_none: fired.from_none.then_some(true),
    });
    let reply = PreviewBody {
        sentence: sentence(&rule),
        since: would.range.since(),
        until: would.range.until(),
        would_have_fired: fired.collect(),
        complete: would.complete,
    };
    json(StatusCode::OK, &reply)
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    let days = json_schema!({
        "description": "How many days up to now are looked at; by default 7.",
        "type": ["integer", "null"], "minimum": 1, "maximum": MOST_DAYS,
    });
    Operation::of(&PREVIEW_ALERT, "previewAlert", "Tells when a rule would have fired")
        .about(
            "From counters, within the read budget: if it ends, the newest days are told, with `complete: false`. Windows of more \
             than 6 hours are judged each hour, shorter ones each minute. Nothing is kept or sent.",
        )
        .body(JSON, rule_schema(&["window", "condition"], &[("days", days)]))
        .answers_with::<PreviewBody>(schemas, StatusCode::OK, "When it would have fired.")
}
