//! Puts of whole items, which are nearly all writes.
//!
//! dynoxide 3.2.0 parses an item twice, writes it as JSON three times, and parses five statements for it. Here an item is
//! read once, to check and measure it, and stored as the JSON in which it came; the statements are prepared once. Every
//! request with anything else in it (a condition, a delete, a set, an unusual number, a mistake) goes to dynoxide, which
//! stores and answers the same. `tests::puts_are_those_of_dynoxide` compares the two.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dynoxide::DynoxideError;
use dynoxide::storage::compute_hash_prefix;
use dynoxide::streams::shard_id;
use dynoxide::types::{AttributeValue, MAX_ITEM_SIZE, number_size, table_write_capacity_units, write_capacity_units};
use rusqlite::{OptionalExtension, params};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::catalog::{Catalog, Index, Table};
use crate::writer::Desk;

/// Items of a request (DynamoDB's limit).
const ITEMS: usize = 25;
/// Nesting of an item that is stored here; DynamoDB takes 32.
const DEPTH: usize = 16;
/// Digits of a number (DynamoDB's limit).
const DIGITS: usize = 38;
/// Bytes of a partition key (DynamoDB's limit).
const PK_BYTES: usize = 2_048;
/// Bytes of a sort key (DynamoDB's limit).
const SK_BYTES: usize = 1_024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutItem<'a> {
    #[serde(borrow)]
    table_name: Cow<'a, str>,
    #[serde(borrow)]
    item: &'a RawValue,
    #[serde(default)]
    return_consumed_capacity: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchWriteItem<'a> {
    #[serde(borrow)]
    request_items: OneTable<'a>,
    #[serde(default)]
    return_consumed_capacity: Option<Cow<'a, str>>,
}

/// The writes of a request, if they are of one table.
struct OneTable<'a> {
    table: Cow<'a, str>,
    writes: Vec<Write<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Write<'a> {
    #[serde(borrow)]
    put_request: Put<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
}

impl<'de: 'a, 'a> Deserialize<'de> for OneTable<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Only;
        impl<'de> Visitor<'de> for Only {
            type Value = OneTable<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (table, writes) = map.next_entry()?.ok_or_else(|| de::Error::custom("no table"))?;
                match map.next_key::<Cow<'de, str>>()? {
                    None => Ok(OneTable { table, writes }),
                    Some(_) => Err(de::Error::custom("several tables")),
                }
            }
        }
        deserializer.deserialize_map(Only)
    }
}

/// A value of an attribute, as far as it is stored here.
enum Value<'a> {
    Text(Cow<'a, str>),
    /// Its size alone: its digits are checked, and stored as they came.
    Other(usize),
}

impl Value<'_> {
    /// Its size as DynamoDB measures it, without the name.
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Other(size) => *size,
        }
    }
}

/// Reads a value at a depth.
#[derive(Clone, Copy)]
struct AtDepth(usize);

