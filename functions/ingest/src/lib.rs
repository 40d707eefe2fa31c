//! Takes events in: one, a list, NDJSON, or a mere count.

mod accept;
pub mod body;
mod count;
mod description;
mod draft;
mod event_tracker;
mod events;
mod seismo;
mod the_eye;

use std::sync::Arc;

use axum::Router;
use http::Method;
use tally_http::routes::Function;
use tally_http::runtime::Routes;
use tally_service::context::Context;

pub use description::operations;

/// The routes of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::Ingest, context)
        .on(Method::POST, "/apps/{app}/events", events::send)
        .on(Method::POST, "/apps/{app}/count", count::count)
        .on(Method::POST, "/apps/{app}/count/{*name}", count::count_path)
        .on(Method::POST, "/seismo/api/events/{app}", seismo::send)
        .on(Method::POST, "/the-eye/{key}/api/event", the_eye::send)
        .on(Method::POST, "/event-tracker/{key}/api/events/{*path}", event_tracker::count)
        .finish()
}
