//! `GET /apps/{app}/stats/overview`

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::response::Response;
use futures::future::{try_join, try_join3};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::event::group::Group;
use tally_core::event::level::Level;
use tally_core::time::{Range, Timestamp};
use tally_http::counts::{Freshness, Point};
use tally_http::openapi::{Operation, Parameter};
use tally_http::parameters::{Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::series::{Counted, OTHER_NAMES, TOP_OF_SERIES};
use tally_http::view::{By, View, intervals, time_range};
use tally_service::budget::ReadError;
use tally_service::read::query::EventQuery;
use tally_service::read::reader::read_page;
use tally_service::reads::Reads;
use tally_service::report::count::{CellKey, Counts, boundaries, counted_to, largest_first};
use tally_service::report::distinct::{Distinct, users_and_sessions};
use tally_service::report::from_events::{MessageSum, count_events};
use tally_service::report::top_messages as messages;

use crate::statistic::{Asked, Statistic, compared};

/// The items of each list.
const TOP: usize = 20;
/// What events without a level are shown as in a series, and in metrics.
pub(crate) const NO_LEVEL: &str = "NONE";
/// Most events that are read for the messages of a name, slug or category, which counters of messages do not know.
const MOST_FOR_MESSAGES: usize = 1_000;

/// What a page about an app shows first, from one reading of the counters.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Overview<'a> {
    since: Timestamp,
    until: Timestamp,
    tz: &'a str,
    /// The length of a bucket of the series: as asked for, or chosen by the length of the range.
    interval: &'static str,
    total: i64,
    /// The occurrences of ERROR and FATAL.
    errors: i64,
    names: Names<'a>,
    /// Largest first; null counts the events without a level.
    levels: Vec<LevelCount>,
    /// The 20 most frequent, largest first; null counts the events without a category.
    categories: Vec<CategoryCount<'a>>,
    /// The 20 most frequent messages, largest first, then newest. Empty for a key that hides people or reads only statistics.
    messages: Vec<MessageCount>,
    /// Every bucket, even without occurrences.
    series: Vec<SeriesPoint<'a>>,
    /// With `by=name`, the keys of `by_name`, largest first; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    series_names: Option<Vec<&'a str>>,
    /// The period before, with `compare=previous`; otherwise absent. If the range begins with `today`, `yesterday`, `this-week`
    /// or `this-month`, it is the day, week or month before, up to the same elapsed time; else as much time before `since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
    /// The time of the newest event: of all, also outside of the range, if there is no filter; with a filter, of those in the
    /// range. Null if there is none.
    last_event_at: Option<Timestamp>,
    /// Distinct users (`user_id`, else `session_id`), as `stats/uniques` counts them. Null with a filter, for which `stats/uniques`
    /// has them.
    users: Option<u64>,
    /// Distinct sessions, likewise.
    sessions: Option<u64>,
    /// How exact `users` and `sessions` are; absent where they are null.
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<People>,
    /// False where `(other)` is listed or may hide names, slugs or categories; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    names_complete: Option<bool>,
    /// False where not every message was counted, or its text was not found; otherwise absent. With a filter on a name, slug
    /// or category, the messages are those of the newest 1,000 events that match.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_complete: Option<bool>,
    /// Where counters could not answer the filter and the read budget ended before all events were read, the part of the
    /// range that is counted; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    covered: Option<Covered>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// The most frequent names.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewNames")]
struct Names<'a> {
    /// The number of different names; `(other)`, which counts those beyond the limit of an app, is none. How many names that
    /// are nobody knows: `names_complete` tells that there are some.
    distinct: usize,
    /// Those of the period before, with `compare=previous`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<usize>,
    /// The 20 most frequent, largest first.
    items: Vec<NameCount<'a>>,
}

/// The occurrences of a name and slug, and those of the period before if there is one to compare with.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewName")]
struct NameCount<'a> {
    name: &'a str,
    slug: &'a str,
    count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

/// The occurrences of a level.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewLevel")]
struct LevelCount {
    level: Option<Level>,
    count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

/// The occurrences of a category.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewCategory")]
struct CategoryCount<'a> {
    category: Option<&'a str>,
    count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

/// The occurrences of a group.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewMessage")]
struct MessageCount {
    /// The message if all in the group are equal, else the template. `(expired)` if the events of the group have expired,
    /// `(not read)` if they are more than the read budget allows.
    message: String,
    /// What the filter `group` takes.
    group: String,
    /// The most severe level that it had.
    level: Option<Level>,
    count: i64,
    /// Absent if not every message of that period was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
    last_seen: Timestamp,
    /// The id of the newest event of the group in the range; null if it was not found.
    example: Option<String>,
}

/// One point of the series.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewPoint")]
struct SeriesPoint<'a> {
    /// The start of the whole bucket, even where it is before the range.
    bucket_start: Timestamp,
    count: i64,
    /// The number of different names in the bucket.
    names: usize,
    /// The occurrences of each level with any; `NONE` counts the events without one. With `by=name` absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_level: Option<BTreeMap<&'static str, i64>>,
    /// With `by=name`, the occurrences of each of the 8 most frequent names with any, and `(other names)`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_name: Option<BTreeMap<&'a str, i64>>,
}

