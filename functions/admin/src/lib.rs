//! Apps, their keys, sign-in, and everything that no other function serves.

mod apps;
mod attempts;
mod auth;
mod dead_letters;
mod description;
mod erase;
mod github;
mod health;
mod keys;
mod recount;
mod root;
mod settings;
mod signing_keys;

use std::sync::Arc;

use axum::Router;
use http::Method;
use tally_http::routes::Function;
use tally_http::runtime::Routes;
use tally_service::context::Context;

/// The routes of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::Admin, context)
        .on(Method::GET, "/", root::root)
        .on(Method::GET, "/health", health::health)
        .on(Method::GET, "/openapi.json", root::description)
        .on(Method::POST, "/auth", auth::sign_in)
        .on(Method::POST, "/seismo/auth", auth::sign_in)
        .on(Method::GET, "/apps", apps::list)
        .on(Method::POST, "/apps", apps::create)
        .on(Method::GET, "/apps/{app}", apps::read)
        .on(Method::POST, "/apps/{app}", apps::create_named)
        .on(Method::PATCH, "/apps/{app}", settings::change)
        .on(Method::DELETE, "/apps/{app}", erase::app)
        .on(Method::DELETE, "/apps/{app}/events", erase::events)
        .on(Method::DELETE, "/apps/{app}/events/{id}", erase::event)
        .on(Method::GET, "/apps/{app}/keys", keys::list)
        .on(Method::POST, "/apps/{app}/keys", keys::create)
        .on(Method::DELETE, "/apps/{app}/keys/{key_id}", keys::revoke)
        .on(Method::POST, "/signing-keys", signing_keys::rotate)
        .on(Method::POST, "/apps/{app}/audit", recount::audit)
        .on(Method::POST, "/apps/{app}/recount", recount::recount)
        .on(Method::GET, "/apps/{app}/dead-letters", dead_letters::list)
        .finish()
}

pub use description::operations;
pub use tally_service::new_app::{NewApp, make};
