//! How many sessions there are, and how long they are.

use tally_core::app::App;
use tally_core::event::filter::EventFilter;
use tally_core::people::sessions::{SESSION_BYTES, SessionEvent, Sessions};
use tally_core::people::{By, Hasher, Person};
use tally_core::time::Range;
use tally_store::{Order, StoreError};

use super::identities::{Asked, known_for};
use super::{Read, read};
use crate::reads::Reads;

/// The sessions of a range with an event that matches a filter: all of their events in the range that match `own`, which is what the
/// caller may read. The newest are read first.
///
/// # Errors
/// Where the store fails.
pub async fn sessions(
    reads: &Reads,
    app: &App,
    range: Range,
    own: &EventFilter,
    asked: Asked<'_>,
) -> Result<(Sessions, Read), StoreError> {
    let known = known_for(reads, app, By::Session, std::iter::once(asked)).await?;
    let filter = known.filter(asked);
    let hasher = Hasher::random();
    let mut sessions = Sessions::default();
    // Of a session, all or none of its events fulfil this part.
    let of_sessions = EventFilter { session_id: filter.session_id.clone(), ..EventFilter::default() };
    let all = of_sessions.and(own.clone());
    let read = read(reads, app, range, &all, (Order::Descending, None), |event| {
        let Some(id) = &event.session_id else { return true };
        let matches = filter.matches(&event, &app.layout);
        let seen = SessionEvent { at: event.at(app.clock), count: event.count, matches };
        !sessions.add(hasher.hash(Person::Session(id)), seen) || reads.budget.hold(SESSION_BYTES).is_ok()
    });
    let read = Read { identities: known.complete, ..read.await? };
    Ok((sessions, read))
}