/// The period before.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewPrevious")]
struct Previous {
    since: Timestamp,
    until: Timestamp,
    total: i64,
    errors: i64,
    users: Option<u64>,
    sessions: Option<u64>,
    /// How exact `users` and `sessions` of this period are; absent where they are null.
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<People>,
    /// Every bucket, even without occurrences.
    series: Vec<Point>,
    /// False where counts of this period may be missing; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    covered: Option<Covered>,
}

/// How exact the numbers of users and sessions are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewPeople")]
struct People {
    /// The start of the range that they are of: before the one that was asked for where the hour of that is counted as a whole.
    since: Timestamp,
    /// Its end, likewise.
    until: Timestamp,
    /// By how much the number of users may be wrong in 95 of 100 cases, as a share of it; 0 where it is exact.
    users_error: f64,
    /// That of sessions.
    sessions_error: f64,
    /// False where somebody may be missing, or where somebody who was erased may be counted still; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    /// True where whole hours are counted at the ends of the range, since their events are more than the share of the read budget
    /// that they have; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    widened: Option<bool>,
}

impl People {
    fn of([users, sessions]: &[Distinct; 2]) -> Self {
        Self {
            since: users.range.since(),
            until: users.range.until(),
            users_error: users.error,
            sessions_error: sessions.error,
            complete: (!users.complete).then_some(false),
            widened: (!users.widened.is_empty()).then_some(true),
        }
    }
}

/// The part of a range that is counted.
#[derive(Serialize, JsonSchema)]
struct Covered {
    since: Timestamp,
    until: Timestamp,
}

impl Covered {
    fn of(counted: &Counted) -> Option<Self> {
        counted.covered_since().map(|since| Self { since, until: counted.range.until() })
    }
}

pub(crate) async fn overview(asked: Asked, params: Params) -> Result<Response, Problem> {
    let view = params.read(|params| View::read(params, asked.now, true))?;
    let (reads, app) = (&asked.reads, &*asked.app);
    // Read before the counters: a batch that is folded in between is then not claimed to be counted.
    let counted_to = counted_to(reads, app).await?;
    let (now, before) = count_both(reads, app, &view).await?;
    let [people, people_before] = people(reads, app, &view).await?;
    let (counts, range) = (&now.counts, now.range);
    let earlier = before.as_ref().map(|before| &before.counts);
    let Found { messages, messages_complete, last_event_at } =
        messages_and_newest(reads, app, &view, &now, before.as_ref()).await?;
    // What is among others has no count of its own.
    let named = earlier.filter(|earlier| earlier.names_complete());
    let is_error = |level: Option<Level>| level >= Some(Level::Error);
    let errors =
        |counts: &Counts| counts.by(CellKey::level).iter().filter(|(level, _)| is_error(**level)).map(|(_, n)| n).sum();
    let names = counts.by(CellKey::name);
    let (series, series_names) = series(&view, &now, &names);
    let reply = Overview {
        since: range.since(),
        until: range.until(),
        tz: view.zone.name(),
        interval: view.interval.name(),
        total: counts.total(),
        errors: errors(counts),
        names: Names {
            distinct: distinct(counts),
            previous: named.map(distinct),
            items: top(
                counts,
                named,
                |cell| (cell.name(), cell.slug()),
                |(name, slug), count, previous| NameCount { name, slug, count, previous },
            ),
        },
        levels: top(counts, earlier, CellKey::level, |level, count, previous| LevelCount { level, count, previous }),
        categories: top(counts, named, CellKey::category, |category, count, previous| CategoryCount {
            category,
            count,
            previous,
        }),
        messages,
        series,
        series_names,
        previous: before.as_ref().map(|before| Previous {
            since: before.range.since(),
            until: before.range.until(),
            total: before.counts.total(),
            errors: errors(&before.counts),
            users: people_before.as_ref().map(|[users, _]| users.total),
            sessions: people_before.as_ref().map(|[_, sessions]| sessions.total),
            people: people_before.as_ref().map(People::of),
            series: points(before),
            complete: (!before.counts.complete).then_some(false),
            covered: Covered::of(before),
        }),
        last_event_at,
        users: people.as_ref().map(|[users, _]| users.total),
        sessions: people.as_ref().map(|[_, sessions]| sessions.total),
        people: people.as_ref().map(People::of),
        names_complete: (!counts.names_complete()).then_some(false),
        messages_complete: (!messages_complete).then_some(false),
        covered: Covered::of(&now),
        freshness: Freshness::of_sums(counts, counted_to).widened(now.widened),
    };
    json(StatusCode::OK, &reply)
}

