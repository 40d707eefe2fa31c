//! `GET /apps/{app}/events`

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, Uri};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::filter::EventFilter;
use tally_core::invalid::Invalid;
use tally_core::time::moment::Calendar;
use tally_core::time::zone::Zone;
use tally_core::time::{Range, Timestamp};
use tally_http::credentials;
use tally_http::cursor::CursorError;
use tally_http::event::EventBody;
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{MomentInput, Operation, Parameter, PastDayInput, number, number_or, text};
use tally_http::parameters::{FromQuery, Params, SentParams, calendar, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::reply::Room;
use tally_http::routes::LIST_EVENTS;
use tally_http::service::Shared;
use tally_service::read::query::EventQuery;
use tally_service::read::reader::{Next, Page, read_page};
use tally_store::Order;

use crate::cursor::Cursor;

/// Events in a page by default.
const DEFAULT_LIMIT: usize = 50;
/// Most events in a page.
pub(crate) const MAX_LIMIT: usize = 1_000;
/// Most events to skip; past that a cursor is needed.
pub(crate) const MAX_OFFSET: usize = 10_000;

/// A page of events.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EventPage<'a> {
    /// The events. A page may be short or empty and still have a next page.
    items: Vec<EventBody<'a>>,
    /// The time from which events are listed; null where it is the beginning of time.
    since: Option<Timestamp>,
    /// The time before which events are listed; null where it is the end of time.
    until: Option<Timestamp>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
    /// The offset of the next page; null on the last, and where only a cursor can tell where it begins.
    next_offset: Option<usize>,
    /// Where no index and no counter locates what the filter asks, the number of events that were looked at for this page;
    /// otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    scanned: Option<usize>,
    /// Of such a filter, the time to which all events were looked at, from the newest on, or with `order=asc` from the oldest on; to the
    /// millisecond. Absent where the whole range was searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    searched_to: Option<Timestamp>,
}

pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let asked = AskedList::of(params, &app, now)?;
    let mut page = read_page(&context.reads(), &app, &asked.query).await?;
    cut(&mut page, |room, event| room.take(&EventBody::within(&limits, &app.slug, event)))?;
    let searched_to = page.next.filter(|_| page.scanned.is_some()).map(|next| next.after.at());
    let next = page.next.map(|next| asked.cursor(&app, next).encode());
    let reached = asked.offset.map(|offset| offset + page.events.len());
    let reply = EventPage {
        items: page.events.iter().map(|event| EventBody::within(&limits, &app.slug, event)).collect(),
        since: Some(asked.query.range.since()).filter(|since| *since != Timestamp::EPOCH),
        until: Some(asked.query.range.until()).filter(|until| *until != Timestamp::MAX),
        // An offset cannot tell where the read budget ended inside a page.
        next_offset: reached.filter(|o| *o <= MAX_OFFSET && page.next.is_some_and(|next| next.skip == 0)),
        next,
        // It would tell a bounded key how many events there are beside those that it reads.
        scanned: page.scanned.filter(|_| limits.is_none()),
        searched_to,
    };
    json(StatusCode::OK, &reply)
}

/// Cuts a page to the room of a reply. The next page then begins after the last event that fits. One event always fits.
pub(crate) fn cut(page: &mut Page, take: impl Fn(&mut Room, &Event) -> Result<bool, Problem>) -> Result<(), Problem> {
    let mut room = Room::default();
    for i in 0..page.events.len() {
        if !take(&mut room, &page.events[i])? && i > 0 {
            page.next = Some(Next { after: page.events[i - 1].id, skip: 0 });
            page.events.truncate(i);
            break;
        }
    }
    Ok(())
}

/// How many events the pages of a list have.
pub(crate) struct Pages {
    /// Where the request does not say.
    pub(crate) default: usize,
    /// At most.
    pub(crate) most: usize,
    /// Whether events may be skipped by their number.
    pub(crate) may_skip: bool,
}

/// A list as it was asked for.
pub struct AskedList {
    /// What to read.
    pub query: EventQuery,
    /// The parameters as sent, without those for the place and size of the page.
    params: SentParams,
    /// Where the page begins by number, unless a cursor tells it.
    offset: Option<usize>,
}

impl AskedList {
    /// Reads a query string.
    ///
    /// # Errors
    /// Names each wrong parameter.
    pub fn read(query: Option<&str>, app: &App, now: Timestamp) -> Result<Self, Invalid> {
        Self::of(Params::parse(query), app, now)
    }

