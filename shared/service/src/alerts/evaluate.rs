//! Judges the rules of an app: every window that has ended and is counted, each once and in order.

use std::collections::HashMap;

use futures::future::try_join_all;
use tally_core::alert::filter::cell_filter;
use tally_core::alert::judge::{State, Transition, Verdict, Why, judge};
use tally_core::app::partition::partitions;
use tally_core::app::{App, AppId};
use tally_core::time::{DAY, MINUTE, Range, SECOND, TimeDelta, Timestamp};
use tally_store::{AppRules, Barrier, Judged, LogEntry, StoreError, StoredRule};

use super::asking::{Compared, ask};
use super::news::{Newsroom, Overtaken};
use super::reports::{BEHIND, Reporting, due};
use crate::budget::{ReadError, Spent};
use crate::context::Context;
use crate::read::checkpoints::counted_by_heartbeats;
use crate::reads::Reads;
use crate::report::tail::STORED_WITHIN;
use crate::report::windows::Windows;

/// The most windows that were missed and are judged later.
const MOST_MISSED: i64 = 60;
/// A shard that is counted up to so short a time ago has events, which soon count it further without a heartbeat.
const FRESH: TimeDelta = TimeDelta::seconds(5);
/// By how much the clocks of the machine that puts a heartbeat and of the store that dates it may differ.
const SKEW: TimeDelta = TimeDelta::seconds(10);
/// How long heartbeats stay if no other overwrites them.
const HEARTBEAT_KEPT: TimeDelta = DAY;

/// What came of judging an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// The windows that were judged, of all rules.
    pub windows: usize,
    /// The transitions.
    pub transitions: usize,
}

/// An app that is judged.
struct Evaluation<'a> {
    context: &'a Context,
    app: &'a App,
    reads: &'a Reads,
    now: Timestamp,
    judged: Judged,
    done: Evaluated,
}

/// Judges the rules of an app.
///
/// # Errors
/// Returns an error if the store fails. What was judged up to then stays.
pub async fn evaluate(context: &Context, id: &AppId, rules: AppRules, now: Timestamp) -> Result<Evaluated, StoreError> {
    let mut rules_on: Vec<_> = rules.rules.into_iter().filter(|stored| stored.rule.enabled).collect();
    // The cheapest first, so that a rule whose counts are too many spoils no other.
    rules_on.sort_by_key(|stored| (stored.rule.window, stored.rule.condition.against()));
    let slug = AppId::parse(id.as_str()).map(|(_, slug, _)| slug);
    let app = match &slug {
        Some(slug) if !rules_on.is_empty() => context.apps.get(slug).await?.filter(|app| app.id == *id),
        _ => None,
    };
    let Some(app) = app else { return Ok(Evaluated::default()) };
    let mut judged = rules.judged;
    let mut done = Evaluated::default();
    let (about_issues, rules_on): (Vec<_>, Vec<_>) =
        rules_on.into_iter().partition(|stored| stored.rule.news().is_some());
    let (reports, mut rules_on): (Vec<_>, Vec<_>) =
        rules_on.into_iter().partition(|stored| stored.rule.schedule().is_some());
    let reports = due(reports, now);
    if !about_issues.is_empty() {
        let mut newsroom = Newsroom { context, app: id, now, judged, rules: about_issues, told: 0 };
        let told = newsroom.tell().await?;
        done.transitions += newsroom.told;
        judged = newsroom.judged;
        if told.is_err() {
            return Ok(done);
        }
    }
    // Nothing waits for counts.
    if rules_on.is_empty() && reports.is_empty() {
        return Ok(done);
    }
    let reads = context.reads();
    let mut evaluation = Evaluation { context, app: &app, reads: &reads, now, judged, done };
    let counted_to = match evaluation.counted_to().await {
        Ok(counted_to) => Ok(counted_to),
        Err(ReadError::Store(error)) => return Err(error),
        Err(ReadError::Spent(Spent::Time)) => return Ok(done),
        Err(ReadError::Spent(_)) => Err(Why::TooMuch),
    };
    if evaluation.report(reports, counted_to.ok()).await?.is_err() {
        return Ok(evaluation.done);
    }
    let is_behind = evaluation.judged.beat.is_some_and(|beat| now - beat > BEHIND);
    let to = match counted_to {
        Err(why) => evaluation.all_unknown(&mut rules_on, why).await?.map(|()| None),
        Ok(_) if is_behind => evaluation.all_unknown(&mut rules_on, Why::Behind).await?.map(|()| None),
        Ok(counted_to) => evaluation.judge_all(&mut rules_on, counted_to).await?,
    };
    if let Ok(to) = to {
        let after = Judged { to: to.or(evaluation.judged.to), ..evaluation.judged };
        if after != (Judged { seq: after.seq, ..judged }) {
            // If another process was faster, it knows as much.
            context.store.set_judged(id, evaluation.judged, after).await?;
        }
    }
    Ok(evaluation.done)
}

