//! The DynamoDB wire API on a port.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

use crate::connections::{Limits, serve_connections};
use crate::direct::Direct;

/// Maximum bytes of a request (DynamoDB's limit).
const MAX_BODY: usize = 16 * 1024 * 1024;
/// The header that holds the secret of a [door](crate::door).
pub(crate) const SECRET: &str = "x-tally-secret";

/// The wire API for all tools except browsers. Any web page can reach a port of this machine, and this database holds
/// the key that signs access tokens. Browsers send the origin of every page that posts to another site, and a page that
/// uses DNS rebinding sends its own host name.
pub(crate) fn for_tools(direct: Direct) -> Router {
    api(direct).layer(from_fn(async |request: Request, next: Next| {
        let headers = request.headers();
        if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
            return refused("not for pages in a browser");
        }
        if !headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(is_no_name_of_a_website) {
            return refused("not by this name: use an IP address, `localhost`, or a name without a dot");
        }
        next.run(request).await
    }))
}

/// The wire API for clients that know a secret.
pub(crate) fn for_holders_of(secret: String, direct: Direct) -> Router {
    api(direct).layer(from_fn(move |request: Request, next: Next| {
        // The secret has 128 bits and is new at every start, so comparison timing reveals too little.
        let knows_it = request.headers().get(SECRET).is_some_and(|sent| sent.as_bytes() == secret.as_bytes());
        async move { if knows_it { next.run(request).await } else { refused("not without the secret in the lock file") } }
    }))
}

/// Serves an API on a port for as long as the runtime lives.
pub(crate) fn spawn(listener: TcpListener, api: Router) {
    tokio::spawn(serve_connections(listener, api, Limits::default(), std::future::pending()));
}

fn refused(why: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
}

/// Whether a `Host` cannot belong to a foreign page: it is an address, or a name that cannot be registered.
fn is_no_name_of_a_website(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    is_address || !name.contains('.') || name.ends_with(".localhost") || name.ends_with(".docker.internal")
}

fn api(direct: Direct) -> Router {
    Router::new()
        .fallback(async move |headers: HeaderMap, body: Bytes| {
            let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
            let (status, reply) = direct.answer(target, &body).await;
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], reply).into_response()
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;
    use crate::embedded::Embedded;

    async fn status(service: &Router, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::post("/").header("x-amz-target", "DynamoDB_20120810.ListTables");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let Ok(reply) = service.clone().oneshot(request.body(Body::from("{}")).expect("a request")).await;
        assert!(reply.headers().get("access-control-allow-origin").is_none());
        reply.status().as_u16()
    }

    #[tokio::test]
    async fn tools_are_served_and_pages_are_not() {
        let embedded = Embedded::temporary().expect("a database");
        let service = for_tools(embedded.direct());
        for host in
            ["127.0.0.1:8000", "[::1]:8000", "localhost:8000", "192.168.0.7", "tally", "host.docker.internal:8000"]
        {
            assert_eq!(status(&service, &[("host", host)]).await, 200, "{host}");
        }
        for host in ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b"]
        {
            assert_eq!(status(&service, &[("host", host)]).await, 403, "{host}");
        }
        assert_eq!(status(&service, &[]).await, 403, "no host");
        for page in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "same-origin")] {
            assert_eq!(status(&service, &[("host", "localhost:8000"), page]).await, 403, "{page:?}");
        }
    }

    #[tokio::test]
    async fn a_door_opens_to_its_secret() {
        let embedded = Embedded::temporary().expect("a database");
        let service = for_holders_of("secret".to_owned(), embedded.direct());
        assert_eq!(status(&service, &[(SECRET, "secret")]).await, 200);
        assert_eq!((status(&service, &[]).await, status(&service, &[(SECRET, "secre")]).await), (403, 403));
    }
}
