//! What The Eye's replies have in common.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::problem::Problem;

/// Why The Eye does not answer as asked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TheEyeRefusal")]
pub struct Refusal {
    /// False.
    success: bool,
    /// What is wrong, and what to send instead.
    detail: String,
}

impl Refusal {
    pub(super) fn of(problem: &Problem) -> Self {
        Self { success: false, detail: problem.to_string() }
    }
}
