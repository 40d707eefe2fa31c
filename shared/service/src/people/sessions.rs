//! Lists of sessions. A session is found by an event, and is then read as a whole from the index of sessions.

use std::collections::HashSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tally_core::app::App;
use tally_core::digest::sha256_u64;
use tally_core::event::Event;
use tally_core::event::filter::EventFilter;
use tally_core::event::filter::values::Values;
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::time::{Range, Timestamp};
use tally_store::{Order, StoreError};

use super::{Read, covered, read};
use crate::read::query::EventQuery;
use crate::read::reader::{End, is_located, walk};
use crate::reads::{Reads, weight};

/// Most events of a session that are read.
pub const MAX_EVENTS: usize = 2_000;
/// Most bytes of the data of a session, as JSON.
pub const MAX_DATA: usize = 2 * 1024;
/// Most sessions of which a cursor says that they were listed.
const MAX_LISTED: usize = 200;
/// The sessions that are read at once. The budget decides how many of them may send a request.
const CONCURRENCY: usize = 16;

/// Which sessions to list.
#[derive(Clone, Debug)]
pub struct SessionQuery {
    /// The range of the events by which they are found.
    pub range: Range,
    /// What the caller may read.
    pub own: EventFilter,
    /// What the events by which they are found match; no more than that.
    pub filter: EventFilter,
    /// The number of sessions.
    pub limit: usize,
    /// Continue after this event.
    pub after: Option<EventId>,
    /// Which events the first page could find. None on the first page.
    pub findable: Option<Findable>,
}

/// Which events a list can find. An earlier page has a session only if it could find its event: it was there, and a filter that
/// counters locate may lack what is not counted yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findable {
    /// Those that were accepted up to this time, in microseconds.
    asked_at: i64,
    /// Of them those that were accepted before this time, in microseconds; all if there is none.
    counted_to: Option<i64>,
    /// And those that happened from this time on, in microseconds.
    live_from: Option<i64>,
    /// Hashes of the sessions that earlier pages have found by others, which are counted already although that is not known: at most
    /// [`MAX_LISTED`]. Past that a session may come twice.
    listed: Vec<u64>,
}

impl Findable {
    fn of(reads: &Reads, app: &App, query: &SessionQuery, read: &Read) -> Self {
        let is_located = is_located(app, &EventQuery::newest(query.range, query.filter.clone(), 1));
        Self {
            asked_at: reads.now.micros(),
            counted_to: is_located.then_some(read.counted_to.micros()),
            live_from: read.live_from.map(Timestamp::micros),
            listed: vec![],
        }
    }

    fn has(&self, event: &Event, at: Timestamp) -> bool {
        let received = event.received_at.micros();
        let is_known = self.counted_to.is_none_or(|counted_to| received < counted_to)
            || self.live_from.is_some_and(|from| at.micros() >= from);
        received <= self.asked_at && is_known
    }
}

/// A page of sessions.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The sessions, those whose last matching event is the newest first.
    pub sessions: Vec<Session>,
    /// Where to continue, if there may be more, and which events the pages can find.
    pub next: Option<(EventId, Findable)>,
    /// What was looked at.
    pub read: Read,
}

/// A session: all events with its id that the caller may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The newest user of its events.
    pub user_id: Option<String>,
    /// The first event.
    pub first_at: Timestamp,
    /// The last event.
    pub last_at: Timestamp,
    /// The occurrences.
    pub events: u64,
    /// Those of `ERROR` and above.
    pub errors: u64,
    /// The name of the first event.
    pub first_name: String,
    /// The name of the last event.
    pub last_name: String,
    /// The data of the first event, or the first fields of it that fit into [`MAX_DATA`].
    pub data: Option<Json>,
    /// Whether there may be earlier events that were not read.
    pub cut: bool,
}

/// Lists sessions.
///
/// # Errors
/// Where the store fails.
pub async fn list(reads: &Reads, app: &App, query: &SessionQuery) -> Result<SessionPage, StoreError> {
    let mut sessions = Vec::new();
    let mut seen = HashSet::new();
    let mut after = query.after;
    let mut findable = query.findable.clone();
    loop {
        let wanted = query.limit - sessions.len();
        let mut found: Vec<(String, Event)> = Vec::new();
        // What the events that are found take until their sessions are read.
        let (mut held, mut has_room) = (0, true);
        let place = (Order::Descending, after);
        let read = read(reads, app, query.range, &query.filter, place, |event| {
            if let Some(id) = event.session_id.clone().filter(|id| !seen.contains(id)) {
                seen.insert(id.clone());
                let bytes = weight(&event);
                held += bytes;
                has_room = reads.budget.hold(2 * id.len() + bytes).is_ok();
                found.push((id, event));
            }
            has_room && found.len() < wanted
        });
        let read = read.await?;
        let findable = findable.get_or_insert_with(|| Findable::of(reads, app, query, &read));
        for (id, event) in &found {
            if !findable.has(event, event.at(app.clock)) && findable.listed.len() < MAX_LISTED {
                findable.listed.push(sha256_u64(id.as_bytes()));
            }
        }
        let all = found.into_iter().map(|(id, event)| whole(reads, app, query, id, event));
        let whole: Vec<_> = stream::iter(all.collect::<Vec<_>>()).buffered(CONCURRENCY).try_collect().await?;
        reads.budget.release(held);
        let whole: Vec<_> = whole.into_iter().flatten().collect();
        // Of what was not read of them, another page may find an event.
        let cut = whole.iter().filter(|session| session.cut).map(|session| sha256_u64(session.id.as_bytes()));
        let listed = &mut findable.listed;
        let room = MAX_LISTED.saturating_sub(listed.len());
        listed.extend(cut.take(room));
        sessions.extend(whole);
        after = read.frontier;
        if after.is_none() || sessions.len() >= query.limit || reads.budget.spent().is_some() {
            // What the page has no room for is not missing from it.
            let complete = read.is_kept && (after.is_none() || sessions.len() >= query.limit);
            let all = if read.is_kept { query.range } else { read.covered };
            let covered = after.map_or(all, |after| covered(query.range, Order::Descending, after).intersect(all));
            let next = after.map(|after| (after, findable.clone()));
            return Ok(SessionPage { sessions, next, read: Read { covered, complete, ..read } });
        }
    }
}

