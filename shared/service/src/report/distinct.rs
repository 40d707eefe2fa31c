//! Distinct users and sessions: from sketches, and from events where a filter selects them, a slot begins or ends inside an hour, or
//! a sketch may hold somebody who was erased.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::future::try_join_all;
use tally_core::app::App;
use tally_core::app::partition::{Partition, partitions};
use tally_core::distinct::{Marks, Of, Union, error_of};
use tally_core::event::filter::EventFilter;
use tally_core::event::id::EventId;
use tally_core::people::person_of;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{HOUR, MILLISECOND, Range, Timestamp};
use tally_store::{StoreError, StoredDistinct};

use super::from_events::live_events;
use crate::budget::{ReadError, Spent};
use crate::read::query::EventQuery;
use crate::read::reader::{End, spent, walk};
use crate::reads::{Part, Reads};

/// The bytes that somebody who is counted from events takes.
const MARK_BYTES: usize = 48;
/// The bytes that the union of a slot takes.
const UNION_BYTES: usize = 4_200;

/// The numbers of distinct users or sessions of a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Distinct {
    /// Of the whole range: who comes in several slots counts once.
    pub total: u64,
    /// Of each slot.
    pub slots: Vec<u64>,
    /// By how much a number is wrong at most in 95 of 100 cases, as a share of it; 0 where all are exact.
    pub error: f64,
    /// False where somebody may be missing, where somebody who was erased may be counted still, or where an hour counts in two
    /// slots, in each as a whole.
    pub complete: bool,
    /// The range that the total is of: wider than the one that was asked for where the hours of its ends were taken as a whole.
    pub range: Range,
    /// The slots that hold an hour as a whole of which only a part is theirs.
    pub widened: BTreeSet<usize>,
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
    let [users, sessions] = from_sketches(reads, app, boundaries, None).await?;
    Ok(match of {
        Of::Users => users,
        Of::Sessions => sessions,
    })
}

/// Counts the users and the sessions of a range. Events take no more than the share of the read budget that people have, so that
/// counters can still be read.
///
/// # Errors
/// Where the store fails, and where the sketches are more than the budget allows.
pub async fn users_and_sessions(reads: &Reads, app: &App, range: Range) -> Result<[Distinct; 2], ReadError> {
    from_sketches(reads, app, &[range.since(), range.until()], Some(Part::People)).await
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
    let mut found = Distinct {
        total: 0,
        slots: vec![0; slots],
        error: 0.0,
        complete: true,
        range: Range::EMPTY,
        widened: BTreeSet::new(),
        covered_since: None,
        live_from: None,
    };
    let (Some(first), Some(last)) = (boundaries.first(), boundaries.last()) else { return Ok(found) };
    let Ok(range) = Range::new(*first, *last) else { return Ok(found) };
    found.range = range;
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

/// The parts of an hour that lie in a slot, in order, each with its slot.
type Parts = Vec<(usize, Range)>;

/// Hours whose events are read.
type Hours = BTreeMap<Bucket, Parts>;

/// What the slots of a range are made of.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    /// The hours and days that lie in one slot as a whole, each with its slot.
    whole: BTreeMap<Bucket, usize>,
    /// The hours of which only a part lies in a slot, or in several: the parts by slot.
    parts: Hours,
}

