//! `GET /`

use axum::extract::RawQuery;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tally::http::problem::{Problem, json};
use tally::http::query::Params;

#[derive(Serialize)]
struct Reply {
    name: &'static str,
    version: &'static str,
}

pub(crate) async fn root(RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    json(StatusCode::OK, &Reply { name: "tally", version: env!("CARGO_PKG_VERSION") })
}
