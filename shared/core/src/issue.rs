//! Issues: groups of errors with a life. A group becomes an issue with its first error, is resolved or ignored by people, and is
//! open again when it occurs again.
//!
//! How often an issue occurred, and when last, is told by the counters of its group. An issue holds the rest. It changes with what
//! was not known of it, such as a new day or a new release, not with each event.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::counter::checkpoint::{Checkpoint, SequenceNumber};
use crate::event::group::shown;
use crate::event::id::EventId;
use crate::event::level::Level;
use crate::event::template::template;
use crate::time::{DAY, HOUR, Timestamp, micros};

/// Longest message of an issue, in bytes. A longer one is cut.
pub const MAX_ISSUE_MESSAGE: usize = 300;
/// Longest place and longest name of a release, in bytes. A longer one is cut.
pub const MAX_PLACE: usize = 200;
/// How long an issue is kept after its last day, in days, in apps that keep events for ever.
const KEPT_DAYS: u32 = 400;
/// Most releases of an issue: the first, and the newest others.
pub const MAX_RELEASES: usize = 20;

/// An issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The time of its first event.
    #[serde(with = "micros")]
    pub first_seen: Timestamp,
    /// The start of the UTC day of its newest event.
    #[serde(with = "micros")]
    pub last_day: Timestamp,
    /// The most severe level that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What one of its events tells; none once that was erased, until the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// The releases of its events, in the order in which the app was first seen to have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<Release>,
    /// What people say about it.
    #[serde(default)]
    pub state: State,
    /// The time of the event that opened it again after it was resolved.
    #[serde(default, with = "optional_micros", skip_serializing_if = "Option::is_none")]
    pub regressed_at: Option<Timestamp>,
    /// Whether all its events were erased. The next event begins it anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    /// What happened to it that not all were told who want to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<News>,
    /// The alert rules that were told of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<String>,
}

/// What happened to an issue that people want to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// It is new.
    New,
    /// It was resolved, and is open again.
    Regressed,
}

/// What an event tells about its issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The event.
    pub example: EventId,
    /// Its name, such as the type of an exception.
    pub name: String,
    /// The beginning of its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its text mark; see [`group_of`](crate::event::group::group_of).
    pub mark: u64,
    /// Where it happened: the innermost call of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// What people say about an issue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// It needs work.
    #[default]
    Open,
    /// It is repaired.
    Resolved {
        /// Since when. An event of a later time opens it again.
        #[serde(with = "micros")]
        at: Timestamp,
        /// Whether it is repaired in the next release alone: events of releases that were known by then do not open it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        next_release: bool,
    },
    /// It is not to be shown.
    Ignored {
        /// Since when.
        #[serde(with = "micros")]
        at: Timestamp,
        /// Until when.
        until: Until,
    },
}

/// Until when an issue is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Until someone opens it.
    Forever,
    /// Until a time.
    #[serde(with = "micros")]
    Time(Timestamp),
    /// Until it has occurred so many times more. Checkpoints tell which records of a stream shard were subtracted.
    Count {
        /// The occurrences that are left.
        left: u64,
        /// By stream shard.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        checkpoints: BTreeMap<String, String>,
    },
}

/// The state of an issue at a time, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueState {
    /// It needs work.
    Open,
    /// It is repaired.
    Resolved,
    /// It is not to be shown.
    Ignored,
}

impl IssueState {
    /// All states, with their names.
    pub const NAMES: [(&'static str, Self); 3] =
        [("open", Self::Open), ("resolved", Self::Resolved), ("ignored", Self::Ignored)];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
        }
    }
}

/// An event of an issue, in a batch of the stream.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Its record.
    pub sequence: SequenceNumber,
    /// Its identity, which tells its time.
    pub id: EventId,
    /// When it happened, but not later than when it was received: clocks of clients may be ahead.
    pub happened_at: Timestamp,
    /// Its severity.
    pub level: Option<Level>,
    /// Its name.
    pub name: String,
    /// Its message.
    pub message: Option<String>,
    /// Its text mark.
    pub mark: u64,
    /// Where it happened.
    pub place: Option<String>,
    /// Its release.
    pub release: Option<Release>,
    /// The occurrences that it adds.
    pub count: u64,
}

