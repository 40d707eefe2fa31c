//! The name and version of the server.

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_http::problem::{Problem, json};

/// The name and version of the server.
#[derive(Serialize, JsonSchema)]
pub(crate) struct About {
    name: &'static str,
    version: &'static str,
}

pub(crate) fn about() -> Result<Response, Problem> {
    json(StatusCode::OK, &About { name: "tally", version: env!("CARGO_PKG_VERSION") })
}
