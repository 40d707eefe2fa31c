//! What Event Tracker's replies have in common.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::problem::Problem;

/// Why Event Tracker does not answer as asked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTrackerRefusal")]
pub struct Refusal {
    /// False.
    status: bool,
    /// Null.
    response: (),
    error: Texts,
}

/// What went wrong, for its two readers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTrackerError")]
struct Texts {
    /// What kind of problem it is, for the developer.
    internal: String,
    /// What is wrong, and what to send instead.
    external: String,
}

impl Refusal {
    pub(super) fn of(problem: &Problem) -> Self {
        let status = problem.status();
        let error = Texts { internal: status.to_string(), external: problem.to_string() };
        Self { status: false, response: (), error }
    }
}
