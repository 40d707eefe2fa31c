//! Checks that the API description matches the served API and who may call it.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::{Map, Value};
use tally_core::app::role::Role;
use tally_http::compat::Compat;
use tally_http::families::{self, FAMILY_PATHS};
use tally_http::routes::{self, Access, ROUTES, Route};

use crate::harness::{Tally, TestApp};

/// An operation of the description that a route of Tally serves.
struct Operation {
    method: Method,
    path: String,
    value: Value,
}

impl Operation {
    fn about(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The single route that serves it.
    fn route(&self) -> &'static Route {
        let served: Vec<_> = routes::at(&self.path).filter(|route| route.method == self.method).collect();
        assert_eq!(served.len(), 1, "{}", self.about());
        served[0]
    }

    fn statuses(&self) -> BTreeSet<u16> {
        self.value["responses"].as_object().expect("responses").keys().map(|s| s.parse().expect("a status")).collect()
    }

    /// The credentials that it accepts.
    fn schemes(&self) -> BTreeSet<String> {
        let alternatives = self.value["security"].as_array().expect("security").iter();
        alternatives.flat_map(|one| one.as_object().expect("a requirement").keys().cloned()).collect()
    }
}

/// Those that routes serve; see [`families_are_described_by_their_vendors`] for the others.
fn operations() -> Vec<Operation> {
    let mut all = all_operations();
    all.retain(|operation| families::at(&operation.path).is_none());
    all
}

fn all_operations() -> Vec<Operation> {
    let document = openapi::document();
    let paths = document["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, methods)| {
        methods.as_object().expect("methods").iter().map(|(method, value)| Operation {
            method: method.to_ascii_uppercase().parse().expect("a method"),
            path: path.clone(),
            value: value.clone(),
        })
    });
    operations.collect()
}

