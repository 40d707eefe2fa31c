//! `GET /apps/{app}/issues` and `GET /apps/{app}/issues/{id}`

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tally_core::app::App;
use tally_core::event::MAX_TEXT;
use tally_core::event::filter::values::Values;
use tally_core::event::group::Group;
use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::invalid::Invalid;
use tally_core::issue::IssueState;
use tally_core::time::moment::Calendar;
use tally_core::time::{DAY, MINUTE, Range, Timestamp, micros};
use tally_http::cursor::{CursorError, open, seal};
use tally_http::event::EventBody;
use tally_http::guard::Target;
use tally_http::issue::IssueStateBody;
use tally_http::limits::Limits;
use tally_http::openapi::{MomentInput, Operation, Parameter, number_or, text};
use tally_http::parameters::{FromQuery, Params, SentParams, calendar, level};
use tally_http::problem::{Problem, json};
use tally_http::reply::Room;
use tally_http::routes::{LIST_ISSUES, READ_ISSUE};
use tally_http::service::Shared;
use tally_service::issues::list::{Details, IssueQuery, Listed, Place, Sort, details, list, one};
use tally_service::report::count::counted_to;
use tally_service::report::group_counts::columns;

/// Days that are listed by default.
const DEFAULT_DAYS: i64 = 14;
/// Issues in a page by default, and at most.
const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 100;
/// What the newest events of an issue are counted by, beside what is asked for.
const BY: [&str; 2] = ["tags.release", "tags.environment"];
/// Most other attributes.
const MOST_BY: usize = 5;
/// Most values of an attribute.
const MOST_VALUES: usize = 20;
/// The newest events of an issue that are shown.
const EVENTS: usize = 5;
/// How issues may be ordered.
const SORTS: [(&str, Sort); 3] =
    [("last_seen", Sort::LastSeen), ("first_seen", Sort::FirstSeen), ("count", Sort::Count)];

/// An issue: a group of errors, and what people say about it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Issue")]
struct IssueBody {
    /// Its id, which is its group.
    id: String,
    /// What the filter `group` takes.
    group: String,
    /// The message if all of its events in the range have the same, else their template; the name of the events without a message.
    /// `(erased)` where the event that told it was erased, and no other was found.
    title: String,
    /// The name of its events, such as the type of an exception; null where it is not known.
    name: Option<String>,
    /// The innermost call of the application in the stack, as `file:line in function`; null without a stack.
    place: Option<String>,
    /// The most severe level that it had.
    level: Option<Level>,
    #[serde(flatten)]
    state: IssueStateBody,
    first_seen: Timestamp,
    /// When it occurred last in the range, to the minute.
    last_seen: Timestamp,
    /// The occurrences in the range.
    count: i64,
    /// The occurrences by column.
    series: Vec<i64>,
    /// The id of one of its events, of the newest day; null where it was erased.
    example: Option<String>,
    /// The releases of its events (`tags.release`), in the order in which the app was first seen to have them: the first and the newest
    /// others, at most 20.
    releases: Vec<String>,
}

impl IssueBody {
    fn new(listed: Listed, now: Timestamp) -> Self {
        let Listed { group, issue, title, count, last_seen, series } = listed;
        let state = IssueStateBody::of(&issue, now);
        let id = group.to_string();
        let (name, place, example) = match issue.shown {
            Some(shown) => (Some(shown.name), shown.place, Some(shown.example.to_string())),
            None => (None, None, None),
        };
        Self {
            group: id.clone(),
            id,
            title: title.unwrap_or_else(|| "(erased)".to_owned()),
            name,
            place,
            level: issue.level,
            state,
            first_seen: issue.first_seen,
            last_seen,
            count,
            series,
            example,
            releases: issue.releases.into_iter().map(|release| release.name).collect(),
        }
    }
}

