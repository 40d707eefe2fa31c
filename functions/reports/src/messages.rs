//! `GET /apps/{app}/stats/top-messages`

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::time::Timestamp;
use tally_http::problem::{Problem, json};
use tally_service::report::count::{counted_to, widen};
use tally_service::report::top_messages as messages;

use crate::answer::read_range;
use crate::statistics::Asked;

/// Messages where nothing else is said.
pub(crate) const DEFAULT_LIMIT: u64 = 10;
/// Most messages.
pub(crate) const MAX_LIMIT: u64 = 100;

/// The most frequent messages.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TopMessages")]
pub(crate) struct Reply {
    /// How many were asked for.
    limit: u64,
    /// Largest first, then newest.
    items: Vec<Item>,
    /// Whether every message was counted.
    complete: bool,
    /// All that was accepted before it is in.
    counted_to: Timestamp,
    /// Said only where the range was widened to whole minutes, since the events of its ends have expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    widened: Option<bool>,
}

/// A message, how often, and when last.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageCount")]
struct Item {
    message: String,
    count: i64,
    last_seen: Timestamp,
}

pub(crate) async fn top_messages(mut asked: Asked) -> Result<Response, Problem> {
    let range = read_range(&mut asked.params, asked.now);
    let level = asked.params.level();
    let limit = asked.params.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    asked.params.finish()?;
    let wide = widen(&asked.app, range, asked.now);
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    // Before the counters, or a batch that is folded in between would be told as in.
    let counted_to = counted_to(&asked.context.store, asked.now, &asked.app).await?;
    let (top, complete) = messages::top(&asked.context.store, asked.now, &asked.app, wide, level, most).await?;
    let items = top.into_iter().map(|top| Item { message: top.message, count: top.count, last_seen: top.last_seen });
    let reply = Reply { limit, items: items.collect(), complete, counted_to, widened: (wide != range).then_some(true) };
    json(StatusCode::OK, &reply)
}
