//! Why a tool gives no answer, said to who asked: the result of a tool, not an error of the protocol.

use serde_json::Value;
use tally_http::problem::Problem;

/// Why a tool gives no answer.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refusal {
    /// What is wrong, and what to ask instead.
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }

    /// What a problem document of the API says.
    pub(crate) fn of_problem(document: &Value) -> Self {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let errors = document["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fields: Vec<_> =
            errors.iter().map(|error| format!("{}: {}", text(error, "field"), text(error, "detail"))).collect();
        match (fields.is_empty(), text(document, "detail")) {
            (false, _) => Self::new(fields.join("; ")),
            (true, detail) if detail.is_empty() => Self::new("the API gave no answer: try again"),
            (true, detail) => Self::new(detail),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        // The log has what the caller is not told.
        if let Problem::Internal(error) = &problem {
            tracing::error!(error, "a tool failed");
        }
        Self::new(problem.to_string())
    }
}