/// A page of issues that occurred in a range.
#[derive(Serialize, JsonSchema)]
struct IssuePage {
    items: Vec<IssueBody>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
    since: Timestamp,
    until: Timestamp,
    /// Where the columns of `series` begin, the first with `since`.
    columns: Vec<Timestamp>,
    /// Whether nothing is missing. Otherwise groups are hidden in counters that are full, a day lacks counts until it is recounted, the
    /// app has more than 5,000 issues, or the read budget ended before the last minute or title of each was found.
    complete: bool,
    /// Everything that was accepted before this time is counted.
    counted_to: Timestamp,
    /// Everything that was accepted and happened from this time on is counted too; absent where everything comes from counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_from: Option<Timestamp>,
}

/// An issue with what its newest events tell.
#[derive(Serialize, JsonSchema)]
struct IssueDetails<'a> {
    #[serde(flatten)]
    issue: IssueBody,
    since: Timestamp,
    until: Timestamp,
    /// Where the columns of `series` begin, the first with `since`.
    columns: Vec<Timestamp>,
    /// Whether all occurrences are counted, and the last minute and the title were found.
    complete: bool,
    /// Occurrences by the value of an attribute, in the events that were looked at: by `tags.release`, `tags.environment` and what `by`
    /// asks for. The 20 most frequent of each.
    by: BTreeMap<String, Vec<ValueCount>>,
    /// The number of different users in the events that were looked at.
    users: usize,
    /// The occurrences that were looked at: those of the newest 200 events, or of fewer if the read budget allows no more.
    looked_at: i64,
    /// Whether all events of the range were looked at.
    looked_at_all: bool,
    /// The newest events in the range, at most 5.
    events: Vec<EventBody<'a>>,
    /// Everything that was accepted before this time is counted.
    counted_to: Timestamp,
    /// Everything that was accepted and happened from this time on is counted too; absent where everything comes from counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_from: Option<Timestamp>,
}

/// The occurrences with a value; null counts the events without one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IssueValue")]
struct ValueCount {
    value: Json,
    count: i64,
}

/// Where a list of issues continues.
#[derive(Serialize, Deserialize)]
struct IssueCursor {
    /// The id of the app, which has its generation.
    #[serde(rename = "a")]
    app: String,
    /// The parameters as they were sent, without `limit`.
    #[serde(rename = "q")]
    params: SentParams,
    /// The range that the parameters meant when the cursor was made.
    #[serde(rename = "r", with = "micros::range")]
    range: Range,
    /// The place of the last issue.
    #[serde(rename = "v")]
    value: i64,
    #[serde(rename = "g")]
    group: String,
    #[serde(rename = "l")]
    limit: u64,
}

impl IssueCursor {
    fn decode(text: &str, app: &App) -> Result<(Self, Place), CursorError> {
        let cursor: Self = serde_json::from_slice(&open(text)?).map_err(|_| CursorError)?;
        let group = cursor.group.parse().map_err(|_| CursorError)?;
        let is_good = cursor.app == app.id.as_str()
            && cursor.range.since() >= Timestamp::EPOCH
            && cursor.range.until() <= Timestamp::MAX;
        let place = Place { value: cursor.value, group };
        if is_good { Ok((cursor, place)) } else { Err(CursorError) }
    }
}

/// A list of issues as it was asked for.
struct Asked {
    query: IssueQuery,
    params: SentParams,
    range: Range,
    limit: u64,
}

impl Asked {
    fn read(mut params: Params, app: &App, now: Timestamp) -> Result<Self, Invalid> {
        let limit = params.number("limit", 1, MAX_LIMIT);
        let Some(cursor) = params.text_of("cursor", "next") else {
            let sent = params.remaining();
            return Self::of(params, sent, now, None, limit.unwrap_or(DEFAULT_LIMIT));
        };
        let decoded = IssueCursor::decode(&cursor, app).map_err(|e| Invalid::field("cursor", e.to_string()));
        let (cursor, place) = decoded?;
        params.finish_as(&cursor.params)?;
        let limit = limit.unwrap_or(cursor.limit).clamp(1, MAX_LIMIT);
        let held = Params::of(cursor.params.clone());
        Self::of(held, cursor.params, now, Some((cursor.range, place)), limit)
    }

