//! Reads one S3 object. The S3 SDK would double the size of the function, and a single signed GET is enough.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, PercentEncodingMode, SigningSettings, UriPathNormalizationMode};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::signed_request::{Caller, RequestError, Service, Unsigned, domain, send, signed};

const S3: Service = Service { name: "S3", signing: "s3", endpoint: "AWS_ENDPOINT_URL_S3" };
/// The timeout for S3.
const PATIENCE: Duration = Duration::from_mins(1);
/// The maximum object size in bytes. A batch has at most 6 MB, and the quotes in it are escaped.
const MOST: usize = 32 * 1024 * 1024;
/// The characters that S3 does not encode in a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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
        format!("https://{bucket}.s3.{region}.{}/{key}", domain(region))
    }
}

/// Reads an object with the Lambda credentials from the environment. `AWS_ENDPOINT_URL_S3` overrides the endpoint.
pub(crate) async fn get(object: &Created) -> Result<Vec<u8>, RequestError> {
    let Caller { region, credentials, endpoint } = Caller::of_environment(S3)?;
    let url = object.url(&region, endpoint.as_deref());
    let request = signed_get(&url, &region, credentials, SystemTime::now())?;
    let reply = tokio::time::timeout(PATIENCE, send(S3, request, MOST)).await;
    reply.map_err(|e| RequestError::Silent(S3.name, e.to_string()))?
}

/// Builds a GET request with a version 4 signature.
fn signed_get(url: &str, region: &str, credentials: Credentials, at: SystemTime) -> Result<HttpRequest, RequestError> {
    let mut settings = SigningSettings::default();
    // S3 uses the path without double encoding and requires the body digest in a header.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let request = Unsigned { method: "GET", url, headers: &[], body: String::new(), settings };
    signed(S3, request, region, credentials, at)
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
        let request = signed_get("https://examplebucket.s3.amazonaws.com/?lifecycle", "us-east-1", credentials, at);
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
