//! What Seismo's replies have in common.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::problem::Problem;

/// Why Seismo does not answer as asked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SeismoRefusal")]
pub struct Refusal {
    /// What is wrong, and what to send instead.
    message: String,
}

impl Refusal {
    pub(super) fn of(problem: &Problem) -> Self {
        Self { message: problem.to_string() }
    }
}
