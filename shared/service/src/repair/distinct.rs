//! Makes sketches of users and sessions anew, where they may hold somebody who was erased, or lack somebody.
//!
//! Nothing waits for counting. Every batch that tells of such an hour or day writes its sketches, also if it adds nobody, and a
//! sketch is stored on condition that nothing was written since it was read. So what was stored before the events were read is in
//! it, and what was stored later adds itself, or makes it be made once more.

use std::collections::BTreeMap;

use tally_core::app::App;
use tally_core::app::partition::partitions;
use tally_core::distinct::{Marks, Union};
use tally_core::event::id::{EventId, id_range};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, HOUR, Range, Timestamp};
use tally_store::{DistinctKey, DistinctMark, Order, Store, StoreError, StoredDistinct};
use tokio::time::Instant;

/// Attempts to make a sketch anew while batches of the stream change it.
const TRIES: usize = 3;
/// The events of one request.
const PAGE: i32 = 1_000;

/// When the sketches of an hour or a day expire: with the last of its events.
pub fn expires_at(app: &App, bucket: Bucket) -> Option<Timestamp> {
    Range::new(bucket.start(), bucket.end()).ok().and_then(|range| app.layout.last_expiry(range))
}

/// What came of making sketches anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remade {
    /// Sketches that were made anew.
    pub(super) made: usize,
    /// Sketches that are stale still: they kept changing, or one call is too short for their events.
    pub(super) unsettled: usize,
    /// Whether the time ended first.
    pub(super) out_of_time: bool,
}

/// Marks the sketches of a day as stale, also those that are missing, so that they are made anew: counting has missed events.
pub(super) async fn mark_day(store: &Store, app: &App, day: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    let Ok(range) = Range::new(day, day + DAY) else { return Ok(()) };
    let hours = (0..24).map(|n| Bucket::of(Granularity::Hour, day + n * HOUR));
    let buckets: Vec<_> = hours.chain([Bucket::of(Granularity::Day, day)]).collect();
    for partition in partitions(app, range) {
        let key = |bucket: &Bucket| DistinctKey { partition: partition.clone(), bucket: *bucket };
        let keys: Vec<_> = buckets.iter().map(key).collect();
        let mut held = store.distinct_of(&keys).await?;
        for key in keys {
            let mut held = held.remove(&key).unwrap_or_default();
            let expires_at = expires_at(app, key.bucket);
            for _ in 0..TRIES {
                if held.stale {
                    break;
                }
                store.point_to_distinct(&DistinctMark { key: key.clone(), at: now }, expires_at).await?;
                let stale = StoredDistinct { stale: true, ..held };
                if store.put_distinct(&key, &stale, expires_at).await? {
                    break;
                }
                held = store.distinct_of(std::slice::from_ref(&key)).await?.remove(&key).unwrap_or_default();
            }
        }
    }
    Ok(())
}

/// Makes the stale sketches of the days in a range anew, until a time: hours before days. Hours whose turn a call did not reach
/// come in another order in the next one.
pub(super) async fn remake(
    store: &Store,
    app: &App,
    range: Range,
    now: Timestamp,
    until: Instant,
) -> Result<Remade, StoreError> {
    let maker = Maker { store, app, now, until };
    let mut remade = Remade::default();
    let mut marks = store.distinct_marks(&app.id).await?;
    marks.retain(|mark| range.contains(mark.key.bucket.start()));
    let seed = now.micros();
    marks.sort_by_key(|mark| (mark.key.bucket.granularity(), mark.key.bucket.start().micros().wrapping_mul(seed | 1)));
    for mark in marks {
        match maker.remake(&mark.key).await? {
            Outcome::Done => {
                store.forget_distinct_mark(&mark).await?;
                remade.made += 1;
            }
            Outcome::Changing => remade.unsettled += 1,
            Outcome::OutOfTime => {
                remade.unsettled += 1;
                remade.out_of_time = true;
                break;
            }
        }
    }
    Ok(remade)
}

struct Maker<'a> {
    store: &'a Store,
    app: &'a App,
    now: Timestamp,
    until: Instant,
}

enum Outcome {
    Done,
    Changing,
    OutOfTime,
}

impl Maker<'_> {
    async fn remake(&self, key: &DistinctKey) -> Result<Outcome, StoreError> {
        for _ in 0..TRIES {
            // Before what it is made of.
            let mut held = self.store.distinct_of(std::slice::from_ref(key)).await?;
            let Some(held) = held.remove(key).filter(|held| held.stale) else { return Ok(Outcome::Done) };
            let is_day = key.bucket.granularity() == Granularity::Day;
            let made = if is_day { self.of_hours(key).await? } else { self.of_events(key).await? };
            let made = match made {
                Made::Sketches(made) => StoredDistinct { version: held.version, erased: held.erased, ..*made },
                Made::Stale => return Ok(Outcome::Changing),
                Made::OutOfTime => return Ok(Outcome::OutOfTime),
            };
            if self.store.put_distinct(key, &made, expires_at(self.app, key.bucket)).await? {
                return Ok(Outcome::Done);
            }
        }
        Ok(Outcome::Changing)
    }

    /// The sketches of an hour, from its events.
    async fn of_events(&self, key: &DistinctKey) -> Result<Made, StoreError> {
        let mut made = StoredDistinct::default();
        let range = Range::new(key.bucket.start(), key.bucket.end()).unwrap_or(Range::EMPTY);
        let (mut first, last) = id_range(range);
        loop {
            if Instant::now() >= self.until {
                return Ok(Made::OutOfTime);
            }
            let ids = (first, last);
            let page =
                self.store.query_events(&key.partition, ids, None, Order::Ascending, PAGE, true, self.now).await?;
            for event in &page.events {
                made.add(Marks::of_event(event));
            }
            match page.more_after.and_then(EventId::after) {
                Some(next) => first = next,
                None => return Ok(Made::Sketches(Box::new(made))),
            }
        }
    }

    /// The sketches of a day, from its hours.
    async fn of_hours(&self, key: &DistinctKey) -> Result<Made, StoreError> {
        let hour = |n: i64| Bucket::of(Granularity::Hour, key.bucket.start() + n * HOUR);
        let hours: Vec<_> =
            (0..24).map(|n| DistinctKey { partition: key.partition.clone(), bucket: hour(n) }).collect();
        let held: BTreeMap<_, _> = self.store.distinct_of(&hours).await?.into_iter().collect();
        if held.values().any(|held| held.stale) {
            return Ok(Made::Stale);
        }
        let (mut users, mut sessions) = (Union::default(), Union::default());
        for held in held.values() {
            users.add(&held.users);
            sessions.add(&held.sessions);
        }
        let made = StoredDistinct { users: users.sketch(), sessions: sessions.sketch(), ..StoredDistinct::default() };
        Ok(Made::Sketches(Box::new(made)))
    }
}

enum Made {
    Sketches(Box<StoredDistinct>),
    /// An hour is stale still.
    Stale,
    OutOfTime,
}
