//! Work that DynamoDB does by itself: deleting expired items and old stream records. Also releases free space in the
//! file.
//!
//! dynoxide's own sweep reads every item of every table. This module reads only expired items, through an index on the
//! expiry time. It deletes them with dynoxide's storage layer, so that indexes and the stream are updated as usual. The
//! writer does all of it, in pieces short enough not to disturb requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dynoxide::storage::Storage;
use dynoxide::streams::{extract_keys, shard_id};
use dynoxide::{DynoxideError, Item, TableMetadata};
use rusqlite::params;
use serde::Deserialize;

use crate::writer::{Desk, Writer};

/// Longest pause after a piece of work.
const LONGEST_TURN: Duration = Duration::from_millis(100);
/// Maximum items that one transaction deletes.
const ITEMS: usize = 50;
/// Maximum stream records that one transaction deletes.
const RECORDS: usize = 200;
/// Maximum bytes that one transaction deletes, not counting the last item or record. Each is overwritten.
const BYTES: usize = 2 * 1024 * 1024;
/// Pages that one transaction releases.
const PAGES: i64 = 256;
/// Free pages of 4 KB that are always kept for the next writes.
const SPARE_PAGES: i64 = 1_024;
/// The fraction of the file that may be free.
const SPARE_PART: i64 = 8;
/// The identity that stream records give for deletions of expired items.
const TTL_IDENTITY: &str = r#"{"type":"Service","principalId":"dynamodb.amazonaws.com"}"#;

/// Keeps a database small.
pub struct Housekeeping {
    writer: Arc<Writer>,
    stopped: AtomicBool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
}

impl Housekeeping {
    /// The housekeeping of a database whose tables exist. Creates the indexes that it needs.
    pub(crate) fn open(writer: Arc<Writer>) -> Result<Self, DynoxideError> {
        let made = writer.alone(|desk| {
            for table in desk.storage.list_ttl_enabled_tables()? {
                let Some(expiry) = Expiry::of(&table) else { continue };
                desk.connection().execute_batch(&expiry.index())?;
            }
            Ok(())
        });
        made.get_blocking()?;
        Ok(Self { writer, stopped: AtomicBool::new(false) })
    }

    /// Stops the current work after its transaction.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Has the writer do a piece of work in a transaction, then leaves it to requests for as long as that took.
    fn in_turn<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&mut Desk) -> Result<T, DynoxideError> + Send + 'static,
    ) -> Result<T, DynoxideError> {
        let (done, took) = self.writer.together(weight, move |desk| timed(|| work(desk))).get_blocking()?;
        std::thread::sleep(took.min(LONGEST_TURN));
        Ok(done)
    }

    /// Deletes expired items, as DynamoDB does by itself. Returns how many.
    pub fn delete_expired(&self) -> Result<usize, DynoxideError> {
        let mut deleted = 0;
        let tables = self.writer.together(1, |desk| desk.storage.list_ttl_enabled_tables()).get_blocking()?;
        for table in tables {
            let Some(expiry) = Expiry::of(&table) else { continue };
            let (table, expiry) = (Arc::new(table), Arc::new(expiry));
            loop {
                let (table, expiry) = (Arc::clone(&table), Arc::clone(&expiry));
                let some = self.in_turn(ITEMS, move |desk| {
                    desk.sequences.clear();
                    delete_some_expired(&desk.storage, &table, &expiry)
                })?;
                deleted += some;
                if some == 0 || self.is_stopped() {
                    break;
                }
            }
        }
        Ok(deleted)
    }

    /// Deletes the stream records of a table before a counted one, and the contents of that one. Its row stays: the
    /// next sequence number is one above the highest, and must never fall below a checkpoint.
    pub fn delete_counted(&self, table: &str, counted: &str) -> Result<usize, DynoxideError> {
        let Some(counted) = stored_sequence(counted) else { return Ok(0) };
        let mut deleted = 0;
        loop {
            let table = table.to_owned();
            let some = self.in_turn(RECORDS, move |desk| delete_some_counted(&desk.storage, &table, counted))?;
            deleted += some;
            if some == 0 || self.is_stopped() {
                break;
            }
        }
        let table = table.to_owned();
        let emptied = self.writer.together(1, move |desk| {
            // As a deletion by the service, it matches none of Tally's filters.
            let mut empty = desk.connection().prepare_cached(
                "UPDATE _stream_records
                 SET event_name = 'REMOVE', keys_json = '{}', new_image = NULL, old_image = NULL, user_identity = ?3
                 WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) = ?2
                     AND (new_image IS NOT NULL OR old_image IS NOT NULL)",
            )?;
            Ok(empty.execute(params![table, counted, TTL_IDENTITY])?)
        });
        emptied.get_blocking()?;
        Ok(deleted)
    }

    /// Releases free space of the file, except for some that will soon be used again. Empties the write-ahead log,
    /// which still holds deleted data. Returns how many pages were released.
    pub fn shrink(&self) -> Result<i64, DynoxideError> {
        let mut given_back = 0;
        while !self.is_stopped() {
            let released = self.writer.alone(|desk| timed(|| release_some(&desk.storage)));
            let (released, took) = released.get_blocking()?;
            std::thread::sleep(took.min(LONGEST_TURN));
            if released == 0 {
                break;
            }
            given_back += released;
        }
        self.settle()?;
        Ok(given_back)
    }

    /// Moves the contents of the write-ahead log into the database file, so that the file is complete by itself.
    pub fn settle(&self) -> Result<(), DynoxideError> {
        self.writer.alone(|desk| checkpoint(&desk.storage)).get_blocking()
    }
}

