//! An event in replies.

use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::{App, AppSlug};
use tally_core::event::Event;
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::time::Timestamp;
use tally_service::context::Context;

use crate::limits::Limits;
use crate::problem::Problem;

/// The event of an id, where the caller may read it; strongly consistent.
///
/// # Errors
/// A 404 where there is none, or none that the caller may read; also where the text cannot be an id.
pub async fn read_event(context: &Context, app: &App, limits: &Limits, id: &str) -> Result<Event, Problem> {
    let event = match id.parse() {
        Ok(id) => context.store.get_event(app, id, context.clock.now()).await?,
        Err(_) => None,
    };
    let event = event.filter(|event| limits.show(event, &app.layout));
    event.ok_or_else(|| Problem::NotFound("the app has no such event".to_owned()))
}

/// An event; fields that it does not have are left out.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub struct EventBody<'a> {
    /// The id that Tally gave.
    pub id: EventId,
    /// The client's own id, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<&'a str>,
    /// The app that it belongs to.
    pub app: &'a AppSlug,
    /// What happened.
    pub name: &'a str,
    /// The machine-readable form of the name.
    pub slug: &'a str,
    /// Category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<&'a str>,
    /// Severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Message for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    /// The session it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a str>,
    /// The user it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<&'a str>,
    /// What groups it with events of the same cause, by the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<&'a str>,
    /// When it happened, by the client.
    pub timestamp: Timestamp,
    /// When Tally accepted it.
    pub received_at: Timestamp,
    /// Number of occurrences.
    pub count: u64,
    /// Attributes of the event, for filters and groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a Json>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<&'a Json>,
    /// Stack trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<&'a Json>,
}

impl<'a> EventBody<'a> {
    /// An event of an app, for a caller who may not see all of it. What is hidden is left out, as if the event did not have
    /// it.
    pub fn within(limits: &Limits, app: &'a AppSlug, event: &'a Event) -> Self {
        let mut body = Self::new(app, event);
        if limits.hides_people {
            (body.user_id, body.session_id, body.message, body.client_id) = (None, None, None, None);
        }
        if limits.hides_data {
            (body.data, body.tags, body.stack, body.fingerprint, body.client_id) = (None, None, None, None, None);
        }
        body
    }

    /// An event of an app.
    pub fn new(app: &'a AppSlug, event: &'a Event) -> Self {
        Self {
            id: event.id,
            client_id: event.client_id.as_deref(),
            app,
            name: &event.name,
            slug: &event.slug,
            category: event.category.as_deref(),
            level: event.level,
            message: event.message.as_deref(),
            session_id: event.session_id.as_deref(),
            user_id: event.user_id.as_deref(),
            fingerprint: event.fingerprint.as_deref(),
            timestamp: event.timestamp,
            received_at: event.received_at,
            count: event.count,
            data: event.data.as_ref(),
            tags: event.tags.as_ref(),
            stack: event.stack.as_ref(),
        }
    }
}
