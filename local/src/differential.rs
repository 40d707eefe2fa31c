//! Compares every answer with those of dynoxide alone, over random requests.

use std::sync::Arc;

use dynoxide::{Database, DynoxideError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::direct::Direct;
use crate::embedded::Embedded;
use crate::puts::Puts;
use crate::queries::{Get, Page};

const KEYS: [&str; 2] = ["a", "b\"é"];

fn value() -> impl Strategy<Value = Value> {
    let number = select(vec![
        "0",
        "7",
        "-12",
        "1.5",
        "-0.25",
        "1.0",
        "007",
        "1e3",
        "-0",
        "12345678901234567890123456789012345678",
        "+1",
        "1.",
    ]);
    let leaf = prop_oneof![
        4 => ".{0,6}".prop_map(|text| json!({"S": text})),
        2 => select(vec!["plain", "\"NS\":[", "\\ \u{0} \u{7f}", "😀"]).prop_map(|text| json!({"S": text})),
        3 => number.prop_map(|number| json!({"N": number})),
        1 => any::<bool>().prop_map(|flag| json!({"BOOL": flag})),
        1 => Just(json!({"NULL": true})),
        1 => select(vec![json!({"NULL": false}), json!({"B": "aGk="}), json!({"S": "a", "N": "1"}), json!({})]),
        1 => select(vec![json!({"SS": ["b", "a"]}), json!({"NS": ["10", "9"]}), json!({"SS": []})]),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|list| json!({"L": list})),
            vec((select(vec!["x", "y", "é", "N", ""]), inner), 0..4).prop_map(
                |map| json!({"M": map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<serde_json::Map<_, _>>()})
            ),
        ]
    })
}

fn key() -> impl Strategy<Value = Value> {
    (select(&KEYS[..]), 0..6u8).prop_map(|(pk, sk)| json!({"pk": {"S": pk}, "sk": {"S": format!("k{sk}")}}))
}

fn item() -> impl Strategy<Value = Value> {
    let attributes = vec((select(vec!["x", "name", "long attribute", "L"]), value()), 0..4);
    let session = select(vec![
        Value::Null,
        Value::Null,
        json!({"S": "s"}),
        json!({"S": "t\u{0}ü\\"}),
        json!({"S": "s"}),
        json!({"N": "1"}),
        json!({"S": ""}),
    ]);
    let odd = prop::option::weighted(0.05, select(vec![json!({"S": ""}), json!({"N": "1"}), Value::Null]));
    let size = prop::option::weighted(0.1, 900..3_000usize);
    (key(), attributes, session, odd, size).prop_map(|(mut item, attributes, session, odd, size)| {
        for (name, value) in attributes {
            item[name] = value;
        }
        if !session.is_null() {
            item["session"] = session;
        }
        if let Some(size) = size {
            item["size"] = json!({"S": "x".repeat(size)});
        }
        match odd {
            Some(Value::Null) => {
                item.as_object_mut().expect("an item").remove("sk");
            }
            Some(odd) => item["sk"] = odd,
            None => {}
        }
        item
    })
}

fn capacity() -> impl Strategy<Value = Value> {
    select(vec![Value::Null, json!("TOTAL"), json!("TOTAL"), json!("NONE"), json!("INDEXES"), json!("x")])
}

