//! `GET /apps/{app}/events/{id}`

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tally_http::event::EventBody;
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;

pub(crate) async fn read(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    // What cannot be an id is the id of nothing.
    let event = match id.parse() {
        Ok(id) => context.store.get_event(&app, id, context.clock.now()).await?,
        Err(_) => None,
    };
    let event = event.ok_or_else(|| Problem::NotFound("there is no such event in this app".to_owned()))?;
    json(StatusCode::OK, &EventBody::new(&app.slug, &event))
}
