//! `GET /apps/{app}/stats/groups`

use std::collections::HashMap;

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::event::filter::{EventFilter, at_path};
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::time::Timestamp;
use tally_http::problem::{Problem, json};
use tally_service::read::query::EventQuery;
use tally_service::read::reader::{End, walk};
use tally_service::report::count::counted_to;
use tally_store::Order;

use crate::answer::{largest_first, read_filter, read_range};
use crate::statistics::Asked;

/// Values where nothing else is said.
pub(crate) const DEFAULT_LIMIT: u64 = 10;
/// Most bytes of a reply; Lambda takes 6 MB, and the contract says 4.
const MAX_REPLY: usize = 3_500_000;
/// About how many bytes of a reply an item takes beside its value.
const PER_ITEM: usize = 40;
/// Most values.
pub(crate) const MAX_LIMIT: u64 = 1_000;
/// Longest path of an attribute, in bytes.
pub(crate) const MAX_PATH: usize = 256;

/// Occurrences by the value of an attribute.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Groups")]
pub(crate) struct Reply {
    /// The path of the attribute in `data`.
    attr: String,
    since: Timestamp,
    until: Timestamp,
    items: Vec<Item>,
    /// Whether every event of the range is in, and the reply holds all that was asked for. Where the read budget ended before, those from `covered_since` on are.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    covered_since: Option<Timestamp>,
    counted_to: Timestamp,
}

/// A value of the attribute, null where events have none, and how often.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Group")]
struct Item {
    value: Json,
    count: i64,
}

pub(crate) async fn groups(mut asked: Asked) -> Result<Response, Problem> {
    let filter = EventFilter { cell: read_filter(&mut asked.params), ..EventFilter::default() };
    let range = read_range(&mut asked.params, asked.now);
    let attr = asked.params.text("attr").unwrap_or_default();
    if attr.is_empty() || attr.len() > MAX_PATH {
        asked
            .params
            .add("attr", format!("send a path into `data` of at most {MAX_PATH} bytes, e.g. plan or user.plan"));
    }
    let limit = asked.params.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    asked.params.finish()?;
    let path: Vec<String> = attr.split('.').map(str::to_owned).collect();
    let query = EventQuery {
        range,
        filter,
        order: Order::Descending,
        after: None,
        skip: 0,
        limit: usize::MAX / 2,
        consistent: false,
    };
    let counted_to = counted_to(&asked.context.store, asked.now, &asked.app).await?;
    // By their JSON text, which tells 1 from "1" and sorts.
    let mut sums: HashMap<String, i64> = HashMap::new();
    let mut values: HashMap<String, Json> = HashMap::new();
    let context = &asked.context;
    let end = walk(&context.store, &context.clock, context.config.read_budget, &asked.app, &query, |event| {
        let value = event.data.as_ref().and_then(|data| at_path(data, &path)).cloned().unwrap_or(Json::Null);
        // Texts, numbers, lists and maps of them always serialize.
        let key = serde_json::to_string(&value).unwrap_or_default();
        // `count` is at most 1e9.
        *sums.entry(key.clone()).or_default() += i64::try_from(event.count).unwrap_or(0);
        values.entry(key).or_insert(value);
        true
    });
    let frontier = match end.await? {
        End::Read { frontier } => frontier,
        End::Stopped => None,
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let items = largest_first(sums)
        .into_iter()
        .take(most)
        .map(|(key, count)| Item { value: values.remove(&key).unwrap_or(Json::Null), count });
    let mut bytes = 0;
    let mut cut = false;
    let items = items.take_while(|item| {
        // Its JSON text, about; a value may be a large map.
        bytes += serde_json::to_string(&item.value).map_or(0, |text| text.len()) + PER_ITEM;
        cut = bytes > MAX_REPLY;
        !cut
    });
    let items = items.collect();
    let reply = Reply {
        attr,
        since: range.since(),
        until: range.until(),
        items,
        complete: frontier.is_none() && !cut,
        covered_since: frontier.map(EventId::at),
        counted_to,
    };
    json(StatusCode::OK, &reply)
}
