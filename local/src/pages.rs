//! Limits how many rows dynoxide loads for one page.
//!
//! DynamoDB ends a page at 1 MB. dynoxide 3.2.0 first loads every row up to the request's `Limit`, or all remaining
//! rows, and then cuts the page. Reading a partition page by page is therefore quadratic, and a page of large items
//! takes hundreds of megabytes. This module first reads the sizes of the rows, and sets the `Limit` from them. SQLite
//! reads the sizes from the row headers without loading the rows.

use std::collections::HashMap;
use std::time::Duration;

use dynoxide::AttributeValue;
use dynoxide::actions::get_shard_iterator::decode_shard_iterator;
use dynoxide::actions::query::QueryRequest;
use rusqlite::{CachedStatement, Connection, ToSql, params};

/// How long a statement waits for a lock of another connection.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// Bytes of a page, as in DynamoDB.
pub(crate) const PAGE_BYTES: usize = 1024 * 1024;
/// JSON bytes of the rows that are loaded for a page. JSON is longer than the item size that DynamoDB counts. With room
/// for three times that size, pages of typical items end where DynamoDB's do.
const LOADED_BYTES: usize = 3 * PAGE_BYTES;
/// Maximum records in a page of a stream, as in DynamoDB.
pub(crate) const PAGE_RECORDS: usize = 1_000;
/// Rows that may be loaded without knowing their sizes.
const UNMEASURED_ROWS: usize = 100;
/// Row counts too small to be worth measuring.
const FEW_ROWS: usize = 8;

/// The sizes of stream records after a position.
const STREAM_SIZES: &str = "
    SELECT octet_length(keys_json) + COALESCE(octet_length(new_image), 0) + COALESCE(octet_length(old_image), 0)
    FROM _stream_records
    WHERE table_name = ?1 AND shard_id = ?2 AND CAST(sequence_number AS INTEGER) > ?3
    ORDER BY CAST(sequence_number AS INTEGER)
    LIMIT ?4";

/// How many stream records at a shard iterator make a page: as many as fit, but at least one, because a record
/// larger than a page would otherwise block its stream. Records written in the meantime come after them, so the
/// number stays correct.
pub(crate) fn of_stream(connection: &Connection, iterator: &str, limit: Option<usize>) -> rusqlite::Result<usize> {
    let most = limit.unwrap_or(PAGE_RECORDS).clamp(1, PAGE_RECORDS);
    // dynoxide reports the error.
    let Some((table, shard, position)) = decode_shard_iterator(iterator) else { return Ok(most) };
    with(connection, STREAM_SIZES, |statement| {
        let mut rows = statement.query(params![table, shard, position, most])?;
        let (mut records, mut bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            bytes += row.get::<_, usize>(0)?;
            if bytes > PAGE_BYTES {
                break;
            }
            records += 1;
        }
        Ok(records.max(1))
    })
}

/// The `Limit` with which a query loads only what a page needs, or `None` if all remaining rows fit in a page.
pub(crate) fn of_query(connection: &Connection, request: &QueryRequest) -> rusqlite::Result<Option<usize>> {
    let limit = request.limit;
    if limit.is_some_and(|limit| limit <= FEW_ROWS) {
        return Ok(limit);
    }
    let unmeasured = Some(limit.unwrap_or(UNMEASURED_ROWS).min(UNMEASURED_ROWS));
    let Some(Start { partition, from }) = Start::of(request) else { return Ok(unmeasured) };
    let statement = sizes(request, from.is_some());
    let most = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(-1));
    let fits = with(connection, &statement, |statement| {
        let with_bound: [&dyn ToSql; 3] = [&partition, &most, &from];
        let mut rows = statement.query(if from.is_some() { &with_bound[..] } else { &with_bound[..2] })?;
        let (mut count, mut bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            bytes += row.get::<_, usize>(0)?;
            if bytes > LOADED_BYTES {
                return Ok(Some(count));
            }
        }
        Ok(None)
    });
    match fits {
        Ok(Some(fits)) => Ok(Some(limit.map_or(fits, |limit| limit.min(fits)))),
        Ok(None) => Ok(limit),
        // If the table or index does not exist, dynoxide reports it.
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == rusqlite::ErrorCode::Unknown => Ok(unmeasured),
        Err(error) => Err(error),
    }
}

/// The `Limit` of a scan. Its rows are not measured, because Tally itself never scans.
pub(crate) fn of_scan(limit: Option<usize>) -> usize {
    limit.unwrap_or(UNMEASURED_ROWS).min(UNMEASURED_ROWS)
}

fn with<T>(
    connection: &Connection,
    statement: &str,
    run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let mut statement = connection.prepare_cached(statement)?;
    run(&mut statement)
}