fn timed<T>(work: impl FnOnce() -> Result<T, DynoxideError>) -> Result<(T, Duration), DynoxideError> {
    let started = Instant::now();
    Ok((work()?, started.elapsed()))
}

/// Releases some free pages of the file. Returns how many; 0 where no more than the spare ones are left.
fn release_some(storage: &Storage) -> Result<i64, DynoxideError> {
    let pragma = |name: &str| storage.conn().query_row(name, [], |row| row.get::<_, i64>(0));
    let spare = SPARE_PAGES.max(pragma("PRAGMA page_count")? / SPARE_PART);
    let free = pragma("PRAGMA freelist_count")?;
    if free <= spare {
        return Ok(0);
    }
    storage.conn().execute_batch(&format!("PRAGMA incremental_vacuum({})", PAGES.min(free - spare)))?;
    Ok((free - pragma("PRAGMA freelist_count")?).max(0))
}

fn delete_some_expired(storage: &Storage, table: &TableMetadata, expiry: &Expiry) -> Result<usize, DynoxideError> {
    let now = seconds();
    let mut statement = storage.conn().prepare_cached(&expiry.expired())?;
    let found = statement.query_map(params![now, ITEMS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (mut rows, mut bytes) = (vec![], 0);
    for row in found {
        let row: (String, String, String) = row?;
        bytes += row.2.len();
        rows.push(row);
        if bytes > BYTES {
            break;
        }
    }
    let indexes = table.gsi_definitions.as_deref().map_or(Ok(vec![]), serde_json::from_str::<Vec<Index>>);
    let indexes = indexes.map_err(|e| DynoxideError::InternalServerError(e.to_string()))?;
    let name = &table.table_name;
    for (pk, sk, json) in &rows {
        storage.delete_item(name, pk, sk)?;
        for index in &indexes {
            storage.delete_gsi_item(name, &index.index_name, pk, sk)?;
        }
        if table.stream_enabled {
            let item: Item =
                serde_json::from_str(json).map_err(|e| DynoxideError::InternalServerError(e.to_string()))?;
            let keys = serde_json::to_string(&extract_keys(&item, &table.key_schema));
            let keys = keys.map_err(|e| DynoxideError::InternalServerError(e.to_string()))?;
            let sequence = storage.next_stream_sequence_number(name)?.to_string();
            storage.insert_stream_record_with_identity(
                name,
                "REMOVE",
                &keys,
                None,
                Some(json),
                &sequence,
                &shard_id(name),
                now,
                Some(TTL_IDENTITY),
            )?;
        }
    }
    Ok(rows.len())
}

/// Deletes the oldest stream records of a table before a stored sequence number.
fn delete_some_counted(storage: &Storage, table: &str, counted: i64) -> Result<usize, DynoxideError> {
    let mut oldest = storage.conn().prepare_cached(
        "SELECT CAST(sequence_number AS INTEGER),
             COALESCE(octet_length(new_image), 0) + COALESCE(octet_length(old_image), 0)
         FROM _stream_records
         WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2
         ORDER BY CAST(sequence_number AS INTEGER) LIMIT ?3",
    )?;
    let mut rows = oldest.query(params![table, counted, RECORDS])?;
    let (mut last, mut bytes) = (None, 0);
    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, i64>(0)?);
        bytes += row.get::<_, usize>(1)?;
        if bytes > BYTES {
            break;
        }
    }
    drop(rows);
    let Some(last) = last else { return Ok(0) };
    let mut delete = storage.conn().prepare_cached(
        "DELETE FROM _stream_records WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) <= ?2",
    )?;
    Ok(delete.execute(params![table, last])?)
}

