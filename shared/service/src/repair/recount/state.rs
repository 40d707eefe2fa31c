//! What a recount has under way, which it keeps between calls.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use tally_core::app::App;
use tally_core::app::partition::Partition;
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::folding::contributions;
use tally_core::counter::item::{CountedEvent, CounterItem};
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::event::id::{EventId, id_range};
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, MICROSECOND, Range, Timestamp, micros};
use tally_store::{Barrier, Corrected, StoreError, UncountedDay};
use tokio::time::Instant;

use crate::context::Context;
use crate::repair::recount::{Found, Purpose, all, may_expire};

/// How often an item that keeps changing is looked at.
const ROUNDS: u32 = 4;
/// Most counts that are kept in memory before those that can be are settled.
const MOST_COUNTS: usize = 20_000;
/// Most counts in one correction: DynamoDB takes 4 KB of expression.
const CORRECTED_AT_ONCE: usize = 200;

const KINDS: [CounterKind; 3] = [CounterKind::Cells, CounterKind::Errors, CounterKind::Messages];

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    purpose: Purpose,
    /// Whole days.
    #[serde(with = "micros::range")]
    range: Range,
    /// Where the search for days goes on; none once all were found.
    walk: Option<Walk>,
    /// What is half read.
    unit: Option<Unit>,
    /// What must be looked at again.
    again: VecDeque<Unit>,
    #[serde(with = "items")]
    items: BTreeMap<CounterKey, Noted>,
    #[serde(rename = "fences")]
    barriers: Vec<Barrier>,
    /// Whose they are: somebody else's with each reading, or those that an earlier one put at the same places, and that
    /// were met long ago, would be taken for them.
    owner: String,
    days_read: usize,
    unsettled: usize,
    /// The days in the range that were marked as lacking counts when this began: day and mark, in microseconds.
    #[serde(default)]
    uncounted: Vec<(i64, i64)>,
}

/// Where the search for days with events or counters goes on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Walk {
    shard: u16,
    #[serde(with = "micros")]
    from: Timestamp,
}

/// Buckets of a shard that are read from one end to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unit {
    shard: u16,
    /// The items that are looked at, by granularity, kind and page; none is all.
    only: Option<(Granularity, Vec<(CounterKind, u16)>)>,
    #[serde(with = "micros")]
    start: Timestamp,
    #[serde(with = "micros")]
    end: Timestamp,
    /// The last identity that was read.
    after: Option<EventId>,
    round: u32,
}

/// A counter item, and what it should hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Noted {
    /// Its version before its events were read.
    version: i64,
    /// What is stored, by attribute.
    stored: HashMap<String, i64>,
    round: u32,
    /// Whether all its events were read.
    closed: bool,
}

/// Keys as fields, since a JSON object has texts for keys.
mod items {
    use serde::{Deserializer, Serializer};

    use super::{BTreeMap, Bucket, CounterKey, CounterKind, Deserialize, Granularity, Noted, Partition, Timestamp};

    type Wire = (Partition, CounterKind, Granularity, i64, u16, Noted);

