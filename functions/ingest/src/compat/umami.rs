//! Umami: `/api/send` and `/api/batch`, from pages and from servers; `/api/record` and `/api/heartbeat`.
//!
//! | Umami | event |
//! | --- | --- |
//! | `name`; without it `pageview`, `identify` or `web_vitals`, by the `type` | `name` |
//! | `website`, `link` or `pixel` | `category` |
//! | `id` | `user_id` |
//! | `timestamp` | `timestamp` |
//! | `data` and other fields | `data` |
//! | address, `User-Agent` and website | `session_id`, by the salt of the day |
//! | `ip`, `userAgent` of servers | the same, in place of the request's; not kept |
//!
//! Events have no id, and no client sends one again.

mod token;

use std::net::IpAddr;

use axum::response::Response;
use http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tally_core::app::key::PresentedKey;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;
use tally_core::web::agent::is_bot;
use tally_core::web::page_view::{PAGEVIEW, PageView};
use tally_core::web::visitor::VisitorId;
use tally_http::families::Family;
use tally_http::problem::Problem;

use super::call::{Call, Sender, Stored, Verdict};
use super::fields::{self, Fields, object, scalar};
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::records::{self, Records};
use super::sanitize::{self, pick, short};
use super::visit::{self, Visit};
use token::Token;

/// The maximum number of events in a request.
const MAX_EVENTS: usize = 1_000;
/// The header that brings back what the reply before has told.
const CACHE: &str = "x-umami-cache";

/// Umami.
pub(crate) struct Umami;

/// The events of an unpacked body: one of `/api/send`, or a list of `/api/batch`.
///
/// # Errors
/// Where the body as a whole cannot be read.
fn events(text: &str) -> Result<Vec<&RawValue>, Problem> {
    let sent = event_json::document(text.as_bytes()).map_err(|error| Problem::field("", error.to_string()))?;
    match event_json::kind(sent) {
        Kind::Object => Ok(vec![sent]),
        Kind::Array => fields::list(sent, MAX_EVENTS, "", "events"),
        _ => Err(Problem::field("", "send an event as a JSON object, or a list of them")),
    }
}

/// Reads the events of an unpacked body. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    let text = sanitize::body(body);
    let visit = Visit::of_nobody();
    let records = records::each(&events(&text)?, |event| draft(event, &visit, Timestamp::EPOCH, None));
    Ok(records::drafts(&records))
}

/// What is told of an event before it is read as a whole.
struct Head {
    /// The website, link or pixel; empty if it is a key.
    site: String,
    at: Option<Timestamp>,
    address: Option<IpAddr>,
    user_agent: Option<String>,
}

/// The website of an event, which may be the key.
fn website(event: &RawValue) -> Option<String> {
    let [payload] = pick(event, ["payload"]);
    pick(payload?, ["website", "link", "pixel"]).into_iter().flatten().find_map(scalar)
}

impl Head {
    fn of(event: &RawValue) -> Self {
        let [payload] = pick(event, ["payload"]);
        let [at, address, user_agent] = pick(payload.unwrap_or(RawValue::NULL), ["timestamp", "ip", "userAgent"])
            .map(|value| value.and_then(scalar));
        Self {
            site: website(event).filter(|site| PresentedKey::parse(site).is_none()).unwrap_or_default(),
            at: at.and_then(|at| at.trim().parse().ok()),
            address: address.and_then(|address| address.trim().parse().ok()),
            user_agent: user_agent.filter(|user_agent| !user_agent.is_empty()),
        }
    }

    fn user_agent<'a>(&'a self, visit: &Visit<'a>) -> &'a str {
        self.user_agent.as_deref().unwrap_or(visit.user_agent)
    }

    fn visitor(&self, visit: &Visit<'_>, now: Timestamp) -> Option<VisitorId> {
        visit.visitor_at(&self.site, self.at.unwrap_or(now), self.address, self.user_agent(visit))
    }
}

