//! `DELETE /apps/{app}`, `…/events` and `…/events/{id}`

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::app::{AppSlug, AppState};
use tally_core::time::Timestamp;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::parameters::{FromQuery, NoQuery, Params, Query};
use tally_http::problem::{Problem, json};
use tally_http::routes::{ERASE_APP, ERASE_EVENT, ERASE_EVENTS};
use tally_http::service::Shared;
use tally_service::repair::erase::{EraseCursor, EraseTarget, erase_app, erase_events};

/// The progress of an erasure.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Erasing")]
struct ErasureProgress {
    /// The number of events that this call erased.
    deleted: usize,
    /// Whether everything is erased; until then, repeat the call.
    done: bool,
    /// The parameter `next` of the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `DELETE /apps/{app}`
pub(crate) async fn app(State(context): Shared, Path(app): Path<String>, _: NoQuery) -> Result<Response, Problem> {
    // Read here and not by the guard: an app that is half erased no longer exists for other routes.
    let app = match AppSlug::of_name(&app) {
        Ok(slug) => context.store.get_app(&slug).await?,
        Err(_) => None,
    };
    let app = app.filter(|app| app.state != AppState::Deleted);
    let app = app.ok_or_else(|| Problem::NotFound("no such app: GET /apps lists the apps".to_owned()))?;
    let (deleted, done) =
        erase_app(&context.store, (&context.apps, &context.config.map_files), context.clock.now(), &app).await?;
    json(StatusCode::ACCEPTED, &ErasureProgress { deleted, done, next: None })
}

/// The events to erase, and where to continue.
pub(crate) struct EraseQuery {
    whose: EraseTarget,
    from: EraseCursor,
}

impl FromQuery for EraseQuery {
    fn read(params: &mut Params, _: Timestamp) -> Option<Self> {
        let whose = match (params.text("session_id"), params.text("user_id")) {
            (Some(session), None) => Some(EraseTarget::Session(session)),
            (None, Some(user)) => Some(EraseTarget::User(user)),
            (session, _) => {
                let wrong = if session.is_some() { "send it or `user_id`, not both" } else { "send it or `user_id`" };
                params.add("session_id", wrong);
                None
            }
        };
        let from = params.text_of("next", "cursor");
        let from = from.and_then(|from| params.keep("next", from.parse())).unwrap_or_default();
        Some(Self { whose: whose?, from })
    }
}

/// `DELETE /apps/{app}/events`
pub(crate) async fn events(
    State(context): Shared,
    Target(app): Target,
    Query(EraseQuery { whose, from }): Query<EraseQuery>,
) -> Result<Response, Problem> {
    let (deleted, next) = erase_events(&context.store, &app, &whose, context.clock.now(), from).await?;
    let reply = ErasureProgress { deleted, done: next.is_none(), next: next.map(|place| place.to_string()) };
    json(StatusCode::ACCEPTED, &reply)
}

/// `DELETE /apps/{app}/events/{id}`
pub(crate) async fn event(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    _: NoQuery,
) -> Result<Response, Problem> {
    // A text that cannot be an id is the id of no event.
    let erased = match id.parse() {
        Ok(id) => context.store.erase_event(&app, id).await?,
        Err(_) => false,
    };
    if erased {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::NotFound("the app has no such event".to_owned()))
    }
}

pub(crate) fn app_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&ERASE_APP, "eraseApp", "Erases an app and all its data")
        .about(
            "Works for at most 20 seconds per call: repeat it until `done`, which takes some minutes. Within a minute of \
             the first call all other routes treat the app as absent, and its keys stop working.",
        )
        .answers_with::<ErasureProgress>(schemas, StatusCode::ACCEPTED, "The progress.")
        .refuses([StatusCode::NOT_FOUND])
}

pub(crate) fn events_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&ERASE_EVENTS, "eraseEvents", "Erases the events of a session or a user")
        .about("Works for at most 20 seconds per call: repeat it with `next` until `done`. The counters follow.")
        .takes([
            Parameter::query("session_id", "The session. Either this or `user_id` is required.", text()),
            Parameter::query("user_id", "The user. Either this or `session_id` is required.", text()),
            Parameter::query("next", "The `next` of the previous reply.", text()),
        ])
        .answers_with::<ErasureProgress>(schemas, StatusCode::ACCEPTED, "The progress.")
}

pub(crate) fn event_operation() -> Operation {
    Operation::of(&ERASE_EVENT, "eraseEvent", "Erases one event")
        .takes([Parameter::path("id", "The event, by the `id` that Tally gave.", text())])
        .answers_empty(StatusCode::NO_CONTENT, "The event is erased; the counters follow.")
}
