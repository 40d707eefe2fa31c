//! `POST /apps/{app}/count` and `…/count/{name}`, `…/count/{name}/{n}`: occurrences without a body.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use tally_core::event::draft::Draft;
use tally_core::event::{MAX_COUNT, MAX_TEXT};
use tally_http::event::EventBody;
use tally_http::guard::{Caller, Target, TimeLeft};
use tally_http::name_in_path::name_and_number;
use tally_http::openapi::{Operation, Parameter, TimeInput, number_or};
use tally_http::parameters::Params;
use tally_http::problem::Problem;
use tally_http::routes::{COUNT, COUNT_NAME};
use tally_http::service::Shared;

use crate::accept::{EVENTS, accept_one, intake, key_of};
use crate::events::created;

/// The rest of the path, if there is any.
#[derive(Deserialize)]
pub(crate) struct Counted {
    name: Option<String>,
}

pub(crate) async fn count(
    State(context): Shared,
    Target(app): Target,
    caller: Caller,
    left: TimeLeft,
    Path(counted): Path<Counted>,
    params: Params,
) -> Result<Response, Problem> {
    let (name, n) = counted.name.as_deref().map(name_and_number).unzip();
    let draft = params.read(|params| {
        let name = params.text_or_path("name", name.map(str::to_owned));
        let name = name.filter(|name| !name.is_empty());
        if name.is_none() {
            params.add("name", "missing: send what to count");
        }
        let n = params.text_or_path("n", n.flatten().map(str::to_owned));
        let count = n.map(|n| n.parse().unwrap_or(0));
        if count.is_some_and(|count: u64| !(1..=MAX_COUNT).contains(&count)) {
            params.add("n", format!("must be a whole number from 1 to {MAX_COUNT}"));
        }
        let (id, timestamp) = (params.text("id"), params.parsed("timestamp"));
        Some(Draft { name, count, id, timestamp, ..Draft::default() })
    })?;
    Ok(created(&app, accept_one(intake(&context, &app, key_of(&caller), EVENTS, left.deadline()), draft).await?))
}

pub(crate) fn count_operations(schemas: &mut SchemaGenerator) -> [Operation; 3] {
    let time = schemas.subschema_for::<TimeInput>();
    let id = json_schema!({"type": "string", "maxLength": MAX_TEXT});
    let mut counting = |operation: Operation, name: Parameter, n: Parameter| {
        operation
            .about("Makes one event that stands for `n` occurrences.")
            .takes([name, n])
            .takes([
                Parameter::query("id", "The client's own id, for safe retries; as in an event.", id.clone()),
                Parameter::query("timestamp", "When it happened; now by default.", time.clone()),
            ])
            .answers_with::<EventBody<'_>>(schemas, StatusCode::CREATED, "The event as it was stored.")
    };
    let n = || Parameter::query("n", "Number of occurrences.", number_or(1, 1, MAX_COUNT));
    let one = Operation::of(&COUNT_NAME, "count", "Counts one occurrence of a name").with("{*name}", "{name}");
    let many = Operation::of(&COUNT_NAME, "countMany", "Counts occurrences of a name").with("{*name}", "{name}/{n}");
    [
        counting(
            Operation::of(&COUNT, "countByQuery", "Counts occurrences of a name in the query"),
            Parameter::query("name", "What happened.", name()).required(),
            n(),
        ),
        counting(one, name_in_path(), n()),
        counting(many, name_in_path(), number_in_path()),
    ]
}

fn name() -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_TEXT})
}

/// The path parameter `name`.
pub(crate) fn name_in_path() -> Parameter {
    const ABOUT: &str = "What happened. It may contain slashes, sent as they are: if the last segment is all digits, it is \
                         the number, and the rest is the name.";
    Parameter::path("name", ABOUT, name())
}

/// The path parameter `n`.
pub(crate) fn number_in_path() -> Parameter {
    Parameter::path("n", "Number of occurrences.", number_or(1, 1, MAX_COUNT))
}
