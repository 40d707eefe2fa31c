//! Reads events.

mod cursor;
mod description;
mod list;
mod one;
mod seismo;
mod the_eye;

pub use cursor::{Cursor, CursorError};
pub use list::Asked;

use std::sync::Arc;

use axum::Router;
use http::Method;
use tally_http::routes::Function;
use tally_http::runtime::Routes;
use tally_service::context::Context;

pub use description::operations;

/// The routes of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::Query, context)
        .on(Method::GET, "/apps/{app}/events", list::list)
        .on(Method::GET, "/apps/{app}/events/{id}", one::read)
        .on(Method::GET, "/seismo/api/events/{app}", seismo::list)
        .on(Method::GET, "/the-eye/{key}/api/event", the_eye::list)
        .finish()
}
