//! What an app uses: how many occurrences it counts a day, and about how many bytes their events take.
//!
//! Occurrences are exact: they are those of the counters. No counter has bytes, since the size of an event is not a part of what
//! is counted of it. So a few events of each day are read, and stand for all of that day.

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::App;
use tally_core::app::partition::partitions;
use tally_core::event::Event;
use tally_core::event::filter::CellFilter;
use tally_core::event::id::id_range;
use tally_core::event::json::Json;
use tally_core::time::{DAY, Range, Timestamp};
use tally_store::Order;

use crate::budget::ReadError;
use crate::reads::{EventRead, Reads, Source};
use crate::report::count::{count, counted_to};

/// Events of a day that are read.
const SAMPLE: usize = 20;
/// The number of days that are read at once.
const CONCURRENCY: usize = 8;
/// The bytes of an event beside its texts and values: its keys, times and count, the names of its attributes, and what
/// DynamoDB adds to each item.
const BESIDE: usize = 260;

/// A day of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayUsage {
    /// Its start, in UTC.
    pub day: Timestamp,
    /// The occurrences that were counted.
    pub events: i64,
    /// About how many bytes their events take, with their copies in the index of sessions; 0 if they have expired.
    pub bytes: i64,
}

/// Returns the usage of the last days, the oldest first, and the time up to which everything is counted.
///
/// # Errors
/// Where the store fails or the budget ends.
pub async fn usage(reads: &Reads, app: &App, days: i64) -> Result<(Vec<DayUsage>, Timestamp), ReadError> {
    let counted_to = counted_to(reads, app).await.map_err(ReadError::Store)?;
    let until = reads.now.floor(DAY) + DAY;
    let starts: Vec<_> = (0..days).rev().map(|n| until - DAY - n * DAY).collect();
    let boundaries = starts.iter().copied().chain([until]).collect();
    let counts = count(reads, app, boundaries, &CellFilter::default()).await?;
    let counted = starts.iter().copied().zip(counts.by_slot(starts.len()));
    let read = counted.map(|(day, events)| async move {
        let bytes = if events == 0 { 0.0 } else { bytes_of_one(reads, app, day).await? };
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an estimate
        let bytes = (events as f64 * bytes).round() as i64;
        Ok::<_, ReadError>(DayUsage { day, events, bytes })
    });
    let mut days: Vec<_> = stream::iter(read).buffer_unordered(CONCURRENCY).try_collect().await?;
    days.sort_by_key(|usage| usage.day);
    Ok((days, counted_to))
}

/// About how many bytes an occurrence of a day takes, by the newest events of a shard; 0 without any.
async fn bytes_of_one(reads: &Reads, app: &App, day: Timestamp) -> Result<f64, ReadError> {
    let range = Range::new(day, day + DAY).unwrap_or(Range::EMPTY);
    for partition in &partitions(app, range) {
        let read = EventRead {
            source: Source::Shard(partition),
            ids: id_range(range),
            order: Order::Descending,
            limit: SAMPLE,
            consistent: false,
            part: None,
            forced: false,
        };
        let events = reads.events(&read).await?.events;
        let occurrences: u64 = events.iter().map(|event| event.count).sum();
        if occurrences > 0 {
            let bytes: usize = events.iter().map(stored).sum();
            #[allow(clippy::cast_precision_loss)] // an estimate
            return Ok(bytes as f64 / occurrences as f64);
        }
    }
    Ok(0.0)
}

/// The bytes of a stored event, with its copy in the index.
fn stored(event: &Event) -> usize {
    let Event { client_id, category, message, session_id, user_id, fingerprint, .. } = event;
    let texts = [client_id, category, message, session_id, user_id, fingerprint].into_iter().flatten().map(String::len);
    let values = [&event.data, &event.tags, &event.stack].into_iter().flatten().map(Json::stored_size);
    let own = BESIDE + event.name.len() + event.slug.len() + texts.sum::<usize>() + values.sum::<usize>();
    if event.session_id.is_some() { 2 * own } else { own }
}
