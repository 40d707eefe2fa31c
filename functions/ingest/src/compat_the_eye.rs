//! The Eye's `POST api/event/`; see [`tally_http::compat::the_eye`].

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use schemars::SchemaGenerator;
use tally_http::body::read;
use tally_http::compat::the_eye::{TheEyeEventInput, TheEyeSuccess};
use tally_http::guard::{Caller, Target, TimeLeft};
use tally_http::openapi::{JSON, Operation};
use tally_http::problem::{Problem, json};
use tally_http::routes::THE_EYE_SEND;
use tally_http::service::Shared;

use crate::accept::{accept_one, intake, key_of};
use crate::body::{MAX_SENT, Raw, decompress, split};
use crate::events::answered;

pub(crate) async fn send(
    State(context): Shared,
    Target(app): Target,
    caller: Caller,
    left: TimeLeft,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let sent = read(body, MAX_SENT).await?;
    let deadline = left.deadline();
    let body = decompress(&parts.headers, sent)?;
    let draft = match split(&parts.headers, &body)? {
        Raw::One(event) => TheEyeEventInput::read(event)?,
        Raw::Many(_) => return Err(Problem::field("", "send one event as a JSON object")),
    };
    let verdicts = accept_one(intake(&context, &app, key_of(&caller), "the-eye", deadline), draft).await?;
    Ok(answered(verdicts, |_| json(StatusCode::CREATED, &TheEyeSuccess { success: true })))
}

pub(crate) fn send_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&THE_EYE_SEND, "sendToTheEye", "The Eye: accepts one event")
        .about("The path may end with a slash, as The Eye's clients send it.")
        .body(JSON, schemas.subschema_for::<TheEyeEventInput>())
        .answers_with::<TheEyeSuccess>(schemas, StatusCode::CREATED, "Stored.")
        .refuses([StatusCode::UNSUPPORTED_MEDIA_TYPE])
}
