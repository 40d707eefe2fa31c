//! Issues, by group, and the news of them.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Update};
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::alert::rule::RuleId;
use tally_core::app::AppId;
use tally_core::event::group::Group;
use tally_core::issue::Issue;
use tally_core::time::{DAY, TimeDelta, Timestamp};

use crate::client::error::StoreError;
use crate::item::{Item, VERSION, key, number, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK, SK};

/// The number of issues in one read (the limit of one `BatchGetItem`).
const READ: usize = 100;
/// The number of concurrent reads.
const CONCURRENCY: usize = 4;
/// How long news are kept that nobody is told.
const KEEP_NEWS: TimeDelta = TimeDelta::seconds(7 * DAY.as_seconds());

/// An issue as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIssue {
    /// Its group.
    pub group: Group,
    /// The issue.
    pub issue: Issue,
    /// The number of its changes.
    pub version: u64,
}

/// A pointer to an issue that has news, or is about to have some. The issue itself tells which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueNews {
    /// The issue.
    pub group: Group,
    /// When it was found out.
    pub at: Timestamp,
}

/// Those of some groups that are issues.
#[derive(Debug, Default)]
pub struct KnownIssues {
    /// The issues.
    pub issues: HashMap<Group, StoredIssue>,
    /// Groups whose items cannot be read.
    pub unreadable: HashSet<Group>,
    /// The read units consumed: one for each group.
    pub units: f64,
}

/// Some issues of an app.
#[derive(Debug, Default)]
pub struct IssuePage {
    /// The issues, by group.
    pub issues: Vec<StoredIssue>,
    /// Where to continue, if more may follow.
    pub next: Option<IssuePlace>,
    /// The read units consumed.
    pub units: f64,
}

/// Where to continue to read issues.
#[derive(Clone, Debug)]
pub struct IssuePlace(Item);

impl Store {
    /// Returns those of some groups that are issues, strongly consistent. One that has expired by `now` counts as erased.
    pub async fn issues_of(&self, app: &AppId, groups: &[Group], now: Timestamp) -> Result<KnownIssues, StoreError> {
        let partition = keys::issues(app);
        let shape = KeysAndAttributes::builder().consistent_read(true);
        let reads: Vec<_> = groups
            .chunks(READ)
            .map(|groups| {
                let wanted = groups.iter().map(|group| key(&partition, &group.to_string())).collect();
                self.get_all(&self.tables.counters, wanted, shape.clone())
            })
            .collect();
        let pages: Vec<(Vec<Item>, f64)> = stream::iter(reads).buffer_unordered(CONCURRENCY).try_collect().await?;
        let mut known = KnownIssues { units: pages.iter().map(|(_, units)| units).sum(), ..KnownIssues::default() };
        for item in pages.into_iter().flat_map(|(items, _)| items) {
            let Ok(group) = sort_key(&item).parse::<Group>() else { continue };
            let has_expired = has_expired(&item, now);
            match read(item) {
                Ok(mut stored) => {
                    stored.issue.erased |= has_expired;
                    known.issues.insert(group, stored);
                }
                Err(error) => {
                    tracing::error!(%error, app = app.as_str(), %group, "an issue cannot be read");
                    known.unreadable.insert(group);
                }
            }
        }
        Ok(known)
    }

    /// Reads the issues of an app in one request, without those that have expired by `now`.
    pub async fn page_issues(
        &self,
        app: &AppId,
        now: Timestamp,
        from: Option<IssuePlace>,
    ) -> Result<IssuePage, StoreError> {
        let request = self.query_partition(&self.tables.counters, keys::issues(app));
        let page = self.send_query(request.set_exclusive_start_key(from.map(|place| place.0))).await?;
        let live = page.items.into_iter().filter(|item| !has_expired(item, now));
        let issues = live.filter_map(|item| {
            let read = read(item);
            read.inspect_err(|error| tracing::error!(%error, app = app.as_str(), "an issue cannot be read")).ok()
        });
        let issues = issues.collect();
        Ok(IssuePage { issues, next: page.next.map(IssuePlace), units: page.units })
    }