/// The release of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// When an error of the app was first received that named it.
    #[serde(with = "micros")]
    pub known_since: Timestamp,
}

/// A batch of a stream shard.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The stream shard.
    pub stream_shard: &'a str,
    /// The creation time of its first record.
    pub created_at: Timestamp,
}

/// What a batch changes of an issue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether anything.
    pub changed: bool,
    /// What people want to be told.
    pub news: Option<News>,
}

impl Issue {
    /// The issue of some events of a batch; none without events.
    pub fn of(sightings: &[Sighting], batch: Batch<'_>) -> Option<Self> {
        let first_seen = sightings.iter().map(|sighting| sighting.id.at()).min()?;
        let mut issue = Self {
            first_seen,
            last_day: Timestamp::BEGINNING,
            level: None,
            shown: None,
            releases: vec![],
            state: State::Open,
            regressed_at: None,
            erased: false,
            untold: Some(News::New),
            told: BTreeSet::new(),
        };
        issue.see(sightings, batch);
        Some(issue)
    }

    /// Adds events of a batch. To add them twice, or in another order, changes nothing more, but for which of them is shown.
    pub fn see(&mut self, sightings: &[Sighting], batch: Batch<'_>) -> Change {
        let mut change = Change::default();
        if self.erased && !sightings.is_empty() {
            if let Some(issue) = Self::of(sightings, batch) {
                *self = issue;
            }
            return Change { changed: true, news: Some(News::New) };
        }
        let before = self.clone();
        for sighting in sightings {
            let at = sighting.id.at();
            self.first_seen = self.first_seen.min(at);
            self.level = self.level.max(sighting.level);
            let day = at.floor(DAY);
            let is_shown = self.shown.as_ref().is_some_and(|shown| shown.example == sighting.id);
            if day > self.last_day || self.shown.is_none() || is_shown {
                self.last_day = self.last_day.max(day);
                self.shown = Some(Shown::of(sighting));
            }
            if let Some(release) = &sighting.release {
                self.add_release(release);
            }
            let happened_at = sighting.happened_at;
            match &self.state {
                State::Resolved { at: resolved_at, next_release } if happened_at > *resolved_at => {
                    let known = sighting.release.as_ref().is_some_and(|release| release.known_since <= *resolved_at);
                    if !(*next_release && known) {
                        self.state = State::Open;
                        self.regressed_at = Some(at);
                        (self.untold, self.told) = (Some(News::Regressed), BTreeSet::new());
                        change.news = Some(News::Regressed);
                    }
                }
                State::Ignored { until: Until::Time(until), .. } if happened_at > *until => self.state = State::Open,
                _ => {}
            }
        }
        self.count_down(sightings, batch);
        change.changed = *self != before;
        change
    }

    /// Keeps the first release and the newest others, whatever the order in which events come.
    fn add_release(&mut self, release: &Release) {
        if self.releases.iter().any(|known| known.name == release.name) {
            return;
        }
        let place = self
            .releases
            .partition_point(|known| (known.known_since, &known.name) < (release.known_since, &release.name));
        if self.releases.len() < MAX_RELEASES || place != 1 {
            self.releases.insert(place, release.clone());
        }
        if self.releases.len() > MAX_RELEASES {
            self.releases.remove(1);
        }
    }

    /// Subtracts the occurrences of a batch from those that it is ignored for, each record once.
    fn count_down(&mut self, sightings: &[Sighting], batch: Batch<'_>) {
        let State::Ignored { at, until: Until::Count { left, checkpoints } } = &mut self.state else { return };
        let reached = checkpoints.get(batch.stream_shard).and_then(|text| text.parse::<Checkpoint>().ok());
        let new = sightings.iter().filter(|sighting| {
            sighting.happened_at > *at && reached.as_ref().is_none_or(|reached| reached.sequence < sighting.sequence)
        });
        let (mut count, mut last) = (0u64, None);
        for sighting in new {
            count = count.saturating_add(sighting.count);
            last = last.max(Some(sighting.sequence.clone()));
        }
        let Some(sequence) = last else { return };
        *left = left.saturating_sub(count);
        if *left == 0 {
            self.state = State::Open;
            return;
        }
        checkpoints.retain(|_, text| text.parse::<Checkpoint>().is_ok_and(|old| !old.is_stale(batch.created_at)));
        let reached = Checkpoint { sequence, created_at: batch.created_at };
        checkpoints.insert(batch.stream_shard.to_owned(), reached.to_string());
    }

