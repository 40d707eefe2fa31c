//! `GET /health`

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;

/// How it is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub(crate) struct Reply {
    /// `ok`
    status: &'static str,
}

/// Whether the store answers: it is asked for the public keys, a few small items that every sign-in needs.
pub(crate) async fn health(State(context): Shared, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    match context.store.public_keys(context.clock.now()).await {
        Ok(_) => json(StatusCode::OK, &Reply { status: "ok" }),
        Err(error) => {
            tracing::warn!(%error, "the store does not answer");
            Err(Problem::Upstream("the store does not answer".to_owned()))
        }
    }
}
