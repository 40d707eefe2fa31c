//! `/apps` and `/apps/{app}`

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tally_core::app::key::Scope;
use tally_core::app::layout::{EventIndexes, LayoutEntry, MAX_PARTS};
use tally_core::app::{App, AppSlug, AppState, EventClock, MAX_NAME};
use tally_core::counter::property::{CountedPath, MAX_PATH, MOST_COUNTED, WEB};
use tally_core::event::group::Grouping;
use tally_core::event::json::Kind;
use tally_core::event::level::Level;
use tally_core::event::{MAX_TEXT, json as raw};
use tally_core::invalid::Invalid;
use tally_core::time::Timestamp;
use tally_http::body::{Fields, SmallBody};
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{JSON, Operation, Parameter, text};
use tally_http::parameters::{AppsAfter, NoQuery, Query};
use tally_http::problem::{Problem, json};
use tally_http::routes::{CREATE_APP, CREATE_NAMED_APP, LIST_APPS, READ_APP};
use tally_http::service::Shared;
use tally_service::apps::create::{NewApp, create_app};
use tally_service::context::Context;

/// Longest retention in days: a century.
pub(crate) const MAX_RETENTION: u64 = 36_500;
/// Most names in `names`, and most bytes of them together: each process that serves the app keeps them.
pub(crate) const MAX_NAMES: usize = 500;
pub(crate) const MAX_NAMES_BYTES: usize = 32 * 1024;
/// Largest `max_new_names_per_day`.
pub(crate) const MAX_NEW_NAMES: u64 = 1_000_000;
/// The levels from which on a group may be an issue.
pub(crate) const LOWEST_ISSUES: [Level; 3] = [Level::Warn, Level::Error, Level::Fatal];
/// Largest quota of events per minute.
pub(crate) const MAX_QUOTA: u64 = 1_000_000_000;

/// An app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "App")]
pub(crate) struct AppBody<'a> {
    /// Its id in paths: the name in lower case, with `-` for white space.
    id: &'a AppSlug,
    /// Its name.
    name: &'a str,
    /// Its ingest key; only in the reply that made the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_key: Option<&'a str>,
    created_at: Timestamp,
    clock: EventClock,
    /// Days after which events expire; null keeps them forever.
    retention_days: Option<u32>,
    /// The number of partitions over which its events are spread.
    shards: u16,
    /// How messages are grouped: by template, or each by itself.
    grouping: Grouping,
    /// By what its events are found, beside their time.
    index: IndexBody,
    /// The paths of `data` whose values are counted.
    counted: Vec<String>,
    /// Most events accepted in a minute of the server's clock; null sets no limit.
    events_per_minute: Option<u32>,
    /// The only names that the app takes; null for any.
    names: Option<&'a [String]>,
    /// Most names that may be new in a UTC day. Null for no such limit: then each warm function takes at most 10,000
    /// different names a day.
    max_new_names_per_day: Option<u32>,
    /// The lowest level at which a group of messages is an issue. A group with a stack is one at any level.
    issue_level: Level,
    /// Changes that apply to events from a later time on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending: Vec<Pending>,
}

/// A change of settings that is not in effect yet.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PendingLayout")]
struct Pending {
    /// The time from which events are affected.
    from: Timestamp,
    retention_days: Option<u32>,
    shards: u16,
    grouping: Grouping,
    index: IndexBody,
    counted: Vec<String>,
}

/// By what the events of an app are found, beside their time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventIndexes")]
struct IndexBody {
    /// Whether by session. Without it, a session is read as other filters are: from all events of the range.
    sessions: bool,
    /// Whether by user, so that `user_id=` and the erasure of a user cost what they find.
    users: bool,
}

impl From<EventIndexes> for IndexBody {
    fn from(EventIndexes { sessions, users }: EventIndexes) -> Self {
        Self { sessions, users }
    }
}

