//! What requests that share transactions must keep: each is done whole or not at all, is seen by whoever knows of it, and
//! stands in the stream where it was committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dynoxide::DynoxideError;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::direct::Direct;
use crate::embedded::Embedded;
use crate::puts::Puts;
use crate::writer::{Desk, Promise};

const STREAM_SHARD: &str = "shardId-00000001-events";

async fn ask(direct: &Direct, operation: &str, body: Value) -> (u16, Value) {
    let (status, reply) = direct.answer(operation, body.to_string().as_bytes()).await;
    (status, serde_json::from_str(&reply).unwrap_or_else(|e| panic!("{e}: {reply}")))
}

/// A table with a stream. Returns the stream.
async fn table(direct: &Direct) -> Value {
    let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let table = json!({"TableName": "events", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [text("pk"), text("sk")],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"}});
    let (status, made) = ask(direct, "CreateTable", table).await;
    assert_eq!(status, 200, "{made}");
    made["TableDescription"]["LatestStreamArn"].clone()
}

fn item(key: usize, n: i64) -> Value {
    json!({"pk": {"S": "a"}, "sk": {"S": key.to_string()}, "n": {"N": n.to_string()}})
}

fn put(key: usize, n: i64) -> Value {
    json!({"TableName": "events", "Item": item(key, n)})
}

/// Adds one, if the item has a number.
fn next(key: usize, n: i64) -> Value {
    json!({"TableName": "events", "Key": {"pk": {"S": "a"}, "sk": {"S": key.to_string()}}, "UpdateExpression": "ADD n :one",
        "ConditionExpression": "n = :n", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":n": {"N": n.to_string()}}})
}

/// What the table holds, by key.
async fn stored(direct: &Direct) -> BTreeMap<String, Value> {
    let query = json!({"TableName": "events", "KeyConditionExpression": "#key = :key", "ConsistentRead": true,
        "ExpressionAttributeNames": {"#key": "pk"}, "ExpressionAttributeValues": {":key": {"S": "a"}}});
    let (status, page) = ask(direct, "Query", query).await;
    assert_eq!(status, 200, "{page}");
    let items = page["Items"].as_array().expect("items").iter();
    items.map(|item| (item["sk"]["S"].as_str().expect("a key").to_owned(), item.clone())).collect()
}

/// Reads a stream on from where it has been read.
struct Reader {
    iterator: Value,
    records: Vec<Value>,
}

impl Reader {
    async fn new(direct: &Direct, stream: &Value) -> Self {
        let from = json!({"StreamArn": stream, "ShardId": STREAM_SHARD, "ShardIteratorType": "TRIM_HORIZON"});
        Self { iterator: ask(direct, "GetShardIterator", from).await.1["ShardIterator"].take(), records: vec![] }
    }

    async fn read(&mut self, direct: &Direct) {
        let (status, mut page) = ask(direct, "GetRecords", json!({"ShardIterator": self.iterator})).await;
        assert_eq!(status, 200, "{page}");
        self.iterator = page["NextShardIterator"].take();
        self.records.extend(page["Records"].as_array().expect("records").iter().map(|r| r["dynamodb"].clone()));
    }

    /// What the table holds by the stream. Each record must follow the one before of its key.
    fn replayed(&self) -> BTreeMap<String, Value> {
        let mut items = BTreeMap::new();
        let mut last = String::new();
        for record in &self.records {
            let sequence = record["SequenceNumber"].as_str().expect("a number");
            assert!(sequence > last.as_str(), "{sequence} after {last}");
            sequence.clone_into(&mut last);
            let key = record["Keys"]["sk"]["S"].as_str().expect("a key").to_owned();
            let old = items.remove(&key).unwrap_or(Value::Null);
            assert_eq!(record["OldImage"], old, "{record}");
            if !record["NewImage"].is_null() {
                items.insert(key, record["NewImage"].clone());
            }
        }
        items
    }
}

#[tokio::test]
async fn a_request_that_fails_leaves_its_neighbours_and_nothing_of_its_own() {
    let embedded = Embedded::temporary().expect("a database");
    let direct = embedded.direct();
    let stream = table(&direct).await;
    // How each of them ends, after its write.
    let endings: [fn() -> Result<(), DynoxideError>; 3] = [
        || Ok(()),
        || Err(DynoxideError::ValidationException("a mistake".to_owned())),
        || panic!("a request that panics"),
    ];
    let before = direct.changes();
    let writes = (0..9).map(|key| {
        let puts = Puts::of_put_item(put(key, 0).to_string().as_bytes(), &direct.catalog).expect("a put");
        let ending = endings[key % 3];
        direct.writer.together(1, move |desk: &mut Desk| {
            puts.store(desk)?;
            ending()
        })
    });
    let writes: Vec<_> = writes.collect();
    let done: Vec<_> = join_all(writes.into_iter().map(Promise::get)).await.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, false, false].repeat(3));
    assert_eq!(direct.changes() - before, 1, "one transaction");
    let stored = stored(&direct).await;
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["0", "3", "6"]);
    let mut reader = Reader::new(&direct, &stream).await;
    reader.read(&direct).await;
    assert_eq!(reader.replayed(), stored);
}

