//! `/apps/{app}/alerts` and `/apps/{app}/alerts/{id}`

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tally_core::alert::rule::{MAX_CHANNELS, MAX_RULES, RuleId};
use tally_core::invalid::Problems;
use tally_http::body::JsonBody;
use tally_http::guard::Target;
use tally_http::openapi::{JSON, Operation, Parameter, text};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::{
    CHANGE_ALERT, CREATE_ALERT, DELETE_ALERT, LIST_ALERTS, READ_ALERT, ROTATE_ALERT_SECRET, TEST_ALERT,
};
use tally_http::service::Shared;
use tally_notify::Sender;
use tally_service::alerts::rules::{self as uses, ChannelChange, RuleError, Tested};
use tally_service::alerts::seal::SealError;

use crate::body::AlertBody;
use crate::input::{self, RuleInput, rule_schema};

/// The rules of an app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Alerts")]
struct AlertList {
    /// By when they were made.
    items: Vec<AlertBody>,
}

/// What the channels of a rule said to a test.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertTest")]
struct TestBody {
    /// One for each channel.
    items: Vec<TestedBody>,
}

/// What a channel said to a test.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertTested")]
struct TestedBody {
    /// The id of the channel.
    channel: String,
    r#type: String,
    /// Whether it took the test.
    delivered: bool,
    /// What went wrong; null if it took the test.
    error: Option<String>,
}

/// The new secret of a webhook.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertSecret")]
struct SecretBody {
    /// The id of the channel.
    channel: String,
    /// The secret. It is never shown again.
    secret: String,
}

/// The rule in a path.
#[derive(Deserialize)]
pub(crate) struct RulePath {
    id: String,
}

/// The rule and the channel in a path.
#[derive(Deserialize)]
pub(crate) struct ChannelPath {
    id: String,
    channel: String,
}

/// `GET /apps/{app}/alerts`
pub(crate) async fn list(State(context): Shared, Target(app): Target, _: NoQuery) -> Result<Response, Problem> {
    let now = context.clock.now();
    let mut rules = uses::list(&context.store, &app, now).await?;
    rules.sort_by(|a, b| (a.rule.created_at, &a.rule.id).cmp(&(b.rule.created_at, &b.rule.id)));
    json(StatusCode::OK, &AlertList { items: rules.iter().map(|stored| AlertBody::new(stored, now)).collect() })
}

/// `POST /apps/{app}/alerts`
pub(crate) async fn create(
    State(context): Shared,
    Target(app): Target,
    Extension(sender): Extension<Arc<Sender>>,
    _: NoQuery,
    JsonBody(input): JsonBody<RuleInput>,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let rule = input.new_rule(now)?;
    input::check(&rule)?;
    let channels = input.channels.unwrap_or_default();
    check(&sender, &channels, |_| false)?;
    let saved = uses::create(&context, &app, rule, &channels).await.map_err(problem)?;
    json(StatusCode::CREATED, &AlertBody::saved(&saved, now))
}

/// `GET /apps/{app}/alerts/{id}`
pub(crate) async fn read(
    State(context): Shared,
    Target(app): Target,
    Path(RulePath { id }): Path<RulePath>,
    _: NoQuery,
) -> Result<Response, Problem> {
    let id = rule_id(&id)?;
    let stored = context.store.alert_rule(&app.id, &id).await?.ok_or_else(|| problem(RuleError::Missing))?;
    let history = context.store.alert_history(&app.id, &id).await?;
    json(StatusCode::OK, &AlertBody::with_history(&stored, history, context.clock.now()))
}

/// `PATCH /apps/{app}/alerts/{id}`
pub(crate) async fn change(
    State(context): Shared,
    Target(app): Target,
    Extension(sender): Extension<Arc<Sender>>,
    Path(RulePath { id }): Path<RulePath>,
    _: NoQuery,
    JsonBody(input): JsonBody<RuleInput>,
) -> Result<Response, Problem> {
    let id = rule_id(&id)?;
    let now = context.clock.now();
    let stored = context.store.alert_rule(&app.id, &id).await?.ok_or_else(|| problem(RuleError::Missing))?;
    let mut changed = stored.rule.clone();
    input.apply(&mut changed, now);
    input::check(&changed)?;
    if let Some(channels) = &input.channels {
        check(&sender, channels, |id| stored.rule.channels.iter().any(|channel| channel.id == *id))?;
    }
    let change = |rule: &mut _| input.apply(rule, now);
    let saved = uses::change(&context, &app, &id, input.channels.as_deref(), change).await.map_err(problem)?;
    json(StatusCode::OK, &AlertBody::saved(&saved, now))
}

