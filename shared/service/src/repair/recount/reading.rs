//! Reading: from [`Reading`] to [`Waiting`].

use tally_core::app::App;
use tally_core::app::partition::Partition;
use tally_core::counter::folding::{Contribution, contributions};
use tally_core::counter::item::CountedEvent;
use tally_core::event::id::{EventId, id_range};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, MICROSECOND, Range, Timestamp};
use tally_store::{Barrier, Store, StoreError};
use tokio::time::Instant;

use super::concurrent::all;
use super::expiry::may_expire;
use super::state::{Noted, Reading, Unit, Waiting, Walk, Work, kinds};

/// The maximum number of counts kept in memory before the settling step.
const MOST_COUNTS: usize = 20_000;

/// The result of a reading step.
#[derive(Debug)]
pub(super) enum Read {
    /// Barriers must be written behind everything that was read.
    Waiting(Waiting),
    /// Nothing was left to read.
    Done(Work),
}

impl Reading {
    /// Continues reading until a time, or until enough is read to be settled.
    pub(super) async fn read(
        self,
        store: &Store,
        app: &App,
        now: Timestamp,
        until: Instant,
    ) -> Result<Read, StoreError> {
        let Self(work) = self;
        let owner = EventId::random(now).to_string();
        let mut reader = Reader { store, app, now, until, work, owner, barriers: vec![] };
        reader.run().await?;
        let Reader { work, owner, barriers, .. } = reader;
        Ok(if barriers.is_empty() { Read::Done(work) } else { Read::Waiting(Waiting { work, barriers, owner }) })
    }
}

struct Reader<'a> {
    store: &'a Store,
    app: &'a App,
    now: Timestamp,
    until: Instant,
    work: Work,
    owner: String,
    barriers: Vec<Barrier>,
}

impl Reader<'_> {
    /// Reads unit after unit, and schedules a barrier behind each part.
    async fn run(&mut self) -> Result<(), StoreError> {
        while let Some(unit) = self.next_unit().await? {
            let rest = self.read_unit(unit).await?;
            let half_read = rest.is_some();
            self.work.unit = rest;
            if half_read || self.is_enough() {
                break;
            }
        }
        Ok(())
    }

    /// Reads a unit. Returns it if the memory limit is reached before its end.
    async fn read_unit(&mut self, mut unit: Unit) -> Result<Option<Unit>, StoreError> {
        let partition = unit.partition(self.app);
        let (first, last) = id_range(unit.range());
        if unit.after.is_none() {
            self.note(&partition, &unit).await?;
            self.barrier(&partition, first.before());
        }
        loop {
            let from = unit.after.and_then(EventId::after).unwrap_or(first);
            let page = self.store.counted_events(&partition, (from, last), &self.app.layout).await?;
            for event in &page.events {
                self.fold(&unit, event);
            }
            self.barrier(&partition, Some(page.more_after.unwrap_or(last)));
            let Some(read_to) = page.more_after else {
                self.work.close(&partition, unit.range().until());
                self.work.days_read += usize::from(unit.only.is_none());
                return Ok(None);
            };
            unit.after = Some(read_to);
            // Whole buckets before the last event can be settled.
            self.work.close(&partition, read_to.at());
            if self.is_enough() {
                return Ok(Some(unit));
            }
        }
    }

    /// Schedules a barrier. The end of a day is the place before the next day.
    fn barrier(&mut self, partition: &Partition, after: Option<EventId>) {
        let barrier = Barrier::after(partition, after, &self.owner);
        if !self.barriers.contains(&barrier) {
            self.barriers.push(barrier);
        }
    }

    fn is_enough(&self) -> bool {
        Instant::now() >= self.until
            || self.work.items.values().map(|noted| noted.stored.len()).sum::<usize>() >= MOST_COUNTS
    }

    async fn next_unit(&mut self) -> Result<Option<Unit>, StoreError> {
        if let Some(unit) = self.work.unit.take().or_else(|| self.work.again.pop_front()) {
            return Ok(Some(unit));
        }
        let Self { store, app, now, work, .. } = self;
        let range = work.range;
        while let Some(walk) = &mut work.walk {
            if walk.shard >= app.layout.shards_in(Range::ALL) {
                work.walk = None;
                break;
            }
            // There may be many days of which only counters are left.
            while walk.from < range.until() && may_expire(app, walk.from, *now) {
                walk.from += DAY;
            }
            let partition = Partition { app: app.id.clone(), shard: walk.shard };
            let day = next_day(store, app, &partition, walk.from).await?;
            let Some(day) = day.filter(|day| *day < range.until()) else {
                *walk = Walk { shard: walk.shard + 1, from: range.since() };
                continue;
            };
            walk.from = day + DAY;
            if !may_expire(app, day, *now) {
                let (shard, start, end) = (walk.shard, day, walk.from);
                return Ok(Some(Unit { shard, only: None, start, end, after: None, round: 0 }));
            }
        }
        Ok(None)
    }

    /// Notes the versions of a unit's items, before its events are read.
    async fn note(&mut self, partition: &Partition, unit: &Unit) -> Result<(), StoreError> {
        let (start, last) = (unit.range().since(), unit.range().until() - MICROSECOND);
        let granularities = unit.granularities();
        let reads = granularities.flat_map(|granularity| kinds(self.app).map(move |kind| (granularity, kind))).map(
            |(granularity, kind)| {
                self.store.item_versions(partition, kind, Bucket::of(granularity, start), Bucket::of(granularity, last))
            },
        );
        let versions = all(reads.collect()).await?.into_iter().flatten();
        for (key, version) in versions.filter(|(key, _)| unit.looks_at(key)) {
            self.work.items.insert(key, Noted { version, round: unit.round, ..Noted::default() });
        }
        Ok(())
    }

    fn fold(&mut self, unit: &Unit, event: &CountedEvent) {
        // `count` is at most 1e9.
        let count = i64::try_from(event.count).unwrap_or(0);
        for Contribution { key, counted, each } in contributions(event, &self.app.layout) {
            if unit.looks_at(&key) {
                let noted =
                    self.work.items.entry(key).or_insert_with(|| Noted { round: unit.round, ..Noted::default() });
                let stored = noted.stored.entry(counted.attribute()).or_default();
                *stored = stored.saturating_add(count * each);
            }
        }
    }
}

/// Returns the next day, from a given time on, that has events or counters.
async fn next_day(
    store: &Store,
    app: &App,
    partition: &Partition,
    from: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let kinds = Granularity::ALL.into_iter().flat_map(|granularity| kinds(app).map(move |kind| (granularity, kind)));
    let counted = kinds.map(|(granularity, kind)| store.first_counted(partition, kind, granularity, from));
    let counted = all(counted.collect());
    let stored = store.first_event(partition, EventId::first_at(from));
    let (counted, stored) = futures::future::try_join(counted, stored).await?;
    let times = counted.into_iter().flatten().map(Bucket::start).chain(stored.map(EventId::at));
    Ok(times.min().map(|at| at.floor(DAY)))
}
