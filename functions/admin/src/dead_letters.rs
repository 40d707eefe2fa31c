//! `GET /apps/{app}/dead-letters`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::time::Timestamp;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter};
use tally_http::parameters::{FromQuery, Params, Query};
use tally_http::problem::{Problem, json};
use tally_http::reply::Room;
use tally_http::routes::LIST_DEAD_LETTERS;
use tally_http::service::Shared;
use tally_store::DeadLetter;

/// Longest `next`: a sort key of DynamoDB.
const MAX_NEXT: usize = 1_024;

/// A page of dead letters.
#[derive(Serialize, JsonSchema)]
struct DeadLetterPage {
    items: Vec<DeadLetterBody>,
    /// The parameter `next` of the next page; null on the last.
    next: Option<String>,
}

/// A record of the stream that could not be counted; a recount of its day repairs the counts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
struct DeadLetterBody {
    stream_shard: String,
    sequence_number: String,
    /// The keys of its item.
    keys: String,
    /// Why it could not be counted.
    error: String,
    /// When it was found.
    at: Timestamp,
}

impl From<DeadLetter> for DeadLetterBody {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { stream_shard, sequence_number, keys, error, at } = letter;
        Self { stream_shard, sequence_number, keys, error, at }
    }
}

/// Where a page begins.
pub(crate) struct After(Option<String>);

impl FromQuery for After {
    fn read(params: &mut Params, _: Timestamp) -> Option<Self> {
        let after = params.text_of("next", "cursor");
        if after.as_ref().is_some_and(|after| after.len() > MAX_NEXT) {
            params.add("next", "send the `next` of the previous page as it is");
        }
        Some(Self(after))
    }
}

pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    Query(After(after)): Query<After>,
) -> Result<Response, Problem> {
    let (letters, mut next) = context.store.list_dead_letters(Some(&app.id), after.as_deref()).await?;
    let mut room = Room::default();
    let mut items: Vec<DeadLetterBody> = Vec::new();
    let mut last = None;
    for letter in letters {
        let position = letter.position();
        let body = letter.into();
        if !room.take(&body)? {
            next = last;
            break;
        }
        items.push(body);
        last = Some(position);
    }
    json(StatusCode::OK, &DeadLetterPage { items, next })
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    let next = json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_NEXT});
    Operation::of(&LIST_DEAD_LETTERS, "listDeadLetters", "Lists the records of the stream that could not be counted")
        .takes([Parameter::query("next", "The `next` of the previous page.", next)])
        .answers_with::<DeadLetterPage>(schemas, StatusCode::OK, "A page of records.")
}
