//! The connection to DynamoDB.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Builder, Credentials, Region, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::client::timeouts::Timeouts;
use crate::store::Store;
use crate::tables::TableNames;

/// The location of DynamoDB.
#[derive(Clone, Debug)]
pub enum Connection {
    /// The location and credentials from Lambda's environment: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`. `AWS_ENDPOINT_URL_DYNAMODB` overrides the endpoint.
    Environment,
    /// A local server at this URL. Credentials are not checked.
    Local(String),
    /// Any DynamoDB at this URL, in a region, reached with credentials from wherever they are.
    At(String, Region, SharedCredentialsProvider),
    /// A database in this process, with the interface of an HTTP client. Requests are not signed, which would take longer
    /// than a small read.
    Embedded(SharedHttpClient),
    /// A server behind this client, which checks that requests are signed, but not by whom.
    Behind(SharedHttpClient),
}

/// Connects to DynamoDB with the timeouts for the location.
pub fn connect(connection: Connection, tables: TableNames) -> Store {
    let timeouts = match connection {
        Connection::Environment | Connection::At(..) => Timeouts::CLOUD,
        Connection::Local(_) | Connection::Embedded(_) | Connection::Behind(_) => Timeouts::LAPTOP,
    };
    connect_with(timeouts, connection, tables)
}

/// Connects to DynamoDB.
pub fn connect_with(timeouts: Timeouts, connection: Connection, tables: TableNames) -> Store {
    let at = |builder: Builder, http, url: String| {
        builder.http_client(http).endpoint_url(url).region(Region::from_static("eu-central-1"))
    };
    let local = |builder: Builder, http, url: String| {
        at(builder, http, url).credentials_provider(Credentials::new("local", "local", None, None, "local"))
    };
    let builder = Builder::new().behavior_version(BehaviorVersion::v2026_01_12());
    let builder = match connection {
        Connection::Environment => from_environment(builder),
        // A client without TLS would add a second HTTP client to every function.
        Connection::Local(url) => local(builder, https(TrustStore::default()), url),
        Connection::At(url, region, credentials) => builder
            .http_client(https(TrustStore::default()))
            .endpoint_url(url)
            .region(region)
            .credentials_provider(credentials),
        // No request is sent to this URL. Without credentials, the SDK's only other choice is not to sign.
        Connection::Embedded(client) => at(builder, client, "http://embedded".to_owned()).allow_no_auth(),
        Connection::Behind(client) => local(builder, client, "http://embedded".to_owned()),
    };
    let limits = TimeoutConfig::builder()
        .connect_timeout(Timeouts::CLOUD.attempt)
        .operation_attempt_timeout(timeouts.attempt)
        .operation_timeout(timeouts.call)
        .build();
    let config = builder
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(limits)
        // The limits above bound every request. The SDK's own watch fails a request whose body nobody has taken for 5 s, which
        // an embedded database does while the machine is busy.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Retries use a budget that successes refill, so retries are rare while a store throttles. A separate
        // partition isolates this store from failures of other stores in the process.
        .retry_partition(RetryPartition::custom("tally").build())
        .build();
    Store::new(Client::from_conf(config), tables, timeouts)
}

/// Reads only the variables that Lambda sets. The SDK's default search of profiles, containers and metadata services
/// increases a function's size and start time and finds nothing there. Missing variables cause an error on the first
/// call.
fn from_environment(mut builder: Builder) -> Builder {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (region, endpoint) = (variable("AWS_REGION"), variable("AWS_ENDPOINT_URL_DYNAMODB"));
    // A custom endpoint may have a certificate from any authority, or no TLS at all.
    let elsewhere = endpoint.as_deref().is_some_and(|url| url.starts_with("https:"));
    let trusts_amazon = !elsewhere && region.as_deref().is_some_and(is_signed_by_amazon);
    builder.set_region(region.map(Region::new));
    builder.set_endpoint_url(endpoint);
    builder.credentials_provider(EnvironmentVariableCredentialsProvider::new()).http_client(if trusts_amazon {
        https(TrustStore::empty().with_pem_certificate(AMAZON_ROOTS))
    } else {
        https(TrustStore::default())
    })
}

/// All roots of Amazon Trust Services. Amazon requires custom trust stores to contain these five. They are valid
/// until at least the end of 2037 (<https://www.amazontrust.com/repository>). Loading the system's roots (about 140)
/// takes four fifths of a function's start time.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// Returns whether DynamoDB's certificates in a region are known to be issued by [`AMAZON_ROOTS`]. Isolated AWS
/// partitions are excluded.
fn is_signed_by_amazon(region: &str) -> bool {
    !["cn-", "eusc-", "us-iso", "eu-iso"].iter().any(|apart| region.starts_with(apart))
}

fn https(trust: TrustStore) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    match TlsContext::builder().with_trust_store(trust).build() {
        Ok(tls) => builder.tls_context(tls).build_https(),
        // The builder only rejects invalid server names, and none are set.
        Err(_) => builder.build_https(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_certificates_that_a_connection_can_be_made_with() {
        assert!(is_signed_by_amazon("eu-central-1") && !is_signed_by_amazon("cn-north-1"));
        let text = std::str::from_utf8(AMAZON_ROOTS).expect("text");
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 5);
        // A client reads its trust store when it is created and panics on an invalid certificate.
        let http = https(TrustStore::empty().with_pem_certificate(AMAZON_ROOTS));
        let _client = Client::from_conf(
            Builder::new()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::from_static("eu-central-1"))
                .http_client(http)
                .build(),
        );
    }
}
