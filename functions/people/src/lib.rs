//! What people did, from their events: sessions, visits, funnels, retention, what came next, and the numbers that events bring.

mod answer;
mod funnel_input;
mod funnel_people;
mod funnels;
mod next;
mod numbers;
mod person;
mod retention;
mod session_statistics;
mod sessions;
mod web;

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
    Routes::of(Function::People, context)
        .serve(&routes::LIST_SESSIONS, in_rows(sessions::list))
        .serve(&routes::PERSON, person::person)
        .serve(&routes::SESSION_STATISTICS, in_rows(session_statistics::statistics))
        .serve(&routes::WEB_STATISTICS, web::statistics)
        .serve(&routes::FUNNEL, funnels::funnel)
        .serve(&routes::FUNNEL_PEOPLE, funnel_people::people)
        .serve(&routes::RETENTION, retention::retention)
        .serve(&routes::WHAT_NEXT, in_rows(next::next))
        .serve(&routes::NUMBERS, in_rows(numbers::numbers))
        .finish()
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        sessions::operation(schemas),
        person::operation(schemas),
        session_statistics::operation(schemas),
        web::operation(schemas),
        funnels::operation(schemas),
        funnel_people::operation(schemas),
        retention::operation(schemas),
        next::operation(schemas),
        numbers::operation(schemas),
    ]
}