/// A request, and whether it reads.
fn request() -> impl Strategy<Value = (&'static str, Value)> {
    let put =
        (item(), capacity(), prop::option::weighted(0.3, select(vec!["attribute_not_exists(pk)", "size(x) > x"])));
    let put = put.prop_map(|(item, capacity, condition)| {
        let mut put = json!({"TableName": "events", "Item": item});
        add(&mut put, "ReturnConsumedCapacity", &capacity);
        add(&mut put, "ConditionExpression", &json!(condition));
        if condition.is_some() {
            put["ReturnValues"] = "ALL_OLD".into();
        }
        ("PutItem", put)
    });
    let write = prop_oneof![
        6 => item().prop_map(|item| json!({"PutRequest": {"Item": item}})),
        1 => key().prop_map(|key| json!({"DeleteRequest": {"Key": key}})),
    ];
    let batch = (vec(write, 0..6), capacity()).prop_map(|(writes, capacity)| {
        let mut batch = json!({"RequestItems": {"events": writes}});
        add(&mut batch, "ReturnConsumedCapacity", &capacity);
        ("BatchWriteItem", batch)
    });
    let update = (key(), capacity(), 0..3u8, select(vec!["ALL_OLD", "NONE"])).prop_map(|(key, capacity, kind, old)| {
        let mut update = json!({"TableName": "events", "Key": key, "UpdateExpression": "SET #s = :s ADD #n :n",
            "ExpressionAttributeNames": {"#s": "session", "#n": "count"}, "ReturnValues": old,
            "ExpressionAttributeValues": {":s": {"S": format!("u{kind}")}, ":n": {"N": "2"}}});
        if kind > 0 {
            update["ConditionExpression"] = "attribute_exists(#s) OR #n < :n".into();
            update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
        }
        add(&mut update, "ReturnConsumedCapacity", &capacity);
        ("UpdateItem", update)
    });
    let delete = (key(), capacity()).prop_map(|(key, capacity)| {
        let mut delete = json!({"TableName": "events", "Key": key, "ReturnValues": "ALL_OLD"});
        add(&mut delete, "ReturnConsumedCapacity", &capacity);
        ("DeleteItem", delete)
    });
    let get = (key(), any::<bool>(), capacity()).prop_map(|(key, consistent, capacity)| {
        let mut get = json!({"TableName": "events", "Key": key, "ConsistentRead": consistent});
        add(&mut get, "ReturnConsumedCapacity", &capacity);
        ("GetItem", get)
    });
    prop_oneof![3 => put, 4 => batch, 2 => update, 1 => delete, 2 => get, 4 => query()]
}

fn query() -> impl Strategy<Value = (&'static str, Value)> {
    let range = prop::option::of((0..7u8, 0..7u8));
    let limit = select(vec![json!(null), json!(null), json!(1), json!(2), json!(5), json!(0)]);
    let start = prop::option::weighted(0.3, (0..7u8, select(&KEYS[..])));
    let of_index = prop::option::of(select(vec!["s", "t\u{0}ü\\", "u1", ""]));
    let more = select(vec![
        json!({}),
        json!({}),
        json!({"FilterExpression": "attribute_exists(x)"}),
        json!({"FilterExpression": "#f = :f", "ExpressionAttributeNames": {"#f": "x"}, "ExpressionAttributeValues": {":f": {"S": "plain"}}}),
        json!({"FilterExpression": "#f IN (:f,:g) AND #n = :f", "ExpressionAttributeNames": {"#f": "x", "#n": "name"},
            "ExpressionAttributeValues": {":f": {"S": "plain"}, ":g": {"S": "\\ \u{0} \u{7f}"}}}),
        json!({"FilterExpression": "#f IN (:f,:g)", "ExpressionAttributeNames": {"#f": "session"},
            "ExpressionAttributeValues": {":f": {"S": "s"}, ":g": {"S": "u1"}}}),
        json!({"FilterExpression": "#f = :f", "ExpressionAttributeNames": {"#f": "sk"}, "ExpressionAttributeValues": {":f": {"S": "k1"}}}),
        json!({"FilterExpression": "#f = :f", "ExpressionAttributeNames": {"#f": "x", "#g": "y"}, "ExpressionAttributeValues": {":f": {"S": "plain"}}}),
        json!({"ProjectionExpression": "sk, x"}),
        json!({"ProjectionExpression": "#p,#f,#g", "ExpressionAttributeNames": {"#p": "sk", "#f": "x", "#g": "long attribute"}}),
        json!({"ProjectionExpression": "#f", "ExpressionAttributeNames": {"#f": "nothing"}}),
        json!({"ProjectionExpression": "#f,#f", "ExpressionAttributeNames": {"#f": "x"}}),
        json!({"ProjectionExpression": "#f", "FilterExpression": "#g = :g", "ExpressionAttributeNames": {"#f": "x", "#g": "session"},
            "ExpressionAttributeValues": {":g": {"S": "s"}}}),
        json!({"Select": "COUNT"}),
    ]);
    (select(&KEYS[..]), range, any::<bool>(), any::<bool>(), limit, start, of_index, more, capacity()).prop_map(
        |(pk, range, forward, consistent, limit, start, index, more, capacity)| {
            let hash = index.map_or("pk", |_| "session");
            let partition = index.unwrap_or(pk);
            let mut query = json!({"TableName": "events", "KeyConditionExpression": "#key = :key", "ScanIndexForward": forward,
                "ConsistentRead": consistent, "ExpressionAttributeNames": {"#key": hash},
                "ExpressionAttributeValues": {":key": {"S": partition}}});
            if index.is_some() {
                query["IndexName"] = "by_session".into();
            }
            if let Some((first, last)) = range {
                query["KeyConditionExpression"] = "#key = :key AND #sk BETWEEN :first AND :last".into();
                query["ExpressionAttributeNames"]["#sk"] = "sk".into();
                query["ExpressionAttributeValues"][":first"] = json!({"S": format!("k{first}")});
                query["ExpressionAttributeValues"][":last"] = json!({"S": format!("k{last}")});
            }
            if let Some((sk, base)) = start {
                query["ExclusiveStartKey"] = json!({hash: {"S": partition}, "sk": {"S": format!("k{sk}")}});
                if index.is_some() {
                    query["ExclusiveStartKey"]["pk"] = json!({"S": base});
                }
            }
            for (name, value) in more.as_object().expect("an object") {
                match (query[name].as_object_mut(), value) {
                    (Some(all), Value::Object(more)) => all.extend(more.clone()),
                    _ => query[name] = value.clone(),
                }
            }
            add(&mut query, "Limit", &limit);
            add(&mut query, "ReturnConsumedCapacity", &capacity);
            ("Query", query)
        },
    )
}