/// Makes an event of an event. `visitor` is who it is told to be by the token of an earlier reply.
fn draft(event: &RawValue, visit: &Visit<'_>, now: Timestamp, known: Option<&Token>) -> Result<Draft, Refusal> {
    let refused = |reason, detail: &str| Err(Refusal::new(reason, detail));
    if event_json::kind(event) != Kind::Object {
        return refused(Reason::Unreadable, "an event must be an object");
    }
    let head = Head::of(event);
    let mut fields = Fields::of(event);
    let kind = fields.take_text("type").unwrap_or_else(|| "event".to_owned());
    let Some(mut payload) = fields.take_object("payload") else {
        return refused(Reason::Unreadable, "`payload` is missing: send what happened as an object");
    };
    for place in ["website", "link", "pixel", "ip", "userAgent"] {
        payload.take(place);
    }
    let named = payload.take_text("name");
    let name = match (kind.as_str(), named) {
        ("event", Some(name)) => name,
        ("event", None) => PAGEVIEW.to_owned(),
        ("identify", _) => "identify".to_owned(),
        ("performance", _) => "web_vitals".to_owned(),
        _ => return refused(Reason::NotOffered, "`type` must be event, identify or performance"),
    };
    let timestamp = payload.take_time("timestamp");
    let user = payload.take_text("id");
    let mut data = payload.take_object("data").map(Fields::rest).unwrap_or_default();
    let text = |name: &str| payload.get(name).and_then(scalar).filter(|text| !text.is_empty());
    let (url, host, referrer, screen, language) =
        (text("url"), text("hostname"), text("referrer"), text("screen"), text("language"));
    if name == PAGEVIEW {
        let width = screen.as_deref().and_then(|screen| visit::whole(screen.split('x').next().unwrap_or_default()));
        let view = PageView {
            url: url.as_deref(),
            host: host.as_deref(),
            referrer: referrer.as_deref(),
            user_agent: head.user_agent(visit),
            screen_width: width.filter(|width| *width > 0),
            language: language.as_deref().or(visit.language),
            country: visit.country(head.address),
            ..PageView::default()
        };
        visit::add(&mut data, view.fields());
    }
    visit::add_path(&mut data, url.as_deref());
    for (name, value) in payload.rest() {
        // Clients send all that they know, and an empty text for what they do not.
        if value != Json::String(String::new()) && value != Json::Null {
            data.entry(name).or_insert(value);
        }
    }
    // A token is about today, and so is an event without a time.
    let known = known.filter(|_| timestamp.is_none()).map(|token| token.visitor);
    let visitor = known.or_else(|| head.visitor(visit, now));
    Ok(Draft {
        name: short(Some(name)),
        category: short(Some(head.site)),
        user_id: short(user),
        session_id: visitor.map(VisitorId::session_id),
        timestamp,
        data: object(data),
        ..Draft::default()
    })
}

/// Records whose samples leave out the addresses of visitors.
struct WithoutAddresses<'a, R> {
    records: R,
    events: &'a [&'a RawValue],
}

impl<R: Records> Records for WithoutAddresses<'_, R> {
    fn count(&self) -> usize {
        self.records.count()
    }

    fn draft(&self, index: usize) -> Result<Draft, Refusal> {
        self.records.draft(index)
    }

    fn size(&self, index: usize) -> usize {
        self.records.size(index)
    }

    fn values(&self, index: usize) -> usize {
        self.records.values(index)
    }

    fn sample(&self, index: usize) -> String {
        let Some(event) = self.events.get(index) else { return String::new() };
        let [kind, payload] = pick(event, ["type", "payload"]);
        // One that is too large for a sample is not read for it.
        let payload = payload.filter(|payload| records::check_values(event_json::count(payload)).is_ok());
        let payload = payload.map(|payload| {
            let fields = sanitize::object(payload).into_iter().filter(|(name, _)| name != "ip");
            fields.map(|(name, value)| (name, sanitize::nested(value))).collect()
        });
        let shown = [("payload", payload.and_then(object)), ("type", kind.map(sanitize::nested))];
        let shown = shown.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        serde_json::to_string(&Json::Object(shown)).unwrap_or_default()
    }
}

/// What a request did.
struct Done {
    stored: Stored,
    /// The places of its events in the request.
    places: Vec<usize>,
    /// How many others are of bots.
    bots: usize,
    /// What the reply tells of the visitor, if one of the events has a visitor.
    token: Option<(String, Token)>,
}

