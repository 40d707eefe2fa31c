//! `/apps/{app}/keys`

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::key::{Key, KeyId, MAX_KEYS, MAX_ORIGINS, ReadLimits, Scope, SendLimits, generate};
use tally_core::event::filter::values::MOST_VALUES;
use tally_core::event::{MAX_TEXT, json as raw};
use tally_core::time::Timestamp;
use tally_http::body::{Fields, FromFields, JsonBody, scalar};
use tally_http::credentials;
use tally_http::guard::{Target, stored_filter};
use tally_http::limits::Limits;
use tally_http::openapi::{JSON, Operation, Parameter, text};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::{CREATE_KEY, LIST_KEYS, REVOKE_KEY};
use tally_http::service::Shared;
use tally_http::view::ChartView;
use tally_service::config::is_origin;

use crate::apps::{MAX_QUOTA, current, read_texts};
use crate::time_ahead::TimeAhead;

/// Most bytes of a key's origins together: 50 keys of an app share an item of 400 KB.
const MAX_ORIGINS_BYTES: usize = 2 * 1024;
/// Most bytes of a filter, of a page's query and of a chart's query, each.
const MAX_QUERY: usize = 2 * 1024;
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
    #[serde(flatten)]
    bounds: Bounds<'a>,
}

/// What bounds a key that reads, and what it shows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyBounds")]
pub(crate) struct Bounds<'a> {
    /// From when on it is refused; null is never.
    expires_at: Option<Timestamp>,
    /// It reads only what matches: parameters of a filter on events, with their values. Null for everything.
    filter: Option<BTreeMap<&'a str, &'a [String]>>,
    /// What it hides: `people` (users, sessions, messages), `data` (data, tags, stacks).
    hide: Vec<Hidden>,
    /// Whether it reads only counts.
    statistics_only: bool,
    /// The query of the only chart that it reads; null where it is not bound to one.
    chart: Option<Cow<'a, str>>,
    /// The query of the page that the dashboard shows with it.
    view: Option<Cow<'a, str>>,
}

/// What a key can hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hidden {
    People,
    Data,
}

impl<'a> Bounds<'a> {
    /// Of a key, for who made it.
    pub(crate) fn of(key: &'a Key) -> Self {
        let ReadLimits { filter, hides_people, hides_data, statistics_only, chart } = &key.reads;
        let hidden = [(*hides_people, Hidden::People), (*hides_data, Hidden::Data)];
        Self {
            expires_at: key.expires_at,
            filter: (!filter.is_empty())
                .then(|| filter.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect()),
            hide: hidden.into_iter().filter_map(|(hides, what)| hides.then_some(what)).collect(),
            statistics_only: *statistics_only,
            chart: chart.as_deref().map(Cow::Borrowed),
            view: key.view.as_deref().map(Cow::Borrowed),
        }
    }

    /// The same for who has the key: its filter, its view and its chart do not tell what it hides. A chart shows no people and no
    /// data.
    pub(crate) fn without_hidden(mut self, limits: &Limits) -> Self {
        if let Some(filter) = &mut self.filter {
            filter.retain(|name, _| !limits.hides_parameter(name));
        }
        self.filter = self.filter.filter(|filter| !filter.is_empty());
        self.view = self.view.map(|view| without(&view, |name| limits.hides_parameter(name)).into());
        let of_picture = Limits::of_picture();
        self.chart = self.chart.map(|chart| without(&chart, |name| of_picture.hides_parameter(name)).into());
        self
    }
}

/// A query without some of its parameters.
fn without(query: &str, hides: impl Fn(&str) -> bool) -> String {
    let is_shown = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).all(|(name, _)| !hides(&name));
    query.split('&').filter(is_shown).collect::<Vec<_>>().join("&")
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
            bounds: Bounds::of(key),
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
    JsonBody(KeyInput { scopes, label, limits, reads, expires, view }): JsonBody<KeyInput>,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let wrong = || Problem::field("expires_at", "must be a time after now and within 10 years, or e.g. `90d`");
    let expires_at = expires.map(|expires| expires.after(now).ok_or_else(wrong)).transpose()?;
    if let Some(chart) = &reads.chart {
        // Nobody who meets the picture could tell what is wrong with it.
        ChartView::check(chart, now).map_err(|invalid| invalid.within("chart"))?;
    }
    let (key, text) = generate(&scopes, label, now);
    let key = Key { limits, reads, expires_at, view, ..key };
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
    reads: ReadLimits,
    expires: Option<TimeAhead>,
    view: Option<String>,
}

