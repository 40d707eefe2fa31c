//! Source maps: takes them from sentry-cli, lists them, and shows the stacks of events with them.

mod assemble;
mod bundle;
mod cache;
mod chunks;
mod manage;
mod original;
mod stack;
mod weight;

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use axum::{Extension, Router, middleware};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, USER_AGENT};
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::problem::PROBLEM_JSON;
use tally_http::routes::{self, Function};
use tally_http::service::Routes;
use tally_service::context::Context;

use crate::cache::Cache;

/// The router of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::SourceMaps, context)
        .serve(&routes::UPLOAD_SETTINGS, chunks::settings)
        .serve(&routes::UPLOAD_CHUNKS, chunks::upload)
        .serve(&routes::ASSEMBLE_BUNDLE, assemble::assemble)
        .serve(&routes::LIST_SOURCE_MAPS, manage::list)
        .serve(&routes::DELETE_SOURCE_MAP, manage::delete)
        .serve(&routes::READ_STACK, stack::read)
        .finish()
        .layer(Extension(Arc::new(Cache::default())))
        .layer(middleware::from_fn(plain_to_cli))
}

/// Calls the problems of sentry-cli plain JSON: of any other media type it shows only the status.
async fn plain_to_cli(request: Request, next: Next) -> Response {
    let agent = request.headers().get(USER_AGENT);
    let is_cli = agent.is_some_and(|agent| agent.as_bytes().starts_with(b"sentry-cli/"));
    let mut reply = next.run(request).await;
    if is_cli && reply.headers().get(CONTENT_TYPE).is_some_and(|media_type| media_type == PROBLEM_JSON) {
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    reply
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = vec![stack::operation(schemas)];
    operations.extend(manage::operations(schemas));
    operations.extend(chunks::operations());
    operations.push(assemble::operation(schemas));
    operations
}
