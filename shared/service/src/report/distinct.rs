//! Distinct users and sessions: from sketches, and from events where a filter selects them or a range ends inside an hour.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::future::try_join_all;
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::distinct::{Marks, Of, Union, error_of};
use tally_core::event::filter::EventFilter;
use tally_core::event::id::EventId;
use tally_core::people::person_of;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{HOUR, Range, Timestamp};
use tally_store::{StoreError, StoredDistinct};

use super::from_events::live_events;
use crate::budget::{ReadError, Spent};
use crate::read::reader::{End, walk};
use crate::reads::Reads;

/// Most events that are read for the hours in which a range begins and ends, and for those whose sketches may hold somebody who
/// was erased. Beyond, the sketch of the whole hour is taken.
const MOST_EVENTS: usize = 5_000;
/// The bytes that somebody who is counted from events takes.
const MARK_BYTES: usize = 48;
/// The bytes that the union of a slot takes.
const UNION_BYTES: usize = 4_200;

/// The numbers of distinct users or sessions of a range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distinct {
    /// Of the whole range: who comes in several slots counts once.
    pub total: u64,
    /// Of each slot.
    pub slots: Vec<u64>,
    /// By how much a number is wrong at most in 95 of 100 cases, as a share of it; 0 where all are exact.
    pub error: f64,
    /// False where somebody may be missing, or where somebody who was erased may be counted still.
    pub complete: bool,
    /// Whether whole hours were taken at the ends of the range.
    pub widened: bool,
    /// Events before this time were not read, since the budget had ended.
    pub covered_since: Option<Timestamp>,
    /// From when on everything accepted is in, where it was read from events.
    pub live_from: Option<Timestamp>,
}

/// Counts users or sessions between `boundaries`, which are in order.
///
/// # Errors
/// Where the store fails, and where the sketches alone are more than the budget allows.
pub async fn count_distinct(
    reads: &Reads,
    app: &App,
    of: Of,
    boundaries: &[Timestamp],
    filter: &EventFilter,
) -> Result<Distinct, ReadError> {
    let is_filtered = !filter.cell.is_empty() || !filter.beyond_cells().is_empty();
    if is_filtered {
        return Ok(from_events(reads, app, of, boundaries, filter).await?);
    }
    let [users, sessions] = from_sketches(reads, app, boundaries, MOST_EVENTS).await?;
    Ok(match of {
        Of::Users => users,
        Of::Sessions => sessions,
    })
}

/// Counts the users and the sessions of the whole hours that a range touches, from sketches alone.
///
/// # Errors
/// Where the store fails, and where the sketches are more than the budget allows.
pub async fn users_and_sessions(reads: &Reads, app: &App, range: Range) -> Result<[Distinct; 2], ReadError> {
    from_sketches(reads, app, &[range.since(), range.until()], 0).await
}

/// Counts exactly, as far as the budget goes.
async fn from_events(
    reads: &Reads,
    app: &App,
    of: Of,
    boundaries: &[Timestamp],
    filter: &EventFilter,
) -> Result<Distinct, StoreError> {
    let slots = boundaries.len().saturating_sub(1);
    let mut found = Distinct { slots: vec![0; slots], complete: true, ..Distinct::default() };
    let (Some(first), Some(last)) = (boundaries.first(), boundaries.last()) else { return Ok(found) };
    let Ok(range) = Range::new(*first, *last) else { return Ok(found) };
    let (query, live_from) = live_events(reads, app, range, filter, usize::MAX).await?;
    let mut seen: HashSet<(usize, String)> = HashSet::new();
    let mut all: HashSet<String> = HashSet::new();
    let mut stopped_at: Option<EventId> = None;
    let end = walk(reads, app, &query, |event| {
        let Some(person) = person_of(&event, of.into()) else { return true };
        let slot = boundaries.partition_point(|at| *at <= event.at(app.clock)).saturating_sub(1);
        let key = (slot, person.text().into_owned());
        if !seen.contains(&key) {
            if reads.budget.hold(2 * (MARK_BYTES + key.1.len())).is_err() {
                stopped_at = Some(event.id);
                return false;
            }
            all.insert(key.1.clone());
            if let Some(count) = found.slots.get_mut(slot) {
                *count += 1;
            }
            seen.insert(key);
        }
        true
    });
    let frontier = match end.await? {
        End::Read { frontier } => frontier,
        End::Stopped => stopped_at.and_then(EventId::after),
    };
    found.total = all.len() as u64;
    found.covered_since = frontier.map(|id| id.at().max(range.since()));
    found.complete = frontier.is_none() && is_kept(reads, app, range);
    found.live_from = live_from.max(found.covered_since.filter(|_| live_from.is_some()));
    Ok(found)
}

