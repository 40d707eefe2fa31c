//! Layouts: how an app's shards, pages and retention determine the keys and expiry of an event. Pure functions.

use serde::{Deserialize, Serialize};

use crate::counter::property::CountedPath;
use crate::event::group::{self, Group, Grouped, Grouping};
use crate::event::id::EventId;
use crate::time::{DAY, HOUR, MICROSECOND, MINUTE, Range, SECOND, TimeDelta, Timestamp, micros};

/// Maximum number of shards, and of pages, of an app.
pub const MAX_PARTS: u16 = 64;

/// How far ahead of the server's clock an event's time may be.
pub const MAX_AHEAD: TimeDelta = DAY;

/// How far ahead a new entry comes into force at the least: the furthest time that an event may carry, and 10 minutes for
/// what a warm function may cache of an app (60 s), its timeout and clock skew.
pub const ENTRY_MARGIN: TimeDelta = MAX_AHEAD.saturating_add(TimeDelta::minutes(10));

/// How long after its retention an event expires: ingest refuses by the retention alone, so nothing that has expired can
/// be stored, and counted, again.
const EXPIRY_MARGIN: TimeDelta = HOUR;

/// By what an app's events are indexed, beside their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventIndexes {
    /// Whether events are found by their session, for a write unit of each event that has one.
    pub sessions: bool,
    /// Whether events are found by their user, for a write unit of each event that has one.
    pub users: bool,
}

impl EventIndexes {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for EventIndexes {
    fn default() -> Self {
        Self { sessions: true, users: false }
    }
}

/// What to change of a [`Layout`]; what is absent stays. Of `retention_days`, the inner `None` keeps events indefinitely.
#[allow(clippy::option_option)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayoutChange {
    /// The number of partitions, which only grows.
    pub shards: Option<u16>,
    /// Days after which events expire.
    pub retention_days: Option<Option<u32>>,
    /// How events are grouped.
    pub grouping: Option<Grouping>,
    /// Whether events are indexed by session.
    pub index_sessions: Option<bool>,
    /// Whether events are indexed by user.
    pub index_users: Option<bool>,
    /// The paths of `data` whose values are counted.
    pub counted: Option<Vec<CountedPath>>,
}

/// One entry of a [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutEntry {
    /// The first event time that it holds for; [`Timestamp::BEGINNING`] in a layout's first entry. It is stored in
    /// microseconds since 1970.
    #[serde(with = "micros")]
    pub from: Timestamp,
    /// Number of partitions that events are spread over, 1 to 64.
    pub shards: u16,
    /// Number of items that the cells of one bucket are spread over, 1 to 64.
    pub pages: u16,
    /// Days after which events expire; `None` keeps them indefinitely.
    pub retention_days: Option<u32>,
    /// How events are grouped.
    #[serde(default, skip_serializing_if = "Grouping::is_exact")]
    pub grouping: Grouping,
    /// By what events are indexed.
    #[serde(default, skip_serializing_if = "EventIndexes::is_default")]
    pub index: EventIndexes,
    /// The paths of `data` whose values are counted, at most [`MOST_COUNTED`](crate::counter::property::MOST_COUNTED), in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<CountedPath>,
    /// Number of items that the values of one bucket are spread over, 1 to 64.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub property_pages: u16,
}

fn one() -> u16 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_one(pages: &u16) -> bool {
    *pages == 1
}

/// Items of a bucket that are spread over pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paged {
    /// Cells and groups.
    Cells,
    /// Values of counted properties.
    Properties,
}

impl LayoutEntry {
    /// One that holds from the beginning of time.
    fn first(shards: u16, retention_days: Option<u32>) -> Self {
        Self {
            from: Timestamp::BEGINNING,
            shards,
            pages: 1,
            retention_days,
            grouping: Grouping::Exact,
            index: EventIndexes::default(),
            counted: vec![],
            property_pages: 1,
        }
    }

    /// The number of items that those of a bucket are spread over.
    pub fn pages_of(&mut self, paged: Paged) -> &mut u16 {
        match paged {
            Paged::Cells => &mut self.pages,
            Paged::Properties => &mut self.property_pages,
        }
    }
}