/// `DELETE /apps/{app}/alerts/{id}`
pub(crate) async fn delete(
    State(context): Shared,
    Target(app): Target,
    Path(RulePath { id }): Path<RulePath>,
    _: NoQuery,
) -> Result<Response, Problem> {
    uses::delete(&context.store, &app, &rule_id(&id)?).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /apps/{app}/alerts/{id}/test`
pub(crate) async fn test(
    State(context): Shared,
    Target(app): Target,
    Extension(sender): Extension<Arc<Sender>>,
    Path(RulePath { id }): Path<RulePath>,
    _: NoQuery,
    JsonBody(()): JsonBody<()>,
) -> Result<Response, Problem> {
    let tested = uses::test(&context, &sender, &app, &rule_id(&id)?, context.clock.now()).await.map_err(problem)?;
    let items = tested.into_iter().map(|Tested { channel, kind, error }| TestedBody {
        channel: channel.to_string(),
        r#type: kind,
        delivered: error.is_none(),
        error,
    });
    json(StatusCode::OK, &TestBody { items: items.collect() })
}

/// `POST /apps/{app}/alerts/{id}/channels/{channel}/secret`
pub(crate) async fn rotate(
    State(context): Shared,
    Target(app): Target,
    Path(ChannelPath { id, channel }): Path<ChannelPath>,
    _: NoQuery,
    JsonBody(()): JsonBody<()>,
) -> Result<Response, Problem> {
    let channel = RuleId::parse(&channel).ok_or_else(|| problem(RuleError::NoSecret))?;
    let secret = uses::rotate_secret(&context, &app, &rule_id(&id)?, &channel).await.map_err(problem)?;
    json(StatusCode::OK, &SecretBody { channel: channel.to_string(), secret })
}

fn rule_id(text: &str) -> Result<RuleId, Problem> {
    RuleId::parse(text).ok_or_else(|| problem(RuleError::Missing))
}

/// Checks that channels may be told something, and that those that are kept are there.
fn check(sender: &Sender, channels: &[ChannelChange], has: impl Fn(&RuleId) -> bool) -> Result<(), Problem> {
    let mut problems = Problems::default();
    for (i, channel) in channels.iter().enumerate() {
        match channel {
            ChannelChange::Keep(id) if !has(id) => {
                problems.add(format!("channels.{i}.id"), "the rule has no such channel: GET the rule to list them");
            }
            ChannelChange::Keep(_) => {}
            ChannelChange::New(channel, _) => {
                let field = if channel.kind() == "email" { "to" } else { "url" };
                problems.keep(&format!("channels.{i}.{field}"), channel.check(&sender.settings().allow));
            }
        }
    }
    Ok(problems.check()?)
}

fn problem(error: RuleError) -> Problem {
    match error {
        RuleError::Full | RuleError::Busy => Problem::Conflict(error.to_string()),
        RuleError::Missing | RuleError::NoSecret => Problem::NotFound(error.to_string()),
        RuleError::Seal(SealError::Store(error)) => error.into(),
        RuleError::Seal(SealError::Unreadable) => Problem::Internal(error.to_string()),
    }
}

fn id() -> Parameter {
    Parameter::path("id", "The id of the rule.", text())
}

pub(crate) fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        Operation::of(&LIST_ALERTS, "listAlerts", "Lists alert rules")
            .about("An app has two from the start, about issues that are new and that occur again, without channels.")
            .answers_with::<AlertList>(
            schemas,
            StatusCode::OK,
            "All of them.",
        ),
        Operation::of(&CREATE_ALERT, "makeAlert", "Makes an alert rule")
            .about(format!(
                "An app has at most {MAX_RULES} rules, a rule at most {MAX_CHANNELS} channels. The secret of a webhook is shown \
                 in this reply alone."
            ))
            .body(JSON, rule_schema(&["condition"], &[]))
            .answers_with::<AlertBody>(schemas, StatusCode::CREATED, "The rule.")
            .refuses([StatusCode::CONFLICT]),
        Operation::of(&READ_ALERT, "readAlert", "Reads an alert rule with its history")
            .takes([id()])
            .answers_with::<AlertBody>(schemas, StatusCode::OK, "The rule."),
        Operation::of(&CHANGE_ALERT, "changeAlert", "Changes an alert rule")
            .about(
                "Absent fields stay as they are. A rule whose filter, window, condition, `for` or `enabled` changes begins anew, \
                 in the state `ok`.",
            )
            .takes([id()])
            .optional_body(JSON, rule_schema(&[], &[]))
            .answers_with::<AlertBody>(schemas, StatusCode::OK, "The rule after the change.")
            .refuses([StatusCode::CONFLICT]),
        Operation::of(&DELETE_ALERT, "deleteAlert", "Deletes an alert rule with its history")
            .takes([id()])
            .answers_empty(StatusCode::NO_CONTENT, "It is gone."),
        Operation::of(&TEST_ALERT, "testAlert", "Sends a test to each channel of a rule")
            .about("What each channel says is in the reply. A test is sent once and is not kept.")
            .takes([id()])
            .answers_with::<TestBody>(schemas, StatusCode::OK, "What the channels said."),
        Operation::of(&ROTATE_ALERT_SECRET, "rotateAlertSecret", "Gives a webhook a new secret")
            .about("What is sent from now on is signed with the new secret, and for 24 hours with the one before it too.")
            .takes([id(), Parameter::path("channel", "The id of the channel.", text())])
            .answers_with::<SecretBody>(schemas, StatusCode::OK, "The secret, which is shown once.")
            .refuses([StatusCode::CONFLICT]),
    ]
}
