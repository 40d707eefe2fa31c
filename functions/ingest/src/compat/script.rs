//! Tally's script for web pages, `web/script/tally.js`: native events, one, a list, or `{"key", "events"}`, which a page of any origin
//! sends with the key in the query or the body.
//!
//! The script is small, so this does a part of its work: it tells who visits, a page's `path`, and the rest of a page view, from
//! what the browser sends with every request and from the query (`z`: the time zone, `w`: the width of the screen). A message is cut
//! to what an event holds, and what bots send is taken and not kept.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::MAX_MESSAGE;
use tally_core::event::draft::{Draft, named_time};
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::rejected::Refusal;
use tally_core::time::Timestamp;
use tally_core::web::agent::is_bot;
use tally_core::web::page_view::{PAGEVIEW, PageView};
use tally_core::web::visitor::VisitorId;
use tally_http::body::invalid;
use tally_http::families::Family;
use tally_http::problem::{self, PROBLEM_JSON, Problem};

use crate::body::{MAX_EVENTS, at_most};
use crate::compat::call::Call;
use crate::compat::fields::scalar;
use crate::compat::protocol::{Answer, Protocol, retry_after};
use crate::compat::records;
use crate::compat::sanitize::{self, cut, pick};
use crate::compat::visit::{self, Visit};
use crate::draft::{self, Sender};

/// Tally's script for web pages.
pub(crate) struct Script;

impl Protocol for Script {
    fn family(&self) -> Family {
        Family::Script
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(collect(call))
    }

    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        let status = problem.status();
        let title = status.canonical_reason().unwrap_or("Error");
        let body =
            json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": problem.to_string()});
        let reply = (status, [(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))], body.to_string());
        retry_after(problem, reply.into_response())
    }
}

async fn collect(call: &Call) -> Result<Response, Problem> {
    let text = sanitize::body(&call.body);
    let sent = read(&text);
    let key = sent.as_ref().ok().and_then(|(key, _)| key.as_deref());
    let sender = call.sender(&[call.parameter("key"), key]).await?;
    let (_, events) = sent?;
    let visit = Visit::of(call, &sender, events.iter().map(|event| time_of(event, call.now()))).await?;
    let (accepted, rejected) = if is_bot(visit.user_agent) {
        call.reject_bot(&sender, events.len(), visit.user_agent);
        (0, events.len())
    } else {
        let page = Page { visit: &visit, call };
        call.store_each(&sender, &records::each(&events, |event| page.draft(event))).await?.complete()?
    };
    problem::json(StatusCode::ACCEPTED, &json!({"accepted": accepted, "rejected": rejected}))
}

/// The key of a body, if it has one, and its events.
fn read(text: &str) -> Result<(Option<String>, Vec<&RawValue>), Problem> {
    let raw = event_json::document(text.as_bytes()).map_err(invalid)?;
    let [key, events] = sanitize::pick(raw, ["key", "events"]);
    let list = events.unwrap_or(raw);
    match event_json::kind(list) {
        Kind::Array => {
            let (events, count) = event_json::array_of_at_most(list, MAX_EVENTS).map_err(invalid)?;
            at_most(count)?;
            Ok((key.and_then(|key| event_json::string(key).ok()), events))
        }
        Kind::Object => Ok((None, vec![list])),
        _ => Err(Problem::field("", "send a list of events, or one event as a JSON object")),
    }
}

/// When an event happened, as far as it can be told before it is read as a whole.
fn time_of(event: &RawValue, now: Timestamp) -> Timestamp {
    let [timestamp, occurred_at, id] =
        pick(event, ["timestamp", "occurred_at", "id"]).map(|value| value.and_then(scalar));
    let timestamp = timestamp.or(occurred_at).and_then(|time| time.trim().parse().ok());
    timestamp.or_else(|| named_time(&id?)).unwrap_or(now)
}

/// The page that sends events.
struct Page<'a> {
    visit: &'a Visit<'a>,
    call: &'a Call,
}

impl Page<'_> {
    fn draft(&self, raw: &RawValue) -> Result<Draft, Refusal> {
        let mut draft = draft::read(raw, Sender::Anybody)?;
        draft.message = draft.message.map(|message| cut(message, MAX_MESSAGE));
        if draft.session_id.is_none() {
            let at = draft.timestamp.or_else(|| named_time(draft.id.as_deref()?)).unwrap_or(self.call.now());
            draft.session_id = self.visit.visitor("", at).map(VisitorId::session_id);
        }
        let is_view = draft.name.as_deref() == Some(PAGEVIEW);
        let mut data = match draft.data.take() {
            Some(Json::Object(data)) => data,
            None if is_view => BTreeMap::new(),
            other => return Ok(Draft { data: other, ..draft }),
        };
        let text = |name: &str| match data.get(name) {
            Some(Json::String(text)) => Some(text.clone()),
            _ => None,
        };
        let (url, referrer) = (text("url"), text("referrer"));
        if is_view {
            let view = PageView {
                url: url.as_deref(),
                referrer: referrer.as_deref(),
                user_agent: self.visit.user_agent,
                screen_width: self.call.parameter("w").and_then(visit::whole),
                language: self.visit.language,
                country: self.visit.country(None),
                time_zone: self.call.parameter("z"),
                ..PageView::default()
            };
            visit::add(&mut data, view.fields());
        }
        visit::add_path(&mut data, url.as_deref());
        Ok(Draft { data: Some(Json::Object(data)), ..draft })
    }
}
