//! `/apps/{app}/keys`

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::key::{Key, KeyId, MAX_KEYS, MAX_ORIGINS, Scope, SendLimits, generate};
use tally_core::event::{MAX_TEXT, json as raw};
use tally_core::time::Timestamp;
use tally_http::body::{Fields, FromFields, JsonBody};
use tally_http::guard::Target;
use tally_http::openapi::{JSON, Operation, Parameter, text};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::{CREATE_KEY, LIST_KEYS, REVOKE_KEY};
use tally_http::service::Shared;
use tally_service::config::is_origin;

use crate::apps::{MAX_QUOTA, current, read_texts};

/// Most bytes of a key's origins together: 50 keys of an app share an item of 400 KB.
const MAX_ORIGINS_BYTES: usize = 2 * 1024;
/// Longest label, in bytes.
const MAX_LABEL: usize = 256;

/// A key of an app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
struct KeyBody<'a> {
    id: &'a str,
    /// The key itself; only in the reply that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    scopes: &'a [Scope],
    label: Option<&'a str>,
    created_at: Timestamp,
    /// The origins whose pages may send with it; null for all.
    origins: Option<&'a [String]>,
    /// Most events accepted from it in a minute of the server's clock; null sets no limit.
    events_per_minute: Option<u32>,
}

impl<'a> KeyBody<'a> {
    fn new(key: &'a Key, text: Option<&'a str>) -> Self {
        let label = key.label.as_deref();
        let SendLimits { origins, events_per_minute } = &key.limits;
        Self {
            id: key.id.as_str(),
            key: text,
            scopes: &key.scopes,
            label,
            created_at: key.created_at,
            origins: (!origins.is_empty()).then_some(origins),
            events_per_minute: *events_per_minute,
        }
    }
}

/// The keys of an app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Keys")]
struct KeyList<'a> {
    items: Vec<KeyBody<'a>>,
}

/// `GET /apps/{app}/keys`
pub(crate) async fn list(State(context): Shared, Target(app): Target, _: NoQuery) -> Result<Response, Problem> {
    let mut app = current(&context, &app).await?;
    app.keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    json(StatusCode::OK, &KeyList { items: app.keys.iter().map(|key| KeyBody::new(key, None)).collect() })
}

/// `POST /apps/{app}/keys`
pub(crate) async fn create(
    State(context): Shared,
    Target(app): Target,
    _: NoQuery,
    JsonBody(KeyInput { scopes, label, limits }): JsonBody<KeyInput>,
) -> Result<Response, Problem> {
    let (key, text) = generate(&scopes, label, context.clock.now());
    let key = Key { limits, ..key };
    if !context.store.add_key(&app, &key).await? {
        return Err(Problem::Conflict(format!("the app has {MAX_KEYS} keys already: revoke one first")));
    }
    context.apps.forget(&app.slug);
    json(StatusCode::CREATED, &KeyBody::new(&key, Some(&text)))
}

/// A key to make.
pub(crate) struct KeyInput {
    scopes: Vec<Scope>,
    label: Option<String>,
    limits: SendLimits,
}

impl FromFields for KeyInput {
    const HINT: &'static str = "a key has scopes, label, origins and events_per_minute";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let scopes = scopes(fields);
        if scopes.is_none() {
            fields.add("scopes", "must be a list of `ingest` and `read`, at least one of them");
        }
        let label = fields.text("label");
        if label.as_ref().is_some_and(|label| label.len() > MAX_LABEL) {
            fields.add("label", format!("longer than {MAX_LABEL} bytes: shorten it"));
        }
        let origins = read_texts(fields, "origins", (MAX_ORIGINS, MAX_ORIGINS_BYTES), is_origin).unwrap_or_default();
        let events_per_minute = fields.number("events_per_minute", 1, MAX_QUOTA);
        let limits = SendLimits { origins, events_per_minute };
        if scopes.as_ref().is_some_and(|scopes| !scopes.contains(&Scope::Ingest)) {
            for (name, sent) in
                [("origins", !limits.origins.is_empty()), ("events_per_minute", limits.events_per_minute.is_some())]
            {
                if sent {
                    fields.add(name, "is for keys with the scope `ingest`: add the scope, or leave it out");
                }
            }
        }
        Some(Self { scopes: scopes?, label, limits })
    }
}

/// At least one scope, each once, in one order.
fn scopes(fields: &mut Fields<'_>) -> Option<Vec<Scope>> {
    let scope = |item: &serde_json::value::RawValue| match item.get() {
        "\"ingest\"" => Some(Scope::Ingest),
        "\"read\"" => Some(Scope::Read),
        _ => None,
    };
    let list = fields.raw("scopes").filter(|list| raw::kind(list) == raw::Kind::Array)?;
    let mut scopes = raw::array(list).ok()?.into_iter().map(scope).collect::<Option<Vec<_>>>()?;
    scopes.sort_unstable();
    scopes.dedup();
    Some(scopes).filter(|scopes| !scopes.is_empty())
}

/// `DELETE /apps/{app}/keys/{key_id}`
pub(crate) async fn revoke(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    _: NoQuery,
) -> Result<Response, Problem> {
    // A text that cannot be an id is the id of no key.
    let revoked = match KeyId::parse(&id) {
        Some(id) => context.store.revoke_key(&app, &id).await?,
        None => false,
    };
    if !revoked {
        return Err(Problem::NotFound("the app has no such key: GET its keys to list them".to_owned()));
    }
    context.apps.forget(&app.slug);
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&LIST_KEYS, "listKeys", "Lists an app's keys, without their secrets").answers_with::<KeyList<'_>>(
        schemas,
        StatusCode::OK,
        "All its keys, the oldest first.",
    )
}

pub(crate) fn create_operation(schemas: &mut SchemaGenerator) -> Operation {
    let body = json_schema!({
        "type": "object",
        "properties": {
            "scopes": {
                "description": "What the key may do: send events, read, or both.",
                "type": "array", "minItems": 1, "items": schemas.subschema_for::<Scope>(),
            },
            "label": {"description": "Label for people.", "type": ["string", "null"], "maxLength": MAX_LABEL},
            "origins": {
                "description": "For a key that sends: the only origins whose pages may, such as `https://shop.example`.",
                "type": ["array", "null"], "maxItems": MAX_ORIGINS,
                "items": {"type": "string", "maxLength": MAX_TEXT, "pattern": "^[a-z][a-z0-9+.-]*://[a-z0-9._:\\[\\]-]+$"},
            },
            "events_per_minute": {
                "description": "For a key that sends: most events accepted from it in a minute; null sets no limit.",
                "type": ["integer", "null"], "minimum": 1, "maximum": MAX_QUOTA,
            },
        },
        "required": ["scopes"],
        "additionalProperties": false,
    });
    Operation::of(&CREATE_KEY, "makeKey", "Makes a key of an app")
        .about(format!("Only this reply shows the key. An app has at most {MAX_KEYS}."))
        .body(JSON, body)
        .answers_with::<KeyBody<'_>>(schemas, StatusCode::CREATED, "The key.")
        .refuses([StatusCode::CONFLICT])
}

pub(crate) fn revoke_operation() -> Operation {
    Operation::of(&REVOKE_KEY, "revokeKey", "Revokes a key of an app")
        .takes([Parameter::path("key_id", "The key, by its `id`.", text())])
        .answers_empty(StatusCode::NO_CONTENT, "The key is refused everywhere within 60 seconds.")
}