/// What the slots of a range are made of.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    /// The hours and days that lie in one slot as a whole, each with its slot.
    whole: BTreeMap<Bucket, usize>,
    /// The hours of which only a part lies in a slot, or in several: the parts by slot.
    parts: BTreeMap<Bucket, Vec<(usize, Range)>>,
}

impl Plan {
    /// An hour that has not ended by `now` counts as a whole where the range reaches to `now`.
    fn new(boundaries: &[Timestamp], now: Timestamp) -> Self {
        let mut plan = Self::default();
        for (slot, pair) in boundaries.windows(2).enumerate() {
            let (since, mut until) = (pair[0], pair[1]);
            if until >= now && slot + 2 == boundaries.len() {
                until = until.ceil(HOUR);
            }
            let mut at = since;
            while at < until {
                let hour = Bucket::of(Granularity::Hour, at);
                let day = Bucket::of(Granularity::Day, at);
                if at == day.start() && day.end() <= until {
                    plan.whole.insert(day, slot);
                    at = day.end();
                } else if at == hour.start() && hour.end() <= until {
                    plan.whole.insert(hour, slot);
                    at = hour.end();
                } else {
                    let end = hour.end().min(until);
                    if let Ok(part) = Range::new(at, end) {
                        plan.parts.entry(hour).or_default().push((slot, part));
                    }
                    at = end;
                }
            }
        }
        plan
    }
}

/// Buckets that follow each other.
fn runs(buckets: &BTreeSet<Bucket>) -> Vec<(Bucket, Bucket)> {
    let mut runs: Vec<(Bucket, Bucket)> = vec![];
    for bucket in buckets {
        match runs.last_mut() {
            Some((_, last)) if last.granularity() == bucket.granularity() && last.end() == bucket.start() => {
                *last = *bucket;
            }
            _ => runs.push((*bucket, *bucket)),
        }
    }
    runs
}

