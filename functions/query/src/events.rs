//! `GET /apps/{app}/events`

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::filter::{AttributeFilter, CellFilter, EventFilter};
use tally_core::invalid::Invalid;
use tally_core::time::zone::Zone;
use tally_core::time::{Range, Timestamp};
use tally_http::event::EventBody;
use tally_http::guard::Target;
use tally_http::openapi::{DayInput, Operation, Parameter, TimeInput, number, number_or, one_of, text};
use tally_http::parameters::{FromQuery, Params, filters};
use tally_http::problem::{Problem, json};
use tally_http::routes::LIST_EVENTS;
use tally_http::service::Shared;
use tally_service::read::query::EventQuery;
use tally_service::read::reader::{Next, Page, read_page};
use tally_store::Order;

use crate::cursor::{Cursor, CursorError};

/// Events in a page by default.
const DEFAULT_LIMIT: usize = 50;
/// Most events in a page.
pub(crate) const MAX_LIMIT: usize = 1_000;
/// Most events to skip; past that a cursor is needed.
pub(crate) const MAX_OFFSET: usize = 10_000;
/// Most bytes of events in a reply. Lambda's own limit is 6 MB.
const MAX_REPLY: usize = 4 * 1024 * 1024 - 16 * 1024;
/// Most attributes in one filter.
const MAX_ATTRIBUTES: usize = 10;

/// A page of events.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EventPage<'a> {
    /// The events. A page may be short or empty and still have a next page.
    items: Vec<EventBody<'a>>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
    /// The offset of the next page; null on the last, and where only a cursor can tell where it begins.
    next_offset: Option<usize>,
}

pub(crate) async fn list(State(context): Shared, Target(app): Target, params: Params) -> Result<Response, Problem> {
    let now = context.clock.now();
    let asked = AskedList::of(params, &app, now)?;
    let mut page = read_page(&context.store, &context.clock, context.config.read_budget, &app, &asked.query).await?;
    cut(&mut page, |event| serde_json::to_vec(&EventBody::new(&app.slug, event)))?;
    let next = page.next.map(|next| asked.cursor(&app, next).encode());
    let reached = asked.offset.map(|offset| offset + page.events.len());
    let reply = EventPage {
        items: page.events.iter().map(|event| EventBody::new(&app.slug, event)).collect(),
        // An offset cannot tell where the read budget ended inside a page.
        next_offset: reached.filter(|o| *o <= MAX_OFFSET && page.next.is_some_and(|next| next.skip == 0)),
        next,
    };
    json(StatusCode::OK, &reply)
}

/// Cuts a page to the size limit of a reply. The next page then begins after the last event that fits.
pub(crate) fn cut(page: &mut Page, body: impl Fn(&Event) -> serde_json::Result<Vec<u8>>) -> Result<(), Problem> {
    let mut size = 0;
    for (i, event) in page.events.iter().enumerate() {
        size += body(event).map_err(|e| Problem::Internal(e.to_string()))?.len() + 1;
        if size > MAX_REPLY && i > 0 {
            let after = page.events[i - 1].id;
            page.events.truncate(i);
            page.next = Some(Next { after, skip: 0 });
            return Ok(());
        }
    }
    Ok(())
}

