//! Requests as HTTP API gives them to Lambda (payload format 2.0), and replies as it takes them. Function URLs have the same
//! format.
//!
//! `lambda_http` has the types of both, and the runtime. Its conversion of requests panics where path, query or `Host` do not
//! make a URL, fails on a header that is not text, and drops cookies that are not ASCII. All of these are up to the
//! client, so this module converts them itself. Its conversion of replies knows every character set of the web, which
//! takes 100 KB of a function; Tally's replies are UTF-8 or binary.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;

use axum::response::{IntoResponse, Response};
use axum::{Router, extract::Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Collected};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::{Body, Context};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use tower::ServiceExt;

use crate::path::{decoded, encoded};
use crate::problem::Problem;
use crate::reply::is_text;
use crate::source::Source;

/// What must not stand in a query as it is. A `%` stays, since HTTP API hands the query over as it was sent.
const NOT_IN_A_QUERY: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'}');

/// What must not stand in a path as it is. A `%` stays, since Function URLs hand the path over as it was sent.
const NOT_IN_A_PATH: &AsciiSet = &NOT_IN_A_QUERY.add(b'?');

/// The id that Lambda gave a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// A request, as HTTP API or a Function URL describes it. What a client does not send may be absent or null.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRequest {
    /// Percent-decoded by HTTP API, as it was sent by a Function URL.
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
#[serde(rename_all = "camelCase")]
struct RequestContext {
    domain_name: Option<String>,
    http: HttpContext,
}

impl RequestContext {
    /// Whether the request came to a Function URL: these have names such as `abc.lambda-url.eu-central-1.on.aws`, and no others.
    fn is_of_function_url(&self) -> bool {
        self.domain_name.as_deref().and_then(|name| name.split('.').nth(1)) == Some("lambda-url")
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: String,
    path: Option<String>,
    source_ip: Option<String>,
}

/// Answers a request by a service. Whatever the client sent, there is a reply.
pub async fn answer(
    service: Router,
    event: GatewayRequest,
    context: Context,
) -> Result<ApiGatewayV2httpResponse, Infallible> {
    let is_head = event.request_context.http.method == "HEAD";
    let reply = match event.into_request() {
        Ok(mut request) => {
            request.extensions_mut().insert(RequestId(context.request_id));
            service.oneshot(request).await?
        }
        Err(problem) => problem.into_response(),
    };
    Ok(gateway_reply(reply, is_head).await)
}

async fn gateway_reply(reply: Response, is_head: bool) -> ApiGatewayV2httpResponse {
    let (parts, body) = reply.into_parts();
    // A body is made in memory, so it cannot fail.
    let body = if is_head { Bytes::new() } else { body.collect().await.map(Collected::to_bytes).unwrap_or_default() };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers = HeaderMap::with_capacity(parts.headers.keys_len());
    for name in parts.headers.keys().filter(|name| *name != SET_COOKIE) {
        let values: Vec<_> = parts.headers.get_all(name).iter().map(text).collect();
        if let Ok(value) = HeaderValue::from_str(&values.join(", ")) {
            headers.insert(name, value);
        }
    }
    let body = match std::str::from_utf8(&body) {
        Ok(text) if text.is_empty() || is_text(&parts.headers) => Body::Text(text.to_owned()),
        _ => Body::Binary(body.into()),
    };
    let mut reply = ApiGatewayV2httpResponse::default();
    reply.status_code = parts.status.as_u16().into();
    reply.headers = headers;
    reply.cookies = parts.headers.get_all(SET_COOKIE).iter().map(text).collect();
    reply.is_base64_encoded = matches!(body, Body::Binary(_));
    reply.body = Some(body);
    reply
}

impl GatewayRequest {
    fn into_request(self) -> Result<Request, Problem> {
        let by_function_url = self.request_context.is_of_function_url();
        let cut = !by_function_url && self.is_cut();
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
        let mut request = Request::new(axum::body::Body::from(body));
        let HttpContext { method, source_ip, .. } = request_context.http;
        *request.method_mut() =
            Method::from_bytes(method.as_bytes()).map_err(|_| Problem::field("", "not a method of HTTP"))?;
        let path = raw_path.unwrap_or_default();
        let path = if by_function_url { utf8_percent_encode(&path, NOT_IN_A_PATH).to_string() } else { encoded(&path) };
        *request.uri_mut() = uri(path, &raw_query_string.unwrap_or_default())?;
        *request.headers_mut() = headers;
        let address: Option<IpAddr> = source_ip.and_then(|ip| ip.parse().ok());
        request.extensions_mut().insert(Source(address));
        if cut {
            request.extensions_mut().insert(CutPath);
        }
        if by_function_url {
            request.extensions_mut().insert(ByFunctionUrl);
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

/// In the extensions of a request that came to the URL of one function, where the paths of the others are not served.
#[derive(Clone, Copy)]
pub(crate) struct ByFunctionUrl;

/// The headers that can be sent; others are left out, as a server that reads HTTP would refuse them.
fn headers(sent: HashMap<String, String>) -> HeaderMap {
    let read = |(name, value): (String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?))
    };
    sent.into_iter().filter_map(read).collect()
}

fn uri(mut target: String, query: &str) -> Result<Uri, Problem> {
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
