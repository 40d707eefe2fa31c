//! Asks GitHub whose a token is.

use std::sync::LazyLock;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use tally_http::problem::Problem;

/// Most time for an answer of GitHub.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of its answer.
const MAX_ANSWER: usize = 256 * 1024;

/// The HTTP client of the SDK, which is linked already.
static CONNECTOR: LazyLock<Connector> =
    LazyLock::new(|| Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build());

#[derive(Deserialize)]
struct Account {
    login: String,
}

/// The login of the account that a token is of; none where GitHub does not accept the token.
///
/// # Errors
/// Where the API at `base` gives no usable answer.
pub(crate) async fn login_of(base: &str, token: &str) -> Result<Option<String>, Problem> {
    let silent = |why: String| {
        tracing::warn!(why, "GitHub gave no usable answer about a token");
        Problem::Upstream("GitHub gives no answer now: try again in a moment".to_owned())
    };
    let answer = tokio::time::timeout(TIMEOUT, ask(base, token)).await;
    let (status, body) = answer.map_err(|e| silent(e.to_string()))?.map_err(silent)?;
    match status {
        200 => {
            let account: Account = serde_json::from_slice(&body).map_err(|e| silent(e.to_string()))?;
            Ok(Some(account.login))
        }
        401 | 403 => Ok(None),
        // A rate limit tells nothing about the token.
        status => Err(silent(format!("status {status}"))),
    }
}

async fn ask(base: &str, token: &str) -> Result<(u16, Vec<u8>), String> {
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(format!("{}/user", base.trim_end_matches('/'))).map_err(|e| e.to_string())?;
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("accept", "application/vnd.github+json".to_owned()),
        // GitHub refuses requests without one.
        ("user-agent", "tally".to_owned()),
    ] {
        request.headers_mut().try_insert(name, value).map_err(|e| e.to_string())?;
    }
    let reply = CONNECTOR.call(request).await.map_err(|e| e.to_string())?;
    let limited =
        reply.headers().get("x-ratelimit-remaining") == Some("0") || reply.headers().contains_key("retry-after");
    // GitHub answers 403 to both.
    let status = if limited { 429 } else { reply.status().as_u16() };
    let body = Limited::new(reply.into_body(), MAX_ANSWER).collect().await.map_err(|e| e.to_string())?;
    Ok((status, body.to_bytes().to_vec()))
}
