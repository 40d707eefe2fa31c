//! Seismo's `POST api/events/{app}`; see [`tally_http::compat::seismo`].

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use schemars::SchemaGenerator;
use tally_core::app::App;
use tally_core::event::MAX_EVENT;
use tally_core::event::draft::Draft;
use tally_http::body::read;
use tally_http::compat::seismo::{SeismoEvent, SeismoEventInput};
use tally_http::guard::{Caller, Target, TimeLeft};
use tally_http::openapi::{JSON, Operation};
use tally_http::problem::{Problem, json};
use tally_http::routes::SEISMO_SEND;
use tally_http::service::Shared;
use tally_service::apps::create::{NewApp, create_app_on_first_use};
use tally_service::context::Context;

use crate::accept::{accept_one, intake, key_of};
use crate::events::answered;

pub(crate) async fn send(
    State(context): Shared,
    app: Option<Target>,
    caller: Caller,
    left: TimeLeft,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let body = read(request.into_body(), MAX_EVENT).await?;
    let deadline = left.deadline();
    let draft = SeismoEventInput::read(&body)?;
    let app = match app {
        Some(Target(app)) => app,
        None => deadline.hold(first_use(&context, name.clone(), &draft)).await?,
    };
    let verdicts = accept_one(intake(&context, &app, key_of(&caller), "seismo", deadline), draft).await?;
    Ok(answered(verdicts, |event| json(StatusCode::CREATED, &SeismoEvent::new(&name, app.clock, event))))
}

/// Makes an app for its first event, if the app would accept that event.
async fn first_use(context: &Context, name: String, event: &Draft) -> Result<Arc<App>, Problem> {
    let new = NewApp { name, ..NewApp::default() };
    let now = context.clock.now();
    let app = new.clone().app(1, now, vec![]).map_err(|error| Problem::field("app", error.to_string()))?;
    event.clone().accept(&app, now)?;
    Ok(create_app_on_first_use(&context.apps, new).await?)
}

pub(crate) fn send_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&SEISMO_SEND, "seismoSendEvent", "Seismo: accepts one event")
        .about("An admin's token makes the app if it does not exist. Other fields are ignored.")
        .body(JSON, schemas.subschema_for::<SeismoEventInput>())
        .answers_with::<SeismoEvent<'_>>(schemas, StatusCode::CREATED, "The event as it was stored.")
        .refuses([StatusCode::CONFLICT])
}
