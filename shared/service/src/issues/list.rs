//! Lists of issues, and one issue with all about it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use tally_core::app::App;
use tally_core::event::Event;
use tally_core::event::filter::values::Values;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::group::Group;
use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::issue::{Issue, IssueState, MAX_ISSUE_MESSAGE, cut};
use tally_core::time::{DAY, Range, Timestamp};
use tally_store::{StoreError, StoredIssue};

use crate::budget::ReadError;
use crate::read::query::EventQuery;
use crate::read::reader::{End, walk};
use crate::reads::{Part, Reads, json_weight};
use crate::report::group_counts::{GroupCount, GroupCounts};

/// Most issues of an app that a list looks at.
pub const MOST_ISSUES: usize = 5_000;
/// Of the read budget, what issues themselves may take: a third.
const SHARE: f64 = 3.0;
/// The bytes that an issue takes in memory, about.
const ISSUE_BYTES: usize = 1_500;
/// Most events that are looked at for one issue.
pub const MOST_EVENTS: usize = 200;
/// The bytes that a value takes in memory while it is counted, beside its content.
const VALUE_BYTES: usize = 400;

/// How issues are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The one that occurred last first.
    #[default]
    LastSeen,
    /// The one that occurred first last.
    FirstSeen,
    /// The most frequent first.
    Count,
}

/// A place in a list: behind an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the issue is ordered by: a number of occurrences, or microseconds.
    pub value: i64,
    /// The issue.
    pub group: Group,
}

/// Which issues are listed.
#[derive(Clone, Debug)]
pub struct IssueQuery {
    /// The bounds of columns, whole minutes in order. Issues that occurred between the first and the last are listed.
    pub columns: Vec<Timestamp>,
    /// Their state.
    pub state: Option<IssueState>,
    /// What their title, name or place contains, in any case.
    pub text: Option<String>,
    /// Their level.
    pub level: Values<Level>,
    /// The order.
    pub sort: Sort,
    /// Continue behind this place.
    pub after: Option<Place>,
    /// Most issues of a page.
    pub limit: usize,
}

/// An issue, and its occurrences in a range.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its group.
    pub group: Group,
    /// The issue.
    pub issue: Issue,
    /// What its events have in common: a message, or a template. None if it could not be read.
    pub title: Option<String>,
    /// The number of occurrences.
    pub count: i64,
    /// The minute of the last one.
    pub last_seen: Timestamp,
    /// The occurrences by column.
    pub series: Vec<i64>,
}

/// A page of issues.
#[derive(Debug)]
pub struct IssueList {
    /// The issues.
    pub issues: Vec<Listed>,
    /// Where the next page begins.
    pub next: Option<Place>,
    /// What was counted.
    pub coverage: Coverage,
}

/// What occurrences of issues were counted.
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    /// The range that was counted.
    pub range: Range,
    /// Whether nothing is missing: all issues were looked at, all occurrences counted and all titles read.
    pub complete: bool,
    /// Where the newest minutes are counted from their events.
    pub live_from: Option<Timestamp>,
}

/// Lists issues that occurred in a range.
///
/// # Errors
/// Where the store fails, or the budget ends before the counters are read.
pub async fn list(reads: &Reads, app: &App, query: &IssueQuery) -> Result<IssueList, ReadError> {
    let since = query.columns.first().copied().unwrap_or(Timestamp::MAX);
    let (mut issues, mut complete) = all(reads, app, since).await?;
    issues.retain(|_, issue| query.matches(issue, reads.now));
    let groups: HashSet<Group> = issues.keys().copied().collect();
    let mut counts = GroupCounts::read(reads, app, &query.columns, &groups).await?;
    complete &= counts.complete && !reads.lacks_counts(&app.id, counts.range).await?;
    counts.groups.retain(|group, count| issues.get(group).is_some_and(|issue| is_one(app, issue, count)));
    let rank = Ranking { query, issues: &issues };
    let mut page = match query.sort {
        Sort::LastSeen => {
            let (page, is_exact) = rank.newest(reads, app, &mut counts).await?;
            complete &= is_exact;
            page
        }
        Sort::FirstSeen | Sort::Count => rank.behind(&counts),
    };
    let has_more = page.len() > query.limit;
    page.truncate(query.limit);
    let next = page.last().filter(|_| has_more).map(|group| rank.place(&counts, *group));
    let listed: HashSet<Group> = page.iter().copied().collect();
    complete &= is_done(counts.find_last(reads, app, &listed).await)?;
    let untold = |group: &&Group| issues.get(*group).is_some_and(|issue| issue.shown.is_none());
    let untold: HashSet<Group> = page.iter().filter(untold).copied().collect();
    if !untold.is_empty() {
        complete &= is_done(counts.find_events(reads, app, &untold).await)?;
    }
    let listed =
        page.into_iter().filter_map(|group| Some(listed_of(&counts, group, issues.remove(&group)?, &query.columns)));
    Ok(IssueList { issues: listed.collect(), next, coverage: Coverage::of(&counts, complete) })
}

