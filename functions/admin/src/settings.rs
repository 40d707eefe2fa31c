//! `PATCH /apps/{app}`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::SchemaGenerator;
use tally_core::app::layout::MAX_PARTS;
use tally_core::app::partition::partitions;
use tally_core::app::{App, AppSlug, EventClock};
use tally_core::event::id::id_range;
use tally_core::time::Range;
use tally_http::body::{Fields, FromFields, JsonBody};
use tally_http::guard::Target;
use tally_http::openapi::{JSON, Operation};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::CHANGE_APP;
use tally_http::service::Shared;
use tally_service::context::Context;
use tally_store::{Order, StoreError};

use crate::apps::{AppBody, MAX_QUOTA, MAX_RETENTION, SETTINGS, current, read_clock, settings_schema};

/// Attempts at a change while others change the same app.
const ATTEMPTS: usize = 5;

/// The settings to change; absent ones stay. Where null is a value, the outer option tells whether the field was sent.
#[allow(clippy::option_option)]
#[derive(Default)]
pub(crate) struct SettingsChange {
    name: Option<String>,
    clock: Option<EventClock>,
    events_per_minute: Option<Option<u32>>,
    retention_days: Option<Option<u32>>,
    shards: Option<u16>,
}

pub(crate) async fn change(
    State(context): Shared,
    Target(app): Target,
    _: NoQuery,
    JsonBody(change): JsonBody<SettingsChange>,
) -> Result<Response, Problem> {
    for _ in 0..ATTEMPTS {
        // The cached app may be a minute old, and a layout must be current to be extended.
        let current = current(&context, &app).await?;
        let changed = change.apply(&context, &current).await?;
        if context.store.update_app(&current, &changed).await? {
            context.apps.forget(&app.slug);
            return json(StatusCode::OK, &AppBody::new(&changed, context.clock.now()));
        }
    }
    Err(Problem::Conflict("others are changing the app's settings: try again".to_owned()))
}

impl FromFields for SettingsChange {
    const HINT: &'static str = SETTINGS;

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let mut change = Self { name: fields.text("name"), ..Self::default() };
        if let Some(name) = &change.name
            && let Err(e) = AppSlug::of_name(name)
        {
            fields.add("name", e);
        }
        change.clock = read_clock(fields);
        let mut nullable = |name: &str, to: u64| {
            let sent = fields.was_sent(name);
            let number = fields.number(name, 1, to);
            sent.then_some(number)
        };
        change.events_per_minute = nullable("events_per_minute", MAX_QUOTA);
        change.retention_days = nullable("retention_days", MAX_RETENTION);
        change.shards = fields.number("shards", 1, u64::from(MAX_PARTS));
        Some(change)
    }
}

impl SettingsChange {
    async fn apply(&self, context: &Context, app: &App) -> Result<App, Problem> {
        let mut changed = app.clone();
        if let Some(name) = &self.name {
            changed.name.clone_from(name);
        }
        if let Some(clock) = self.clock.filter(|clock| *clock != app.clock) {
            if has_events(context, app).await? {
                return Err(Problem::Conflict(
                    "the app has events, whose keys depend on its clock: make another app".to_owned(),
                ));
            }
            changed.clock = clock;
        }
        if let Some(quota) = self.events_per_minute {
            changed.events_per_minute = quota;
        }
        let last = app.layout.last();
        let new_shards = self.shards.is_some_and(|shards| shards != last.shards);
        let new_retention = self.retention_days.is_some_and(|days| days != last.retention_days);
        if new_shards || new_retention {
            let layout = app.layout.with(context.clock.now(), self.shards, self.retention_days);
            changed.layout = layout.map_err(|e| Problem::field("shards", e.to_string()))?;
        }
        Ok(changed)
    }
}

/// Whether any shard of an app holds an event.
async fn has_events(context: &Context, app: &App) -> Result<bool, StoreError> {
    for partition in partitions(app, Range::ALL) {
        let now = context.clock.now();
        let ids = id_range(Range::ALL);
        let page = context.store.query_events(&partition, ids, Order::Ascending, 1, true, now).await?;
        if !page.events.is_empty() || page.more_after.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) fn change_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&CHANGE_APP, "changeApp", "Changes an app's settings")
        .about(
            "Absent fields stay as they are. `retention_days` and `shards` (which only grows) apply to events at least 24 h \
             10 min from now, as `pending` shows. `clock` changes only while the app has no events.",
        )
        .optional_body(JSON, settings_schema(true, &[]))
        .answers_with::<AppBody<'_>>(schemas, StatusCode::OK, "The app after the change.")
        .refuses([StatusCode::CONFLICT])
}
