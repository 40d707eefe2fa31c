//! What an app uses: how many occurrences it counts a day, and about how many bytes their events take.
//!
//! Occurrences are exact: they are those of the counters. No counter has bytes, since the size of an event is not a part of what
//! is counted of it. So a few events of each day are read, and stand for all of that day.

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::App;
use tally_core::app::layout::EventIndexes;
use tally_core::app::partition::partitions;
use tally_core::event::Event;
use tally_core::event::filter::CellFilter;
use tally_core::event::id::id_range;
use tally_core::event::json::Json;
use tally_core::time::{DAY, Range, Timestamp};
use tally_store::Order;

use crate::budget::ReadError;
use crate::config::{BATCH_SIZE, BATCH_WINDOW};
use crate::reads::{EventRead, Reads, Source};
use crate::report::count::{count, counted_to};
use crate::report::prices::Bill;
use crate::report::run_time;

/// Events of a day that are read.
const SAMPLE: usize = 20;
/// The number of days that are read at once.
const CONCURRENCY: usize = 8;
/// The bytes of an event beside its texts and values: its keys, times and count, the names of its attributes, and what
/// DynamoDB adds to each item.
const BESIDE: usize = 260;
/// The bytes of an event's keys in an index, with what DynamoDB adds.
const OF_KEYS: usize = 200;

/// The counter items that a batch updates.
const UPDATES: f64 = 6.0;
/// About the bytes of a cell in a counter item: 160 combinations make 5 KB.
const CELL_BYTES: f64 = 32.0;

/// A day of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayUsage {
    /// Its start, in UTC.
    pub day: Timestamp,
    /// The occurrences that were counted.
    pub events: i64,
    /// About how many bytes their events take, with what indexes hold of them; 0 if they have expired.
    pub bytes: i64,
}

/// Returns the usage of the last days, the oldest first, and the time up to which everything is counted.
///
/// # Errors
/// Where the store fails or the budget ends.
pub async fn usage(reads: &Reads, app: &App, days: i64) -> Result<(Vec<DayUsage>, Timestamp), ReadError> {
    let counted_to = counted_to(reads, app).await.map_err(ReadError::Store)?;
    let boundaries = boundaries(reads.now, days);
    let counts = count(reads, app, boundaries.clone(), &CellFilter::default()).await?;
    let by_day = counts.by_slot(boundaries.len() - 1);
    let counted = boundaries.into_iter().zip(by_day);
    let read = counted.map(|(day, events)| async move {
        let bytes = if events == 0 { 0.0 } else { bytes_of_one(reads, app, day).await? };
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an estimate
        let bytes = (events as f64 * bytes).round() as i64;
        Ok::<_, ReadError>(DayUsage { day, events, bytes })
    });
    let mut days: Vec<_> = stream::iter(read).buffer_unordered(CONCURRENCY).try_collect().await?;
    days.sort_unstable_by_key(|usage| usage.day);
    Ok((days, counted_to))
}

/// The starts of the last days in UTC, the oldest first, and the end of today.
fn boundaries(now: Timestamp, days: i64) -> Vec<Timestamp> {
    let until = now.floor(DAY) + DAY;
    (0..=days).rev().map(|n| until - n * DAY).collect()
}

/// What an app used in some days, in all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total {
    /// The occurrences that were counted.
    pub events: i64,
    /// About how many bytes their events take, with their copies in the index of sessions; 0 if they have expired.
    pub bytes: i64,
    /// The days from the first one with any events to today.
    pub days: i64,
    /// What storing and counting them took on AWS, about, whatever the number of requests.
    pub stored: Bill,
    /// What their requests took beside that if each event came alone, which is the most.
    pub requests: Bill,
}

