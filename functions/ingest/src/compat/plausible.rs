//! Plausible: `/api/event`, one event in a request, from a page or from a server.
//!
//! | Plausible | event |
//! | --- | --- |
//! | `n` or `name` | `name` |
//! | `d` or `domain` | `category`; of several, separated by commas, an event each |
//! | `p`, `props`, `m` or `meta` | `data` |
//! | `u` or `url`, `r` or `referrer`, `$` or `revenue` | `data.url`, `data.referrer`, `data.revenue` |
//! | `e` and `sd` of `engagement` | `data.duration_ms`, `data.scroll_depth` |
//! | address, `User-Agent` and domain | `session_id`, by the salt of the day |
//!
//! Events have neither an id nor a time, and no client sends one again.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::app::key::PresentedKey;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::event::{MAX_DEPTH, MAX_EVENT, MAX_VALUES};
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::{DAY, TimeDelta, Timestamp};
use tally_core::web::agent::is_bot;
use tally_core::web::page_view::{PAGEVIEW, PageView};
use tally_core::web::path_of;
use tally_core::web::visitor::VisitorId;
use tally_http::families::Family;
use tally_http::problem::Problem;

use super::call::{Call, Verdict};
use super::fields::{Fields, object};
use super::protocol::{Answer, Protocol, json_reply, retry_after};
use super::sanitize::{self, short};
use super::visit::{self, Visit};

/// The maximum number of domains of one event.
const MAX_DOMAINS: usize = 10;

/// Plausible.
pub(crate) struct Plausible;

/// An event as it was sent.
struct Sent {
    name: Option<String>,
    url: Option<String>,
    domains: Vec<String>,
    referrer: Option<String>,
    width: Option<u32>,
    /// For how long the page was seen before the event, in milliseconds: its time is when that began, as of Tally's own script.
    duration_ms: Option<u32>,
    /// What the page tells, and what is told of all events.
    data: BTreeMap<String, Json>,
}

/// Reads the events of an unpacked body. What a request does beyond this needs the store.
///
/// # Errors
/// Where the body is no event.
pub fn read(body: &[u8]) -> Result<Vec<Result<Draft, Refusal>>, Problem> {
    Ok(sent(body)?.drafts(&Visit::of_nobody(), Timestamp::EPOCH))
}

fn sent(body: &[u8]) -> Result<Sent, Problem> {
    if body.len() > MAX_EVENT {
        return Err(Problem::TooLarge(format!("{} bytes: an event has at most {MAX_EVENT}", body.len())));
    }
    let text = sanitize::body(body);
    let sent = event_json::document(text.as_bytes()).map_err(|error| Problem::field("", error.to_string()))?;
    if event_json::kind(sent) != Kind::Object {
        return Err(Problem::field("", "send an event as a JSON object"));
    }
    let values = event_json::count(sent);
    if values > MAX_VALUES {
        return Err(too_many(values));
    }
    let sent = event(sent)?;
    // Also those in texts. Each domain gets them.
    let values: usize = sent.data.values().map(Json::values).sum();
    if values > MAX_VALUES {
        return Err(too_many(values));
    }
    Ok(sent)
}

fn too_many(values: usize) -> Problem {
    Problem::TooLarge(format!("{values} JSON values: an event has at most {MAX_VALUES}"))
}

fn event(sent: &RawValue) -> Result<Sent, Problem> {
    let mut fields = Fields::of(sent);
    let name = fields.take_text("n").or_else(|| fields.take_text("name"));
    let url = fields.take_text("u").or_else(|| fields.take_text("url"));
    let domains = fields.take_text("d").or_else(|| fields.take_text("domain")).unwrap_or_default();
    let mut domains: Vec<_> =
        domains.split(',').map(str::trim).filter(|domain| !domain.is_empty()).map(str::to_owned).collect();
    domains.dedup();
    if domains.len() > MAX_DOMAINS {
        return Err(Problem::field("d", format!("{} domains: send at most {MAX_DOMAINS}", domains.len())));
    }
    let hash_tells = fields.take_text("h").or_else(|| fields.take_text("hashMode"));
    let hash_tells = hash_tells.is_some_and(|h| h == "1" || h == "true");
    let url = url.map(|url| if hash_tells { url } else { url.split('#').next().unwrap_or_default().to_owned() });
    let referrer = fields.take_text("r").or_else(|| fields.take_text("referrer"));
    let width = fields.take_text("w").or_else(|| fields.take_text("screen_width"));
    let mut data = BTreeMap::new();
    for place in ["p", "props", "m", "meta"] {
        for (name, value) in properties(&mut fields, place, MAX_DEPTH - 1) {
            data.entry(name).or_insert(value);
        }
    }
    let mut told = Vec::new();
    for (name, text) in
        [("url", url.as_deref()), ("path", url.as_deref().and_then(path_of)), ("referrer", referrer.as_deref())]
    {
        told.extend(text.map(|text| (name, Json::String(text.to_owned()))));
    }
    let revenue = ["$", "revenue"]
        .into_iter()
        .map(|place| properties(&mut fields, place, MAX_DEPTH - 2))
        .find(|found| !found.is_empty());
    told.extend(revenue.map(|revenue| ("revenue", Json::Object(revenue))));
    let is_silent = fields.take_text("i").or_else(|| fields.take_text("interactive"));
    if is_silent.is_some_and(|interactive| interactive == "false") {
        told.push(("interactive", Json::Bool(false)));
    }
    let [duration_ms, depth] = ["e", "sd"].map(|field| fields.take_text(field).as_deref().and_then(visit::whole));
    for (name, value) in [("duration_ms", duration_ms), ("scroll_depth", depth)] {
        told.extend(value.and_then(visit::number).map(|value| (name, value)));
    }
    visit::add(&mut data, told);
    Ok(Sent {
        name: short(name),
        url,
        domains,
        referrer,
        width: width.as_deref().and_then(visit::whole),
        duration_ms,
        data,
    })
}

