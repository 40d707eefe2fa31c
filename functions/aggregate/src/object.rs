//! Reads one S3 object. The S3 SDK would double the size of the function, and a single signed GET is enough.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// The timeout for S3.
const PATIENCE: Duration = Duration::from_mins(1);
/// The maximum object size in bytes. A batch has at most 6 MB, and the quotes in it are escaped.
const MOST: usize = 32 * 1024 * 1024;
/// The characters that S3 does not encode in a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) static CONNECTOR: LazyLock<Connector> =
    LazyLock::new(|| Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build());

/// The `EventBridge` notification of an object that was put into a bucket.
#[derive(Clone, Debug, Deserialize)]
pub struct Created {
    bucket: Bucket,
    object: Object,
}

#[derive(Clone, Debug, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Object {
    key: String,
}

impl Created {
    /// Returns the object's key.
    pub(crate) fn key(&self) -> &str {
        &self.object.key
    }

    /// Returns the object's URL: in the function's region, or at `endpoint` with the bucket in the path.
    fn url(&self, region: &str, endpoint: Option<&str>) -> String {
        let key = utf8_percent_encode(&self.object.key, KEPT);
        let bucket = &self.bucket.name;
        if let Some(endpoint) = endpoint {
            return format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/'));
        }
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://{bucket}.s3.{region}.{suffix}/{key}")
    }
}

/// The reason why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// An environment variable that Lambda sets is missing.
    #[error("the environment has no {0}")]
    Environment(&'static str),
    /// The request could not be made.
    #[error("the request to S3 could not be made: {0}")]
    Request(String),
    /// S3 does not respond.
    #[error("S3 does not answer: {0}")]
    Silent(String),
    /// S3 returned an error status.
    #[error("S3 answered {0}")]
    Refused(u16),
}

/// Reads an object with the Lambda credentials from the environment. `AWS_ENDPOINT_URL_S3` overrides the endpoint.
pub(crate) async fn get(object: &Created) -> Result<Vec<u8>, ObjectError> {
    let optional = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let variable = |name| optional(name).ok_or(ObjectError::Environment(name));
    let region = variable("AWS_REGION")?;
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    let credentials = Credentials::new(id, secret, optional("AWS_SESSION_TOKEN"), None, "environment");
    let url = object.url(&region, optional("AWS_ENDPOINT_URL_S3").as_deref());
    let request = signed(&url, &region, credentials, SystemTime::now()).map_err(ObjectError::Request)?;
    let reply = tokio::time::timeout(PATIENCE, async {
        let reply = CONNECTOR.call(request).await.map_err(|e| ObjectError::Silent(e.to_string()))?;
        let status = reply.status().as_u16();
        if status != 200 {
            return Err(ObjectError::Refused(status));
        }
        let body = Limited::new(reply.into_body(), MOST).collect().await;
        Ok(body.map_err(|e| ObjectError::Silent(e.to_string()))?.to_bytes().to_vec())
    });
    reply.await.map_err(|e| ObjectError::Silent(e.to_string()))?
}

/// Builds a GET request with a version 4 signature.
fn signed(url: &str, region: &str, credentials: Credentials, at: SystemTime) -> Result<HttpRequest, String> {
    let mut settings = SigningSettings::default();
    // S3 uses the path without double encoding and requires the body digest in a header.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity: Identity = credentials.into();
    let parameters = v4::SigningParams::builder().identity(&identity).region(region).name("s3").time(at);
    let parameters = parameters.settings(settings).build().map_err(|e| e.to_string())?.into();
    let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(&[]));
    let request = request.map_err(|e| e.to_string())?;
    let (instructions, _) = sign(request, &parameters).map_err(|e| e.to_string())?.into_parts();
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(url).map_err(|e| e.to_string())?;
    for (name, value) in instructions.headers() {
        request.headers_mut().try_insert(name.to_owned(), value.to_owned()).map_err(|e| e.to_string())?;
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(bucket: &str, key: &str) -> Created {
        Created { bucket: Bucket { name: bucket.to_owned() }, object: Object { key: key.to_owned() } }
    }

    #[test]
    fn an_object_is_in_the_region_of_the_function() {
        let object = created("dead", "aws/lambda/1-2/shardId-3/2026/11/21/2026-11-21T10.08.25-4 é");
        assert_eq!(
            object.url("eu-central-1", None),
            "https://dead.s3.eu-central-1.amazonaws.com/aws/lambda/1-2/shardId-3/2026/11/21/2026-11-21T10.08.25-4%20%C3%A9"
        );
        assert!(created("b", "k").url("cn-north-1", None).starts_with("https://b.s3.cn-north-1.amazonaws.com.cn/"));
        assert_eq!(created("b", "k").url("eu-central-1", Some("http://[::1]:80/")), "http://[::1]:80/b/k");
    }

    #[test]
    fn a_request_is_signed_as_amazon_does_in_its_example() {
        // The example "GET Bucket Lifecycle" from "Authenticating Requests: Using the Authorization Header". It has
        // only the headers that S3 requires, and an empty body.
        let at = SystemTime::UNIX_EPOCH + Duration::from_hours(380_376);
        let credentials =
            Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "example");
        let request = signed("https://examplebucket.s3.amazonaws.com/?lifecycle", "us-east-1", credentials, at);
        let request = request.expect("a request");
        assert_eq!(
            request.headers().get("authorization"),
            Some(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                 SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
                 Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
            )
        );
    }
}