/// What bounds a key that reads.
fn read_limits(fields: &mut Fields<'_>) -> ReadLimits {
    let hide = fields.raw("hide").map(|list| {
        let words = raw::array_of_at_most(list, 2).ok().map(|(words, _)| words);
        let words: Option<Vec<_>> =
            words.and_then(|words| words.into_iter().map(|word| raw::string(word).ok()).collect());
        words.filter(|words| words.len() <= 2 && words.iter().all(|word| ["people", "data"].contains(&word.as_str())))
    });
    if hide == Some(None) {
        fields.add("hide", "must be a list of `people` and `data`");
    }
    let hides = |word: &str| hide.iter().flatten().flatten().any(|hidden| hidden == word);
    let statistics_only = fields.raw("statistics_only").is_some_and(|raw| match raw.get() {
        "true" => true,
        "false" => false,
        _ => {
            fields.add("statistics_only", "must be true or false");
            false
        }
    });
    let reads = ReadLimits {
        filter: filter(fields),
        hides_people: hides("people"),
        hides_data: hides("data"),
        statistics_only,
        chart: query(fields, "chart"),
    };
    if reads.chart.is_some() && reads != (ReadLimits { chart: reads.chart.clone(), ..ReadLimits::default() }) {
        fields.add(
            "chart",
            "a key bound to one chart takes no other bounds: put its filters into the query of the chart",
        );
    }
    reads
}

/// A query: of a page, or of a chart.
fn query(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    let text = fields.text(name)?;
    let text = text.strip_prefix('?').unwrap_or(&text).to_owned();
    if text.len() > MAX_QUERY {
        fields.add(name, format!("longer than {MAX_QUERY} bytes: shorten it"));
    } else if let Some((credential, _)) = credentials::in_query(Some(&text)) {
        fields.add(name, format!("has `{credential}`: leave it out, since whoever has the key reads it"));
    }
    Some(text)
}

/// The parameters of a filter, checked as a query would be.
fn filter(fields: &mut Fields<'_>) -> BTreeMap<String, Vec<String>> {
    let Some(raw) = fields.raw("filter") else { return BTreeMap::new() };
    let Some(members) = fields.keep_json("filter", raw::object(raw)) else { return BTreeMap::new() };
    let mut filter = BTreeMap::new();
    for (name, value) in members {
        let values = match raw::kind(value) {
            raw::Kind::Null => continue,
            raw::Kind::Array => raw::array_of_at_most(value, MOST_VALUES + 1).map(|(values, _)| values),
            _ => Ok(vec![value]),
        };
        let values = values.and_then(|values| values.into_iter().map(scalar).collect::<Result<Vec<_>, _>>());
        let values = fields.keep_json(&format!("filter.{name}"), values).unwrap_or_default();
        if !values.is_empty() {
            filter.insert(name, values);
        }
    }
    let size: usize =
        filter.iter().map(|(name, values)| name.len() + values.iter().map(String::len).sum::<usize>()).sum();
    if size > MAX_QUERY {
        fields.add("filter", format!("longer than {MAX_QUERY} bytes together: shorten it"));
    }
    fields.add_nested("filter", stored_filter(&filter).map(drop));
    filter
}

