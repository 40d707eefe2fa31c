//! Reads events, and what apps use.

mod attributes;
mod compat_seismo;
mod compat_the_eye;
mod cursor;
mod event;
mod events;
mod export;
mod issues;
mod usage;

pub use cursor::Cursor;
pub use events::AskedList;

use std::sync::Arc;

use axum::Router;
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::routes::{self, Function};
use tally_http::rows::in_rows;
use tally_http::service::Routes;
use tally_service::context::Context;

/// The router of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::Query, context)
        .serve(&routes::LIST_EVENTS, in_rows(events::list))
        .serve(&routes::READ_EVENT, event::read)
        .serve(&routes::EXPORT, export::export)
        .serve(&routes::LIST_ATTRIBUTES, attributes::list)
        .serve(&routes::LIST_ISSUES, in_rows(issues::list_all))
        .serve(&routes::READ_ISSUE, issues::read)
        .serve(&routes::SEISMO_LIST, compat_seismo::list)
        .serve(&routes::THE_EYE_LIST, compat_the_eye::list)
        .serve(&routes::APP_USAGE, usage::read)
        .serve(&routes::USAGE, usage::read_all)
        .finish()
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        events::list_operation(schemas),
        event::read_operation(schemas),
        export::operation(schemas),
        attributes::list_operation(schemas),
        issues::list_operation(schemas),
        issues::read_operation(schemas),
        compat_seismo::list_operation(schemas),
        compat_the_eye::list_operation(schemas),
        usage::operation(schemas),
        usage::all_operation(schemas),
    ]
}