/// The history of what decides an app's keys: only ever appended to, and the entry in force at an event's own time
/// decides, so that a retry or a replay always meets what it made before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layout(Vec<LayoutEntry>);

/// Most entries of a layout. An app's item holds all of them, at about 110 to 160 bytes each, and the counted paths.
pub const MAX_ENTRIES: usize = 100;

/// A change that cannot be appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Fewer shards than before: the events of the others would be out of reach for a retry.
    #[error("shards can only be added: the app has {0}")]
    FewerShards(u16),
    /// As many changes as a layout holds; an entry is only removed while no event can have used it.
    #[error(
        "the app's shards, retention, grouping, indexes and counted paths were changed {MAX_ENTRIES} times already, which is the limit"
    )]
    TooManyChanges,
}

impl Layout {
    /// A layout of one entry, in force from the beginning of time.
    pub fn new(shards: u16, retention_days: Option<u32>) -> Self {
        Self(vec![LayoutEntry::first(shards.clamp(1, MAX_PARTS), retention_days)])
    }

    /// The same layout, with events grouped in this way from the beginning of time: for an app that is made now.
    #[must_use]
    pub fn grouped(mut self, grouping: Grouping) -> Self {
        for entry in &mut self.0 {
            entry.grouping = grouping;
        }
        self
    }

    /// The same layout, with events indexed in this way from the beginning of time: for an app that is made now.
    #[must_use]
    pub fn indexed(mut self, index: EventIndexes) -> Self {
        for entry in &mut self.0 {
            entry.index = index;
        }
        self
    }

    /// The same layout, with the values at these paths counted from the beginning of time: for an app that is made now.
    #[must_use]
    pub fn counting(mut self, counted: &[CountedPath]) -> Self {
        for entry in &mut self.0 {
            entry.counted = counted.to_vec();
        }
        self
    }

    /// The entry in force at an event's time. Of two with the same `from` the later one holds.
    pub fn at(&self, at: Timestamp) -> LayoutEntry {
        let in_force = self.0.iter().rev().find(|entry| entry.from <= at).or(self.0.first());
        // `new` makes one entry and nothing removes any; this arm keeps a damaged item from a panic.
        in_force.cloned().unwrap_or_else(|| LayoutEntry::first(1, None))
    }

    /// Whether the values at any path are counted at any time.
    pub fn counts_properties(&self) -> bool {
        self.0.iter().any(|entry| !entry.counted.is_empty())
    }

    /// From when on to the end of a range the values at a path are counted; none if they are not counted at its end.
    pub fn counted_from(&self, path: &str, range: Range) -> Option<Timestamp> {
        let mut since = None;
        let ends = self.0.iter().skip(1).map(|entry| entry.from).chain([Timestamp::MAX]);
        for (entry, end) in self.0.iter().zip(ends) {
            if entry.from >= range.until() || end <= range.since() || entry.from == end {
                continue;
            }
            let is_counted = entry.counted.iter().any(|counted| counted.as_str() == path);
            since = is_counted.then(|| since.unwrap_or(entry.from.max(range.since())));
        }
        since
    }

