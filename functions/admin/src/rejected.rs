//! `GET /apps/{app}/rejected`

use std::cmp::Reverse;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::rejected::Reason;
use tally_core::time::Timestamp;
use tally_http::guard::Target;
use tally_http::openapi::Operation;
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::LIST_REJECTED;
use tally_http::service::Shared;
use tally_store::Rejected;

/// The rejected events of an app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RejectedEvents")]
struct RejectedList {
    /// One for each source and reason, the newest first.
    items: Vec<RejectedBody>,
}

/// The rejected events of one source and reason.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RejectedKind")]
struct RejectedBody {
    /// What they came through: `events` for Tally's own interface, else the family of client libraries.
    source: String,
    /// Why they were rejected.
    reason: Reason,
    /// How many there were, at least: warm functions add up and may end before they write.
    count: u64,
    /// When the first came.
    first_at: Timestamp,
    /// When the last came.
    last_at: Timestamp,
    /// What was wrong with one of the last.
    detail: String,
    /// The first 512 bytes of one of the last.
    sample: String,
}

impl From<Rejected> for RejectedBody {
    fn from(rejected: Rejected) -> Self {
        let Rejected { source, reason, count, first_at, last_at, detail, sample } = rejected;
        Self { source, reason, count, first_at, last_at, detail, sample }
    }
}

pub(crate) async fn list(State(context): Shared, Target(app): Target, _: NoQuery) -> Result<Response, Problem> {
    let mut rejected = context.store.rejected(&app.id, context.clock.now()).await?;
    rejected.sort_by_key(|kind| Reverse(kind.last_at));
    json(StatusCode::OK, &RejectedList { items: rejected.into_iter().map(Into::into).collect() })
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&LIST_REJECTED, "listRejected", "Lists rejected events by source and reason")
        .about(
            "Events that were refused for good although their neighbours were stored, or whose sender does not look at the \
             reply. Each kind is kept for 7 days after its last event. Counts are lower bounds and follow within 10 seconds \
             while events keep coming.",
        )
        .answers_with::<RejectedList>(schemas, StatusCode::OK, "The kinds.")
}
