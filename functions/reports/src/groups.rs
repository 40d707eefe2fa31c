//! `GET /apps/{app}/stats/groups`

use std::collections::{HashMap, HashSet};

use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use tally_core::app::App;
use tally_core::counter::property::CountedPath;
use tally_core::event::filter::attribute::text_of;
use tally_core::event::filter::{EventFilter, Selection};
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
use tally_service::reads::Reads;
use tally_service::report::count::{CellKey, count, counted_to, largest_first, widen};
use tally_service::report::from_events::live_events;

use crate::answer::{Compared, PreviousRange};
use crate::statistic::{Asked, Statistic, compared};

/// Values by default.
const DEFAULT_LIMIT: u64 = 10;
/// What a value takes for each byte of its text: twice as text, and once as JSON when the reply is made.
const VALUE_BYTES: usize = 3;
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
    /// Occurrences whose values counters do not count by themselves: those longer than 256 bytes, and those that had no room.
    /// Absent if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    other: i64,
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
    #[schemars(with = "Json")]
    value: Box<RawValue>,
    count: i64,
    /// The number of different people: by `user_id`, or by the `session_id` of events without one. All ids of a user that events have
    /// told of are one person. Absent where counters answer; `people=true` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<usize>,
    /// Of the period before, with `compare=previous` and if all its events were read; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

pub(crate) async fn groups(asked: Asked, params: Params) -> Result<Response, Problem> {
    let (filter, Compared { range, previous }, attr, limit, with_people) = params.read(|params| {
        let (filter, range) = (EventFilter::read(params, asked.now), Compared::read(params, asked.now));
        let attr = params.attribute("plan or user.plan");
        let limit = params.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
        Some((filter?, range?, attr?, limit, params.flag("people")))
    })?;
    let reads = &asked.reads;
    let counted_to = counted_to(reads, &asked.app).await?;
    let grouping = Grouping::new(reads, &asked.app, &filter, &attr, with_people);
    let (found, known) = grouping.read(range).await?;
    // After the range itself, since both share the read budget.
    let before = match previous {
        Some(previous) => Some(grouping.read(previous).await?.0),
        None => None,
    };
    let people = |key: &String| found.people.as_ref().map(|people| people.get(key).map_or(0, HashSet::len));
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut sums = largest_first(found.sums);
    let past_limit = sums.split_off(most.min(sums.len()));
    let is_whole = before.as_ref().is_some_and(|before| before.complete);
    let group = |(key, count): (String, i64)| Group {
        previous: before.as_ref().filter(|_| is_whole).map(|before| before.sums.get(&key).copied().unwrap_or(0)),
        people: people(&key),
        value: RawValue::from_string(key).unwrap_or_default(),
        count,
    };
    let mut items: Vec<_> = sums.into_iter().map(group).collect();
    let cut = Room::default().fill(&mut items)?;
    let left_out = cut.iter().map(|group| group.count).chain(past_limit.into_iter().map(|(_, count)| count));
    let reply = Groups {
        attr,
        since: found.range.since(),
        until: found.range.until(),
        items,
        complete: found.complete && cut.is_empty(),
        left_out: LeftOut::of(left_out),
        other: found.other,
        covered_since: found.covered_since,
        previous: before.as_ref().map(|before| PreviousRange::of(before.range, is_whole)),
        counted_to,
        live_from: found.live_from,
        identities: known.is_some_and(|known| !known.complete).then_some(false),
    };
    json(StatusCode::OK, &reply)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// The values of an attribute in a range.
struct Grouped {
    /// The range that is counted: as asked for, or its ends widened to whole minutes.
    range: Range,
    /// Occurrences by the JSON text of the value, which tells 1 from "1" and sorts.
    sums: HashMap<String, i64>,
    /// Occurrences of values that counters do not count by themselves.
    other: i64,
    /// People by the text of the value. None where counters answered.
    people: Option<HashMap<String, HashSet<Hashed>>>,
    /// Whether all occurrences are counted.
    complete: bool,
    /// Where the budget ended before all events were read: those from here on are counted.
    covered_since: Option<Timestamp>,
    /// Everything that was accepted and happened from this time on is counted.
    live_from: Option<Timestamp>,
}

/// What is counted by an attribute.
struct Grouping<'a> {
    reads: &'a Reads,
    app: &'a App,
    filter: &'a EventFilter,
    attr: &'a str,
    /// The attribute, if counters may answer.
    path: Option<CountedPath>,
}