/// The end of the last window that is counted. An event of the server's clock is stored some seconds after its time.
fn last_counted(counted_to: Timestamp) -> Timestamp {
    (counted_to - i64::from(STORED_WITHIN) * SECOND).floor(MINUTE)
}

impl Evaluation<'_> {
    /// Tells the reports that are due.
    async fn report(
        &mut self,
        due: Vec<(StoredRule, Timestamp)>,
        counted_to: Option<Timestamp>,
    ) -> Result<Result<(), Overtaken>, StoreError> {
        let (context, app) = (self.context, &self.app.id);
        let mut reporting = Reporting { context, app, now: self.now, judged: self.judged, told: 0 };
        let told = reporting.tell(due, counted_to.map(last_counted)).await?;
        self.done.transitions += reporting.told;
        self.judged = reporting.judged;
        Ok(told)
    }

    /// The time before which everything accepted is counted, in all shards. Puts heartbeats into those that are behind.
    async fn counted_to(&mut self) -> Result<Timestamp, ReadError> {
        let partitions = partitions(self.app, Range::ALL);
        let reads = partitions.iter().map(|partition| counted_by_heartbeats(self.reads, partition));
        let counted = try_join_all(reads).await?;
        let mut heartbeats = vec![];
        for (partition, counted) in partitions.iter().zip(&counted) {
            let is_counted = |before| before >= self.now - FRESH || last_counted(before) >= self.now.floor(MINUTE);
            if !counted.before.is_some_and(is_counted) {
                heartbeats.push(Barrier::heartbeat(partition, false));
                // DynamoDB splits a partition by its sort keys: one heartbeat passes through one side alone.
                if counted.stream_shards > 1 {
                    heartbeats.push(Barrier::heartbeat(partition, true));
                }
            }
        }
        let times = counted.iter().map(|counted| counted.before.unwrap_or(self.app.created_at));
        // A clock that was ahead may have left a time in the future.
        let counted_to = times.min().unwrap_or(self.app.created_at).min(self.now);
        // After a time in which nothing asked for heartbeats, an old one that is not counted says nothing: its note has expired.
        let goes_on = self.judged.last_beat.is_some_and(|at| self.now - at <= BEHIND);
        self.judged.beat = self.judged.beat.filter(|beat| goes_on && counted_to + SKEW < *beat);
        if !heartbeats.is_empty() {
            self.context.store.put_barriers(&heartbeats, self.now + HEARTBEAT_KEPT).await?;
            self.judged.beat.get_or_insert(self.now);
            self.judged.last_beat = Some(self.now);
        }
        Ok(counted_to)
    }

    /// Judges all windows that are counted. Returns the end of the last one, if there was any.
    async fn judge_all(
        &mut self,
        rules: &mut [StoredRule],
        counted_to: Timestamp,
    ) -> Result<Result<Option<Timestamp>, Overtaken>, StoreError> {
        let last = last_counted(counted_to);
        let before = |stored: &StoredRule, judged: Judged| {
            judged.to.map_or(stored.state.judged, |to| to.max(stored.state.judged))
        };
        let Some(first) = rules.iter().map(|stored| before(stored, self.judged)).min() else { return Ok(Ok(None)) };
        let first = (first + MINUTE).max(last - (MOST_MISSED - 1) * MINUTE);
        let filters: HashMap<_, _> = rules
            .iter()
            .filter_map(|stored| Some((stored.rule.id.clone(), cell_filter(&stored.rule.filter).ok()?)))
            .collect();
        let mut windows = Windows::new(self.reads, self.app, filters.values().cloned().collect());
        let (mut end, mut to) = (first, None);
        while end <= last {
            let judged = Judged { to: to.or(self.judged.to), ..self.judged };
            for stored in &mut *rules {
                let before = before(stored, judged);
                if before >= end {
                    continue;
                }
                let Some(filter) = filters.get(&stored.rule.id) else { continue };
                let found = match ask(&mut windows, self.app, &stored.rule, filter, (end, Compared::SinceApp)).await {
                    Ok(found) => found,
                    Err(ReadError::Store(error)) => return Err(error),
                    // The next minute has a budget of its own.
                    Err(ReadError::Spent(Spent::Time)) => return Ok(Ok(to)),
                    Err(ReadError::Spent(_)) if to.is_some() => return Ok(Ok(to)),
                    Err(ReadError::Spent(_)) => Verdict::Unknown(Why::TooMuch),
                };
                self.done.windows += 1;
                let is_next = before + MINUTE == end;
                if let Err(overtaken) = self.apply(stored, end, &found, is_next).await? {
                    return Ok(Err(overtaken));
                }
            }
            to = Some(end);
            end += MINUTE;
        }
        Ok(Ok(to))
    }

    /// Makes all rules unknown that are not yet.
    async fn all_unknown(&mut self, rules: &mut [StoredRule], why: Why) -> Result<Result<(), Overtaken>, StoreError> {
        let end = self.now.floor(MINUTE);
        for stored in rules {
            let judged = stored.state.judged;
            let snoozed = stored.rule.is_snoozed(self.now);
            let (mut state, transition) =
                judge(&stored.rule, &stored.state, end, &Verdict::Unknown(why), false, snoozed);
            // The windows up to now are judged once they are counted.
            state.judged = judged;
            if let Some(transition) = transition
                && let Err(overtaken) = self.write(stored, end, state, Some(transition), &Verdict::Unknown(why)).await?
            {
                return Ok(Err(overtaken));
            }
        }
        Ok(Ok(()))
    }

    /// Judges a window of a rule, and writes what that changes.
    async fn apply(
        &mut self,
        stored: &mut StoredRule,
        end: Timestamp,
        found: &Verdict,
        is_next: bool,
    ) -> Result<Result<(), Overtaken>, StoreError> {
        let snoozed = stored.rule.is_snoozed(self.now);
        let (state, transition) = judge(&stored.rule, &stored.state, end, found, is_next, snoozed);
        if state == stored.state && transition.is_none() {
            return Ok(Ok(()));
        }
        self.write(stored, end, state, transition, found).await
    }

    async fn write(
        &mut self,
        stored: &mut StoredRule,
        end: Timestamp,
        state: State,
        transition: Option<Transition>,
        found: &Verdict,
    ) -> Result<Result<(), Overtaken>, StoreError> {
        let entry = transition.map(|transition| self.entry(stored, end, transition, found));
        let store = &self.context.store;
        if !store.change_alert_state(&self.app.id, self.judged, stored, &state, entry.as_ref(), None).await? {
            return Ok(Err(Overtaken));
        }
        self.judged.seq += 1;
        stored.version += 1;
        stored.state = state;
        self.done.transitions += usize::from(transition.is_some());
        Ok(Ok(()))
    }

    fn entry(&self, stored: &StoredRule, end: Timestamp, transition: Transition, found: &Verdict) -> LogEntry {
        let (value, why) = match found {
            Verdict::Is(_, value) | Verdict::FromNone(_, value) => (Some(*value), None),
            Verdict::Unknown(why) => (None, Some(*why)),
            Verdict::TooEarly => (None, None),
        };
        LogEntry {
            from: transition.from,
            to: transition.to,
            value,
            from_none: matches!(found, Verdict::FromNone(..)),
            threshold: Some(stored.rule.condition.threshold()),
            why,
            ..LogEntry::of(stored, end, self.now, transition.is_told)
        }
    }
}
