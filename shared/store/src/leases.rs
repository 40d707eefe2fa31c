//! Leases: of several servers over the same tables, one counts the stream at a time, and one judges alerts. In the cloud Lambda sees
//! to that.
//!
//! The clocks of servers differ, and a server may stall. So two may hold a lease for a moment. Checkpoints make it harmless to count
//! the same records twice, and so do conditions for alerts that are judged twice.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::client::send::Outcome;
use crate::item::key;
use crate::keys::{self, Lease};
use crate::store::Store;

const OWNER: &str = "owner";
/// Until when the owner holds it, in milliseconds since 1970.
const UNTIL: &str = "until";
/// How far the stream is counted, as its owner wrote it.
const POSITION: &str = "position";

/// A lease that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// How far the stream is counted, as the last owner wrote it.
    pub position: Option<String>,
}

impl Store {
    /// Takes a lease, or keeps it, and notes a position. None if another owner holds it at `now`.
    pub async fn hold_lease(
        &self,
        lease: Lease,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        position: Option<&str>,
    ) -> Result<Option<Held>, StoreError> {
        let set = if position.is_some() { ", #position = :position" } else { "" };
        let mut request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(keys::LEASES, keys::lease(lease))))
            .update_expression(format!("SET #owner = :owner, #until = :until{set}"))
            .condition_expression("attribute_not_exists(#owner) OR #owner = :owner OR #until <= :now")
            .expression_attribute_names("#owner", OWNER)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_values(":owner", AttributeValue::S(owner.to_owned()))
            .expression_attribute_values(":until", AttributeValue::N(until.millis().to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.millis().to_string()))
            .return_values(ReturnValue::AllNew);
        if let Some(position) = position {
            request = request
                .expression_attribute_names("#position", POSITION)
                .expression_attribute_values(":position", AttributeValue::S(position.to_owned()));
        }
        match self.send_conditional(request).await? {
            Outcome::Applied { output, .. } => {
                let position = output.attributes.and_then(|mut item| item.remove(POSITION));
                Ok(Some(Held { position: position.and_then(|position| position.as_s().ok().cloned()) }))
            }
            Outcome::Refused(_) => Ok(None),
        }
    }

    /// Gives a lease up, if this owner holds it, so that another server need not wait for its end.
    pub async fn leave_lease(&self, lease: Lease, owner: &str) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(keys::LEASES, keys::lease(lease))))
            .update_expression("SET #until = :zero")
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", OWNER)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_values(":owner", AttributeValue::S(owner.to_owned()))
            .expression_attribute_values(":zero", AttributeValue::N("0".to_owned()));
        self.send_conditional(request).await.map(drop)
    }
}
