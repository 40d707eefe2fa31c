//! How many people come back.

use tally_core::app::App;
use tally_core::event::filter::values::Values;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::people::retention::{PERSON_BYTES, Retention, Visit};
use tally_core::people::{By, Hasher};
use tally_core::time::{Range, Timestamp};
use tally_store::{Order, StoreError};

use super::identities::known;
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

/// The people of a range by the bucket in which they began, the oldest events first.
///
/// # Errors
/// Where the store fails.
pub async fn retention(
    reads: &Reads,
    app: &App,
    range: Range,
    (filter, names): (&EventFilter, &Names),
    by: By,
    starts: &[Timestamp],
) -> Result<(Retention, Read), StoreError> {
    let either = CellFilter { name: any_of([&names.first, &names.again].into_iter()), ..CellFilter::default() };
    let filter = filter.clone().and(either.into());
    let hasher = Hasher::random();
    let known = known(reads, app, by).await?;
    let mut retention = Retention::default();
    let read = read(reads, app, range, &filter, (Order::Ascending, None), |event| {
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
    Ok((retention, read))
}
