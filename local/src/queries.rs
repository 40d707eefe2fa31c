//! Reads that return items as they are stored: as JSON, which is copied into the reply.
//!
//! dynoxide 3.2.0 parses each item to measure and filter it, copies it, and writes it as JSON again. Here an item is looked
//! into only for a filter or a projection, without parsing what neither asks for. Every request in another form than those
//! of the store goes to dynoxide.
//! `tests::queries_are_those_of_dynoxide` compares the two.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::sync::Arc;

use dynoxide::DynoxideError;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::{decode_shard_iterator, encode_shard_iterator};
use dynoxide::storage::Storage;
use dynoxide::types::read_capacity_units_with_consistency;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::catalog::{Catalog, Index, Table};
use crate::pages::{PAGE_BYTES, PAGE_RECORDS};

/// A text as DynamoDB's JSON has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Text<'a> {
    #[serde(rename = "S", borrow)]
    text: Cow<'a, str>,
}

type Texts<'a> = HashMap<Cow<'a, str>, Text<'a>>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetItem<'a> {
    table_name: Cow<'a, str>,
    #[serde(borrow)]
    key: Texts<'a>,
    #[serde(default)]
    consistent_read: bool,
    #[serde(default)]
    return_consumed_capacity: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query<'a> {
    table_name: Cow<'a, str>,
    #[serde(default)]
    index_name: Option<Cow<'a, str>>,
    key_condition_expression: Cow<'a, str>,
    #[serde(default)]
    filter_expression: Option<Cow<'a, str>>,
    #[serde(default)]
    projection_expression: Option<Cow<'a, str>>,
    #[serde(default)]
    expression_attribute_names: HashMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    expression_attribute_values: Texts<'a>,
    #[serde(default = "forward")]
    scan_index_forward: bool,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default, borrow)]
    exclusive_start_key: Option<Texts<'a>>,
    #[serde(default)]
    consistent_read: bool,
    #[serde(default)]
    return_consumed_capacity: Option<Cow<'a, str>>,
}

fn forward() -> bool {
    true
}

/// Whether the reply has the read units; `None` for what dynoxide answers.
fn wants_units(asked: Option<&str>) -> Option<bool> {
    match asked {
        None | Some("NONE") => Some(false),
        Some("TOTAL") => Some(true),
        Some(_) => None,
    }
}

/// A read of one item.
pub(crate) struct Get {
    table: Arc<Table>,
    pk: String,
    sk: String,
    consistent: bool,
    units: bool,
}

impl Get {
    /// Reads a `GetItem`, if it is one of these.
    pub(crate) fn of(body: &[u8], catalog: &Catalog) -> Option<Self> {
        let get: GetItem<'_> = serde_json::from_slice(body).ok()?;
        let table = catalog.table(&get.table_name)?;
        let units = wants_units(get.return_consumed_capacity.as_deref())?;
        if get.key.len() != 2 {
            return None;
        }
        let key = |name: &str| key_text(&get.key.get(name)?.text);
        let (pk, sk) = (key(&table.pk)?, key(&table.sk)?);
        Some(Self { table, pk, sk, consistent: get.consistent_read, units })
    }

    /// The reply.
    pub(crate) fn run(&self, connection: &Connection) -> Result<String, DynoxideError> {
        let sql = format!("SELECT item_json, item_size FROM {} WHERE pk = ?1 AND sk = ?2", self.table.quoted());
        let mut select = connection.prepare_cached(&sql)?;
        let mut reply = String::from("{");
        let found = select.query_row([&self.pk, &self.sk], |row| {
            reply.push_str("\"Item\":");
            reply.push_str(text(row, 0)?);
            row.get::<_, usize>(1)
        });
        let size = found.optional()?;
        if self.units {
            if size.is_some() {
                reply.push(',');
            }
            push_units(&mut reply, &self.table.name, size.unwrap_or(0), self.consistent);
        }
        reply.push('}');
        Ok(reply)
    }
}