impl FromFields for KeyInput {
    const HINT: &'static str = "a key has scopes, label, expires_at; one that sends origins and events_per_minute; one that reads \
                                filter, hide, statistics_only, chart and view";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let scopes = scopes(fields);
        if scopes.is_none() {
            fields.add("scopes", "must be a list of `ingest` and `read`, at least one of them, or of `upload` alone");
        }
        let label = fields.text("label");
        if label.as_ref().is_some_and(|label| label.len() > MAX_LABEL) {
            fields.add("label", format!("longer than {MAX_LABEL} bytes: shorten it"));
        }
        let origins = read_texts(fields, "origins", (MAX_ORIGINS, MAX_ORIGINS_BYTES), is_origin).unwrap_or_default();
        let events_per_minute = fields.number("events_per_minute", 1, MAX_QUOTA);
        let limits = SendLimits { origins, events_per_minute };
        let reads = read_limits(fields);
        let expires = fields.raw("expires_at").and_then(|raw| TimeAhead::read(fields, "expires_at", raw));
        let view = query(fields, "view");
        if scopes.as_ref().is_some_and(|scopes| !scopes.iter().all(|scope| *scope == Scope::Read))
            && (!reads.is_none() || view.is_some())
        {
            fields.add(
                "scopes",
                "filter, hide, statistics_only, chart and view are for keys that only read: send `read` alone",
            );
        }
        if scopes.as_ref().is_some_and(|scopes| !scopes.contains(&Scope::Ingest)) {
            for (name, sent) in
                [("origins", !limits.origins.is_empty()), ("events_per_minute", limits.events_per_minute.is_some())]
            {
                if sent {
                    fields.add(name, "is for keys with the scope `ingest`: add the scope, or leave it out");
                }
            }
        }
        Some(Self { scopes: scopes?, label, limits, reads, expires, view })
    }
}

/// At least one scope, each once, in one order.
fn scopes(fields: &mut Fields<'_>) -> Option<Vec<Scope>> {
    let scope = |item: &serde_json::value::RawValue| match item.get() {
        "\"ingest\"" => Some(Scope::Ingest),
        "\"read\"" => Some(Scope::Read),
        "\"upload\"" => Some(Scope::Upload),
        _ => None,
    };
    let list = fields.raw("scopes").filter(|list| raw::kind(list) == raw::Kind::Array)?;
    let mut scopes = raw::array(list).ok()?.into_iter().map(scope).collect::<Option<Vec<_>>>()?;
    scopes.sort_unstable();
    scopes.dedup();
    let is_alone = scopes.len() == 1 || !scopes.contains(&Scope::Upload);
    Some(scopes).filter(|scopes| !scopes.is_empty() && is_alone)
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
                "description": "What the key may do: send events, read, or both; or upload source maps, alone.",
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
            "expires_at": {
                "description": "From when on the key is refused: a time, or a length from now such as `90d`, `12h` or `2w`. At most \
                    10 years ahead; null is never.",
                "anyOf": [
                    {"type": "string", "format": "date-time"},
                    {"type": "string", "pattern": "^[0-9]+[mhdw]$"},
                    {"type": "null"},
                ],
                "examples": ["90d"],
            },
            "filter": {
                "description": "For a key that only reads: it reads only what matches, whatever it asks for. The names are the \
                    parameters of a filter on events, such as `level`, `name[ne]` or `attr.plan`.",
                "type": ["object", "null"],
                "additionalProperties": {"anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}, "maxItems": MOST_VALUES},
                ]},
                "examples": [{"level": ["ERROR", "FATAL"], "attr.plan": ["pro"]}],
            },
            "hide": {
                "description": "For a key that only reads: `people` hides users, sessions, clients' ids and messages; `data` hides \
                    data, tags, stacks, clients' ids and fingerprints.",
                "type": ["array", "null"], "maxItems": 2, "items": {"type": "string", "enum": ["people", "data"]},
            },
            "statistics_only": {
                "description": "For a key that only reads: whether it reads only counts.",
                "type": ["boolean", "null"],
            },
            "chart": {
                "description": "For a key that only reads: the query of a chart, such as `since=7d&interval=DAY`. The key then gives \
                    this picture and nothing else.",
                "type": ["string", "null"], "maxLength": MAX_QUERY,
            },
            "view": {
                "description": "For a key that only reads: the query of the page that the dashboard opens with it.",
                "type": ["string", "null"], "maxLength": MAX_QUERY,
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
