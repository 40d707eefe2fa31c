//! `GET /apps/{app}/sessions`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tally_core::app::AppId;
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::invalid::Invalid;
use tally_core::time::{Range, Timestamp, micros};
use tally_http::cursor::{CursorError, open, seal};
use tally_http::guard::Target;
use tally_http::limits::{Limited, Limits};
use tally_http::openapi::{Operation, Parameter, number_or, text};
use tally_http::parameters::{FromQuery, Params, SentParams, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::routes::LIST_SESSIONS;
use tally_http::service::Shared;
use tally_http::view::{TimeRange, time_range};
use tally_service::people::sessions::{self as uses, Findable, MAX_DATA, MAX_EVENTS, Session, SessionQuery};

use crate::answer::{Coverage, joins};

/// Sessions in a page by default, and at most. All of them fit into a reply.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// A page of sessions.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sessions")]
struct SessionsBody {
    /// Those whose last matching event is the newest first. A page may be short or empty and still have a next page.
    items: Vec<SessionBody>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
    #[serde(flatten)]
    coverage: Coverage,
}

/// A session: all events with its `session_id`, also those outside of the range.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
struct SessionBody {
    session_id: String,
    /// The user of its newest event that has one; null if none has.
    user_id: Option<String>,
    first_at: Timestamp,
    last_at: Timestamp,
    /// From the first event to the last.
    duration_seconds: i64,
    /// The number of occurrences.
    events: u64,
    /// Those of the levels ERROR and FATAL.
    errors: u64,
    first_name: String,
    last_name: String,
    /// The `data` of its first event, or the first fields of it that fit into 2 KB; null if there is none, and for a key that hides
    /// data.
    data: Option<Json>,
    /// Whether it may have begun earlier: it has more events than are read of a session, or the read budget ended.
    cut: bool,
}

impl SessionBody {
    fn of(session: Session, hides_data: bool) -> Self {
        Self {
            session_id: session.id,
            user_id: session.user_id,
            first_at: session.first_at,
            last_at: session.last_at,
            duration_seconds: (session.last_at - session.first_at).as_seconds(),
            events: session.events,
            errors: session.errors,
            first_name: session.first_name,
            last_name: session.last_name,
            data: session.data.filter(|_| !hides_data),
            cut: session.cut,
        }
    }
}

/// Where a list continues.
#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "a")]
    app: String,
    #[serde(rename = "s")]
    list: String,
    #[serde(rename = "q")]
    params: SentParams,
    #[serde(rename = "r", with = "micros::range")]
    range: Range,
    #[serde(rename = "i")]
    after: EventId,
    #[serde(rename = "l")]
    limit: usize,
    #[serde(rename = "f")]
    findable: Findable,
}

/// What tells these cursors from others.
const LIST: &str = "sessions";

impl Cursor {
    fn decode(text: &str, app: &AppId) -> Result<Self, CursorError> {
        let cursor: Self = serde_json::from_slice(&open(text)?).map_err(|_| CursorError)?;
        let in_time = cursor.range.since() >= Timestamp::EPOCH && cursor.range.until() <= Timestamp::MAX;
        if in_time && cursor.app == app.as_str() && cursor.list == LIST { Ok(cursor) } else { Err(CursorError) }
    }
}

/// The list as it was asked for, with the parameters of its cursors.
fn read(
    mut params: Params,
    app: &AppId,
    limits: &Limits,
    now: Timestamp,
) -> Result<(SessionQuery, SentParams), Problem> {
    let limit = params.number("limit", 1, MAX_LIMIT as u64);
    let (own, joins) = (limits.filter(), joins(limits));
    let Some(text) = params.text("cursor") else {
        let sent = params.remaining();
        let (filter, TimeRange(range)) = params.read(|params| FromQuery::read(params, now))?;
        let query = SessionQuery {
            range,
            own,
            filter,
            joins,
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            after: None,
            findable: None,
        };
        return Ok((query, sent));
    };
    let cursor = Cursor::decode(&text, app).map_err(|e| Invalid::field("cursor", e.to_string()))?;
    let limits = params.limits();
    params.finish_as(&cursor.params)?;
    // The range of a cursor takes precedence, since `1h` means another by now.
    let (filter, _): (_, TimeRange) =
        Params::of(cursor.params.clone()).within(limits).read(|params| FromQuery::read(params, now))?;
    let limit = limit.unwrap_or(cursor.limit).clamp(1, MAX_LIMIT);
    let (after, findable) = (Some(cursor.after), Some(cursor.findable));
    let query = SessionQuery { range: cursor.range, own, filter, joins, limit, after, findable };
    Ok((query, cursor.params))
}

pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    params: Params,
) -> Result<Response, Problem> {
    let (query, params) = read(params, &app.id, &limits, context.clock.now())?;
    let page = uses::list(&context.reads(), &app, &query).await?;
    let cursor = |(after, findable)| Cursor {
        app: app.id.to_string(),
        list: LIST.to_owned(),
        params,
        range: query.range,
        after,
        limit: query.limit,
        findable,
    };
    // Texts and numbers alone always serialize.
    let next = page.next.map(|place| seal(serde_json::to_vec(&cursor(place)).unwrap_or_default()));
    let items = page.sessions.into_iter().map(|session| SessionBody::of(session, limits.hides_data)).collect();
    json(StatusCode::OK, &SessionsBody { items, next, coverage: Coverage::of(query.range, &page.read) })
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&LIST_SESSIONS, "listSessions", "Lists sessions")
        .about(format!(
            "Sessions with an event in the range that matches all filters, each shown whole: with its events outside of the range \
             and those that do not match, up to its {MAX_EVENTS} newest. Of the data of its first event, {MAX_DATA} bytes are \
             shown. A page may be short: only `next` tells whether there is more. A cursor contains its query: send it alone or \
             with a `limit`. A key that hides people may not list sessions.",
        ))
        .takes(time_range(schemas))
        .takes(event_filters(schemas))
        .takes([
            Parameter::query("limit", "Most sessions in a page.", number_or(DEFAULT_LIMIT as u64, 1, MAX_LIMIT as u64)),
            Parameter::query("cursor", "Continues after the page that gave this as `next`.", text()),
        ])
        .answers_with::<SessionsBody>(schemas, StatusCode::OK, "A page of sessions.")
}
