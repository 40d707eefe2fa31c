//! Erases the events of a session or user, and all data of an app.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use tally_core::app::partition::Partition;
use tally_core::app::{App, AppId};
use tally_core::event::id::EventId;

use crate::barriers::BARRIER;
use crate::client::error::StoreError;
use crate::events::{IndexPart, Order, partition, read_to};
use crate::identities::any_of;
use crate::item::{Item, key, partition_key, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{PK, SESSION, SK};

/// The maximum number of events in one step. Between steps, a caller can check its remaining time.
const STEP: i32 = 1_000;

/// The events that are erased at once, each by itself.
const AT_ONCE: usize = 25;

/// The attribute of an event with its user.
const USER_ID: &str = "user_id";

/// The maximum number of items in one check for events.
const LOOK: i32 = 10;

/// The events to erase.
#[derive(Clone, Copy, Debug)]
pub enum ErasedEvents<'a> {
    /// The events of a part of an index.
    Indexed(IndexPart<'a>),
    /// The events of a session in one shard that are not indexed by session.
    Session(&'a Partition, &'a str),
    /// The events without a user of a session that is indexed.
    Anonymous(&'a AppId, &'a str),
    /// The events of a user in one shard, by any of at most [`MAX_USERS`](crate::MAX_USERS) ids; also events
    /// without a user that have one of them as their alias, or one of the second ids as their session.
    User(&'a Partition, &'a [String], &'a [String]),
    /// All events of one shard.
    All(&'a Partition),
}

/// Where a part of an index is: the index, the attribute of its key, and the key. None if it can have no events.
fn in_index(part: IndexPart<'_>) -> Option<(Option<&'static str>, &'static str, String)> {
    let (index, attribute, key) = part.may_have_events().then(|| part.key())?;
    Some((Some(index), attribute, key))
}

/// The result of one erase step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The number of deleted items.
    pub deleted: usize,
    /// The position to continue after, or `None` at the end.
    pub next: Option<EventId>,
}

impl Store {
    /// Erases one event. Returns false if it does not exist.
    pub async fn erase_event(&self, app: &App, id: EventId) -> Result<bool, StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.tables.events)
            .set_key(Some(key(&keys::partition(&partition(app, id)), &id.to_string())))
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Erases one page of events with identities from `first` to `last`, inclusive, oldest first.
    pub async fn erase_events(
        &self,
        which: ErasedEvents<'_>,
        (first, last): (EventId, EventId),
    ) -> Result<Erased, StoreError> {
        let (index, key_name, partition) = match which {
            ErasedEvents::Indexed(part) => {
                let Some(found) = in_index(part) else { return Ok(Erased::default()) };
                found
            }
            ErasedEvents::Anonymous(app, session) => {
                let Some(found) = in_index(IndexPart::Session(app, session)) else { return Ok(Erased::default()) };
                found
            }
            ErasedEvents::Session(partition, _) | ErasedEvents::User(partition, ..) | ErasedEvents::All(partition) => {
                (None, PK, keys::partition(partition))
            }
        };
        let mut request = self
            .query_between(&self.tables.events, partition, (first.to_string(), last.to_string()))
            .set_index_name(index.map(str::to_owned))
            .projection_expression("#pk, #sk")
            .expression_attribute_names("#key", key_name)
            .expression_attribute_names("#pk", PK)
            .limit(STEP)
            // An index does not support consistent reads.
            .consistent_read(index.is_none());
        // An index has no barriers, and may have no other attributes to ask for.
        if index.is_none() {
            request = request.expression_attribute_names("#fence", BARRIER);
        }
        request = match which {
            ErasedEvents::Indexed(_) | ErasedEvents::Anonymous(..) => request,
            ErasedEvents::All(_) => request.filter_expression("attribute_not_exists(#fence)"),
            ErasedEvents::Session(_, session) => request
                .filter_expression("attribute_not_exists(#fence) AND #session = :session")
                .expression_attribute_names("#session", "session_id")
                .expression_attribute_values(":session", AttributeValue::S(session.to_owned())),
            ErasedEvents::User(shard, ids, sessions) => {
                let (names, mut values) = any_of("id", ids);
                let mut anonymous = format!("#alias IN ({names})");
                if !sessions.is_empty() {
                    // As an event has it that is indexed by session, and as others have it.
                    let indexed: Vec<_> = sessions.iter().map(|session| keys::session(&shard.app, session)).collect();
                    for (field, prefix, sessions) in [("#indexed", "x", &*indexed), ("#session", "s", sessions)] {
                        let (names, more) = any_of(prefix, sessions);
                        values.extend(more);
                        anonymous = format!("{anonymous} OR {field} IN ({names})");
                    }
                    request = request
                        .expression_attribute_names("#indexed", SESSION)
                        .expression_attribute_names("#session", "session_id");
                }
                let request = request
                    .filter_expression(format!(
                        "attribute_not_exists(#fence) AND (#user IN ({names}) OR attribute_not_exists(#user) AND ({anonymous}))"
                    ))
                    .expression_attribute_names("#user", USER_ID)
                    .expression_attribute_names("#alias", "alias");
                values
                    .into_iter()
                    .fold(request, |request, (name, value)| request.expression_attribute_values(name, value))
            }
        };
        let page = self.send_query(request).await?;
        let next = page.next.map(|key| read_to(&key, Order::Ascending)).transpose()?;
        if matches!(which, ErasedEvents::Anonymous(..)) {
            let mut deleted = 0;
            for items in page.items.chunks(AT_ONCE) {
                let each = try_join_all(items.iter().map(|item| self.erase_anonymous(item))).await?;
                deleted += each.into_iter().filter(|is_deleted| *is_deleted).count();
            }
            return Ok(Erased { deleted, next });
        }
        let deleted = page.items.len();
        self.delete_items(&self.tables.events, page.items).await?;
        Ok(Erased { deleted, next })
    }

    /// Erases an event if it has no user, which an index may not tell. Returns whether it had none.
    async fn erase_anonymous(&self, item: &Item) -> Result<bool, StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.tables.events)
            .set_key(Some(key(partition_key(item), sort_key(item))))
            .condition_expression("attribute_exists(#pk) AND attribute_not_exists(#user)")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#user", USER_ID);
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Returns whether a shard contains an event, including expired events. Strongly consistent.
    pub async fn has_events(&self, partition: &Partition) -> Result<bool, StoreError> {
        let mut start = None;
        loop {
            // An unfinished recount may have left barriers.
            let request = self
                .query_partition(&self.tables.events, keys::partition(partition))
                .projection_expression("#sk")
                .filter_expression("attribute_not_exists(#fence)")
                .expression_attribute_names("#sk", SK)
                .expression_attribute_names("#fence", BARRIER)
                .set_exclusive_start_key(start)
                .limit(LOOK)
                .consistent_read(true);
            let page = self.send_query(request).await?;
            start = page.next;
            if !page.items.is_empty() || start.is_none() {
                return Ok(!page.items.is_empty());
            }
        }
    }

    /// Erases one page of counter items of a partition. Returns whether the partition is empty.
    pub async fn erase_counters(&self, partition: &Partition) -> Result<bool, StoreError> {
        self.erase_counters_page(&keys::partition(partition)).await
    }

    /// Erases an app's other data in Counters: dead letters, marked days, recount state, quota counts, rejected
    /// events, known names, other ids of users, issues and releases. Returns whether all of it is erased.
    pub async fn erase_beside_counters(&self, app: &AppId) -> Result<bool, StoreError> {
        let mut gone = true;
        for partition in [
            keys::dead_letters(Some(app)),
            keys::uncounted(app),
            keys::recount(app),
            keys::quota(app),
            keys::rejected(app),
            keys::names(app),
            keys::identities(app),
            keys::issues(app),
            keys::issue_news(app),
            keys::releases(app),
        ] {
            gone &= self.erase_counters_page(&partition).await?;
        }
        Ok(gone)
    }

    async fn erase_counters_page(&self, partition: &str) -> Result<bool, StoreError> {
        let request = self.query_partition(&self.tables.counters, partition).consistent_read(true);
        let page = self.send_query(request).await?;
        self.delete_items(&self.tables.counters, page.items).await?;
        Ok(page.next.is_none())
    }
}
