//! One request to a Tally elsewhere: over HTTP or HTTPS, with bounds on time and bytes.

use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The longest wait that a reply may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The timeout of a reply.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum bytes of a reply.
const MAX_REPLY: usize = 8 * 1024 * 1024;

/// A client that keeps its connections open.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A whole reply.
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

impl Reply {
    /// How long the server asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
    }
}

/// A client that trusts the certificates that this system trusts.
pub(crate) fn client() -> std::io::Result<HttpClient> {
    let roots = HttpsConnectorBuilder::new().with_native_roots()?;
    Ok(Client::builder(TokioExecutor::new()).build(roots.https_or_http().enable_http1().build()))
}

/// Sends a request and reads all of the reply. The error says in a few words why there is none.
pub(crate) async fn exchange(client: &HttpClient, request: Request<Full<Bytes>>) -> Result<Reply, String> {
    let answered = tokio::time::timeout(TIMEOUT, async {
        let reply = client.request(request).await.map_err(|e| innermost(&e))?;
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, MAX_REPLY).collect().await.map_err(|e| e.to_string())?;
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    });
    answered.await.unwrap_or_else(|_| Err(format!("no answer in {} s", TIMEOUT.as_secs())))
}

/// The error that an error of a client is about.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
