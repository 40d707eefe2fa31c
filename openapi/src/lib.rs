//! The description of the HTTP API, OpenAPI 3.1, made of the operations of the functions and the table of routes. `admin`
//! serves the file that `cargo run -p openapi` writes, so no function contains the code that makes it.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use tally_http::compat::Compat;
use tally_http::credentials::COOKIE_NAME;
use tally_http::openapi::{JSON, Operation, Parameter, ParameterLocation, ReplyDescription};
use tally_http::problem::{PROBLEM_JSON, ProblemDocument};
use tally_http::routes::{Access, Function, Route};

mod families;

/// The end of the names of input schemas. In all other schemas an optional field is never null.
const INPUT: &str = "Input";

const INTRODUCTION: &str = "Tally collects application events and answers questions about them.

Times in replies are RFC 3339 in UTC. Replies may have more fields than are listed here. A parameter that is not listed, or \
is sent twice and is no list, is an error; an empty one counts as absent. Every error is an `application/problem+json` document. A method \
that a path does not allow is answered with 405 and `Allow`. A trailing slash is ignored, or answered with 308 to the path \
without it.

The paths of Sentry, OpenTelemetry, PostHog, Mixpanel, Segment and RudderStack are listed with the tag `Client libraries`. \
They take and answer what the vendors describe.

Paths under `/seismo`, `/the-eye/{key}` and `/event-tracker/{key}` serve the clients of those systems in the formats of the \
systems, including errors: the clients change only their base URL.";

/// The description.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|s| {
        s.definitions_path = "/components/schemas".into();
        s.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    let mut refusals = BTreeMap::new();
    for operation in operations(&mut schemas) {
        let methods = paths.entry(operation.path.as_str()).or_insert_with(|| json!({}));
        methods[operation.route.method.as_str().to_ascii_lowercase()] = describe(&operation, &mut refusals);
    }
    paths.extend(families::paths());
    let refusals: Map<_, _> =
        refusals.into_iter().map(|(name, refusal)| (name, refusal.describe(&mut schemas))).collect();
    let mut schemas = schemas.take_definitions(true);
    for (_, schema) in schemas.iter_mut().filter(|(name, _)| !name.ends_with(INPUT)) {
        never_null_where_absent(schema);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tally",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server of this description."}],
        "tags": [
            {"name": tag(Function::Ingest), "description": "Send events."},
            {"name": tag(Function::Query), "description": "Read events."},
            {"name": tag(Function::Reports), "description": "Reports, statistics and histograms."},
            {"name": tag(Function::People), "description": "Sessions, funnels, retention, and numbers, from events."},
            {"name": tag(Function::Mcp), "description": "Tools for language models."},
            {"name": tag(Function::Alerts), "description": "Rules that tell people and programs what counters say."},
            {"name": tag(Function::SourceMaps), "description": "Source maps, as sentry-cli uploads them, and stacks shown with them."},
            {"name": tag(Function::Admin), "description": "Apps, keys, sign-in, and repairs."},
            {"name": tag(Function::Web), "description": "The dashboard."},
            {"name": families::TAG, "description": families::ABOUT},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": credentials(),
        },
    });
    plain_enums(&mut document);
    document
}

/// Turns every choice of described words into an `enum`, with their descriptions in its own. Of a choice, generators make
/// a type for each word, and their clients refuse a list with two of them.
fn plain_enums(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some((words, about)) = fields.get("oneOf").and_then(described_words) {
                let own = fields.get("description").and_then(Value::as_str).unwrap_or_default();
                let description = format!("{own}\n{about}");
                fields.remove("oneOf");
                fields.extend([
                    ("type".to_owned(), "string".into()),
                    ("enum".to_owned(), words),
                    ("description".to_owned(), description.into()),
                ]);
            }
            fields.values_mut().for_each(plain_enums);
        }
        Value::Array(items) => items.iter_mut().for_each(plain_enums),
        _ => {}
    }
}

/// The words of a choice between words, and what they mean, one a line.
fn described_words(choice: &Value) -> Option<(Value, String)> {
    let words = choice.as_array()?.iter().map(|one| Some((one.get("const")?.as_str()?, &one["description"])));
    let words: Vec<_> = words.collect::<Option<_>>()?;
    let about = words.iter().map(|(word, about)| format!("\n- `{word}`: {}", about.as_str().unwrap_or_default()));
    Some((words.iter().map(|(word, _)| *word).collect(), about.collect()))
}

/// All operations, in the order of the description.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let functions = [
        admin::operations,
        ingest::operations,
        query::operations,
        reports::operations,
        charts::operations,
        people::operations,
        mcp::operations,
        alerts::operations,
        source_maps::operations,
        web::operations,
    ];
    functions.into_iter().flat_map(|operations| operations(schemas)).collect()
}