/// Returns what an app used in the last days.
///
/// # Errors
/// Where the store fails or the budget ends.
pub async fn total(reads: &Reads, app: &App, days: i64) -> Result<Total, ReadError> {
    let boundaries = boundaries(reads.now, days);
    let range = Range::new(boundaries[0], boundaries[boundaries.len() - 1]).unwrap_or(Range::EMPTY);
    let slots = boundaries.len() - 1;
    let counts = count(reads, app, boundaries, &CellFilter::default()).await?;
    let by_day = counts.by_slot(slots);
    let events: i64 = by_day.iter().sum();
    let one = if events == 0 { One::default() } else { sample(reads, app, range).await? };
    let combinations = counts.by(|cell| (cell.name(), cell.slug(), cell.category(), cell.level())).len();
    let unused = by_day.iter().take_while(|count| **count == 0).count();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an estimate
    let total = {
        let counting: Bill = by_day.iter().map(|n| counted(*n as f64 * one.items, combinations as f64)).sum();
        let items = events as f64 * one.items;
        let written = Bill { write_units: items * one.units, ..Bill::default() };
        let requests =
            Bill { requests: items, calls: items, milliseconds: items * run_time::ingest(1.0), ..Bill::default() };
        Total {
            events,
            bytes: (events as f64 * one.bytes).round() as i64,
            days: days - i64::try_from(unused).unwrap_or(days),
            stored: written + counting,
            requests,
        }
    };
    Ok(total)
}

/// What counting so many events of a day takes: a batch gathers until it is full or its time is over, and each updates the items of a minute, an
/// hour and a day, and those of errors. docs/cost.md measures it.
fn counted(events: f64, combinations: f64) -> Bill {
    let batches = events.min((86_400.0 / f64::from(BATCH_WINDOW)).max(events / f64::from(BATCH_SIZE)));
    if batches <= 0.0 {
        return Bill::default();
    }
    let units = (combinations * CELL_BYTES / 1_024.0).ceil().max(1.0);
    Bill {
        calls: batches,
        milliseconds: batches * run_time::aggregate(events / batches, UPDATES),
        write_units: batches * UPDATES / 2.0 * (units + 1.0),
        ..Bill::default()
    }
}

/// About how many bytes an occurrence of a day takes, by the newest events of a shard; 0 without any.
async fn bytes_of_one(reads: &Reads, app: &App, day: Timestamp) -> Result<f64, ReadError> {
    let range = Range::new(day, day + DAY).unwrap_or(Range::EMPTY);
    Ok(sample(reads, app, range).await?.bytes)
}

/// What an occurrence takes, by a few events.
#[derive(Clone, Copy, Debug, Default)]
struct One {
    bytes: f64,
    /// The part of a stored event that it is.
    items: f64,
    /// The write units of a stored event: one for each started KB, again in the index.
    units: f64,
}

/// What an occurrence of a range takes, by the newest events of a shard; nothing without any.
async fn sample(reads: &Reads, app: &App, range: Range) -> Result<One, ReadError> {
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
            let index = |event: &Event| app.layout.at(event.id.at()).index;
            let bytes: usize = events.iter().map(|event| stored(event, index(event))).sum();
            let units: usize = events.iter().map(|event| units(event, index(event))).sum();
            #[allow(clippy::cast_precision_loss)] // an estimate
            return Ok(One {
                bytes: bytes as f64 / occurrences as f64,
                items: events.len() as f64 / occurrences as f64,
                units: units as f64 / events.len() as f64,
            });
        }
    }
    Ok(One::default())
}

/// The write units of a stored event: with its copy in the index of sessions, and its keys in that of users.
fn units(event: &Event, index: EventIndexes) -> usize {
    copies(event, index) * own_bytes(event).div_ceil(1_024) + usize::from(has_keys(event, index))
}

/// The bytes of a stored event, with its copy in the index of sessions, and its keys in that of users.
fn stored(event: &Event, index: EventIndexes) -> usize {
    copies(event, index) * own_bytes(event) + if has_keys(event, index) { OF_KEYS } else { 0 }
}

/// How often the whole event is stored.
fn copies(event: &Event, index: EventIndexes) -> usize {
    if index.sessions && event.session_id.is_some() { 2 } else { 1 }
}

/// Whether the index of users has its keys.
fn has_keys(event: &Event, index: EventIndexes) -> bool {
    index.users && (event.user_id.is_some() || event.alias.is_some())
}

fn own_bytes(event: &Event) -> usize {
    let Event { client_id, category, message, session_id, user_id, alias, fingerprint, .. } = event;
    let texts =
        [client_id, category, message, session_id, user_id, alias, fingerprint].into_iter().flatten().map(String::len);
    let values = [&event.data, &event.tags, &event.stack].into_iter().flatten().map(Json::stored_size);
    BESIDE + event.name.len() + event.slug.len() + texts.sum::<usize>() + values.sum::<usize>()
}
