//! Checks that template.yaml matches the code: tables, routes, sample events, settings, metrics. Also checks its own
//! rules: roles have least privilege, stored data is retained, and every alarm has a paragraph in docs/operations.md.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use serde_yaml_ng::{Mapping, Value};
use tally_http::compat::Compat;
use tally_http::families::{FAMILY_PATHS, FamilyPath, KEY_PREFIX};
use tally_http::routes::{self, Function, ROUTES};
use tally_service::config::{BATCH_SIZE, BATCH_WINDOW, Config};
use tally_service::metrics::{DIMENSION, Metric, NAMESPACE};
use tally_store::tables::{BY_SESSION, BY_USER, EXPIRES_AT, PK, SK, TABLES};

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

/// A scalar as written, with its tag: `dynamodb:Query`, `!GetAtt EventsTable.Arn`.
fn written(value: &Value) -> String {
    match value {
        Value::Tagged(tagged) => format!("{} {}", tagged.tag, written(&tagged.value)),
        Value::String(text) => text.clone(),
        other => serde_yaml_ng::to_string(other).expect("YAML").trim_end().to_owned(),
    }
}

/// Retained when the stack is deleted, but not when its creation failed.
fn kept() -> Value {
    Value::from("RetainExceptOnCreate")
}

fn operations() -> String {
    std::fs::read_to_string(repository().join("docs/operations.md")).expect("docs/operations.md")
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
fn tables_match_those_that_the_store_creates() {
    let template = template();
    assert_eq!(resources(&template, "AWS::DynamoDB::Table").len(), TABLES.len());
    for table in TABLES {
        let resource = &template["Resources"][table.logical_id];
        let policies = (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]);
        let properties = &resource["Properties"];
        if table.kept {
            assert_eq!(policies, (&kept(), &Value::from("Retain")));
            assert_eq!(written(&properties["DeletionProtectionEnabled"]), "!Ref DeletionProtection");
        } else {
            assert_eq!(policies, (&Value::from("Delete"), &Value::from("Delete")));
        }
        assert_eq!(keys(&properties["KeySchema"]), expected(PK, SK), "{}", table.logical_id);
        assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST");
        assert_eq!(properties["TimeToLiveSpecification"]["AttributeName"], EXPIRES_AT);
        assert_eq!(properties["TimeToLiveSpecification"]["Enabled"], true);
        assert_eq!(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], table.kept);
        assert_eq!(properties["SSESpecification"]["SSEEnabled"], true);
        let view = &properties["StreamSpecification"]["StreamViewType"];
        assert_eq!(view.as_str(), table.stream.then_some("NEW_AND_OLD_IMAGES"));
        let indexes = properties["GlobalSecondaryIndexes"].as_sequence().cloned().unwrap_or_default();
        assert_eq!(indexes.len(), table.indexes.len());
        for (index, (name, attribute)) in indexes.iter().zip(table.indexes) {
            assert_eq!(index["IndexName"], *name);
            assert_eq!(keys(&index["KeySchema"]), expected(attribute, SK));
            let projection = if *name == BY_SESSION { "!Ref SessionIndex" } else { "KEYS_ONLY" };
            assert_eq!(written(&index["Projection"]["ProjectionType"]), projection);
        }
        let attributes = properties["AttributeDefinitions"].as_sequence().expect("a list");
        assert!(attributes.iter().all(|attribute| attribute["AttributeType"] == "S"));
        assert_eq!(attributes.len(), 2 + table.indexes.len());
    }
}

#[test]
fn restored_tables_can_be_imported_by_the_template() {
    let (template, restored) = (read("template.yaml"), read("restore.yaml"));
    let mut tables = resources(&template, "AWS::DynamoDB::Table");
    tables.retain(|id, _| TABLES.iter().any(|table| table.logical_id == id && table.kept));
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
        // A restored table has neither. If they were here, the deployment after the import would not add them.
        for absent in ["StreamSpecification", "TimeToLiveSpecification", "PointInTimeRecoverySpecification"] {
            assert!(restored[absent].is_null(), "{id}: {absent}");
        }
    }
}

/// The functions that the HTTP API calls, by logical id.
const BEHIND_THE_API: [(&str, Function); 10] = [
    ("IngestFunction", Function::Ingest),
    ("QueryFunction", Function::Query),
    ("ReportsFunction", Function::Reports),
    ("ChartsFunction", Function::Charts),
    ("PeopleFunction", Function::People),
    ("McpFunction", Function::Mcp),
    ("AlertsFunction", Function::Alerts),
    ("SourceMapsFunction", Function::SourceMaps),
    ("AdminFunction", Function::Admin),
    ("WebFunction", Function::Web),
];

/// The routes of the HTTP API: method, path, function.
fn api_routes(template: &Value) -> Vec<(String, String, Function)> {
    let mut routes = Vec::new();
    let paths = template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"].as_mapping().expect("paths");
    for (path, methods) in paths {
        for (method, operation) in methods.as_mapping().expect("methods") {
            let method = match method.as_str().expect("a method") {
                "x-amazon-apigateway-any-method" => "ANY".to_owned(),
                method => method.to_ascii_uppercase(),
            };
            let integration = &operation["x-amazon-apigateway-integration"];
            let said = ["type", "httpMethod", "payloadFormatVersion"].map(|name| written(&integration[name]));
            assert_eq!(said, ["aws_proxy", "POST", "2.0"], "{method} {}", written(path));
            let uri = written(&integration["uri"]);
            let function = BEHIND_THE_API.into_iter().find_map(|(id, function)| {
                let expected = format!(
                    "!Sub arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{id}.Arn}}/invocations"
                );
                (uri == expected).then_some(function)
            });
            let default = operation["isDefaultRoute"] == true;
            // As SAM itself spells it: `sam local` knows it by this name alone.
            assert_eq!(default, path == "$default", "{}", written(path));
            routes.push((method, written(path), function.unwrap_or_else(|| panic!("{uri}"))));
        }
    }
    routes
}

