//! The Eye's `GET api/event/`; see [`tally_http::compat::the_eye`].

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use schemars::SchemaGenerator;
use tally_core::app::App;
use tally_core::event::filter::values::Values;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::id::EventId;
use tally_core::invalid::Invalid;
use tally_core::time::{Range, Timestamp};
use tally_http::compat::the_eye::{TheEyeEvent, TheEyePage, filter, range, trimmed};
use tally_http::cursor::CursorError;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter, TimeInput, number, number_or, text};
use tally_http::parameters::{Params, SentParams};
use tally_http::problem::{Problem, json};
use tally_http::routes::THE_EYE_LIST;
use tally_http::service::{Shared, origin};
use tally_service::read::query::EventQuery;
use tally_service::read::reader::{Next, Page, read_page};
use tally_service::reads::Reads;
use tally_service::report::count::{Total, total};
use tally_service::report::session_total::session_total;
use tally_store::Order;

use crate::cursor::Cursor;
use crate::events::{MAX_LIMIT, MAX_OFFSET, cut};

/// Events in a page by default.
const DEFAULT_LIMIT: usize = 100;

pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = AskedPage::read(uri.query(), &app, context.clock.now())?;
    let reads = context.reads();
    let mut page = read_page(&reads, &app, &asked.query).await?;
    cut(&mut page, |room, event| room.take(&TheEyeEvent::new(event)))?;
    let (next, previous) = asked.neighbours(&page);
    let Total { count, complete } = asked.count(&reads, &app, &page).await?;
    let path = format!("{}{}/", origin(&headers, &context.config), uri.path());
    let link = |place: Place| asked.link(&app, &path, &place);
    if asked.query.order == Order::Ascending {
        page.events.reverse();
    }
    let reply = TheEyePage {
        count,
        complete: (!complete).then_some(false),
        next: next.map(link),
        previous: previous.map(link),
        results: page.events.iter().map(TheEyeEvent::new).collect(),
    };
    json(StatusCode::OK, &reply)
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After this many of the newest events.
    Offset(usize),
    /// Where another page ended, in an order.
    After(Order, Next),
}

/// A page as it was asked for.
struct AskedPage {
    query: EventQuery,
    place: Place,
    /// The parameters as sent, without those of the place.
    sent: SentParams,
}

/// The parameters of the place and size of a page.
const PLACE: [&str; 3] = ["limit", "offset", "cursor"];

