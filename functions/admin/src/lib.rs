//! Apps, their keys, sign-in, and everything that no other function serves.

mod apps;
mod auth;
mod dead_letters;
mod description;
mod erase;
mod github;
mod health;
mod issues;
mod keys;
mod recount;
mod rejected;
mod session;
mod settings;
mod signing_keys;
mod time_ahead;
mod views;

use std::sync::Arc;

use axum::Router;
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::routes::{self, Function};
use tally_http::service::Routes;
use tally_service::context::Context;

pub use tally_service::apps::create::{NewApp, create_app};

/// The router of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::Admin, context)
        .serve(&routes::HEALTH, health::health)
        .serve(&routes::DESCRIPTION, description::description)
        .serve(&routes::SIGN_IN, auth::sign_in)
        .serve(&routes::SEISMO_SIGN_IN, auth::sign_in)
        .serve(&routes::READ_SESSION, session::read)
        .serve(&routes::SIGN_OUT, session::sign_out)
        .serve(&routes::LIST_APPS, apps::list)
        .serve(&routes::CREATE_APP, apps::create)
        .serve(&routes::CREATE_NAMED_APP, apps::create)
        .serve(&routes::READ_APP, apps::read)
        .serve(&routes::CHANGE_APP, settings::change)
        .serve(&routes::ERASE_APP, erase::app)
        .serve(&routes::ERASE_EVENTS, erase::events)
        .serve(&routes::ERASE_EVENT, erase::event)
        .serve(&routes::CHANGE_ISSUE, issues::change_one)
        .serve(&routes::AUDIT, recount::audit)
        .serve(&routes::RECOUNT, recount::recount)
        .serve(&routes::LIST_DEAD_LETTERS, dead_letters::list)
        .serve(&routes::LIST_REJECTED, rejected::list)
        .serve(&routes::LIST_KEYS, keys::list)
        .serve(&routes::CREATE_KEY, keys::create)
        .serve(&routes::REVOKE_KEY, keys::revoke)
        .serve(&routes::LIST_VIEWS, views::list)
        .serve(&routes::SAVE_VIEW, views::save)
        .serve(&routes::DELETE_VIEW, views::delete)
        .serve(&routes::ROTATE_SIGNING_KEY, signing_keys::rotate)
        .finish()
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = vec![health::health_operation(schemas), description::description_operation()];
    operations.extend(auth::sign_in_operations(schemas));
    operations.push(session::read_operation(schemas));
    operations.push(session::sign_out_operation());
    operations.push(apps::list_operation(schemas));
    operations.extend(apps::create_operations(schemas));
    operations.push(apps::read_operation(schemas));
    operations.push(settings::change_operation(schemas));
    operations.push(erase::app_operation(schemas));
    operations.push(erase::events_operation(schemas));
    operations.push(erase::event_operation());
    operations.push(issues::change_operation(schemas));
    operations.extend(recount::operations(schemas));
    operations.push(dead_letters::list_operation(schemas));
    operations.push(rejected::list_operation(schemas));
    operations.push(keys::list_operation(schemas));
    operations.push(keys::create_operation(schemas));
    operations.push(keys::revoke_operation());
    operations.extend(views::operations(schemas));
    operations.push(signing_keys::rotate_operation(schemas));
    operations
}