const fn tag(function: Function) -> &'static str {
    match function {
        Function::Ingest => "Sending events",
        Function::Query => "Reading events",
        Function::Reports | Function::Charts => "Counts",
        Function::People => "People",
        Function::Mcp => "Language models",
        Function::Alerts => "Alerts",
        Function::SourceMaps => "Source maps",
        Function::Admin => "Apps",
        Function::Web => "The page",
    }
}

fn describe(operation: &Operation, shared: &mut BTreeMap<String, Refusal>) -> Value {
    let route = operation.route;
    let mut responses: Map<String, Value> =
        operation.replies.iter().map(|r| (r.status.as_str().to_owned(), reply(r))).collect();
    for status in refusals(operation) {
        let refusal = Refusal { compat: Compat::of_path(route.path), status };
        let name = refusal.name();
        // Where an operation describes it itself, it has another form.
        let own = responses.entry(status.as_str().to_owned());
        let serde_json::map::Entry::Vacant(vacant) = own else { continue };
        vacant.insert(json!({"$ref": format!("#/components/responses/{name}")}));
        shared.insert(name, refusal);
    }
    let mut described = json!({
        "operationId": operation.id,
        "tags": [tag(route.function)],
        "summary": operation.summary,
        "responses": responses,
        "security": security(route),
    });
    if !operation.about.is_empty() {
        described["description"] = operation.about.clone().into();
    }
    if !operation.parameters.is_empty() {
        described["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if !operation.body.is_empty() {
        described["requestBody"] = json!({"content": content(&operation.body), "required": operation.body_required});
    }
    described
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        ParameterLocation::Path => "path",
        ParameterLocation::Query => "query",
        ParameterLocation::Header => "header",
    };
    let mut described = json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.required,
        "description": parameter.about,
        "schema": parameter.schema,
    });
    if parameter.schema.get("type").is_some_and(|kind| kind == "object") {
        described["style"] = "form".into();
        described["explode"] = true.into();
    } else if parameter.place == ParameterLocation::Query && !parameter.required {
        described["allowEmptyValue"] = true.into();
    }
    described
}

