//! What browsers ask before and after a call from another origin's page.

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tally_service::config::{Config, Origins};

use crate::routes::{self, Access};

/// Headers that a page may send.
const SENT: &str = "authorization, content-type, content-encoding, x-ingest-key, x-read-key, x-access-token";
/// Headers of a reply that a page may read.
const READ: &str = "etag, link, retry-after, tally-counted-to";

/// Whether a request asks, before another one, if it may be sent.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight; without permission where the origin has none, which browsers read as a no.
pub(crate) fn preflight(config: &Config, path: &str, headers: &HeaderMap) -> Response {
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|m| m.to_str().ok());
    let access = routes::at(path).find(|route| Some(route.method.as_str()) == asked).map(|route| route.access);
    let mut response = StatusCode::NO_CONTENT.into_response();
    let reply = response.headers_mut();
    reply.insert(VARY, HeaderValue::from_static("origin"));
    let allowed = access.and_then(|access| permission(config, access, headers));
    if let (Some(origin), Some(Ok(method))) = (allowed, asked.map(HeaderValue::from_str)) {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
        reply.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
        reply.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
    response
}

/// Adds what lets the page of the request's origin read the reply, if it may.
pub(crate) fn permit(config: &Config, access: Access, request: &HeaderMap, reply: &mut HeaderMap) {
    if let Some(origin) = permission(config, access, request) {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
    }
    reply.append(VARY, HeaderValue::from_static("origin"));
}

fn permission(config: &Config, access: Access, request: &HeaderMap) -> Option<HeaderValue> {
    let origins = match access {
        Access::Ingest => &config.ingest_origins,
        Access::Public | Access::Read | Access::Users | Access::Admins | Access::AppAdmins => &config.read_origins,
    };
    let origin = request.get(ORIGIN)?;
    match origins {
        Origins::Any => Some(HeaderValue::from_static("*")),
        Origins::Only(_) => origin.to_str().ok().filter(|o| origins.allow(o)).map(|_| origin.clone()),
    }
}
