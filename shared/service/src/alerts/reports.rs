//! Rules that report: which of them are due, and that each report is told once.

use tally_core::alert::judge::{State, Why};
use tally_core::app::AppId;
use tally_core::time::{TimeDelta, Timestamp};
use tally_store::{Judged, LogEntry, StoreError, StoredRule, ToldReport};

use super::news::Overtaken;
use crate::context::Context;

/// After how long without a heartbeat that is counted the rules of an app are unknown, and a report is told without what is
/// missing.
pub(super) const BEHIND: TimeDelta = TimeDelta::minutes(15);

/// The rules of an app that report now.
pub(super) struct Reporting<'a> {
    pub(super) context: &'a Context,
    pub(super) app: &'a AppId,
    pub(super) now: Timestamp,
    pub(super) judged: Judged,
    /// The reports that were written.
    pub(super) told: usize,
}

/// Those of some rules that have a report to tell now, each with when it was to be told.
pub(super) fn due(rules: Vec<StoredRule>, now: Timestamp) -> Vec<(StoredRule, Timestamp)> {
    let due = |stored: StoredRule| {
        let at = stored.rule.schedule()?.due(stored.state.judged, now)?;
        Some((stored, at))
    };
    rules.into_iter().filter_map(due).collect()
}

impl Reporting<'_> {
    /// Tells the reports whose period is counted, up to `counted`, and those that have waited long enough.
    pub(super) async fn tell(
        &mut self,
        due: Vec<(StoredRule, Timestamp)>,
        counted: Option<Timestamp>,
    ) -> Result<Result<(), Overtaken>, StoreError> {
        for (stored, at) in due {
            let is_counted = counted.is_some_and(|counted| counted >= at);
            if !is_counted && !self.has_waited(at, counted) {
                continue;
            }
            let Some(entry) = self.entry(&stored, at, is_counted) else { continue };
            let state = State { judged: at, ..stored.state.clone() };
            let store = &self.context.store;
            if !store.change_alert_state(self.app, self.judged, &stored, &state, Some(&entry), None).await? {
                return Ok(Err(Overtaken));
            }
            self.judged.seq += 1;
            self.told += 1;
        }
        Ok(Ok(()))
    }

    /// Whether counting is behind for so long that a report is told as far as it is known.
    fn has_waited(&self, at: Timestamp, counted: Option<Timestamp>) -> bool {
        // After a standstill, heartbeats are not there yet. How far counting is may also be more than can be read.
        let is_behind = counted.is_none() || self.judged.beat.is_some_and(|beat| self.now - beat > BEHIND);
        is_behind && self.now - at > BEHIND
    }

    fn entry(&self, stored: &StoredRule, at: Timestamp, is_counted: bool) -> Option<LogEntry> {
        let rule = &stored.rule;
        let [period, before] = rule.schedule()?.periods(at)?;
        Some(LogEntry {
            why: (!is_counted).then_some(Why::Behind),
            report: Some(ToldReport { since: period.since(), before: before.since() }),
            ..LogEntry::of(stored, at, self.now, !rule.is_snoozed(self.now))
        })
    }
}
