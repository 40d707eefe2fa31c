//! `GET /assets/{version}/{*path}`

use axum::extract::Path;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use schemars::json_schema;
use tally_http::openapi::{Operation, Parameter, ReplyDescription, text};
use tally_http::problem::Problem;
use tally_http::routes::ASSET;

use crate::files::Files;

/// A version never changes.
const CACHING: &str = "public, max-age=31536000, immutable";

pub(crate) fn asset(
    files: &dyn Files,
    Path((version, path)): &Path<(String, String)>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let file = files.file(version, path);
    let file = file.ok_or_else(|| {
        Problem::NotFound("no such file in the version of the page that this server has: load `/` again".to_owned())
    })?;
    Ok(file.reply(headers, CACHING))
}

pub(crate) fn asset_operation() -> Operation {
    let reply = ReplyDescription {
        status: StatusCode::OK,
        about: "The file. Caches may keep it for a year.",
        content: vec![("*/*", json_schema!({"type": "string"}))],
        headers: vec![("ETag", "The version.")],
    };
    Operation::of(&ASSET, "asset", "A file of the page")
        .with("{*path}", "{file}")
        .takes([
            Parameter::path("version", "The version, as the page names it.", text()),
            Parameter::path("file", "The name of the file.", text()),
        ])
        .replies(reply)
        .refuses([StatusCode::NOT_FOUND])
}