#[tokio::test]
async fn a_condition_sees_what_came_before_it_in_its_transaction() {
    let embedded = Embedded::temporary().expect("a database");
    let direct = embedded.direct();
    let stream = table(&direct).await;
    ask(&direct, "PutItem", put(0, 0)).await;
    let before = direct.changes();
    // Each is sent twice, like a write that lands after its own retry.
    let updates = (0..20).flat_map(|n| [n, n]).map(|n| ask(&direct, "UpdateItem", next(0, n)));
    let replies = join_all(updates).await;
    assert_eq!(direct.changes() - before, 1, "one transaction");
    for (i, two) in replies.chunks(2).enumerate() {
        assert_eq!((two[0].0, two[1].0), (200, 400), "{i}");
        assert_eq!(two[1].1["Item"]["n"]["N"], (i + 1).to_string(), "the item as its neighbour left it");
    }
    assert_eq!(stored(&direct).await["0"]["n"]["N"], "20");
    let mut reader = Reader::new(&direct, &stream).await;
    reader.read(&direct).await;
    assert_eq!((reader.records.len(), reader.replayed()), (21, stored(&direct).await));
}

#[tokio::test]
async fn who_is_told_of_a_full_disk_has_stored_nothing() {
    let embedded = Embedded::temporary().expect("a database");
    let direct = embedded.direct();
    let stream = table(&direct).await;
    let limit = |pages: &'static str| {
        let set = direct.writer.alone(move |desk: &mut Desk| {
            Ok(desk.connection().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
        });
        set.get_blocking().expect("a limit");
    };
    limit("60");
    let large = |key: usize| {
        let mut put = put(key, 0);
        put["Item"]["x"] = json!({"S": "x".repeat(if key.is_multiple_of(3) { 60_000 } else { 10 })});
        ask(&direct, "PutItem", put)
    };
    let replies = join_all((0..9).map(large)).await;
    let told: Vec<_> = (0..9).filter(|key| replies[*key].0 == 200).map(|key| key.to_string()).collect();
    assert!(told.len() < 9, "{replies:?}");
    assert_eq!(stored(&direct).await.into_keys().collect::<Vec<_>>(), told);
    limit("100000");
    let replies = join_all((0..9).map(large)).await;
    assert!(replies.iter().all(|(status, _)| *status == 200), "{replies:?}");
    let mut reader = Reader::new(&direct, &stream).await;
    reader.read(&direct).await;
    assert_eq!(reader.replayed(), stored(&direct).await);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_done_before_later_ones() {
    let embedded = Embedded::temporary().expect("a database");
    let writer = embedded.direct().writer;
    for weight in [1, 1_000] {
        for later in [1, 1_000] {
            let done = Arc::new(AtomicBool::new(false));
            let set = Arc::clone(&done);
            drop(writer.together(weight, move |_| {
                set.store(true, Ordering::Release);
                Ok(())
            }));
            writer.together(later, |_| Ok(())).get().await.expect("an answer");
            assert!(done.load(Ordering::Acquire), "{weight} before {later}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_is_seen_by_every_read_after_its_answer() {
    for embedded in [Embedded::temporary(), Embedded::in_memory()] {
        let embedded = embedded.expect("a database");
        let direct = embedded.direct();
        table(&direct).await;
        let work = (0..6usize).map(|key| {
            let direct = direct.clone();
            tokio::spawn(async move {
                for n in 0..80 {
                    let (operation, body) =
                        if n % 2 == 0 { ("PutItem", put(key, n)) } else { ("UpdateItem", next(key, n - 1)) };
                    let (status, reply) = ask(&direct, operation, body).await;
                    assert_eq!(status, 200, "{reply}");
                    let get = json!({"TableName": "events", "Key": {"pk": {"S": "a"}, "sk": {"S": key.to_string()}},
                        "ConsistentRead": true});
                    // On another thread, with another connection.
                    let other = direct.clone();
                    let got = tokio::spawn(async move { ask(&other, "GetItem", get).await });
                    assert_eq!(got.await.expect("an answer").1["Item"], item(key, n));
                    assert_eq!(stored(&direct).await[&key.to_string()], item(key, n));
                }
            })
        });
        for done in join_all(work).await {
            done.expect("every write is seen");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_has_every_change_once_in_the_order_of_the_commits() {
    let embedded = Embedded::temporary().expect("a database");
    let direct = embedded.direct();
    let stream = table(&direct).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let (direct, stream, is_over) = (direct.clone(), stream.clone(), Arc::clone(&is_over));
        async move {
            let mut reader = Reader::new(&direct, &stream).await;
            loop {
                let is_last = is_over.load(Ordering::Acquire);
                reader.read(&direct).await;
                if is_last {
                    return reader;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let work = (0..6u64).map(|seed| {
        let direct = direct.clone();
        tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed);
            for _ in 0..120 {
                let (key, n) = (rng.random_range(0..5usize), rng.random_range(0..3i64));
                let (operation, body) = match rng.random_range(0..6) {
                    0 => ("PutItem", put(key, n)),
                    1 => {
                        let writes: Vec<_> = (0..5).map(|key| json!({"PutRequest": {"Item": item(key, n)}})).collect();
                        ("BatchWriteItem", json!({"RequestItems": {"events": writes}}))
                    }
                    2 => (
                        "DeleteItem",
                        json!({"TableName": "events", "Key": put(key, n)["Item"]["sk"].as_object()
                        .map(|sk| json!({"pk": {"S": "a"}, "sk": sk}))}),
                    ),
                    3 => {
                        let put = |key: usize| json!({"Put": put(key, n)});
                        ("TransactWriteItems", json!({"TransactItems": [put(key), put((key + 1) % 5)]}))
                    }
                    _ => ("UpdateItem", next(key, n)),
                };
                let (status, reply) = ask(&direct, operation, body).await;
                assert!(status == 200 || (status == 400 && operation == "UpdateItem"), "{operation} {reply}");
            }
        })
    });
    for done in join_all(work).await {
        done.expect("only conditions fail");
    }
    is_over.store(true, Ordering::Release);
    let mut reader = reading.await.expect("a stream");
    reader.read(&direct).await;
    // A put of what is there is a record here, and none in DynamoDB.
    assert_eq!(reader.replayed(), stored(&direct).await);
}
