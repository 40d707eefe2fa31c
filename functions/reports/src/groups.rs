//! `GET /apps/{app}/stats/groups`

use std::collections::{HashMap, HashSet};

use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::people::{By, Hashed, Hasher};
use tally_core::time::{Range, Timestamp};
use tally_http::openapi::{Operation, Parameter, number_or};
use tally_http::parameters::{FromQuery, MAX_ATTRIBUTE, Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::reply::{LeftOut, Room};
use tally_service::people::identities::{Known, known};
use tally_service::read::reader::{End, walk};
use tally_service::reads::{Reads, json_weight};
use tally_service::report::count::{counted_to, largest_first};
use tally_service::report::from_events::live_events;

use crate::answer::{Compared, PreviousRange};
use crate::statistic::{Asked, Statistic, compared};

/// Values by default.
const DEFAULT_LIMIT: u64 = 10;
/// The bytes that a value takes in memory while it is counted, beside its content.
const GROUP_BYTES: usize = 400;
/// The bytes that a person takes in memory for each value of theirs.
const PERSON_BYTES: usize = 40;
/// Most values.
const MAX_LIMIT: u64 = 1_000;

/// Occurrences by the value of an attribute.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Groups {
    /// The path of the attribute in `data`, without `attr.`.
    attr: String,
    since: Timestamp,
    until: Timestamp,
    items: Vec<Group>,
    /// Whether every event of the range is counted, and the reply has room for all the values that were asked for. If the
    /// read budget ended first, the events from `covered_since` on are counted.
    complete: bool,
    /// The values past `limit`, or for which the reply has no room; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    covered_since: Option<Timestamp>,
    /// With `compare=previous`, the period before; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<PreviousRange>,
    /// Everything that was accepted before this time is counted.
    counted_to: Timestamp,
    /// Everything that was accepted and happened from this time on is counted too; absent where the range ends before it, or
    /// where the filter names sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_from: Option<Timestamp>,
    /// False if not all ids of people could be read: then a person may count once for each id. Otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    identities: Option<bool>,
}

