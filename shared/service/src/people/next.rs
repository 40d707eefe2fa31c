//! What people do after an event of one name.

use tally_core::app::App;
use tally_core::people::next::{DidNext, Next, PERSON_BYTES};
use tally_core::people::{By, Hasher};
use tally_core::time::{Range, TimeDelta};
use tally_store::{Order, StoreError};

use super::identities::{Asked, known_for};
use super::{Read, Texts, read};
use crate::reads::Reads;

/// What people did next.
#[derive(Clone, Debug)]
pub struct Found {
    /// The most frequent names first; those who did nothing more come last.
    pub did: Vec<DidNext>,
    /// The people who have an event of the name.
    pub people: usize,
    /// What was read.
    pub read: Read,
    names: Texts,
}

impl Found {
    /// A name.
    pub fn name(&self, number: u32) -> Option<&str> {
        self.names.get(number)
    }
}

/// What people did next after their first event of a name in a range: their first later event of another name, within a time.
///
/// # Errors
/// Where the store fails.
pub async fn next(
    reads: &Reads,
    app: &App,
    range: Range,
    asked: Asked<'_>,
    (name, by, within): (&str, By, TimeDelta),
) -> Result<Found, StoreError> {
    let hasher = Hasher::random();
    let known = known_for(reads, app, by, std::iter::once(asked)).await?;
    let filter = known.filter(asked);
    let mut next = Next::new(within);
    let mut names = Texts::default();
    let read = read(reads, app, range, &filter, (Order::Ascending, None), |event| {
        let Some(person) = known.identities.person_of(&event, by) else { return true };
        let other = if event.name == name {
            None
        } else {
            match names.number(reads, &event.name) {
                Some(number) => Some(number),
                None => return false,
            }
        };
        !next.add(hasher.hash(person), event.id.at().millis(), other) || reads.budget.hold(PERSON_BYTES).is_ok()
    });
    let read = Read { identities: known.complete, ..read.await? };
    let people = next.people();
    Ok(Found { did: next.finish(), people, read, names })
}
