//! The state of a recount.
//!
//! A recount is in one of two states, and ends from the first. Each arrow is one function. The states are types, so
//! barriers always have an owner, and nothing is settled before its barriers are met.
//!
//! ```text
//!   Work::new
//!       |
//!       v             Reading::read
//!   +---------+  -------------------------->  +---------+
//!   | Reading |                               | Waiting |
//!   +---------+  <--------------------------  +---------+
//!       |            Waiting::settle
//!       | Reading::read, where nothing is left to read
//!       v
//!     done
//! ```
//!
//! - *Reading*: notes the versions of counter items, then reads the events of their buckets and folds them. It ends
//!   when time or memory runs out, or when everything is read.
//! - *Waiting*: barriers stand behind everything that was read. When they are met, all of it is counted, if it ever
//!   will be. Items whose buckets were read completely are then compared and corrected.
//!
//! Between calls, either state is kept in the store. [`super::stored`] defines the stored form.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use tally_core::app::App;
use tally_core::app::partition::Partition;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::event::id::EventId;
use tally_core::time::bucket::Granularity;
use tally_core::time::{Range, Timestamp, micros};
use tally_store::{Barrier, UncountedDay};

/// How often an item that keeps changing is checked.
const ROUNDS: u32 = 4;

/// The kinds of counters that an app may have.
pub(super) fn kinds(app: &App) -> impl Iterator<Item = CounterKind> + Clone {
    let counts_properties = app.layout.counts_properties();
    CounterKind::ALL.into_iter().filter(move |kind| counts_properties || *kind != CounterKind::Properties)
}

/// What to do about a counter that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Report it.
    Audit,
    /// Report and correct it.
    Recount,
}

/// A recount between two steps.
#[derive(Debug, PartialEq)]
pub(super) enum State {
    Reading(Reading),
    Waiting(Waiting),
}

/// No barriers are pending. There may be more to read.
#[derive(Debug, PartialEq)]
pub(super) struct Reading(pub(super) Work);

/// Barriers stand behind everything that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) work: Work,
    /// At least one.
    pub(super) barriers: Vec<Barrier>,
    /// The owner of the barriers. Each reading uses a new owner. Otherwise, barriers that an earlier reading put at the
    /// same places, and that were met long ago, would be mistaken for these.
    pub(super) owner: String,
}

/// What has been read, and what is left to read.
#[derive(Debug, PartialEq)]
pub(super) struct Work {
    pub(super) purpose: Purpose,
    /// Whole days.
    pub(super) range: Range,
    /// Where the search for days continues. `None` once all days were found.
    pub(super) walk: Option<Walk>,
    /// The buckets that are partly read.
    pub(super) unit: Option<Unit>,
    /// The items to check again.
    pub(super) again: VecDeque<Unit>,
    /// The items whose events have been read, completely or in part.
    pub(super) items: BTreeMap<CounterKey, Noted>,
    /// The number of days, summed over shards, that were read to the end.
    pub(super) days_read: usize,
    /// The number of items that could not be settled: they kept changing, or the store rejected them.
    pub(super) unsettled: usize,
    /// The days in the range that were marked as lacking counts at the start: day and mark, in microseconds.
    pub(super) uncounted: Vec<(i64, i64)>,
}

/// Where the search for days with events or counters continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Walk {
    pub(super) shard: u16,
    #[serde(with = "micros")]
    pub(super) from: Timestamp,
}

/// A range of buckets in a shard, read from start to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unit {
    pub(super) shard: u16,
    /// The items to check, by granularity, kind and page. `None` means all items.
    pub(super) only: Option<(Granularity, Vec<(CounterKind, u16)>)>,
    #[serde(with = "micros")]
    pub(super) start: Timestamp,
    #[serde(with = "micros")]
    pub(super) end: Timestamp,
    /// The last identity that was read.
    pub(super) after: Option<EventId>,
    pub(super) round: u32,
}

/// A counter item, and the counts it should have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    /// Its version before its events were read.
    pub(super) version: i64,
    /// The stored counts, by attribute.
    pub(super) stored: HashMap<String, i64>,
    pub(super) round: u32,
    /// Whether all its events were read.
    pub(super) closed: bool,
}

impl Unit {
    pub(super) fn partition(&self, app: &App) -> Partition {
        Partition { app: app.id.clone(), shard: self.shard }
    }

    pub(super) fn range(&self) -> Range {
        Range::new(self.start, self.end).unwrap_or(Range::EMPTY)
    }

    pub(super) fn granularities(&self) -> impl Iterator<Item = Granularity> {
        let granularity = self.only.as_ref().map(|(granularity, _)| *granularity);
        Granularity::ALL.into_iter().filter(move |of| granularity.is_none_or(|granularity| granularity == *of))
    }

    /// Returns whether an item is checked.
    pub(super) fn looks_at(&self, key: &CounterKey) -> bool {
        self.only.as_ref().is_none_or(|(granularity, items)| {
            *granularity == key.bucket.granularity() && items.contains(&(key.kind, key.page))
        })
    }
}

impl State {
    pub(super) fn work(&self) -> &Work {
        match self {
            Self::Reading(Reading(work)) | Self::Waiting(Waiting { work, .. }) => work,
        }
    }
}

impl Work {
    /// Creates a recount of whole days, with nothing read yet.
    pub(super) fn new(purpose: Purpose, days: Range, uncounted: Vec<UncountedDay>) -> Self {
        let uncounted = uncounted.into_iter().filter(|uncounted| days.contains(uncounted.day));
        Self {
            purpose,
            range: days,
            walk: Some(Walk { shard: 0, from: days.since() }),
            unit: None,
            again: VecDeque::new(),
            items: BTreeMap::new(),
            days_read: 0,
            unsettled: 0,
            uncounted: uncounted.map(|uncounted| (uncounted.day.micros(), uncounted.marked_at.micros())).collect(),
        }
    }

    /// The days in the range that were marked as lacking counts at the start.
    pub(super) fn uncounted_days(&self) -> impl Iterator<Item = UncountedDay> {
        let time = Timestamp::from_micros;
        self.uncounted.iter().map(move |(day, at)| UncountedDay { day: time(*day), marked_at: time(*at) })
    }

    /// Closes the items of a shard whose buckets end at or before the given time.
    pub(super) fn close(&mut self, partition: &Partition, at: Timestamp) {
        for (key, noted) in &mut self.items {
            noted.closed |= key.partition == *partition && key.bucket.end() <= at;
        }
    }

    /// Schedules another check of an item that has changed, unless it changed too often.
    pub(super) fn look_again(&mut self, key: &CounterKey, round: u32) {
        if round + 1 >= ROUNDS {
            self.unsettled += 1;
            return;
        }
        let CounterKey { partition: Partition { shard, .. }, kind, bucket, page } = *key;
        let (start, end) = (bucket.start(), bucket.end());
        // A bucket may have several items. Its events are read once for all of them.
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