/// A key in dynoxide's format. `None` for one that it refuses.
fn key_text(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= 1_024).then(|| format!("S:{text}"))
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r str> {
    Ok(row.get_ref(column)?.as_str()?)
}

fn push_units(reply: &mut String, table: &str, size: usize, consistent: bool) {
    let units = read_capacity_units_with_consistency(size, consistent);
    // The name of a table needs no escapes. Writing to a `String` cannot fail.
    let _ = write!(reply, r#""ConsumedCapacity":{{"TableName":"{table}","CapacityUnits":{units:?}}}"#);
}

/// A page of a partition.
pub(crate) struct Page {
    table: Arc<Table>,
    /// Which index it reads.
    index: Option<usize>,
    pk: String,
    /// The sort keys to read, inclusive.
    first: Option<String>,
    last: Option<String>,
    /// The keys after which it begins: the sort key, and in an index the key in the table.
    after: Option<[String; 2]>,
    forward: bool,
    limit: Option<usize>,
    consistent: bool,
    units: bool,
    chosen: Chosen,
}

/// What of the items is returned.
#[derive(Default)]
struct Chosen {
    /// Attributes, and the texts that each may have.
    conditions: Vec<(String, Vec<String>)>,
    /// The attributes to return, sorted; `None` for all.
    only: Option<Vec<String>>,
}

impl Chosen {
    /// Reads a filter and a projection. Adds the placeholders that they use. `None` for what dynoxide answers.
    fn of<'q>(query: &'q Query<'_>, keys: &[&String], used: &mut BTreeSet<&'q str>) -> Option<Self> {
        let mut chosen = Self::default();
        let name = |placeholder: &str| query.expression_attribute_names.get(placeholder).map(ToString::to_string);
        if let Some(filter) = &query.filter_expression {
            for condition in filter.split(" AND ") {
                let (attribute, values) = condition.split_once(' ')?;
                let values: Vec<_> = match values.split_once(' ')? {
                    ("=", value) => vec![value],
                    ("IN", list) => list.strip_prefix('(')?.strip_suffix(')')?.split(',').collect(),
                    _ => return None,
                };
                used.insert(attribute);
                used.extend(&values);
                let texts =
                    values.iter().map(|value| Some(query.expression_attribute_values.get(*value)?.text.to_string()));
                let attribute = name(attribute)?;
                // DynamoDB refuses these.
                if keys.contains(&&attribute) {
                    return None;
                }
                chosen.conditions.push((attribute, texts.collect::<Option<_>>()?));
            }
        }
        if let Some(projection) = &query.projection_expression {
            let placeholders: Vec<_> = projection.split(',').collect();
            used.extend(&placeholders);
            let mut only = placeholders.into_iter().map(name).collect::<Option<Vec<_>>>()?;
            only.sort_unstable();
            // DynamoDB refuses paths that overlap.
            if only.windows(2).any(|two| two[0] == two[1]) {
                return None;
            }
            chosen.only = Some(only);
        }
        Some(chosen)
    }

    /// Appends what is returned of an item. Returns whether it matches.
    fn push(&self, reply: &mut String, count: usize, item: &str) -> Result<bool, DynoxideError> {
        let comma = if count > 0 { "," } else { "" };
        if self.conditions.is_empty() && self.only.is_none() {
            reply.push_str(comma);
            reply.push_str(item);
            return Ok(true);
        }
        let before = reply.len();
        reply.push_str(comma);
        let looked = Looked { chosen: self, reply, met: 0 };
        let is_met = serde_json::Deserializer::from_str(item)
            .deserialize_map(looked)
            .map_err(|e| DynoxideError::InternalServerError(e.to_string()))?;
        if !is_met {
            reply.truncate(before);
        } else if self.only.is_none() {
            reply.push_str(item);
        }
        Ok(is_met)
    }
}

/// Looks into an item. Whether all conditions are met.
struct Looked<'r> {
    chosen: &'r Chosen,
    reply: &'r mut String,
    met: usize,
}