    fn of(
        mut params: Params,
        sent: SentParams,
        now: Timestamp,
        after: Option<(Range, Place)>,
        limit: u64,
    ) -> Result<Self, Invalid> {
        let range = read_range(&mut params, now);
        let state = params.choice("state", &IssueState::NAMES);
        let text = params.text("q");
        if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT) {
            params.add("q", format!("must be at most {MAX_TEXT} bytes"));
        }
        let level: Values<Level> = params.levels();
        let sort = params.choice("sort", &SORTS).unwrap_or_default();
        params.finish()?;
        let range = after.map_or(range.unwrap_or(Range::EMPTY), |(range, _)| range);
        let query = IssueQuery {
            columns: columns(range),
            state,
            text,
            level,
            sort,
            after: after.map(|(_, place)| place),
            limit: usize::try_from(limit).unwrap_or(1),
        };
        Ok(Self { query, params: sent, range, limit })
    }
}

/// The range of `since` and `until`: by default the last 14 days, and this minute.
fn read_range(params: &mut Params, now: Timestamp) -> Option<Range> {
    let calendar = Calendar::read(params, now)?;
    let minute = now.floor(MINUTE);
    let (since, until) = (params.time_in("since", &calendar), params.time_in("until", &calendar));
    if since.is_some_and(|since| since < Timestamp::EPOCH) {
        params.add("since", "is before 1970: send a later time");
    }
    let default = Range::new(minute - DEFAULT_DAYS * DAY, minute + MINUTE).unwrap_or(Range::EMPTY);
    params.range(since, until, default)
}

pub(crate) async fn list_all(State(context): Shared, Target(app): Target, params: Params) -> Result<Response, Problem> {
    let now = context.clock.now();
    let asked = Asked::read(params, &app, now)?;
    let reads = context.reads();
    // Read before the counters: a batch that is folded in between is then not claimed to be counted.
    let counted_to = counted_to(&reads, &app).await?;
    let found = list(&reads, &app, &asked.query).await.map_err(|e| Problem::of_read(e, "since"))?;
    let next = found.next.map(|place| {
        let cursor = IssueCursor {
            app: app.id.to_string(),
            params: asked.params,
            range: asked.range,
            value: place.value,
            group: place.group.to_string(),
            limit: asked.limit,
        };
        // Texts and numbers alone always serialize.
        seal(serde_json::to_vec(&cursor).unwrap_or_default())
    });
    let mut columns = asked.query.columns;
    columns.pop();
    let reply = IssuePage {
        // At most 100 of a few KB.
        items: found.issues.into_iter().map(|listed| IssueBody::new(listed, now)).collect(),
        next,
        since: found.coverage.range.since(),
        until: found.coverage.range.until(),
        columns,
        complete: found.coverage.complete,
        counted_to,
        live_from: found.coverage.live_from,
    };
    json(StatusCode::OK, &reply)
}