    /// Reads parameters.
    pub(crate) fn of(params: Params, app: &App, now: Timestamp) -> Result<Self, Invalid> {
        let pages = Pages { default: DEFAULT_LIMIT, most: MAX_LIMIT, may_skip: true };
        let read = Self::with(params, app, now, &pages, |params| {
            let order = params.choice("order", &[("asc", Order::Ascending), ("desc", Order::Descending)]);
            (order.unwrap_or(Order::Descending), ())
        });
        read.map(|(asked, ())| asked)
    }

    /// Reads parameters of a list that has more of them than its filter: `more` reads those, and tells the order.
    pub(crate) fn with<T>(
        mut params: Params,
        app: &App,
        now: Timestamp,
        pages: &Pages,
        more: impl Fn(&mut Params) -> (Order, T),
    ) -> Result<(Self, T), Invalid> {
        let limit = params.number("limit", 1, pages.most as u64);
        let Some(cursor) = params.text_of("cursor", "next") else {
            let offset = if pages.may_skip { params.number("offset", 0, MAX_OFFSET as u64) } else { None };
            let offset = offset.unwrap_or(0);
            let sent = params.remaining();
            let (mut query, more) = read_query(params, now, None, more)?;
            query.limit = limit.unwrap_or(pages.default);
            query.skip = offset;
            return Ok((Self { query, params: sent, offset: Some(offset) }, more));
        };
        let cursor = Cursor::decode(&cursor, &app.id).map_err(|e| Invalid::field("cursor", e.to_string()))?;
        let limits = params.limits();
        params.finish_as(&cursor.params)?;
        let range = Some(cursor.range)
            .filter(|range| range.since() >= Timestamp::EPOCH && range.until() <= Timestamp::MAX)
            .ok_or_else(|| Invalid::field("cursor", CursorError.to_string()))?;
        let (mut query, more) = read_query(Params::of(cursor.params.clone()).within(limits), now, Some(range), more)?;
        query.after = Some(cursor.after);
        // The checksum detects accidents, not intent.
        query.limit = limit.unwrap_or(cursor.limit).clamp(1, pages.most);
        query.skip = cursor.skip.min(MAX_OFFSET);
        Ok((Self { query, params: cursor.params, offset: None }, more))
    }

    /// The cursor of the next page.
    pub(crate) fn cursor(&self, app: &App, next: Next) -> Cursor {
        Cursor {
            app: app.id.to_string(),
            params: self.params.clone(),
            range: self.query.range,
            after: next.after,
            skip: next.skip,
            limit: self.query.limit,
        }
    }
}

impl AskedList {
    /// The `Link` to the next page, with the credential, if the query has one.
    pub(crate) fn link(&self, app: &App, next: Next, origin: &str, uri: &Uri) -> Result<HeaderValue, Problem> {
        let params = [("cursor".to_owned(), self.cursor(app, next).encode())];
        let params = params.into_iter().chain(credentials::in_query(uri.query()));
        let params = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let link = format!("<{origin}{}?{params}>; rel=\"next\"", uri.path());
        HeaderValue::try_from(link).map_err(|e| Problem::Internal(e.to_string()))
    }
}

/// Reads which events are listed. The range of a cursor takes precedence, since `1h` means another time by now.
fn read_query<T>(
    mut params: Params,
    now: Timestamp,
    known: Option<Range>,
    more: impl Fn(&mut Params) -> (Order, T),
) -> Result<(EventQuery, T), Invalid> {
    let filter = EventFilter::read(&mut params, now).unwrap_or_default();
    let range = read_range(&mut params, now);
    let (order, more) = more(&mut params);
    let consistent = params.flag("consistent");
    params.finish()?;
    let query = EventQuery {
        range: known.unwrap_or(range),
        filter,
        order,
        after: None,
        skip: 0,
        limit: DEFAULT_LIMIT,
        consistent,
        live_from: None,
        part: None,
    };
    Ok((query, more))
}