/// The sizes of the rows of a partition in the order in which a query reads them.
fn sizes(request: &QueryRequest, from: bool) -> String {
    let (table, partition, sort) = match &request.index_name {
        None => (request.table_name.clone(), "pk", "sk"),
        Some(index) => (format!("{}::gsi::{index}", request.table_name), "gsi_pk", "gsi_sk"),
    };
    let table = table.replace('"', "\"\"");
    let (order, compare) = if request.scan_index_forward { ("ASC", ">=") } else { ("DESC", "<=") };
    let bound = if from { format!("AND {sort} {compare} ?3") } else { String::new() };
    format!(
        "SELECT octet_length(item_json) FROM \"{table}\" WHERE {partition} = ?1 {bound} ORDER BY {sort} {order} LIMIT ?2"
    )
}

/// Where a query begins to read, in dynoxide's key format.
#[derive(Debug, PartialEq, Eq)]
struct Start {
    partition: String,
    from: Option<String>,
}

impl Start {
    /// The start of a query whose condition has one of the forms that the store uses; `None` for other forms.
    fn of(request: &QueryRequest) -> Option<Self> {
        let words: Vec<&str> = request.key_condition_expression.as_deref()?.split_whitespace().collect();
        let (partition, sort, lower, upper) = match words[..] {
            [_, "=", partition] => (partition, None, None, None),
            [_, "=", partition, "AND", sort, ">" | ">=", from] => (partition, Some(sort), Some(from), None),
            [_, "=", partition, "AND", sort, "<" | "<=", to] => (partition, Some(sort), None, Some(to)),
            [_, "=", partition, "AND", sort, "BETWEEN", from, "AND", to] => {
                (partition, Some(sort), Some(from), Some(to))
            }
            _ => return None,
        };
        let values = request.expression_attribute_values.as_ref()?;
        let value = |name: &str| values.get(name).and_then(AttributeValue::to_key_string);
        let bound = if request.scan_index_forward { lower } else { upper };
        // A later page begins after the last key of the previous page, which lies within the condition.
        let after = match request.exclusive_start_key_raw.as_ref().filter(|key| !key.is_null()) {
            None => None,
            Some(key) => {
                let name = sort.and_then(|sort| attribute(request.expression_attribute_names.as_ref(), sort));
                let key: HashMap<String, AttributeValue> = serde_json::from_value(key.clone()).ok()?;
                // Without a condition on the sort key, assume the name that every table here uses.
                Some(key.get(name.unwrap_or("sk"))?.to_key_string()?)
            }
        };
        let from = match (after, bound) {
            (Some(after), _) => Some(after),
            (None, Some(bound)) => Some(value(bound)?),
            (None, None) => None,
        };
        Some(Self { partition: value(partition)?, from })
    }
}

