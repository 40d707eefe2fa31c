//! `GET /apps/{app}/dead-letters`

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::time::Timestamp;
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_store::DeadLetter;

/// Longest `next`: a sort key of DynamoDB.
pub(crate) const MAX_NEXT: usize = 1_024;

/// A page of what could not be counted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterPage")]
pub(crate) struct Reply {
    items: Vec<Item>,
    /// The parameter `next` of the next page; null where there is none.
    next: Option<String>,
}

/// A record of the stream that could not be counted; a recount of its day mends the counts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetters")]
struct Item {
    stream_shard: String,
    sequence_number: String,
    /// The keys of the item that it is about.
    keys: String,
    /// Why it could not be counted.
    error: String,
    /// When that was found.
    at: Timestamp,
}

impl From<DeadLetter> for Item {
    fn from(aside: DeadLetter) -> Self {
        let DeadLetter { stream_shard, sequence_number, keys, error, at } = aside;
        Self { stream_shard, sequence_number, keys, error, at }
    }
}

pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut params = Params::parse(query.as_deref());
    let after = params.text("next");
    if after.as_ref().is_some_and(|after| after.len() > MAX_NEXT) {
        params.add("next", "send the `next` of the page before as it is");
    }
    params.finish()?;
    let (items, next) = context.store.list_dead_letters(Some(&app.id), after.as_deref()).await?;
    json(StatusCode::OK, &Reply { items: items.into_iter().map(Into::into).collect(), next })
}
