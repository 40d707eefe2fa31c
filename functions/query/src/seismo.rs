//! `GET /seismo/api/events/{app}`

use std::collections::BTreeMap;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::header::LINK;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use tally_core::invalid::Invalid;
use tally_http::compat::seismo::SeismoEvent;
use tally_http::guard::Target;
use tally_http::parameters::{Params, credential};
use tally_http::problem::{Problem, json};
use tally_http::runtime::{Shared, origin};
use tally_service::read::reader::read_page;

use crate::list::{Asked, cut};

/// Most events in a reply.
pub(crate) const MAX_EVENTS: usize = 10_000;

pub(crate) async fn list(
    State(context): Shared,
    app: Option<Target>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = translate(query.as_deref())?;
    let Some(Target(app)) = app else {
        return json(StatusCode::OK, &[(); 0]);
    };
    let mut asked = Asked::of(params, &app, context.clock.now())?;
    asked.query.limit = MAX_EVENTS;
    let mut page = read_page(&context.store, &context.clock, context.config.read_budget, &app, &asked.query).await?;
    cut(&mut page, |event| serde_json::to_vec(&SeismoEvent::new(&name, app.clock, event)))?;
    let events: Vec<_> = page.events.iter().map(|event| SeismoEvent::new(&name, app.clock, event)).collect();
    let mut reply = json(StatusCode::OK, &events)?;
    if let Some(next) = page.next {
        // With the credential, where the query holds it.
        let params = [("cursor".to_owned(), asked.cursor(&app, next).encode())];
        let params = params.into_iter().chain(credential(query.as_deref()));
        let params = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let link = format!("<{}{}?{params}>; rel=\"next\"", origin(&headers, &context.config), uri.path());
        let link = HeaderValue::try_from(link).map_err(|e| Problem::Internal(e.to_string()))?;
        reply.headers_mut().insert(LINK, link);
    }
    Ok(reply)
}

/// Seismo's parameters as those of the list of events.
fn translate(query: Option<&str>) -> Result<Params, Invalid> {
    let mut sent = Params::parse(query);
    let mut params = BTreeMap::from([("order".to_owned(), "asc".to_owned())]);
    for (theirs, ours) in [("event", "name"), ("id", "slug"), ("date", "date"), ("cursor", "cursor")] {
        params.extend(sent.text(theirs).map(|value| (ours.to_owned(), value)));
    }
    sent.check()?;
    Ok(Params::of(&params))
}
