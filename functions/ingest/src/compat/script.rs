//! Tally's script for web pages, `web/script/tally.js`: native events, one, a list, or `{"key", "events"}`, which a page of any origin
//! sends with the key in the query or the body.
//!
//! The script is small, so this does a part of its work: a page's `path` is told from its `url`, a message is cut to what an event
//! holds, and what crawlers send is taken and not kept.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use tally_core::event::MAX_MESSAGE;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self as event_json, Json, Kind};
use tally_core::rejected::Refusal;
use tally_http::body::invalid;
use tally_http::families::Family;
use tally_http::problem::{self, PROBLEM_JSON, Problem};

use crate::body::{MAX_EVENTS, at_most};
use crate::compat::call::Call;
use crate::compat::protocol::{Answer, Protocol, retry_after};
use crate::compat::records::{self, Records};
use crate::compat::sanitize::{self, cut};
use crate::draft;

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
    let (accepted, rejected) = if call.header(USER_AGENT.as_str()).is_some_and(is_crawler) {
        (0, 0)
    } else {
        call.store_each(&sender, &records(&events)).await?.complete()?
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

fn records<'a>(events: &[&'a RawValue]) -> impl Records + use<'a> {
    records::each(events, draft)
}

fn draft(raw: &RawValue) -> Result<Draft, Refusal> {
    let mut draft = draft::read(raw)?;
    draft.message = draft.message.map(|message| cut(message, MAX_MESSAGE));
    if let Some(Json::Object(data)) = &mut draft.data
        && let Some(Json::String(url)) = data.get("url")
        && let Some(path) = path_of(url).map(str::to_owned)
    {
        data.entry("path".to_owned()).or_insert(Json::String(path));
    }
    Ok(draft)
}

/// The path of an address, or of a relative one, without its query. What follows a `#` is a part of it: the script sends it only
/// where it tells pages apart.
fn path_of(url: &str) -> Option<&str> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None if url.starts_with('/') => url,
        None => return None,
    };
    let before = path.split('#').next().unwrap_or(path);
    match before.find('?') {
        Some(at) => Some(&path[..at]),
        None => Some(path),
    }
}

/// Whether a browser says that nobody looks at it: crawlers, previews, and audits.
fn is_crawler(user_agent: &str) -> bool {
    let name = user_agent.to_ascii_lowercase();
    // A maker of telephones.
    let name = name.replace("cubot", "");
    ["bot", "crawl", "spider", "headless", "lighthouse", "slurp", "preview", "facebookexternalhit"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_an_address() {
        for (url, path) in [
            ("https://shop.example/cart?step=2", Some("/cart")),
            ("https://shop.example", Some("/")),
            ("https://shop.example/#/cart", Some("/#/cart")),
            ("/cart?x", Some("/cart")),
            ("cart", None),
            ("", None),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }

    #[test]
    fn crawlers_are_known_by_what_they_say() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
        assert!(!is_crawler(chrome));
        assert!(!is_crawler("Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 20) Chrome/140.0.0.0 Mobile Safari/537.36"));
        for crawler in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/140.0.0.0 Safari/537.36",
            "Mozilla/5.0 (compatible; Yahoo! Slurp)",
        ] {
            assert!(is_crawler(crawler), "{crawler}");
        }
    }
}
