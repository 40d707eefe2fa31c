//! The page: `GET /` and the files that it loads, and the script for other web pages. It holds no right to a table, and links nothing that reaches one.

mod about;
mod accept;
mod assets;
mod embedded;
mod files;
mod page;
mod script;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request};
use http::HeaderMap;
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::routes::{self, Function};
use tally_http::service::PublicRoutes;
use tally_service::config::Config;

use crate::script::Script;

pub use files::{Content, File, Files};

/// The router of this function.
pub fn router(config: Arc<Config>) -> Router {
    router_of(config, &embedded::Folder)
}

/// The router over other files than those that are embedded.
pub fn router_of(config: Arc<Config>, files: &'static dyn Files) -> Router {
    let script = Arc::new(Script::of(&config));
    let (of_umami, of_plausible) = (Arc::clone(&script), Arc::clone(&script));
    PublicRoutes::of(Function::Web, config)
        .serve(&routes::ROOT, async move |request: Request| page::root(files, &request))
        .serve(&routes::ASSET, async move |path: Path<(String, String)>, headers: HeaderMap| {
            assets::asset(files, &path, &headers)
        })
        .serve(&routes::SCRIPT, async move |headers: HeaderMap| script.reply(&headers))
        .serve(&routes::UMAMI_SCRIPT, async move |headers: HeaderMap| of_umami.reply(&headers))
        .serve(&routes::SCRIPT_FILE, async move |Path(name): Path<String>, headers: HeaderMap| {
            of_plausible.named(&name, &headers)
        })
        .finish()
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = vec![page::root_operation(schemas), assets::asset_operation()];
    operations.extend(script::operations());
    operations
}
