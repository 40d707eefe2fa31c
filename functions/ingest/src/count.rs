//! `POST /apps/{app}/count…`: occurrences without a body.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use tally_core::event::MAX_COUNT;
use tally_core::event::draft::Draft;
use tally_http::guard::{Target, TimeLeft};
use tally_http::name_in_path::name_and_number;
use tally_http::parameters::Params;
use tally_http::problem::Problem;
use tally_http::runtime::Shared;

use crate::accept::accept;
use crate::events::created;

pub(crate) async fn count(
    context: Shared,
    target: Target,
    left: TimeLeft,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    send(context, target, left, query, None).await
}

pub(crate) async fn count_path(
    context: Shared,
    target: Target,
    left: TimeLeft,
    Path((_, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    send(context, target, left, query, Some(&path)).await
}

async fn send(
    State(context): Shared,
    Target(app): Target,
    left: TimeLeft,
    query: Option<String>,
    path: Option<&str>,
) -> Result<Response, Problem> {
    let mut params = Params::parse(query.as_deref());
    let (path_name, path_n) = match path.map(name_and_number) {
        Some((name, n)) => (Some(name.to_owned()), n.map(str::to_owned)),
        None => (None, None),
    };
    let mut once = |field: &str, in_path: Option<String>| {
        let in_query = params.text(field);
        if in_query.is_some() && in_path.is_some() {
            params.add(field, "stands in the path already: send it once");
        }
        in_path.or(in_query)
    };
    let name = once("name", path_name);
    let n = once("n", path_n);
    let count = n.map(|n| n.parse().unwrap_or(0));
    if name.is_none() {
        params.add("name", "missing: say what to count");
    }
    if count.is_some_and(|count: u64| !(1..=MAX_COUNT).contains(&count)) {
        params.add("n", format!("must be a whole number from 1 to {MAX_COUNT}"));
    }
    let draft = Draft { name, count, id: params.text("id"), timestamp: params.parsed("timestamp"), ..Draft::default() };
    params.finish()?;
    Ok(created(&app, accept(&context, &app, vec![Ok(draft)], left.deadline()).await?))
}