pub(crate) async fn read(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let (range, by) = params.read(|params| {
        let range = read_range(params, now);
        let by = params.values("by");
        if by.len() > MOST_BY || by.iter().any(|by| by.len() > MAX_TEXT) {
            params.add("by", format!("send it at most {MOST_BY} times, each with at most {MAX_TEXT} bytes"));
        }
        Some((range?, by))
    })?;
    let unknown = || {
        Problem::NotFound(
            "the app has no such issue: send the `id` of one that `GET /apps/{app}/issues` lists".to_owned(),
        )
    };
    let group: Group = id.parse().map_err(|_| unknown())?;
    let reads = context.reads();
    let counted_to = counted_to(&reads, &app).await?;
    let mut bounds = columns(range);
    let found = one(&reads, &app, group, &bounds).await.map_err(|e| Problem::of_read(e, "since"))?;
    let (listed, coverage) = found.ok_or_else(unknown)?;
    let attributes: Vec<String> = BY.iter().map(|name| (*name).to_owned()).chain(by).collect();
    let told = details(&reads, &app, group, coverage.range, &attributes, EVENTS).await?;
    let Details { events, by, users, looked_at, complete: looked_at_all } = told;
    let limits = Limits::default();
    let mut events: Vec<_> = events.iter().map(|event| EventBody::within(&limits, &app.slug, event)).collect();
    Room::default().fill(&mut events)?;
    bounds.pop();
    let reply = IssueDetails {
        issue: IssueBody::new(listed, now),
        since: coverage.range.since(),
        until: coverage.range.until(),
        columns: bounds,
        complete: coverage.complete,
        by: by.into_iter().map(|(name, values)| (name, most(values))).collect(),
        users,
        looked_at,
        looked_at_all,
        events,
        counted_to,
        live_from: coverage.live_from,
    };
    json(StatusCode::OK, &reply)
}

fn most(values: Vec<(Json, i64)>) -> Vec<ValueCount> {
    values.into_iter().take(MOST_VALUES).map(|(value, count)| ValueCount { value, count }).collect()
}

fn range_parameters(schemas: &mut SchemaGenerator) -> Vec<Parameter> {
    let time = schemas.subschema_for::<MomentInput>();
    let since = "From the minute of this time on, or from the start of this day of `tz`; by default 14 days before this minute.";
    let until = "Up to the minute of this time, or before this day of `tz`; by default the end of this minute.";
    let mut all = vec![Parameter::query("since", since, time.clone()), Parameter::query("until", until, time)];
    all.extend(calendar());
    all
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    let states = json_schema!({"type": "string", "enum": ["open", "resolved", "ignored"]});
    let sorts = json_schema!({"type": "string", "enum": ["last_seen", "first_seen", "count"]});
    Operation::of(&LIST_ISSUES, "listIssues", "Lists issues: groups of errors that occurred in a range")
        .about(
            "A group is an issue from its first event at the app's `issue_level` or above, or with a stack. Events that have neither a \
             message nor a fingerprint have no group. Occurrences come from the \
             counters of the group, whatever their level. A cursor contains its query: send it alone or with a `limit`.",
        )
        .takes(range_parameters(schemas))
        .takes([
            Parameter::query("state", "Only issues in this state.", states),
            Parameter::query("q", "Only issues whose title, name or place contains this text, in any case.", text()),
        ])
        .takes(level(schemas))
        .takes([
            Parameter::query("sort", "The newest first (`last_seen`, the default; `first_seen`), or the most frequent (`count`).", sorts),
            Parameter::query("limit", "Most issues in a page.", number_or(DEFAULT_LIMIT, 1, MAX_LIMIT)),
            Parameter::query("cursor", "Continues after the page that gave this as `next`. `next` is an alias.", text()),
        ])
        .answers_with::<IssuePage>(schemas, StatusCode::OK, "A page of issues.")
}

pub(crate) fn read_operation(schemas: &mut SchemaGenerator) -> Operation {
    let by = json_schema!({"anyOf": [
        {"type": "string", "maxLength": MAX_TEXT},
        {"type": "array", "items": {"type": "string", "maxLength": MAX_TEXT}, "minItems": 1, "maxItems": MOST_BY},
    ]});
    Operation::of(&READ_ISSUE, "readIssue", "Reads an issue, with what its newest events tell")
        .takes([Parameter::path("id", "The issue.", text())])
        .takes(range_parameters(schemas))
        .takes([Parameter::query(
            "by",
            "Also counts by this attribute: a path into `data`, or `tags.NAME`; at most 5.",
            by,
        )])
        .answers_with::<IssueDetails<'_>>(schemas, StatusCode::OK, "The issue.")
}
