//! Event Tracker's `POST api/events/{EVENT}` and `…/{EVENT}/{NUM}`; see [`tally_http::compat::event_tracker`].

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::SchemaGenerator;
use tally_core::event::draft::Draft;
use tally_http::compat::event_tracker::Envelope;
use tally_http::guard::{Caller, Target, TimeLeft};
use tally_http::name_in_path::name_and_number;
use tally_http::openapi::Operation;
use tally_http::problem::{Problem, json};
use tally_http::routes::EVENT_TRACKER_COUNT;
use tally_http::service::Shared;

use crate::accept::{intake, key_of};
use crate::count::{name_in_path, number_in_path};
use crate::events::answered;

pub(crate) async fn count(
    State(context): Shared,
    Target(app): Target,
    caller: Caller,
    left: TimeLeft,
    Path((_, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (name, number) = name_and_number(&path);
    // A number that is too large to parse is refused as one out of range.
    let count = number.map(|number| number.parse().unwrap_or(0));
    let draft = Draft { name: Some(name.to_owned()), count, ..Draft::default() };
    let verdict = intake(&context, &app, key_of(&caller), "event-tracker").accept(draft, left.deadline()).await?;
    Ok(answered(verdict, |_| json(StatusCode::CREATED, &Envelope::of(StatusCode::CREATED.as_u16()))))
}

/// Counts a name that begins with `histogram/`, which is no part of the path that the router hands over.
pub(crate) async fn count_histogram(
    context: Shared,
    app: Target,
    caller: Caller,
    left: TimeLeft,
    Path((key, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    count(context, app, caller, left, Path((key, format!("histogram/{path}")))).await
}

pub(crate) fn count_operations(schemas: &mut SchemaGenerator) -> [Operation; 2] {
    let mut operation = |path: &str, id: &str, summary: &str| {
        Operation::of(&EVENT_TRACKER_COUNT, id, summary)
            .with("{*path}", path)
            .takes([name_in_path()])
            .answers_with::<Envelope<u16>>(schemas, StatusCode::CREATED, "Counted: `response` is 201.")
    };
    [
        operation("{name}", "countInEventTracker", "Event Tracker: counts one occurrence of a name"),
        operation("{name}/{n}", "countManyInEventTracker", "Event Tracker: counts occurrences of a name")
            .takes([number_in_path()]),
    ]
}
