//! Lists of sessions. A session is found by an event, and is then read as a whole: from the index of sessions, or without it from all
//! events, the sessions of a page together.

use std::collections::{HashMap, HashSet};

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
use tally_core::people::By;
use tally_core::time::{Range, Timestamp};
use tally_store::{Order, StoreError};

use super::identities::{Asked, known_for};
use super::{Read, covered, read};
use crate::read::query::EventQuery;
use crate::read::reader::{End, is_located, walk};
use crate::read::ways::is_indexed;
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
    /// Whether users in it are people, as [`Asked::joins`].
    pub joins: bool,
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
    /// Whether there may be earlier events that were not read: there are too many, or the budget ended.
    pub cut: bool,
}

/// Lists sessions.
///
/// # Errors
/// Where the store fails.
pub async fn list(reads: &Reads, app: &App, query: &SessionQuery) -> Result<SessionPage, StoreError> {
    let asked = Asked { filter: &query.filter, joins: query.joins };
    let known = known_for(reads, app, By::Session, std::iter::once(asked)).await?;
    let query = &SessionQuery { filter: known.filter(asked), ..query.clone() };
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
        let found =
            found.into_iter().filter(|(id, _)| !is_listed(query, id)).map(|(id, event)| Building::new(id, event));
        let whole = if is_indexed(app, &events_of_session(query, String::new())) {
            let each = found.map(|building| by_index(reads, app, query, building)).collect::<Vec<_>>();
            stream::iter(each).buffered(CONCURRENCY).try_collect().await?
        } else {
            in_one_walk(reads, app, query, found.collect()).await?
        };
        reads.budget.release(held);
        let whole: Vec<_> = whole.into_iter().filter_map(|building: Building| building.done(reads, app)).collect();
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
            let read = Read { covered, complete, identities: known.complete, ..read };
            return Ok(SessionPage { sessions, next, read });
        }
    }
}

/// Whether an earlier page has a session.
fn is_listed(query: &SessionQuery, id: &str) -> bool {
    query.findable.as_ref().is_some_and(|findable| findable.listed.contains(&sha256_u64(id.as_bytes())))
}

/// All events of a session that the caller may read.
fn events_of_session(query: &SessionQuery, id: String) -> EventQuery {
    let only = EventFilter { session_id: Values::only(id), ..EventFilter::default() };
    // One more tells whether there are more.
    EventQuery::newest(Range::ALL, only.and(query.own.clone()), MAX_EVENTS + 1)
}

/// Reads a session from the index.
async fn by_index(
    reads: &Reads,
    app: &App,
    query: &SessionQuery,
    mut building: Building,
) -> Result<Building, StoreError> {
    let events = events_of_session(query, building.id.clone());
    let end = walk(reads, app, &events, |event| building.add(reads, app, query, event));
    building.cut = end.await? != End::Read { frontier: None };
    Ok(building)
}

/// Reads some sessions at once from all events, the newest first: without an index each would read them all.
async fn in_one_walk(
    reads: &Reads,
    app: &App,
    query: &SessionQuery,
    mut all: Vec<Building>,
) -> Result<Vec<Building>, StoreError> {
    let mut places: HashMap<String, usize> = all.iter().map(|one| one.id.clone()).zip(0..).collect();
    let events = EventQuery::newest(Range::ALL, query.own.clone(), usize::MAX / 2);
    if !places.is_empty() {
        let end = walk(reads, app, &events, |event| {
            let place = event.session_id.as_ref().and_then(|id| places.get(id)).copied();
            if let Some(building) = place.and_then(|place| all.get_mut(place))
                && !building.add(reads, app, query, event)
            {
                building.cut = true;
                places.remove(&building.id);
            }
            !places.is_empty()
        });
        // Of those that are not over, there may be earlier events.
        if end.await? != (End::Read { frontier: None }) {
            for id in places.into_keys() {
                all.iter_mut().filter(|building| building.id == id).for_each(|building| building.cut = true);
            }
        }
    }
    Ok(all)
}

/// A session of which events are read, the newest first.
struct Building {
    id: String,
    /// The event by which it was found, until it is added.
    found: Option<Event>,
    session: Option<Session>,
    /// The last event that was added.
    first: Option<Event>,
    /// How many events may still be added.
    left: usize,
    /// Whether an earlier page has it, since that could find a newer event.
    listed: bool,
    cut: bool,
}

impl Building {
    fn new(id: String, found: Event) -> Self {
        Self { id, found: Some(found), session: None, first: None, left: MAX_EVENTS, listed: false, cut: false }
    }

    /// Adds an event. Returns whether earlier ones are wanted.
    fn add(&mut self, reads: &Reads, app: &App, query: &SessionQuery, event: Event) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let at = event.at(app.clock);
        let is_earlier = query.after.is_some_and(|after| event.id >= after)
            && query.findable.as_ref().is_none_or(|findable| findable.has(&event, at))
            && query.range.contains(at)
            && query.filter.matches(&event, &app.layout);
        self.listed = self.listed || is_earlier;
        // What is read may lack the event by which the session was found: an index follows within a second.
        match &self.found {
            Some(found) if found.id > event.id => self.take_found(reads, app),
            Some(found) if found.id == event.id => self.found = None,
            _ => {}
        }
        self.take(reads, app, event);
        !self.listed
    }

    fn take_found(&mut self, reads: &Reads, app: &App) {
        if let Some(found) = self.found.take() {
            self.take(reads, app, found);
        }
    }

    fn take(&mut self, reads: &Reads, app: &App, event: Event) {
        let at = event.at(app.clock);
        let session = self.session.get_or_insert_with(|| Session {
            id: self.id.clone(),
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
        // What does not fit into memory ends the walk before the next read.
        let _ = reads.budget.hold(weight(&event));
        if let Some(later) = self.first.replace(event) {
            reads.budget.release(weight(&later));
        }
    }

    /// The session. None if an earlier page has it.
    fn done(mut self, reads: &Reads, app: &App) -> Option<Session> {
        if !self.listed {
            self.take_found(reads, app);
        }
        let first = self.first?;
        reads.budget.release(weight(&first));
        let mut session = self.session.filter(|_| !self.listed)?;
        session.cut = self.cut;
        session.first_name = first.name;
        session.data = first.data.and_then(bounded);
        // What is held until the reply is built.
        let _ = reads.budget.hold(MAX_DATA);
        Some(session)
    }
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
