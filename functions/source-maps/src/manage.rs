//! `/apps/{app}/source-maps`

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::source_map::{DebugId, MAX_MAPS};
use tally_core::time::Timestamp;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter, number_or, text};
use tally_http::parameters::{FromQuery, NoQuery, Params, Query};
use tally_http::problem::{Problem, json};
use tally_http::routes::{DELETE_SOURCE_MAP, LIST_SOURCE_MAPS};
use tally_http::service::Shared;
use tally_store::{MapFile, SourceMapItem};

/// Source maps of a page.
const PAGE: u16 = 100;
/// Most source maps of a page.
const MAX_PAGE: u16 = 1_000;

/// A source map.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SourceMap")]
struct MapBody {
    /// What it is known by: a UUID that the minified file has too.
    debug_id: String,
    /// The minified file, by the name that the upload has for it.
    file: String,
    /// Bytes that are stored.
    bytes: u64,
    /// The release that the upload named.
    release: Option<String>,
    /// When it was uploaded last.
    uploaded_at: Timestamp,
    /// From when on it is gone: 90 days after the last upload.
    expires_at: Timestamp,
}

impl From<SourceMapItem> for MapBody {
    fn from(map: SourceMapItem) -> Self {
        Self {
            debug_id: map.debug_id.to_string(),
            expires_at: map.expires_at(),
            file: map.file,
            bytes: map.bytes,
            release: map.release,
            uploaded_at: map.uploaded_at,
        }
    }
}

/// A page of source maps.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SourceMaps")]
struct MapList {
    /// By debug id.
    items: Vec<MapBody>,
    /// Send it as `next` for more; null at the end.
    next: Option<String>,
}

/// Which page.
pub(crate) struct Page {
    after: Option<DebugId>,
    limit: u16,
}

impl FromQuery for Page {
    fn read(params: &mut Params, _: Timestamp) -> Option<Self> {
        let after = params.text_of("next", "cursor").and_then(|text| {
            let id = DebugId::parse(&text).ok_or("send the `next` of the previous page as it is");
            params.keep("next", id)
        });
        let limit = params.number("limit", 1, MAX_PAGE.into()).unwrap_or(PAGE);
        Some(Self { after, limit })
    }
}

/// `GET /apps/{app}/source-maps`
pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    Query(Page { after, limit }): Query<Page>,
) -> Result<Response, Problem> {
    let (maps, next) = context.store.source_maps(&app.id, after, limit, context.clock.now()).await?;
    let items = maps.into_iter().map(MapBody::from).collect();
    json(StatusCode::OK, &MapList { items, next: next.map(|id| id.to_string()) })
}

/// `DELETE /apps/{app}/source-maps/{debug_id}`
pub(crate) async fn delete(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    _: NoQuery,
) -> Result<Response, Problem> {
    let missing = || Problem::NotFound("the app has no such source map: GET its source-maps to list them".to_owned());
    let id = DebugId::parse(&id).ok_or_else(missing)?;
    // The file first: only the item tells of it.
    if context.store.source_map(&app.id, id, context.clock.now()).await?.is_some() {
        context.config.map_files.delete(&MapFile::Map(app.id.clone(), id)).await?;
    }
    if context.store.delete_source_map(&app.id, id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(missing())
    }
}

pub(crate) fn operations(schemas: &mut SchemaGenerator) -> [Operation; 2] {
    let page = [
        Parameter::query("next", "Where the page begins: the `next` of the page before.", text()),
        Parameter::query("limit", "Source maps of the page.", number_or(PAGE.into(), 1, MAX_PAGE.into())),
    ];
    [
        Operation::of(&LIST_SOURCE_MAPS, "listSourceMaps", "Lists an app's source maps")
            .about(format!("An app has at most {MAX_MAPS}. sentry-cli uploads them."))
            .takes(page)
            .answers_with::<MapList>(schemas, StatusCode::OK, "A page of them."),
        Operation::of(&DELETE_SOURCE_MAP, "deleteSourceMap", "Deletes a source map")
            .takes([Parameter::path("debug_id", "The debug id of the source map.", text())])
            .answers_empty(StatusCode::NO_CONTENT, "It is gone."),
    ]
}