/// Counts the range, and the one to compare with. From events, the range comes first, since both share the read budget.
async fn count_both(reads: &Reads, app: &App, view: &View) -> Result<(Counted, Option<Counted>), Problem> {
    let count = |range| Counted::of(reads, app, range, view);
    match view.previous {
        None => Ok((count(view.range).await?, None)),
        Some(previous) if !view.filter.asks_events() => {
            let (now, before) = try_join(count(view.range), count(previous)).await?;
            Ok((now, Some(before)))
        }
        Some(previous) => Ok((count(view.range).await?, Some(count(previous).await?))),
    }
}

/// The number of names, without the rest of full items.
fn distinct(counts: &Counts) -> usize {
    counts.by(|cell| (!cell.is_other()).then(|| cell.name())).keys().flatten().count()
}

/// The most frequent by a property of the cell, each with its count in an earlier period.
fn top<'a, K: Ord + std::hash::Hash + Copy, T>(
    counts: &'a Counts,
    earlier: Option<&'a Counts>,
    key: impl Fn(&'a CellKey) -> K,
    item: impl Fn(K, i64, Option<i64>) -> T,
) -> Vec<T> {
    let earlier = earlier.map(|earlier| earlier.by(&key));
    let items = largest_first(counts.by(&key)).into_iter().take(TOP);
    let previous = |key: &K| Some(earlier.as_ref()?.get(key).copied().unwrap_or(0));
    items.map(|(key, count)| item(key, count, previous(&key))).collect()
}

fn points(counted: &Counted) -> Vec<Point> {
    let sums = counted.counts.by_slot(counted.starts.len());
    counted.starts.iter().zip(sums).map(|(start, count)| Point { bucket_start: *start, count }).collect()
}

/// The series, and its names if it is by name.
fn series<'a>(
    view: &View,
    counted: &'a Counted,
    names: &HashMap<&'a str, i64>,
) -> (Vec<SeriesPoint<'a>>, Option<Vec<&'a str>>) {
    let mut series: Vec<_> = points(counted)
        .into_iter()
        .map(|Point { bucket_start, count }| SeriesPoint {
            bucket_start,
            count,
            names: 0,
            by_level: (view.by == By::Level).then(BTreeMap::new),
            by_name: (view.by == By::Name).then(BTreeMap::new),
        })
        .collect();
    let mut shown: Vec<&str> = Vec::new();
    if view.by == By::Name {
        shown.extend(largest_first(names.clone()).into_iter().map(|(name, _)| name).take(TOP_OF_SERIES));
    }
    let mut seen = HashSet::new();
    for (slot, cell, count) in counted.counts.each() {
        let Some(point) = series.get_mut(slot) else { continue };
        // A name has a cell for each of its slugs, categories and levels.
        point.names += usize::from(!cell.is_other() && seen.insert((slot, cell.name())));
        if let Some(levels) = &mut point.by_level {
            *levels.entry(cell.level().map_or(NO_LEVEL, Level::as_str)).or_default() += count;
        }
        if let Some(names) = &mut point.by_name {
            let name = if shown.contains(&cell.name()) { cell.name() } else { OTHER_NAMES };
            *names.entry(name).or_default() += count;
        }
    }
    if names.len() > shown.len() && view.by == By::Name {
        shown.push(OTHER_NAMES);
    }
    (series, (view.by == By::Name).then_some(shown))
}

/// What is found beside the counts of cells.
struct Found {
    messages: Vec<MessageCount>,
    messages_complete: bool,
    last_event_at: Option<Timestamp>,
}

async fn messages_and_newest(
    reads: &Reads,
    app: &App,
    view: &View,
    now: &Counted,
    before: Option<&Counted>,
) -> Result<Found, Problem> {
    if !view.messages {
        let last_event_at = match &now.events {
            Some(events) => events.newest,
            None => newest(reads, app, view, now).await?,
        };
        return Ok(Found { messages: vec![], messages_complete: true, last_event_at });
    }
    if let Some(events) = &now.events {
        let earlier = before.and_then(|before| before.events.as_ref());
        let earlier = earlier.filter(|earlier| earlier.covered_since.is_none()).map(|earlier| &earlier.messages);
        return Ok(Found {
            messages: largest(&events.messages, earlier),
            messages_complete: events.covered_since.is_none(),
            last_event_at: events.newest,
        });
    }
    if view.filter.cell.is_fine() || view.filter.cell.asks_events() {
        return messages_of_names(reads, app, view, now, before).await;
    }
    let filter = &view.filter;
    let counted = async {
        match before {
            Some(before) => unless_spent(messages::counts(reads, app, before.range, filter).await),
            None => Ok(None),
        }
    };
    let top = async { unless_spent(messages::top(reads, app, now.range, filter, TOP).await) };
    let newest = async { newest(reads, app, view, now).await };
    let (top, earlier, last_event_at) = try_join3(top, counted, newest).await?;
    let earlier = earlier.filter(|earlier| earlier.complete);
    let (messages, messages_complete) = match top {
        // The counts stay right without them.
        None => (vec![], false),
        Some(top) => {
            let previous = |group: &Group| Some(earlier.as_ref()?.counts.get(group).copied().unwrap_or(0));
            let item = |top: messages::TopMessage| MessageCount::of(previous(&top.group), top);
            (top.messages.into_iter().map(item).collect(), top.complete)
        }
    };
    Ok(Found { messages, messages_complete, last_event_at })
}

