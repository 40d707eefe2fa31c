//! Sign-in attempts of a subject: failures by minute, and how many attempts are in progress.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use tally_core::time::{HOUR, MINUTE, TimeDelta, Timestamp};

use crate::client::error::StoreError;
use crate::item::{Item, key, number, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::EXPIRES_AT;

/// The attribute with the failures of a minute.
const FAILED: &str = "n";
/// The attribute with the attempts of a minute that are in progress.
const OPEN: &str = "o";
/// How long a minute is kept.
const KEEP: TimeDelta = HOUR;
/// How long an attempt can take, at the most. One that began earlier and is still in progress was cut off, as with its
/// process, and is none any more.
const LONGEST: TimeDelta = TimeDelta::minutes(2);

/// A subject's attempts, as they were when one of them began or ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Those that failed.
    pub failed: i64,
    /// Those that are in progress.
    pub open: i64,
    /// The first minute with a failure.
    pub first_failure: Option<Timestamp>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It failed.
    Failed,
    /// It succeeded, or revealed nothing.
    Forgiven,
}

impl Store {
    /// Begins an attempt of a subject at a given time. Returns the attempts after the minute `after`, with this one. Of all
    /// attempts that begin at once, each sees those that began before it in the same minute, and at least one of them sees
    /// all: the item of the minute is returned as the update left it, and the other minutes are read afterwards, strongly
    /// consistent.
    pub async fn begin_attempt(&self, subject: &str, at: Timestamp, after: Timestamp) -> Result<Attempts, StoreError> {
        let partition = keys::attempts(subject);
        let minute = self.change_attempts(&partition, at, 1, 0).await?;
        let request = self.query_between(
            &self.tables.apps,
            &partition,
            (keys::minute(after + MINUTE), keys::minute(Timestamp::MAX)),
        );
        let page = self.send_query(request.consistent_read(true)).await?;
        let own = keys::minute(at);
        let others = page.items.iter().filter(|item| sort_key(item) != own);
        let mut attempts = Attempts::default();
        for item in others.chain([&minute]) {
            attempts.add(item, at);
        }
        Ok(attempts)
    }

    /// Ends an attempt that began at a given time.
    pub async fn end_attempt(&self, subject: &str, at: Timestamp, ended: Ended) -> Result<(), StoreError> {
        let failed = i64::from(ended == Ended::Failed);
        self.change_attempts(&keys::attempts(subject), at, -1, failed).await.map(drop)
    }

    /// Adds to a minute's attempts in one update. Returns its item as it is then.
    async fn change_attempts(
        &self,
        partition: &str,
        at: Timestamp,
        open: i64,
        failed: i64,
    ) -> Result<Item, StoreError> {
        let minute = keys::minute(at);
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(partition, &minute)))
            .update_expression("ADD #open :open, #failed :failed SET #expiry = :expiry")
            .expression_attribute_names("#open", OPEN)
            .expression_attribute_names("#failed", FAILED)
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":open", AttributeValue::N(open.to_string()))
            .expression_attribute_values(":failed", AttributeValue::N(failed.to_string()))
            .expression_attribute_values(":expiry", AttributeValue::N((at + KEEP).seconds().to_string()))
            .return_values(ReturnValue::AllNew);
        Ok(self.send(request).await?.0.attributes.unwrap_or_default())
    }
}

impl Attempts {
    /// Adds those of a minute.
    fn add(&mut self, item: &Item, now: Timestamp) {
        let count = |name| item.get(name).and_then(number).unwrap_or(0);
        let minute = sort_key(item).parse().ok().map(|minutes: i64| Timestamp::EPOCH + minutes * MINUTE);
        let failed = count(FAILED);
        self.failed += failed;
        if failed > 0 {
            self.first_failure = self.first_failure.into_iter().chain(minute).min();
        }
        if minute.is_some_and(|minute| minute + MINUTE + LONGEST > now) {
            self.open += count(OPEN).max(0);
        }
    }
}
