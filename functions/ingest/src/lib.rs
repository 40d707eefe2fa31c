//! Accepts events: one, a list, NDJSON, or a mere count.

mod accept;
pub mod body;
pub mod compat;
mod compat_event_tracker;
mod compat_seismo;
mod compat_the_eye;
mod count;
mod draft;
mod events;
pub mod geoip;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::{Router, middleware};
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::routes::{self, Function};
use tally_http::service::{Routes, Shared};
use tally_service::context::Context;

use crate::compat::{PROTOCOLS, Protocols};

/// The router of this function.
pub fn router(context: Arc<Context>) -> Router {
    router_with(context, PROTOCOLS)
}

/// The router of this function with other families of client libraries, for tests of what all families share.
pub fn router_with(context: Arc<Context>, protocols: Protocols) -> Router {
    Routes::of(Function::Ingest, Arc::clone(&context))
        .serve(&routes::SEND_EVENTS, events::send)
        .serve(&routes::COUNT, count::count)
        .serve(&routes::COUNT_NAME, count::count)
        .serve(&routes::SEISMO_SEND, compat_seismo::send)
        .serve(&routes::THE_EYE_SEND, compat_the_eye::send)
        .serve(&routes::EVENT_TRACKER_COUNT, compat_event_tracker::count)
        .serve_beside(
            &routes::EVENT_TRACKER_HISTOGRAM,
            &routes::EVENT_TRACKER_COUNT,
            compat_event_tracker::count_histogram,
        )
        .serve_families(move |context: Shared, request: Request| compat::answer(protocols, context, request))
        .finish()
        .layer(middleware::from_fn_with_state(context, write_rejected))
}

/// Starts the writes of rejected events that are due, also of those that the guard turned away.
async fn write_rejected(State(context): Shared, request: Request, next: Next) -> Response {
    let reply = next.run(request).await;
    context.rejections.write(&context.store, context.clock.now());
    reply
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = vec![events::send_operation(schemas)];
    operations.extend(count::count_operations(schemas));
    operations.push(compat_seismo::send_operation(schemas));
    operations.push(compat_the_eye::send_operation(schemas));
    operations.extend(compat_event_tracker::count_operations(schemas));
    operations
}