fn unless_spent<T>(read: Result<T, ReadError>) -> Result<Option<T>, Problem> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(ReadError::Spent(_)) => Ok(None),
        Err(ReadError::Store(error)) => Err(error.into()),
    }
}

/// The messages of names, slugs or categories, from the newest events that match.
async fn messages_of_names(
    reads: &Reads,
    app: &App,
    view: &View,
    now: &Counted,
    before: Option<&Counted>,
) -> Result<Found, Problem> {
    let count = async |counted: &Counted| {
        if counted.counts.total() == 0 && counted.counts.complete {
            return Ok(None);
        }
        let ends = boundaries(&[counted.range.since()], counted.range);
        count_events(reads, app, &ends, &view.filter, MOST_FOR_MESSAGES).await.map(Some)
    };
    let events = count(now).await?.unwrap_or_default();
    let complete = events.covered_since.is_none();
    let earlier = match before {
        Some(before) if complete => {
            let events = count(before).await?.unwrap_or_default();
            events.covered_since.is_none().then_some(events.messages)
        }
        _ => None,
    };
    let messages = largest(&events.messages, earlier.as_ref());
    Ok(Found { messages, messages_complete: complete, last_event_at: events.newest })
}

/// The most frequent messages, largest first, then newest.
fn largest(all: &HashMap<Group, MessageSum>, earlier: Option<&HashMap<Group, MessageSum>>) -> Vec<MessageCount> {
    let previous = |group: &Group| Some(earlier?.get(group).map_or(0, |sum| sum.count));
    let item = |top: messages::TopMessage| MessageCount::of(previous(&top.group), top);
    messages::largest(all, TOP).into_iter().map(item).collect()
}

impl MessageCount {
    fn of(previous: Option<i64>, top: messages::TopMessage) -> Self {
        Self {
            message: top.message,
            group: top.group.to_string(),
            level: top.level,
            count: top.count,
            previous,
            last_seen: top.last_seen,
            example: top.example.map(|id| id.to_string()),
        }
    }
}

/// The time of the newest event.
async fn newest(reads: &Reads, app: &App, view: &View, now: &Counted) -> Result<Option<Timestamp>, Problem> {
    let range = if view.filter == EventFilter::default() { Range::ALL } else { now.range };
    if range != Range::ALL && now.counts.total() == 0 {
        return Ok(None);
    }
    let page = read_page(reads, app, &EventQuery::newest(range, view.filter.clone(), 1)).await?;
    Ok(page.events.first().map(|event| event.at(app.clock)))
}

/// The users and sessions of the range and of the period before, without a filter and as far as the budget goes.
async fn people(reads: &Reads, app: &App, view: &View) -> Result<[Option<[Distinct; 2]>; 2], Problem> {
    let of = async |range: Option<Range>| match range {
        Some(range) if view.filter == EventFilter::default() => {
            unless_spent(users_and_sessions(reads, app, range).await)
        }
        _ => Ok(None),
    };
    // The range comes first, since both share what the events of parts of hours may take.
    Ok([of(Some(view.range)).await?, of(view.previous).await?])
}

pub(crate) fn overview_operation(schemas: &mut SchemaGenerator) -> Operation {
    let by = json_schema!({"type": "string", "enum": ["level", "name"]});
    Statistic::Overview
        .operation("overview", "Totals, a series, and the most frequent names, levels, categories and messages")
        .about(
            "One reading of the counters answers everything, with `compare=previous` two. A filter that counters do not know \
             (message, session, user, fingerprint, attributes) is answered from the events within the read budget: if the \
             budget ends first, `complete` is false and `covered` is the part of the range that is counted.",
        )
        .takes(time_range(schemas))
        .takes(event_filters(schemas))
        .takes([
            intervals("The length of a bucket; by default one that gives a few dozen.", None),
            compared(),
            Parameter::query("by", "What the series is divided by: levels (the default), or names.", by),
        ])
        .answers_with::<Overview<'_>>(schemas, StatusCode::OK, "The overview.")
}