impl<'de> Visitor<'de> for Looked<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        let Chosen { conditions, only } = self.chosen;
        let mut open = '{';
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let name = name.0.as_ref();
            let condition = conditions.iter().find(|(attribute, _)| attribute == name);
            let is_wanted = only.as_ref().is_some_and(|only| only.binary_search_by(|o| o.as_str().cmp(name)).is_ok());
            if condition.is_none() && !is_wanted {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&RawValue>()?.get();
            if let Some((_, texts)) = condition {
                let is_met = serde_json::from_str::<Text<'_>>(value)
                    .is_ok_and(|value| texts.iter().any(|text| *text == value.text));
                self.met += usize::from(is_met);
            }
            if is_wanted {
                self.reply.push(open);
                open = ',';
                push_text(self.reply, name);
                self.reply.push(':');
                self.reply.push_str(value);
            }
        }
        if only.is_some() {
            self.reply.push_str(if open == '{' { "{}" } else { "}" });
        }
        Ok(self.met == conditions.len())
    }
}

/// The name of an attribute. Borrows where the JSON has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Writes a JSON text.
fn push_text(reply: &mut String, text: &str) {
    reply.push_str(&serde_json::to_string(text).unwrap_or_default());
}

impl Page {
    /// Reads a `Query`, if it is one of these.
    pub(crate) fn of(body: &[u8], catalog: &Catalog) -> Option<Self> {
        let query: Query<'_> = serde_json::from_slice(body).ok()?;
        let table = catalog.table(&query.table_name)?;
        let units = wants_units(query.return_consumed_capacity.as_deref())?;
        let index = match &query.index_name {
            None => None,
            Some(name) => Some(table.indexes.iter().position(|index| index.name == *name)?),
        };
        let hash = index.map_or(&table.pk, |index| &table.indexes[index].pk);
        let words: Vec<&str> = query.key_condition_expression.split(' ').collect();
        let (names, values) = match words[..] {
            [key, "=", pk] => (vec![(key, hash)], (pk, None)),
            [key, "=", pk, "AND", sort, "BETWEEN", first, "AND", last] => {
                (vec![(key, hash), (sort, &table.sk)], (pk, Some((first, last))))
            }
            _ => return None,
        };
        let is_used = |(placeholder, name): &(&str, &String)| {
            placeholder.starts_with('#')
                && query.expression_attribute_names.get(*placeholder).is_some_and(|is| is == *name)
        };
        if !names.iter().all(is_used) {
            return None;
        }
        let mut used: BTreeSet<&str> = words.iter().copied().filter(|word| word.starts_with(['#', ':'])).collect();
        let chosen = Chosen::of(&query, &[hash, &table.sk], &mut used)?;
        let named = query.expression_attribute_names.keys().chain(query.expression_attribute_values.keys());
        // DynamoDB refuses placeholders that are not used.
        if named.clone().any(|placeholder| !used.contains(placeholder.as_ref())) || named.count() != used.len() {
            return None;
        }
        let value = |placeholder: &str| key_text(&query.expression_attribute_values.get(placeholder)?.text);
        let (pk, range) = values;
        let pk = value(pk)?;
        let (first, last) = match range {
            None => (None, None),
            Some((first, last)) => (Some(value(first)?), Some(value(last)?)),
        };
        let is_consistent_index = index.is_some() && query.consistent_read;
        if first > last || is_consistent_index {
            return None;
        }
        let limit = match query.limit {
            Some(0) => return None,
            limit => limit.map(usize::try_from).transpose().ok()?,
        };
        let mut page = Self {
            index,
            pk,
            first,
            last,
            after: None,
            forward: query.scan_index_forward,
            limit,
            consistent: query.consistent_read,
            units,
            chosen,
            table,
        };
        if let Some(after) = &query.exclusive_start_key {
            page.after = Some(page.start(after)?);
        }
        Some(page)
    }