/// The properties in a field, each of at most `depth` levels: an object, or its text, as older clients send it.
fn properties(fields: &mut Fields<'_>, place: &str, depth: usize) -> BTreeMap<String, Json> {
    let kept = |raw: &RawValue| {
        let named = sanitize::object(raw)
            .into_iter()
            .filter(|(name, value)| !name.is_empty() && event_json::kind(value) != Kind::Null);
        named.map(|(name, value)| (name, sanitize::within(value, depth))).collect()
    };
    match fields.take(place) {
        Some(raw) if event_json::kind(raw) == Kind::Object => kept(raw),
        // The bound on the values of the whole event does not see those in a text.
        Some(raw) => match event_json::string(raw) {
            Ok(text) => event_json::document(text.as_bytes())
                .ok()
                .filter(|raw| event_json::count(raw) <= MAX_VALUES)
                .map_or_else(BTreeMap::new, kept),
            Err(_) => BTreeMap::new(),
        },
        None => BTreeMap::new(),
    }
}

impl Sent {
    /// When the event happened, of which none tells the time.
    fn at(&self, now: Timestamp) -> Timestamp {
        let duration = self.duration_ms.map_or(TimeDelta::milliseconds(0), |ms| TimeDelta::milliseconds(ms.into()));
        now - duration.min(DAY)
    }

    /// Its events, one for each domain.
    fn drafts(self, visit: &Visit<'_>, now: Timestamp) -> Vec<Result<Draft, Refusal>> {
        let at = self.at(now);
        let began = self.duration_ms.map(|_| at);
        let Self { name, url, domains, referrer, width, mut data, .. } = self;
        let missing = match (&name, &url) {
            (None, _) => Some((Reason::InvalidName, "`n` is missing: send the name of the event")),
            (_, None) => Some((Reason::InvalidField, "`u` is missing: send the address of the page")),
            _ => None,
        };
        if let Some((reason, detail)) = missing {
            return vec![Err(Refusal::new(reason, detail))];
        }
        if name.as_deref() == Some(PAGEVIEW) {
            let view = PageView {
                url: url.as_deref(),
                referrer: referrer.as_deref(),
                user_agent: visit.user_agent,
                window_width: width,
                language: visit.language,
                country: visit.country(None),
                ..PageView::default()
            };
            visit::add(&mut data, view.fields());
        }
        // A key in the place of the domain is no name of a site.
        let sites: Vec<_> = domains.into_iter().filter(|domain| PresentedKey::parse(domain).is_none()).collect();
        let sites = if sites.is_empty() { vec![None] } else { sites.into_iter().map(Some).collect() };
        let draft = |site: Option<String>| {
            Ok(Draft {
                name: name.clone(),
                session_id: visit.visitor(site.as_deref().unwrap_or_default(), at).map(VisitorId::session_id),
                category: short(site),
                timestamp: began,
                data: object(data.clone()),
                ..Draft::default()
            })
        };
        sites.into_iter().map(draft).collect()
    }
}

async fn answer(call: &Call) -> Result<Response, Problem> {
    let read = sent(&call.body);
    let keys: Vec<_> = read.iter().flat_map(|sent| &sent.domains).map(|domain| Some(domain.as_str())).collect();
    let keys: Vec<_> = std::iter::once(call.parameter("key")).chain(keys).collect();
    let sender = call.sender(&keys).await?;
    let sent = read?;
    let visit = Visit::of(call, &sender, std::iter::once(sent.at(call.now()))).await?;
    if is_bot(visit.user_agent) {
        call.reject_bot(&sender, 1, visit.user_agent);
        return Ok(dropped());
    }
    let drafts = sent.drafts(&visit, call.now());
    let text = String::from_utf8_lossy(&call.body);
    let stored = call.store(&sender, drafts, &|_| text.clone().into_owned()).await?;
    stored.complete()?;
    let refused = stored.0.iter().find_map(|verdict| match verdict {
        Verdict::Rejected(refusal) => Some(refusal),
        _ => None,
    });
    match refused {
        None => Ok((StatusCode::ACCEPTED, "ok").into_response()),
        // What is wrong with the event itself; the rest is what the app does not want.
        Some(refusal) if matches!(refusal.reason, Reason::InvalidField | Reason::InvalidName | Reason::TooLarge) => {
            Ok(json_reply(StatusCode::BAD_REQUEST, &json!({"errors": {"event": [refusal.detail]}})))
        }
        Some(_) => Ok(dropped()),
    }
}

/// What is taken and not kept.
fn dropped() -> Response {
    let mut reply = (StatusCode::ACCEPTED, "ok").into_response();
    reply.headers_mut().insert("x-plausible-dropped", HeaderValue::from_static("1"));
    reply
}

impl Protocol for Plausible {
    fn family(&self) -> Family {
        Family::Plausible
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(answer(call))
    }

    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        let body = json!({"errors": {"request": [problem.to_string()]}});
        retry_after(problem, json_reply(problem.status(), &body))
    }
}