/// The attribute that a token of an expression refers to.
fn attribute<'a>(names: Option<&'a HashMap<String, String>>, word: &'a str) -> Option<&'a str> {
    if word.starts_with('#') { names?.get(word).map(String::as_str) } else { Some(word) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::embedded::Embedded;

    fn request(condition: &str, more: &Value) -> QueryRequest {
        let mut request = json!({
            "TableName": "things", "KeyConditionExpression": condition, "ExpressionAttributeNames": {"#pk": "pk", "#sk": "sk"},
            "ExpressionAttributeValues": {":pk": {"S": "p"}, ":a": {"S": "a"}, ":z": {"S": "z"}},
        });
        for (name, value) in more.as_object().expect("an object") {
            request[name] = value.clone();
        }
        serde_json::from_value(request).expect("a query")
    }

    #[test]
    fn a_query_begins_at_its_bound_or_after_the_page_before() {
        let start = |condition: &str, more: Value| {
            Start::of(&request(condition, &more)).map(|start| (start.partition, start.from.unwrap_or_default()))
        };
        let at = |from: &str| Some(("S:p".to_owned(), from.to_owned()));
        let between = "#pk = :pk AND #sk BETWEEN :a AND :z";
        assert_eq!(start("#pk = :pk", json!({})), at(""));
        assert_eq!(start("#pk = :pk AND #sk > :a", json!({})), at("S:a"));
        assert_eq!(start("#pk = :pk AND #sk <= :z", json!({})), at(""));
        assert_eq!(start(between, json!({})), at("S:a"));
        assert_eq!(start(between, json!({"ScanIndexForward": false})), at("S:z"));
        let after = json!({"ExclusiveStartKey": {"pk": {"S": "p"}, "sk": {"S": "k"}}});
        assert_eq!(start(between, after.clone()), at("S:k"));
        assert_eq!(start("#pk = :pk", after), at("S:k"));
        assert_eq!(start("begins_with(#sk, :a) AND #pk = :pk", json!({})), None);
        assert_eq!(start("#pk = :none", json!({})), None);
    }

    #[test]
    fn a_query_loads_no_more_than_a_page_needs() {
        let embedded = Embedded::temporary().expect("a database");
        let direct = embedded.direct();
        let ask = |operation: &str, body: Value| -> Value {
            let (status, reply) = direct.answer_to(operation, body.to_string().as_bytes());
            assert_eq!(status, 200, "{reply}");
            serde_json::from_str(&reply).expect("JSON")
        };
        let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let key = |hash: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]);
        ask(
            "CreateTable",
            json!({"TableName": "things", "KeySchema": key("pk"), "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [text("pk"), text("sk"), text("g")],
                "GlobalSecondaryIndexes":
                    [{"IndexName": "by_g", "KeySchema": key("g"), "Projection": {"ProjectionType": "ALL"}}]}),
        );
        for n in 0..40 {
            let size = if n < 20 { 300_000 } else { 1_000 };
            let item = json!({"pk": {"S": "p"}, "sk": {"S": format!("k{n:02}")}, "g": {"S": "p"},
                "x": {"S": "x".repeat(size)}});
            ask("PutItem", json!({"TableName": "things", "Item": item}));
        }
        let connection = embedded.connect().expect("the same database");
        let limit = |condition: &str, more: Value| of_query(&connection, &request(condition, &more)).expect("a limit");
        let (all, large) = ("#pk = :pk", 3 * PAGE_BYTES / 300_000 + 1);
        assert_eq!(limit(all, json!({})), Some(large));
        assert_eq!(limit(all, json!({"IndexName": "by_g"})), Some(large));
        assert_eq!(limit(all, json!({"Limit": 9})), Some(9));
        assert_eq!(limit(all, json!({"Limit": 1_000})), Some(large));
        assert_eq!(limit(all, json!({"ScanIndexForward": false})), Some(20 + large));
        let late = json!({"ExclusiveStartKey": {"pk": {"S": "p"}, "sk": {"S": "k19"}}});
        assert_eq!(limit(all, late.clone()), None, "what remains is a page");
        assert_eq!(limit("begins_with(#sk, :a) AND #pk = :pk", json!({"Limit": 1_000})), Some(UNMEASURED_ROWS));
        assert_eq!(limit(all, json!({"TableName": "nothing"})), Some(UNMEASURED_ROWS));

        // The pages themselves are those of DynamoDB.
        let mut from = Value::Null;
        let mut pages = vec![];
        loop {
            let page = ask(
                "Query",
                json!({"TableName": "things", "KeyConditionExpression": "pk = :pk", "ExclusiveStartKey": from,
                    "ExpressionAttributeValues": {":pk": {"S": "p"}}}),
            );
            pages.push(page["Count"].as_u64().expect("a count"));
            from = page["LastEvaluatedKey"].clone();
            if from.is_null() {
                break;
            }
        }
        assert_eq!(pages, [3, 3, 3, 3, 3, 3, 22]);
    }

    #[test]
    fn the_sizes_of_a_stream_are_found_by_its_index() {
        let embedded = Embedded::temporary().expect("a database");
        let plan = embedded
            .plan(&STREAM_SIZES.replace("?1", "'t'").replace("?2", "'s'").replace("?3", "5").replace("?4", "10"));
        assert!(plan.contains("tally_stream_by_table (table_name=? AND <expr>>?)"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn a_page_of_stream_records_is_held_to_a_size() {
        use dynoxide::actions::get_shard_iterator::encode_shard_iterator;
        let embedded = Embedded::temporary().expect("a database");
        let connection = embedded.connect().expect("the same file");
        // Bytes of the images; the keys are two more.
        for (n, (new, old)) in
            [(400_000, 0), (400_000, 0), (400_000, 0), (1_000, 2 * PAGE_BYTES), (9, 9)].iter().enumerate()
        {
            connection
                .execute(
                    "INSERT INTO _stream_records
                     (table_name, event_name, keys_json, new_image, old_image, sequence_number, shard_id, created_at)
                     VALUES ('events', 'MODIFY', '{}', ?1, ?2, ?3, 'shard', 0)",
                    params!["x".repeat(*new), "x".repeat(*old), n + 1],
                )
                .expect("a row");
        }
        let page = |after, limit| {
            of_stream(&connection, &encode_shard_iterator("events", "shard", after), limit).expect("a number")
        };
        assert_eq!([page(0, None), page(0, Some(1)), page(1, None), page(2, None)], [2, 1, 2, 1]);
        assert_eq!(page(3, None), 1, "one that is larger than a page is a page");
        assert_eq!([page(4, None), page(5, None)], [1, 1], "at the end there is nothing to cut");
        assert_eq!([page(0, Some(0)), of_stream(&connection, "nonsense", Some(5_000)).expect("a number")], [1, 1_000]);
    }
}