    /// The newest entry, in force or pending.
    pub fn last(&self) -> LayoutEntry {
        self.at(Timestamp::MAX)
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[LayoutEntry] {
        &self.0
    }

    /// Entries that are not yet in force for an event that happens at `now`.
    pub fn pending(&self, now: Timestamp) -> impl Iterator<Item = &LayoutEntry> {
        self.0.iter().filter(move |entry| entry.from > now)
    }

    /// The shard of an event.
    pub fn shard(&self, id: EventId) -> u16 {
        let shards = self.at(id.at()).shards;
        if shards <= 1 {
            return 0;
        }
        // A remainder of a u16 is a u16.
        u16::try_from(id.hash() % u64::from(shards)).unwrap_or(0)
    }

    /// How many shards (from 0 up) hold the events of a range.
    pub fn shards_in(&self, range: Range) -> u16 {
        let later = self.0.iter().filter(|entry| range.contains(entry.from)).map(|entry| entry.shards);
        later.fold(self.at(range.since()).shards, u16::max)
    }

    /// The identities from `first` to `last`, inclusive, in parts of one entry each, in order.
    pub fn parts(&self, (first, last): (EventId, EventId)) -> Vec<((EventId, EventId), LayoutEntry)> {
        let mut begins: Vec<_> = self.0.iter().skip(1).map(|entry| EventId::first_at(entry.from)).collect();
        begins.retain(|begin| first < *begin && *begin <= last);
        begins.insert(0, first);
        begins.dedup();
        let ends = begins.iter().skip(1).filter_map(|next| next.before()).chain([last]);
        begins.iter().zip(ends).map(|(begin, end)| ((*begin, end), self.at(begin.at()))).collect()
    }

    /// The page of a cell or message, from a hash of it, in buckets at `at`.
    pub fn page(&self, at: Timestamp, hash: impl FnOnce() -> u64) -> u16 {
        page_of(self.at(at).pages, hash)
    }

    /// The page of a value of a counted property.
    pub fn property_page(&self, at: Timestamp, hash: impl FnOnce() -> u64) -> u16 {
        page_of(self.at(at).property_pages, hash)
    }

    /// The group of an event of this time, and its text mark; see [`group::group_of`].
    pub fn group_of(&self, at: Timestamp, event: Grouped<'_>) -> Option<(Group, u64)> {
        group::group_of(self.at(at).grouping, event)
    }

    /// When an event of this time expires.
    pub fn expires_at(&self, at: Timestamp) -> Option<Timestamp> {
        let days = self.at(at).retention_days?;
        Some(at + (i64::from(days) * DAY + EXPIRY_MARGIN))
    }

    /// When the last event of a range expires; none if one of them never does.
    pub fn last_expiry(&self, range: Range) -> Option<Timestamp> {
        let changes = self.0.iter().map(|entry| entry.from).filter(|from| range.contains(*from));
        let ends = changes.chain([range.until()]).map(|end| (end - MICROSECOND).max(range.since()));
        let expiries = ends.map(|at| self.expires_at(at));
        expiries.reduce(|one, other| Some(one?.max(other?))).flatten()
    }

    /// The parts of a range whose events have not expired by `now`, in order; of all others all have.
    pub fn kept(&self, range: Range, now: Timestamp) -> Vec<Range> {
        let ends = self.0.iter().skip(1).map(|entry| entry.from).chain([Timestamp::MAX]);
        let parts = self.0.iter().zip(ends).filter_map(|(entry, end)| {
            let keep = entry.retention_days.map(|days| i64::from(days) * DAY + EXPIRY_MARGIN);
            // An event is hidden from the second on that its expiry lies in.
            let since = keep.map_or(Timestamp::BEGINNING, |keep| now.floor(SECOND) + (SECOND - keep)).max(entry.from);
            Some(Range::new(since, end).ok()?.intersect(range))
        });
        let mut kept: Vec<Range> = Vec::new();
        for part in parts.filter(|part| !part.is_empty()) {
            match kept.last_mut() {
                Some(last) if last.until() == part.since() => {
                    *last = Range::new(last.since(), part.until()).unwrap_or(*last);
                }
                _ => kept.push(part),
            }
        }
        kept
    }

    /// Whether an event of this time is older than the app keeps events.
    pub fn too_old(&self, at: Timestamp, now: Timestamp) -> bool {
        self.at(at).retention_days.is_some_and(|days| at + i64::from(days) * DAY < now)
    }

    /// The layout with an entry appended that changes it for events far enough ahead.
    pub fn with(&self, now: Timestamp, change: LayoutChange) -> Result<Self, LayoutError> {
        let last = self.last();
        if change.shards.is_some_and(|shards| shards < last.shards) {
            return Err(LayoutError::FewerShards(last.shards));
        }
        let entry = LayoutEntry {
            counted: change.counted.unwrap_or_else(|| last.counted.clone()),
            shards: change.shards.unwrap_or(last.shards).min(MAX_PARTS),
            retention_days: change.retention_days.unwrap_or(last.retention_days),
            grouping: change.grouping.unwrap_or(last.grouping),
            index: EventIndexes {
                sessions: change.index_sessions.unwrap_or(last.index.sessions),
                users: change.index_users.unwrap_or(last.index.users),
            },
            ..last.clone()
        };
        if entry == last {
            return Ok(self.clone());
        }
        self.append((now + ENTRY_MARGIN).ceil(MINUTE), entry).ok_or(LayoutError::TooManyChanges)
    }

    /// The layout with twice the pages of cells, or four times those of properties, from the next UTC midnight that is far enough
    /// ahead; none where the newest entry
    /// is still pending or has all pages, or the layout has all entries.
    pub fn with_more_pages(&self, paged: Paged, now: Timestamp) -> Option<Self> {
        let mut next = self.last();
        let is_pending = next.from > now;
        let pages = next.pages_of(paged);
        if is_pending || *pages >= MAX_PARTS {
            return None;
        }
        // Values grow by more than names do.
        let more = if paged == Paged::Properties { 4 } else { 2 };
        *pages = (*pages * more).min(MAX_PARTS);
        self.append((now + ENTRY_MARGIN).ceil(DAY), next)
    }

    /// The layout with an entry at its end; none where it has all entries. The entry begins at `from`, further ahead than
    /// any event can be, or with the newest one if that begins later. Entries that begin no earlier make room, since no
    /// event can have used them. An entry that changes nothing is left out.
    fn append(&self, from: Timestamp, entry: LayoutEntry) -> Option<Self> {
        let from = from.max(self.last().from);
        let mut entries = self.0.clone();
        while entries.last().is_some_and(|last| last.from >= from) {
            entries.pop();
        }
        let before = entries.last()?;
        if (LayoutEntry { from: before.from, ..entry.clone() }) != *before {
            entries.push(LayoutEntry { from, ..entry });
        }
        (entries.len() <= MAX_ENTRIES).then_some(Self(entries))
    }
}

fn page_of(pages: u16, hash: impl FnOnce() -> u64) -> u16 {
    if pages <= 1 {
        return 0;
    }
    u16::try_from(hash() % u64::from(pages)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MICROSECOND;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn shards(count: u16) -> LayoutChange {
        LayoutChange { shards: Some(count), ..LayoutChange::default() }
    }

    fn retention(days: Option<u32>) -> LayoutChange {
        LayoutChange { retention_days: Some(days), ..LayoutChange::default() }
    }

    #[test]
    fn a_change_never_reaches_an_event_that_could_be_stored_before_it() {
        let layout = Layout::new(1, None);
        let changed =
            layout.with(NOW, LayoutChange { retention_days: Some(Some(30)), ..shards(8) }).expect("more shards");
        let furthest = NOW + MAX_AHEAD + 10 * MINUTE - MICROSECOND;
        assert_eq!(changed.at(furthest), layout.at(furthest));
        assert_eq!(changed.last().shards, 8);
        assert_eq!(changed.pending(NOW).count(), 1);
        assert_eq!(changed.with(NOW, shards(4)), Err(LayoutError::FewerShards(8)));
        assert_eq!(changed.with(NOW, shards(8)), Ok(changed));
    }

    #[test]
    fn a_grouping_holds_from_its_entry_on() {
        let group = |layout: &Layout, at, text| {
            layout.group_of(at, Grouped { fingerprint: None, message: Some(text) }).map(|(group, _)| group)
        };
        let exact = Layout::new(1, None);
        let grouped = exact
            .with(NOW, LayoutChange { grouping: Some(Grouping::Template1), ..LayoutChange::default() })
            .expect("a change");
        let from = grouped.last().from;
        let same = |layout: &Layout, at| group(layout, at, "cart 5") == group(layout, at, "cart 6");
        assert_eq!((same(&grouped, from - MICROSECOND), same(&grouped, from)), (false, true));
        assert!(grouped.with(NOW, shards(2)).expect("more shards").last().grouping == Grouping::Template1);
        assert_eq!(exact.clone().grouped(Grouping::Template1).at(Timestamp::BEGINNING).grouping, Grouping::Template1);
        // Never to change: what is stored without a grouping counts every message by itself.
        let stored =
            r#"[{"from":-9223372036854775808,"shards":1,"pages":1,"retention_days":null,"grouping":"template-1"}]"#;
        assert_eq!(serde_json::to_string(&exact.grouped(Grouping::Template1)).expect("numbers"), stored);
        let stored = stored.replace(",\"grouping\":\"template-1\"", "");
        assert_eq!(serde_json::from_str::<Layout>(&stored).expect("as before"), Layout::new(1, None));
    }

    #[test]
    fn an_index_holds_from_its_entry_on() {
        let by_user = LayoutChange { index_users: Some(true), ..LayoutChange::default() };
        let layout = Layout::new(1, None).with(NOW, by_user).expect("a change");
        let from = layout.last().from;
        let index = |at| layout.at(at).index;
        assert_eq!(index(from - MICROSECOND), EventIndexes { sessions: true, users: false });
        assert_eq!(index(from), EventIndexes { sessions: true, users: true });
        let ids = (EventId::first_at(from - DAY), EventId::first_at(from + DAY));
        let begin = EventId::first_at(from);
        let users = |parts: Vec<((EventId, EventId), LayoutEntry)>| {
            parts.into_iter().map(|(ids, entry)| (ids, entry.index.users)).collect::<Vec<_>>()
        };
        let before = begin.before().expect("an earlier one");
        assert_eq!(users(layout.parts(ids)), [((ids.0, before), false), ((begin, ids.1), true)]);
        assert_eq!(users(layout.parts((ids.0, before))), [((ids.0, before), false)]);
        assert_eq!(users(layout.parts((begin, ids.1))), [((begin, ids.1), true)]);
        // Never to change: what is stored without indexes has that of sessions.
        let stored =
            serde_json::to_string(&Layout::new(1, None).indexed(EventIndexes { sessions: false, users: true }));
        let index = r#","index":{"sessions":false,"users":true}"#;
        assert_eq!(
            stored.expect("numbers").replace(index, ""),
            serde_json::to_string(&Layout::new(1, None)).expect("numbers")
        );
    }

    #[test]
    fn an_entry_is_pending_until_it_begins() {
        let layout = Layout::new(1, None).with(NOW, shards(8)).expect("more shards");
        let from = layout.last().from;
        let pending = |now| layout.pending(now).cloned().collect::<Vec<_>>();
        assert_eq!(pending(from - MICROSECOND), [layout.last()]);
        assert_eq!(pending(from), []);
    }

    /// Never to change: another shard or page would miss what is stored.
    #[test]
    fn an_event_stays_in_its_shard_and_a_cell_on_its_page() {
        let ids = (0..8).map(|n| EventId::of_client_id(NOW, &n.to_string()));
        let shards = |count: u16| ids.clone().map(|id| Layout::new(count, None).shard(id)).collect::<Vec<_>>();
        assert_eq!(shards(1), [0; 8]);
        assert_eq!(shards(2), [1, 0, 0, 1, 0, 0, 1, 0]);
        assert_eq!(shards(7), [2, 4, 5, 2, 1, 3, 5, 0]);
        let pages = |pages: u16, hash: u64| {
            let entry = LayoutEntry { pages, ..Layout::new(1, None).last() };
            Layout(vec![entry]).page(NOW, || hash)
        };
        assert_eq!([pages(1, 9), pages(2, 9), pages(2, 8), pages(64, 64 + 5)], [0, 1, 0, 5]);
        Layout::new(1, None).page(NOW, || panic!("one page needs no hash"));
    }

    #[test]
    fn what_begins_with_a_range_or_ends_it_adds_no_shards() {
        let layout = Layout::new(1, None).with(NOW, shards(8)).expect("more shards");
        let from = layout.last().from;
        let shards = |since, until| layout.shards_in(Range::new(since, until).expect("a range"));
        assert_eq!(shards(from - DAY, from), 1);
        assert_eq!(shards(from - DAY, from + MICROSECOND), 8);
        assert_eq!(shards(from, from + DAY), 8);
    }

    #[test]
    fn of_two_entries_with_one_beginning_the_later_holds() {
        let twice =
            Layout::new(1, None).with(NOW, shards(2)).and_then(|l| l.with(NOW, shards(4))).expect("more shards");
        // The first of the two is never in force, so it is replaced.
        assert_eq!(twice.entries().len(), 2);
        assert_eq!(twice.at(Timestamp::MAX).shards, 4);
    }

    #[test]
    fn a_layout_has_a_bound_however_often_it_is_changed() {
        let mut layout = Layout::new(1, None);
        for n in 0..2_000 {
            layout = layout.with(NOW, retention(Some(n % 30 + 1))).expect("a change within one minute");
        }
        assert_eq!(layout.entries().len(), 2);
        let unchanged = layout.with(NOW, retention(layout.last().retention_days)).expect("no change");
        assert_eq!(unchanged, layout);
        let back = layout.with(NOW, retention(None)).expect("a change back");
        assert_eq!(back, Layout::new(1, None));
        let minute_by_minute =
            |layout: Layout, n: u32| layout.with(NOW + i64::from(n) * MINUTE, retention(Some(n % 30 + 1)));
        let mut full = (0..99).try_fold(layout, minute_by_minute).expect("room for 100 entries");
        assert_eq!(full.entries().len(), MAX_ENTRIES);
        assert_eq!(minute_by_minute(full.clone(), 99), Err(LayoutError::TooManyChanges));
        full = full.with(NOW + 98 * MINUTE, retention(Some(99))).expect("the newest entry can still be replaced");
        assert_eq!((full.entries().len(), full.last().retention_days), (MAX_ENTRIES, Some(99)));
        assert_eq!(full.with_more_pages(Paged::Cells, NOW + 30 * DAY), None);
    }

    #[test]
    fn pages_double_from_a_midnight_and_wait_until_that_is_in_force() {
        let layout = Layout::new(2, Some(7));
        let more = layout.with_more_pages(Paged::Cells, NOW).expect("one page can double");
        assert_eq!((more.last().pages, more.last().shards, more.last().retention_days), (2, 2, Some(7)));
        assert_eq!(more.last().from, more.last().from.floor(DAY));
        assert!(more.last().from >= NOW + ENTRY_MARGIN);
        let begins = more.last().from;
        assert_eq!(
            (more.with_more_pages(Paged::Cells, NOW), more.with_more_pages(Paged::Cells, begins - MICROSECOND)),
            (None, None)
        );
        assert_eq!(more.with_more_pages(Paged::Cells, begins).map(|layout| layout.last().pages), Some(4));
        let mut full = more;
        for day in 3..20 {
            full = full.with_more_pages(Paged::Cells, NOW + day * 3 * DAY).unwrap_or(full);
        }
        assert_eq!(full.last().pages, MAX_PARTS);
        let properties = full.with_more_pages(Paged::Properties, NOW + 90 * DAY).expect("four pages of properties");
        assert_eq!((properties.last().pages, properties.last().property_pages), (MAX_PARTS, 4));
    }

    #[test]
    fn values_are_counted_up_to_the_end_of_a_range_or_not_at_all() {
        let path = |text: &str| CountedPath::parse(text).expect("a path");
        let counting = |paths: &[&str]| LayoutChange {
            counted: Some(paths.iter().map(|text| path(text)).collect()),
            ..LayoutChange::default()
        };
        let plan = Layout::new(1, None).with(NOW, counting(&["plan"])).expect("a change");
        let from = plan.last().from;
        let both = plan.with(from, counting(&["kind", "plan"])).expect("a change");
        let second = both.last().from;
        let kind = both.with(second, counting(&["kind"])).expect("a change");
        let third = kind.last().from;
        let range = |since, until| Range::new(since, until).expect("a range");
        assert_eq!(kind.counted_from("plan", range(NOW, third)), Some(from));
        assert_eq!(kind.counted_from("plan", range(from + DAY, third)), Some(from + DAY));
        assert_eq!(kind.counted_from("plan", range(NOW, third + MICROSECOND)), None, "no longer at its end");
        assert_eq!(kind.counted_from("plan", range(NOW, from)), None, "not yet");
        assert_eq!(kind.counted_from("kind", range(NOW, Timestamp::MAX)), Some(second));
        assert_eq!(kind.counted_from("other", Range::ALL), None);
        assert!(kind.counts_properties() && !Layout::new(1, None).counts_properties());
        let stored = serde_json::to_string(&plan).expect("texts");
        assert_eq!(serde_json::from_str::<Layout>(&stored).expect("as it was"), plan);
    }

    #[test]
    fn nothing_that_has_expired_is_accepted_again() {
        let layout = Layout::new(1, Some(7));
        let at = NOW - 7 * DAY;
        assert!(!layout.too_old(at, NOW) && layout.too_old(at - MICROSECOND, NOW));
        assert!(layout.expires_at(at - MICROSECOND).is_some_and(|expiry| expiry > NOW));
    }

    #[test]
    fn a_layout_is_stored_for_ever_like_this() {
        let layout = Layout::new(2, Some(7)).with(NOW, retention(None)).expect("as many shards");
        let stored = concat!(
            r#"[{"from":-9223372036854775808,"shards":2,"pages":1,"retention_days":7},"#,
            r#"{"from":1700087040000000,"shards":2,"pages":1,"retention_days":null}]"#
        );
        assert_eq!(serde_json::to_string(&layout).expect("numbers"), stored);
        assert_eq!(serde_json::from_str::<Layout>(stored).expect("what was written"), layout);
        assert_eq!(layout.at(Timestamp::from_micros(-1)).retention_days, Some(7));
    }

    fn moment() -> impl Strategy<Value = Timestamp> {
        (0..(100 * DAY).as_micros()).prop_map(|after| NOW + TimeDelta::microseconds(after))
    }

    proptest! {
        #[test]
        fn what_is_kept_of_a_range_is_what_has_not_expired(
            first in prop::option::of(1u32..40), changes in prop::collection::vec((0i64..40, prop::option::of(1u32..40)), 0..4),
            now in moment(), at in moment(), since in moment(),
        ) {
            let mut layout = Layout::new(1, first);
            for (day, days) in changes {
                layout = layout.with(NOW + day * DAY, retention(days)).unwrap_or(layout);
            }
                        // An event's time to the millisecond decides, and the second that it expires in.
            let boundary = layout.at(at).retention_days.map(|days| now - i64::from(days) * DAY - EXPIRY_MARGIN);
            for at in [Some(at), boundary, boundary.map(|b| b.floor(SECOND)), boundary.map(|b| b.ceil(SECOND))] {
                let Some(at) = at.map(|at| at.floor(crate::time::MILLISECOND)) else { continue };
                let range = Range::new(since, Timestamp::MAX).unwrap_or(Range::ALL);
                let kept = layout.kept(range, now);
                let expired = layout.expires_at(at).is_some_and(|expiry| expiry.seconds() <= now.seconds());
                let held = kept.iter().filter(|part| part.contains(at)).count();
                prop_assert_eq!(held, usize::from(range.contains(at) && !expired), "{} of {:?}", at, kept);
                prop_assert!(kept.windows(2).all(|pair| pair[0].until() < pair[1].since()));
            }
        }

        #[test]
        fn a_range_reads_every_shard_that_holds_its_events(
            changes in prop::collection::vec((0i64..40, 1u16..=64), 0..5),
            at in 0i64..60, low in any::<u128>(), before in 0i64..10, after in 1i64..10,
        ) {
            let mut layout = Layout::new(1, None);
            for (day, count) in changes {
                layout = layout.with(NOW + day * DAY, shards(count)).unwrap_or(layout);
            }
            let at = NOW + at * DAY;
            let id = EventId::of_client_id(at, &low.to_string());
            let range = Range::new(at - before * DAY, at + after * DAY).unwrap_or(Range::ALL);
            prop_assert!(layout.shard(id) < layout.shards_in(range));
        }
    }
}