#[test]
fn routes_and_permissions_stay_within_the_limits_of_amazon() {
    let template = template();
    let routes = api_routes(&template);
    assert!(routes.len() <= 300, "{} routes: an HTTP API has at most 300", routes.len());
    // A function's policy has at most 20 KB, about 50 statements: so it has one for all routes.
    let mut permitted: Vec<_> = Vec::new();
    for (id, permission) in resources(&template, "AWS::Lambda::Permission") {
        if permission["Condition"] == "HasIngestUrl" || id == "LogsPermission" {
            continue;
        }
        let properties = &permission["Properties"];
        assert_eq!(written(&properties["Action"]), "lambda:InvokeFunction", "{id}");
        assert_eq!(written(&properties["Principal"]), "apigateway.amazonaws.com", "{id}");
        assert_eq!(
            written(&properties["SourceArn"]),
            "!Sub arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*",
            "{id}"
        );
        permitted.push(written(&properties["FunctionName"]));
    }
    permitted.sort();
    let mut behind = BEHIND_THE_API.map(|(id, _)| format!("!Ref {id}"));
    behind.sort();
    assert_eq!(permitted, behind, "one permission for each function");
}

#[test]
fn only_ingest_may_have_a_url_and_only_with_bounded_concurrency() {
    let template = template();
    let urls = resources(&template, "AWS::Lambda::Url");
    assert_eq!(urls.keys().collect::<Vec<_>>(), ["IngestFunctionUrl"]);
    let url = &urls["IngestFunctionUrl"];
    assert_eq!(url["Condition"], "HasIngestUrl");
    assert_eq!(written(&url["Properties"]["TargetFunctionArn"]), "!GetAtt IngestFunction.Arn");
    // The function answers preflights; the URL would answer them in its place.
    assert!(url["Properties"]["Cors"].is_null());
    let mut permitted = Vec::new();
    for (id, permission) in resources(&template, "AWS::Lambda::Permission") {
        let properties = &permission["Properties"];
        if permission["Condition"] != "HasIngestUrl" {
            continue;
        }
        assert_eq!(written(&properties["FunctionName"]), "!Ref IngestFunction", "{id}");
        // Each is bound to the URL by its own property; without, anybody could invoke the function.
        let bound = (properties["FunctionUrlAuthType"] == "NONE", properties["InvokedViaFunctionUrl"] == true);
        permitted.push((written(&properties["Action"]), bound));
    }
    permitted.sort();
    let expected = [("lambda:InvokeFunction", (false, true)), ("lambda:InvokeFunctionUrl", (true, false))];
    assert_eq!(permitted, expected.map(|(action, bound)| (action.to_owned(), bound)));
    let rule = &template["Rules"]["IngestUrlIsThrottled"]["Assertions"][0]["Assert"];
    assert_eq!(written(rule), "!Not - !Equals\n  - !Ref IngestConcurrency\n  - 0");
}

#[test]
fn client_libraries_reach_ingest_with_any_method_with_and_without_a_slash_at_the_end() {
    let routes = api_routes(&template());
    for known in FAMILY_PATHS {
        let path = known.path.replace("{*file}", "1.2/array.js");
        for under in ["", "/k/tly_in_1"] {
            for slash in ["", "/"] {
                let path = format!("{under}{path}{slash}");
                for method in ["GET", "POST", "OPTIONS", "PUT", "HEAD"] {
                    assert_eq!(reaches(&routes, method, &path), Function::Ingest, "{method} {path}");
                }
            }
        }
    }
    // Nothing goes to ingest with any method that no client library calls.
    for (method, path, function) in &routes {
        if method == "ANY" && path != "$default" {
            let called = |known: &FamilyPath| {
                let base = path.trim_end_matches("{path+}").trim_end_matches('/');
                known.path == base || known.path.starts_with(&format!("{base}/"))
            };
            assert!(path.starts_with(KEY_PREFIX) || FAMILY_PATHS.iter().any(called), "{path}");
            assert_eq!(*function, Function::Ingest, "{path}");
        }
    }
}

