//! Tells rules of issues that are new, or that occur again after they were resolved.

use std::collections::HashMap;

use tally_core::alert::filter::cell_filter;
use tally_core::alert::judge::State;
use tally_core::alert::rule::Rule;
use tally_core::app::AppId;
use tally_core::event::group::Group;
use tally_core::issue::{Issue, News};
use tally_core::time::{TimeDelta, Timestamp};
use tally_store::{IssueNews, Judged, LogEntry, StoreError, StoredIssue, StoredRule, ToldIssue};

use crate::context::Context;

/// The most issues of an app whose news are told in one run. The next run goes on.
const MOST: usize = 100;
/// How long a pointer may be older than what it points to.
const ABOUT: TimeDelta = TimeDelta::minutes(10);

/// The rules of an app that wait for news of issues, and what they are told.
pub(super) struct Newsroom<'a> {
    pub(super) context: &'a Context,
    pub(super) app: &'a AppId,
    pub(super) now: Timestamp,
    pub(super) judged: Judged,
    pub(super) rules: Vec<StoredRule>,
    /// The transitions that were written.
    pub(super) told: usize,
}

/// Another process has written about the app, or an issue or a rule was changed: the next minute goes on.
pub(super) struct Overtaken;

impl Newsroom<'_> {
    /// Tells what is untold, the oldest first, and then what was held back, where its hour is over.
    pub(super) async fn tell(&mut self) -> Result<Result<(), Overtaken>, StoreError> {
        let store = &self.context.store;
        let mut news = store.issue_news(self.app).await?;
        news.sort_by_key(|news| (news.at, news.group));
        news.truncate(MOST);
        let groups: Vec<Group> = news.iter().map(|news| news.group).collect();
        let mut known =
            if groups.is_empty() { HashMap::new() } else { store.issues_of(self.app, &groups, self.now).await?.issues };
        for news in &news {
            if let Some(issue) = known.remove(&news.group).filter(|stored| stored.issue.untold.is_some()) {
                if self.tell_all(news, issue).await?.is_err() {
                    return Ok(Err(Overtaken));
                }
            } else if news.at < self.now - ABOUT {
                // Nothing has come of it, or it was told, or erased.
                store.forget_news(self.app, news).await?;
            }
        }
        self.digests().await
    }

    /// Tells all rules of an issue that were not told yet.
    async fn tell_all(
        &mut self,
        pointer: &IssueNews,
        mut stored: StoredIssue,
    ) -> Result<Result<(), Overtaken>, StoreError> {
        let Some(news) = stored.issue.untold else { return Ok(Ok(())) };
        for i in 0..self.rules.len() {
            let rule = &self.rules[i];
            let is_told = stored.issue.told.contains(rule.rule.id.as_str());
            // A rule that tells nobody keeps its pace for when it has a channel.
            if is_told
                || rule.rule.channels.is_empty()
                || rule.rule.created_at > pointer.at
                || !waits_for(&rule.rule, &stored.issue, news)
            {
                continue;
            }
            let mut state = rule.state.clone();
            let told =
                state.pace.take(self.now).then(|| ToldIssue { news, group: Some(stored.group.to_string()), count: 1 });
            if self.write(i, state, told, Some(&stored)).await?.is_err() {
                return Ok(Err(Overtaken));
            }
            stored.issue.told.insert(self.rules[i].rule.id.to_string());
            stored.version += 1;
        }
        if !self.context.store.end_news(self.app, &stored).await? {
            return Ok(Err(Overtaken));
        }
        self.context.store.forget_news(self.app, pointer).await?;
        Ok(Ok(()))
    }

    async fn digests(&mut self) -> Result<Result<(), Overtaken>, StoreError> {
        for i in 0..self.rules.len() {
            let mut state = self.rules[i].state.clone();
            let Some(news) = self.rules[i].rule.news() else { continue };
            let Some(count) = state.pace.digest(self.now) else { continue };
            let told = Some(ToldIssue { news, group: None, count });
            if self.write(i, state, told, None).await?.is_err() {
                return Ok(Err(Overtaken));
            }
        }
        Ok(Ok(()))
    }

    async fn write(
        &mut self,
        i: usize,
        state: State,
        told: Option<ToldIssue>,
        issue: Option<&StoredIssue>,
    ) -> Result<Result<(), Overtaken>, StoreError> {
        let entry = told.map(|told| self.entry(&self.rules[i], told));
        let store = &self.context.store;
        if !store.change_alert_state(self.app, self.judged, &self.rules[i], &state, entry.as_ref(), issue).await? {
            return Ok(Err(Overtaken));
        }
        self.judged.seq += 1;
        self.told += usize::from(entry.is_some());
        let rule = &mut self.rules[i];
        (rule.version, rule.state) = (rule.version + 1, state);
        Ok(Ok(()))
    }

    fn entry(&self, stored: &StoredRule, told: ToldIssue) -> LogEntry {
        let is_told = !stored.rule.is_snoozed(self.now);
        LogEntry { issue: Some(told), ..LogEntry::of(stored, self.now, self.now, is_told) }
    }
}

/// Whether a rule waits for such news of an issue.
fn waits_for(rule: &Rule, issue: &Issue, news: News) -> bool {
    let name = issue.shown.as_ref().map(|shown| shown.name.as_str());
    rule.news() == Some(news)
        && cell_filter(&rule.filter)
            .is_ok_and(|filter| filter.level.matches(issue.level.as_ref()) && filter.name.matches(name))
}