/// The session of an event by which it was found. None if an earlier page has it, since that could find a newer one.
async fn whole(
    reads: &Reads,
    app: &App,
    query: &SessionQuery,
    id: String,
    found: Event,
) -> Result<Option<Session>, StoreError> {
    if query.findable.as_ref().is_some_and(|findable| findable.listed.contains(&sha256_u64(id.as_bytes()))) {
        return Ok(None);
    }
    let only = EventFilter { session_id: Values::only(id.clone()), ..EventFilter::default() };
    // One more tells whether there are more.
    let events = EventQuery::newest(Range::ALL, only.and(query.own.clone()), MAX_EVENTS + 1);
    let is_earlier = |event: &Event| {
        let at = event.at(app.clock);
        query.after.is_some_and(|after| event.id >= after)
            && query.findable.as_ref().is_none_or(|findable| findable.has(event, at))
            && query.range.contains(at)
            && query.filter.matches(event, &app.layout)
    };
    let mut session: Option<Session> = None;
    let (mut left, mut listed) = (MAX_EVENTS, false);
    let mut first = None;
    let mut add = |event: Event| {
        let at = event.at(app.clock);
        let session = session.get_or_insert_with(|| Session {
            id: id.clone(),
            user_id: None,
            first_at: at,
            last_at: at,
            events: 0,
            errors: 0,
            first_name: String::new(),
            last_name: event.name.clone(),
            data: None,
            cut: false,
        });
        session.last_at = session.last_at.max(at);
        session.first_at = session.first_at.min(at);
        session.events = session.events.saturating_add(event.count);
        if event.level >= Some(Level::Error) {
            session.errors = session.errors.saturating_add(event.count);
        }
        if session.user_id.is_none() {
            session.user_id.clone_from(&event.user_id);
        }
        first = Some(event);
    };
    let mut before = Some(found);
    let end = walk(reads, app, &events, |event| {
        if left == 0 {
            return false;
        }
        left -= 1;
        listed = listed || is_earlier(&event);
        // The index follows the events within a second, and may lack the one that was found.
        match &before {
            Some(found) if found.id > event.id => before.take().into_iter().for_each(&mut add),
            Some(found) if found.id == event.id => before = None,
            _ => {}
        }
        add(event);
        !listed
    });
    let end = end.await?;
    before.take().into_iter().for_each(&mut add);
    let (Some(mut session), Some(first)) = (session.filter(|_| !listed), first) else { return Ok(None) };
    session.cut = end != End::Read { frontier: None };
    session.first_name = first.name;
    session.data = first.data.and_then(bounded);
    // What is held until the reply is built.
    let _ = reads.budget.hold(MAX_DATA);
    Ok(Some(session))
}

/// Data of at most [`MAX_DATA`] bytes of JSON: the first fields that fit.
fn bounded(data: Json) -> Option<Json> {
    // Texts, numbers, lists and maps of them always serialize.
    let length = |json: &Json| serde_json::to_vec(json).map_or(usize::MAX, |bytes| bytes.len());
    if length(&data) <= MAX_DATA {
        return Some(data);
    }
    let Json::Object(fields) = data else { return None };
    let mut left = MAX_DATA;
    let fits = |(key, value): &(String, Json)| {
        // With quotes, escapes, a colon and a comma.
        let bytes = length(value).saturating_add(length(&Json::String(key.clone()))).saturating_add(2);
        let fits = bytes <= left;
        left = left.saturating_sub(if fits { bytes } else { 0 });
        fits
    };
    Some(Json::Object(fields.into_iter().filter(fits).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_bounded_by_whole_fields() {
        let text = |n: usize| Json::String("x".repeat(n));
        let fields = [("a".to_owned(), text(1_500)), ("b".to_owned(), text(1_000)), ("c".to_owned(), text(10))];
        let Some(Json::Object(kept)) = bounded(Json::Object(fields.into())) else { panic!("an object") };
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(bounded(text(3_000)), None);
        assert_eq!(bounded(text(30)), Some(text(30)));
    }
}
