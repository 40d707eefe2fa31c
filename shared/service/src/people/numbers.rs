//! Sums and quantiles of the numbers at a path in `data`.

use tally_core::app::App;
use tally_core::event::json::Json;
use tally_core::people::By;
use tally_core::people::numbers::{NUMBER_BYTES, Numbers};
use tally_core::time::{Range, Timestamp};
use tally_store::{Order, StoreError};

use super::identities::{Asked, known_for};
use super::{Read, read};
use crate::reads::Reads;

/// The numbers at a path of the events of a range, by the bucket of their time. The newest are read first. A number that was sent as
/// a text is none.
///
/// # Errors
/// Where the store fails.
pub async fn numbers(
    reads: &Reads,
    app: &App,
    range: Range,
    asked: Asked<'_>,
    (path, starts): (&str, &[Timestamp]),
) -> Result<(Vec<Numbers>, Read), StoreError> {
    let known = known_for(reads, app, By::Session, std::iter::once(asked)).await?;
    let filter = known.filter(asked);
    let mut buckets = vec![Numbers::default(); starts.len()];
    let read = read(reads, app, range, &filter, (Order::Descending, None), |event| {
        let Some(Json::Number(number)) = event.attribute(path) else { return true };
        let at = event.at(app.clock);
        let bucket = starts.partition_point(|start| *start <= at).saturating_sub(1);
        // A number of JSON always reads.
        let number = number.as_str().parse().unwrap_or(f64::NAN);
        if let Some(bucket) = buckets.get_mut(bucket) {
            bucket.add(number, event.count);
        }
        reads.budget.hold(NUMBER_BYTES).is_ok()
    });
    let read = Read { identities: known.complete, ..read.await? };
    Ok((buckets, read))
}
