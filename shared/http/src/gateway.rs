//! Requests as HTTP API gives them to Lambda, and replies as it takes them (payload format 2.0).
//!
//! The crate `lambda_http` does this too, but it panics where path, query or `Host` do not make a URL, fails on a header
//! that is not text, and drops cookies that are not ASCII. All of these are up to the client.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::{Router, extract::Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{COOKIE, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Collected};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use crate::path::{decoded, encoded};
use crate::problem::Problem;
use crate::source::Source;

/// What must not stand in a query as it is. A `%` stays, since HTTP API hands the query over as it was sent.
const NOT_IN_A_QUERY: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'}');

/// The id that Lambda gave a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// A request, as HTTP API describes it. What a client does not send may be absent or null.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRequest {
    /// Percent-decoded.
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    cookies: Option<Vec<String>>,
    /// Values of equal names are joined with commas.
    headers: Option<HashMap<String, String>>,
    path_parameters: Option<HashMap<String, String>>,
    request_context: RequestContext,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Debug, Deserialize)]
struct RequestContext {
    http: HttpContext,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: String,
    path: Option<String>,
    source_ip: Option<String>,
}

/// A reply, as HTTP API takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayReply {
    status_code: u16,
    headers: HashMap<String, String>,
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

/// Answers a request by a service. Whatever the client sent, there is a reply.
pub async fn answer(service: Router, event: GatewayRequest, request_id: String) -> GatewayReply {
    let is_head = event.request_context.http.method == "HEAD";
    let reply = match event.into_request() {
        Ok(mut request) => {
            request.extensions_mut().insert(RequestId(request_id));
            let Ok(reply) = service.oneshot(request).await;
            reply
        }
        Err(problem) => problem.into_response(),
    };
    GatewayReply::of(reply, is_head).await
}

impl GatewayRequest {
    fn into_request(self) -> Result<Request, Problem> {
        let cut = self.is_cut();
        let Self { raw_path, raw_query_string, cookies, headers, request_context, body, is_base64_encoded, .. } = self;
        let mut headers = self::headers(headers.unwrap_or_default());
        if let Some(cookies) = cookies
            && let Ok(cookies) = HeaderValue::from_bytes(cookies.join("; ").as_bytes())
        {
            headers.insert(COOKIE, cookies);
        }
        let body = body.unwrap_or_default();
        let body = if is_base64_encoded {
            STANDARD.decode(body).map_err(|_| Problem::field("", "the body is not base64"))?
        } else {
            body.into_bytes()
        };
        let mut request = Request::new(Body::from(body));
        let HttpContext { method, source_ip, .. } = request_context.http;
        *request.method_mut() =
            Method::from_bytes(method.as_bytes()).map_err(|_| Problem::field("", "not a method of HTTP"))?;
        *request.uri_mut() = uri(&raw_path.unwrap_or_default(), &raw_query_string.unwrap_or_default())?;
        *request.headers_mut() = headers;
        let address: Option<IpAddr> = source_ip.and_then(|ip| ip.parse().ok());
        request.extensions_mut().insert(Source(address));
        if cut {
            request.extensions_mut().insert(CutPath);
        }
        Ok(request)
    }

    /// Whether HTTP API cut the path at a decoded `?`: not all that it tells of the path has it.
    fn is_cut(&self) -> bool {
        let marks = |text: &str| decoded(text).matches('?').count();
        let of_parameters = |values: &HashMap<String, String>| values.values().map(|value| marks(value)).sum();
        let parameters: Option<usize> = self.path_parameters.as_ref().filter(|p| !p.is_empty()).map(of_parameters);
        let path = self.raw_path.as_deref().map_or(0, marks);
        let in_context = self.request_context.http.path.as_deref().map(marks);
        [parameters, in_context].into_iter().flatten().any(|found| found != path)
    }
}

/// In the extensions of a request whose path lacks what followed a `?` in it.
#[derive(Clone, Copy)]
pub(crate) struct CutPath;

/// The headers that can be sent; others are left out, as a server that reads HTTP would refuse them.
fn headers(sent: HashMap<String, String>) -> HeaderMap {
    let read = |(name, value): (String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?))
    };
    sent.into_iter().filter_map(read).collect()
}

fn uri(path: &str, query: &str) -> Result<Uri, Problem> {
    let mut target = encoded(path);
    if !target.starts_with('/') {
        target.insert(0, '/');
    }
    if !query.is_empty() {
        target.push('?');
        target.extend(utf8_percent_encode(query, NOT_IN_A_QUERY));
    }
    let target: PathAndQuery = target.parse().map_err(|_| Problem::field("", "the path and query make no URL"))?;
    Ok(Uri::from(target))
}

impl GatewayReply {
    async fn of(reply: Response, is_head: bool) -> Self {
        let (parts, body) = reply.into_parts();
        // A body is made in memory, so it cannot fail.
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let body: Vec<u8> = if is_head { vec![] } else { body.into() };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut headers: HashMap<String, String> = HashMap::new();
        for (name, value) in parts.headers.iter().filter(|(name, _)| *name != SET_COOKIE) {
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|before| *before = format!("{before}, {}", text(value)))
                .or_insert_with(|| text(value));
        }
        let cookies = parts.headers.get_all(SET_COOKIE).iter().map(text).collect();
        // What is no text, such as a picture, travels as base64.
        let (body, is_base64_encoded) = match String::from_utf8(body) {
            Ok(text) => (text, false),
            Err(binary) => (STANDARD.encode(binary.as_bytes()), true),
        };
        Self { status_code: parts.status.as_u16(), headers, cookies, body, is_base64_encoded }
    }
}