    pub(super) fn serialize<S: Serializer>(items: &BTreeMap<CounterKey, Noted>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(items.iter().map(|(key, noted)| {
            let CounterKey { partition, kind, bucket, page } = key;
            (partition, kind, bucket.granularity(), bucket.start().micros(), page, noted)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<CounterKey, Noted>, D::Error> {
        let items = Vec::<Wire>::deserialize(from)?.into_iter();
        Ok(items
            .map(|(partition, kind, granularity, start, page, noted)| {
                let bucket = Bucket::of(granularity, Timestamp::from_micros(start));
                (CounterKey { partition, kind, bucket, page }, noted)
            })
            .collect())
    }
}

impl Unit {
    fn partition(&self, app: &App) -> Partition {
        Partition { app: app.id.clone(), shard: self.shard }
    }

    fn range(&self) -> Range {
        Range::new(self.start, self.end).unwrap_or(Range::EMPTY)
    }

    fn granularities(&self) -> impl Iterator<Item = Granularity> {
        let granularity = self.only.as_ref().map(|(granularity, _)| *granularity);
        Granularity::ALL.into_iter().filter(move |of| granularity.is_none_or(|granularity| granularity == *of))
    }

    /// Whether an item is looked at.
    fn looks_at(&self, key: &CounterKey) -> bool {
        self.only.as_ref().is_none_or(|(granularity, items)| {
            *granularity == key.bucket.granularity() && items.contains(&(key.kind, key.page))
        })
    }
}

impl State {
    pub(super) fn new(purpose: Purpose, days: Range, uncounted: Vec<UncountedDay>) -> Self {
        let uncounted = uncounted.into_iter().filter(|uncounted| days.contains(uncounted.day));
        Self {
            purpose,
            range: days,
            walk: Some(Walk { shard: 0, from: days.since() }),
            unit: None,
            again: VecDeque::new(),
            items: BTreeMap::new(),
            barriers: vec![],
            owner: String::new(),
            days_read: 0,
            unsettled: 0,
            uncounted: uncounted.map(|uncounted| (uncounted.day.micros(), uncounted.marked_at.micros())).collect(),
        }
    }

    /// The days in the range that were marked as lacking counts when this began.
    pub(super) fn uncounted(&self) -> impl Iterator<Item = UncountedDay> {
        let time = Timestamp::from_micros;
        self.uncounted.iter().map(move |(day, at)| UncountedDay { day: time(*day), marked_at: time(*at) })
    }

    pub(super) fn read_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn to_text(&self) -> String {
        // Texts, numbers and lists alone always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    pub(super) fn barriers(&self) -> &[Barrier] {
        &self.barriers
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    pub(super) fn clear_barriers(&mut self) {
        self.barriers.clear();
    }

    pub(super) fn days_read(&self) -> usize {
        self.days_read
    }

    /// How many items kept changing.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Reads on until a time, or until enough is read to be settled, and leaves barriers to put; false where nothing was
    /// left to read.
    pub(super) async fn read(&mut self, context: &Context, app: &App, until: Instant) -> Result<bool, StoreError> {
        self.owner = EventId::random(context.clock.now()).to_string();
        let mut any = false;
        while let Some(mut unit) = self.next_unit(context, app).await? {
            any = true;
            let partition = unit.partition(app);
            let (first, last) = id_range(unit.range());
            if unit.after.is_none() {
                self.note(context, &partition, &unit).await?;
                self.barrier(&partition, first.before());
            }
            loop {
                let from = unit.after.and_then(EventId::after).unwrap_or(first);
                let page = context.store.counted_events(&partition, (from, last)).await?;
                for event in &page.events {
                    self.fold(app, &unit, event);
                }
                self.barrier(&partition, Some(page.more_after.unwrap_or(last)));
                let Some(read_to) = page.more_after else {
                    self.close(&partition, unit.range().until());
                    self.days_read += usize::from(unit.only.is_none());
                    break;
                };
                unit.after = Some(read_to);
                // Whole buckets before the last event can be settled.
                self.close(&partition, read_to.at());
                if self.is_enough(until) {
                    self.unit = Some(unit);
                    return Ok(true);
                }
            }
            if self.is_enough(until) {
                return Ok(true);
            }
        }
        Ok(any)
    }

    /// Plans a barrier. The end of a day is the place before the next one.
    fn barrier(&mut self, partition: &Partition, after: Option<EventId>) {
        let barrier = Barrier::after(partition, after, &self.owner);
        if !self.barriers.contains(&barrier) {
            self.barriers.push(barrier);
        }
    }

    fn is_enough(&self, until: Instant) -> bool {
        Instant::now() >= until || self.items.values().map(|noted| noted.stored.len()).sum::<usize>() >= MOST_COUNTS
    }

    async fn next_unit(&mut self, context: &Context, app: &App) -> Result<Option<Unit>, StoreError> {
        if let Some(unit) = self.unit.take().or_else(|| self.again.pop_front()) {
            return Ok(Some(unit));
        }
        while let Some(walk) = &mut self.walk {
            if walk.shard >= app.layout.shards_in(Range::ALL) {
                self.walk = None;
                break;
            }
            // Days of which no more than counters is left may be many.
            while walk.from < self.range.until() && may_expire(app, walk.from, context.clock.now()) {
                walk.from += DAY;
            }
            let partition = Partition { app: app.id.clone(), shard: walk.shard };
            let day = next_day(context, &partition, walk.from).await?;
            let Some(day) = day.filter(|day| *day < self.range.until()) else {
                *walk = Walk { shard: walk.shard + 1, from: self.range.since() };
                continue;
            };
            walk.from = day + DAY;
            if !may_expire(app, day, context.clock.now()) {
                let (shard, start, end) = (walk.shard, day, walk.from);
                return Ok(Some(Unit { shard, only: None, start, end, after: None, round: 0 }));
            }
        }
        Ok(None)
    }

    /// Notes the versions of a unit's items before its events are read.
    async fn note(&mut self, context: &Context, partition: &Partition, unit: &Unit) -> Result<(), StoreError> {
        let (start, last) = (unit.range().since(), unit.range().until() - MICROSECOND);
        let reads = unit.granularities().flat_map(|granularity| KINDS.map(|kind| (granularity, kind))).map(
            |(granularity, kind)| {
                context.store.item_versions(
                    partition,
                    kind,
                    Bucket::of(granularity, start),
                    Bucket::of(granularity, last),
                )
            },
        );
        let versions = all(reads.collect()).await?.into_iter().flatten();
        for (key, version) in versions.filter(|(key, _)| unit.looks_at(key)) {
            self.items.insert(key, Noted { version, round: unit.round, ..Noted::default() });
        }
        Ok(())
    }

    fn fold(&mut self, app: &App, unit: &Unit, event: &CountedEvent) {
        // `count` is at most 1e9.
        let count = i64::try_from(event.count).unwrap_or(0);
        for (key, counted) in contributions(event, &app.layout) {
            if unit.looks_at(&key) {
                let noted = self.items.entry(key).or_insert_with(|| Noted { round: unit.round, ..Noted::default() });
                *noted.stored.entry(counted.attribute()).or_default() += count;
            }
        }
    }

    /// Closes the items of a shard whose buckets end at a time or before.
    fn close(&mut self, partition: &Partition, at: Timestamp) {
        for (key, noted) in &mut self.items {
            noted.closed |= key.partition == *partition && key.bucket.end() <= at;
        }
    }

    /// Compares what all barriers are met for with the counters as they are now, and mends what differs.
    pub(super) async fn settle(
        &mut self,
        context: &Context,
        app: &App,
        id: &str,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let mut closed: BTreeMap<_, _> = self.items.extract_if(.., |_, noted| noted.closed).collect();
        let mut ranges: BTreeMap<_, (Bucket, Bucket)> = BTreeMap::new();
        for CounterKey { partition, kind, bucket, .. } in closed.keys() {
            let of = (partition.clone(), *kind, bucket.granularity(), bucket.start().floor(DAY));
            let range = ranges.entry(of).or_insert((*bucket, *bucket));
            *range = (range.0.min(*bucket), range.1.max(*bucket));
        }
        let now = context.clock.now();
        // One range after another: a day may have many large items.
        for ((partition, kind, granularity, day), (first, last)) in ranges {
            let read = context.store.versioned_items(&partition, kind, first, last).await?;
            let mut current: HashMap<_, _> =
                read.into_iter().map(|item| (item.key, (item.version, item.item))).collect();
            let of_range = |key: &CounterKey, _: &mut Noted| {
                key.partition == partition
                    && (key.kind, key.bucket.granularity(), key.bucket.start().floor(DAY)) == (kind, granularity, day)
            };
            let noted: Vec<_> = closed.extract_if(.., of_range).collect();
            if may_expire(app, day, now - super::BEFORE_EXPIRY) {
                continue;
            }
            let mut differing = Vec::new();
            for (key, noted) in noted {
                let (version, item) = current.remove(&key).unwrap_or_default();
                if version != noted.version {
                    self.look_again(&key, noted.round);
                    continue;
                }
                let differences = compare(&item, &noted.stored);
                if !differences.is_empty() {
                    differing.push((key, noted, differences));
                }
            }
            self.mend(context, id, differing, found).await?;
        }
        Ok(())
    }

    /// Tells what differs, and mends it where that is the purpose.
    async fn mend(
        &mut self,
        context: &Context,
        id: &str,
        differing: Vec<(CounterKey, Noted, Vec<Differing>)>,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let mut corrected = vec![Ok(Corrected::Done); differing.len()];
        if self.purpose == Purpose::Recount {
            let corrections = differing.iter().enumerate().map(|(n, (key, noted, differences))| async move {
                match correct(context, key, noted, id, differences).await {
                    // An item that the store refuses for good is no reason to leave the others.
                    Err(StoreError::Refused(error)) => Ok((n, Err(error))),
                    outcome => Ok((n, Ok(outcome?))),
                }
            });
            for (n, outcome) in all(corrections.collect()).await? {
                corrected[n] = outcome;
            }
        }
        for ((key, noted, differences), corrected) in differing.into_iter().zip(corrected) {
            match corrected {
                Ok(Corrected::Changed) => self.look_again(&key, noted.round),
                Ok(Corrected::Done) => {
                    let day = key.bucket.start().floor(DAY);
                    for (what, counted, stored) in differences {
                        found.add((day, key.kind, what), key.bucket.granularity(), counted, stored);
                    }
                }
                Err(error) => {
                    tracing::error!(item = tally_store::counter_keys(&key), error, "a counter item cannot be mended");
                    self.unsettled += 1;
                }
            }
        }
        Ok(())
    }

    /// Plans another look at an item that has changed, unless it did too often.
    fn look_again(&mut self, key: &CounterKey, round: u32) {
        if round + 1 >= ROUNDS {
            self.unsettled += 1;
            return;
        }
        let CounterKey { partition: Partition { shard, .. }, kind, bucket, page } = *key;
        let (start, end) = (bucket.start(), bucket.end());
        // A bucket may have several items: its events are read once for all of them.
        let same = self.again.iter_mut().find(|unit| {
            (unit.shard, unit.start, unit.end, unit.round) == (shard, start, end, round + 1) && unit.after.is_none()
        });
        if let Some((_, items)) = same.and_then(|unit| unit.only.as_mut()) {
            items.push((kind, page));
            return;
        }
        let only = Some((bucket.granularity(), vec![(kind, page)]));
        self.again.push_back(Unit { shard, only, start, end, after: None, round: round + 1 });
    }
}

/// The next day from a moment on that has events or counters.
async fn next_day(context: &Context, partition: &Partition, from: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let kinds = Granularity::ALL.into_iter().flat_map(|granularity| KINDS.map(|kind| (granularity, kind)));
    let counted = kinds.map(|(granularity, kind)| context.store.first_counted(partition, kind, granularity, from));
    let counted = all(counted.collect());
    let stored = context.store.first_event(partition, EventId::first_at(from));
    let (counted, stored) = futures::future::try_join(counted, stored).await?;
    let times = counted.into_iter().flatten().map(Bucket::start).chain(stored.map(EventId::at));
    Ok(times.min().map(|at| at.floor(DAY)))
}

/// What is counted otherwise than it should be: what, as it is counted, as it is stored.
type Differing = (CounterLabel, i64, i64);

/// What an item counts otherwise than it should.
fn compare(item: &CounterItem, stored: &HashMap<String, i64>) -> Vec<Differing> {
    let mut wanted: BTreeMap<CounterLabel, i64> = BTreeMap::new();
    for (attribute, count) in stored {
        let Some(counted) = CounterLabel::parse(attribute) else { continue };
        // A full item counts what it has no attribute for in the rest of its level.
        let place = if item.full && !item.counts.contains_key(attribute) {
            CounterLabel::Other(counted.level())
        } else {
            counted
        };
        *wanted.entry(place).or_default() += count;
    }
    for counted in item.counts.keys().filter_map(|attribute| CounterLabel::parse(attribute)) {
        wanted.entry(counted).or_default();
    }
    let differences = wanted.into_iter().map(|(what, stored)| {
        let counted = item.counts.get(&what.attribute()).copied().unwrap_or(0);
        (what, counted, stored)
    });
    differences.filter(|(_, counted, stored)| counted != stored).collect()
}

/// Adds to an item what it lacks, in as many updates as that takes.
async fn correct(
    context: &Context,
    key: &CounterKey,
    noted: &Noted,
    id: &str,
    differences: &[Differing],
) -> Result<Corrected, StoreError> {
    // Each part leaves one version more.
    for ((part, differences), version) in differences.chunks(CORRECTED_AT_ONCE).enumerate().zip(noted.version..) {
        let amounts: Vec<_> =
            differences.iter().map(|(what, counted, stored)| (what.attribute(), stored - counted)).collect();
        let by = format!("{id}.{}.{part}", noted.round);
        if context.store.correct(key, version, &by, &amounts).await? == Corrected::Changed {
            return Ok(Corrected::Changed);
        }
    }
    Ok(Corrected::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_stored_in_microseconds() {
        let days = Range::new(Timestamp::EPOCH + DAY, Timestamp::EPOCH + 3 * DAY).expect("in order");
        let mut state = State::new(Purpose::Audit, days, vec![]);
        let (start, end) = (days.since(), days.since() + DAY);
        state.unit = Some(Unit { shard: 1, only: None, start, end, after: None, round: 0 });
        let text = state.to_text();
        for stored in [
            r#""range":[86400000000,259200000000]"#,
            r#""walk":{"shard":0,"from":86400000000}"#,
            r#""start":86400000000,"end":172800000000"#,
        ] {
            assert!(text.contains(stored), "{stored} in {text}");
        }
        let read = State::read_text(&text).expect("what was written");
        assert_eq!((read.range, read.unit), (days, state.unit));
    }
}