impl<'a> AppBody<'a> {
    pub(crate) fn new(app: &'a App, now: Timestamp) -> Self {
        let LayoutEntry { shards, retention_days, grouping, index, counted, .. } = app.layout.at(now);
        let pending = app.layout.pending(now).map(|entry| Pending {
            from: entry.from,
            retention_days: entry.retention_days,
            shards: entry.shards,
            grouping: entry.grouping,
            index: entry.index.into(),
            counted: entry.counted.iter().map(CountedPath::to_string).collect(),
        });
        Self {
            id: &app.slug,
            name: &app.name,
            ingest_key: None,
            created_at: app.created_at,
            clock: app.clock,
            retention_days,
            shards,
            grouping,
            index: index.into(),
            counted: counted.iter().map(CountedPath::to_string).collect(),
            events_per_minute: app.events_per_minute,
            names: (!app.names.is_empty()).then_some(&app.names),
            max_new_names_per_day: app.max_new_names_per_day,
            issue_level: app.issue_level,
            pending: pending.collect(),
        }
    }
}

/// The rest of the path, if there is any: the name of the app.
#[derive(Deserialize)]
pub(crate) struct NameInPath {
    app: Option<String>,
}

/// `POST /apps` and `POST /apps/{name}`
pub(crate) async fn create(
    State(context): Shared,
    Path(NameInPath { app: name }): Path<NameInPath>,
    _: NoQuery,
    body: SmallBody,
) -> Result<Response, Problem> {
    let new = read_new_app(body.fields()?, name)?;
    let (app, keys) = create_app(&context.apps, new, &[&[Scope::Ingest]]).await?;
    let mut reply = AppBody::new(&app, app.created_at);
    reply.ingest_key = keys.first().map(String::as_str);
    json(StatusCode::CREATED, &reply)
}

/// The fields of an app's settings, as a hint.
pub(crate) const SETTINGS: &str = "an app has name, clock, retention_days, shards, grouping, index, counted, events_per_minute, names, max_new_names_per_day and issue_level";

fn read_new_app(mut fields: Fields<'_>, name_in_path: Option<String>) -> Result<NewApp, Invalid> {
    let name = fields.text_or_path("name", name_in_path);
    match &name {
        None => fields.add("name", "missing: send the name of the app"),
        Some(name) => {
            fields.keep("name", AppSlug::of_name(name));
        }
    }
    let (sessions, users) = read_index(&mut fields);
    let default = EventIndexes::default();
    let new = NewApp {
        name: name.unwrap_or_default(),
        clock: read_clock(&mut fields).unwrap_or_default(),
        retention_days: fields.number("retention_days", 1, MAX_RETENTION),
        shards: fields.number("shards", 1, u64::from(MAX_PARTS)),
        events_per_minute: fields.number("events_per_minute", 1, MAX_QUOTA),
        names: read_texts(&mut fields, "names", (MAX_NAMES, MAX_NAMES_BYTES), |_| true).unwrap_or_default(),
        max_new_names_per_day: fields.number("max_new_names_per_day", 1, MAX_NEW_NAMES),
        issue_level: read_issue_level(&mut fields),
        grouping: read_grouping(&mut fields),
        index: EventIndexes { sessions: sessions.unwrap_or(default.sessions), users: users.unwrap_or(default.users) },
        counted: read_counted(&mut fields).unwrap_or_default(),
    };
    fields.finish(SETTINGS)?;
    Ok(new)
}

/// A list of different texts of 1 to 256 bytes: at most so many, and so many bytes together. None where it is absent.
pub(crate) fn read_texts(
    fields: &mut Fields<'_>,
    name: &str,
    (most, most_bytes): (usize, usize),
    is_good: impl Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let list = fields.raw(name)?;
    let texts = raw::array_of_at_most(list, most).ok().filter(|(_, count)| *count <= most);
    let texts: Option<Vec<_>> =
        texts.and_then(|(texts, _)| texts.into_iter().map(|text| raw::string(text).ok()).collect());
    let good = texts.filter(|texts| {
        texts.iter().all(|text| (1..=MAX_TEXT).contains(&text.len()) && is_good(text))
            && texts.iter().map(String::len).sum::<usize>() <= most_bytes
    });
    if good.is_none() {
        fields.add(
            name,
            format!(
                "must be a list of at most {most} valid texts of 1 to {MAX_TEXT} bytes, {most_bytes} bytes together"
            ),
        );
    }
    let mut good = good?;
    good.sort_unstable();
    good.dedup();
    Some(good)
}

/// The current app; the cached one may be a minute old.
pub(crate) async fn current(context: &Context, app: &App) -> Result<App, Problem> {
    let current = context.store.get_app(&app.slug).await?.filter(|current| current.id == app.id);
    current.ok_or_else(|| Problem::NotFound("the app is gone".to_owned()))
}