/// Moves the write-ahead log into the file and empties it. If a reader is active, this is left for the next time.
fn checkpoint(storage: &Storage) -> Result<(), DynoxideError> {
    // The first checkpoint lets others write and leaves little work for the second, which blocks them.
    for mode in ["PASSIVE", "TRUNCATE"] {
        storage.conn().query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
    }
    Ok(())
}

/// The expiry of a table's items.
struct Expiry {
    /// The expiry column as part of a statement.
    table: String,
    /// When an item expires; NULL if it never does.
    at: String,
}

impl Expiry {
    /// The expiry of a table with a TTL.
    fn of(table: &TableMetadata) -> Option<Self> {
        let attribute = table.ttl_attribute.as_deref()?;
        // The name becomes part of a statement.
        if !attribute.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        let table = table.table_name.replace('"', "\"\"");
        Some(Self { table, at: format!("CAST(json_extract(item_json, '$.{attribute}.N') AS INTEGER)") })
    }

    /// Creates the index on expiry, which covers only items that expire.
    fn index(&self) -> String {
        let Self { table, at } = self;
        format!("CREATE INDEX IF NOT EXISTS \"tally_expiry::{table}\" ON \"{table}\" ({at}) WHERE {at} IS NOT NULL")
    }

    /// Reads some items that expired before a time, oldest expiry first.
    fn expired(&self) -> String {
        let Self { table, at } = self;
        format!("SELECT pk, sk, item_json FROM \"{table}\" WHERE {at} IS NOT NULL AND {at} < ?1 ORDER BY {at} LIMIT ?2")
    }
}