/// A list as it was asked for.
pub struct AskedList {
    /// What to read.
    pub query: EventQuery,
    /// The parameters as sent, without those for the place and size of the page.
    params: BTreeMap<String, String>,
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
    pub(crate) fn of(mut params: Params, app: &App, now: Timestamp) -> Result<Self, Invalid> {
        let limit = params.number("limit", 1, MAX_LIMIT as u64);
        let Some(cursor) = params.text("cursor") else {
            let offset = params.number("offset", 0, MAX_OFFSET as u64).unwrap_or(0);
            let sent = params.remaining().into_iter().collect();
            let mut query = read_query(params, now, None)?;
            query.limit = limit.unwrap_or(DEFAULT_LIMIT);
            query.skip = offset;
            return Ok(Self { query, params: sent, offset: Some(offset) });
        };
        let cursor = Cursor::decode(&cursor, &app.id).map_err(|e| Invalid::field("cursor", e.to_string()))?;
        for (name, value) in params.remaining() {
            if cursor.params.get(&name) != Some(&value) {
                params.add(&name, "differs from the query of the cursor: send the cursor alone");
            }
            params.text(&name);
        }
        params.finish()?;
        let range = Some(cursor.range)
            .filter(|range| range.since() >= Timestamp::EPOCH && range.until() <= Timestamp::MAX)
            .ok_or_else(|| Invalid::field("cursor", CursorError.to_string()))?;
        let mut query = read_query(Params::of(&cursor.params), now, Some(range))?;
        query.after = Some(cursor.after);
        // The checksum detects accidents, not intent.
        query.limit = limit.unwrap_or(cursor.limit).clamp(1, MAX_LIMIT);
        query.skip = cursor.skip.min(MAX_OFFSET);
        Ok(Self { query, params: cursor.params, offset: None })
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

/// Reads which events are listed. The range of a cursor takes precedence, since `today` may mean another day by now.
fn read_query(mut params: Params, now: Timestamp, known: Option<Range>) -> Result<EventQuery, Invalid> {
    let filter = EventFilter {
        cell: CellFilter::read(&mut params, now).unwrap_or_default(),
        message: params.filter("message"),
        session_id: params.filter("session_id"),
        user_id: params.filter("user_id"),
        fingerprint: params.filter("fingerprint"),
        attributes: attributes(&mut params),
    };
    let range = read_range(&mut params, now);
    let order = params.choice("order", &[("asc", Order::Ascending), ("desc", Order::Descending)]);
    let consistent = params.flag("consistent");
    params.finish()?;
    Ok(EventQuery {
        range: known.unwrap_or(range),
        filter,
        order: order.unwrap_or(Order::Descending),
        after: None,
        skip: 0,
        limit: DEFAULT_LIMIT,
        consistent,
    })
}

fn attributes(params: &mut Params) -> Vec<AttributeFilter> {
    let sent = params.with_prefix("attr.");
    for (path, value) in &sent {
        if path.is_empty() || value.is_empty() {
            params.add(&format!("attr.{path}"), "send a path and a value, e.g. attr.plan=pro");
        }
    }
    if sent.len() > MAX_ATTRIBUTES {
        params.add("attr", format!("send at most {MAX_ATTRIBUTES} attributes"));
    }
    let attribute =
        |(path, value): (String, String)| AttributeFilter { path: path.split('.').map(str::to_owned).collect(), value };
    sent.into_iter().map(attribute).collect()
}

fn read_range(params: &mut Params, now: Timestamp) -> Range {
    let since: Option<Timestamp> = params.parsed("since");
    let until: Option<Timestamp> = params.parsed("until");
    let zone: Option<Zone> = params.parsed("tz");
    let mut range = Range::ALL;
    if let Some(date) = params.text("date") {
        let zone = zone.unwrap_or_else(Zone::utc);
        let day = zone.read_date(&date, now).and_then(|date| {
            let next = date.tomorrow().map_err(|_| tally_core::time::TimeError)?;
            Ok((zone.start_of_day(date)?, zone.start_of_day(next)?))
        });
        match day.map(|(since, until)| Range::new(since, until)) {
            Ok(Ok(day)) => range = day,
            _ => params.add("date", "must be `today` or a day, e.g. 2026-02-10"),
        }
    } else if zone.is_some() {
        params.add("tz", "only applies to `date`: send both");
    }
    match Range::new(since.unwrap_or(Timestamp::EPOCH), until.unwrap_or(Timestamp::MAX)) {
        Ok(asked) => range.intersect(asked).intersect(Range::ALL),
        Err(e) => {
            params.add("since", e);
            range
        }
    }
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    let (time, day) = (schemas.subschema_for::<TimeInput>(), schemas.subschema_for::<DayInput>());
    let attributes = json_schema!({
        "type": "object",
        "patternProperties": {"^attr\\..": {"type": "string"}},
        "additionalProperties": false,
        "maxProperties": MAX_ATTRIBUTES,
        "examples": [{"attr.plan": "pro"}],
    });
    Operation::of(&LIST_EVENTS, "listEvents", "Lists events")
        .about(
            "All filters combine. The order is by time to the millisecond, then by id. A filter on `name`, `slug`, \
             `category`, `level` or `message` reads through the counters and may lack events of the last seconds; \
             `consistent=true` reads strongly, without counters. A page may be short: only `next` tells whether there is \
             more. A cursor contains its query: send it alone or with a `limit`.",
        )
        .takes(filters(schemas))
        .takes([
            Parameter::query("message", "Only events with exactly this message.", text()),
            Parameter::query("session_id", "Only events of this session.", text()),
            Parameter::query("user_id", "Only events of this user.", text()),
            Parameter::query("fingerprint", "Only events with this fingerprint.", text()),
            Parameter::query("since", "Only events from this time on.", time.clone()),
            Parameter::query("until", "Only events before this time.", time),
            Parameter::query("date", "Only events of this day.", day),
            Parameter::query("tz", "The time zone of `date`, an IANA name; UTC by default.", text()),
            Parameter::query(
                "attributes",
                "Only events whose `data` has this value at this path: `attr.PATH=value`, e.g. `attr.plan=pro`.",
                attributes,
            ),
            Parameter::query("order", "Newest or oldest first.", one_of(&["desc", "asc"])),
            Parameter::query("limit", "Most events in a page.", number_or(DEFAULT_LIMIT as u64, 1, MAX_LIMIT as u64)),
            Parameter::query("cursor", "Continues after the page that gave this cursor.", text()),
            Parameter::query("offset", "Skips this many events.", number(0, MAX_OFFSET as u64)),
            Parameter::query(
                "consistent",
                "Whether to read strongly, without counters.",
                json_schema!({"type": "boolean", "default": false}),
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
            read(&format!("cursor={}", Cursor { app, params: BTreeMap::new(), range, after, skip, limit }.encode()))
        };
        let limits = |query: EventQuery| (query.limit, query.skip);
        assert_eq!(made((0, 5), 0, 0).map(limits), Ok((1, 0)));
        assert_eq!(made((0, 5), usize::MAX, usize::MAX).map(limits), Ok((MAX_LIMIT, MAX_OFFSET)));
        for range in [(-1, 5), (i64::MAX, i64::MAX), (0, i64::MAX)] {
            assert!(made(range, 0, 50).is_err(), "{range:?}");
        }
    }
}
