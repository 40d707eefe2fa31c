//! `GET /the-eye/{key}/api/event/`; see [`tally_http::compat::the_eye`].

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::invalid::Invalid;
use tally_core::time::{MICROSECOND, Range, Timestamp};
use tally_http::compat::the_eye::timestamp;
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::{Shared, origin};
use tally_service::context::Context;
use tally_service::read::query::EventQuery;
use tally_service::read::reader::{Next, Page, read_page};
use tally_service::report::count::{SessionQuery, Total, session_total, total};
use tally_store::{Order, StoreError};

use crate::cursor::{Cursor, CursorError};
use crate::list::{MAX_LIMIT, MAX_OFFSET, cut};

/// Events in a page, where nothing else is said.
pub(crate) const DEFAULT_LIMIT: usize = 100;

/// A page of events, as Django REST framework has it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TheEyePage")]
pub(crate) struct Reply<'a> {
    /// The occurrences of all that was asked for, whatever part of it the page holds.
    count: i64,
    /// Said only where there may be more than `count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    /// The URL of the next page; null where there is none.
    next: Option<String>,
    /// The URL of the page before; null where there is none.
    previous: Option<String>,
    /// The newest first.
    results: Vec<EventBody<'a>>,
}

/// An event in The Eye's words.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TheEyeEvent")]
struct EventBody<'a> {
    session_id: Option<&'a str>,
    /// In UTC, without a fraction or to the microsecond.
    timestamp: String,
    category: Option<&'a str>,
    name: &'a str,
    data: Option<&'a Json>,
}

impl<'a> EventBody<'a> {
    fn new(event: &'a Event) -> Self {
        Self {
            session_id: event.session_id.as_deref(),
            timestamp: timestamp(event.timestamp),
            category: event.category.as_deref(),
            name: &event.name,
            data: event.data.as_ref(),
        }
    }
}

pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = Asked::read(query.as_deref(), &app)?;
    let mut page = read_page(&context.store, &context.clock, context.config.read_budget, &app, &asked.query).await?;
    cut(&mut page, |event| serde_json::to_vec(&EventBody::new(event)))?;
    let (next, previous) = asked.neighbours(&page);
    let Total { count, complete } = asked.count(&context, &app, &page).await?;
    let path = format!("{}{}/", origin(&headers, &context.config), uri.path());
    let link = |place: Place| asked.link(&app, &path, &place);
    if asked.query.order == Order::Ascending {
        page.events.reverse();
    }
    let reply = Reply {
        count,
        complete: (!complete).then_some(false),
        next: next.map(link),
        previous: previous.map(link),
        results: page.events.iter().map(EventBody::new).collect(),
    };
    json(StatusCode::OK, &reply)
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// With the newest event but so many.
    Offset(usize),
    /// Where another page ended, in an order.
    After(Order, Next),
}

/// A page as it was asked for.
struct Asked {
    query: EventQuery,
    place: Place,
    /// What was sent, without what says which page is meant.
    sent: Vec<(String, String)>,
}

/// What says which page is meant.
const PLACE: [&str; 3] = ["limit", "offset", "cursor"];

