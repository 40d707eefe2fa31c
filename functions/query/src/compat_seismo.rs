//! Seismo's `GET api/events/{app}`; see [`tally_http::compat::seismo`].

use axum::extract::{Path, State};
use axum::response::Response;
use http::header::LINK;
use http::{HeaderMap, StatusCode, Uri};
use schemars::{SchemaGenerator, json_schema};
use tally_http::compat::seismo::{SeismoEvent, list_params};
use tally_http::guard::Target;
use tally_http::openapi::{DayInput, JSON, Operation, Parameter, ReplyDescription, text};
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::routes::SEISMO_LIST;
use tally_http::service::{Shared, origin};
use tally_service::read::reader::read_page;

use crate::events::{AskedList, cut};

/// Most events in a reply.
const MAX_EVENTS: usize = 10_000;

pub(crate) async fn list(
    State(context): Shared,
    app: Option<Target>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    let params = list_params(params)?;
    let Some(Target(app)) = app else {
        return json(StatusCode::OK, &[(); 0]);
    };
    let mut asked = AskedList::of(params, &app, context.clock.now())?;
    asked.query.limit = MAX_EVENTS;
    let mut page = read_page(&context.reads(), &app, &asked.query).await?;
    cut(&mut page, |room, event| room.take(&SeismoEvent::new(&name, app.clock, event)))?;
    let events: Vec<_> = page.events.iter().map(|event| SeismoEvent::new(&name, app.clock, event)).collect();
    let mut reply = json(StatusCode::OK, &events)?;
    if let Some(next) = page.next {
        reply.headers_mut().insert(LINK, asked.link(&app, next, &origin(&headers, &context.config), &uri)?);
    }
    Ok(reply)
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    let day = schemas.subschema_for::<DayInput>();
    let event = schemas.subschema_for::<SeismoEvent<'_>>();
    Operation::of(&SEISMO_LIST, "seismoListEvents", "Seismo: lists events, the oldest first")
        .about("Filters combine; other parameters are ignored. For users, an app that does not exist has no events.")
        .takes([
            Parameter::query("event", "Only events with this name.", text()),
            Parameter::query("id", "Only events with this slug.", text()),
            Parameter::query("date", "Only events of this day, in UTC.", day),
            Parameter::query("cursor", "Continues after the reply whose `Link` has this cursor.", text()),
        ])
        .replies(ReplyDescription {
            status: StatusCode::OK,
            about: "All events, up to the size limit of a reply.",
            content: vec![(JSON, json_schema!({"type": "array", "items": event, "maxItems": MAX_EVENTS}))],
            headers: vec![("Link", "If there may be more events: their address, with `rel=\"next\"`.")],
        })
}
