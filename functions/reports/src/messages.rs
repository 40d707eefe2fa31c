//! `GET /apps/{app}/stats/top-messages`

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tally::counting::{counted_to, widen};
use tally::http::problem::{Problem, json};
use tally::messages;
use tally::time::Timestamp;

use crate::answer::read_range;
use crate::statistics::Asked;

/// Messages where nothing else is said.
const DEFAULT_LIMIT: u64 = 10;
/// Most messages.
const MAX_LIMIT: u64 = 100;

#[derive(Serialize)]
struct Reply {
    limit: u64,
    items: Vec<Item>,
    complete: bool,
    counted_to: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    widened: Option<bool>,
}

#[derive(Serialize)]
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
    let counted_to = counted_to(&asked.backend, &asked.app).await?;
    let (top, complete) = messages::top(&asked.backend, &asked.app, wide, level, most).await?;
    let items = top.into_iter().map(|top| Item { message: top.message, count: top.count, last_seen: top.last_seen });
    let reply = Reply { limit, items: items.collect(), complete, counted_to, widened: (wide != range).then_some(true) };
    json(StatusCode::OK, &reply)
}