async fn take(call: &Call, sender: &Sender, events: &[&RawValue]) -> Result<Done, Problem> {
    let now = call.now();
    let times = events.iter().map(|event| Head::of(event).at.unwrap_or(now)).chain([now]);
    let visit = Visit::of(call, sender, times).await?;
    let (mut bots, mut kept, mut places) = (0, Vec::new(), Vec::new());
    for (place, event) in events.iter().enumerate() {
        let head = Head::of(event);
        let user_agent = head.user_agent(&visit);
        if is_bot(user_agent) {
            call.reject_bot(sender, 1, user_agent);
            bots += 1;
        } else {
            kept.push(*event);
            places.push(place);
        }
    }
    let events = kept;
    let Some(first) = events.first().map(|event| Head::of(event)) else {
        return Ok(Done { stored: Stored(vec![]), places, bots, token: None });
    };
    let known = call.header(CACHE).zip(visit.salt(now)).and_then(|(text, salt)| {
        let token = Token::read(text, salt, &sender.app.id, &first.site)?;
        token.is_of_today(now).then_some(token)
    });
    let records = WithoutAddresses {
        records: records::each(&events, |event| draft(event, &visit, now, known.as_ref())),
        events: &events,
    };
    let stored = call.store_each(sender, &records).await?;
    let visitor = known.map(|token| token.visitor).or_else(|| first.visitor(&visit, now));
    let token = visitor.zip(visit.salt(now)).map(|(visitor, salt)| {
        let token = Token::next(known.as_ref(), visitor, salt, now);
        (token.write(salt, &sender.app.id, &first.site), token)
    });
    Ok(Done { stored, places, bots, token })
}

async fn send(call: &Call) -> Result<Response, Problem> {
    let text = sanitize::body(&call.body);
    let read = events(&text);
    let website = read.as_ref().ok().and_then(|events| events.iter().find_map(|event| website(event)));
    let sender = call.sender(&[call.parameter("key"), website.as_deref()]).await?;
    let events = read?;
    if call.path == "/api/record" {
        // A recording of a visit, which is not kept.
        return Ok(json_reply(StatusCode::OK, &json!({})));
    }
    let Done { stored, places, bots, token } = take(call, &sender, &events).await?;
    let (kept, _) = stored.complete()?;
    let refused = stored.0.iter().zip(places).filter_map(|(verdict, index)| match verdict {
        Verdict::Rejected(refusal) => Some((index, refusal)),
        _ => None,
    });
    let refused: Vec<_> = refused.collect();
    let cache = token.as_ref().map(|(cache, _)| cache.as_str());
    if call.path == "/api/batch" {
        let details: Vec<_> = refused
            .iter()
            .map(|(index, refusal)| json!({"index": index, "response": error(400, &refusal.detail)}))
            .collect();
        let body = json!({
            "size": events.len(), "processed": kept + bots, "errors": refused.len(), "details": details, "cache": cache,
        });
        return Ok(json_reply(StatusCode::OK, &body));
    }
    if kept == 0 && bots > 0 {
        return Ok(json_reply(StatusCode::OK, &json!({"beep": "boop"})));
    }
    if let (0, Some((_, refusal))) = (kept, refused.first()) {
        return Ok(json_reply(StatusCode::BAD_REQUEST, &error(400, &refusal.detail)));
    }
    let ids = token.as_ref().map(|(_, token)| (token::uuid(token.visitor.0), token::uuid(token.visit)));
    let (session, visit) = ids.unzip();
    Ok(json_reply(StatusCode::OK, &json!({"cache": cache, "sessionId": session, "visitId": visit})))
}

/// An error in Umami's words.
fn error(status: u16, detail: &str) -> Value {
    json!({"error": {"message": detail, "code": if status == 400 { "bad-request" } else { "error" }, "status": status}})
}

impl Protocol for Umami {
    fn family(&self) -> Family {
        Family::Umami
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(async move {
            match &*call.path {
                "/api/heartbeat" => Ok(json_reply(StatusCode::OK, &json!({"ok": true}))),
                _ => send(call).await,
            }
        })
    }

    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        let status = problem.status();
        retry_after(problem, json_reply(status, &error(status.as_u16(), &problem.to_string())))
    }
}
