//! Finds the issues of a batch before it is counted: groups of errors that are new, or resolved and open again. A batch that comes
//! again finds them again, and changes nothing more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::{App, AppId, AppState};
use tally_core::counter::checkpoint::SequenceNumber;
use tally_core::counter::folding::{Change, Record};
use tally_core::counter::item::CountedEvent;
use tally_core::event::group::Group;
use tally_core::event::id::EventId;
use tally_core::event::level::Level;
use tally_core::issue::{Batch, Issue, Sighting};
use tally_service::context::Context;
use tally_service::issues::erased::occurs;
use tally_store::{IssueNews, News, StoreError, StoredIssue, Trace};

use crate::error::AggregateError;

/// Attempts to change an issue while others change it.
const TRIES: usize = 20;
/// The number of issues that are changed concurrently.
const CONCURRENCY: usize = 8;
/// The lowest level that an app may make issues of. What is lower and has no stack is never looked up.
const LOWEST: Level = Level::Warn;

/// What records of a batch tell about errors beside what is counted, by sequence number.
pub(crate) type Traces = HashMap<SequenceNumber, Trace>;

/// The issues of a batch.
pub(crate) struct Issues<'a> {
    context: &'a Context,
    batch: Batch<'a>,
    /// What was seen of each group.
    seen: BTreeMap<(AppId, Group), Vec<Sighting>>,
    /// Which events of a group were erased, or overwritten.
    gone: BTreeMap<(AppId, Group), Vec<EventId>>,
    apps: &'a HashMap<AppId, Arc<App>>,
}

/// Whether an event may belong to an issue of some app, or may have before it was changed. `has_stack` tells whether it has or had
/// a stack.
pub(crate) fn may_be_issue(change: &Change, has_stack: bool) -> bool {
    let is_error = |event: &CountedEvent| event.cell.level.is_some_and(|level| level >= LOWEST);
    has_stack
        || match change {
            Change::Insert(event) | Change::Remove(event) => is_error(event),
            Change::Modify(old, new) => is_error(old) || is_error(new),
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
            self.gone.entry((app.id.clone(), group)).or_default().push(old.id);
        }
        let Some((event, (group, mark))) = new else { return Ok(()) };
        let before = old.filter(|_| old_group == Some(group)).map_or(0, |old| old.count);
        let release = match &trace.release {
            Some(name) => self.context.releases.known(&self.context.store, &app.id, name, event.received_at).await?,
            None => None,
        };
        let sighting = Sighting {
            sequence: record.sequence.clone(),
            id: event.id,
            level: event.cell.level,
            name: event.cell.name.clone(),
            message: event.message.clone(),
            mark,
            place: trace.place.clone(),
            release,
            count: event.count.saturating_sub(before),
        };
        self.seen.entry((app.id.clone(), group)).or_default().push(sighting);
        Ok(())
    }

    /// Stores what the batch tells about issues.
    pub(crate) async fn store(&self) -> Result<(), AggregateError> {
        let mut by_app: BTreeMap<&AppId, Vec<Group>> = BTreeMap::new();
        for (app, group) in self.seen.keys() {
            by_app.entry(app).or_default().push(*group);
        }
        for (id, groups) in by_app {
            let Some(app) = self.apps.get(id) else { continue };
            let (mut known, _) = self.context.store.issues_of(id, &groups).await?;
            let seen = groups.into_iter().filter_map(|group| Some((group, self.seen.get(&(id.clone(), group))?)));
            let stored = seen.map(|(group, sightings)| {
                let known = known.remove(&group);
                self.store_one(app, group, sightings, known)
            });
            let stored: Vec<_> = stored.collect();
            stream::iter(stored).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn store_one(
        &self,
        app: &App,
        group: Group,
        sightings: &[Sighting],
        mut known: Option<StoredIssue>,
    ) -> Result<(), AggregateError> {
        let now = self.context.clock.now();
        for _ in 0..TRIES {
            let (stored, news) = match known {
                Some(mut stored) => {
                    let change = stored.issue.see(sightings, self.batch);
                    if !change.changed {
                        return Ok(());
                    }
                    let news =
                        if change.is_new { Some(News::New) } else { change.regressed.then_some(News::Regressed) };
                    (stored, news)
                }
                None if !self.context.new_issues.take(&app.id, now) => return Ok(()),
                None => match Issue::of(sightings, self.batch) {
                    Some(issue) => (StoredIssue { group, issue, version: 0 }, Some(News::New)),
                    None => return Ok(()),
                },
            };
            let news = news.map(|news| IssueNews { group, news, at: now });
            if self.put(app, &stored, news).await? {
                return Ok(());
            }
            known = self.context.store.issues_of(&app.id, &[group]).await?.0.remove(&group);
        }
        Err(AggregateError::Contention)
    }

    async fn put(&self, app: &App, stored: &StoredIssue, news: Option<IssueNews>) -> Result<bool, StoreError> {
        self.context.store.put_issue(&app.id, stored, stored.issue.expires_at(app), news).await
    }

    /// Forgets what erased events told, once the batch is counted.
    pub(crate) async fn forget(&self) -> Result<(), AggregateError> {
        let mut by_app: BTreeMap<&AppId, Vec<Group>> = BTreeMap::new();
        for (app, group) in self.gone.keys() {
            by_app.entry(app).or_default().push(*group);
        }
        for (id, groups) in by_app {
            let Some(app) = self.apps.get(id) else { continue };
            let (known, _) = self.context.store.issues_of(id, &groups).await?;
            if known.is_empty() {
                continue;
            }
            let known: Vec<_> = known.into_values().collect();
            let occurring = occurs(&self.context.reads(), app, &known).await?;
            for stored in known {
                let group = stored.group;
                let erased = self.gone.get(&(id.clone(), group)).map(Vec::as_slice).unwrap_or_default();
                self.forget_one(app, stored, occurring.contains(&group), erased).await?;
            }
        }
        Ok(())
    }

    async fn forget_one(
        &self,
        app: &App,
        mut stored: StoredIssue,
        occurs: bool,
        erased: &[EventId],
    ) -> Result<(), AggregateError> {
        for _ in 0..TRIES {
            if !stored.issue.erase(!occurs, erased) || self.put(app, &stored, None).await? {
                return Ok(());
            }
            // An event may have come in the meantime: then it is not empty, whatever the counters have said before.
            let group = stored.group;
            match self.context.store.issues_of(&app.id, &[group]).await?.0.remove(&group) {
                Some(current) => stored = current,
                None => return Ok(()),
            }
            if !occurs && !occurs_now(self.context, app, &stored).await?.is_empty() {
                return Ok(());
            }
        }
        Err(AggregateError::Contention)
    }
}

async fn occurs_now(context: &Context, app: &App, stored: &StoredIssue) -> Result<HashSet<Group>, StoreError> {
    occurs(&context.reads(), app, std::slice::from_ref(stored)).await
}