impl Plan {
    /// An hour that has not ended by `now` counts as a whole where the range has its beginning and reaches to `now`.
    fn new(boundaries: &[Timestamp], now: Timestamp) -> Self {
        let mut plan = Self::default();
        for (slot, pair) in boundaries.windows(2).enumerate() {
            let (since, asked) = (pair[0], pair[1]);
            let is_open = asked >= now && slot + 2 == boundaries.len();
            let until = if is_open { asked.ceil(HOUR) } else { asked };
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
                    if let Ok(part) = Range::new(at, hour.end().min(asked)) {
                        plan.parts.entry(hour).or_default().push((slot, part));
                    }
                    at = hour.end().min(until);
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

/// Users, and sessions. Events take a part of the budget, or what is left of it.
async fn from_sketches(
    reads: &Reads,
    app: &App,
    boundaries: &[Timestamp],
    part: Option<Part>,
) -> Result<[Distinct; 2], ReadError> {
    let slots = boundaries.len().saturating_sub(1);
    reads.budget.hold(2 * slots * UNION_BYTES)?;
    let Plan { mut whole, parts: mut events } = Plan::new(boundaries, reads.now);
    let ends = boundaries.first().zip(boundaries.last());
    let range = ends.and_then(|(first, last)| Range::new(*first, *last).ok()).unwrap_or(Range::EMPTY);
    let mut count = Count::new(slots, range);
    count.complete = is_kept(reads, app, range) && !reads.lacks_counts(&app.id, range).await?;
    // Those of parts of hours too, before events take the budget: their events may be too many.
    let mut sketches = read(reads, app, &whole.keys().chain(events.keys()).copied().collect()).await?;
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
        if is_stale(sketches.get(bucket)) {
            let range = Range::new(bucket.start(), bucket.end()).unwrap_or(Range::EMPTY);
            events.insert(*bucket, vec![(*slot, range)]);
        } else {
            count.add(*slot, &sketches.remove(bucket).unwrap_or_default());
        }
    }
    for (hour, parts) in count.add_events(reads, app, part, events).await? {
        let held = sketches.remove(&hour).unwrap_or_default();
        count.complete &= !is_stale(Some(&held));
        if !whole.contains_key(&hour) {
            count.widen(hour, &parts, reads.now);
        }
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
    range: Range,
    widened: BTreeSet<usize>,
    complete: bool,
}

impl Count {
    fn new(slots: usize, range: Range) -> Self {
        let unions = || (0..slots).map(|_| Union::default()).collect();
        Self { users: unions(), sessions: unions(), range, widened: BTreeSet::new(), complete: true }
    }

    fn add(&mut self, slot: usize, held: &[StoredDistinct]) {
        for stored in held {
            self.users[slot].add(&stored.users);
            self.sessions[slot].add(&stored.sessions);
        }
    }

    /// Notes that an hour counts as a whole in each slot that has a part of it.
    fn widen(&mut self, hour: Bucket, parts: &[(usize, Range)], now: Timestamp) {
        self.widened.extend(parts.iter().map(|(slot, _)| *slot));
        self.complete &= parts.len() < 2;
        let (since, until) = (self.range.since().min(hour.start()), self.range.until());
        // The hour that is under way ends with the range.
        let until = if until >= now { until } else { until.max(hour.end()) };
        self.range = Range::new(since, until).unwrap_or(self.range);
    }

    /// Adds those of the events of some hours, the newest first. Returns the hours for which the budget had no room, of which nobody
    /// is added.
    async fn add_events(
        &mut self,
        reads: &Reads,
        app: &App,
        part: Option<Part>,
        hours: Hours,
    ) -> Result<Hours, StoreError> {
        // Hours that follow each other are one read.
        let mut runs: Vec<Vec<(Bucket, Parts)>> = vec![];
        for (hour, parts) in hours.into_iter().rev() {
            let starts = runs.last().and_then(|run| run.last()).map(|(_, later)| since(later));
            match runs.last_mut() {
                Some(run) if starts == Some(until(&parts)) => run.push((hour, parts)),
                _ => runs.push(vec![(hour, parts)]),
            }
        }
        let mut left = Hours::new();
        for run in runs {
            let ends = run.last().zip(run.first()).map(|((_, first), (_, last))| (since(first), until(last)));
            let range = ends.and_then(|(since, until)| Range::new(since, until).ok()).unwrap_or(Range::EMPTY);
            let (query, _) = live_events(reads, app, range, &EventFilter::default(), usize::MAX).await?;
            let query = EventQuery { part, ..query };
            if spent(reads, &query).is_some() {
                left.extend(run);
                continue;
            }
            let (mut place, mut found) = (0, HashMap::new());
            let end = walk(reads, app, &query, |event| {
                let at = event.at(app.clock);
                while run.get(place + 1).is_some() && at < since(&run[place].1) {
                    self.add_found(&mut found);
                    place += 1;
                }
                if let Some((slot, _)) = run[place].1.iter().find(|(_, part)| part.contains(at)) {
                    let found: &mut StoredDistinct = found.entry(*slot).or_default();
                    found.add(Marks::of_event(&event));
                }
                true
            });
            let unread = match end.await? {
                End::Read { frontier: None } => Timestamp::BEGINNING,
                // Of its millisecond there may be more.
                End::Read { frontier: Some(frontier) } => frontier.at() + MILLISECOND,
                End::Stopped => Timestamp::MAX,
            };
            for (n, (hour, parts)) in run.into_iter().enumerate() {
                if n >= place && since(&parts) < unread {
                    left.insert(hour, parts);
                } else if n == place {
                    self.add_found(&mut found);
                }
            }
        }
        Ok(left)
    }

    fn add_found(&mut self, found: &mut HashMap<usize, StoredDistinct>) {
        for (slot, found) in found.drain() {
            self.add(slot, std::slice::from_ref(&found));
        }
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
            range: self.range,
            widened: self.widened.clone(),
            covered_since: None,
            live_from: None,
        }
    }
}

/// The start of the first part of an hour.
fn since(parts: &[(usize, Range)]) -> Timestamp {
    parts.first().map_or(Timestamp::BEGINNING, |(_, part)| part.since())
}

/// The end of the last part of an hour.
fn until(parts: &[(usize, Range)]) -> Timestamp {
    parts.last().map_or(Timestamp::MAX, |(_, part)| part.until())
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
