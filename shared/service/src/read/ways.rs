//! By what the events of a query are found: the shards, or an index of sessions or users where the app has one.

use std::collections::BTreeSet;

use tally_core::app::App;
use tally_core::app::layout::LayoutEntry;
use tally_core::event::filter::EventFilter;
use tally_core::event::id::{EventId, id_range};
use tally_core::time::{MICROSECOND, Range};
use tally_store::Order;

use super::query::EventQuery;

/// Most parts of the index of users that one query reads; past that, it reads the shards.
const MOST_PARTS: usize = 256;

/// By what events are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the shards, and the counters if they know of the filter.
    Shards,
    /// By the index of sessions.
    Sessions,
    /// By the index of users, and by that of sessions for what they did before they were users.
    Users,
}

/// The ids of users by which an index finds what matches a filter, and those of sessions without a user. None if it names no users.
pub(super) fn indexed_ids(filter: &EventFilter) -> Option<(&BTreeSet<String>, &BTreeSet<String>)> {
    const NONE: &BTreeSet<String> = &BTreeSet::new();
    let people = || filter.people.iter().find(|people| people.is_one).map(|people| (&people.ids, &people.aliases));
    filter.user_id.listed().map(|users| (users, NONE)).or_else(people)
}

impl Way {
    fn of(filter: &EventFilter, entry: &LayoutEntry) -> Self {
        // What people did without a user is found by their sessions.
        let indexed = indexed_ids(filter).filter(|(_, sessions)| sessions.is_empty() || entry.index.sessions);
        let parts = indexed.map(|(users, sessions)| {
            users.len().saturating_mul(usize::from(entry.shards)).saturating_add(sessions.len())
        });
        if entry.index.sessions && filter.session_id.listed().is_some() {
            Self::Sessions
        } else if entry.index.users && parts.is_some_and(|parts| parts <= MOST_PARTS) {
            Self::Users
        } else {
            Self::Shards
        }
    }
}

/// The parts of a query's identities that are found in one way each, in the order of the query.
pub(super) fn ways(app: &App, query: &EventQuery, ids: (EventId, EventId)) -> Vec<((EventId, EventId), Way)> {
    let mut ways: Vec<((EventId, EventId), Way)> = vec![];
    // What was stored a moment ago may not be in an index.
    let way = |entry: &LayoutEntry| if query.consistent { Way::Shards } else { Way::of(&query.filter, entry) };
    for ((first, last), entry) in app.layout.parts(ids) {
        match ways.last_mut() {
            Some((before, known)) if *known == way(&entry) => before.1 = last,
            _ => ways.push(((first, last), way(&entry))),
        }
    }
    if query.order == Order::Descending {
        ways.reverse();
    }
    ways
}

/// Whether all events of a query's range are found by an index.
pub(crate) fn is_indexed(app: &App, query: &EventQuery) -> bool {
    ways(app, query, id_range(query.range)).iter().all(|(_, way)| *way != Way::Shards)
}

/// Whether the newest events of a range are found by an index, which follows the events within a second.
pub(crate) fn is_newest_indexed(app: &App, range: Range, filter: &EventFilter) -> bool {
    let newest = (range.until() - MICROSECOND).max(range.since());
    Way::of(filter, &app.layout.at(newest)) != Way::Shards
}
