//! How often chosen groups occurred, by slot, and when last.

use std::collections::{HashMap, HashSet};

use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::event::group::Group;
use tally_core::event::level::Level;
use tally_core::time::bucket::Granularity;
use tally_core::time::{MINUTE, Range, Timestamp};

use super::group_search::{Candidate, Counted, Newest, Search};
use crate::budget::ReadError;
use crate::reads::Reads;

/// The occurrences of a group.
#[derive(Clone, Debug)]
pub struct GroupCount {
    /// The number of occurrences in the range.
    pub count: i64,
    /// The sum of their text marks.
    pub marks: i64,
    candidate: Candidate,
}

/// The occurrences of chosen groups.
#[derive(Debug)]
pub struct GroupCounts {
    /// By group. A group that does not occur is not among them.
    pub groups: HashMap<Group, GroupCount>,
    /// The range that was counted: as asked for, or wider.
    pub range: Range,
    /// Whether all occurrences were counted.
    pub complete: bool,
    /// Where the newest minutes are counted from their events.
    pub live_from: Option<Timestamp>,
    slots: HashMap<(Group, usize), i64>,
}

impl GroupCount {
    /// The most severe level that it had.
    pub fn level(&self) -> Option<Level> {
        self.candidate.level
    }

    /// When it occurred last, as far as is known: not before this time …
    pub fn since(&self) -> Timestamp {
        self.candidate.newest.at()
    }

    /// … and before this time.
    pub fn until(&self) -> Timestamp {
        match &self.candidate.newest {
            Newest::In(bucket) => bucket.end(),
            Newest::Seen(example) => example.at.floor(MINUTE) + MINUTE,
        }
    }

    /// The minute in which it occurred last, or the hour or day where that is not found out.
    pub fn last_seen(&self) -> Timestamp {
        self.since().floor(MINUTE)
    }

    /// Whether the minute is known.
    pub fn is_found(&self) -> bool {
        !matches!(self.candidate.newest, Newest::In(bucket) if bucket.granularity() > Granularity::Minute)
    }

    /// The message or template of its newest event, if that was read.
    pub fn title(&self) -> Option<String> {
        match &self.candidate.newest {
            Newest::Seen(example) => Some(example.shown(self.marks, self.count)),
            Newest::In(_) => None,
        }
    }
}

impl GroupCounts {
    /// Counts chosen groups in the slots between `boundaries`, which are whole minutes in order.
    ///
    /// # Errors
    /// Where the store fails, or the budget ends before the counters are read.
    pub async fn read(
        reads: &Reads,
        app: &App,
        boundaries: &[Timestamp],
        groups: &HashSet<Group>,
    ) -> Result<Self, ReadError> {
        let (Some(since), Some(until)) = (boundaries.first(), boundaries.last()) else {
            return Ok(Self::nothing(Range::EMPTY));
        };
        let range = Range::new(*since, *until).unwrap_or(Range::EMPTY);
        if groups.is_empty() || range.is_empty() {
            return Ok(Self::nothing(range));
        }
        let filter = CellFilter::default();
        let search = Search { only: Some(groups), boundaries, ..Search::new(reads, app, range, &filter) };
        let Counted { candidates, range, complete, live_from, slots } = search.count().await?;
        let counts = candidates.into_iter().map(|candidate| {
            let Candidate { group, count, marks, .. } = candidate;
            (group, GroupCount { count, marks, candidate })
        });
        Ok(Self { groups: counts.collect(), range, complete, live_from, slots })
    }

    fn nothing(range: Range) -> Self {
        Self { groups: HashMap::new(), range, complete: true, live_from: None, slots: HashMap::new() }
    }

    /// The occurrences of a group, by slot, for `slots` slots.
    pub fn series(&self, group: Group, slots: usize) -> Vec<i64> {
        (0..slots).map(|slot| self.slots.get(&(group, slot)).copied().unwrap_or(0)).collect()
    }

    /// Finds out in which minute some groups occurred last.
    ///
    /// # Errors
    /// As [`read`](Self::read). What was found until then is kept.
    pub async fn find_last(&mut self, reads: &Reads, app: &App, groups: &HashSet<Group>) -> Result<(), ReadError> {
        for granularity in [Granularity::Hour, Granularity::Minute] {
            let filter = CellFilter::default();
            let search = Search { only: Some(groups), ..Search::new(reads, app, self.range, &filter) };
            let mut candidates = self.candidates(groups);
            let refined = search.refine(&mut candidates, granularity).await;
            self.put(candidates);
            refined?;
        }
        Ok(())
    }

    /// Reads the newest event of some groups, of which the minute is known.
    ///
    /// # Errors
    /// As [`read`](Self::read). What was found until then is kept.
    pub async fn find_events(&mut self, reads: &Reads, app: &App, groups: &HashSet<Group>) -> Result<(), ReadError> {
        let filter = CellFilter::default();
        let search = Search { only: Some(groups), ..Search::new(reads, app, self.range, &filter) };
        let mut candidates = self.candidates(groups);
        let found = search.find(&mut candidates).await;
        self.put(candidates);
        found
    }

    fn candidates(&self, groups: &HashSet<Group>) -> Vec<Candidate> {
        groups.iter().filter_map(|group| Some(self.groups.get(group)?.candidate.clone())).collect()
    }

    fn put(&mut self, candidates: Vec<Candidate>) {
        for candidate in candidates {
            if let Some(known) = self.groups.get_mut(&candidate.group) {
                known.candidate = candidate;
            }
        }
    }
}

/// The bounds of about 14 columns of a range, at whole minutes. Columns are as long as fits whole days, hours or minutes of UTC; the
/// first and the last may be shorter.
pub fn columns(range: Range) -> Vec<Timestamp> {
    const MINUTES: [i64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080, 43_200, 525_600];
    const MOST: i64 = 14;
    let (start, end) = (range.since().floor(MINUTE), range.until().ceil(MINUTE));
    // A range up to now has the rest of this minute as well.
    let fits = |minutes: &i64| (end - start) - MINUTE <= MOST * *minutes * MINUTE;
    let minutes = MINUTES.into_iter().find(fits).unwrap_or(525_600);
    let length = minutes * MINUTE;
    let mut bounds = vec![start];
    let mut next = start.floor(length) + length;
    while next < end && bounds.len() < 1_000 {
        bounds.push(next);
        next += length;
    }
    bounds.push(end);
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::time::{DAY, HOUR};

    #[test]
    fn a_range_has_about_fourteen_columns() {
        let end = Timestamp::from_seconds(1_795_702_260);
        let lengths = |range: i64| {
            let bounds = columns(Range::new(end - range * MINUTE, end).unwrap());
            (bounds.len() - 1, (bounds[2] - bounds[1]).as_seconds() / 60)
        };
        assert_eq!(lengths(14 * 1_440), (15, 1_440));
        assert_eq!(lengths(1_440), (13, 120));
        assert_eq!(lengths(60), (13, 5));
        assert_eq!(lengths(14), (14, 1));
        let since = end - 30 * DAY + HOUR;
        let bounds = columns(Range::new(since, end).unwrap());
        assert_eq!((bounds[0], *bounds.last().unwrap()), (since, end));
        assert!(bounds.len() <= 17 && bounds.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
