//! How an event goes out.

use serde::Serialize;

use crate::app::AppSlug;
use crate::event::Event;
use crate::event_id::EventId;
use crate::json::Json;
use crate::level::Level;
use crate::time::Timestamp;

/// An event as JSON; what it does not have is left out.
#[derive(Serialize)]
#[allow(missing_docs)] // the fields of an event
pub struct EventBody<'a> {
    pub id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<&'a str>,
    pub app: &'a AppSlug,
    pub name: &'a str,
    pub slug: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<&'a str>,
    pub timestamp: Timestamp,
    pub received_at: Timestamp,
    pub count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<&'a Json>,
}

impl<'a> EventBody<'a> {
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
            timestamp: event.timestamp,
            received_at: event.received_at,
            count: event.count,
            data: event.data.as_ref(),
            tags: event.tags.as_ref(),
            stack: event.stack.as_ref(),
        }
    }
}