impl<'a> Grouping<'a> {
    fn new(reads: &'a Reads, app: &'a App, filter: &'a EventFilter, attr: &'a str, with_people: bool) -> Self {
        let is_counted = !with_people && filter.cell.group.is_any() && filter.beyond_cells().is_empty();
        let path = CountedPath::parse(attr).ok().filter(|_| is_counted);
        Self { reads, app, filter, attr, path }
    }

    /// Counts a range by counters from when on they count the attribute, and by events before. Events tell people as well, and need
    /// to know their ids.
    async fn read(&self, range: Range) -> Result<(Grouped, Option<Known>), Problem> {
        let counted = self.path.as_ref().and_then(|path| Some((path, self.app.layout.counted_from(self.attr, range)?)));
        let Some((path, from)) = counted else {
            let known = known(self.reads, self.app).await?;
            return Ok((self.of_events(range, Some(&known)).await?, Some(known)));
        };
        let by_counters = Range::new(from, range.until()).unwrap_or(Range::EMPTY);
        let mut grouped = self.of_counters(by_counters, path).await?;
        if range.since() < from {
            let before = Range::new(range.since(), from).unwrap_or(Range::EMPTY);
            let before = self.of_events(before, None).await?;
            grouped.range = Range::new(range.since(), grouped.range.until()).unwrap_or(range);
            grouped.complete &= before.complete;
            grouped.covered_since = before.covered_since;
            for (value, count) in before.sums {
                *grouped.sums.entry(value).or_default() += count;
            }
        }
        Ok((grouped, None))
    }

    async fn of_counters(&self, range: Range, path: &CountedPath) -> Result<Grouped, Problem> {
        let selection = Selection { filter: &self.filter.cell, values_of: Some(path) };
        let range = widen(self.app, range, self.reads.now);
        let counts = count(self.reads, self.app, vec![range.since(), range.until()], selection).await;
        let counts = counts.map_err(|e| Problem::of_read(e, "since"))?;
        let (mut sums, mut other) = (HashMap::new(), 0);
        for (_, key, count) in counts.each() {
            match key {
                CellKey::Value(value) => *sums.entry(value.clone()).or_default() += count,
                CellKey::Cell(_) | CellKey::Other(_) => other += count,
            }
        }
        Ok(Grouped {
            range: counts.range,
            sums,
            other,
            people: None,
            complete: counts.complete,
            covered_since: None,
            live_from: counts.live_from,
        })
    }

    async fn of_events(&self, range: Range, known: Option<&Known>) -> Result<Grouped, Problem> {
        let Self { reads, app, filter, attr, .. } = *self;
        let (query, live_from) = live_events(reads, app, range, filter, usize::MAX / 2).await?;
        let mut sums: HashMap<String, i64> = HashMap::new();
        let mut people: HashMap<String, HashSet<Hashed>> = HashMap::new();
        let hasher = Hasher::random();
        // The next event, where the values did not fit into memory.
        let mut full = None;
        let end = walk(reads, app, &query, |event| {
            let key = text_of(&event.attribute(attr).unwrap_or(Json::Null));
            // `count` is at most 1e9.
            let count = i64::try_from(event.count).unwrap_or(0);
            let person = known.and_then(|known| known.identities.person_of(&event, By::User));
            if let Some(person) = person.map(|person| hasher.hash(person)) {
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
            if reads.budget.hold(VALUE_BYTES * key.len() + GROUP_BYTES).is_err() {
                full = Some(event.id);
                return false;
            }
            sums.insert(key, count);
            true
        });
        let frontier = match end.await? {
            End::Read { frontier } => frontier,
            End::Stopped => full.and_then(EventId::after),
        };
        let covered_since = frontier.map(EventId::at);
        let live_from = live_from.max(covered_since.filter(|_| live_from.is_some()));
        let complete = frontier.is_none();
        Ok(Grouped { range, sums, other: 0, people: known.map(|_| people), complete, covered_since, live_from })
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
            "Where the app counts the values of the attribute (`counted`) and the filter asks no more than counters know, counters \
             answer, complete at any size. Otherwise it reads the events of the range within a read budget. If the budget ends first, \
             the newest events are counted and `complete` is false. A key in `data` may hold dots itself. Where `data` has nothing at the path, the field \
             of the event with this name counts, e.g. `user_id`, and after `tags.` what lies in its tags.",
        )
        .takes([
            Parameter::query("attr", "The path of the attribute in `data`.", attr).required(),
            Parameter::query("limit", "Most values.", number_or(DEFAULT_LIMIT, 1, MAX_LIMIT)),
        ])
        .takes([Parameter::query("people", "Whether to tell people where counters could answer: then events are read.", json_schema!({"type": "boolean", "default": false}))])
        .takes([compared()])
        .takes(event_filters(schemas))
}