fn add(request: &mut Value, name: &str, value: &Value) {
    if !value.is_null() {
        request[name] = value.clone();
    }
}

/// dynoxide alone.
fn plain(database: &Database, operation: &str, body: &Value) -> (u16, Value) {
    fn call<Q: serde::de::DeserializeOwned, R: serde::Serialize>(
        body: &Value,
        run: impl FnOnce(Q) -> Result<R, DynoxideError>,
    ) -> Result<String, DynoxideError> {
        let request = serde_json::from_str(&body.to_string());
        let request = request.map_err(|e| DynoxideError::ValidationException(e.to_string()))?;
        Ok(serde_json::to_string(&run(request)?).expect("JSON"))
    }
    let done = match operation {
        "PutItem" => call(body, |request| database.put_item(request)),
        "BatchWriteItem" => call(body, |request| database.batch_write_item(request)),
        "UpdateItem" => call(body, |request| database.update_item(request)),
        "DeleteItem" => call(body, |request| database.delete_item(request)),
        "GetItem" => call(body, |request| database.get_item(request)),
        "Query" => call(body, |request| database.query(request)),
        "CreateTable" => call(body, |request| database.create_table(request)),
        "GetShardIterator" => call(body, |request| database.get_shard_iterator(request)),
        "GetRecords" => call(body, |request| database.get_records(request)),
        _ => unreachable!("{operation}"),
    };
    let (status, reply) = done.map_or_else(|error| (error.status_code(), error.to_json()), |reply| (200, reply));
    (status, serde_json::from_str(&reply).expect("JSON"))
}

fn ours(direct: &Direct, operation: &str, body: &Value) -> (u16, Value) {
    let (status, reply) = direct.answer_to(operation, body.to_string().as_bytes());
    (status, serde_json::from_str(&reply).unwrap_or_else(|e| panic!("{e}: {reply}")))
}

fn table() -> Value {
    let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let key =
        |hash: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]);
    json!({"TableName": "events", "KeySchema": key("pk"), "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [text("pk"), text("sk"), text("session")],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "GlobalSecondaryIndexes": [{"IndexName": "by_session", "KeySchema": key("session"),
            "Projection": {"ProjectionType": "ALL"}}]})
}

