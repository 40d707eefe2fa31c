//! `DELETE /apps/{app}`, `…/events` and `…/events/{id}`

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::{AppSlug, AppState};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::repair::erase::{EraseCursor, EraseTarget, erase_app, erase_events};

/// How far an erasing is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Erasing")]
pub(crate) struct Reply {
    /// How many events this call erased.
    deleted: usize,
    /// Whether all is erased; until then, repeat the call.
    done: bool,
    /// What to repeat the call with.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `DELETE /apps/{app}`
pub(crate) async fn app(
    State(context): Shared,
    Path(app): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    // Read as it is: it may be half erased, and then it is none for everybody else.
    let app = match AppSlug::of_name(&app) {
        Ok(slug) => context.store.get_app(&slug).await?,
        Err(_) => None,
    };
    let app = app.filter(|app| app.state != AppState::Deleted);
    let app = app.ok_or_else(|| Problem::NotFound("there is no such app: GET /apps lists them".to_owned()))?;
    let (deleted, done) = erase_app(&context.store, &context.apps, context.clock.now(), &app).await?;
    json(StatusCode::ACCEPTED, &Reply { deleted, done, next: None })
}

/// `DELETE /apps/{app}/events`
pub(crate) async fn events(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut params = Params::parse(query.as_deref());
    let whose = match (params.text("session_id"), params.text("user_id")) {
        (Some(session), None) => Some(EraseTarget::Session(session)),
        (None, Some(user)) => Some(EraseTarget::User(user)),
        (session, _) => {
            let wrong = if session.is_some() { "send it or `user_id`, not both" } else { "send it or `user_id`" };
            params.add("session_id", wrong);
            None
        }
    };
    let from: EraseCursor = params.parsed("next").unwrap_or_default();
    params.finish()?;
    // Without either, `finish` has ended this.
    let whose = whose.ok_or_else(|| Problem::field("session_id", "send it or `user_id`"))?;
    let (deleted, next) = erase_events(&context.store, &app, &whose, from).await?;
    let reply = Reply { deleted, done: next.is_none(), next: next.map(|place| place.to_string()) };
    json(StatusCode::ACCEPTED, &reply)
}

/// `DELETE /apps/{app}/events/{id}`
pub(crate) async fn event(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    // What cannot be an id is the id of nothing.
    let erased = match id.parse() {
        Ok(id) => context.store.erase_event(&app, id).await?,
        Err(_) => false,
    };
    if erased {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::NotFound("there is no such event in this app".to_owned()))
    }
}
