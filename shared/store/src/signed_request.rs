//! One signed request to a service of AWS. An SDK for each service would double the size of the function.

use std::sync::LazyLock;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

static CONNECTOR: LazyLock<Connector> =
    LazyLock::new(|| Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build());

/// A service that is asked.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name in error messages.
    pub name: &'static str,
    /// Its name in signatures.
    pub signing: &'static str,
    /// The environment variable that overrides its endpoint.
    pub endpoint: &'static str,
}

/// The reason why a service did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// An environment variable that Lambda sets is missing.
    #[error("the environment has no {0}")]
    Environment(&'static str),
    /// The request could not be made.
    #[error("the request to {0} could not be made: {1}")]
    Request(&'static str, String),
    /// The service does not respond.
    #[error("{0} does not answer: {1}")]
    Silent(&'static str, String),
    /// The service returned an error status.
    #[error("{0} answered {1}")]
    Refused(&'static str, u16),
}

/// Who asks, and where, by the environment that Lambda sets.
pub struct Caller {
    /// The region of this process.
    pub region: String,
    /// Its credentials.
    pub credentials: Credentials,
    /// The endpoint of the service, if it is overridden.
    pub endpoint: Option<String>,
}

impl Caller {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names a variable that is missing.
    pub fn of_environment(service: Service) -> Result<Self, RequestError> {
        let optional = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let variable = |name| optional(name).ok_or(RequestError::Environment(name));
        let region = variable("AWS_REGION")?;
        let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
        let credentials = Credentials::new(id, secret, optional("AWS_SESSION_TOKEN"), None, "environment");
        Ok(Self { region, credentials, endpoint: optional(service.endpoint) })
    }
}

/// The end of the names of AWS's servers in a region.
pub fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// A request before it is signed.
pub struct Unsigned<'a> {
    /// Its method.
    pub method: &'static str,
    /// Its URL, percent-encoded.
    pub url: &'a str,
    /// Headers that are signed with it.
    pub headers: &'a [(&'static str, &'static str)],
    /// Its body.
    pub body: Vec<u8>,
    /// How the service wants it signed.
    pub settings: SigningSettings,
}

/// Adds a version 4 signature to a request.
///
/// # Errors
/// Where the URL or a header cannot be sent.
pub fn signed(
    service: Service,
    request: Unsigned<'_>,
    region: &str,
    credentials: Credentials,
    at: SystemTime,
) -> Result<HttpRequest, RequestError> {
    let Unsigned { method, url, headers, body, settings } = request;
    let failed = |error: &dyn std::fmt::Display| RequestError::Request(service.name, error.to_string());
    let identity: Identity = credentials.into();
    let parameters = v4::SigningParams::builder().identity(&identity).region(region).name(service.signing).time(at);
    let parameters = parameters.settings(settings).build().map_err(|e| failed(&e))?.into();
    let to_sign = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(&body));
    let (instructions, _) = sign(to_sign.map_err(|e| failed(&e))?, &parameters).map_err(|e| failed(&e))?.into_parts();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method(method).map_err(|e| failed(&e))?;
    request.set_uri(url).map_err(|e| failed(&e))?;
    for (name, value) in headers.iter().copied().chain(instructions.headers()) {
        request.headers_mut().try_insert(name.to_owned(), value.to_owned()).map_err(|e| failed(&e))?;
    }
    Ok(request)
}

/// Sends a request, and returns the body of its answer, of at most `most` bytes. The caller limits the time.
///
/// # Errors
/// Where the service does not answer, or not with a status of success.
pub async fn send(service: Service, request: HttpRequest, most: usize) -> Result<Vec<u8>, RequestError> {
    let reply = CONNECTOR.call(request).await.map_err(|e| RequestError::Silent(service.name, e.to_string()))?;
    let status = reply.status().as_u16();
    if !(200..300).contains(&status) {
        return Err(RequestError::Refused(service.name, status));
    }
    let silent = |error: String| RequestError::Silent(service.name, error);
    let (mut parts, mut body) = (ByteStream::new(reply.into_body()), Vec::new());
    while let Some(part) = parts.try_next().await.map_err(|error| silent(error.to_string()))? {
        if body.len() + part.len() > most {
            return Err(silent(format!("its answer is longer than {most} bytes")));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
