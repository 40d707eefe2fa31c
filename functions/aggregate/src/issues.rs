//! Finds the issues of a batch before it is counted: groups of errors that are new, or resolved and open again. A batch that comes
//! again finds them again, and changes nothing more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::{App, AppId, AppState};
use tally_core::counter::checkpoint::SequenceNumber;
use tally_core::counter::folding::{Change, Record};
use tally_core::counter::item::CountedEvent;
use tally_core::event::group::Group;
use tally_core::event::id::EventId;
use tally_core::event::level::Level;
use tally_core::issue::{Batch, Issue, News, Sighting};
use tally_service::context::Context;
use tally_service::issues::erased::occurs;
use tally_store::{IssueNews, KnownIssues, StoreError, StoredIssue, Trace};

use crate::error::AggregateError;

/// Attempts to change an issue while others change it.
const TRIES: usize = 20;
/// The number of issues that are changed concurrently.
const CONCURRENCY: usize = 8;
/// The lowest level that an app may make issues of. What is lower and has no stack is never looked up.
const LOWEST: Level = Level::Warn;

/// What records of a batch tell about errors beside what is counted, by sequence number.
pub(crate) type Traces = HashMap<SequenceNumber, Trace>;

/// What a batch tells of the groups of each app.
type OfGroups<T> = BTreeMap<AppId, BTreeMap<Group, Vec<T>>>;

/// The issues of a batch.
pub(crate) struct Issues<'a> {
    context: &'a Context,
    batch: Batch<'a>,
    /// What was seen of each group, each with the event.
    seen: OfGroups<(Sighting, CountedEvent)>,
    /// Which events of a group were erased, or moved to another group.
    gone: OfGroups<EventId>,
    apps: &'a HashMap<AppId, Arc<App>>,
}

/// Whether a change may concern an issue of some app, of an event that has or had a stack or not.
pub(crate) fn may_be_issue(change: &Change, has_stack: bool) -> bool {
    let is_error = |event: &CountedEvent| event.cell.level.is_some_and(|level| level >= LOWEST);
    has_stack
        || match change {
            Change::Insert(event) => is_error(event),
            Change::Modify(old, new) => is_error(old) || is_error(new) || old.grouped() != new.grouped(),
            // Whatever its level, it may be the last of its group.
            Change::Remove(_) => true,
        }
}

impl<'a> Issues<'a> {
    /// Picks the errors of a batch.
    pub(crate) async fn of(
        context: &'a Context,
        batch: Batch<'a>,
        apps: &'a HashMap<AppId, Arc<App>>,
        records: &[Record],
        traces: &Traces,
    ) -> Result<Self, AggregateError> {
        let mut issues = Self { context, batch, seen: BTreeMap::new(), gone: BTreeMap::new(), apps };
        for record in records {
            let Some(trace) = traces.get(&record.sequence) else { continue };
            let Some(app) = apps.get(&record.change.event().partition.app) else { continue };
            if app.state == AppState::Active {
                issues.add(app, record, trace).await?;
            }
        }
        Ok(issues)
    }

    async fn add(&mut self, app: &App, record: &Record, trace: &Trace) -> Result<(), AggregateError> {
        let (old, new) = match &record.change {
            Change::Insert(new) => (None, Some(new)),
            Change::Modify(old, new) => (Some(old), Some(new)),
            Change::Remove(old) => (Some(old), None),
        };
        let old_group = old.and_then(|old| Some(app.layout.group_of(old.id.at(), old.grouped())?.0));
        let is_error =
            |event: &&CountedEvent| trace.has_stack || event.cell.level.is_some_and(|level| level >= app.issue_level);
        let new = new.filter(is_error);
        let new = new.and_then(|new| Some((new, app.layout.group_of(new.id.at(), new.grouped())?)));
        if let (Some(old), Some(group)) = (old, old_group)
            && new.is_none_or(|(_, (new_group, _))| new_group != group)
        {
            add(&mut self.gone, app, group, old.id);
        }
        let Some((event, (group, mark))) = new else { return Ok(()) };
        // One that is sent again happened no later than it was received first.
        let before = old.filter(|_| old_group == Some(group));
        let received_at = before.map_or(event.received_at, |old| old.received_at.min(event.received_at));
        let release = match &trace.release {
            Some(name) => {
                Some(self.context.releases.known(&self.context.store, &app.id, name, event.received_at).await?)
            }
            None => None,
        };
        let sighting = Sighting {
            sequence: record.sequence.clone(),
            id: event.id,
            happened_at: event.id.at().min(received_at),
            level: event.cell.level,
            name: event.cell.name.clone(),
            message: event.message.clone(),
            mark,
            place: trace.place.clone(),
            release,
            count: event.count.saturating_sub(before.map_or(0, |old| old.count)),
        };
        add(&mut self.seen, app, group, (sighting, event.clone()));
        Ok(())
    }

