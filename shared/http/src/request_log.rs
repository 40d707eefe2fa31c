//! What happens to every request: limits before it is handled, the size and headers of its reply, and its line in the log.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method};
use tally_core::app::AppSlug;
use tally_service::metrics::{self, Metric};

use crate::compat::Compat;
use crate::gateway::RequestId;
use crate::guard::CallerName;
use crate::problem::Problem;
use crate::reply::within_size;

/// Refuses a reply that is too large, puts a problem into the words of a compat, sets the headers of every reply, and writes the log line.
pub(crate) async fn finish_and_log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    // A raw path may hold a key, so the route is logged instead.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let path = request.uri().path();
    let compat = Compat::of_path(path).map(|compat| (compat, path.to_owned()));
    let request_id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone());
    let request_id = request_id.unwrap_or_else(|| ulid::Ulid::generate().to_string());
    let mut response = match within_limits(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    response = within_size(response).await;
    if let Some((compat, path)) = compat
        && let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>()
    {
        response = compat.put(&problem, (&method, &path), response);
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        // The page and pictures have their own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let line = Line {
        app: response.extensions().get::<AppSlug>().map_or("", AppSlug::as_str),
        caller: response.extensions().get::<CallerName>().map_or("", |caller| &caller.0),
        figures: response.extensions().get::<Figures>().copied(),
        route: route.as_deref().unwrap_or("$default"),
        status: response.status().as_u16(),
        ms: started.elapsed().as_secs_f64() * 1000.0,
        request_id: &request_id,
        method: &method,
    };
    line.write();
    response
}

/// What every reply tells a browser: to trust its content type, to return by https only (ignored on plain http), to send
/// this address to nobody, and, of a picture that is opened by itself, to run and load nothing.
const SECURITY_HEADERS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
];

/// Most bytes of a path with its query.
const MAX_PATH_AND_QUERY: usize = 8 * 1024;
/// Most bytes of all headers. HTTP API takes 10,240 with the request line (AWS: "HTTP API quotas"), and adds some of its own.
const MAX_HEADERS: usize = 16 * 1024;

fn within_limits(request: &Request) -> Result<(), Problem> {
    let path_and_query = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if path_and_query > MAX_PATH_AND_QUERY {
        return Err(Problem::field(
            "",
            format!("the path and query are longer than {MAX_PATH_AND_QUERY} bytes: send less"),
        ));
    }
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers > MAX_HEADERS {
        return Err(Problem::field("", format!("the headers are longer than {MAX_HEADERS} bytes: send less")));
    }
    Ok(())
}

/// Names a request in its reply and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How many events a request brought, for the log; a handler puts it into the extensions of its reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Events that were accepted.
    pub accepted: usize,
    /// Events that were rejected.
    pub rejected: usize,
    /// Events that were written: of several that are the same event, the last.
    pub stored: usize,
}

/// The log line of a request. It has no key, token, password, body or raw path.
struct Line<'a> {
    request_id: &'a str,
    app: &'a str,
    /// The id of a key, or the name of a user.
    caller: &'a str,
    method: &'a Method,
    route: &'a str,
    status: u16,
    ms: f64,
    figures: Option<Figures>,
}

impl Line<'_> {
    fn write(&self) {
        let Self { request_id, app, caller, method, route, status, ms, figures } = self;
        let Figures { accepted, rejected, stored } = figures.unwrap_or_default();
        if !metrics::on_lambda() {
            tracing::info!(request_id, app, caller, %method, route, status, ms, accepted, rejected, stored, "request");
            return;
        }
        let mut all = vec![(Metric::Latency, *ms), (Metric::ColdStart, metrics::cold_start())];
        if figures.is_some() {
            #[allow(clippy::cast_precision_loss)] // at most 1,000
            let count = |n: usize| n as f64;
            all.extend([
                (Metric::Accepted, count(accepted)),
                (Metric::Rejected, count(rejected)),
                (Metric::Stored, count(stored)),
            ]);
        }
        let properties = serde_json::json!({
            "requestId": request_id, "app": app, "caller": caller, "method": method.as_str(), "route": route, "status": status,
        });
        metrics::emit(&all, properties);
    }
}
