//! `PATCH /apps/{app}/issues/{id}`

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use tally_core::event::group::Group;
use tally_core::issue::IssueState;
use tally_core::time::Timestamp;
use tally_http::body::{Fields, FromFields, JsonBody};
use tally_http::guard::Target;
use tally_http::issue::{IssueStateBody, NEXT_RELEASE};
use tally_http::openapi::{JSON, Operation, Parameter, text};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::CHANGE_ISSUE;
use tally_http::service::Shared;
use tally_service::issues::change::{ChangeError, Verdict, change};

use crate::time_ahead::TimeAhead;

/// Most occurrences that an issue may be ignored for.
const MOST_IGNORED: u64 = 1_000_000_000;
/// What `ignore_until` may be.
const IGNORE_UNTIL: &str = "must be a time after now and within 10 years, such as 2027-01-31T12:00:00Z, a length of time such as `1h`, \
     or a number of occurrences from 1 to 1,000,000,000";

/// The state of an issue after a change.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChangedIssue")]
struct ChangedIssue {
    /// The issue.
    id: String,
    #[serde(flatten)]
    state: IssueStateBody,
}

/// What someone says about an issue, as it was sent.
pub(crate) struct IssueChange {
    state: IssueState,
    until: Option<Ignored>,
    next_release: bool,
}

/// Until when an issue is to be ignored.
enum Ignored {
    Time(TimeAhead),
    Times(u64),
}

pub(crate) async fn change_one(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    _: NoQuery,
    JsonBody(asked): JsonBody<IssueChange>,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let verdict = asked.verdict(now)?;
    // A text that cannot be an id is the id of no issue.
    let group: Group = id.parse().map_err(|_| Problem::NotFound(ChangeError::Unknown.to_string()))?;
    let stored = change(&context.store, &context.clock, &app, group, &verdict).await.map_err(|error| match error {
        ChangeError::Unknown => Problem::NotFound(error.to_string()),
        ChangeError::Contention => Problem::Conflict(error.to_string()),
        ChangeError::Store(error) => error.into(),
    })?;
    json(StatusCode::OK, &ChangedIssue { id: group.to_string(), state: IssueStateBody::of(&stored.issue, now) })
}

impl IssueChange {
    fn verdict(&self, now: Timestamp) -> Result<Verdict, Problem> {
        let until = match &self.until {
            None => None,
            Some(Ignored::Times(times)) => Some(Verdict::IgnoredFor(*times)),
            Some(Ignored::Time(time)) => {
                let at = time.after(now).ok_or_else(|| Problem::field("ignore_until", IGNORE_UNTIL))?;
                Some(Verdict::IgnoredUntil(at))
            }
        };
        Ok(match self.state {
            IssueState::Open => Verdict::Open,
            IssueState::Resolved => Verdict::Resolved { next_release: self.next_release },
            IssueState::Ignored => until.unwrap_or(Verdict::Ignored),
        })
    }
}

impl FromFields for IssueChange {
    const HINT: &'static str = "a change of an issue has state, ignore_until and resolved_in";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let state = fields.text("state");
        let known = state.as_ref().and_then(|text| IssueState::NAMES.into_iter().find(|(name, _)| name == text));
        if known.is_none() {
            let what = if state.is_none() { "missing: send" } else { "must be" };
            fields.add("state", format!("{what} open, resolved or ignored"));
        }
        let state = known.map(|(_, state)| state);
        let until = fields.raw("ignore_until").and_then(|raw| read_until(fields, raw));
        let next_release = fields.choice("resolved_in", &[(NEXT_RELEASE, true)]);
        let state = state?;
        if until.is_some() && state != IssueState::Ignored {
            fields.add("ignore_until", "only applies to `\"state\": \"ignored\"`: remove it");
        }
        if next_release.is_some() && state != IssueState::Resolved {
            fields.add("resolved_in", "only applies to `\"state\": \"resolved\"`: remove it");
        }
        Some(Self { state, until, next_release: next_release.unwrap_or(false) })
    }
}

fn read_until(fields: &mut Fields<'_>, raw: &RawValue) -> Option<Ignored> {
    if raw.get() == "null" {
        return None;
    }
    if let Ok(number) = raw.get().parse::<u64>() {
        if (1..=MOST_IGNORED).contains(&number) {
            return Some(Ignored::Times(number));
        }
        fields.add("ignore_until", IGNORE_UNTIL);
        return None;
    }
    if !raw.get().starts_with('"') {
        fields.add("ignore_until", IGNORE_UNTIL);
        return None;
    }
    TimeAhead::read(fields, "ignore_until", raw).map(Ignored::Time)
}

pub(crate) fn change_operation(schemas: &mut SchemaGenerator) -> Operation {
    let body = json_schema!({
        "type": "object",
        "properties": {
            "state": {"description": "`open`, `resolved` or `ignored`.", "enum": ["open", "resolved", "ignored"]},
            "ignore_until": {
                "description": "With `ignored`: a time, a length of time such as `1h`, or the number of occurrences after which it is \
                    open again. By default it stays ignored.",
                "type": ["string", "integer", "null"], "minimum": 1, "maximum": MOST_IGNORED,
                "examples": ["1h", 100],
            },
            "resolved_in": {
                "description": "With `resolved`: `next release`, so that events of releases that are known by now do not open it.",
                "enum": [NEXT_RELEASE, "", null],
            },
        },
        "required": ["state"],
        "additionalProperties": false,
    });
    Operation::of(&CHANGE_ISSUE, "changeIssue", "Resolves, ignores or opens an issue")
        .about("An issue that occurs again after it was resolved is open, and regressed.")
        .takes([Parameter::path("id", "The issue.", text())])
        .body(JSON, body)
        .answers_with::<ChangedIssue>(schemas, StatusCode::OK, "Its state after the change.")
        .refuses([StatusCode::CONFLICT])
}
