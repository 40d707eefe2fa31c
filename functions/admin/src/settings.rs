//! `PATCH /apps/{app}`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::SchemaGenerator;
use tally_core::app::layout::{LayoutChange, MAX_PARTS};
use tally_core::app::{App, AppSlug, EventClock};
use tally_core::event::level::Level;
use tally_core::time::Timestamp;
use tally_http::body::{Fields, FromFields, JsonBody};
use tally_http::guard::Target;
use tally_http::openapi::{JSON, Operation};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::CHANGE_APP;
use tally_http::service::Shared;

use crate::apps::{
    AppBody, MAX_NAMES, MAX_NAMES_BYTES, MAX_NEW_NAMES, MAX_QUOTA, MAX_RETENTION, SETTINGS, current, read_clock,
    read_counted, read_grouping, read_index, read_issue_level, read_texts, settings_schema,
};

/// Attempts at a change while others change the same app.
const ATTEMPTS: usize = 5;

/// The settings to change; absent ones stay. Where null is a value, the outer option tells whether the field was sent.
#[allow(clippy::option_option)]
#[derive(Default)]
pub(crate) struct SettingsChange {
    name: Option<String>,
    clock: Option<EventClock>,
    events_per_minute: Option<Option<u32>>,
    names: Option<Vec<String>>,
    max_new_names_per_day: Option<Option<u32>>,
    layout: LayoutChange,
    issue_level: Option<Level>,
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
        let changed = change.apply(&current, context.clock.now())?;
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
        if fields.was_sent("names") {
            let names = read_texts(fields, "names", (MAX_NAMES, MAX_NAMES_BYTES), |_| true);
            change.names = Some(names.unwrap_or_default());
        }
        let mut nullable = |name: &str, to: u64| {
            let sent = fields.was_sent(name);
            let number = fields.number(name, 1, to);
            sent.then_some(number)
        };
        change.events_per_minute = nullable("events_per_minute", MAX_QUOTA);
        change.max_new_names_per_day = nullable("max_new_names_per_day", MAX_NEW_NAMES);
        change.layout.retention_days = nullable("retention_days", MAX_RETENTION);
        change.layout.grouping = read_grouping(fields);
        (change.layout.index_sessions, change.layout.index_users) = read_index(fields);
        change.layout.counted = read_counted(fields);
        change.layout.shards = fields.number("shards", 1, u64::from(MAX_PARTS));
        change.issue_level = read_issue_level(fields);
        Some(change)
    }
}

impl SettingsChange {
    fn apply(&self, app: &App, now: Timestamp) -> Result<App, Problem> {
        let mut changed = app.clone();
        if let Some(name) = &self.name {
            changed.name.clone_from(name);
        }
        // Functions cache an app: while one stores by the old clock, another would already store by the new one.
        if self.clock.is_some_and(|clock| clock != app.clock) {
            let kept = match app.clock {
                EventClock::Event => "event",
                EventClock::Received => "received",
            };
            return Err(Problem::Conflict(format!(
                "the clock of an app is fixed when it is created, and this app has `{kept}`: leave `clock` out, or create \
                 another app with the clock you need",
            )));
        }
        if let Some(quota) = self.events_per_minute {
            changed.events_per_minute = quota;
        }
        if let Some(names) = &self.names {
            changed.names.clone_from(names);
        }
        if let Some(most) = self.max_new_names_per_day {
            changed.max_new_names_per_day = most;
        }
        if let Some(level) = self.issue_level {
            changed.issue_level = level;
        }
        let layout = app.layout.with(now, self.layout.clone());
        changed.layout = layout.map_err(|e| Problem::field("shards", e.to_string()))?;
        Ok(changed)
    }
}

pub(crate) fn change_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&CHANGE_APP, "changeApp", "Changes an app's settings")
        .about(
            "Absent fields stay as they are. `retention_days`, `shards` (which only grows), `grouping`, `index` and `counted` apply to events at \
             least 24 h 10 min from now, as `pending` shows. `clock` is fixed when the app is created.",
        )
        .optional_body(JSON, settings_schema(true, &[]))
        .answers_with::<AppBody<'_>>(schemas, StatusCode::OK, "The app after the change.")
        .refuses([StatusCode::CONFLICT])
}
