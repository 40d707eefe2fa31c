//! template.yaml is held equal to the code: tables, routes, sample events, settings, metrics. And to rules of its own: no
//! role may do more than it must, nothing that is kept is lost, every alarm has its paragraph in docs/operations.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_yaml_ng::{Mapping, Value};
use tally_http::compat::Compat;
use tally_http::routes::{Function, ROUTES};
use tally_service::config::Config;
use tally_service::metrics::{DIMENSION, Metric, NAMESPACE};
use tally_store::tables::{BY_SESSION, EXPIRES_AT, PK, SESSION, SK, TABLES};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

fn template() -> Value {
    read("template.yaml")
}

fn read(file: &str) -> Value {
    let text = std::fs::read_to_string(repository().join(file)).expect("a template");
    let mut template: Value = serde_yaml_ng::from_str(&text).expect("YAML");
    template.apply_merge().expect("anchors");
    template
}

/// The resources of a type, by logical id.
fn resources(template: &Value, kind: &str) -> BTreeMap<String, Value> {
    let resources = template["Resources"].as_mapping().expect("resources").iter();
    let found = resources.filter(|(_, resource)| resource["Type"] == kind);
    found.map(|(id, resource)| (id.as_str().expect("an id").to_owned(), resource.clone())).collect()
}

/// One value, or each of a list.
fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Sequence(all) => all.iter().collect(),
        Value::Null => vec![],
        one => vec![one],
    }
}