/// Which function the HTTP API routes a request to: a full match before a greedy one before `$default`, of several the most
/// specific (AWS: "Create routes for HTTP APIs").
fn reaches(routes: &[(String, String, Function)], method: &str, path: &str) -> Function {
    let rank = |pattern: &str| -> Option<(u32, (Reverse<usize>, usize))> {
        // The longest, then the one with the fewest variables.
        let length = (Reverse(pattern.split('/').count()), pattern.matches('{').count());
        if pattern == "$default" {
            return Some((2, length));
        }
        let (mut pattern, mut segments) = (pattern.split('/'), path.split('/'));
        loop {
            match (pattern.next(), segments.next()) {
                (None, None) => return Some((0, length)),
                // Also an empty rest: so a path with a slash at its end is matched.
                (Some(part), Some(_)) if part.ends_with("+}") => return Some((1, length)),
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
            // Compat clients may send a trailing slash, and so may those that send events.
            // Other functions answer it alike: with a redirect.
            if Compat::of_path(&path).is_some() || matches!(route.function, Function::Ingest | Function::Admin) {
                assert_eq!(with_slash, route.function, "{path}/");
            }
        }
        if route.method == Method::GET {
            assert_eq!(
                reaches(&routes, "HEAD", &path),
                route.function,
                "HEAD {path}: HTTP API does not send it where GET goes"
            );
        }
    }
    assert_eq!(reaches(&routes, "DELETE", "/apps/a/stats/hours"), Function::Admin);
}

#[test]
fn every_route_the_stream_dead_batches_and_logs_have_a_sample_event() {
    let mut samples: Vec<(String, String)> = Vec::new();
    let (mut streams, mut dead_batches, mut logs) = (0, 0, 0);
    for file in std::fs::read_dir(repository().join("events")).expect("events/") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("readable");
        let event: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if event["Records"].is_array() {
            streams += 1;
            continue;
        }
        if event["source"] == "aws.s3" {
            dead_batches += 1;
            continue;
        }
        if event["awslogs"]["data"].is_string() {
            logs += 1;
            continue;
        }
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let mut path = text(&event["rawPath"]);
        if Compat::of_path(&path).is_some() && path.ends_with('/') {
            path.pop();
        }
        samples.push((text(&event["requestContext"]["http"]["method"]), path));
    }
    assert!(streams >= 1 && dead_batches >= 1 && logs >= 1);
    for route in ROUTES {
        // What a narrower route serves is no sample of a wider one.
        let found = samples
            .iter()
            .any(|(method, path)| *method == route.method.as_str() && routes::at(path).any(|served| served == *route));
        assert!(found, "events/ has none for {} {}", route.method, route.path);
    }
}

/// Permissions of a role that are too wide, and why they are necessary.
const JUSTIFIED: &[(&str, &str)] = &[
    (
        "AWSLambdaBasicExecutionRole",
        "SAM gives it to every function: it may make log groups and write to any of the account, and read none",
    ),
    (
        "AWSLambdaDynamoDBExecutionRole",
        "SAM gives it to a function with a stream: it may read any stream of the account",
    ),
    (
        "KeepDeadBatches: Resource !Sub ${DeadBatches.Arn}/aws/lambda/*",
        "Lambda names what it puts there by mapping, stream shard and time, with a random end",
    ),
    ("KeepFiles: Resource !Sub ${SourceMaps.Arn}/chunks/*", "the parts of uploads are named by their content"),
    ("KeepFiles: Resource !Sub ${SourceMaps.Arn}/maps/*", "source maps are named by app and debug id"),
    ("DeleteMaps: Resource !Sub ${SourceMaps.Arn}/maps/*", "the same"),
    ("EraseMaps: Resource !Sub ${SourceMaps.Arn}/maps/*", "the same"),
    ("ReadDeadBatches: Resource !Sub ${DeadBatches.Arn}/aws/lambda/*", "the same"),
    (
        "KeepDeadLogs: Resource !Sub ${DeadLogs.Arn}/aws/lambda/*",
        "Lambda names what it puts there by function and time, with a random end",
    ),
];

/// Resources that carry a policy but are not checked, so they must not appear.
const UNREAD: [&str; 4] =
    ["AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::DynamoDB::ResourcePolicy", "AWS::Serverless::Connector"];

/// Permissions of a template's roles that are not one action on one named resource.
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
            // A document; otherwise the name of a policy, or a SAM policy template.
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
    for kind in ["AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::S3::BucketPolicy"] {
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
fn wildcards_are_found_at_any_depth() {
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
fn a_function_that_is_asked_for_a_session_or_user_may_query_its_index() {
    let template = template();
    let description = openapi::document();
    let mut functions = BTreeSet::new();
    let indexed = [("session_id", BY_SESSION), ("user_id", BY_USER)];
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
            for (_, index) in
                indexed.iter().filter(|(name, _)| parameters.iter().any(|parameter| parameter["name"] == *name))
            {
                let method = method.to_ascii_uppercase();
                let route = routes::at(path).find(|route| route.method.as_str() == method).expect("a route");
                let behind = BEHIND_THE_API.into_iter().find(|(_, function)| *function == route.function);
                functions.insert((behind.expect("a function").0, *index));
            }
        }
    }
    assert!(functions.contains(&("QueryFunction", BY_USER)) && functions.len() > 4, "{functions:?}");
    for (id, index) in functions {
        let statements = each(&template["Resources"][id]["Properties"]["Policies"])
            .into_iter()
            .flat_map(|policy| each(&policy["Statement"]));
        let may = statements.into_iter().any(|statement| {
            each(&statement["Action"]).iter().any(|action| **action == "dynamodb:Query")
                && each(&statement["Resource"])
                    .iter()
                    .any(|resource| written(resource) == format!("!Sub ${{EventsTable.Arn}}/index/{index}"))
        });
        assert!(may, "{id}: {index}");
    }
}

/// What a role allows or the table in docs/security.md says: function, resource, key and action.
type Rights = BTreeSet<(String, String, String, String)>;