    /// When it expires: an hour after the last event that its newest day may have, or after 400 days if its events never do.
    pub fn expires_at(&self, app: &App) -> Timestamp {
        let end = self.last_day + DAY;
        // The retention may have changed within the day.
        let days = [self.last_day, end].map(|at| app.layout.at(at).retention_days.unwrap_or(KEPT_DAYS));
        end + i64::from(days.into_iter().max().unwrap_or(KEPT_DAYS)) * DAY + HOUR
    }

    /// Its state at a time.
    pub fn state_at(&self, now: Timestamp) -> IssueState {
        match &self.state {
            State::Open => IssueState::Open,
            State::Resolved { .. } => IssueState::Resolved,
            State::Ignored { until: Until::Time(until), .. } if now >= *until => IssueState::Open,
            State::Ignored { .. } => IssueState::Ignored,
        }
    }

    /// Says something else about it. What it has been before is forgotten.
    pub fn set(&mut self, state: State) {
        self.state = state;
        self.regressed_at = None;
        if self.untold == Some(News::Regressed) {
            (self.untold, self.told) = (None, BTreeSet::new());
        }
    }

    /// Forgets what erased events told. `all` of them were erased, or those with these identities.
    pub fn erase(&mut self, all: bool, erased: &[EventId]) -> bool {
        let before = self.clone();
        if self.shown.as_ref().is_some_and(|shown| all || erased.contains(&shown.example)) {
            self.shown = None;
        }
        if all {
            self.releases.clear();
            self.state = State::Open;
            self.regressed_at = None;
            self.erased = true;
            (self.untold, self.told) = (None, BTreeSet::new());
        }
        *self != before
    }
}

impl Shown {
    fn of(sighting: &Sighting) -> Self {
        Self {
            example: sighting.id,
            name: sighting.name.clone(),
            message: sighting.message.as_deref().map(|message| cut(message, MAX_ISSUE_MESSAGE)),
            mark: sighting.mark,
            place: sighting.place.as_deref().map(|place| cut(place, MAX_PLACE)),
        }
    }

    /// What its group has in common: the message if all of `count` occurrences have it, which the sum of their text marks tells,
    /// else the template; the name where there is no message. At most 300 bytes.
    pub fn title(&self, marks: i64, count: i64) -> String {
        let Some(message) = &self.message else { return self.name.clone() };
        let of_equal = i64::try_from(self.mark).unwrap_or(0).saturating_mul(count);
        cut(&shown(message, count > 0 && marks == of_equal), MAX_ISSUE_MESSAGE)
    }

    /// Its name with what its messages have in common, for people who see no more of it: `TypeError: cart <n> not found`.
    pub fn heading(&self) -> String {
        let title = self.title(0, 0);
        if title.starts_with(&self.name) { title } else { format!("{}: {title}", self.name) }
    }

    /// Whether its name, its message, what that has in common with others, or its place contains a text in lower case.
    pub fn contains(&self, text: &str) -> bool {
        let contains = |of: &str| of.to_lowercase().contains(text);
        contains(&self.name)
            || self.place.as_deref().is_some_and(contains)
            || self.message.as_deref().is_some_and(|message| contains(message) || contains(&template(message)))
    }
}

/// The beginning of a text, with `…` where it is cut.
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most - '…'.len_utf8())])
}

/// The stored form of a moment that may be absent.
mod optional_micros {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Timestamp;

