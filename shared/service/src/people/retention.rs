//! How many people come back.

use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::event::filter::values::Values;
use tally_core::people::retention::{PERSON_BYTES, Retention, Visit};
use tally_core::people::{By, Hasher};
use tally_core::time::{Range, Timestamp};
use tally_store::{Order, Store, StoreError};

use super::continuation::{self, Begun, State};
use super::identities::{Asked, known_for};
use super::{Read, any_of, read};
use crate::reads::Reads;

/// What makes a person begin, and what makes them come back.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The name of the first event; any if there is none.
    pub first: Values<String>,
    /// The name of a later one.
    pub again: Values<String>,
}

/// People and when they came back, as far as they were read.
#[derive(Clone, Debug)]
pub struct Found {
    /// The people.
    pub retention: Retention,
    /// What was read, from the beginning.
    pub read: Read,
    hasher: Hasher,
}

/// Keeps what is not complete. Returns its token, or none if it is too large.
///
/// # Errors
/// Where the store fails.
pub async fn keep(
    store: &Store,
    found: &Found,
    range: Range,
    bound: String,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let state = |_| State { hasher: found.hasher, values: vec![], people: found.retention.encode() };
    continuation::keep(store, &found.read, range, bound, now, state).await
}

/// The people of a range by the bucket in which they began, the oldest events first; or goes on with them.
///
/// # Errors
/// Where the store fails, or a state cannot be read.
pub async fn retention(
    reads: &Reads,
    app: &App,
    (range, begun): (Range, Option<Begun>),
    (asked, names): (Asked<'_>, &Names),
    by: By,
    starts: &[Timestamp],
) -> Result<Found, StoreError> {
    let either = CellFilter { name: any_of([&names.first, &names.again].into_iter()), ..CellFilter::default() };
    let known = known_for(reads, app, by, std::iter::once(asked)).await?;
    let filter = known.filter(asked).and(either.into());
    let after = begun.as_ref().map(Begun::after);
    let (mut retention, hasher) = match &begun {
        None => (Retention::default(), Hasher::random()),
        Some(begun) => {
            let retention = Retention::decode(begun.people());
            let unreadable = || StoreError::Unreadable("the state of a retention cannot be read".to_owned());
            (retention.ok_or_else(unreadable)?, begun.hasher())
        }
    };
    // What was read before takes its memory too. If it has no room, the first event ends the walk.
    let _ = reads.budget.hold(retention.people() * PERSON_BYTES);
    let read = read(reads, app, range, &filter, (Order::Ascending, after), |event| {
        let Some(person) = known.identities.person_of(&event, by) else { return true };
        let at = event.at(app.clock);
        let visit = Visit {
            bucket: starts.partition_point(|start| *start <= at).saturating_sub(1),
            begins: names.first.matches(Some(event.name.as_str())),
            returns: names.again.matches(Some(event.name.as_str())),
        };
        !retention.add(hasher.hash(person), visit) || reads.budget.hold(PERSON_BYTES).is_ok()
    });
    let read = Read { identities: known.complete, ..read.await? };
    let read = match begun {
        Some(begun) => begun.continued_by(read),
        None => read,
    };
    Ok(Found { retention, read, hasher })
}