/// The rights on tables and on source maps. Those on what Lambda gives up, which Lambda needs, are told apart from the table.
fn rights_of_roles(template: &Value) -> Rights {
    let mut rights = Rights::new();
    for (id, function) in resources(template, "AWS::Serverless::Function") {
        let name = kebab(id.strip_suffix("Function").expect("a function"));
        let policies = each(&function["Properties"]["Policies"]);
        let statements: Vec<_> = policies.into_iter().flat_map(|policy| each(&policy["Statement"])).collect();
        let denied = statements.iter().filter(|statement| statement["Effect"] == "Deny").collect::<Vec<_>>();
        for statement in statements.iter().filter(|statement| statement["Effect"] == "Allow") {
            let keys = leading_keys(statement, "ForAllValues:StringLike");
            for resource in each(&statement["Resource"]).into_iter().map(written) {
                let but = denied.iter().filter(|denied| written(&denied["Resource"]) == resource).map(|denied| {
                    assert_eq!(each(&denied["Action"]), each(&statement["Action"]), "{name}: all of it is denied");
                    format!("but {}", leading_keys(denied, "ForAnyValue:StringEquals").join(", "))
                });
                let keys = but.chain(keys.iter().cloned()).collect::<Vec<_>>();
                let (resource, keys) = match resource.strip_prefix("!Sub ${SourceMaps.Arn}/") {
                    Some(prefix) => ("SourceMaps", vec![prefix.to_owned()]),
                    None if resource.contains("DeadBatches") || resource.contains("DeadLogs") => continue,
                    None => (table_of(&resource), keys),
                };
                let keys = if keys.is_empty() { vec!["*".to_owned()] } else { keys };
                for action in each(&statement["Action"]).into_iter().map(written) {
                    rights.extend(
                        keys.iter().map(|key| (name.clone(), resource.to_owned(), key.clone(), action.clone())),
                    );
                }
            }
        }
    }
    rights
}

/// The actions on a table that the role of a function allows, such as `PutItem`, whatever the keys of the items.
pub(crate) fn may(function: &str, table: &str) -> BTreeSet<String> {
    let of_it = rights_of_roles(&template()).into_iter().filter(|(name, on, ..)| name == function && on == table);
    of_it.map(|(.., action)| action.trim_start_matches("dynamodb:").to_owned()).collect()
}

fn kebab(name: &str) -> String {
    let words = name.chars().enumerate().map(|(i, c)| {
        let dash = if i > 0 && c.is_uppercase() { "-" } else { "" };
        format!("{dash}{}", c.to_ascii_lowercase())
    });
    words.collect()
}

fn table_of(resource: &str) -> &str {
    for index in [BY_SESSION, BY_USER] {
        if resource == format!("!Sub ${{EventsTable.Arn}}/index/{index}") {
            return index;
        }
    }
    let table = resource.strip_prefix("!GetAtt ").and_then(|table| table.strip_suffix("Table.Arn"));
    table.unwrap_or_else(|| panic!("{resource}"))
}

fn leading_keys(statement: &Value, operator: &str) -> Vec<String> {
    let condition = &statement["Condition"];
    if condition.is_null() {
        return vec![];
    }
    let keys = each(&condition[operator]["dynamodb:LeadingKeys"]).into_iter().map(written).collect::<Vec<_>>();
    assert!(!keys.is_empty(), "{condition:?}");
    keys
}

/// The same of the table in docs/security.md.
fn rights_of_the_docs() -> Rights {
    const AS_ABOVE: [&str; 4] = ["app#*", "key#*", "public-keys", "revoked-sessions"];
    let text = std::fs::read_to_string(repository().join("docs/security.md")).expect("docs/security.md");
    let table = text.split_once("| function | table |").expect("the table").1.split_once("\n\n").expect("its end").0;
    let quoted = |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let (mut rights, mut function) = (Rights::new(), String::new());
    for row in table.lines().skip(2) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, on, actions, _] = cells[..] else { panic!("{row}") };
        if !name.is_empty() {
            name.trim_matches('`').clone_into(&mut function);
        }
        if on == "none" {
            continue;
        }
        let (service, actions) =
            actions.strip_prefix("`s3:` ").map_or(("dynamodb", actions), |actions| ("s3", actions));
        let (tables, keys) = if let Some(keys) = on.strip_prefix("the bucket of source maps, ") {
            ("SourceMaps", quoted(keys))
        } else if let Some((tables, keys)) = on.split_once(", only ") {
            (tables, quoted(keys))
        } else if let Some((tables, keys)) = on.split_once(", all items but ") {
            (tables, vec![format!("but {}", quoted(keys).join(", "))])
        } else if let Some(tables) = on.strip_suffix(", as above") {
            (tables, AS_ABOVE.map(str::to_owned).to_vec())
        } else {
            (on, vec!["*".to_owned()])
        };
        for table in tables.replace(" and ", ", ").split(", ").map(|table| table.trim_matches('`').to_owned()) {
            for action in actions.split(", ").map(|action| format!("{service}:{action}")) {
                rights.extend(keys.iter().map(|key| (function.clone(), table.clone(), key.clone(), action.clone())));
            }
        }
    }
    rights
}

#[test]
fn the_table_of_rights_is_what_the_roles_allow() {
    let (roles, docs) = (rights_of_roles(&template()), rights_of_the_docs());
    let undocumented: Vec<_> = roles.difference(&docs).collect();
    let missing: Vec<_> = docs.difference(&roles).collect();
    assert!(
        undocumented.is_empty() && missing.is_empty(),
        "only in roles: {undocumented:#?}\nonly in docs: {missing:#?}"
    );
    assert!(roles.len() > 100, "{}", roles.len());
}