/// The field `clock` of a body.
pub(crate) fn read_clock(fields: &mut Fields<'_>) -> Option<EventClock> {
    fields.choice("clock", &[("event", EventClock::Event), ("received", EventClock::Received)])
}

/// The field `grouping` of a body.
pub(crate) fn read_grouping(fields: &mut Fields<'_>) -> Option<Grouping> {
    fields.choice("grouping", &Grouping::ALL.map(|grouping| (grouping.name(), grouping)))
}

/// The field `index` of a body: whether by session, and by user.
pub(crate) fn read_index(fields: &mut Fields<'_>) -> (Option<bool>, Option<bool>) {
    let Some(raw) = fields.raw("index") else { return (None, None) };
    let Some(inner) = fields.keep_json("index", raw::object(raw)) else { return (None, None) };
    let mut inner = Fields::of(inner);
    let read = (inner.flag("sessions"), inner.flag("users"));
    fields.add_nested("index", inner.finish("an index has sessions and users"));
    read
}

/// The field `counted` of a body: the paths of `data` whose values are counted, or `web` for those of websites.
pub(crate) fn read_counted(fields: &mut Fields<'_>) -> Option<Vec<CountedPath>> {
    let raw = fields.raw("counted")?;
    let texts = match raw::kind(raw) {
        Kind::String => raw::string(raw).ok().filter(|text| text == OF_WEB).map(|_| WEB.map(str::to_owned).to_vec()),
        _ => raw::array_of_at_most(raw, MOST_COUNTED)
            .ok()
            .filter(|(_, count)| *count <= MOST_COUNTED)
            .and_then(|(texts, _)| texts.into_iter().map(|text| raw::string(text).ok()).collect()),
    };
    let Some(texts) = texts else {
        fields.add("counted", format!("must be a list of at most {MOST_COUNTED} texts, or `{OF_WEB}`"));
        return None;
    };
    let paths: Result<Vec<_>, _> = texts.iter().map(|text| CountedPath::parse(text)).collect();
    let mut paths = fields.keep("counted", paths)?;
    paths.sort_unstable();
    paths.dedup();
    Some(paths)
}

/// What stands for the paths of websites.
const OF_WEB: &str = "web";

/// The field `issue_level` of a body.
pub(crate) fn read_issue_level(fields: &mut Fields<'_>) -> Option<Level> {
    fields.choice("issue_level", &LOWEST_ISSUES.map(|level| (level.as_str(), level)))
}

/// A page of apps, by `id`.
#[derive(Serialize, JsonSchema)]
struct AppPage<'a> {
    items: Vec<AppBody<'a>>,
    /// The parameter `next` of the next page; null on the last.
    next: Option<String>,
}

/// `GET /apps`
pub(crate) async fn list(
    State(context): Shared,
    Query(AppsAfter(after)): Query<AppsAfter>,
) -> Result<Response, Problem> {
    let (apps, next) = context.store.list_apps(after.as_ref()).await?;
    let now = context.clock.now();
    let reply = AppPage {
        items: apps.iter().filter(|app| app.state == AppState::Active).map(|app| AppBody::new(app, now)).collect(),
        next: next.map(|slug| slug.to_string()),
    };
    json(StatusCode::OK, &reply)
}

/// What a bounded key is told of its app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppName")]
struct AppName<'a> {
    /// Its id in paths.
    id: &'a AppSlug,
    /// Its name.
    name: &'a str,
}

/// `GET /apps/{app}`
pub(crate) async fn read(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    _: NoQuery,
) -> Result<Response, Problem> {
    if !limits.is_none() {
        // It reads no events, so there is nothing to filter.
        limits.filter();
        return json(StatusCode::OK, &AppName { id: &app.slug, name: &app.name });
    }
    json(StatusCode::OK, &AppBody::new(&app, context.clock.now()))
}