/// A scalar as it is written, with its tag: `dynamodb:Query`, `!GetAtt EventsTable.Arn`.
fn written(value: &Value) -> String {
    match value {
        Value::Tagged(tagged) => format!("{} {}", tagged.tag, written(&tagged.value)),
        Value::String(text) => text.clone(),
        other => serde_yaml_ng::to_string(other).expect("YAML").trim_end().to_owned(),
    }
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
    assert_eq!(resources(&template, "AWS::DynamoDB::Table").len(), TABLES.len());
    let retain = Value::from("Retain");
    for table in TABLES {
        let resource = &template["Resources"][table.logical_id];
        assert_eq!((&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]), (&retain, &retain));
        let properties = &resource["Properties"];
        assert_eq!(written(&properties["DeletionProtectionEnabled"]), "!Ref DeletionProtection");
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

#[test]
fn restored_tables_can_be_taken_over_by_the_template() {
    let (template, restored) = (read("template.yaml"), read("restore.yaml"));
    let tables = resources(&template, "AWS::DynamoDB::Table");
    assert_eq!(
        restored["Resources"].as_mapping().map(Mapping::len),
        Some(tables.len()),
        "an import takes nothing else"
    );
    for (id, table) in tables {
        let (table, restored) = (&table["Properties"], &restored["Resources"][id.as_str()]);
        assert_eq!(restored["DeletionPolicy"], "Retain", "{id}: an import asks for it");
        let restored = &restored["Properties"];
        for same in ["BillingMode", "AttributeDefinitions", "KeySchema", "SSESpecification"] {
            assert_eq!(restored[same], table[same], "{id}: {same}");
        }
        let indexes = |of: &Value| {
            let indexes = each(&of["GlobalSecondaryIndexes"]).into_iter();
            indexes
                .map(|i| (i["IndexName"].clone(), i["KeySchema"].clone(), i["Projection"].clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(indexes(restored), indexes(table), "{id}");
        // A restored table has neither; were they here, the deployment after the import would not add them.
        for absent in ["StreamSpecification", "TimeToLiveSpecification", "PointInTimeRecoverySpecification"] {
            assert!(restored[absent].is_null(), "{id}: {absent}");
        }
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
            // Compat clients may send a trailing slash. On all other paths admin answers it.
            let expected = if Compat::of_path(&path).is_some() { route.function } else { Function::Admin };
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
        if Compat::of_path(&path).is_some() && path.ends_with('/') {
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

/// What a role may do in too wide a way, and why it must.
const JUSTIFIED: &[(&str, &str)] = &[
    (
        "AWSLambdaBasicExecutionRole",
        "SAM gives it to every function: it may make log groups and write to any of the account, and read none",
    ),
    (
        "AWSLambdaDynamoDBExecutionRole",
        "SAM gives it to a function with a stream: it may read any stream of the account",
    ),
];

/// What carries a policy and is not looked into, so that it may not be there.
const UNREAD: [&str; 5] = [
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::Lambda::Permission",
    "AWS::DynamoDB::ResourcePolicy",
    "AWS::Serverless::Connector",
];

/// What the roles of a template may do that is not one action on one named resource.
fn wildcards(template: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut documents: Vec<Value> = Vec::new();
    for function in resources(template, "AWS::Serverless::Function").into_values() {
        let properties = &function["Properties"];
        if properties["Role"].is_null() {
            found.insert("AWSLambdaBasicExecutionRole".to_owned());
            let events = properties["Events"].as_mapping().into_iter().flat_map(Mapping::values);
            if events.into_iter().any(|event| event["Type"] == "DynamoDB") {
                found.insert("AWSLambdaDynamoDBExecutionRole".to_owned());
            }
        }
        for policy in each(&properties["Policies"]) {
            // A document; else the name of a policy, or a template of SAM.
            if policy["Statement"].is_sequence() {
                documents.push(policy.clone());
            } else {
                found.insert(written(policy));
            }
        }
    }
    for kind in UNREAD {
        found.extend(resources(template, kind).into_keys().map(|name| format!("{name}: {kind}")));
    }
    for kind in ["AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"] {
        for resource in resources(template, kind).into_values() {
            let properties = &resource["Properties"];
            found.extend(each(&properties["ManagedPolicyArns"]).into_iter().map(written));
            documents.push(properties["PolicyDocument"].clone());
            documents.extend(each(&properties["Policies"]).iter().map(|policy| policy["PolicyDocument"].clone()));
        }
    }
    for statement in documents.iter().flat_map(|document| each(&document["Statement"])) {
        let sid = written(&statement["Sid"]);
        if statement["Effect"] == "Deny" {
            continue;
        }
        for inverted in ["NotAction", "NotResource"] {
            if !statement[inverted].is_null() {
                found.insert(format!("{sid}: {inverted}"));
            }
        }
        for part in ["Action", "Resource"] {
            let values: Vec<_> = each(&statement[part]).into_iter().map(written).collect();
            assert!(!values.is_empty(), "{sid} has no {part}");
            found.extend(values.into_iter().filter(|v| v.contains('*')).map(|value| format!("{sid}: {part} {value}")));
        }
    }
    found
}

#[test]
fn no_role_has_a_wildcard_that_is_not_justified() {
    let found = wildcards(&template());
    let justified: BTreeSet<_> = JUSTIFIED.iter().map(|(what, _)| (*what).to_owned()).collect();
    assert_eq!(found, justified, "what is found, and what is justified; neither may have more");
}

#[test]
fn a_wildcard_is_found_wherever_it_stands() {
    let with = |policy: &str| {
        let text = format!(
            "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Role: r\n      Policies: [{policy}]\n"
        );
        wildcards(&serde_yaml_ng::from_str(&text).expect("YAML")).into_iter().collect::<Vec<_>>()
    };
    let statement = |parts: &str| with(&format!("{{Statement: [{{Sid: S, Effect: Allow, {parts}}}]}}"));
    assert!(statement("Action: 'dynamodb:Query', Resource: !GetAtt EventsTable.Arn").is_empty());
    assert_eq!(statement("Action: 'dynamodb:*', Resource: !GetAtt T.Arn"), ["S: Action dynamodb:*"]);
    assert_eq!(statement("Action: [a, 'b:Get*'], Resource: r"), ["S: Action b:Get*"]);
    assert_eq!(statement("Action: a, Resource: [x, '*']"), ["S: Resource *"]);
    assert_eq!(statement("Action: a, Resource: !Sub '${T.Arn}/index/*'"), ["S: Resource !Sub ${T.Arn}/index/*"]);
    assert_eq!(statement("NotAction: a, Action: b, Resource: r"), ["S: NotAction"]);
    assert_eq!(with("AmazonDynamoDBFullAccess"), ["AmazonDynamoDBFullAccess"]);
    assert_eq!(with("{DynamoDBCrudPolicy: {TableName: '*'}}").len(), 1);
}

#[test]
fn every_function_has_a_log_group_of_its_own_that_forgets() {
    let template = template();
    let groups = resources(&template, "AWS::Logs::LogGroup");
    assert!(groups.values().all(|group| written(&group["Properties"]["RetentionInDays"]) == "!Ref LogRetentionDays"));
    let functions = resources(&template, "AWS::Serverless::Function");
    let used: BTreeSet<_> = functions
        .values()
        .map(|function| written(&function["Properties"]["LoggingConfig"]["LogGroup"]).replace("!Ref ", ""))
        .collect();
    assert_eq!(used.len(), functions.len(), "a group is shared");
    assert!(used.iter().all(|group| groups.contains_key(group)), "{used:?}");
}

#[test]
fn the_cost_is_reckoned_with_the_window_that_is_deployed() {
    assert_eq!(template()["Parameters"]["AggregateBatchWindow"]["Default"], u64::from(tally::cost::WINDOW));
}

#[test]
fn every_setting_can_be_given() {
    let asked = std::cell::RefCell::new(BTreeSet::new());
    let _ = Config::read(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    let template = template();
    let functions = resources(&template, "AWS::Serverless::Function");
    let places = functions
        .values()
        .map(|f| &f["Properties"]["Environment"])
        .chain([&template["Globals"]["Function"]["Environment"]]);
    let set: BTreeSet<_> = places
        .filter_map(|environment| environment["Variables"].as_mapping())
        .flat_map(|variables| variables.keys().map(written).collect::<Vec<_>>())
        // Others are the SDK's.
        .filter(|name| name.starts_with("TALLY_"))
        .collect();
    assert_eq!(set, asked.into_inner());
}

#[test]
fn every_alarm_tells_and_is_explained() {
    let template = template();
    let operations = std::fs::read_to_string(repository().join("docs/operations.md")).expect("docs/operations.md");
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    assert!(!alarms.is_empty());
    for (id, alarm) in &alarms {
        assert!(operations.contains(&format!("`{id}`")), "docs/operations.md says nothing of {id}");
        let properties = &alarm["Properties"];
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(
                each(&properties[actions]).into_iter().map(written).collect::<Vec<_>>(),
                ["!If - HasAlarmTopic\n- !Ref AlarmTopic\n- !Ref AWS::NoValue"],
                "{id}"
            );
        }
        assert!(properties["AlarmDescription"].is_string(), "{id}");
        assert_eq!(properties["TreatMissingData"], "notBreaching", "{id}: nothing happens where nobody calls");
    }
    let explained = operations.split('`').filter(|word| word.ends_with("Alarm"));
    for word in explained {
        assert!(alarms.contains_key(word), "docs/operations.md explains {word}, which there is not");
    }
}

/// The metrics of an alarm: its own, or those of its expression.
fn alarm_metrics(alarm: &Value) -> Vec<Value> {
    let properties = &alarm["Properties"];
    let of_expression = each(&properties["Metrics"]).into_iter().map(|query| query["MetricStat"]["Metric"].clone());
    of_expression.chain([properties.clone()]).filter(|metric| metric["MetricName"].is_string()).collect()
}

#[test]
fn alarms_and_dashboard_look_at_metrics_that_are_written() {
    let template = template();
    let written_by_us: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name().to_owned()).collect();
    let mut ours = 0;
    for (id, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        let metrics = alarm_metrics(&alarm);
        assert!(!metrics.is_empty(), "{id} looks at nothing");
        for metric in metrics.iter().filter(|metric| metric["Namespace"] == NAMESPACE) {
            ours += 1;
            assert!(written_by_us.contains(&written(&metric["MetricName"])), "{id}");
            let [dimension] = each(&metric["Dimensions"])[..] else { panic!("{id}: one dimension") };
            assert_eq!(dimension["Name"], DIMENSION, "{id}");
        }
    }
    assert!(ours > 0, "no alarm looks at a metric of ours");

    let dashboards = resources(&template, "AWS::CloudWatch::Dashboard");
    let body =
        dashboards.values().map(|dashboard| written(&dashboard["Properties"]["DashboardBody"])).collect::<String>();
    let body = body.strip_prefix("!Sub ").expect("a text with names");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let mut shown = BTreeSet::new();
    for widget in body["widgets"].as_array().expect("widgets") {
        for metric in widget["properties"]["metrics"].as_array().expect("metrics") {
            let [namespace, name, dimension, ..] = metric.as_array().expect("a list").as_slice() else { continue };
            if namespace == NAMESPACE {
                assert_eq!(dimension, DIMENSION, "{metric}");
                shown.insert(name.as_str().expect("a name").to_owned());
            }
        }
    }
    assert_eq!(shown, written_by_us, "what the dashboard shows, and what is written");
}
