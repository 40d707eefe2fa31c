//! Objects of S3. The S3 SDK would double the size of a function, and a few signed requests are enough.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, PercentEncodingMode, SigningSettings, UriPathNormalizationMode};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::signed_request::{Caller, RequestError, Service, Unsigned, domain, send, signed};

const S3: Service = Service { name: "S3", signing: "s3", endpoint: "AWS_ENDPOINT_URL_S3" };
/// The characters that S3 does not encode in a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Most bytes of an answer without a body of interest.
const MOST_ANSWER: usize = 64 * 1024;

/// An object: its bucket and key. Requests use the Lambda credentials from the environment; `AWS_ENDPOINT_URL_S3` overrides the
/// endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The name of the bucket.
    pub bucket: &'a str,
    /// The key, as it is.
    pub key: &'a str,
}

impl Object<'_> {
    /// Reads at most so many bytes of it, within a time.
    ///
    /// # Errors
    /// Where S3 does not answer in time, or not with the object.
    pub async fn get(self, most: usize, patience: Duration) -> Result<Vec<u8>, RequestError> {
        self.call("GET", vec![], most, patience).await
    }

    /// Puts it, in place of one that is there.
    ///
    /// # Errors
    /// Where S3 does not take it in time.
    pub async fn put(self, body: Vec<u8>, patience: Duration) -> Result<(), RequestError> {
        self.call("PUT", body, MOST_ANSWER, patience).await.map(drop)
    }

    /// Deletes it; one that is not there is deleted already.
    ///
    /// # Errors
    /// Where S3 does not answer in time, or refuses.
    pub async fn delete(self, patience: Duration) -> Result<(), RequestError> {
        self.call("DELETE", vec![], MOST_ANSWER, patience).await.map(drop)
    }

    async fn call(
        self,
        method: &'static str,
        body: Vec<u8>,
        most: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, RequestError> {
        let Caller { region, credentials, endpoint } = Caller::of_environment(S3)?;
        let url = self.url(&region, endpoint.as_deref());
        let request = signed_request(method, &url, body, &region, credentials, SystemTime::now())?;
        let reply = tokio::time::timeout(patience, send(S3, request, most)).await;
        reply.map_err(|e| RequestError::Silent(S3.name, e.to_string()))?
    }

    /// Its URL: in the region, or at `endpoint` with the bucket in the path.
    fn url(self, region: &str, endpoint: Option<&str>) -> String {
        let Self { bucket, key } = self;
        let key = utf8_percent_encode(key, KEPT);
        if let Some(endpoint) = endpoint {
            return format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/'));
        }
        format!("https://{bucket}.s3.{region}.{}/{key}", domain(region))
    }
}

/// Builds a request with a version 4 signature.
fn signed_request(
    method: &'static str,
    url: &str,
    body: Vec<u8>,
    region: &str,
    credentials: Credentials,
    at: SystemTime,
) -> Result<HttpRequest, RequestError> {
    let mut settings = SigningSettings::default();
    // S3 uses the path without double encoding and requires the body digest in a header.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    signed(S3, Unsigned { method, url, headers: &[], body, settings }, region, credentials, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(bucket: &str, key: &str, region: &str, endpoint: Option<&str>) -> String {
        Object { bucket, key }.url(region, endpoint)
    }

    #[test]
    fn an_object_is_in_the_region_of_the_function() {
        let key = "aws/lambda/1-2/shardId-3/2026/11/21/2026-11-21T10.08.25-4 é";
        assert_eq!(
            url("dead", key, "eu-central-1", None),
            "https://dead.s3.eu-central-1.amazonaws.com/aws/lambda/1-2/shardId-3/2026/11/21/2026-11-21T10.08.25-4%20%C3%A9"
        );
        assert!(url("b", "k", "cn-north-1", None).starts_with("https://b.s3.cn-north-1.amazonaws.com.cn/"));
        assert_eq!(url("b", "k", "eu-central-1", Some("http://[::1]:80/")), "http://[::1]:80/b/k");
        assert_eq!(url("b", "maps/shop~2/a-b", "eu-central-1", Some("http://h")), "http://h/b/maps/shop~2/a-b");
    }

    #[test]
    fn a_request_is_signed_as_amazon_does_in_its_example() {
        // The example "GET Bucket Lifecycle" from "Authenticating Requests: Using the Authorization Header". It has
        // only the headers that S3 requires, and an empty body.
        let at = SystemTime::UNIX_EPOCH + Duration::from_hours(380_376);
        let credentials =
            Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "example");
        let url = "https://examplebucket.s3.amazonaws.com/?lifecycle";
        let request = signed_request("GET", url, vec![], "us-east-1", credentials, at).expect("a request");
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
