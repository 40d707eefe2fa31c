//! What alert rules are about to tell: the deliveries of a transition, and the pointers to those that are due.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};
use tally_core::alert::rule::{Rule, RuleChannel, RuleId};
use tally_core::app::AppId;
use tally_core::time::{TimeDelta, Timestamp};

use crate::client::error::StoreError;
use crate::item::{Item, key, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::EXPIRES_AT;

/// How long a pointer is kept that nobody could follow.
const POINTER_KEPT: TimeDelta = TimeDelta::days(3);

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// It is still to be sent.
    Pending,
    /// The receiver has taken it.
    Delivered,
    /// It was given up.
    Failed,
    /// The rule was snoozed: it is not sent.
    Snoozed,
}

/// A notification for one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The channel.
    pub channel: RuleId,
    /// The type of the channel.
    #[serde(rename = "type")]
    pub kind: String,
    /// What became of it.
    pub status: DeliveryStatus,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// When it is tried next, in microseconds. While somebody tries, until when nobody else does.
    #[serde(default)]
    pub next_at: i64,
    /// What the receiver said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A pointer to a transition with deliveries that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDelivery {
    /// The app.
    pub app: AppId,
    /// The rule.
    pub rule: RuleId,
    /// The version of the rule that the transition made.
    pub version: u64,
    /// The sort key of the pointer.
    sort: String,
}

/// The deliveries of a transition after some were tried.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// How often they had changed.
    pub changes: u64,
    /// What they are now.
    pub deliveries: &'a [Delivery],
}

impl Delivery {
    /// Those of a transition: one for each channel of its rule, due at a time.
    pub fn of_rule(rule: &Rule, status: DeliveryStatus, at: Timestamp) -> Vec<Self> {
        let delivery = |channel: &RuleChannel| Self {
            channel: channel.id.clone(),
            kind: channel.kind.clone(),
            status,
            attempts: 0,
            next_at: at.micros(),
            error: None,
        };
        rule.channels.iter().map(delivery).collect()
    }

    /// Whether it is tried at a time.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.status == DeliveryStatus::Pending && self.next_at <= now.micros()
    }
}

/// When the first of some deliveries is due; none if all have ended.
pub(crate) fn due(deliveries: &[Delivery]) -> Option<Timestamp> {
    let pending = deliveries.iter().filter(|delivery| delivery.status == DeliveryStatus::Pending);
    pending.map(|delivery| Timestamp::from_micros(delivery.next_at)).min()
}

/// The item of a pointer to a transition.
pub(crate) fn pending_item(app: &AppId, rule: &RuleId, version: u64, due: Timestamp) -> Item {
    let entry = keys::alert_entry(rule.as_str(), version);
    let mut item = key(keys::ALERTS_PENDING, &keys::alert_pending(due, app, &entry));
    item.insert("app".to_owned(), AttributeValue::S(app.to_string()));
    item.insert("rule".to_owned(), AttributeValue::S(rule.to_string()));
    item.insert("version".to_owned(), AttributeValue::N(version.to_string()));
    item.insert(EXPIRES_AT.to_owned(), AttributeValue::N((due + POINTER_KEPT).seconds().to_string()));
    item
}

impl PendingDelivery {
    fn of(item: &Item) -> Option<Self> {
        let text = |name: &str| item.get(name)?.as_s().ok();
        Some(Self {
            app: AppId::parse(text("app")?)?.0,
            rule: RuleId::parse(text("rule")?)?,
            version: item.get("version")?.as_n().ok()?.parse().ok()?,
            sort: sort_key(item).to_owned(),
        })
    }
}

impl Store {
    /// Returns the pointers that are due, the longest first, at most `most`. Strongly consistent.
    pub async fn due_deliveries(&self, now: Timestamp, most: i32) -> Result<Vec<PendingDelivery>, StoreError> {
        let request = self.query_between(&self.tables.apps, keys::ALERTS_PENDING, keys::alerts_due(now));
        let page = self.send_query(request.limit(most).consistent_read(true)).await?;
        let read = |item: &Item| {
            let unreadable = || StoreError::Unreadable(format!("the pointer {:?} to a delivery", sort_key(item)));
            PendingDelivery::of(item).ok_or_else(unreadable)
        };
        page.items.iter().map(read).collect()
    }

    /// Deletes a pointer that leads nowhere.
    pub async fn forget_delivery(&self, pending: &PendingDelivery) -> Result<(), StoreError> {
        let pointer = key(keys::ALERTS_PENDING, &pending.sort);
        self.send(self.client.delete_item().table_name(&self.tables.apps).set_key(Some(pointer))).await.map(drop)
    }

    /// Replaces the deliveries of a transition if they have not changed since they were read, and points to when the next of
    /// them is due, in place of `pending`. Returns the new pointer, if any is pending, or false in the result if they have
    /// changed.
    pub async fn change_deliveries(
        &self,
        pending: &PendingDelivery,
        told: &Told<'_>,
    ) -> Result<Result<Option<PendingDelivery>, DeliveriesChanged>, StoreError> {
        let PendingDelivery { app, rule, version, sort } = pending;
        let table = &self.tables.apps;
        let changed = Update::builder()
            .table_name(table)
            .set_key(Some(key(&keys::alert_log(app), &keys::alert_entry(rule.as_str(), *version))))
            .update_expression("SET #deliveries = :deliveries, #changes = :next")
            .condition_expression("#changes = :changes")
            .expression_attribute_names("#deliveries", "deliveries")
            .expression_attribute_names("#changes", "changes")
            .expression_attribute_values(":deliveries", serde_dynamo::to_attribute_value(told.deliveries)?)
            .expression_attribute_values(":changes", AttributeValue::N(told.changes.to_string()))
            .expression_attribute_values(":next", AttributeValue::N((told.changes + 1).to_string()));
        let mut writes = vec![TransactWriteItem::builder().update(changed.build()?).build()];
        let next = due(told.deliveries).map(|due| pending_item(app, rule, *version, due));
        let next_sort = next.as_ref().map(|item| sort_key(item).to_owned());
        if next_sort.as_ref() != Some(sort) {
            let delete = Delete::builder().table_name(table).set_key(Some(key(keys::ALERTS_PENDING, sort))).build()?;
            writes.push(TransactWriteItem::builder().delete(delete).build());
            if let Some(item) = next {
                let put = Put::builder().table_name(table).set_item(Some(item)).build()?;
                writes.push(TransactWriteItem::builder().put(put).build());
            }
        }
        if !self.write_together(writes).await? {
            return Ok(Err(DeliveriesChanged));
        }
        Ok(Ok(next_sort.map(|sort| PendingDelivery { sort, ..pending.clone() })))
    }
}

/// Somebody else has changed the deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveriesChanged;
