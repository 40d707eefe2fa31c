//! The description of the HTTP API, OpenAPI 3.1: what the functions say of their operations, and what the table of routes
//! says of who may call them. `admin` serves it from the file that `cargo run -p openapi` writes, so that no function
//! carries what makes it.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use tally_http::compat::Compat;
use tally_http::guard::COOKIE_NAME;
use tally_http::openapi::{JSON, Operation, Parameter, ParameterLocation, ReplyDescription};
use tally_http::problem::{Document, PROBLEM_JSON};
use tally_http::routes::{Access, Function, Route};

/// What the names of schemas of input end with. In all others a field that may be left out is never null.
const INPUT: &str = "Input";

const INTRODUCTION: &str = "Tally collects application events and answers questions about them.

Times go out as RFC 3339 in UTC. Replies may carry more fields than are listed here. A parameter that is not listed, or is \
sent twice, is an error; an empty one is an absent one. Every error is an `application/problem+json` document. A path \
answers a method that it has not with 405 and `Allow`, and a trailing slash with 308 to the path without it, or as if it \
were not there.

Paths under `/seismo`, `/the-eye/{key}` and `/event-tracker/{key}` answer the clients of those systems as the systems did, \
in their own words, errors too: their clients change only the base URL.";

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
        let Some(route) = operation.route() else { continue };
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method.as_str().to_ascii_lowercase()] = describe(&operation, route, &mut refusals);
    }
    let refusals: Map<_, _> =
        refusals.into_iter().map(|(name, refusal)| (name, refusal.describe(&mut schemas))).collect();
    let mut schemas = schemas.take_definitions(true);
    for (_, schema) in schemas.iter_mut().filter(|(name, _)| !name.ends_with(INPUT)) {
        never_null_where_absent(schema);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tally",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "Where this description comes from."}],
        "tags": [
            {"name": tag(Function::Ingest), "description": "Takes events in."},
            {"name": tag(Function::Query), "description": "Gives events back."},
            {"name": tag(Function::Reports), "description": "Says how many."},
            {"name": tag(Function::Admin), "description": "Apps, sign-in, and what this is."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": credentials(),
        },
    })
}

/// All operations that functions describe, in the order of the description. One whose route no function serves is left
/// out.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let functions = [admin::operations, ingest::operations, query::operations, reports::operations];
    functions.into_iter().flat_map(|operations| operations(schemas)).collect()
}

const fn tag(function: Function) -> &'static str {
    match function {
        Function::Ingest => "Sending events",
        Function::Query => "Reading events",
        Function::Reports => "Counts",
        Function::Admin => "Apps",
    }
}

fn describe(operation: &Operation, route: &Route, shared: &mut BTreeMap<String, Refusal>) -> Value {
    let mut responses: Map<String, Value> =
        operation.replies.iter().map(|r| (r.status.as_str().to_owned(), reply(r))).collect();
    for status in refusals(operation, route) {
        let refusal = Refusal { compat: Compat::of_path(route.path), status };
        let name = refusal.name();
        responses.insert(status.as_str().to_owned(), json!({"$ref": format!("#/components/responses/{name}")}));
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

fn headers(headers: &[(&'static str, &'static str)]) -> Value {
    // A reply links to a next one only where there is one.
    let header = |name: &str, about: &str| json!({"description": about, "required": name != "Link", "schema": {"type": "string"}});
    headers.iter().map(|(name, about)| ((*name).to_owned(), header(name, about))).collect::<Map<_, _>>().into()
}

/// How an operation may refuse: by its credentials, its input, and in its own ways.
fn refusals(operation: &Operation, route: &Route) -> Vec<StatusCode> {
    let by_access: &[StatusCode] = match route.access {
        Access::Public => &[],
        Access::Ingest | Access::Read | Access::AppAdmins if !route.absent_app => {
            &[StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE]
        }
        _ => &[StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE],
    };
    // All but the two public documents use the store.
    let store = (operation.method != Method::GET).then_some(StatusCode::SERVICE_UNAVAILABLE);
    [StatusCode::BAD_REQUEST]
        .into_iter()
        .chain(by_access.iter().copied())
        .chain(store)
        .chain(operation.problems.clone())
        .collect()
}

/// A reply that tells of a problem, shared by the operations that may give it.
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
            None => (PROBLEM_JSON, schemas.subschema_for::<Document<'_>>()),
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

/// What a problem's status says.
const fn about_problem(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "Bad input: which field, and what to send instead.",
        StatusCode::UNAUTHORIZED => "No credentials, or none that are known.",
        StatusCode::FORBIDDEN => "Credentials that do not allow this.",
        StatusCode::NOT_FOUND => "It is not there.",
        StatusCode::CONFLICT => "At odds with what is there.",
        StatusCode::PAYLOAD_TOO_LARGE => "The body is over its limit.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "A body of a kind that is not understood.",
        StatusCode::TOO_MANY_REQUESTS => "Too much.",
        StatusCode::SERVICE_UNAVAILABLE => "Not now: the same may be sent again.",
        _ => "It cannot be answered.",
    }
}

/// What a problem tells beside its body.
const fn problem_headers(status: StatusCode) -> &'static [(&'static str, &'static str)] {
    match status {
        StatusCode::UNAUTHORIZED => &[("WWW-Authenticate", "How to send credentials.")],
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => &[("Retry-After", "Seconds to wait.")],
        _ => &[],
    }
}

/// The credentials that open a route; each by itself. Of a key in the path the parameter tells.
fn security(route: &Route) -> Value {
    const INGEST: [&str; 3] = ["ingestKey", "ingestKeyAsUser", "ingestKeyInQuery"];
    const READ: [&str; 2] = ["readKey", "readKeyInQuery"];
    const TOKEN: [&str; 4] = ["bearer", "accessToken", "accessTokenInQuery", "accessTokenInCookie"];
    if route.path.contains("{key}") {
        return json!([]);
    }
    let keys: &[&str] = match route.access {
        Access::Public => return json!([]),
        Access::Ingest => &INGEST,
        Access::Read => &READ,
        Access::Users | Access::Admins | Access::AppAdmins => &[],
    };
    TOKEN.iter().chain(keys).map(|name| json!({*name: []})).collect()
}

fn credentials() -> Value {
    let key = |place: &str, name: &str, about: &str| json!({"type": "apiKey", "in": place, "name": name, "description": about});
    let token =
        "The access token of a user, from `POST /auth`: role `admin` may do everything, role `reader` read every app.";
    let (ingest, read) = ("A key of the app of scope `ingest`.", "A key of the app of scope `read`.");
    json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": format!("{token} A key of the app does as well, where one may be sent.")},
        "accessToken": key("header", "X-Access-Token", token),
        "accessTokenInQuery": key("query", "access_token", token),
        "accessTokenInCookie": key("cookie", COOKIE_NAME, token),
        "ingestKey": key("header", "X-Ingest-Key", ingest),
        "ingestKeyAsUser": {"type": "http", "scheme": "basic", "description": format!("{ingest} It is the user name.")},
        "ingestKeyInQuery": key("query", "ingest_key", ingest),
        "readKey": key("header", "X-Read-Key", read),
        "readKeyInQuery": key("query", "read_key", read),
    })
}

/// A field of a reply that may be left out (`skip_serializing_if`) is left out where it has no value, and never null.
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