impl Coverage {
    fn of(counts: &GroupCounts, complete: bool) -> Self {
        Self { range: counts.range, complete, live_from: counts.live_from }
    }
}

/// An issue with its occurrences, which may be none.
fn listed_of(counts: &GroupCounts, group: Group, issue: Issue, columns: &[Timestamp]) -> Listed {
    let count = counts.groups.get(&group);
    let (number, marks) = count.map_or((0, 0), |count| (count.count, count.marks));
    let title = issue.shown.as_ref().map(|shown| shown.title(marks, number)).or_else(|| count?.title());
    let title = title.map(|title| cut(&title, MAX_ISSUE_MESSAGE));
    let last_seen = match count {
        Some(count) => count.last_seen().max(issue.first_seen.min(count.until())),
        None => issue.last_day.max(issue.first_seen),
    };
    let series = counts.series(group, columns.len().saturating_sub(1));
    Listed { group, title, count: number, last_seen, series, issue }
}

/// Whether a read was done, or the budget has ended.
fn is_done(read: Result<(), ReadError>) -> Result<bool, StoreError> {
    match read {
        Ok(()) => Ok(true),
        Err(ReadError::Spent(_)) => Ok(false),
        Err(ReadError::Store(error)) => Err(error),
    }
}

/// Whether a group is an issue. One whose events were erased is, if an error of it is counted all the same: it was stored in the
/// meantime.
fn is_one(app: &App, issue: &Issue, count: &GroupCount) -> bool {
    !issue.erased || count.level() >= Some(app.issue_level)
}

/// The issues of an app that may have occurred since a time, and whether they are all.
async fn all(reads: &Reads, app: &App, since: Timestamp) -> Result<(HashMap<Group, Issue>, bool), ReadError> {
    let (mut issues, mut from, mut units) = (HashMap::new(), None, 0.0);
    loop {
        let page = reads.issues(&app.id, from).await?;
        units += page.units;
        let recent = page.issues.into_iter().filter(|stored| stored.issue.last_day >= since.floor(DAY));
        let before = issues.len();
        issues.extend(recent.map(|StoredIssue { group, issue, .. }| (group, issue)));
        reads.budget.hold((issues.len() - before) * ISSUE_BYTES)?;
        from = page.next;
        // What is left is for the counters.
        let is_enough = issues.len() >= MOST_ISSUES || units >= reads.budget.units() / SHARE;
        if from.is_none() || is_enough {
            return Ok((issues, from.is_none()));
        }
    }
}

impl IssueQuery {
    fn matches(&self, issue: &Issue, now: Timestamp) -> bool {
        let text = self.text.as_ref().map(|text| text.to_lowercase());
        let tells = |text: &String| issue.shown.as_ref().is_some_and(|shown| shown.contains(text));
        self.state.is_none_or(|state| issue.state_at(now) == state)
            && self.level.matches(issue.level.as_ref())
            && text.as_ref().is_none_or(tells)
    }
}

/// The order of issues.
struct Ranking<'a> {
    query: &'a IssueQuery,
    issues: &'a HashMap<Group, Issue>,
}

impl Ranking<'_> {
    fn place(&self, counts: &GroupCounts, group: Group) -> Place {
        let count = counts.groups.get(&group);
        let value = match self.query.sort {
            Sort::LastSeen => count.map_or(0, |count| count.last_seen().micros()),
            Sort::FirstSeen => self.issues.get(&group).map_or(0, |issue| issue.first_seen.micros()),
            Sort::Count => count.map_or(0, |count| count.count),
        };
        Place { value, group }
    }

    /// Those that were counted and come behind the place of the query, in order.
    fn behind(&self, counts: &GroupCounts) -> Vec<Group> {
        let key = |place: Place| (Reverse(place.value), place.group);
        let mut places: Vec<_> = counts.groups.keys().map(|group| self.place(counts, *group)).collect();
        if let Some(after) = self.query.after {
            places.retain(|place| key(*place) > key(after));
        }
        places.sort_unstable_by_key(|place| key(*place));
        places.into_iter().map(|place| place.group).collect()
    }

    /// The page of those that occurred last, and one more. Only as many are looked up as may be on it. Also tells whether all were
    /// found.
    async fn newest(
        &self,
        reads: &Reads,
        app: &App,
        counts: &mut GroupCounts,
    ) -> Result<(Vec<Group>, bool), StoreError> {
        let wanted = self.query.limit + 1;
        let mut is_exact = true;
        let in_question = |count: &GroupCount| {
            self.query.after.is_some_and(|after| {
                let at = Timestamp::from_micros(after.value);
                count.since() <= at && at < count.until() && !count.is_found()
            })
        };
        let place: HashSet<Group> =
            counts.groups.iter().filter(|(_, count)| in_question(count)).map(|(group, _)| *group).collect();
        if !place.is_empty() {
            is_exact &= is_done(counts.find_last(reads, app, &place).await)?;
        }
        // Any whose hour or day reaches behind the last of the page may be on it.
        let ordered = self.behind(counts);
        let last = ordered.get(wanted - 1).and_then(|group| counts.groups.get(group)).map(GroupCount::since);
        let may_be_on_it = |group: &&Group| {
            let count = counts.groups.get(*group);
            count.is_some_and(|count| !count.is_found() && last.is_none_or(|last| count.until() > last))
        };
        let coarse: HashSet<Group> = ordered.iter().filter(may_be_on_it).copied().collect();
        if !coarse.is_empty() {
            is_exact &= is_done(counts.find_last(reads, app, &coarse).await)?;
        }
        Ok((self.behind(counts), is_exact))
    }
}