impl AskedPage {
    fn read(query: Option<&str>, app: &App, now: Timestamp) -> Result<Self, Invalid> {
        let mut params = Params::lenient(query);
        let sent = params.remaining().into_iter().filter(|(name, _)| !PLACE.contains(&name.as_str())).collect();
        let filter = filter(&mut params);
        let number = |text: Option<String>| text.and_then(|text| text.parse::<usize>().ok());
        let limit = number(trimmed(&mut params, "limit")).filter(|limit| *limit > 0);
        let limit = limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
        let offset = number(trimmed(&mut params, "offset")).unwrap_or(0);
        let cursor = trimmed(&mut params, "cursor");
        let range = range(&mut params, now);
        if offset > MAX_OFFSET && cursor.is_none() {
            params.add(
                "offset",
                format!("must be at most {MAX_OFFSET}: past that follow `next`, or send a shorter range"),
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
        let query =
            EventQuery { range, filter, order, after, skip, limit, consistent: false, live_from: None, part: None };
        Ok(Self { query, place, sent })
    }

    /// Where the next page, which has older events, and the previous page begin.
    fn neighbours(&self, page: &Page) -> (Option<Place>, Option<Place>) {
        let after = |order: Order, id: Option<EventId>| Some(Place::After(order, Next { after: id?, skip: 0 }));
        let first = page.events.first().map(|event| event.id);
        match self.place {
            Place::Offset(offset) => {
                let before = (offset > 0).then(|| Place::Offset(offset.saturating_sub(self.query.limit)));
                let end = offset + page.events.len();
                let last = page.events.last().map(|event| event.id);
                let next = page.next.map(|next| {
                    // By number, a place where the read budget ended would cost as much again.
                    let by_number = Some(next.after) == last && next.skip == 0 && end <= MAX_OFFSET;
                    if by_number { Place::Offset(end) } else { Place::After(Order::Descending, next) }
                });
                (next, before)
            }
            Place::After(order, from) => {
                let onwards = page.next.map(|next| Place::After(order, next));
                // A page without events turns round where it began, which may be an event itself.
                match order {
                    Order::Descending => (onwards, after(Order::Ascending, first.or(from.after.before()))),
                    Order::Ascending => (after(Order::Descending, first.or(from.after.after())), onwards),
                }
            }
        }
    }

    /// The number of occurrences of all that is asked for; never fewer than the page shows.
    async fn count(&self, reads: &Reads, app: &App, page: &Page) -> Result<Total, Problem> {
        // `count` is at most 1e9.
        let shown: i64 = page.events.iter().map(|event| i64::try_from(event.count).unwrap_or(0)).sum();
        if self.place == Place::Offset(0) && page.next.is_none() {
            return Ok(Total { count: shown, complete: true });
        }
        let EventQuery { range, filter, .. } = &self.query;
        let total = match filter.session_id.single() {
            Some(session_id) => session_total(reads, app, session_id, *range, &filter.cell).await,
            None => total(reads, app, *range, &filter.cell).await,
        };
        let total = total.map_err(|e| Problem::of_read(e, "timestamp_after"))?;
        Ok(Total { count: total.count.max(shown), ..total })
    }

    /// The URL of a page, at the address that the client used.
    fn link(&self, app: &App, path: &str, place: &Place) -> String {
        let mut params = self.sent.clone();
        params.insert("limit".to_owned(), self.query.limit.to_string().into());
        match *place {
            Place::Offset(0) => {}
            Place::Offset(offset) => {
                params.insert("offset".to_owned(), offset.to_string().into());
            }
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
                params.insert("cursor".to_owned(), cursor.encode().into());
            }
        }
        let params =
            params.into_iter().flat_map(|(name, sent)| sent.values().into_iter().map(move |v| (name.clone(), v)));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        format!("{path}?{query}")
    }
}

/// The query in a cursor, with the parameters of `GET /apps/{app}/events`.
fn cursor_params(filter: &EventFilter, order: Order) -> SentParams {
    let order = match order {
        Order::Descending => None,
        Order::Ascending => Some("asc".to_owned()),
    };
    let EventFilter { cell: CellFilter { name, category, .. }, session_id, .. } = filter;
    let only = |values: &Values<String>| values.single().cloned();
    let (name, category, session_id) = (only(name), only(category), only(session_id));
    let params = [("name", name), ("category", category), ("session_id", session_id), ("order", order)];
    params.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

/// Where the page of a cursor begins.
fn place_of(text: &str, app: &App, filter: &EventFilter, range: Range) -> Result<Place, Invalid> {
    let refused = |e: CursorError| Invalid::field("cursor", e.to_string());
    let cursor = Cursor::decode(text, &app.id).map_err(refused)?;
    let has_query = |order: &Order| cursor_params(filter, *order) == cursor.params;
    let order = [Order::Descending, Order::Ascending].into_iter().find(has_query);
    let order = order.filter(|_| cursor.range == range);
    let differs = || Invalid::field("cursor", "belongs to other filters: follow `next` and `previous` as they are");
    // The checksum detects accidents, not intent.
    let next = Next { after: cursor.after, skip: cursor.skip.min(MAX_OFFSET) };
    Ok(Place::After(order.ok_or_else(differs)?, next))
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    let time = schemas.subschema_for::<TimeInput>();
    let bound = |name: &'static str, about: &str| Parameter::query(name, about, time.clone());
    let limit = number_or(DEFAULT_LIMIT as u64, 1, MAX_LIMIT as u64);
    Operation::of(&THE_EYE_LIST, "listTheEye", "The Eye: lists events, the newest first")
        .about(
            "The path may end with a slash, as The Eye's clients send it. Unknown parameters are ignored, as is a `limit` \
             or `offset` that is not a number; a larger `limit` is reduced.",
        )
        .takes([
            Parameter::query("session_id", "Only events of this session.", text()),
            Parameter::query("category", "Only events of this category.", text()),
            Parameter::query("name", "Only events with this name.", text()),
            bound("timestamp_after", "Only events from this time on."),
            bound("timestamp_before", "Only events up to and including this time."),
            bound("timestamp_start", "An alias of `timestamp_after`."),
            bound("timestamp_end", "An alias of `timestamp_before`."),
            Parameter::query("tz", "The time zone of days, an IANA name; UTC by default.", text()),
            Parameter::query("limit", "Most events in a page.", limit),
            Parameter::query("offset", "Skips this many events.", number(0, MAX_OFFSET as u64)),
            Parameter::query("cursor", "Continues after the page whose links have this cursor.", text()),
        ])
        .answers_with::<TheEyePage<'_>>(schemas, StatusCode::OK, "A page of events.")
}
