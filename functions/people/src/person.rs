//! `GET /apps/{app}/people/{user_id}`

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::PERSON;
use tally_http::service::Shared;
use tally_service::people::identities::known;

/// Most other ids in a reply.
const MAX_IDS: usize = 100;

/// The ids of a person.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Person")]
struct PersonBody<'a> {
    /// The id by which the person counts. It is the one that was asked for, unless that is another id of a user.
    user_id: &'a str,
    /// The other ids of the person, in order.
    anonymous_ids: Vec<&'a str>,
    /// Whether these are all.
    complete: bool,
}

pub(crate) async fn person(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    _: NoQuery,
) -> Result<Response, Problem> {
    let known = known(&context.reads(), &app).await?;
    let user_id = known.identities.person(&id);
    let mut anonymous_ids = known.identities.others(user_id);
    let complete = known.complete && anonymous_ids.len() <= MAX_IDS;
    anonymous_ids.truncate(MAX_IDS);
    json(StatusCode::OK, &PersonBody { user_id, anonymous_ids, complete })
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&PERSON, "readPerson", "Tells the ids of a person")
        .with("{*user_id}", "{user_id}")
        .about(format!(
            "Events tell that ids are of one person, such as the one before signing in. People are counted as one by all of them. At \
             most {MAX_IDS} are told; an id that nothing is known of is answered with itself.",
        ))
        .takes([Parameter::path("user_id", "Any id of the person.", text())])
        .answers_with::<PersonBody<'_>>(schemas, StatusCode::OK, "The ids.")
}
