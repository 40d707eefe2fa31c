//! `POST /seismo/api/events/{app}`

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::value::RawValue;
use tally_core::app::App;
use tally_core::event::MAX_EVENT;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Kind};
use tally_core::invalid::Invalid;
use tally_http::body::{Fields, read as read_all};
use tally_http::compat::seismo::SeismoEvent;
use tally_http::guard::{Target, TimeLeft};
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::apps::create::{NewApp, create_app_on_first_use};
use tally_service::context::Context;

use crate::accept::accept;
use crate::draft::free;
use crate::events::answered;

pub(crate) async fn send(
    State(context): Shared,
    app: Option<Target>,
    left: TimeLeft,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_all(request.into_body(), MAX_EVENT).await?;
    let deadline = left.deadline();
    let draft = read(&body)?;
    let app = match app {
        Some(Target(app)) => app,
        None => deadline.hold(first_use(&context, name.clone(), &draft)).await?,
    };
    let verdicts = accept(&context, &app, vec![Ok(draft)], deadline).await?;
    Ok(answered(verdicts, |event| json(StatusCode::CREATED, &SeismoEvent::new(&name, app.clock, event))))
}

/// Makes an app for its first event, if it is one that an app may have.
async fn first_use(context: &Context, name: String, event: &Draft) -> Result<Arc<App>, Problem> {
    let new = NewApp { name, ..NewApp::default() };
    let now = context.clock.now();
    let app = new.clone().app(1, now, vec![]).map_err(|error| Problem::field("app", error.to_string()))?;
    event.clone().accept(&app, now)?;
    Ok(create_app_on_first_use(&context.apps, new).await?)
}

fn read(body: &[u8]) -> Result<Draft, Invalid> {
    let mut fields = Fields::parse(body)?;
    let mut draft = Draft { data: free(&mut fields, "data"), ..Draft::default() };
    match fields.raw("event") {
        Some(event) => (draft.slug, draft.name) = id_and_name(&mut fields, event),
        None => fields.add("event", "missing: send what happened, as a text or as `{id, event}`"),
    }
    fields.check()?;
    Ok(draft)
}

fn id_and_name(fields: &mut Fields<'_>, event: &RawValue) -> (Option<String>, Option<String>) {
    if json::kind(event) != Kind::Object {
        let name = fields.keep("event", json::string(event));
        if name.as_deref() == Some("") {
            fields.add("event", "empty: say what happened");
        }
        return (None, name);
    }
    let Some(parts) = fields.keep("event", json::object(event)) else { return (None, None) };
    let mut parts = Fields::of(parts);
    let (id, name) = (parts.text("id"), parts.text("event"));
    if name.is_none() {
        parts.add("event", "missing: say what happened");
    }
    if let Err(Invalid(errors)) = parts.check() {
        for error in errors {
            fields.add(&format!("event.{}", error.field), error.detail);
        }
    }
    (id, name)
}
