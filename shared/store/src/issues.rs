//! Issues, by group, and the news of them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem};
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::AppId;
use tally_core::event::group::Group;
use tally_core::issue::Issue;
use tally_core::time::{DAY, TimeDelta, Timestamp};

use crate::client::error::StoreError;
use crate::item::{Item, key, number, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK, SK};

/// The number of issues in one read (the limit of one `BatchGetItem`).
const READ: usize = 100;
/// The number of concurrent reads.
const CONCURRENCY: usize = 4;
/// The attribute with the number of an issue's changes.
const VERSION: &str = "v";
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

/// What happened to an issue that people want to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum News {
    /// It is new.
    New,
    /// It was resolved, and is open again.
    Regressed,
}

/// News of an issue, until they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueNews {
    /// The issue.
    pub group: Group,
    /// What happened.
    pub news: News,
    /// When it was found out.
    pub at: Timestamp,
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

impl News {
    /// Its name in sort keys, for ever.
    const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Regressed => "regressed",
        }
    }
}

impl Store {
    /// Returns those of some groups that are issues, strongly consistent, and the read units consumed: one for each group.
    pub async fn issues_of(
        &self,
        app: &AppId,
        groups: &[Group],
    ) -> Result<(HashMap<Group, StoredIssue>, f64), StoreError> {
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
        let units = pages.iter().map(|(_, units)| units).sum();
        let issues = pages.into_iter().flat_map(|(items, _)| items).map(read);
        let by_group = issues.map(|issue| issue.map(|issue| (issue.group, issue)));
        Ok((by_group.collect::<Result<_, StoreError>>()?, units))
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
        let expires_at = |item: &Item| item.get(EXPIRES_AT).and_then(number);
        let live = page.items.into_iter().filter(|item| expires_at(item).is_none_or(|at| at > now.seconds()));
        let issues = live.map(read).collect::<Result<_, _>>()?;
        Ok(IssuePage { issues, next: page.next.map(IssuePlace), units: page.units })
    }

    /// Stores an issue, with news of it. Returns false if it has changed since it was read; a version of 0 means that there
    /// was none.
    pub async fn put_issue(
        &self,
        app: &AppId,
        stored: &StoredIssue,
        expires_at: Option<Timestamp>,
        news: Option<IssueNews>,
    ) -> Result<bool, StoreError> {
        let table = &self.tables.counters;
        let mut item: Item = serde_dynamo::to_item(&stored.issue)?;
        item.extend(key(&keys::issues(app), &stored.group.to_string()));
        item.insert(VERSION.to_owned(), AttributeValue::N((stored.version + 1).to_string()));
        if let Some(at) = expires_at {
            item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(at.seconds().to_string()));
        }
        let (name, condition, version) = match stored.version {
            0 => (PK, "attribute_not_exists(#c)", None),
            version => (VERSION, "#c = :version", Some(AttributeValue::N(version.to_string()))),
        };
        let values = version.map(|version| HashMap::from([(":version".to_owned(), version)]));
        let Some(IssueNews { group, news, at }) = news else {
            let request = self
                .client
                .put_item()
                .table_name(table)
                .set_item(Some(item))
                .condition_expression(condition)
                .expression_attribute_names("#c", name)
                .set_expression_attribute_values(values);
            return Ok(self.send_conditional(request).await?.is_applied());
        };
        let issue = Put::builder()
            .table_name(table)
            .set_item(Some(item))
            .condition_expression(condition)
            .expression_attribute_names("#c", name)
            .set_expression_attribute_values(values)
            .build()?;
        let mut item = key(&keys::issue_news(app), &format!("{}#{group}", news.name()));
        item.insert("at".to_owned(), AttributeValue::N(at.micros().to_string()));
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N((at + KEEP_NEWS).seconds().to_string()));
        let news = Put::builder().table_name(table).set_item(Some(item)).build()?;
        let writes = [issue, news].map(|put| TransactWriteItem::builder().put(put).build());
        self.write_together(writes.into()).await
    }

    /// Returns the oldest news of an app's issues that nobody was told of, at most 1 MB of them, strongly consistent.
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
    let (news, group) = sort_key(item).split_once('#')?;
    let news = [News::New, News::Regressed].into_iter().find(|known| known.name() == news)?;
    let at = Timestamp::from_micros(item.get("at").and_then(number)?);
    Some(IssueNews { group: group.parse().ok()?, news, at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tally_core::event::id::EventId;
    use tally_core::event::level::Level;
    use tally_core::issue::{Shown, State, Until};

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
                releases: vec!["1.0".to_owned()],
                state,
                regressed_at: Some(at),
                erased: false,
            };
            let mut item: Item = serde_dynamo::to_item(&issue).expect("an item");
            item.extend(key("~issues#shop", "mba7816bf8f01cfea"));
            item.insert(VERSION.to_owned(), AttributeValue::N("4".to_owned()));
            let read = read(item).expect("readable");
            assert_eq!((read.issue, read.version, read.group.to_string().as_str()), (issue, 4, "mba7816bf8f01cfea"));
        }
    }
}