    #[allow(clippy::ref_option)] // as serde calls it
    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::micros).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp::from_micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{MINUTE, SECOND};
    use proptest::prelude::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_701_787_250);
    const BATCH: Batch<'_> = Batch { stream_shard: "s", created_at: AT };

    fn sighting(at: Timestamp, n: usize) -> Sighting {
        Sighting {
            sequence: n.to_string().parse().unwrap(),
            id: EventId::of_client_id(at, &n.to_string()),
            happened_at: at,
            level: Some(Level::Error),
            name: "TypeError".to_owned(),
            message: Some(format!("cart {n} not found")),
            mark: n as u64 + 1,
            place: None,
            release: None,
            count: 1,
        }
    }

    fn of_release(at: Timestamp, name: &str, known_since: Timestamp) -> Sighting {
        let release = Release { name: name.to_owned(), known_since };
        Sighting { release: Some(release), ..sighting(at, 1) }
    }

    fn issue() -> Issue {
        Issue::of(&[sighting(AT, 1)], BATCH).unwrap()
    }

    #[test]
    fn an_event_that_is_known_changes_nothing() {
        let mut known = issue();
        assert_eq!(known.see(&[sighting(AT, 1), sighting(AT + SECOND, 2)], BATCH), Change::default());
        // An earlier event, a later day, a higher level, a new release.
        let fatal = Sighting { level: Some(Level::Fatal), ..sighting(AT, 1) };
        for news in [sighting(AT - SECOND, 2), sighting(AT + DAY, 3), fatal, of_release(AT, "1.0", AT)] {
            assert!(known.clone().see(&[news], BATCH).changed);
        }
        known.see(&[sighting(AT - HOUR, 2)], BATCH);
        assert_eq!(known.first_seen, AT - HOUR);
    }

    #[test]
    fn what_occurs_after_it_was_resolved_is_open_and_regressed() {
        let mut issue = issue();
        issue.set(State::Resolved { at: AT, next_release: false });
        assert_eq!(
            issue.see(&[sighting(AT - SECOND, 2), sighting(AT, 3)], BATCH),
            Change { changed: true, ..Change::default() }
        );
        assert_eq!(issue.state_at(AT), IssueState::Resolved);
        let change = issue.see(&[sighting(AT + SECOND, 4)], BATCH);
        assert_eq!(change, Change { changed: true, news: Some(News::Regressed) });
        assert_eq!((issue.state_at(AT), issue.regressed_at), (IssueState::Open, Some(AT + SECOND)));
        assert_eq!(issue.see(&[sighting(AT + SECOND, 4)], BATCH).news, None, "it is told once");
        // A clock that is ahead does not make an event later than it was received.
        issue.set(State::Resolved { at: AT, next_release: false });
        let ahead = Sighting { happened_at: AT - SECOND, ..sighting(AT + HOUR, 5) };
        assert_eq!(issue.see(&[ahead], BATCH).news, None);
    }

    #[test]
    fn releases_that_were_known_do_not_open_what_is_resolved_in_the_next() {
        let mut issue = issue();
        issue.set(State::Resolved { at: AT, next_release: true });
        assert_eq!(issue.see(&[of_release(AT + HOUR, "1.0", AT - DAY)], BATCH).news, None);
        assert!(issue.clone().see(&[sighting(AT + HOUR, 2)], BATCH).news.is_some(), "no release tells nothing");
        assert!(issue.see(&[of_release(AT + HOUR, "1.1", AT + MINUTE)], BATCH).news.is_some());
        assert_eq!(names(&issue), ["1.0", "1.1"]);
    }

    #[test]
    fn an_issue_is_ignored_until_a_time_or_a_count() {
        let mut until = issue();
        until.set(State::Ignored { at: AT, until: Until::Time(AT + HOUR) });
        assert_eq!(until.state_at(AT + HOUR - SECOND), IssueState::Ignored);
        assert_eq!(until.state_at(AT + HOUR), IssueState::Open);
        let mut three = issue();
        three.set(State::Ignored { at: AT, until: Until::Count { left: 3, checkpoints: BTreeMap::new() } });
        let two = [sighting(AT - SECOND, 1), sighting(AT + SECOND, 2), sighting(AT + SECOND, 3)];
        for _ in 0..3 {
            three.see(&two, BATCH);
            assert_eq!(three.state_at(AT), IssueState::Ignored, "a batch that comes again counts once");
        }
        let other = Batch { stream_shard: "t", ..BATCH };
        three.see(&[sighting(AT + SECOND, 1)], other);
        assert_eq!((three.state_at(AT), three.regressed_at), (IssueState::Open, None));
    }

    #[test]
    fn an_erased_issue_tells_nothing_and_begins_anew() {
        let mut issue = issue();
        issue.add_release(&Release { name: "1.0".to_owned(), known_since: AT });
        let example = issue.shown.as_ref().unwrap().example;
        let mut other = issue.clone();
        assert!(!other.erase(false, &[EventId::of_client_id(AT, "another")]));
        assert!(other.erase(false, &[example]) && other.shown.is_none() && !other.releases.is_empty());
        assert!(issue.erase(true, &[example]));
        assert_eq!((&issue.shown, issue.releases.len(), issue.erased), (&None, 0, true));
        let change = issue.see(&[sighting(AT + HOUR, 5)], BATCH);
        assert_eq!(change, Change { changed: true, news: Some(News::New) });
        assert_eq!((issue.first_seen, issue.erased), (AT + HOUR, false));
    }

    #[test]
    fn a_title_is_the_message_if_all_are_equal() {
        let shown = Shown::of(&sighting(AT, 7));
        assert_eq!(shown.title(5 * 8, 5), "cart 7 not found");
        assert_eq!(shown.title(5 * 8 + 1, 5), "cart <n> not found");
        let long = Shown::of(&Sighting { message: Some("é".repeat(200)), ..sighting(AT, 7) });
        assert!(long.message.is_some_and(|text| text.len() <= MAX_ISSUE_MESSAGE && text.ends_with("é…")));
        let named = Shown::of(&Sighting { message: None, ..sighting(AT, 7) });
        assert_eq!(named.title(0, 1), "TypeError");
    }

    fn names(issue: &Issue) -> Vec<&str> {
        issue.releases.iter().map(|release| release.name.as_str()).collect()
    }

    #[test]
    fn the_first_release_and_the_newest_stay_in_any_order() {
        let release = |n: i64| Release { name: n.to_string(), known_since: AT + n * SECOND };
        let expected: Vec<_> = [0].into_iter().chain(31..50).map(|n: i64| n.to_string()).collect();
        for rotation in 0..50 {
            let mut issue = issue();
            // Each comes again and again.
            for n in (0..150).map(|n| (n + rotation) % 50) {
                issue.add_release(&release(n));
            }
            assert_eq!(names(&issue), expected);
            let before = issue.clone();
            (0..50).for_each(|n| issue.add_release(&release(n)));
            assert_eq!(issue, before, "it changes no more");
        }
    }

    proptest! {
        /// A batch may come again, or in other parts, and shards in any order.
        #[test]
        fn replays_and_order_change_neither_times_nor_what_is_left(
            offsets in prop::collection::vec((-5i64..5, 0usize..2), 1..12), again in 0usize..12, left in 1u64..20,
        ) {
            let shards = ["a", "b"];
            let sightings: Vec<_> = offsets.iter().enumerate()
                .map(|(n, (hours, shard))| (shards[*shard], sighting(AT + *hours * HOUR, n + 1)))
                .collect();
            let start = || {
                let mut issue = issue();
                issue.set(State::Ignored { at: AT, until: Until::Count { left, checkpoints: BTreeMap::new() } });
                issue
            };
            let told = |issue: &Issue| {
                let left = match &issue.state {
                    State::Ignored { until: Until::Count { left, .. }, .. } => *left,
                    _ => 0,
                };
                (issue.first_seen, issue.last_day, left)
            };
            let batch = |stream_shard| Batch { stream_shard, created_at: AT };
            let mut once = start();
            for shard in shards {
                let of_shard: Vec<_> = sightings.iter().filter(|(s, _)| *s == shard).map(|(_, s)| s.clone()).collect();
                once.see(&of_shard, batch(shard));
            }
            let mut replayed = start();
            for (shard, sighting) in &sightings {
                replayed.see(std::slice::from_ref(sighting), batch(shard));
            }
            // Once it is open, nothing is left to count.
            for (shard, sighting) in sightings.iter().take(again) {
                replayed.see(std::slice::from_ref(sighting), batch(shard));
            }
            prop_assert_eq!(told(&once), told(&replayed));
        }
    }
}
