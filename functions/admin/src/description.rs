//! `GET /openapi.json`

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use schemars::json_schema;
use tally_http::openapi::{JSON, Operation};
use tally_http::parameters::NoQuery;
use tally_http::routes::DESCRIPTION;

/// The description of the API. The crate `openapi` makes it of the operations of all functions; a
/// test keeps it current. `build.rs` takes out its white space.
const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

pub(crate) async fn description(_: NoQuery) -> Response {
    // It changes only with releases.
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, "public, max-age=300")];
    (StatusCode::OK, headers, DOCUMENT).into_response()
}

pub(crate) fn description_operation() -> Operation {
    let document = json_schema!({"type": "object", "additionalProperties": true});
    Operation::of(&DESCRIPTION, "description", "This description").answers(
        StatusCode::OK,
        "An OpenAPI document.",
        document,
    )
}