/// What a stream says, without what differs from run to run.
fn records(ask: impl Fn(&str, &Value) -> (u16, Value), stream: &Value) -> Vec<Value> {
    let iterator = ask(
        "GetShardIterator",
        &json!({"StreamArn": stream, "ShardId": "shardId-00000001-events", "ShardIteratorType": "TRIM_HORIZON"}),
    );
    let page = ask("GetRecords", &json!({"ShardIterator": iterator.1["ShardIterator"]})).1;
    let mut last = String::new();
    let records = page["Records"].as_array().unwrap_or_else(|| panic!("{page}")).iter().map(|record| {
        let mut record = record.clone();
        let stream = record["dynamodb"].as_object_mut().expect("a change");
        let sequence = stream.remove("SequenceNumber").expect("a number").as_str().expect("a text").to_owned();
        assert!(sequence > last, "{sequence} after {last}");
        last = sequence;
        stream.remove("ApproximateCreationDateTime").expect("a time");
        // dynoxide's JSON of an item may differ in its length, since it writes some characters in another way.
        stream.remove("SizeBytes").expect("a size");
        let id = record.as_object_mut().expect("a record").remove("eventID").expect("an id");
        assert_eq!(id.as_str().map(str::len), Some(32), "{id}");
        record
    });
    records.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_answer_is_that_of_dynoxide(requests in vec(request(), 1..40), in_memory in any::<bool>()) {
        let database = Database::memory().expect("a database");
        let embedded = if in_memory { Embedded::in_memory() } else { Embedded::temporary() }.expect("a database");
        let direct = embedded.direct();
        let made = plain(&database, "CreateTable", &table());
        let also = ours(&direct, "CreateTable", &table());
        prop_assert_eq!((made.0, also.0), (200, 200));
        for (operation, body) in &requests {
            let (plain, ours) = (plain(&database, operation, body), ours(&direct, operation, body));
            prop_assert_eq!(&ours, &plain, "{} {}", operation, body);
        }
        let of = |made: &Value| made["TableDescription"]["LatestStreamArn"].clone();
        let plainly = records(|operation, body| plain(&database, operation, body), &of(&made.1));
        let by_us = records(|operation, body| ours(&direct, operation, body), &of(&also.1));
        prop_assert_eq!(by_us, plainly);
    }
}

#[test]
fn the_requests_of_the_store_are_answered_without_dynoxide() {
    let embedded = Embedded::temporary().expect("a database");
    let direct = embedded.direct();
    assert_eq!(ours(&direct, "CreateTable", &table()).0, 200);
    let catalog = Arc::clone(&direct.catalog);
    let item =
        json!({"pk": {"S": "a"}, "sk": {"S": "k"}, "n": {"N": "1.5"}, "m": {"M": {"l": {"L": [{"NULL": true}]}}}});
    let put = json!({"TableName": "events", "Item": item, "ReturnConsumedCapacity": "TOTAL"}).to_string();
    assert!(Puts::of_put_item(put.as_bytes(), &catalog).is_some());
    let batch =
        json!({"RequestItems": {"events": [{"PutRequest": {"Item": item}}]}, "ReturnConsumedCapacity": "TOTAL"});
    assert!(Puts::of_batch(batch.to_string().as_bytes(), &catalog).is_some());
    let get = json!({"TableName": "events", "Key": {"pk": {"S": "a"}, "sk": {"S": "k"}}, "ConsistentRead": true,
        "ReturnConsumedCapacity": "TOTAL"});
    assert!(Get::of(get.to_string().as_bytes(), &catalog).is_some());
    let query = json!({"TableName": "events", "KeyConditionExpression": "#key = :key AND #sk BETWEEN :first AND :last",
        "ExpressionAttributeNames": {"#key": "pk", "#sk": "sk"}, "Limit": 50, "ScanIndexForward": false,
        "ExpressionAttributeValues": {":key": {"S": "a"}, ":first": {"S": "a"}, ":last": {"S": "z"}},
        "ConsistentRead": false, "ReturnConsumedCapacity": "TOTAL",
        "ExclusiveStartKey": {"pk": {"S": "a"}, "sk": {"S": "k"}}});
    assert!(Page::of(query.to_string().as_bytes(), &catalog).is_some());
    let mut chosen = query;
    chosen["FilterExpression"] = "#level = :level0 AND #name IN (:name0,:name1)".into();
    chosen["ProjectionExpression"] = "#sk,#0".into();
    for (placeholder, name) in [("#level", "level"), ("#name", "name"), ("#0", "c:I|a||")] {
        chosen["ExpressionAttributeNames"][placeholder] = name.into();
    }
    for placeholder in [":level0", ":name0", ":name1"] {
        chosen["ExpressionAttributeValues"][placeholder] = json!({"S": "a"});
    }
    assert!(Page::of(chosen.to_string().as_bytes(), &catalog).is_some());
}