    /// Stores what the batch tells about issues.
    pub(crate) async fn store(&self) -> Result<(), AggregateError> {
        for (id, seen) in &self.seen {
            let Some(app) = self.apps.get(id) else { continue };
            let mut known = self.known(app, seen).await?;
            let readable = seen.iter().filter(|(group, _)| !known.unreadable.contains(group));
            let stored = readable.map(|(group, seen)| self.store_one(app, *group, seen, known.issues.remove(group)));
            let stored: Vec<_> = stored.collect();
            stream::iter(stored).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn known<T>(&self, app: &App, groups: &BTreeMap<Group, T>) -> Result<KnownIssues, StoreError> {
        let groups: Vec<Group> = groups.keys().copied().collect();
        self.context.store.issues_of(&app.id, &groups, self.context.clock.now()).await
    }

    /// An issue as it is now, after others have changed it.
    async fn current(&self, app: &App, group: Group) -> Result<Option<StoredIssue>, StoreError> {
        let known = self.context.store.issues_of(&app.id, &[group], self.context.clock.now()).await?;
        Ok(known.issues.into_values().next())
    }

    async fn store_one(
        &self,
        app: &App,
        group: Group,
        seen: &[(Sighting, CountedEvent)],
        mut known: Option<StoredIssue>,
    ) -> Result<(), AggregateError> {
        let now = self.context.clock.now();
        let all: Vec<Sighting> = seen.iter().map(|(sighting, _)| sighting.clone()).collect();
        // What changes nothing needs no look at the events.
        if known.as_ref().is_some_and(|stored| !stored.issue.clone().see(&all, self.batch).changed) {
            return Ok(());
        }
        // A batch that comes again may tell of events that were erased or overwritten since.
        let sightings = self.still_so(app, seen).await?;
        for _ in 0..TRIES {
            let (stored, news) = match known {
                Some(mut stored) => {
                    let change = stored.issue.see(&sightings, self.batch);
                    if !change.changed {
                        return Ok(());
                    }
                    (stored, change.news)
                }
                None => match Issue::of(&sightings, self.batch) {
                    Some(issue) => (StoredIssue { group, issue, version: 0 }, Some(News::New)),
                    None => return Ok(()),
                },
            };
            if news == Some(News::New) && !self.context.new_issues.take(&app.id, now) {
                return Ok(());
            }
            if news.is_some() {
                self.context.store.point_to_news(&app.id, &IssueNews { group, at: now }).await?;
            }
            if self.put(app, &stored).await? {
                return Ok(());
            }
            known = self.current(app, group).await?;
        }
        Err(AggregateError::Contention)
    }

    /// Those of some events that are stored as the batch tells.
    async fn still_so(&self, app: &App, seen: &[(Sighting, CountedEvent)]) -> Result<Vec<Sighting>, StoreError> {
        let ids: Vec<EventId> = seen.iter().map(|(sighting, _)| sighting.id).collect();
        let stored = self.context.store.counted_of(app, &ids).await?;
        let is_so = |event: &CountedEvent| {
            stored.get(&event.id).is_some_and(|stored| stored.cell == event.cell && stored.grouped() == event.grouped())
        };
        let still = seen.iter().filter(|(_, event)| is_so(event));
        Ok(still.map(|(sighting, _)| sighting.clone()).collect())
    }

    async fn put(&self, app: &App, stored: &StoredIssue) -> Result<bool, StoreError> {
        self.context.store.put_issue(&app.id, stored, stored.issue.expires_at(app)).await
    }

    /// Forgets what erased events told, once the batch is counted.
    pub(crate) async fn forget(&self) -> Result<(), AggregateError> {
        for (id, gone) in &self.gone {
            let Some(app) = self.apps.get(id) else { continue };
            for stored in self.known(app, gone).await?.issues.into_values() {
                let erased = gone.get(&stored.group).map(Vec::as_slice).unwrap_or_default();
                self.forget_one(app, stored, erased).await?;
            }
        }
        Ok(())
    }

    async fn forget_one(&self, app: &App, mut stored: StoredIssue, erased: &[EventId]) -> Result<(), AggregateError> {
        for _ in 0..TRIES {
            // After the issue was read: an event that is stored meanwhile changes the issue, or is counted.
            let occurs = occurs(&self.context.reads(), app, &stored).await?;
            if !stored.issue.erase(!occurs, erased) || self.put(app, &stored).await? {
                return Ok(());
            }
            match self.current(app, stored.group).await? {
                Some(current) => stored = current,
                None => return Ok(()),
            }
        }
        Err(AggregateError::Contention)
    }
}

fn add<T>(to: &mut OfGroups<T>, app: &App, group: Group, what: T) {
    to.entry(app.id.clone()).or_default().entry(group).or_default().push(what);
}