/// The schema of an app's settings; with `name` unless the path has it.
pub(crate) fn settings_schema(with_name: bool, required: &[&str]) -> Schema {
    let nullable = |about: &str, to: u64| json_schema!({"description": about, "type": ["integer", "null"], "minimum": 1, "maximum": to});
    let mut schema = json_schema!({
        "type": "object",
        "properties": {
            "clock": {
                "description": "The clock that orders and counts the events: `event` (the client's, the default) or \
                    `received` (the server's).",
                "enum": ["event", "received", "", null],
            },
            "retention_days": nullable("Days after which events expire; null keeps them forever.", MAX_RETENTION),
            "shards": nullable("The number of partitions over which the events are spread.", u64::from(MAX_PARTS)),
            "grouping": {
                "description": "How messages are grouped: `template-1` (each message with placeholders for ids, times, addresses \
                    and numbers, or a fingerprint) or `exact` (each message by itself). By default `template-1`, with `clock` \
                    `received` `exact`.",
                "enum": ["template-1", "exact", "", null],
            },
            "index": {
                "description": "By what events are found, beside their time: each costs one write unit for every event that has \
                    it. By default `sessions` and not `users`.",
                "type": ["object", "null"],
                "properties": {
                    "sessions": {"type": ["boolean", "null"]},
                    "users": {"type": ["boolean", "null"]},
                },
                "additionalProperties": false,
            },
            "counted": {
                "description": format!(
                    "The paths of `data` whose values are counted, so that `stats/groups` answers them at any size; `{OF_WEB}` \
                     stands for {}. By default none.",
                    WEB.map(|path| format!("`{path}`")).join(", ")
                ),
                "anyOf": [
                    {"type": "null"},
                    {"type": "string", "enum": [OF_WEB]},
                    {
                        "type": "array", "maxItems": MOST_COUNTED,
                        "items": {"type": "string", "minLength": 1, "maxLength": MAX_PATH},
                        "examples": [["plan", "user.country"]],
                    },
                ],
            },
            "events_per_minute": nullable("Most events accepted in a minute; null sets no limit.", MAX_QUOTA),
            "names": {
                "description": format!(
                    "The only names that the app takes; null or empty for any. At most {MAX_NAMES_BYTES} bytes together."
                ),
                "type": ["array", "null"], "maxItems": MAX_NAMES,
                "items": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
            },
            "max_new_names_per_day": nullable(
                "Most names that may be new in a UTC day; null for at most 10,000 different names of each warm function.",
                MAX_NEW_NAMES,
            ),
            "issue_level": {
                "description": "The lowest level at which a group of messages is an issue; by default `ERROR`. A group with a \
                    stack is one at any level.",
                "enum": ["WARN", "ERROR", "FATAL", "", null],
            },
        },
        "required": required,
        "additionalProperties": false,
    });
    if let (true, Some(properties)) = (with_name, schema.pointer_mut("/properties")) {
        properties["name"] = json_schema!({
            "description": "The name of the app: letters, digits, spaces, `-`, `_` and `.`.",
            "type": ["string", "null"],
            "maxLength": MAX_NAME,
            "examples": ["Shop"],
        })
        .into();
    }
    schema
}

pub(crate) fn list_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&LIST_APPS, "listApps", "Lists apps, by `id`")
        .takes([Parameter::query("next", "The `next` of the previous page.", text())])
        .answers_with::<AppPage<'_>>(schemas, StatusCode::OK, "A page of apps.")
}

pub(crate) fn create_operations(schemas: &mut SchemaGenerator) -> [Operation; 2] {
    let by_name = Operation::of(&CREATE_NAMED_APP, "makeAppByName", "Makes an app with the name in the path");
    [
        Operation::of(&CREATE_APP, "makeApp", "Makes an app").body(JSON, settings_schema(true, &["name"])),
        by_name
            .takes([Parameter::path("app", "The name of the app.", text())])
            .optional_body(JSON, settings_schema(false, &[])),
    ]
    .map(|operation| {
        operation
            .about("Makes an app and its ingest key. Only this reply shows the key.")
            .answers_with::<AppBody<'_>>(schemas, StatusCode::CREATED, "The app, with its ingest key.")
            .refuses([StatusCode::CONFLICT])
    })
}

pub(crate) fn read_operation(schemas: &mut SchemaGenerator) -> Operation {
    let reply = json_schema!({"anyOf": [
        schemas.subschema_for::<AppBody<'_>>(),
        schemas.subschema_for::<AppName<'_>>(),
    ]});
    Operation::of(&READ_APP, "readApp", "Reads an app's settings").answers(
        StatusCode::OK,
        "The app; for a key that does not read all, its id and name alone.",
        reply,
    )
}