pub(crate) fn read_range(params: &mut Params, now: Timestamp) -> Range {
    let zone: Option<Zone> = params.parsed("tz");
    let has_zone = zone.is_some();
    let week_start = params.parsed("week_start").unwrap_or_default();
    let calendar = Calendar { zone: zone.unwrap_or_else(Zone::utc), week_start, now };
    let since = params.time_in("since", &calendar);
    let until = params.time_in("until", &calendar);
    let mut range = Range::ALL;
    if let Some(date) = params.text("date") {
        let day = calendar.read_day(&date).and_then(|date| Ok(calendar.zone.day(date)?));
        match day {
            Ok(day) => range = day,
            Err(_) => params.add("date", "must be `today`, `yesterday` or a day, e.g. 2026-02-10"),
        }
    } else if has_zone && since.is_none() && until.is_none() {
        params.add("tz", "only applies to `date`, `since` and `until`: send one of them");
    }
    match params.range(since, until, Range::ALL) {
        Some(asked) => range.intersect(asked).intersect(Range::ALL),
        None => range,
    }
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    let (time, day) = (schemas.subschema_for::<MomentInput>(), schemas.subschema_for::<PastDayInput>());
    Operation::of(&LIST_EVENTS, "listEvents", "Lists events")
        .about(
            "All filters combine; several values of one mean any of them, and of one with `[ne]` none. The order is by time to the millisecond, then by id. A filter on `name`, `slug`, \
             `category`, `level` or `message` reads through the counters and may lack events of the last seconds; \
             `consistent=true` reads strongly, without counters. A page may be short: only `next` tells whether there is \
             more. A cursor contains its query: send it alone or with a `limit`.",
        )
        .takes(event_filters(schemas))
        .takes(calendar())
        .takes([
            Parameter::query("since", "Only events from this time on, or from the start of this day of `tz`.", time.clone()),
            Parameter::query("until", "Only events before this time, or before the start of this day of `tz`.", time),
            Parameter::query("date", "Only events of this day.", day),
            // Without defaults in their schemas: generated clients send these, and a cursor goes without them.
            Parameter::query(
                "order",
                "Newest first (`desc`, the default) or oldest first (`asc`).",
                json_schema!({"type": "string", "enum": ["desc", "asc"]}),
            ),
            Parameter::query("limit", "Most events in a page.", number_or(DEFAULT_LIMIT as u64, 1, MAX_LIMIT as u64)),
            Parameter::query("cursor", "Continues after the page that gave this as `next`. `next` is an alias.", text()),
            Parameter::query("offset", "Skips this many events.", number(0, MAX_OFFSET as u64)),
            Parameter::query(
                "consistent",
                "Whether to read strongly, without counters; by default not.",
                json_schema!({"type": "boolean"}),
            ),
        ])
        .answers_with::<EventPage<'_>>(schemas, StatusCode::OK, "A page of events.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::app::EventClock;
    use tally_core::app::layout::Layout;
    use tally_core::event::id::EventId;

    fn read(query: &str) -> Result<EventQuery, Invalid> {
        let app = App::new("shop", EventClock::Event, Layout::new(1, None), Timestamp::EPOCH).expect("a name");
        AskedList::read(Some(query), &app, "2026-11-21T10:00:00Z".parse().expect("a time")).map(|asked| asked.query)
    }

    #[test]
    fn a_range_lies_within_all_time() {
        for query in ["date=1960-01-01&since=1950-01-01", "since=0001-01-01", "until=1969-01-01&since=1960-01-01"] {
            let range = read(query).expect(query).range;
            assert!(Timestamp::EPOCH <= range.since() && range.until() <= Timestamp::MAX, "{query}: {range:?}");
        }
    }

    #[test]
    fn a_cursor_made_by_hand_asks_for_no_more_than_parameters_may() {
        let made = |(since, until), skip, limit| {
            let at = Timestamp::from_micros;
            let range = Range::new(at(since), at(until)).expect("in order");
            let app = "shop".to_owned();
            let after = EventId::first_at(Timestamp::EPOCH);
            read(&format!("cursor={}", Cursor { app, params: SentParams::new(), range, after, skip, limit }.encode()))
        };
        let limits = |query: EventQuery| (query.limit, query.skip);
        assert_eq!(made((0, 5), 0, 0).map(limits), Ok((1, 0)));
        assert_eq!(made((0, 5), usize::MAX, usize::MAX).map(limits), Ok((MAX_LIMIT, MAX_OFFSET)));
        for range in [(-1, 5), (i64::MAX, i64::MAX), (0, i64::MAX)] {
            assert!(made(range, 0, 50).is_err(), "{range:?}");
        }
    }
}