    /// Where a page begins that follows another. `None` for a key that dynoxide refuses.
    fn start(&self, after: &Texts<'_>) -> Option<[String; 2]> {
        let key = |name: &str| key_text(&after.get(name)?.text);
        let (pk, sk) = (key(&self.table.pk)?, key(&self.table.sk)?);
        let (partition, names) = match self.index {
            None => (pk.clone(), 2),
            Some(index) => (key(&self.table.indexes[index].pk)?, 3),
        };
        let is_within =
            self.first.as_ref().is_none_or(|first| sk >= *first) && self.last.as_ref().is_none_or(|last| sk <= *last);
        (after.len() == names && partition == self.pk && is_within).then_some([sk, pk])
    }

    /// The reply.
    pub(crate) fn run(&self, connection: &Connection) -> Result<String, DynoxideError> {
        let index = self.index.map(|index| &self.table.indexes[index]);
        let (order, beyond) = if self.forward { ("ASC", ">") } else { ("DESC", "<") };
        let of = self.table.quoted();
        let (partition, mut sql) = match index {
            None => ("pk".to_owned(), String::new()),
            Some(index) => (index.key(), format!(" AND {}", index.members())),
        };
        let mut values: Vec<&dyn ToSql> = vec![&self.pk];
        for (bound, compare) in [(&self.first, ">="), (&self.last, "<=")] {
            if let Some(bound) = bound {
                values.push(bound);
                let _ = write!(sql, " AND sk {compare} ?{}", values.len());
            }
        }
        if let Some([sk, pk]) = &self.after {
            values.push(sk);
            let _ = if index.is_some() {
                values.push(pk);
                write!(sql, " AND (sk, pk) {beyond} (?{}, ?{})", values.len() - 1, values.len())
            } else {
                write!(sql, " AND sk {beyond} ?{}", values.len())
            };
        }
        let by = if index.is_some() { format!("sk {order}, pk {order}") } else { format!("sk {order}") };
        let mut select = connection.prepare_cached(&format!(
            "SELECT item_json, item_size, sk, pk FROM {of} WHERE {partition} = ?1{sql} ORDER BY {by}"
        ))?;
        let mut rows = select.query(values.as_slice())?;
        let mut reply = String::from(r#"{"Items":["#);
        let (mut count, mut scanned, mut size) = (0, 0, 0);
        let (mut sk, mut pk) = (String::new(), String::new());
        let mut has_more = false;
        while let Some(row) = rows.next()? {
            let item_size: usize = row.get(1)?;
            if scanned > 0 && size + item_size > PAGE_BYTES {
                has_more = true;
                break;
            }
            count += usize::from(self.chosen.push(&mut reply, count, text(row, 0)?)?);
            text(row, 2)?.clone_into(&mut sk);
            if index.is_some() {
                text(row, 3)?.clone_into(&mut pk);
            }
            size += item_size;
            scanned += 1;
            if self.limit == Some(scanned) {
                has_more = true;
                break;
            }
        }
        let _ = write!(reply, r#"],"Count":{count},"ScannedCount":{scanned}"#);
        if has_more && scanned > 0 {
            self.push_last(&mut reply, index, &sk, if index.is_some() { &pk } else { &self.pk });
        }
        if self.units {
            reply.push(',');
            push_units(&mut reply, &self.table.name, size, self.consistent);
        }
        reply.push('}');
        Ok(reply)
    }

    /// The last key of a page that others follow.
    fn push_last(&self, reply: &mut String, index: Option<&Index>, sk: &str, pk: &str) {
        let of_index = index.map(|index| (index.pk.as_str(), self.pk.as_str()));
        let keys = [Some((self.table.pk.as_str(), pk)), Some((self.table.sk.as_str(), sk)), of_index];
        let keys: HashMap<&str, Text<'_>> = keys
            .into_iter()
            .flatten()
            .map(|(name, key)| (name, Text { text: Cow::Borrowed(key.strip_prefix("S:").unwrap_or(key)) }))
            .collect();
        let keys = serde_json::to_string(&keys).unwrap_or_default();
        let _ = write!(reply, r#","LastEvaluatedKey":{keys}"#);
    }
}

/// The identity of a change, as dynoxide stores it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    r#type: String,
    principal_id: String,
}

/// The identity of a change made by the service itself. This uses the spelling of the streams API; dynoxide uses
/// Lambda's spelling, which the SDK ignores, so expired items would look like user deletions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PublicIdentity {
    principal_id: String,
    r#type: String,
}

/// A sequence number as dynoxide's `format_sequence_number` shows it.
pub(crate) fn public_sequence(stored: i64) -> String {
    (100_000_000_000_000_000_000 + u128::try_from(stored).unwrap_or(0)).to_string()
}

/// A page of a stream: as many records as fit into 1 MB, but at least one, because a record larger than a page would
/// otherwise block its stream. dynoxide limits only the number of records, each of which may exceed 400 KB. `None` where
/// dynoxide must answer: it orders sets in a way of its own.
pub(crate) fn records(storage: &Storage, request: &GetRecordsRequest) -> Result<Option<String>, DynoxideError> {
    let limit = request.limit.unwrap_or(PAGE_RECORDS).clamp(1, PAGE_RECORDS);
    let Some((table, shard, mut position)) = decode_shard_iterator(&request.shard_iterator) else { return Ok(None) };
    let Some(definition) = storage.get_table_metadata(&table)? else { return Ok(None) };
    let view = definition.stream_view_type.as_deref().unwrap_or("NEW_AND_OLD_IMAGES");
    let mut select = storage.conn().prepare_cached(
        "SELECT event_name, keys_json, new_image, old_image, CAST(sequence_number AS INTEGER), created_at,
             user_identity, COALESCE(event_id, sequence_number)
         FROM _stream_records
         WHERE table_name = ?1 AND shard_id = ?2 AND CAST(sequence_number AS INTEGER) > ?3
         ORDER BY CAST(sequence_number AS INTEGER) LIMIT ?4",
    )?;
    let mut rows = select.query(params![table, shard, position, limit])?;
    let mut reply = String::from(r#"{"Records":["#);
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        let image = |column| {
            row.get_ref(column).map(|value| match value {
                ValueRef::Text(text) => std::str::from_utf8(text).ok(),
                _ => None,
            })
        };
        let (keys, new, old) = (text(row, 1)?, image(2)?, image(3)?);
        let size = keys.len() + new.map_or(0, str::len) + old.map_or(0, str::len);
        bytes += size;
        if count > 0 && bytes > PAGE_BYTES {
            break;
        }
        if [new, old].into_iter().flatten().any(has_set) {
            return Ok(None);
        }
        if count > 0 {
            reply.push(',');
        }
        count += 1;
        position = row.get(4)?;
        let sequence = public_sequence(position);
        let (event, id, at) = (text(row, 0)?, text(row, 7)?, row.get::<_, i64>(5)?);
        // Writing to a `String` cannot fail. None of these texts needs escapes.
        let _ = write!(
            reply,
            r#"{{"eventID":"{id}","eventName":"{event}","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"dynoxide","dynamodb":{{"ApproximateCreationDateTime":{at}.0,"Keys":{keys}"#
        );
        for (name, image) in [("NewImage", new), ("OldImage", old)] {
            if let Some(image) = image {
                let _ = write!(reply, r#","{name}":{image}"#);
            }
        }
        let _ = write!(reply, r#","SequenceNumber":"{sequence}","SizeBytes":{size},"StreamViewType":"{view}"}}"#);
        if let Some(identity) = image(6)?.and_then(|identity| serde_json::from_str::<Identity>(identity).ok()) {
            let identity = PublicIdentity { principal_id: identity.principal_id, r#type: identity.r#type };
            let _ = write!(reply, r#","userIdentity":{}"#, serde_json::to_string(&identity).unwrap_or_default());
        }
        reply.push('}');
    }
    let next = encode_shard_iterator(&table, &shard, position);
    let _ = write!(reply, r#"],"NextShardIterator":"{next}"}}"#);
    Ok(Some(reply))
}

/// Whether an item in JSON has a set. Within a text the quotes would be escaped.
fn has_set(json: &str) -> bool {
    ["\"SS\":[", "\"NS\":[", "\"BS\":["].iter().any(|set| json.contains(set))
}
