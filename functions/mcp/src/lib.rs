//! The Model Context Protocol: tools by which a language model asks the API, with the credential of a person.
//!
//! The protocol is written by hand. The library `rmcp` answers each message in tasks that it spawns, which may end after the
//! reply; a function on Lambda is frozen by then.

mod answers;
mod api;
mod arguments;
mod endpoint;
mod message;
mod refusal;
mod told;
mod tools;
mod version;

use std::sync::Arc;

use axum::{Extension, Router};
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::routes::{self, Function};
use tally_http::service::Routes;
use tally_service::context::Context;

/// The router of this function.
pub fn router(context: Arc<Context>) -> Router {
    let api = api::Api::new(&context);
    Routes::of(Function::Mcp, context).serve_bearers(&routes::MCP, endpoint::mcp).finish().layer(Extension(api))
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![endpoint::operation(schemas)]
}