    /// Stores an issue. Returns false if it has changed since it was read; a version of 0 means that there was none.
    pub async fn put_issue(
        &self,
        app: &AppId,
        stored: &StoredIssue,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut item: Item = serde_dynamo::to_item(&stored.issue)?;
        item.extend(key(&keys::issues(app), &stored.group.to_string()));
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.seconds().to_string()));
        self.put_version(&self.tables.counters, item, stored.version).await
    }

    /// Points to an issue that is about to have news: before it has, so that no news are missed.
    pub async fn point_to_news(&self, app: &AppId, news: &IssueNews) -> Result<(), StoreError> {
        let mut item = key(&keys::issue_news(app), &news.group.to_string());
        item.insert("at".to_owned(), AttributeValue::N(news.at.micros().to_string()));
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N((news.at + KEEP_NEWS).seconds().to_string()));
        self.put(&self.tables.counters, item).await
    }

    /// Forgets a pointer, unless it was put again.
    pub async fn forget_news(&self, app: &AppId, news: &IssueNews) -> Result<(), StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::issue_news(app), &news.group.to_string())))
            .condition_expression("#at = :at")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":at", AttributeValue::N(news.at.micros().to_string()));
        self.send_conditional(request).await.map(drop)
    }

    /// An update of an issue that notes that a rule was told of it.
    pub(crate) fn told_of_issue(&self, app: &AppId, issue: &StoredIssue, rule: &RuleId) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::issues(app), &issue.group.to_string())))
            .update_expression("SET #told = list_append(if_not_exists(#told, :none), :rule) ADD #v :one")
            .condition_expression("#v = :version")
            .expression_attribute_names("#told", "told")
            .expression_attribute_names("#v", VERSION)
            .expression_attribute_values(":none", AttributeValue::L(vec![]))
            .expression_attribute_values(":rule", AttributeValue::L(vec![AttributeValue::S(rule.to_string())]))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":version", AttributeValue::N(issue.version.to_string()))
    }

    /// Notes that everyone was told of an issue. Returns false if it has changed since it was read.
    pub async fn end_news(&self, app: &AppId, issue: &StoredIssue) -> Result<bool, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::issues(app), &issue.group.to_string())))
            .update_expression("REMOVE #untold, #told ADD #v :one")
            .condition_expression("#v = :version")
            .expression_attribute_names("#untold", "untold")
            .expression_attribute_names("#told", "told")
            .expression_attribute_names("#v", VERSION)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":version", AttributeValue::N(issue.version.to_string()));
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Returns the pointers to issues of an app that have news, at most 1 MB of them, strongly consistent.
    pub async fn issue_news(&self, app: &AppId) -> Result<Vec<IssueNews>, StoreError> {
        let request = self.query_partition(&self.tables.counters, keys::issue_news(app)).consistent_read(true);
        let items = self.send_query(request).await?.items;
        Ok(items.iter().filter_map(read_news).collect())
    }
}

fn read(item: Item) -> Result<StoredIssue, StoreError> {
    let sort = sort_key(&item);
    let group = sort.parse().map_err(|_| StoreError::Unreadable(format!("the key {sort:?} of an issue")))?;
    let version = item.get(VERSION).and_then(number).and_then(|version| u64::try_from(version).ok()).unwrap_or(0);
    let mut item = item;
    for own in [PK, SK, VERSION, EXPIRES_AT] {
        item.remove(own);
    }
    Ok(StoredIssue { group, issue: serde_dynamo::from_item(item)?, version })
}

fn read_news(item: &Item) -> Option<IssueNews> {
    let at = Timestamp::from_micros(item.get("at").and_then(number)?);
    Some(IssueNews { group: sort_key(item).parse().ok()?, at })
}

fn has_expired(item: &Item, now: Timestamp) -> bool {
    item.get(EXPIRES_AT).and_then(number).is_some_and(|at| at <= now.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use tally_core::event::id::EventId;
    use tally_core::event::level::Level;
    use tally_core::issue::{News, Release, Shown, State, Until};

    #[test]
    fn an_issue_reads_back_as_it_was_stored() {
        let at = Timestamp::from_micros(1_795_701_787_250_123);
        let checkpoints = BTreeMap::from([("shard".to_owned(), "7@5".to_owned())]);
        let states = [
            State::Open,
            State::Resolved { at, next_release: true },
            State::Ignored { at, until: Until::Forever },
            State::Ignored { at, until: Until::Time(at) },
            State::Ignored { at, until: Until::Count { left: 3, checkpoints } },
        ];
        for state in states {
            let shown = Shown {
                example: EventId::of_client_id(at, "x"),
                name: "E".to_owned(),
                message: None,
                mark: 7,
                place: Some("a.rs:3".to_owned()),
            };
            let issue = Issue {
                first_seen: at,
                last_day: at,
                level: Some(Level::Error),
                shown: Some(shown),
                releases: vec![Release { name: "1.0".to_owned(), known_since: at }],
                state,
                regressed_at: Some(at),
                erased: false,
                untold: Some(News::Regressed),
                told: BTreeSet::from(["0123456789ab".to_owned()]),
            };
            let mut item: Item = serde_dynamo::to_item(&issue).expect("an item");
            item.extend(key("~issues#shop", "mba7816bf8f01cfea"));
            item.insert(VERSION.to_owned(), AttributeValue::N("4".to_owned()));
            let read = read(item).expect("readable");
            assert_eq!((read.issue, read.version, read.group.to_string().as_str()), (issue, 4, "mba7816bf8f01cfea"));
        }
    }
}
