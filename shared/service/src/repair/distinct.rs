//! Makes sketches of users and sessions anew, where they may hold somebody who was erased.
//!
//! Nothing waits for counting. Every batch that tells of such an hour or day writes its sketches, also if it adds nobody, and a
//! sketch is stored on condition that nothing was written since it was read. So what was stored before the events were read is in
//! it, and what was stored later adds itself, or makes it be made once more.

use std::collections::BTreeMap;

use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::distinct::{Marks, Union};
use tally_core::event::id::{EventId, id_range};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, HOUR, Range, TimeDelta, Timestamp};
use tally_store::{DistinctKey, Order, Store, StoreError, StoredDistinct};
use tokio::time::Instant;

/// Attempts to make a sketch anew while batches of the stream change it.
const TRIES: usize = 3;
/// The events of one request.
const PAGE: i32 = 1_000;

/// What came of making sketches anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remade {
    /// Sketches that were made anew.
    pub(super) made: usize,
    /// Sketches that may hold somebody still: they kept changing.
    pub(super) unsettled: usize,
    /// Whether the time ended first.
    pub(super) out_of_time: bool,
}

/// Makes the sketches of the days in a range anew that may hold somebody who was erased, until a time.
pub(super) async fn remake(
    store: &Store,
    app: &App,
    range: Range,
    now: Timestamp,
    until: Instant,
) -> Result<Remade, StoreError> {
    let maker = Maker { store, app, now, until };
    let mut remade = Remade::default();
    let kept = Range::new(range.since().max(app.created_at.floor(DAY) - AHEAD), range.until()).unwrap_or(Range::EMPTY);
    if kept.is_empty() {
        return Ok(remade);
    }
    for partition in partitions(app, kept) {
        for granularity in [Granularity::Hour, Granularity::Day] {
            for key in maker.erased(&partition, granularity, kept).await? {
                match maker.remake(&key).await? {
                    Outcome::Done => remade.made += 1,
                    Outcome::Changing => remade.unsettled += 1,
                    Outcome::OutOfTime => return Ok(Remade { out_of_time: true, ..remade }),
                }
            }
        }
    }
    Ok(remade)
}

/// How long before it is created an app may have events, by their own time: nothing older is looked for.
const AHEAD: TimeDelta = TimeDelta::days(400);

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
    /// The hours or days of a shard whose sketches may hold somebody who was erased.
    async fn erased(
        &self,
        partition: &Partition,
        granularity: Granularity,
        range: Range,
    ) -> Result<Vec<DistinctKey>, StoreError> {
        let last = Bucket::of(granularity, range.until() - HOUR);
        let ends = (Bucket::of(granularity, range.since()), last);
        let (mut found, mut from) = (vec![], None);
        loop {
            let page = self.store.page_distinct(partition, ends, from, true).await?;
            let erased = page.items.into_iter().filter(|(_, stored)| stored.erased.is_some());
            found.extend(erased.map(|(bucket, _)| DistinctKey { partition: partition.clone(), bucket }));
            from = page.next;
            if from.is_none() {
                return Ok(found);
            }
        }
    }

    async fn remake(&self, key: &DistinctKey) -> Result<Outcome, StoreError> {
        for _ in 0..TRIES {
            // Before what it is made of.
            let mut held = self.store.distinct_of(std::slice::from_ref(key)).await?;
            let Some(held) = held.remove(key).filter(|held| held.erased.is_some()) else { return Ok(Outcome::Done) };
            let made = if key.bucket.granularity() == Granularity::Day {
                self.of_hours(key).await?
            } else {
                self.of_events(key).await?
            };
            let made = match made {
                Made::Sketches(made) => StoredDistinct { version: held.version, erased: None, ..made },
                Made::Erased => return Ok(Outcome::Changing),
                Made::OutOfTime => return Ok(Outcome::OutOfTime),
            };
            let expires_at = self.app.layout.expires_at(key.bucket.end());
            if self.store.put_distinct(key, &made, expires_at).await? {
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
                let marks = Marks::of_event(event);
                marks.user.into_iter().for_each(|mark| made.users.add(mark));
                marks.session.into_iter().for_each(|mark| made.sessions.add(mark));
            }
            match page.more_after.and_then(EventId::after) {
                Some(next) => first = next,
                None => return Ok(Made::Sketches(made)),
            }
        }
    }

    /// The sketches of a day, from its hours.
    async fn of_hours(&self, key: &DistinctKey) -> Result<Made, StoreError> {
        let hour = |n: i64| Bucket::of(Granularity::Hour, key.bucket.start() + n * HOUR);
        let hours: Vec<_> =
            (0..24).map(|n| DistinctKey { partition: key.partition.clone(), bucket: hour(n) }).collect();
        let held: BTreeMap<_, _> = self.store.distinct_of(&hours).await?.into_iter().collect();
        if held.values().any(|held| held.erased.is_some()) {
            return Ok(Made::Erased);
        }
        let (mut users, mut sessions) = (Union::default(), Union::default());
        for held in held.values() {
            users.add(&held.users);
            sessions.add(&held.sessions);
        }
        Ok(Made::Sketches(StoredDistinct {
            users: users.sketch(),
            sessions: sessions.sketch(),
            ..StoredDistinct::default()
        }))
    }
}

enum Made {
    Sketches(StoredDistinct),
    /// An hour may hold somebody still.
    Erased,
    OutOfTime,
}
