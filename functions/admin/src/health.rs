//! `GET /health`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_http::openapi::Operation;
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::HEALTH;
use tally_http::service::Shared;

/// The state of the service.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
struct Health {
    /// `ok`
    status: &'static str,
}

/// Asks the store for the public keys, a few small items that every function reads.
pub(crate) async fn health(State(context): Shared, _: NoQuery) -> Result<Response, Problem> {
    match context.store.public_keys(context.clock.now()).await {
        Ok(_) => json(StatusCode::OK, &Health { status: "ok" }),
        Err(error) => {
            if error.is_transient() {
                tracing::warn!(%error, "the store does not answer");
            } else {
                tracing::error!(%error, "the store answers with an error that does not pass");
            }
            Err(Problem::Upstream("the store does not answer".to_owned()))
        }
    }
}

pub(crate) fn health_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&HEALTH, "health", "Whether the store answers")
        .about("For load balancers and monitors. Takes no credentials.")
        .answers_with::<Health>(schemas, StatusCode::OK, "The store answers.")
        .refuses([StatusCode::SERVICE_UNAVAILABLE])
}