fn content(bodies: &[(&'static str, Schema)]) -> Value {
    let content: Map<_, _> =
        bodies.iter().map(|(media_type, schema)| ((*media_type).to_owned(), json!({"schema": schema}))).collect();
    content.into()
}

fn reply(reply: &ReplyDescription) -> Value {
    let mut described = json!({"description": reply.about});
    if !reply.content.is_empty() {
        described["content"] = content(&reply.content);
    }
    if !reply.headers.is_empty() {
        described["headers"] = headers(&reply.headers);
    }
    described
}

/// Headers that not every reply of their kind has: a last page leads no further, and counts are mostly complete.
const OPTIONAL_HEADERS: [&str; 3] = ["Link", "Tally-Complete", "Tally-Live-From"];

fn headers(headers: &[(&'static str, &'static str)]) -> Value {
    let header = |name: &str, about: &str| json!({"description": about, "required": !OPTIONAL_HEADERS.contains(&name), "schema": {"type": "string"}});
    headers.iter().map(|(name, about)| ((*name).to_owned(), header(name, about))).collect::<Map<_, _>>().into()
}

/// The problems that an operation may have: of access, of input, of the store, and its own.
fn refusals(operation: &Operation) -> Vec<StatusCode> {
    let route = operation.route;
    let by_access: &[StatusCode] = match route.access {
        Access::Public => &[],
        Access::Ingest | Access::Read | Access::AppUsers | Access::AppAdmins if !route.app_may_be_absent => {
            &[StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE]
        }
        _ => &[StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE],
    };
    // Everything but the two public documents uses the store.
    let store = (route.method != Method::GET).then_some(StatusCode::SERVICE_UNAVAILABLE);
    let body = (!operation.body.is_empty()).then_some(StatusCode::PAYLOAD_TOO_LARGE);
    let quota = (route.access == Access::Ingest).then_some(StatusCode::TOO_MANY_REQUESTS);
    [StatusCode::BAD_REQUEST]
        .into_iter()
        .chain(by_access.iter().copied())
        .chain(store)
        .chain(body)
        .chain(quota)
        .chain(operation.problems.clone())
        .collect()
}

/// A reply with a problem, shared by the operations that may give it.
struct Refusal {
    compat: Option<Compat>,
    status: StatusCode,
}

impl Refusal {
    fn name(&self) -> String {
        let status = self.status.canonical_reason().unwrap_or_else(|| self.status.as_str());
        format!("{}{status}", self.compat.map_or("", Compat::name)).replace(' ', "")
    }

    fn describe(&self, schemas: &mut SchemaGenerator) -> Value {
        let (media_type, schema) = match self.compat {
            None => (PROBLEM_JSON, schemas.subschema_for::<ProblemDocument<'_>>()),
            Some(compat) => (JSON, compat.problem_schema(schemas)),
        };
        let mut described =
            json!({"description": about_problem(self.status), "content": {media_type: {"schema": schema}}});
        let tells = problem_headers(self.status);
        if !tells.is_empty() {
            described["headers"] = headers(tells);
        }
        described
    }
}

/// The meaning of the status of a problem.
const fn about_problem(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "Invalid input: which field, and what to send instead.",
        StatusCode::UNAUTHORIZED => "No credentials, or unknown ones.",
        StatusCode::FORBIDDEN => "Credentials that do not allow this.",
        StatusCode::NOT_FOUND => "Not found.",
        StatusCode::CONFLICT => "The request conflicts with the current state.",
        StatusCode::PAYLOAD_TOO_LARGE => "The body is larger than its limit.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The type or encoding of the body is not supported.",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests or events.",
        StatusCode::SERVICE_UNAVAILABLE => "Temporarily unavailable: retry later.",
        _ => "The request cannot be answered.",
    }
}

/// The headers of a problem.
const fn problem_headers(status: StatusCode) -> &'static [(&'static str, &'static str)] {
    match status {
        StatusCode::UNAUTHORIZED => &[("WWW-Authenticate", "How to send credentials.")],
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => &[("Retry-After", "Seconds to wait.")],
        _ => &[],
    }
}

/// The credentials that give access to a route, each by itself. A key in the path is described as a parameter.
fn security(route: &Route) -> Value {
    const INGEST: [&str; 3] = ["ingestKey", "ingestKeyAsUser", "ingestKeyInQuery"];
    const READ: [&str; 2] = ["readKey", "readKeyInQuery"];
    const TOKEN: [&str; 4] = ["bearer", "accessToken", "accessTokenInQuery", "accessTokenInCookie"];
    if route.path.contains("{key}") {
        return json!([]);
    }
    if route.function == Function::Mcp {
        return json!([{"bearer": []}]);
    }
    let keys: &[&[&str]] = match route.access {
        Access::Public => return json!([]),
        Access::Ingest => &[&INGEST],
        Access::Read => &[&READ],
        Access::Known => &[&INGEST, &READ],
        // An upload key is sent as a bearer's token, which is how sentry-cli sends it.
        Access::Upload | Access::Users | Access::AppUsers | Access::Admins | Access::AppAdmins => &[],
    };
    TOKEN.iter().chain(keys.iter().copied().flatten()).map(|name| json!({*name: []})).collect()
}

fn credentials() -> Value {
    let key = |place: &str, name: &str, about: &str| json!({"type": "apiKey", "in": place, "name": name, "description": about});
    let token = "The access token of a user, from `POST /auth`: the role `admin` may do everything, the role `reader` may read every app.";
    let (ingest, read) = ("A key of the app with the scope `ingest`.", "A key of the app with the scope `read`.");
    json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": format!("{token} Routes that accept a key of the app accept it here as well.")},
        "accessToken": key("header", "X-Access-Token", token),
        "accessTokenInQuery": key("query", "access_token", token),
        "accessTokenInCookie": key("cookie", COOKIE_NAME, token),
        "ingestKey": key("header", "X-Ingest-Key", ingest),
        "ingestKeyAsUser": {"type": "http", "scheme": "basic", "description": format!("{ingest} Send it as the user name.")},
        "ingestKeyInQuery": key("query", "ingest_key", ingest),
        "readKey": key("header", "X-Read-Key", read),
        "readKeyInQuery": key("query", "read_key", read),
    })
}

/// An optional field of a reply (`skip_serializing_if`) is absent where it has no value, and never null.
fn never_null_where_absent(schema: &mut Value) {
    let required = schema["required"].clone();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    for (_, property) in properties.iter_mut().filter(|(name, _)| {
        !required.as_array().is_some_and(|required| required.iter().any(|r| r.as_str() == Some(name.as_str())))
    }) {
        for list in ["type", "anyOf"] {
            if let Some(list) = property.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|value| !is_null(value));
            }
        }
        if let Some([only]) = property["type"].as_array().map(Vec::as_slice) {
            property["type"] = only.clone();
        }
        if let Some([only]) = property["anyOf"].as_array().map(Vec::as_slice)
            && let (Some(mut inner), Some(outer)) = (only.as_object().cloned(), property.as_object().cloned())
        {
            inner.extend(outer.into_iter().filter(|(name, _)| name != "anyOf"));
            *property = inner.into();
        }
    }
}