/// Users, and sessions.
async fn from_sketches(
    reads: &Reads,
    app: &App,
    boundaries: &[Timestamp],
    most: usize,
) -> Result<[Distinct; 2], ReadError> {
    let slots = boundaries.len().saturating_sub(1);
    reads.budget.hold(2 * slots * UNION_BYTES)?;
    let Plan { mut whole, parts } = Plan::new(boundaries, reads.now);
    let mut count = Count::new(slots, most);
    let ends = boundaries.first().zip(boundaries.last());
    let range = ends.and_then(|(first, last)| Range::new(*first, *last).ok()).unwrap_or(Range::EMPTY);
    count.complete = is_kept(reads, app, range) && !reads.lacks_counts(&app.id, range).await?;
    // Those of parts of hours too, before events take the budget: their events may be too many.
    let mut sketches = read(reads, app, &whole.keys().chain(parts.keys()).copied().collect()).await?;
    // A day that may hold somebody who was erased is made of its hours: most of them hold nobody who was.
    let is_day = |bucket: &Bucket| bucket.granularity() == Granularity::Day;
    let days: Vec<Bucket> =
        whole.keys().filter(|bucket| is_day(bucket) && is_stale(sketches.get(bucket))).copied().collect();
    let mut hours = BTreeSet::new();
    for day in days {
        sketches.remove(&day);
        let Some(slot) = whole.remove(&day) else { continue };
        for hour in 0..24 {
            let hour = Bucket::of(Granularity::Hour, day.start() + hour * HOUR);
            whole.insert(hour, slot);
            hours.insert(hour);
        }
    }
    sketches.extend(read(reads, app, &hours).await?);
    for (bucket, slot) in &whole {
        let held = sketches.remove(bucket).unwrap_or_default();
        if is_stale(Some(&held)) {
            let range = Range::new(bucket.start(), bucket.end()).unwrap_or(Range::EMPTY);
            if count.add_events(reads, app, &[(*slot, range)]).await? {
                continue;
            }
            count.complete = false;
        }
        count.add(*slot, &held);
    }
    for (hour, parts) in parts {
        if count.add_events(reads, app, &parts).await? {
            continue;
        }
        count.widened = true;
        let held = sketches.remove(&hour).unwrap_or_default();
        count.complete &= !is_stale(Some(&held));
        for (slot, _) in &parts {
            count.add(*slot, &held);
        }
    }
    Ok(Of::ALL.map(|of| count.done(of)))
}

/// A count from sketches under way.
struct Count {
    users: Vec<Union>,
    sessions: Vec<Union>,
    /// How many events may still be read.
    left: usize,
    widened: bool,
    complete: bool,
}

impl Count {
    fn new(slots: usize, left: usize) -> Self {
        let unions = || (0..slots).map(|_| Union::default()).collect();
        Self { users: unions(), sessions: unions(), left, widened: false, complete: true }
    }

    fn add(&mut self, slot: usize, held: &[StoredDistinct]) {
        for stored in held {
            self.users[slot].add(&stored.users);
            self.sessions[slot].add(&stored.sessions);
        }
    }

    /// Adds those of some events. Returns false, and adds nobody, where they are too many.
    async fn add_events(&mut self, reads: &Reads, app: &App, parts: &[(usize, Range)]) -> Result<bool, StoreError> {
        let mut found: HashMap<usize, StoredDistinct> = HashMap::new();
        for (slot, range) in parts {
            if self.left == 0 || reads.budget.spent().is_some() {
                return Ok(false);
            }
            let (query, _) = live_events(reads, app, *range, &EventFilter::default(), usize::MAX).await?;
            let (left, found) = (&mut self.left, found.entry(*slot).or_default());
            let end = walk(reads, app, &query, |event| {
                let Some(less) = left.checked_sub(1) else { return false };
                *left = less;
                found.add(Marks::of_event(&event));
                true
            });
            if end.await? != (End::Read { frontier: None }) {
                return Ok(false);
            }
        }
        for (slot, found) in &found {
            self.add(*slot, std::slice::from_ref(found));
        }
        Ok(true)
    }

    fn done(&self, of: Of) -> Distinct {
        let unions = match of {
            Of::Users => &self.users,
            Of::Sessions => &self.sessions,
        };
        let mut all = Union::default();
        for union in unions {
            all.add(&union.sketch());
        }
        let total = all.count();
        Distinct {
            total,
            slots: unions.iter().map(Union::count).collect(),
            // The total is the largest.
            error: error_of(total),
            complete: self.complete,
            widened: self.widened,
            covered_since: None,
            live_from: None,
        }
    }
}

/// Whether no event of a range has expired.
fn is_kept(reads: &Reads, app: &App, range: Range) -> bool {
    range.is_empty() || app.layout.kept(range, reads.now) == [range]
}

fn is_stale(held: Option<&Vec<StoredDistinct>>) -> bool {
    held.is_some_and(|held| held.iter().any(|stored| stored.stale))
}