impl<'de> de::DeserializeSeed<'de> for AtDepth {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AtDepth {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let other = || de::Error::custom("another kind of value");
        let kind = map.next_key::<Cow<'de, str>>()?.ok_or_else(other)?;
        let value = match kind.as_ref() {
            "S" => Value::Text(map.next_value::<Text<'de>>()?.0),
            "N" => {
                let number = map.next_value::<Text<'de>>()?.0;
                if !is_plain(&number) {
                    return Err(other());
                }
                Value::Other(number_size(&number))
            }
            "BOOL" => {
                map.next_value::<bool>()?;
                Value::Other(1)
            }
            "NULL" if map.next_value::<bool>()? => Value::Other(1),
            "L" if self.0 < DEPTH => Value::Other(map.next_value_seed(List(self.0 + 1))?),
            "M" if self.0 < DEPTH => Value::Other(map.next_value_seed(Map(self.0 + 1))?),
            _ => return Err(other()),
        };
        match map.next_key::<de::IgnoredAny>()? {
            None => Ok(value),
            Some(_) => Err(other()),
        }
    }
}

/// Borrows where the JSON has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Measures a list.
struct List(usize);

impl<'de> de::DeserializeSeed<'de> for List {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<usize, A::Error> {
        let mut size = 3;
        while let Some(value) = list.next_element_seed(AtDepth(self.0))? {
            size += 1 + value.size();
        }
        Ok(size)
    }
}

/// Measures a map.
struct Map(usize);

impl<'de> de::DeserializeSeed<'de> for Map {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Map {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<usize, A::Error> {
        let mut size = 3;
        attributes(map, self.0, |name, value| size += name.len() + 1 + value.size())?;
        Ok(size)
    }
}

/// Reads the attributes of an item or a map, whose names must differ.
fn attributes<'de, A: MapAccess<'de>>(
    mut map: A,
    depth: usize,
    mut each: impl FnMut(&str, Value<'de>),
) -> Result<(), A::Error> {
    let mut names: Vec<Cow<'de, str>> = vec![];
    while let Some(Text(name)) = map.next_key()? {
        if name.is_empty() {
            return Err(de::Error::custom("an attribute without a name"));
        }
        each(&name, map.next_value_seed(AtDepth(depth))?);
        names.push(name);
    }
    names.sort_unstable();
    if names.windows(2).any(|two| two[0] == two[1]) {
        return Err(de::Error::custom("an attribute twice"));
    }
    Ok(())
}

/// Whether a number is stored as it is written: without an exponent or zeros that mean nothing.
fn is_plain(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && part.is_none_or(|part| all_digits(part) && !part.ends_with('0'))
        && digits.len() <= DIGITS
        && number != "-0"
}

/// An item that is ready to be stored.
struct Item {
    pk: String,
    sk: String,
    /// The key of its partition in each index of the table.
    indexes: Vec<Option<String>>,
    json: String,
    size: usize,
}

impl Item {
    /// Reads an item. `None` where dynoxide must look at it.
    fn of(raw: &RawValue, table: &Table) -> Option<Self> {
        struct Whole<'t>(&'t Table);
        impl<'de> Visitor<'de> for Whole<'_> {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an item")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
                let table = self.0;
                let (mut pk, mut sk, mut size) = (None, None, 0);
                let mut indexes = vec![None; table.indexes.len()];
                let mut is_bad = false;
                attributes(map, 1, |name, value| {
                    size += name.len() + value.size();
                    let mut key = |place: &mut Option<String>, most: usize| match &value {
                        Value::Text(text) if !text.is_empty() && text.len() <= most => {
                            *place = Some(text.clone().into_owned());
                        }
                        _ => is_bad = true,
                    };
                    if name == table.pk {
                        key(&mut pk, PK_BYTES);
                    } else if name == table.sk {
                        key(&mut sk, SK_BYTES);
                    }
                    for (place, index) in indexes.iter_mut().zip(&table.indexes) {
                        if name == index.pk {
                            key(place, PK_BYTES);
                        }
                    }
                })?;
                match (pk, sk) {
                    (Some(pk), Some(sk)) if !is_bad && size <= MAX_ITEM_SIZE => {
                        Ok(Item { pk, sk, indexes, json: String::new(), size })
                    }
                    _ => Err(de::Error::custom("no keys")),
                }
            }
        }
        let mut json = serde_json::Deserializer::from_str(raw.get());
        let mut item = json.deserialize_map(Whole(table)).ok()?;
        raw.get().clone_into(&mut item.json);
        Some(item)
    }
}

/// The puts of one request.
pub(crate) struct Puts {
    table: Arc<Table>,
    items: Vec<Item>,
    capacity: Capacity,
}

/// Whether the reply has the write units.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Capacity {
    None,
    Total,
}