impl Asked {
    fn read(query: Option<&str>, app: &App) -> Result<Self, Invalid> {
        let mut params = Params::lenient(query);
        let sent = params.remaining().into_iter().filter(|(name, _)| !PLACE.contains(&name.as_str())).collect();
        let mut text =
            |name: &str| params.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let filter = EventFilter {
            cell: CellFilter { name: text("name"), category: text("category"), ..CellFilter::default() },
            session_id: text("session_id"),
            ..EventFilter::default()
        };
        let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<usize>().ok());
        let limit = number(text("limit")).filter(|limit| *limit > 0).unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
        let offset = number(text("offset")).unwrap_or(0);
        let cursor = text("cursor");
        let range = read_range(&mut params);
        if offset > MAX_OFFSET && cursor.is_none() {
            params.add(
                "offset",
                format!("must be at most {MAX_OFFSET}: past that follow `next`, or send shorter ranges"),
            );
        }
        params.check()?;
        let place = match cursor {
            None => Place::Offset(offset),
            Some(cursor) => place_of(&cursor, app, &filter, range)?,
        };
        let (order, after, skip) = match place {
            Place::Offset(offset) => (Order::Descending, None, offset),
            Place::After(order, Next { after, skip }) => (order, Some(after), skip),
        };
        let query = EventQuery { range, filter, order, after, skip, limit, consistent: false };
        Ok(Self { query, place, sent })
    }

    /// Where the next page begins, which has older events, and the one before.
    fn neighbours(&self, page: &Page) -> (Option<Place>, Option<Place>) {
        let after = |order: Order, id: Option<EventId>| Some(Place::After(order, Next { after: id?, skip: 0 }));
        let first = page.events.first().map(|event| event.id);
        match self.place {
            Place::Offset(offset) => {
                let before = (offset > 0).then(|| Place::Offset(offset.saturating_sub(self.query.limit)));
                let end = offset + page.events.len();
                let last = page.events.last().map(|event| event.id);
                let next = page.next.map(|next| {
                    // A place that the read budget ended at would cost as much again to come to by number.
                    let by_number = Some(next.after) == last && next.skip == 0 && end <= MAX_OFFSET;
                    if by_number { Place::Offset(end) } else { Place::After(Order::Descending, next) }
                });
                (next, before)
            }
            Place::After(order, from) => {
                let onwards = page.next.map(|next| Place::After(order, next));
                // A page without events is turned round at where it began, which may be an event itself.
                match order {
                    Order::Descending => (onwards, after(Order::Ascending, first.or(from.after.before()))),
                    Order::Ascending => (after(Order::Descending, first.or(from.after.after())), onwards),
                }
            }
        }
    }

    /// The occurrences of all that is asked for; never fewer than the page shows.
    async fn count(&self, context: &Context, app: &App, page: &Page) -> Result<Total, StoreError> {
        // `count` is at most 1e9.
        let shown: i64 = page.events.iter().map(|event| i64::try_from(event.count).unwrap_or(0)).sum();
        if self.place == Place::Offset(0) && page.next.is_none() {
            return Ok(Total { count: shown, complete: true });
        }
        let EventQuery { range, filter, .. } = &self.query;
        let (store, now, range, cells) = (&context.store, context.clock.now(), *range, &filter.cell);
        let total = match &filter.session_id {
            Some(session_id) => {
                let query = SessionQuery { session_id, range, filter: cells, budget: context.config.read_budget };
                session_total(store, now, app, &query).await?
            }
            None => total(store, now, app, range, cells).await?,
        };
        Ok(Total { count: total.count.max(shown), ..total })
    }

    /// The URL of a page, which begins as the client came to this one.
    fn link(&self, app: &App, path: &str, place: &Place) -> String {
        let mut params = self.sent.clone();
        params.push(("limit".to_owned(), self.query.limit.to_string()));
        match *place {
            Place::Offset(0) => {}
            Place::Offset(offset) => params.push(("offset".to_owned(), offset.to_string())),
            Place::After(order, Next { after, skip }) => {
                let EventQuery { filter, range, limit, .. } = &self.query;
                let cursor = Cursor {
                    app: app.id.to_string(),
                    params: cursor_params(filter, order),
                    range: *range,
                    after,
                    skip,
                    limit: *limit,
                };
                params.push(("cursor".to_owned(), cursor.encode()));
            }
        }
        params.sort();
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        format!("{path}?{query}")
    }
}

/// From when to when: either spelling of either bound, the narrower where both are sent.
fn read_range(params: &mut Params) -> Range {
    let mut bound = |name: &str| -> Option<Timestamp> {
        let text = params.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())?;
        // A last day is meant as for ever; not all of its moments can be named.
        let read = if text.starts_with("9999-12-31") { Ok(Timestamp::MAX) } else { text.parse() };
        params.keep(name, read)
    };
    let (after, start) = (bound("timestamp_after"), bound("timestamp_start"));
    let (before, end) = (bound("timestamp_before"), bound("timestamp_end"));
    let since = after.max(start).unwrap_or(Timestamp::EPOCH);
    // The bound itself is taken in.
    let until = before.into_iter().chain(end).min().map_or(Timestamp::MAX, |last| last + MICROSECOND);
    Range::new(since.max(Timestamp::EPOCH), until).unwrap_or(Range::EMPTY)
}

/// The parameters that a cursor is given for: as a native list has them, in words that it understands.
fn cursor_params(filter: &EventFilter, order: Order) -> BTreeMap<String, String> {
    let order = match order {
        Order::Descending => None,
        Order::Ascending => Some("asc".to_owned()),
    };
    let EventFilter { cell: CellFilter { name, category, .. }, session_id, .. } = filter.clone();
    let params = [("name", name), ("category", category), ("session_id", session_id), ("order", order)];
    params.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Where a cursor says that its page begins.
fn place_of(text: &str, app: &App, filter: &EventFilter, range: Range) -> Result<Place, Invalid> {
    let refused = |e: CursorError| Invalid::field("cursor", e.to_string());
    let cursor = Cursor::decode(text, &app.id).map_err(refused)?;
    let given_for = |order: &Order| cursor_params(filter, *order) == cursor.params;
    let order = [Order::Descending, Order::Ascending].into_iter().find(given_for);
    let order = order.filter(|_| cursor.range == range);
    let differs = || Invalid::field("cursor", "was given for other filters: follow `next` and `previous` as they are");
    // Its checksum keeps out what was altered by accident, not what was made on purpose.
    let next = Next { after: cursor.after, skip: cursor.skip.min(MAX_OFFSET) };
    Ok(Place::After(order.ok_or_else(differs)?, next))
}
