//! Dead letters: stream records that could not be counted.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use tally_core::app::AppId;
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::item::{Item, key, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{PK, SK};

/// A record that could not be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The stream shard of the record.
    pub stream_shard: String,
    /// The sequence number of the record.
    pub sequence_number: String,
    /// The keys of the event, or of the counter item that rejected it, as text.
    pub keys: String,
    /// The error.
    pub error: String,
    /// The time of the error, stored in microseconds since 1970.
    #[serde(with = "tally_core::time::micros")]
    pub at: Timestamp,
}

impl DeadLetter {
    /// Its position among the dead letters of its app, to continue after.
    pub fn position(&self) -> String {
        // A sort key is limited to 1,024 bytes. The keys of unreadable events may be longer, but they differ at the
        // start.
        let all = format!("{}#{}#{}", self.stream_shard, self.sequence_number, self.keys);
        all.chars().take(256).collect()
    }
}

impl Store {
    /// Stores a record that could not be counted.
    pub async fn put_dead_letter(&self, app: Option<&AppId>, record: &DeadLetter) -> Result<(), StoreError> {
        let mut item: Item = serde_dynamo::to_item(record)?;
        item.insert(PK.to_owned(), AttributeValue::S(keys::dead_letters(app)));
        item.insert(SK.to_owned(), AttributeValue::S(record.position()));
        self.put(&self.tables.counters, item).await
    }

    /// Returns a page of dead letters of an app and the position to continue after. `None` selects the records whose
    /// app could not be read.
    pub async fn list_dead_letters(
        &self,
        app: Option<&AppId>,
        after: Option<&str>,
    ) -> Result<(Vec<DeadLetter>, Option<String>), StoreError> {
        let partition = keys::dead_letters(app);
        let start = after.map(|after| key(&partition, after));
        let request = self.query_partition(&self.tables.counters, partition).set_exclusive_start_key(start);
        let page = self.send_query(request).await?;
        let next = page.next.map(|next| sort_key(&next).to_owned());
        Ok((serde_dynamo::from_items(page.items)?, next))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use tally_core::time::Timestamp;

    use super::*;
    use crate::item::Item;

    #[test]
    fn a_dead_letter_is_stored_for_ever_like_this() {
        let dead_letter = DeadLetter {
            stream_shard: "s".to_owned(),
            sequence_number: "1".to_owned(),
            keys: "k".to_owned(),
            error: "e".to_owned(),
            at: Timestamp::from_micros(1_700_000_000_123_456),
        };
        let item: Item = serde_dynamo::to_item(&dead_letter).expect("an item");
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let stored = [
            ("stream_shard", text("s")),
            ("sequence_number", text("1")),
            ("keys", text("k")),
            ("error", text("e")),
            ("at", AttributeValue::N("1700000000123456".to_owned())),
        ];
        assert_eq!(item, stored.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(serde_dynamo::from_item::<_, DeadLetter>(item).expect("what was written"), dead_letter);
    }
}