impl Capacity {
    fn of(asked: Option<&str>) -> Option<Self> {
        match asked {
            None | Some("NONE") => Some(Self::None),
            Some("TOTAL") => Some(Self::Total),
            Some(_) => None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Consumed<'a> {
    table_name: &'a str,
    capacity_units: f64,
}

impl Puts {
    /// Reads a `PutItem`, if it is one of these.
    pub(crate) fn of_put_item(body: &[u8], catalog: &Catalog) -> Option<Self> {
        let put: PutItem<'_> = serde_json::from_slice(body).ok()?;
        let table = catalog.table(&put.table_name)?;
        let capacity = Capacity::of(put.return_consumed_capacity.as_deref())?;
        let items = vec![Item::of(put.item, &table)?];
        Some(Self { table, items, capacity })
    }

    /// Reads a `BatchWriteItem`, if it is one of these.
    pub(crate) fn of_batch(body: &[u8], catalog: &Catalog) -> Option<Self> {
        let batch: BatchWriteItem<'_> = serde_json::from_slice(body).ok()?;
        let table = catalog.table(&batch.request_items.table)?;
        let capacity = Capacity::of(batch.return_consumed_capacity.as_deref())?;
        let writes = batch.request_items.writes;
        if !(1..=ITEMS).contains(&writes.len()) {
            return None;
        }
        let items =
            writes.into_iter().map(|write| Item::of(write.put_request.item, &table)).collect::<Option<Vec<_>>>()?;
        let mut keys: Vec<_> = items.iter().map(|item| (&item.pk, &item.sk)).collect();
        keys.sort_unstable();
        let is_twice = keys.windows(2).any(|two| two[0] == two[1]);
        (!is_twice).then_some(Self { table, items, capacity })
    }

    /// How much work they are, in the writer's weight.
    pub(crate) fn weight(&self) -> usize {
        self.items.iter().map(|item| (item.json.len() / 1024).max(1)).sum()
    }

    /// Stores them. Returns the write units.
    pub(crate) fn store(self, desk: &mut Desk) -> Result<Stored, DynoxideError> {
        let mut units = 0.0;
        for item in &self.items {
            units += store(&self.table, item, desk)?;
        }
        Ok(Stored { table: self.table, units, capacity: self.capacity })
    }
}

/// What is told of stored puts.
pub(crate) struct Stored {
    table: Arc<Table>,
    units: f64,
    capacity: Capacity,
}

impl Stored {
    /// The reply to a `PutItem`.
    pub(crate) fn put_item(&self) -> String {
        self.consumed().map_or_else(|| "{}".to_owned(), |consumed| format!(r#"{{"ConsumedCapacity":{consumed}}}"#))
    }

    /// The reply to a `BatchWriteItem`.
    pub(crate) fn batch(&self) -> String {
        let consumed =
            self.consumed().map_or_else(String::new, |consumed| format!(r#","ConsumedCapacity":[{consumed}]"#));
        format!(r#"{{"UnprocessedItems":{{}}{consumed}}}"#)
    }

    fn consumed(&self) -> Option<String> {
        let consumed = Consumed { table_name: &self.table.name, capacity_units: self.units };
        (self.capacity == Capacity::Total).then(|| serde_json::to_string(&consumed).unwrap_or_default())
    }
}

/// Stores an item. Returns the write units.
fn store(table: &Table, item: &Item, desk: &mut Desk) -> Result<f64, DynoxideError> {
    let of = table.quoted();
    let (pk, sk) = (format!("S:{}", item.pk), format!("S:{}", item.sk));
    let connection = desk.connection();
    let prefix = compute_hash_prefix(&AttributeValue::S(item.pk.clone()));
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO {of} (pk, sk, item_json, item_size, hash_prefix) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING"
    ))?;
    let mut old: Option<(String, usize)> = None;
    if insert.execute(params![pk, sk, item.json, item.size, prefix])? == 0 {
        let mut select =
            connection.prepare_cached(&format!("SELECT item_json, item_size FROM {of} WHERE pk = ?1 AND sk = ?2"))?;
        old = select.query_row(params![pk, sk], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let mut update = connection.prepare_cached(&format!(
            "UPDATE {of} SET item_json = ?3, item_size = ?4, hash_prefix = ?5 WHERE pk = ?1 AND sk = ?2"
        ))?;
        update.execute(params![pk, sk, item.json, item.size, prefix])?;
    }
    let mut units = table_write_capacity_units(old.as_ref().map(|(_, size)| *size), Some(item.size));
    for (index, key) in table.indexes.iter().zip(&item.indexes) {
        units += index_units(index, old.as_ref(), key.as_deref(), item);
    }
    drop(insert);
    if table.stream {
        record(table, item, old.as_ref().map(|(json, _)| json.as_str()), desk)?;
    }
    Ok(units)
}

/// The write units of an index: those of what changes in it.
fn index_units(index: &Index, old: Option<&(String, usize)>, key: Option<&str>, item: &Item) -> f64 {
    let new = key.map(|_| write_capacity_units(item.size));
    let Some((json, size)) = old else { return new.unwrap_or(0.0) };
    let was: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let old_key = was[&index.pk]["S"].as_str();
    let old = old_key.map(|_| write_capacity_units(*size));
    match (old, new) {
        (Some(old), Some(new)) if old_key != key => old + new,
        (Some(_), Some(_)) if serde_json::from_str::<serde_json::Value>(&item.json).is_ok_and(|is| is == was) => 0.0,
        (Some(old), Some(new)) => old.max(new),
        (old, new) => old.or(new).unwrap_or(0.0),
    }
}

fn json_text(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}

/// Writes a put into the stream.
fn record(table: &Table, item: &Item, old: Option<&str>, desk: &mut Desk) -> Result<(), DynoxideError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let floor = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let next = match desk.sequences.get(&table.name) {
        Some(last) => floor.max(last + 1),
        None => desk.storage.next_stream_sequence_number(&table.name)?,
    };
    let key = |name: &str, text: &str| Some(format!("{}:{{\"S\":{}}}", json_text(name)?, json_text(text)?));
    let keys = key(&table.pk, &item.pk).zip(key(&table.sk, &item.sk));
    let keys = keys.map_or_else(String::new, |(pk, sk)| format!("{{{pk},{sk}}}"));
    let mut insert = desk.connection().prepare_cached(
        "INSERT INTO _stream_records
         (table_name, event_name, keys_json, new_image, old_image, sequence_number, shard_id, created_at, event_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let event = if old.is_some() { "MODIFY" } else { "INSERT" };
    let id = format!("{:032x}", rand::random::<u128>());
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    insert.execute(params![
        table.name,
        event,
        keys,
        item.json,
        old,
        next.to_string(),
        shard_id(&table.name),
        seconds,
        id
    ])?;
    drop(insert);
    desk.sequences.insert(table.name.clone(), next);
    Ok(())
}
