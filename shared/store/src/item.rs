//! SDK items and access to their attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::tables::{PK, SK};

/// The attribute that counts the changes of an item that is written on condition of them.
pub(crate) const VERSION: &str = "v";

/// An item: attributes by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Returns the primary key of an item.
pub(crate) fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([
        (PK.to_owned(), AttributeValue::S(pk.to_owned())),
        (SK.to_owned(), AttributeValue::S(sk.to_owned())),
    ])
}

/// Returns the sort key of an item, or an empty string if it has none.
pub(crate) fn sort_key(item: &Item) -> &str {
    item.get(SK).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Returns the partition key of an item, or an empty string if it has none.
pub(crate) fn partition_key(item: &Item) -> &str {
    item.get(PK).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Reads an integer attribute.
pub(crate) fn number(value: &AttributeValue) -> Option<i64> {
    value.as_n().ok()?.parse().ok()
}
