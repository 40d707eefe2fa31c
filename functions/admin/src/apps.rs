//! `/apps` and `/apps/{app}`

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::key::Scope;
use tally_core::app::layout::{LayoutEntry, MAX_PARTS};
use tally_core::app::{App, AppSlug, AppState, EventClock};
use tally_core::time::Timestamp;
use tally_http::body::{Fields, SMALL, read as read_body};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::apps::create::{NewApp, create_app};
use tally_service::context::Context;

/// Most days that events are kept, where they are not kept for ever: a century.
pub(crate) const MAX_RETENTION: u64 = 36_500;
/// Most events per minute that a quota can name.
pub(crate) const MAX_QUOTA: u64 = 1_000_000_000;

/// An app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "App")]
pub(crate) struct AppBody<'a> {
    /// How paths know it: its name in lower case, white space as `-`.
    id: &'a AppSlug,
    /// What people call it.
    name: &'a str,
    /// The key that sends its events; only in the reply that made the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_key: Option<&'a str>,
    created_at: Timestamp,
    clock: EventClock,
    /// Days after which events expire; null keeps them for ever.
    retention_days: Option<u32>,
    /// Over how many partitions its events are spread.
    shards: u16,
    /// Events accepted per minute of the server's clock; null sets no limit.
    events_per_minute: Option<u32>,
    /// Changes that hold for events from a later time on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending: Vec<Pending>,
}

/// A change of layout that is not in force yet.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PendingLayout")]
struct Pending {
    /// The time of the first event that it holds for.
    from: Timestamp,
    retention_days: Option<u32>,
    shards: u16,
}

impl<'a> AppBody<'a> {
    pub(crate) fn new(app: &'a App, now: Timestamp) -> Self {
        let LayoutEntry { shards, retention_days, .. } = app.layout.at(now);
        let pending = app.layout.pending(now).map(|entry| Pending {
            from: entry.from,
            retention_days: entry.retention_days,
            shards: entry.shards,
        });
        Self {
            id: &app.slug,
            name: &app.name,
            ingest_key: None,
            created_at: app.created_at,
            clock: app.clock,
            retention_days,
            shards,
            events_per_minute: app.events_per_minute,
            pending: pending.collect(),
        }
    }
}

/// `POST /apps`
pub(crate) async fn create(State(context): Shared, RawQuery(query): RawQuery, body: Body) -> Result<Response, Problem> {
    created(&context, query, body, None).await
}

/// `POST /apps/{name}`
pub(crate) async fn create_named(
    State(context): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    created(&context, query, body, Some(name)).await
}

async fn created(
    context: &Context,
    query: Option<String>,
    body: Body,
    name_in_path: Option<String>,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    let body = read_body(body, SMALL).await?;
    let mut fields = Fields::parse(&body)?;
    let name = fields.text("name");
    if name.is_some() && name_in_path.is_some() {
        fields.add("name", "stands in the path already: send it once");
    }
    let name = name_in_path.or(name);
    match &name {
        None => fields.add("name", "missing: say what the app is called"),
        Some(name) => {
            if let Err(e) = AppSlug::of_name(name) {
                fields.add("name", e);
            }
        }
    }
    let clock = read_clock(&mut fields).unwrap_or_default();
    let mut number = |name: &str, to: u64| fields.number(name, 1, to).and_then(|n| u32::try_from(n).ok());
    let new = NewApp {
        name: name.unwrap_or_default(),
        clock,
        retention_days: number("retention_days", MAX_RETENTION),
        shards: number("shards", u64::from(MAX_PARTS)).and_then(|n| u16::try_from(n).ok()),
        events_per_minute: number("events_per_minute", MAX_QUOTA),
    };
    fields.finish("an app has name, clock, retention_days, shards and events_per_minute")?;
    let (app, keys) = create_app(&context.apps, new, &[&[Scope::Ingest]]).await?;
    let mut reply = AppBody::new(&app, app.created_at);
    reply.ingest_key = keys.first().map(String::as_str);
    json(StatusCode::CREATED, &reply)
}

/// An app as it is now: what is remembered of it may be a minute old.
pub(crate) async fn current(context: &Context, app: &App) -> Result<App, Problem> {
    let current = context.store.get_app(&app.slug).await?.filter(|current| current.id == app.id);
    current.ok_or_else(|| Problem::NotFound("the app is gone".to_owned()))
}

/// The clock that a body names, if it names one.
pub(crate) fn read_clock(fields: &mut Fields<'_>) -> Option<EventClock> {
    match fields.text("clock")?.as_str() {
        "event" => Some(EventClock::Event),
        "received" => Some(EventClock::Received),
        _ => {
            fields.add("clock", "must be event or received");
            None
        }
    }
}

/// A page of apps, by `id`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppPage")]
pub(crate) struct List<'a> {
    items: Vec<AppBody<'a>>,
    /// The parameter `next` of the next page; null where there is none.
    next: Option<String>,
}

/// `GET /apps`
pub(crate) async fn list(State(context): Shared, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut params = Params::parse(query.as_deref());
    let after = params.text("next").and_then(|text| {
        let slug = AppSlug::of_name(&text);
        slug.map_err(|_| params.add("next", "send the `next` of the page before as it is")).ok()
    });
    params.finish()?;
    let (apps, next) = context.store.list_apps(after.as_ref()).await?;
    let now = context.clock.now();
    let reply = List {
        items: apps.iter().filter(|app| app.state == AppState::Active).map(|app| AppBody::new(app, now)).collect(),
        next: next.map(|slug| slug.to_string()),
    };
    json(StatusCode::OK, &reply)
}

/// `GET /apps/{app}`
pub(crate) async fn read(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    json(StatusCode::OK, &AppBody::new(&app, context.clock.now()))
}
