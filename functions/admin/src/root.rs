//! `GET /` and `GET /openapi.json`

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_http::openapi::{JSON, Operation};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::{DESCRIPTION, ROOT};

/// The name and version of the server.
#[derive(Serialize, JsonSchema)]
struct About {
    name: &'static str,
    version: &'static str,
}

pub(crate) async fn root(_: NoQuery) -> Result<Response, Problem> {
    json(StatusCode::OK, &About { name: "tally", version: env!("CARGO_PKG_VERSION") })
}

pub(crate) fn root_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&ROOT, "about", "Name and version").answers_with::<About>(schemas, StatusCode::OK, "Tally.")
}

/// The description of the API. The crate `openapi` makes it of the operations of all functions; a test keeps it current.
const DOCUMENT: &str = include_str!("../openapi.json");

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
