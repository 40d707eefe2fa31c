//! `/apps/{app}/keys`

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::key::{Key, KeyId, MAX_KEYS, Scope, generate};
use tally_core::event::json as raw;
use tally_core::time::Timestamp;
use tally_http::body::{Fields, SMALL, invalid, read};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;

use crate::apps::current;

/// Longest label, in bytes.
pub(crate) const MAX_LABEL: usize = 256;

/// A key of an app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub(crate) struct KeyBody<'a> {
    id: &'a str,
    /// The key itself, only when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    scopes: &'a [Scope],
    label: Option<&'a str>,
    created_at: Timestamp,
}

impl<'a> KeyBody<'a> {
    fn new(key: &'a Key, text: Option<&'a str>) -> Self {
        let label = key.label.as_deref();
        Self { id: key.id.as_str(), key: text, scopes: &key.scopes, label, created_at: key.created_at }
    }
}

/// The keys of an app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Keys")]
pub(crate) struct List<'a> {
    items: Vec<KeyBody<'a>>,
}

/// `GET /apps/{app}/keys`
pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    let mut app = current(&context, &app).await?;
    app.keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    json(StatusCode::OK, &List { items: app.keys.iter().map(|key| KeyBody::new(key, None)).collect() })
}

/// `POST /apps/{app}/keys`
pub(crate) async fn create(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    let body = read(body, SMALL).await?;
    let mut fields = Fields::parse(&body)?;
    let scopes = scopes(&mut fields)?;
    let label = fields.text("label");
    if label.as_ref().is_some_and(|label| label.len() > MAX_LABEL) {
        fields.add("label", format!("longer than {MAX_LABEL} bytes: shorten it"));
    }
    fields.finish("a key has scopes and a label")?;
    let (key, text) = generate(&scopes, label, context.clock.now());
    if !context.store.add_key(&app, &key).await? {
        return Err(Problem::Conflict(format!("the app has {MAX_KEYS} keys already: revoke one first")));
    }
    context.apps.forget(&app.slug);
    json(StatusCode::CREATED, &KeyBody::new(&key, Some(&text)))
}

/// The scopes of a body; each once, in one order.
fn scopes(fields: &mut Fields<'_>) -> Result<Vec<Scope>, Problem> {
    const WRONG: &str = "must be a list of `ingest` and `read`, at least one of them";
    let Some(list) = fields.raw("scopes") else {
        fields.add("scopes", WRONG);
        return Ok(vec![]);
    };
    if raw::kind(list) != raw::Kind::Array {
        fields.add("scopes", WRONG);
        return Ok(vec![]);
    }
    let mut scopes = Vec::new();
    for item in raw::array(list).map_err(invalid)? {
        match item.get() {
            "\"ingest\"" => scopes.push(Scope::Ingest),
            "\"read\"" => scopes.push(Scope::Read),
            _ => {
                fields.add("scopes", WRONG);
                return Ok(vec![]);
            }
        }
    }
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        fields.add("scopes", WRONG);
    }
    Ok(scopes)
}

/// `DELETE /apps/{app}/keys/{key_id}`
pub(crate) async fn revoke(
    State(context): Shared,
    Target(app): Target,
    Path((_, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    // What cannot be an id is the id of nothing.
    let revoked = match KeyId::parse(&id) {
        Some(id) => context.store.revoke_key(&app, &id).await?,
        None => false,
    };
    if !revoked {
        return Err(Problem::NotFound("the app has no such key: GET its keys to see them".to_owned()));
    }
    context.apps.forget(&app.slug);
    Ok(StatusCode::NO_CONTENT.into_response())
}