#[test]
fn every_function_has_its_own_log_group_with_a_retention() {
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
fn the_cost_model_uses_the_deployed_batch_window() {
    let template = template();
    let default = |name: &str| template["Parameters"][name]["Default"].as_u64();
    assert_eq!(default("AggregateBatchWindow"), Some(BATCH_WINDOW.into()));
    assert_eq!(default("AggregateBatchSize"), Some(BATCH_SIZE.into()));
    assert_eq!(default("TailBudget"), Some(tally_service::config::TAIL_BUDGET.into()));
}

#[test]
fn every_setting_can_be_given() {
    let asked = std::cell::RefCell::new(BTreeSet::new());
    let _ = Config::read(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    // Only `alerts` sends notifications. What its webhooks may reach in development has no place in a deployment.
    let _ = tally_notify::Settings::from_variables(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    asked.borrow_mut().remove("TALLY_WEBHOOK_ALLOW");
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
fn every_alarm_notifies_and_is_documented() {
    let template = template();
    let operations = operations();
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

/// The body of the dashboard with all that it may show.
fn dashboard(template: &Value) -> serde_json::Value {
    let dashboards = resources(template, "AWS::CloudWatch::Dashboard");
    let [dashboard] = dashboards.values().collect::<Vec<_>>()[..] else { panic!("one dashboard") };
    let Value::Tagged(body) = &dashboard["Properties"]["DashboardBody"] else { panic!("a text with names") };
    let Value::Tagged(widget) = &body.value[1]["LogsWidget"] else { panic!("a choice") };
    let [condition, widget, without] = each(&widget.value)[..] else { panic!("a choice of two") };
    assert_eq!((condition, without), (&Value::from("HasLogs"), &Value::from("")));
    let widget = written(widget).strip_prefix("!Sub ").expect("a text with names").to_owned();
    let body = written(&body.value[0]);
    let parsed = |widget: &str| serde_json::from_str(&body.replace("${LogsWidget}", widget)).expect("JSON");
    let _: serde_json::Value = parsed("");
    parsed(&widget)
}

#[test]
fn alarms_and_dashboard_use_metrics_that_exist() {
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

    let mut shown = BTreeSet::new();
    for widget in dashboard(&template)["widgets"].as_array().expect("widgets") {
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

/// An alarm's periods, how many of them are evaluated, and how many must breach.
fn periods(alarm: &Value) -> (u64, u64, u64) {
    let properties = &alarm["Properties"];
    let of_metrics = each(&properties["Metrics"]).into_iter().map(|query| &query["MetricStat"]["Period"]);
    let mut periods: Vec<_> = of_metrics.chain([&properties["Period"]]).filter_map(Value::as_u64).collect();
    periods.dedup();
    let [period] = periods[..] else { panic!("periods of one length: {periods:?}") };
    let evaluated = properties["EvaluationPeriods"].as_u64().expect("a number");
    (period, evaluated, properties["DatapointsToAlarm"].as_u64().unwrap_or(evaluated))
}

/// Metrics that exist only when the counting function is called, which may happen once in ten minutes.
fn looks_at_counting(alarm: &Value) -> bool {
    let seldom = |metric: &Value| {
        let dimensions = written(&metric["Dimensions"]);
        // Only this function updates counters.
        dimensions.contains("AggregateFunction") || dimensions.contains("CountersTable")
    };
    alarm_metrics(alarm).iter().any(seldom)
}

#[test]
fn alarms_on_counting_fire_at_any_batch_window() {
    let template = template();
    let window = template["Parameters"]["AggregateBatchWindow"]["MaxValue"].as_u64().expect("a number");
    let timeout = template["Resources"]["AggregateFunction"]["Properties"]["Timeout"].as_u64().expect("a number");
    let mut looked_at = 0;
    for (id, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        let (period, evaluated, needed) = periods(&alarm);
        if !looks_at_counting(&alarm) || id == "CountingStoppedAlarm" {
            continue;
        }
        looked_at += 1;
        if needed == 1 {
            // One value is enough, whenever it arrives.
            continue;
        }
        for every in [1, 60, 299, 300, 301, 450, window + timeout] {
            for start in (0..every).step_by(7) {
                let calls = (0..).map(|n| start + n * every).take_while(|at| *at < period * evaluated);
                let seen: BTreeSet<_> = calls.map(|at| at / period).collect();
                assert!(
                    seen.len() as u64 >= needed,
                    "{id}: a call in {every} s is seen in {} of {evaluated} periods, and {needed} must breach",
                    seen.len()
                );
            }
        }
    }
    assert!(looked_at >= 7, "{looked_at}");
    let behind = &template["Resources"]["CountersBehindAlarm"]["Properties"]["Metrics"][0];
    assert_eq!(written(&behind["Expression"]), "!Sub age / 1000 - ${AggregateBatchWindow}", "the window is no lag");
}

#[test]
fn running_counting_raises_no_alarm_at_any_batch_window() {
    let template = template();
    let (period, evaluated, needed) = periods(&template["Resources"]["CountingStoppedAlarm"]);
    for every in 1..=600 {
        for start in (0..every).step_by(7) {
            let calls = (0..).map(|n| start + n * every).take_while(|at| *at < period * evaluated);
            let counted: BTreeSet<_> = calls.map(|at| at / period).collect();
            assert!(evaluated - (counted.len() as u64) < needed, "a call in {every} s");
        }
    }
}

#[test]
fn metric_math_has_a_value_where_metrics_have_none() {
    for (id, alarm) in resources(&template(), "AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        let (_, evaluated, needed) = periods(&alarm);
        let metrics = each(&properties["Metrics"]);
        let expression = metrics.iter().map(|query| written(&query["Expression"])).find(|text| text != "null");
        let Some(expression) = expression else {
            assert_ne!(properties["Namespace"], "AWS/DynamoDB", "{id}: such an alarm would never end");
            continue;
        };
        let ids: Vec<_> = metrics.iter().filter(|q| q["Expression"].is_null()).map(|q| written(&q["Id"])).collect();
        assert!(metrics.iter().all(|q| q["Expression"].is_null() != q["ReturnData"].is_null()), "{id}: one result");
        if matches!(id.as_str(), "CountersBehindAlarm" | "ServerErrorsAlarm") {
            // No metric means no fault, and missing data does not breach.
            assert!(!expression.contains("FILL") && ids.iter().all(|id| expression.contains(id)), "{expression}");
            continue;
        }
        for metric in &ids {
            assert!(expression.contains(&format!("FILL({metric}, 0)")), "{id}: {metric} in {expression}");
        }
        let sums = expression.matches("SUM([").count();
        assert!(sums > 0 && sums == expression.matches("SUM([TIME_SERIES(0), ").count(), "{id}: {expression}");
        assert_eq!(expression.matches("FILL(").count(), ids.len(), "{id}: {expression}");
        // FILL may replace a late newest value with 0, permanently.
        assert!(evaluated > needed, "{id}");
    }
}

#[test]
fn a_deployment_asks_no_questions() {
    let config = std::fs::read_to_string(repository().join("samconfig.toml")).expect("samconfig.toml");
    let section = |name: &str| {
        let (_, rest) = config.split_once(&format!("[default.{name}.parameters]\n")).expect(name);
        rest.split("\n[").next().unwrap_or_default().to_owned()
    };
    for setting in ["capabilities = \"CAPABILITY_IAM\"", "confirm_changeset = false", "resolve_s3 = true"] {
        assert!(section("deploy").lines().any(|line| line == setting), "{setting}");
    }
    assert!(section("global").contains("stack_name = "));
    assert!(section("package").contains("resolve_s3 = true"));
    let template = template();
    for (name, parameter) in template["Parameters"].as_mapping().expect("parameters") {
        assert!(!parameter["Default"].is_null(), "{} must be given", written(name));
    }
    // `--guided` asks whether a route without authentication is meant for each event of a function, and for none of a body.
    for (id, function) in resources(&template, "AWS::Serverless::Function") {
        let events = function["Properties"]["Events"].as_mapping().into_iter().flat_map(Mapping::values);
        assert!(events.into_iter().all(|event| event["Type"] != "HttpApi" && event["Type"] != "Api"), "{id}");
        assert!(function["Properties"]["FunctionUrlConfig"].is_null(), "{id}");
    }
    assert!(!operations().contains("has no authentication"));
}

#[test]
fn every_parameter_is_explained() {
    let operations = operations();
    for name in template()["Parameters"].as_mapping().expect("parameters").keys() {
        assert!(operations.contains(&format!("`{}`", written(name))), "docs/operations.md: {}", written(name));
    }
}

#[test]
fn the_whole_stream_is_counted_and_dead_batches_are_kept() {
    let template = template();
    let mapping = &template["Resources"]["AggregateFunction"]["Properties"]["Events"]["EventsStream"]["Properties"];
    // A filter that dropped a deletion by a person would keep its count forever. The function ignores expiries itself.
    assert!(mapping["FilterCriteria"].is_null());
    assert_eq!(mapping["StartingPosition"], "TRIM_HORIZON");
    assert_eq!((&mapping["MaximumRecordAgeInSeconds"], &mapping["MaximumRetryAttempts"]), (&(-1).into(), &(-1).into()));
    assert_eq!(mapping["BisectBatchOnFunctionError"], true);
    assert_eq!(each(&mapping["MetricsConfig"]["Metrics"]), ["EventCount"]);
    let destination = &mapping["DestinationConfig"]["OnFailure"];
    assert_eq!(written(&destination["Destination"]), "!GetAtt DeadBatches.Arn");
    assert!(destination["Type"].is_null(), "SAM would let the function write anywhere in the bucket");
    let told =
        &template["Resources"]["AggregateFunction"]["Properties"]["Events"]["DeadBatch"]["Properties"]["Pattern"];
    assert_eq!(each(&told["detail-type"]), ["Object Created"]);
    assert_eq!(written(&told["detail"]["bucket"]["name"][0]), "!Ref DeadBatches");
    let bucket = &template["Resources"]["DeadBatches"]["Properties"]["NotificationConfiguration"];
    assert_eq!(bucket["EventBridgeConfiguration"]["EventBridgeEnabled"], true);
}

#[test]
fn buckets_are_private_and_forget() {
    let template = template();
    let buckets = resources(&template, "AWS::S3::Bucket");
    assert_eq!(buckets.keys().collect::<Vec<_>>(), ["DeadBatches", "DeadLogs", "SourceMaps"]);
    for name in buckets.keys() {
        bucket_is_private(&template, name);
    }
    for name in ["DeadBatches", "DeadLogs"] {
        let days = buckets[name]["Properties"]["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"].as_u64();
        assert!(operations().contains(&format!("for {} days", days.expect("days"))), "docs/operations.md");
    }
    let rules = each(&buckets["SourceMaps"]["Properties"]["LifecycleConfiguration"]["Rules"]);
    let rules: Vec<_> =
        rules.iter().map(|rule| (written(&rule["Prefix"]), rule["ExpirationInDays"].as_u64())).collect();
    // A day more than a map is known for.
    let keep = u64::try_from(tally_core::source_map::KEEP / tally_core::time::DAY).expect("days") + 1;
    assert_eq!(rules, [("chunks/".to_owned(), Some(1)), ("maps/".to_owned(), Some(keep))]);
}

/// Asserts that a bucket is closed, encrypted, asks for TLS and forgets.
fn bucket_is_private(template: &Value, name: &str) {
    let bucket = &resources(template, "AWS::S3::Bucket")[name];
    assert_eq!((&bucket["DeletionPolicy"], &bucket["UpdateReplacePolicy"]), (&kept(), &Value::from("Retain")));
    let properties = &bucket["Properties"];
    let access = properties["PublicAccessBlockConfiguration"].as_mapping().expect("a block");
    assert!(access.len() == 4 && access.values().all(|block| *block == true), "{access:?}");
    let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    assert_eq!(encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
    assert_eq!(properties["OwnershipControls"]["Rules"][0]["ObjectOwnership"], "BucketOwnerEnforced");
    assert!(each(&properties["LifecycleConfiguration"]["Rules"]).iter().all(|rule| rule["Status"] == "Enabled"));
    let policies = resources(template, "AWS::S3::BucketPolicy");
    let statement = &policies[&format!("{name}Policy")]["Properties"]["PolicyDocument"]["Statement"];
    let [statement] = each(statement)[..] else { panic!("one statement") };
    assert_eq!((&statement["Effect"], &statement["Principal"]), (&"Deny".into(), &"*".into()));
    assert_eq!(statement["Condition"]["Bool"]["aws:SecureTransport"], "false");
    let on: Vec<_> = each(&statement["Resource"]).into_iter().map(written).collect();
    assert_eq!(on, [format!("!GetAtt {name}.Arn"), format!("!Sub ${{{name}.Arn}}/*")]);
}

/// The maximum bytes of a variable's value.
fn most_bytes(template: &Value, logical_id_of_tables: &BTreeSet<String>, value: &Value) -> usize {
    /// A stack's name has up to 128 characters, what `CloudFormation` adds to a resource's name 13.
    const STACK: usize = 128 + 1 + 13;
    let text = written(value);
    if let Some(name) = text.strip_prefix("!Ref ") {
        if logical_id_of_tables.contains(name) {
            return STACK + name.len() + 1;
        }
        if resources(template, "AWS::S3::Bucket").contains_key(name) {
            // The longest name of a bucket.
            return 63;
        }
        let parameter = &template["Parameters"][name];
        return match (parameter["Type"].as_str(), parameter["AllowedValues"].is_null()) {
            (Some("Number"), _) => written(&parameter["MaxValue"]).len(),
            (Some("String"), true) => {
                let most = parameter["MaxLength"].as_u64().unwrap_or_else(|| panic!("{name} has no MaxLength"));
                usize::try_from(most).expect("small")
            }
            other => panic!("{name}: {other:?}"),
        };
    }
    assert!(!text.starts_with('!'), "{text}");
    text.len()
}

#[test]
fn the_environment_of_every_function_stays_under_4_kb() {
    let template = template();
    let tables: BTreeSet<_> = resources(&template, "AWS::DynamoDB::Table").into_keys().collect();
    let common = template["Globals"]["Function"]["Environment"]["Variables"].as_mapping().expect("variables");
    for (id, function) in resources(&template, "AWS::Serverless::Function") {
        let own = function["Properties"]["Environment"]["Variables"].as_mapping().cloned().unwrap_or_default();
        let mut bytes = 2;
        for (name, value) in common.iter().chain(&own) {
            let mut most = match value {
                // The list of users, or the secret that has as much room.
                Value::Tagged(tagged) if tagged.tag == "If" => {
                    let [_, secret, parameter] = each(&tagged.value)[..] else { panic!("{}", written(value)) };
                    assert!(written(secret).contains("{{resolve:secretsmanager:"));
                    most_bytes(&template, &tables, parameter)
                }
                value => most_bytes(&template, &tables, value),
            };
            if name == "TALLY_USERS" {
                // Lambda measures the variables as JSON, where a quote takes a second byte. The densest list is of
                // {"github":"a","role":"admin"}: 8 quotes in 30 bytes.
                most += most * 8 / 30;
            }
            bytes += "\"\":\"\",".len() + written(name).len() + most;
        }
        assert!(bytes <= 4096, "{id}: {bytes} bytes");
    }
}

#[test]
fn users_may_come_from_a_secret_and_follow_its_version() {
    let template = template();
    let variables = &template["Resources"]["AdminFunction"]["Properties"]["Environment"]["Variables"];
    let Value::Tagged(users) = &variables["TALLY_USERS"] else { panic!("a choice") };
    let [condition, secret, parameter] = each(&users.value)[..] else { panic!("a choice of two") };
    assert_eq!((written(condition), written(parameter)), ("HasUsersSecret".into(), "!Ref Users".into()));
    assert_eq!(written(secret), "!Sub {{resolve:secretsmanager:${UsersSecret}:SecretString:::${UsersSecretVersion}}}");
    assert!(operations().contains("aws secretsmanager put-secret-value"));
}

#[test]
fn optional_resources_are_off_by_default_and_monitoring_can_be_left_out() {
    let template = template();
    let conditions = &template["Conditions"];
    let default = |name: &str| template["Parameters"][name]["Default"].clone();
    assert_eq!(default("Monitoring"), "true");
    assert_eq!(written(&conditions["Monitored"]), "!Equals - !Ref Monitoring\n- 'true'");
    for kind in ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"] {
        for (id, resource) in resources(&template, kind) {
            let condition = if id == "LogsGivenUpAlarm" { "MonitorsLogs" } else { "Monitored" };
            assert_eq!(resource["Condition"], condition, "{id}");
        }
    }
    assert_eq!(template["Outputs"]["DashboardUrl"]["Condition"], "Monitored");
    // The cost when idle.
    let mut alarms = resources(&template, "AWS::CloudWatch::Alarm");
    alarms.retain(|_, alarm| alarm["Condition"] == "Monitored");
    let metrics: usize = alarms.values().map(|alarm| alarm_metrics(alarm).len()).sum();
    let (dollars, cents) = (metrics / 10, metrics % 10 * 10);
    for file in ["docs/operations.md", "docs/cost.md"] {
        let text = std::fs::read_to_string(repository().join(file)).expect(file);
        let said = format!("{} alarms at $0.10 a month for each of their {metrics} metrics", alarms.len());
        assert!(text.contains(&said), "{file}: {said}");
    }
    let idle = format!("${}.{cents:02} a month", dollars + 3);
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("README.md");
    assert!(operations().contains(&idle) && readme.contains(&idle), "{idle}");

    assert_eq!((default("DomainName"), default("AggregateConcurrency")), ("".into(), 0.into()));
    let reserved = &template["Resources"]["AggregateFunction"]["Properties"]["ReservedConcurrentExecutions"];
    assert_eq!(written(reserved), "!If - ReservesAggregate\n- !Ref AggregateConcurrency\n- !Ref AWS::NoValue");
    assert_eq!((default("IngestUrl"), default("IngestConcurrency")), ("false".into(), 0.into()));
    let reserved = &template["Resources"]["IngestFunction"]["Properties"]["ReservedConcurrentExecutions"];
    assert_eq!(written(reserved), "!If - ReservesIngest\n- !Ref IngestConcurrency\n- !Ref AWS::NoValue");
    for id in ["ApiDomain", "ApiDomainMapping"] {
        assert_eq!(template["Resources"][id]["Condition"], "HasDomain");
    }
    let mapping = &template["Resources"]["ApiDomainMapping"]["Properties"];
    assert!(mapping["ApiMappingKey"].is_null(), "a path in front would become a part of every path");
    let certificate = &template["Resources"]["ApiDomain"]["Properties"]["DomainNameConfigurations"][0];
    assert_eq!(written(&certificate["CertificateArn"]), "!Ref CertificateArn");
}

#[test]
fn without_an_app_for_log_events_nothing_takes_them() {
    let template = template();
    assert_eq!(template["Parameters"]["LogsApp"]["Default"], "");
    assert_eq!(written(&template["Conditions"]["HasLogs"]), "!Not - !Equals\n  - !Ref LogsApp\n  - ''");
    for id in ["LogsFunction", "LogsLog", "LogsRetries", "LogsPermission", "DeadLogs", "DeadLogsPolicy"] {
        assert_eq!(template["Resources"][id]["Condition"], "HasLogs", "{id}");
    }
    let permission = &template["Resources"]["LogsPermission"]["Properties"];
    assert_eq!(written(&permission["Principal"]), "logs.amazonaws.com");
    assert_eq!(written(&permission["SourceAccount"]), "!Ref AWS::AccountId", "log groups of nobody else");
    let retries = &template["Resources"]["LogsRetries"]["Properties"];
    assert_eq!(written(&retries["DestinationConfig"]["OnFailure"]["Destination"]), "!GetAtt DeadLogs.Arn");
}

#[test]
fn the_default_architecture_is_tested_and_the_workflow_builds_the_other() {
    assert_eq!(template()["Parameters"]["Architecture"]["Default"], "x86_64");
    let workflow = read(".github/workflows/ci.yml");
    let matrix = &workflow["jobs"]["gate"]["strategy"]["matrix"]["include"];
    let on_arm = each(matrix).into_iter().find(|job| written(&job["runner"]).ends_with("-arm"));
    assert_eq!(on_arm.expect("a job on arm64")["step"], "size");
}

#[test]
fn logs_contain_the_lines_that_operations_md_refers_to() {
    let level = &template()["Globals"]["Function"]["LoggingConfig"]["SystemLogLevel"];
    assert_eq!(level, "WARN");
    // platform.report and platform.initReport of calls that succeed are INFO.
    let operations = operations();
    for field in ["InitDuration", "initDurationMs", "maxMemoryUsedMB", "Max Memory Used"] {
        assert!(!operations.contains(field), "{field} is logged at INFO");
    }
}
