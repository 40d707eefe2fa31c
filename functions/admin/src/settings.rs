//! `PATCH /apps/{app}`

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tally_core::app::layout::MAX_PARTS;
use tally_core::app::partition::partitions;
use tally_core::app::{App, AppSlug, EventClock};
use tally_core::event::id::id_range;
use tally_core::time::Range;
use tally_http::body::{Fields, SMALL, read};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::context::Context;
use tally_store::{Order, StoreError};

use crate::apps::{AppBody, MAX_QUOTA, MAX_RETENTION, current, read_clock};

/// Tries of a change that others overtake.
const TRIES: usize = 5;

/// What a request changes; what is absent stays. Of what may be null, the outer option says whether it was sent.
#[allow(clippy::option_option)]
#[derive(Default)]
struct Change {
    name: Option<String>,
    clock: Option<EventClock>,
    events_per_minute: Option<Option<u32>>,
    retention_days: Option<Option<u32>>,
    shards: Option<u16>,
}

pub(crate) async fn change(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    let body = read(body, SMALL).await?;
    let change = Change::read(&body)?;
    for _ in 0..TRIES {
        // What is remembered may be a minute old, and a layout must be appended to as it is.
        let current = current(&context, &app).await?;
        let changed = change.apply(&context, &current).await?;
        if context.store.update_app(&current, &changed).await? {
            context.apps.forget(&app.slug);
            return json(StatusCode::OK, &AppBody::new(&changed, context.clock.now()));
        }
    }
    Err(Problem::Conflict("the app's settings are being changed by others: try again".to_owned()))
}

impl Change {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::parse(body)?;
        let mut change = Self { name: fields.text("name"), ..Self::default() };
        if let Some(name) = &change.name
            && let Err(e) = AppSlug::of_name(name)
        {
            fields.add("name", e);
        }
        change.clock = read_clock(&mut fields);
        let mut nullable = |name: &str, to: u64| {
            let sent = fields.has(name);
            let number = fields.number(name, 1, to).and_then(|n| u32::try_from(n).ok());
            sent.then_some(number)
        };
        change.events_per_minute = nullable("events_per_minute", MAX_QUOTA);
        change.retention_days = nullable("retention_days", MAX_RETENTION);
        change.shards = fields.number("shards", 1, u64::from(MAX_PARTS)).and_then(|n| u16::try_from(n).ok());
        fields.finish("an app has name, clock, retention_days, shards and events_per_minute")?;
        Ok(change)
    }

    async fn apply(&self, context: &Context, app: &App) -> Result<App, Problem> {
        let mut changed = app.clone();
        if let Some(name) = &self.name {
            changed.name.clone_from(name);
        }
        if let Some(clock) = self.clock.filter(|clock| *clock != app.clock) {
            if has_events(context, app).await? {
                return Err(Problem::Conflict(
                    "the app has events, which are keyed by its clock: make another app".to_owned(),
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
