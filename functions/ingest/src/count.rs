//! `POST /apps/{app}/count…`: occurrences without a body.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use tally::event::{Draft, MAX_COUNT};
use tally::http::access::{Target, TimeLeft};
use tally::http::problem::Problem;
use tally::http::query::Params;
use tally::http::service::Shared;

use crate::accept::accept;
use crate::events::created;

pub(crate) async fn count(
    backend: Shared,
    target: Target,
    left: TimeLeft,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    send(backend, target, left, query, None).await
}

pub(crate) async fn count_path(
    backend: Shared,
    target: Target,
    left: TimeLeft,
    Path((_, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    send(backend, target, left, query, Some(&path)).await
}

async fn send(
    State(backend): Shared,
    Target(app): Target,
    left: TimeLeft,
    query: Option<String>,
    path: Option<&str>,
) -> Result<Response, Problem> {
    let mut params = Params::parse(query.as_deref());
    let (path_name, path_n) = path.map_or((None, None), name_and_n);
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
    Ok(created(&app, accept(&backend, &app, vec![Ok(draft)], left.deadline()).await?))
}

/// A last segment of digits is the number, all before it the name.
fn name_and_n(path: &str) -> (Option<String>, Option<String>) {
    match path.rsplit_once('/') {
        Some((name, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
            (Some(name.to_owned()), Some(n.to_owned()))
        }
        _ => (Some(path.to_owned()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_of_digits_is_the_number() {
        let split = |path: &str| {
            let (name, n) = name_and_n(path);
            format!("{} {}", name.unwrap_or_default(), n.unwrap_or_default())
        };
        assert_eq!(split("login"), "login ");
        assert_eq!(split("login/3"), "login 3");
        assert_eq!(split("resource/209/2"), "resource/209 2");
        assert_eq!(split("404"), "404 ");
        assert_eq!(split("a/b"), "a/b ");
    }
}
