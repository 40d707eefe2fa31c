//! `GET /apps/{app}/stats/top-messages`

use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::event::filter::EventFilter;
use tally_core::time::Timestamp;
use tally_http::openapi::{Operation, Parameter, number_or};
use tally_http::parameters::{FromQuery, Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::reply::{LeftOut, Room};
use tally_http::view::time_range;
use tally_service::report::count::{counted_to, widen};
use tally_service::report::top_messages as messages;

use crate::answer::{Compared, PreviousRange};
use crate::statistic::{Asked, Statistic, compared};

/// Messages by default.
const DEFAULT_LIMIT: u64 = 10;
/// Most messages.
const MAX_LIMIT: u64 = 100;

/// The most frequent groups of messages.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TopMessages {
    /// The largest number of groups, as asked for.
    limit: u64,
    since: Timestamp,
    until: Timestamp,
    /// Largest first, then newest.
    items: Vec<MessageCount>,
    /// Whether every message was counted, the text of each was read, and the reply has room for all that were asked for.
    complete: bool,
    /// The messages for which the reply has no room; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
    /// With `compare=previous`, the period before; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<PreviousRange>,
    /// Everything that was accepted before this time is counted.
    counted_to: Timestamp,
    /// Everything that was accepted and happened from this time on is counted too, since it was read from the events; absent
    /// where everything comes from counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_from: Option<Timestamp>,
    /// Where the filter asks for more than levels and groups, and the read budget ended before all events were read: what happened before
    /// this time is not counted; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    covered_since: Option<Timestamp>,
    /// True where the range was widened to whole minutes, since the events at its ends have expired or are too many to read;
    /// otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    widened: Option<bool>,
}

/// The occurrences of a group.
#[derive(Serialize, JsonSchema)]
struct MessageCount {
    /// The message if all in the group are equal, else the template: the message with placeholders for ids, times, addresses and
    /// numbers. `(expired)` if the events of the group have expired, `(not read)` if they are more than the read budget allows.
    message: String,
    /// What the filter `group` takes.
    group: String,
    count: i64,
    /// Of the period before, with `compare=previous`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
    last_seen: Timestamp,
    /// The id of the newest event of the group in the range; null if it was not found.
    example: Option<String>,
}

pub(crate) async fn top_messages(asked: Asked, params: Params) -> Result<Response, Problem> {
    let (Compared { range, previous }, filter, limit) = params.read(|params| {
        let range = Compared::read(params, asked.now);
        let filter = EventFilter::read(params, asked.now);
        let limit = params.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
        Some((range?, filter?, limit))
    })?;
    // Events are counted to the moment.
    let widest = |range| if messages::asks_events(&filter) { range } else { widen(&asked.app, range, asked.now) };
    let wide = widest(range);
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    // Read before the counters: a batch that is folded in between is then not claimed to be counted.
    let counted_to = counted_to(&asked.reads, &asked.app).await?;
    let top = messages::top(&asked.reads, &asked.app, wide, &filter, most).await;
    let top = top.map_err(|e| Problem::of_read(e, "since"))?;
    let before = match previous.map(widest) {
        Some(range) => {
            let counts = messages::counts(&asked.reads, &asked.app, range, &filter).await;
            Some((range, counts.map_err(|e| Problem::of_read(e, "since"))?))
        }
        None => None,
    };
    let previous = |group: &_| Some(before.as_ref()?.1.counts.get(group).copied().unwrap_or(0));
    let items = top.messages.into_iter().map(|top| MessageCount {
        previous: previous(&top.group),
        message: top.message,
        group: top.group.to_string(),
        count: top.count,
        last_seen: top.last_seen,
        example: top.example.map(|id| id.to_string()),
    });
    let mut items: Vec<_> = items.collect();
    let left_out = LeftOut::of(Room::default().fill(&mut items)?.iter().map(|message| message.count));
    let complete = top.complete && left_out.is_none();
    let widened = (top.range != range).then_some(true);
    let (since, until) = (top.range.since(), top.range.until());
    let (live_from, covered_since) = (top.live_from, top.covered_since);
    let previous = before.map(|(range, counts)| PreviousRange::of(range, counts.complete));
    let reply = TopMessages {
        limit,
        since,
        until,
        items,
        complete,
        left_out,
        previous,
        counted_to,
        live_from,
        covered_since,
        widened,
    };
    json(StatusCode::OK, &reply)
}

pub(crate) fn top_messages_operation(schemas: &mut SchemaGenerator) -> Operation {
    Statistic::TopMessages
        .operation("topMessages", "The most frequent groups of messages, largest first, then newest")
        .takes(time_range(schemas))
        .takes(event_filters(schemas))
        .takes([compared()])
        .takes([Parameter::query("limit", "Most messages.", number_or(DEFAULT_LIMIT, 1, MAX_LIMIT))])
        .answers_with::<TopMessages>(schemas, StatusCode::OK, "The messages.")
}