/// What the newest events of an issue tell.
#[derive(Debug, Default)]
pub struct Details {
    /// The newest events, the newest first.
    pub events: Vec<Event>,
    /// Occurrences by the value of an attribute, the most frequent first, by the name of the attribute. Null counts events without
    /// one.
    pub by: BTreeMap<String, Vec<(Json, i64)>>,
    /// The number of different users.
    pub users: usize,
    /// The occurrences that were looked at.
    pub looked_at: i64,
    /// Whether all events of the range were.
    pub complete: bool,
}

/// One issue, with its occurrences in a range; none if the app has no such issue.
///
/// # Errors
/// Where the store fails, or the budget ends before the counters are read.
pub async fn one(
    reads: &Reads,
    app: &App,
    group: Group,
    columns: &[Timestamp],
) -> Result<Option<(Listed, Coverage)>, ReadError> {
    let Some(issue) = reads.issue(&app.id, group).await? else { return Ok(None) };
    let groups = HashSet::from([group]);
    let mut counts = GroupCounts::read(reads, app, columns, &groups).await?;
    let mut complete = counts.complete;
    complete &= is_done(counts.find_last(reads, app, &groups).await)?;
    if issue.shown.is_none() {
        complete &= is_done(counts.find_events(reads, app, &groups).await)?;
    }
    counts.groups.retain(|_, count| is_one(app, &issue, count));
    // Where counters lack a day, it is not marked as erased when its last event is; but then nothing is left to tell.
    if counts.groups.is_empty() && (issue.erased || issue.shown.is_none()) {
        return Ok(None);
    }
    Ok(Some((listed_of(&counts, group, issue, columns), Coverage::of(&counts, complete))))
}

/// Reads the newest events of an issue, at most 200, as far as the budget goes.
///
/// # Errors
/// Where the store fails.
pub async fn details(
    reads: &Reads,
    app: &App,
    group: Group,
    range: Range,
    attributes: &[String],
    events: usize,
) -> Result<Details, StoreError> {
    let filter = CellFilter { group: Values::only(group), ..CellFilter::default() };
    let query = EventQuery::newest(range, EventFilter::from(filter), MOST_EVENTS + 1);
    let query = EventQuery { part: Some(Part::Names), ..query };
    let mut details = Details::default();
    let mut users: HashSet<String> = HashSet::new();
    // By attribute, and by its value as text.
    let mut by: BTreeMap<&str, HashMap<String, (Json, i64)>> = BTreeMap::new();
    let mut seen = 0;
    let end = walk(reads, app, &query, |event| {
        if seen == MOST_EVENTS || reads.budget.hold(VALUE_BYTES).is_err() {
            return false;
        }
        seen += 1;
        // `count` is at most 1e9.
        let count = i64::try_from(event.count).unwrap_or(0);
        details.looked_at += count;
        for name in attributes {
            let value = attribute(&event, name).unwrap_or(Json::Null);
            // What was read as JSON always serializes.
            let key = serde_json::to_string(&value).unwrap_or_default();
            let values = by.entry(name).or_default();
            if !values.contains_key(&key) && reads.budget.hold(VALUE_BYTES + key.len() + json_weight(&value)).is_err() {
                return false;
            }
            values.entry(key).or_insert((value, 0)).1 += count;
        }
        users.extend(event.user_id.clone());
        if details.events.len() < events {
            details.events.push(event);
        }
        true
    });
    details.complete = matches!(end.await?, End::Read { frontier: None });
    let by = by.into_iter().map(|(name, values)| {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(|(a, (_, one)), (b, (_, other))| other.cmp(one).then_with(|| a.cmp(b)));
        (name.to_owned(), values.into_iter().map(|(_, value)| value).collect())
    });
    details.by = by.collect();
    details.users = users.len();
    Ok(details)
}

/// A value of an event: `tags.NAME`, or a path into its `data`.
fn attribute(event: &Event, name: &str) -> Option<Json> {
    let Some(tag) = name.strip_prefix("tags.") else { return event.attribute(name) };
    match &event.tags {
        Some(Json::Object(tags)) => tags.get(tag).cloned(),
        _ => None,
    }
}