/// The stored form of a sequence number, to which dynoxide's `format_sequence_number` adds 10^20.
pub(crate) fn stored_sequence(public: &str) -> Option<i64> {
    i64::try_from(public.parse::<u128>().ok()?.checked_sub(100_000_000_000_000_000_000)?).ok()
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::direct::Direct;
    use crate::embedded::Embedded;

    fn ask(direct: &Direct, operation: &str, body: &Value) -> Value {
        let (status, reply) = direct.answer_to(operation, body.to_string().as_bytes());
        assert_eq!(status, 200, "{reply}");
        serde_json::from_str(&reply).expect("JSON")
    }

    /// A database with Tally's `events` table.
    fn database() -> (Embedded, Direct, Housekeeping) {
        let embedded = Embedded::temporary().expect("a database");
        let direct = embedded.direct();
        let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let key = |hash: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]);
        ask(
            &direct,
            "CreateTable",
            &json!({"TableName": "events", "KeySchema": key("pk"), "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [text("pk"), text("sk"), text("session")],
                "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
                "GlobalSecondaryIndexes": [{"IndexName": "by_session", "KeySchema": key("session"),
                    "Projection": {"ProjectionType": "ALL"}}]}),
        );
        let expiry = json!({"Enabled": true, "AttributeName": "expires_at"});
        ask(&direct, "UpdateTimeToLive", &json!({"TableName": "events", "TimeToLiveSpecification": expiry}));
        let housekeeping = embedded.housekeeping().expect("its connection");
        (embedded, direct, housekeeping)
    }

    fn put(direct: &Direct, n: usize, expires_at: Option<i64>, bytes: usize) {
        let mut item = json!({"pk": {"S": "p"}, "sk": {"S": format!("{n:06}")}, "session": {"S": "s"},
            "x": {"S": "x".repeat(bytes)}});
        if let Some(at) = expires_at {
            item["expires_at"] = json!({"N": at.to_string()});
        }
        ask(direct, "PutItem", &json!({"TableName": "events", "Item": item}));
    }

    fn records(direct: &Direct) -> Vec<Value> {
        let stream = ask(direct, "DescribeTable", &json!({"TableName": "events"}))["Table"]["LatestStreamArn"].clone();
        let iterator = ask(
            direct,
            "GetShardIterator",
            &json!({"StreamArn": stream, "ShardId": shard_id("events"), "ShardIteratorType": "TRIM_HORIZON"}),
        );
        let page = ask(direct, "GetRecords", &json!({"ShardIterator": iterator["ShardIterator"]}));
        page["Records"].as_array().expect("records").clone()
    }

    #[test]
    fn what_has_expired_goes_from_table_index_and_says_so_in_the_stream() {
        let (_embedded, direct, housekeeping) = database();
        let now = seconds();
        for n in 0..120 {
            put(&direct, n, [Some(now - 10), Some(now + 1_000), None][n % 3], 10);
        }
        assert_eq!(housekeeping.delete_expired().expect("a sweep"), 40);
        assert_eq!(housekeeping.delete_expired().expect("a sweep"), 0);
        for index in [Value::Null, json!("by_session")] {
            let key = if index.is_null() { "pk" } else { "session" };
            let left = ask(
                &direct,
                "Query",
                &json!({"TableName": "events", "IndexName": index, "KeyConditionExpression": "#k = :k",
                    "ExpressionAttributeNames": {"#k": key}, "ExpressionAttributeValues": {":k": {"S": if index.is_null() { "p" } else { "s" }}}}),
            );
            assert_eq!(left["Count"], 80);
        }
        let removed = records(&direct).split_off(120);
        assert_eq!(removed.len(), 40);
        for record in removed {
            assert_eq!(
                (&record["eventName"], &record["userIdentity"]["PrincipalId"]),
                (&json!("REMOVE"), &json!("dynamodb.amazonaws.com"))
            );
            assert_eq!(record["dynamodb"]["OldImage"]["sk"], record["dynamodb"]["Keys"]["sk"]);
        }
    }

    #[test]
    fn only_what_has_expired_is_read() {
        let (embedded, _direct, housekeeping) = database();
        let table = housekeeping.writer.together(1, |desk| desk.storage.get_table_metadata("events"));
        let table = table.get_blocking().expect("a table").expect("a table");
        let expiry = Expiry::of(&table).expect("a TTL");
        let plan = embedded.plan(&expiry.expired().replace("?1", "5").replace("?2", "10"));
        assert!(plan.contains("tally_expiry::events") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn counted_records_go_and_the_last_keeps_nothing_but_its_place() {
        let (_embedded, direct, housekeeping) = database();
        for n in 0..500 {
            put(&direct, n, None, 10);
        }
        let all = records(&direct);
        let sequence = |record: &Value| record["dynamodb"]["SequenceNumber"].as_str().expect("a number").to_owned();
        let (counted, last) = (sequence(&all[449]), sequence(&all[499]));
        assert_eq!(housekeeping.delete_counted("events", &counted).expect("a trim"), 449);
        let left = records(&direct);
        assert_eq!((left.len(), sequence(&left[0])), (51, counted));
        assert!(left[0]["dynamodb"]["NewImage"].is_null() && left[1]["dynamodb"]["NewImage"].is_object());
        assert_eq!(housekeeping.delete_counted("events", &last).expect("a trim"), 50);
        put(&direct, 500, None, 10);
        let next = sequence(records(&direct).last().expect("the new one"));
        assert!(next > last, "{next} follows {last}");
        assert_eq!(housekeeping.delete_counted("events", "nonsense").expect("nothing"), 0);
    }

    #[test]
    fn the_file_shrinks() {
        let (embedded, direct, housekeeping) = database();
        for n in 0..90 {
            put(&direct, n, Some(1), 300_000);
        }
        housekeeping.shrink().expect("a checkpoint");
        let file = embedded.folder().expect("a folder").join("tally.db");
        let size = || std::fs::metadata(&file).expect("the file").len();
        let full = size();
        assert!(full > 50_000_000, "table and stream: {full}");
        housekeeping.delete_expired().expect("a sweep");
        let last = records(&direct);
        let mut counted = last.last().expect("a record")["dynamodb"]["SequenceNumber"].clone();
        // A page holds few records of this size.
        loop {
            housekeeping.delete_counted("events", counted.as_str().expect("a number")).expect("a trim");
            let next = records(&direct).last().expect("one stays")["dynamodb"]["SequenceNumber"].clone();
            if next == counted {
                break;
            }
            counted = next;
        }
        assert!(housekeeping.shrink().expect("a vacuum") > 10_000);
        assert!(size() < 8_000_000, "{} of {full} are left", size());
        let wal = std::fs::metadata(file.with_extension("db-wal")).map_or(0, |wal| wal.len());
        assert_eq!(wal, 0, "what was deleted is not in the log");
    }
}