/// The occurrences of a value of the attribute; null counts the events without it.
#[derive(Serialize, JsonSchema)]
struct Group {
    value: Json,
    count: i64,
    /// The number of different people: by `user_id`, or by the `session_id` of events without one. All ids of a user that events have
    /// told of are one person.
    people: usize,
    /// Of the period before, with `compare=previous` and if all its events were read; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

pub(crate) async fn groups(asked: Asked, params: Params) -> Result<Response, Problem> {
    let (filter, Compared { range, previous }, attr, limit) = params.read(|params| {
        let (filter, range) = (EventFilter::read(params, asked.now), Compared::read(params, asked.now));
        let attr = params.attribute("plan or user.plan");
        let limit = params.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
        Some((filter?, range?, attr?, limit))
    })?;
    let reads = &asked.reads;
    let counted_to = counted_to(reads, &asked.app).await?;
    let known = known(reads, &asked.app).await?;
    let Grouped { sums, people, mut values, frontier, live_from } =
        Grouped::read(reads, &asked.app, range, (&filter, &known), &attr).await?;
    // After the range itself, since both share the read budget.
    let before = match previous {
        Some(previous) => Some((previous, Grouped::read(reads, &asked.app, previous, (&filter, &known), &attr).await?)),
        None => None,
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut sums = largest_first(sums);
    let past_limit = sums.split_off(most.min(sums.len()));
    let is_whole = before.as_ref().is_some_and(|(_, before)| before.frontier.is_none());
    let group = |(key, count): (String, i64)| Group {
        previous: before.as_ref().filter(|_| is_whole).map(|(_, before)| before.sums.get(&key).copied().unwrap_or(0)),
        people: people.get(&key).map_or(0, HashSet::len),
        value: values.remove(&key).unwrap_or(Json::Null),
        count,
    };
    let mut items: Vec<_> = sums.into_iter().map(group).collect();
    let cut = Room::default().fill(&mut items)?;
    let left_out = cut.iter().map(|group| group.count).chain(past_limit.into_iter().map(|(_, count)| count));
    let reply = Groups {
        attr,
        since: range.since(),
        until: range.until(),
        items,
        complete: frontier.is_none() && cut.is_empty(),
        left_out: LeftOut::of(left_out),
        covered_since: frontier.map(EventId::at),
        previous: before.as_ref().map(|(range, _)| PreviousRange::of(*range, is_whole)),
        counted_to,
        live_from,
        identities: (!known.complete).then_some(false),
    };
    json(StatusCode::OK, &reply)
}

/// The values of an attribute in the events of a range.
struct Grouped {
    /// Occurrences by the JSON text of the value, which tells 1 from "1" and sorts.
    sums: HashMap<String, i64>,
    /// People by the same.
    people: HashMap<String, HashSet<Hashed>>,
    values: HashMap<String, Json>,
    /// Where the budget ended before all were read: events from here on are counted.
    frontier: Option<EventId>,
    /// Everything that was accepted and happened from this time on is counted.
    live_from: Option<Timestamp>,
}

impl Grouped {
    async fn read(
        reads: &Reads,
        app: &App,
        range: Range,
        (filter, known): (&EventFilter, &Known),
        attr: &str,
    ) -> Result<Self, Problem> {
        let (query, live_from) = live_events(reads, app, range, filter, usize::MAX / 2).await?;
        let mut sums: HashMap<String, i64> = HashMap::new();
        let mut values: HashMap<String, Json> = HashMap::new();
        let mut people: HashMap<String, HashSet<Hashed>> = HashMap::new();
        let hasher = Hasher::random();
        // The next event, where the values did not fit into memory.
        let mut full = None;
        let end = walk(reads, app, &query, |event| {
            let value = event.attribute(attr).unwrap_or(Json::Null);
            // Texts, numbers, lists and maps of them always serialize.
            let key = serde_json::to_string(&value).unwrap_or_default();
            // `count` is at most 1e9.
            let count = i64::try_from(event.count).unwrap_or(0);
            if let Some(person) = known.identities.person_of(&event, By::User).map(|person| hasher.hash(person)) {
                let of_value = people.get(&key);
                if !of_value.is_some_and(|people| people.contains(&person)) {
                    let bytes = PERSON_BYTES + if of_value.is_none() { key.len() + GROUP_BYTES } else { 0 };
                    if reads.budget.hold(bytes).is_err() {
                        full = Some(event.id);
                        return false;
                    }
                    people.entry(key.clone()).or_default().insert(person);
                }
            }
            if let Some(sum) = sums.get_mut(&key) {
                *sum += count;
                return true;
            }
            if reads.budget.hold(2 * key.len() + json_weight(&value) + GROUP_BYTES).is_err() {
                full = Some(event.id);
                return false;
            }
            sums.insert(key.clone(), count);
            values.insert(key, value);
            true
        });
        let frontier = match end.await? {
            End::Read { frontier } => frontier,
            End::Stopped => full.and_then(EventId::after),
        };
        let live_from = live_from.max(frontier.map(EventId::at).filter(|_| live_from.is_some()));
        Ok(Self { sums, people, values, frontier, live_from })
    }
}

pub(crate) fn groups_operation(schemas: &mut SchemaGenerator) -> Operation {
    let attr = json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_ATTRIBUTE,
        "examples": ["plan", "user.plan"],
    });
    Statistic::Groups
        .counts::<Groups>(schemas, "countByAttribute", "Counts by the value of an attribute in `data`, largest first")
        .about(
            "Reads the events of the range within a read budget. If the budget ends first, the newest events are counted \
             and `complete` is false. A key in `data` may hold dots itself. Where `data` has nothing at the path, the field \
             of the event with this name counts, e.g. `user_id`, and after `tags.` what lies in its tags.",
        )
        .takes([
            Parameter::query("attr", "The path of the attribute in `data`.", attr).required(),
            Parameter::query("limit", "Most values.", number_or(DEFAULT_LIMIT, 1, MAX_LIMIT)),
        ])
        .takes([compared()])
        .takes(event_filters(schemas))
}
