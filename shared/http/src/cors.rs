//! Cross-origin calls from browsers: preflights, and permission to read a reply.

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tally_service::config::{Config, Origins};

use crate::families::{self, Family};
use crate::routes::{self, Access, Route};

/// Request headers that a page may send.
const REQUEST_HEADERS: &str = "authorization, content-type, content-encoding, x-ingest-key, x-read-key, x-access-token, \
     mcp-protocol-version, mcp-method, mcp-name";
/// Reply headers that a page may read.
const REPLY_HEADERS: &str = "etag, link, retry-after, tally-complete, tally-counted-to, tally-live-from";

/// Whether a request is a preflight.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight. Without permission it has no headers for the origin, which browsers take as a refusal.
pub(crate) fn preflight(config: &Config, path: &str, headers: &HeaderMap) -> Response {
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|m| m.to_str().ok());
    let access = asked.and_then(|asked| route(path, &asked.parse().ok()?)).map(|route| route.access);
    let mut response = StatusCode::NO_CONTENT.into_response();
    let reply = response.headers_mut();
    reply.insert(VARY, HeaderValue::from_static("origin"));
    let allowed = access.and_then(|access| permission(config, access, headers));
    if let (Some(origin), Some(Ok(method))) = (allowed, asked.map(HeaderValue::from_str)) {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
        reply.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
        reply.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
    response
}

/// The route of a method and decoded path, with a slash at its end or without.
fn route(path: &str, method: &Method) -> Option<&'static Route> {
    routes::at(routes::without_slash(path)).find(|route| route.answers(method))
}

/// Lets the page read a reply that comes from no handler: by the route that it asked for, or else any of the path.
pub(crate) fn permit_stray(config: &Config, path: &str, method: &Method, request: &HeaderMap, reply: &mut HeaderMap) {
    let route = route(path, method).or_else(|| routes::at(routes::without_slash(path)).next());
    permit(config, route.map_or(Access::Public, |route| route.access), request, reply);
}

/// Lets the page that sent the request read the reply, if its origin may.
pub(crate) fn permit(config: &Config, access: Access, request: &HeaderMap, reply: &mut HeaderMap) {
    if let Some(origin) = permission(config, access, request) {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(REPLY_HEADERS));
    }
    reply.append(VARY, HeaderValue::from_static("origin"));
}

/// The header of a sender of `CloudEvents` that asks whether it may send (cloudevents/spec `http-webhook.md`).
const WEBHOOK_REQUEST_ORIGIN: &str = "webhook-request-origin";
/// Reply headers that a client library in a page may read.
const LIBRARY_REPLY_HEADERS: &str = "retry-after, x-sentry-rate-limits, x-sentry-error, x-plausible-dropped";

/// Lets a page whose client library sent the request read the reply, whatever its status. Some libraries send with
/// credentials, for which `*` is not enough. That is safe, since no cookie counts on these paths.
pub(crate) fn permit_library(config: &Config, request: &HeaderMap, reply: &mut HeaderMap) {
    let origin = request.get(ORIGIN).filter(|origin| {
        origin.to_str().is_ok_and(|origin| match &config.ingest_origins {
            Origins::Any => true,
            only @ Origins::Only(_) => only.allow(origin),
        })
    });
    reply.append(VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return };
    reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    reply.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    reply.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(LIBRARY_REPLY_HEADERS));
}

/// The answer to `OPTIONS` on a decoded path of client libraries: all methods, and the headers that are asked for.
pub(crate) fn library_options(path: &str, request: &HeaderMap) -> Response {
    let is_of = |family| families::at(path).is_some_and(|known| known.families.contains(&family));
    let is_of_page = request.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    // One that validates its receiver before it sends. It is let in by its key, so any may ask.
    let validated = request.get(WEBHOOK_REQUEST_ORIGIN).filter(|_| is_of(Family::CloudEvents) && !is_of_page);
    // Docker's driver asks so whether a collector is there. It takes no other status, and no container starts without.
    let is_asked = validated.is_some() || (is_of(Family::Splunk) && !is_of_page);
    let mut response = if is_asked { StatusCode::OK } else { StatusCode::NO_CONTENT }.into_response();
    let reply = response.headers_mut();
    if let Some(origin) = validated {
        reply.insert("webhook-allowed-origin", origin.clone());
        reply.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    }
    let methods = HeaderValue::from_static("GET, POST, PUT, OPTIONS, HEAD");
    reply.insert(ALLOW, methods.clone());
    if request.contains_key(ORIGIN) && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        reply.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            reply.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        reply.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
    response
}

fn permission(config: &Config, access: Access, request: &HeaderMap) -> Option<HeaderValue> {
    let origins = match access {
        Access::Ingest => &config.ingest_origins,
        Access::Public
        | Access::Read
        | Access::Known
        | Access::Upload
        | Access::Users
        | Access::AppUsers
        | Access::Admins
        | Access::AppAdmins => &config.read_origins,
    };
    let origin = request.get(ORIGIN)?;
    match origins {
        Origins::Any => Some(HeaderValue::from_static("*")),
        Origins::Only(_) => origin.to_str().ok().filter(|o| origins.allow(o)).map(|_| origin.clone()),
    }
}