#[test]
fn families_are_described_by_their_vendors() {
    let described: Vec<_> = all_operations().into_iter().filter(|o| families::at(&o.path).is_some()).collect();
    let paths: BTreeSet<_> = described.iter().map(|operation| operation.path.clone()).collect();
    let served: BTreeSet<_> = FAMILY_PATHS.iter().map(|known| known.path.replace("{*", "{")).collect();
    assert_eq!((described.len(), &paths), (served.len(), &served));
    for operation in described {
        let about = operation.about();
        let docs = operation.value["externalDocs"]["url"].as_str().unwrap_or_default();
        assert!(docs.starts_with("https://"), "{about}");
        let known = families::at(&operation.path).expect("a path of a family");
        let is_public = known.access == Access::Public;
        assert_eq!(operation.method, if is_public { Method::GET } else { Method::POST }, "{about}");
        assert_eq!(operation.schemes().is_empty(), is_public, "{about}");
        let named: BTreeSet<_> = operation.value["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .iter()
            .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
            .collect();
        let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(named, in_path.map(str::to_owned).collect(), "{about}");
    }
}

#[tokio::test]
async fn anyone_may_read_the_openapi_description() {
    let tally = Tally::start().await;
    let reply = tally.call(Method::GET, "/openapi.json", ("accept", "*/*"), "").await;
    assert_eq!((reply.status.as_u16(), &reply.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert_eq!(reply.json["openapi"], "3.1.0");
    assert!(reply.json == openapi::document(), "the file that is served is old: cargo run -p openapi");
}

#[test]
fn every_route_is_described_and_nothing_else() {
    // What stands for one segment in a description, where a route's own parameter takes only some values, or several
    // segments.
    let forms = |route: &Route| -> Vec<String> {
        let (open, forms): (&str, &[&str]) = match route.path {
            "/apps/{app}/reports/{report}" | "/seismo/api/reports/{report}/{app}" => {
                ("{report}", &["hour", "day", "week", "month", "period"])
            }
            "/apps/{app}/stats/{stat}" => (
                "{stat}",
                &[
                    "overview",
                    "timeseries",
                    "by-level",
                    "by-name",
                    "by-category",
                    "top-messages",
                    "hours",
                    "totals",
                    "groups",
                    "uniques",
                ],
            ),
            "/apps/{app}/count/{*name}" => ("{*name}", &["{name}", "{name}/{n}"]),
            "/apps/{app}/people/{*user_id}" => ("{*user_id}", &["{user_id}"]),
            "/assets/{version}/{*path}" => ("{*path}", &["{file}"]),
            "/apps/{app}/histogram/{*path}" => ("{*path}", &["{name}/{file}"]),
            "/event-tracker/{key}/api/events/{*path}" if route.method == Method::POST => {
                ("{*path}", &["{name}", "{name}/{n}"])
            }
            "/event-tracker/{key}/api/events/{*path}" => ("{*path}", &["unique"]),
            "/event-tracker/{key}/api/events/histogram/{*path}" => ("{*path}", &["{name}/{date}"]),
            path => return vec![path.to_owned()],
        };
        forms.iter().map(|form| route.path.replace(open, form)).collect()
    };
    let served: BTreeSet<_> = ROUTES
        .iter()
        .flat_map(|route| forms(route).into_iter().map(|path| format!("{} {path}", route.method)))
        .collect();
    let described: Vec<_> = operations().iter().map(Operation::about).collect();
    assert_eq!(described.len(), served.len());
    assert_eq!(described.into_iter().collect::<BTreeSet<_>>(), served);
    for operation in operations() {
        operation.route();
    }
}

/// A request for an operation on an app, with one credential sent as a scheme defines.
fn request(operation: &Operation, app: &TestApp, credential: Option<(&Value, &str)>) -> Request<Body> {
    let mut path = operation
        .path
        .replace("{app}", &app.slug)
        .replace("{name}", "a")
        .replace("{n}", "1")
        .replace("{id}", "x")
        .replace("{key_id}", "x")
        .replace("{user_id}", "a")
        .replace("{channel}", "x")
        .replace("{organization}", "any")
        .replace("{debug_id}", "x")
        .replace("{file}", "today.json")
        .replace("{version}", "x")
        .replace("{date}", "20261121")
        .replace("{key}", if operation.route().access == Access::Ingest { &app.ingest_key } else { &app.read_key });
    assert!(!path.contains('{'), "{path}");
    if path.starts_with("/seismo/api/reports/") {
        // What is not there is 403 to everybody.
        path.push_str("?date=today&hour=6&from=today&to=today");
    }
    let mut headers = Vec::new();
    if let Some((scheme, secret)) = credential {
        let name = scheme["name"].as_str().unwrap_or_default().to_owned();
        match (scheme["type"].as_str(), scheme["in"].as_str(), scheme["scheme"].as_str()) {
            (Some("apiKey"), Some("header"), _) => headers.push((name, secret.to_owned())),
            (Some("apiKey"), Some("cookie"), _) => headers.push(("cookie".to_owned(), format!("{name}={secret}"))),
            (Some("apiKey"), Some("query"), _) => {
                path = format!("{path}{}{name}={secret}", if path.contains('?') { '&' } else { '?' });
            }
            (Some("http"), _, Some("bearer")) => headers.push(("authorization".to_owned(), format!("Bearer {secret}"))),
            (Some("http"), _, Some("basic")) => {
                let user = STANDARD.encode(format!("{secret}:"));
                headers.push(("authorization".to_owned(), format!("Basic {user}")));
            }
            _ => panic!("{scheme}"),
        }
    }
    // Every client names the host; the cookie is good for nothing without.
    let request = Request::builder().method(&operation.method).uri(path).header("host", "tally.example");
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    request.body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn an_operation_accepts_exactly_the_credentials_it_names() {
    let tally = Tally::start().await;
    let document = openapi::document();
    let schemes = document["components"]["securitySchemes"].as_object().expect("schemes");
    for (i, operation) in operations().iter().enumerate() {
        let about = operation.about();
        // Of its own, since an operation may change or erase it.
        let app = tally.app(&format!("app {i}")).await;
        let named = operation.schemes();
        let bare = tally.send(request(operation, &app, None)).await.status.as_u16();
        let refused_without = bare == 401 && operation.route().access != Access::Public;
        assert_eq!(refused_without, !named.is_empty(), "{about}: no credentials: {bare}");
        // The key in the path is the only credential.
        assert!(!operation.path.contains("{key}") || ![403, 404].contains(&bare), "{about}: a key in the path: {bare}");
        for (name, scheme) in schemes.iter().filter(|_| !named.is_empty()) {
            // Of its own, since an operation may sign it out.
            let token = tally.token(Role::Admin).await;
            let secret = match name.as_str() {
                key if key.starts_with("ingestKey") => &app.ingest_key,
                key if key.starts_with("readKey") => &app.read_key,
                _ => &token,
            };
            let reply = tally.send(request(operation, &app, Some((scheme, secret)))).await;
            let opened = ![401, 403].contains(&reply.status.as_u16());
            assert_eq!(opened, named.contains(name), "{about}: {name}: {} {}", reply.status, reply.json);
        }
    }
}

#[test]
fn every_error_response_is_described_as_a_problem() {
    let document = openapi::document();
    let problems = &document["components"]["responses"];
    for operation in operations() {
        let route = operation.route();
        let statuses = operation.statuses();
        let has_body = !operation.value["requestBody"].is_null();
        let guarded = route.access != Access::Public;
        let about_an_app = matches!(route.access, Access::Ingest | Access::Read | Access::AppUsers | Access::AppAdmins)
            && !route.app_may_be_absent;
        // It reads the app itself, as it may be half erased.
        let erases_an_app = route.path == "/apps/{app}" && route.method == Method::DELETE;
        let signs_in = route.path.ends_with("/auth") && route.method == Method::POST;
        let signs_out = route.path == "/auth" && route.method == Method::DELETE;
        for (status, expected) in [
            (400, true),
            (401, guarded || signs_in),
            (403, guarded),
            (
                404,
                about_an_app
                    || erases_an_app
                    || route.path == routes::MCP.path
                    || route.path.starts_with("/assets/")
                    || route.path == "/js/{file}",
            ),
            (413, has_body),
            (
                415,
                ["/apps/{app}/events", "/the-eye/{key}/api/event", routes::UPLOAD_CHUNKS.path].contains(&route.path)
                    && route.method == Method::POST,
            ),
            (429, route.access == Access::Ingest || signs_in || signs_out),
            (503, guarded || signs_in || route.path == "/health"),
        ] {
            assert_eq!(statuses.contains(&status), expected, "{}: {status}", operation.about());
        }
        for status in statuses.iter().filter(|status| **status >= 400) {
            // JSON-RPC has errors of its own.
            if route.path == routes::MCP.path && [400, 404].contains(status) {
                let content = &operation.value["responses"][status.to_string()]["content"];
                assert!(content["application/json"]["schema"]["properties"]["error"].is_object(), "{content}");
                continue;
            }
            let named = operation.value["responses"][status.to_string()]["$ref"].as_str().expect("a shared reply");
            let reply = &problems[named.rsplit('/').next().expect("a name")];
            let content: Vec<_> = reply["content"].as_object().expect("content").iter().collect();
            assert_eq!(content.len(), 1);
            let (media_type, schema) = match Compat::of_path(&operation.path) {
                None => ("application/problem+json", "Problem"),
                Some(Compat::Seismo) => ("application/json", "SeismoRefusal"),
                Some(Compat::TheEye) => ("application/json", "TheEyeRefusal"),
                Some(Compat::EventTracker) => ("application/json", "EventTrackerRefusal"),
            };
            assert_eq!(content[0].0, media_type);
            assert_eq!(content[0].1["schema"]["$ref"], format!("#/components/schemas/{schema}"));
        }
        assert!(statuses.iter().any(|status| *status < 300), "{}: how it answers", operation.about());
    }
}

#[test]
fn every_parameter_is_named_once_and_described() {
    for operation in operations() {
        let about = operation.about();
        let none = Vec::new();
        let parameters = operation.value["parameters"].as_array().unwrap_or(&none);
        let text = |parameter: &Value, field: &str| parameter[field].as_str().expect("a text").to_owned();
        let mut seen = BTreeSet::new();
        for parameter in parameters {
            assert!(seen.insert((text(parameter, "in"), text(parameter, "name"))), "{about}: {parameter} twice");
            assert!(
                text(parameter, "description").len() > 5 && parameter["schema"].is_object(),
                "{about}: {parameter}"
            );
        }
        let in_path: BTreeSet<_> =
            seen.iter().filter(|(place, _)| place == "path").map(|(_, name)| name.clone()).collect();
        let parts = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(in_path, parts.map(str::to_owned).collect(), "{about}");
    }
}

#[test]
fn every_name_is_unique_and_every_reference_resolves() {
    let ids: Vec<_> =
        all_operations().iter().map(|o| o.value["operationId"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    let document = openapi::document();
    let mut references = BTreeMap::new();
    collect(&document, &mut references);
    for (reference, times) in &references {
        let target = document.pointer(reference.strip_prefix('#').expect("of this document"));
        assert!(target.is_some(), "{reference}, named {times} times");
    }
    let components = document["components"].as_object().expect("components");
    let unused = components.iter().filter(|(kind, _)| *kind != "securitySchemes").flat_map(|(kind, named)| {
        let named: &Map<_, _> = named.as_object().expect("named");
        named.keys().map(move |name| format!("#/components/{kind}/{name}"))
    });
    let unused: Vec<_> = unused.filter(|reference| !references.contains_key(reference)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn a_cursor_goes_with_every_parameter_that_has_a_default() {
    // Generated clients send every default.
    for operation in operations() {
        let parameters = operation.value["parameters"].as_array().cloned().unwrap_or_default();
        if parameters.iter().any(|parameter| parameter["name"] == "cursor") {
            let with_default: Vec<_> = parameters.iter().filter(|p| !p["schema"]["default"].is_null()).collect();
            assert!(with_default.iter().all(|p| p["name"] == "limit"), "{}: {with_default:?}", operation.about());
        }
    }
}

/// Generators of clients turn a schema into a type of their language.
#[test]
fn every_schema_can_become_a_type() {
    fn check(value: &Value, place: &str) {
        if let Value::Object(fields) = value {
            let is = |kind: &str| match &fields.get("type") {
                Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
                one => one.is_some_and(|one| one == kind),
            };
            assert!(!is("array") || fields.contains_key("items"), "{place}: a list of what?");
            let told = ["properties", "patternProperties", "additionalProperties"];
            assert!(!is("object") || told.iter().any(|told| fields.contains_key(*told)), "{place}: an object of what?");
            for choice in ["oneOf", "anyOf"] {
                let Some(alternatives) = fields.get(choice).and_then(Value::as_array) else { continue };
                let words = alternatives.iter().filter(|one| one["const"].is_string()).count();
                assert!(words < 2, "{place}: words are an enum");
                for one in alternatives {
                    assert!(!one["$ref"].is_null() || !one["type"].is_null(), "{place}: {one} has no type");
                }
            }
        }
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| check(value, &format!("{place}/{name}"))),
            Value::Array(items) => {
                for (i, value) in items.iter().enumerate() {
                    check(value, &format!("{place}/{i}"));
                }
            }
            _ => {}
        }
    }
    let document = openapi::document();
    check(&document, "");
    let levels = &document["components"]["schemas"]["Level"]["enum"];
    assert_eq!(*levels, serde_json::json!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]));
}

fn collect(value: &Value, into: &mut BTreeMap<String, usize>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                *into.entry(reference.to_owned()).or_default() += 1;
            }
            fields.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}