#[test]
fn a_database_of_an_earlier_version_loses_its_copies_and_nothing_else() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join(crate::embedded::FILE);
    let database = Database::new(file.to_str().expect("UTF-8")).expect("as dynoxide makes it");
    assert_eq!(plain(&database, "CreateTable", &table()).0, 200);
    let put = |n: usize, session: &str| {
        let item = json!({"pk": {"S": "a"}, "sk": {"S": format!("k{n}")}, "session": {"S": session}});
        json!({"TableName": "events", "Item": item})
    };
    for n in 0..9 {
        assert_eq!(plain(&database, "PutItem", &put(n, if n < 6 { "s" } else { "t" })).0, 200);
    }
    let of_session = json!({"TableName": "events", "IndexName": "by_session", "KeyConditionExpression": "#key = :key",
        "ExpressionAttributeNames": {"#key": "session"}, "ExpressionAttributeValues": {":key": {"S": "s"}}});
    let before = plain(&database, "Query", &of_session);
    drop(database);
    let embedded = Embedded::open(folder.path()).expect("a database");
    let direct = embedded.direct();
    assert_eq!(ours(&direct, "Query", &of_session), before);
    let connection = embedded.connect().expect("the same file");
    let kind =
        connection.query_row("SELECT type FROM sqlite_schema WHERE name = 'events::gsi::by_session'", [], |row| {
            row.get::<_, String>(0)
        });
    assert_eq!(kind.as_deref(), Ok("view"));
    // An earlier version still writes and reads it.
    drop((connection, direct, embedded));
    let database = Database::new(file.to_str().expect("UTF-8")).expect("the same file");
    assert_eq!(plain(&database, "PutItem", &put(9, "s")).0, 200);
    assert_eq!(plain(&database, "PutItem", &put(0, "t")).0, 200);
    assert_eq!(plain(&database, "Query", &of_session).1["Count"], 6);
}

#[test]
fn what_fails_is_undone_alone() {
    let embedded = Embedded::temporary().expect("a database");
    let direct = embedded.direct();
    assert_eq!(ours(&direct, "CreateTable", &table()).0, 200);
    let update = |n: usize| {
        let condition = if n.is_multiple_of(2) { "attribute_not_exists(pk)" } else { "attribute_exists(pk)" };
        json!({"TableName": "events", "Key": {"pk": {"S": "a"}, "sk": {"S": format!("k{n}")}}, "UpdateExpression": "SET x = :x",
            "ConditionExpression": condition, "ExpressionAttributeValues": {":x": {"N": "1"}}})
        .to_string()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let replies = runtime.block_on(async {
        let bodies: Vec<_> = (0..60).map(update).collect();
        let calls = bodies.iter().map(|body| direct.answer("UpdateItem", body.as_bytes()));
        futures::future::join_all(calls).await
    });
    let statuses: Vec<_> = replies.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 400].repeat(30));
    let query = json!({"TableName": "events", "KeyConditionExpression": "#key = :key", "ExpressionAttributeNames": {"#key": "pk"},
        "ExpressionAttributeValues": {":key": {"S": "a"}}});
    assert_eq!(ours(&direct, "Query", &query).1["Count"], 30);
}

#[test]
fn an_index_reads_no_more_than_its_partition() {
    let embedded = Embedded::temporary().expect("a database");
    assert_eq!(ours(&embedded.direct(), "CreateTable", &table()).0, 200);
    for order in ["ASC", "DESC"] {
        let dynoxides = embedded.plan(&format!(
            "SELECT gsi_pk, gsi_sk, item_json FROM \"events::gsi::by_session\" WHERE gsi_pk = 'S:s' AND gsi_sk > 'S:k'
             ORDER BY gsi_sk {order}, table_pk {order}, table_sk {order}"
        ));
        assert!(dynoxides.contains("tally_events::gsi::by_session (<expr>=? AND sk>?)"), "{dynoxides}");
        let ours = embedded.plan(&format!(
            "SELECT item_json FROM events WHERE 'S:' || json_extract(item_json, '$.session.S') = 'S:s'
             AND json_extract(item_json, '$.session.S') IS NOT NULL AND (sk, pk) > ('S:k', 'S:a') ORDER BY sk {order}, pk {order}"
        ));
        assert!(
            ours.contains("tally_events::gsi::by_session (<expr>=? AND sk>?)") || ours.contains("(sk,pk)"),
            "{ours}"
        );
        assert!(!ours.contains("TEMP B-TREE"), "{ours}");
    }
}
