//! What people say about an issue, in replies.

use schemars::JsonSchema;
use serde::Serialize;
use tally_core::issue::{Issue, IssueState, State, Until};
use tally_core::time::Timestamp;

/// The one value of `resolved_in`.
pub const NEXT_RELEASE: &str = "next release";

/// What people say about an issue.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IssueState")]
pub struct IssueStateBody {
    /// `open`, `resolved` or `ignored`.
    #[schemars(extend("enum" = ["open", "resolved", "ignored"]))]
    state: &'static str,
    /// Whether it occurred again after it was resolved.
    regressed: bool,
    /// The time of the event that opened it again; null where none did.
    regressed_at: Option<Timestamp>,
    /// Since when it is resolved; null where it is not.
    resolved_at: Option<Timestamp>,
    /// `next release` where events of releases that were known when it was resolved do not open it; otherwise null.
    resolved_in: Option<&'static str>,
    /// Until when it is ignored; null where that is not known, or where it is not ignored.
    ignored_until: Option<Timestamp>,
    /// The occurrences after which it is open again; null where it is not ignored until a count.
    ignored_for: Option<u64>,
}

impl IssueStateBody {
    /// The state of an issue at a time.
    pub fn of(issue: &Issue, now: Timestamp) -> Self {
        let state = issue.state_at(now);
        let (resolved_at, next_release) = match &issue.state {
            State::Resolved { at, next_release } => (Some(*at), *next_release),
            _ => (None, false),
        };
        let until = match &issue.state {
            State::Ignored { until, .. } if state == IssueState::Ignored => Some(until),
            _ => None,
        };
        Self {
            state: state.name(),
            regressed: issue.regressed_at.is_some(),
            regressed_at: issue.regressed_at,
            resolved_at,
            resolved_in: next_release.then_some(NEXT_RELEASE),
            ignored_until: match until {
                Some(Until::Time(time)) => Some(*time),
                _ => None,
            },
            ignored_for: match until {
                Some(Until::Count { left, .. }) => Some(*left),
                _ => None,
            },
        }
    }
}
