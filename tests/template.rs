//! template.yaml is held equal to the code: tables, routes, sample events.

use std::path::Path;

use serde_yaml_ng::Value;
use tally::http::dialect::Dialect;
use tally::http::routes::{Function, ROUTES};
use tally::store::tables::{BY_SESSION, EXPIRES_AT, PK, SESSION, SK, TABLES};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

fn template() -> Value {
    let text = std::fs::read_to_string(repository().join("template.yaml")).expect("template.yaml");
    let mut template: Value = serde_yaml_ng::from_str(&text).expect("YAML");
    template.apply_merge().expect("anchors");
    template
}

fn keys(schema: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let keys = schema.as_sequence().expect("a list").iter();
    keys.map(|key| (text(&key["AttributeName"]), text(&key["KeyType"]))).collect()
}

fn expected(hash: &str, range: &str) -> Vec<(String, String)> {
    vec![(hash.into(), "HASH".into()), (range.into(), "RANGE".into())]
}

#[test]
fn tables_are_as_the_store_creates_them() {
    let template = template();
    for table in TABLES {
        let properties = &template["Resources"][table.logical_id]["Properties"];
        assert_eq!(keys(&properties["KeySchema"]), expected(PK, SK), "{}", table.logical_id);
        assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST");
        assert_eq!(properties["TimeToLiveSpecification"]["AttributeName"], EXPIRES_AT);
        assert_eq!(properties["TimeToLiveSpecification"]["Enabled"], true);
        assert_eq!(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
        assert_eq!(properties["SSESpecification"]["SSEEnabled"], true);
        let view = &properties["StreamSpecification"]["StreamViewType"];
        assert_eq!(view.as_str(), table.stream.then_some("NEW_AND_OLD_IMAGES"));
        let indexes = properties["GlobalSecondaryIndexes"].as_sequence().cloned().unwrap_or_default();
        assert_eq!(indexes.len(), usize::from(table.by_session));
        for index in indexes {
            assert_eq!(index["IndexName"], BY_SESSION);
            assert_eq!(keys(&index["KeySchema"]), expected(SESSION, SK));
            assert_eq!(index["Projection"]["ProjectionType"], "ALL");
        }
        let attributes = properties["AttributeDefinitions"].as_sequence().expect("a list");
        assert!(attributes.iter().all(|attribute| attribute["AttributeType"] == "S"));
        assert_eq!(attributes.len(), if table.by_session { 3 } else { 2 });
    }
}

/// The routes of the HTTP API: method, path, function.
fn api_routes(template: &Value) -> Vec<(String, String, Function)> {
    let functions = [
        ("IngestFunction", Function::Ingest),
        ("QueryFunction", Function::Query),
        ("ReportsFunction", Function::Reports),
        ("AdminFunction", Function::Admin),
    ];
    let mut routes = Vec::new();
    for (id, function) in functions {
        let events = template["Resources"][id]["Properties"]["Events"].as_mapping().expect("events");
        for event in events.values().filter(|event| event["Type"] == "HttpApi") {
            let text = |name: &str| event["Properties"][name].as_str().expect("a text").to_owned();
            routes.push((text("Method"), text("Path"), function));
        }
    }
    routes
}

/// Which function HTTP API gives a request: a full match before a greedy one before `$default` (AWS: "Create routes for
/// HTTP APIs").
fn reaches(routes: &[(String, String, Function)], method: &str, path: &str) -> Function {
    let rank = |pattern: &str| -> Option<u32> {
        if pattern == "$default" {
            return Some(2);
        }
        let (mut pattern, mut segments) = (pattern.split('/'), path.split('/'));
        loop {
            match (pattern.next(), segments.next()) {
                (None, None) => return Some(0),
                (Some(part), Some(first)) if part.ends_with("+}") => return (!first.is_empty()).then_some(1),
                (Some(part), Some(segment)) if part == segment || (part.starts_with('{') && !segment.is_empty()) => {}
                _ => return None,
            }
        }
    };
    let matching = routes.iter().filter(|(m, ..)| m == method || m == "ANY");
    let ranked = matching.filter_map(|(_, pattern, function)| Some((rank(pattern)?, *function)));
    ranked.min_by_key(|(rank, _)| *rank).expect("$default takes all").1
}

#[test]
fn every_route_reaches_the_function_that_serves_it() {
    let routes = api_routes(&template());
    for route in ROUTES {
        let path = route.path.replace("{*name}", "a/b").replace("{*path}", "a/b");
        assert_eq!(reaches(&routes, route.method.as_str(), &path), route.function, "{} {}", route.method, route.path);
        let preflight = reaches(&routes, "OPTIONS", &path);
        assert_eq!(preflight, Function::Admin, "admin answers preflights");
        if !route.path.contains('*') {
            let with_slash = reaches(&routes, route.method.as_str(), &format!("{path}/"));
            // The clients of the seeds send it or do not; of all others admin answers them.
            let expected = if Dialect::of_path(&path).is_some() { route.function } else { Function::Admin };
            assert_eq!(with_slash, expected, "{path}/");
        }
    }
    assert_eq!(reaches(&routes, "DELETE", "/apps/a/stats/hours"), Function::Admin);
}

#[test]
fn there_is_a_sample_event_for_every_route_and_one_of_the_stream() {
    let mut samples: Vec<(String, String)> = Vec::new();
    let mut streams = 0;
    for file in std::fs::read_dir(repository().join("events")).expect("events/") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("readable");
        let event: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if event["Records"].is_array() {
            streams += 1;
            continue;
        }
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let mut path = text(&event["rawPath"]);
        if Dialect::of_path(&path).is_some() && path.ends_with('/') {
            path.pop();
        }
        samples.push((text(&event["requestContext"]["http"]["method"]), path));
    }
    assert!(streams >= 1);
    for route in ROUTES {
        let found = samples.iter().any(|(method, path)| *method == route.method.as_str() && route.matches(path));
        assert!(found, "events/ has none for {} {}", route.method, route.path);
    }
}
