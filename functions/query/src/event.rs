//! `GET /apps/{app}/events/{id}`

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::SchemaGenerator;
use tally_http::event::{EventBody, read_event};
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::READ_EVENT;
use tally_http::service::Shared;

pub(crate) async fn read(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    Limited(limits): Limited,
    _: NoQuery,
) -> Result<Response, Problem> {
    let event = read_event(&context, &app, &limits, &id).await?;
    json(StatusCode::OK, &EventBody::within(&limits, &app.slug, &event))
}

pub(crate) fn read_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&READ_EVENT, "readEvent", "Reads one event, strongly consistent")
        .takes([Parameter::path("id", "The event, by the `id` that Tally gave.", text())])
        .answers_with::<EventBody<'_>>(schemas, StatusCode::OK, "The event.")
}
