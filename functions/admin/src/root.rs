//! `GET /` and `GET /openapi.json`

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use schemars::JsonSchema;
use serde::Serialize;
use tally_http::openapi::JSON;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};

/// What this is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "About")]
pub(crate) struct Reply {
    name: &'static str,
    version: &'static str,
}

pub(crate) async fn root(RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    json(StatusCode::OK, &Reply { name: "tally", version: env!("CARGO_PKG_VERSION") })
}

/// The description of the API, as the crate `openapi` makes it of what the functions say; a test holds it to that.
const DESCRIPTION: &str = include_str!("../openapi.json");

pub(crate) async fn description(RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    // It changes with releases alone.
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, "public, max-age=300")];
    Ok((StatusCode::OK, headers, DESCRIPTION).into_response())
}