/// Reads sketches of all shards, by bucket.
async fn read(
    reads: &Reads,
    app: &App,
    buckets: &BTreeSet<Bucket>,
) -> Result<HashMap<Bucket, Vec<StoredDistinct>>, ReadError> {
    let mut pages = vec![];
    for (first, last) in runs(buckets) {
        let Ok(range) = Range::new(first.start(), last.end()) else { continue };
        pages.extend(partitions(app, range).into_iter().map(|partition| read_run(reads, partition, (first, last))));
    }
    let mut found: HashMap<Bucket, Vec<StoredDistinct>> = HashMap::new();
    for (bucket, stored) in try_join_all(pages).await?.into_iter().flatten() {
        found.entry(bucket).or_default().push(stored);
    }
    Ok(found)
}

async fn read_run(
    reads: &Reads,
    partition: Partition,
    run: (Bucket, Bucket),
) -> Result<Vec<(Bucket, StoredDistinct)>, ReadError> {
    let (mut found, mut from) = (vec![], None);
    loop {
        if reads.budget.spent() == Some(Spent::Time) {
            return Err(Spent::Time.into());
        }
        let page = reads.distinct(&partition, run, from).await?;
        found.extend(page.items);
        from = page.next;
        if from.is_none() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn names(plan: &Plan) -> (Vec<String>, Vec<String>) {
        let whole = plan.whole.iter().map(|(bucket, slot)| format!("{slot} {bucket}"));
        let parts = plan.parts.iter().flat_map(|(hour, parts)| {
            parts.iter().map(move |(slot, part)| format!("{slot} {hour} {}-{}", part.since(), part.until()))
        });
        (whole.collect(), parts.collect())
    }

    #[test]
    fn a_range_is_made_of_days_hours_and_parts_of_hours() {
        let now = at("2026-11-27T15:20:30Z");
        let plan =
            Plan::new(&[at("2026-11-25T22:30:00Z"), at("2026-11-27T01:00:00Z"), at("2026-11-27T02:45:00Z")], now);
        let (whole, parts) = names(&plan);
        assert_eq!(whole, ["0 2026112523", "0 2026112700", "1 2026112701", "0 20261126"]);
        assert_eq!(
            parts,
            [
                "0 2026112522 2026-11-25T22:30:00Z-2026-11-25T23:00:00Z",
                "1 2026112702 2026-11-27T02:00:00Z-2026-11-27T02:45:00Z"
            ]
        );
    }

    #[test]
    fn the_hour_that_is_under_way_counts_as_a_whole() {
        let now = at("2026-11-27T15:20:30Z");
        let (whole, parts) = names(&Plan::new(&[at("2026-11-27T14:00:00Z"), at("2026-11-27T15:21:00Z")], now));
        assert_eq!((whole, parts), (vec!["0 2026112714".to_owned(), "0 2026112715".to_owned()], vec![]));
        let (_, parts) = names(&Plan::new(&[at("2026-11-27T14:00:00Z"), at("2026-11-27T15:20:00Z")], now));
        assert_eq!(parts.len(), 1);
    }

    #[test]
    fn a_zone_of_half_hours_has_parts_at_each_end() {
        let now = at("2026-11-28T00:00:00Z");
        let plan =
            Plan::new(&[at("2026-11-25T18:30:00Z"), at("2026-11-26T18:30:00Z"), at("2026-11-27T18:30:00Z")], now);
        let (whole, parts) = names(&plan);
        assert_eq!((whole.len(), parts.len()), (2 * 23, 4), "{whole:?} {parts:?}");
    }

    #[test]
    fn buckets_that_follow_each_other_are_read_together() {
        let hour = |text: &str| Bucket::of(Granularity::Hour, at(text));
        let buckets = [hour("2026-11-25T22:30:00Z"), hour("2026-11-25T23:30:00Z"), hour("2026-11-26T01:30:00Z")];
        let runs = runs(&buckets.into());
        assert_eq!(runs, [(buckets[0], buckets[1]), (buckets[2], buckets[2])]);
    }
}
