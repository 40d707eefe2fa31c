//! The connection to DynamoDB.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region, SharedHttpClient};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::client::timeouts::Timeouts;
use crate::store::Store;
use crate::tables::TableNames;

/// Where DynamoDB is.
#[derive(Clone, Debug)]
pub enum Connection {
    /// As the environment that Lambda makes says: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`; with `AWS_ENDPOINT_URL_DYNAMODB`, another server than the region's.
    Environment,
    /// A local server at this URL, with credentials that nobody checks.
    Local(String),
    /// A database in this process, which answers as an HTTP client.
    Embedded(SharedHttpClient),
}

/// Connects to DynamoDB, with the timeouts that the place asks for.
pub fn connect(connection: Connection, tables: TableNames) -> Store {
    let timeouts = match connection {
        Connection::Environment => Timeouts::CLOUD,
        Connection::Local(_) | Connection::Embedded(_) => Timeouts::LAPTOP,
    };
    connect_with(timeouts, connection, tables)
}

/// Connects to DynamoDB.
pub fn connect_with(timeouts: Timeouts, connection: Connection, tables: TableNames) -> Store {
    let local = |builder: Builder, http, url: String| {
        let credentials = Credentials::new("local", "local", None, None, "local");
        let builder = builder.http_client(http).endpoint_url(url).region(Region::from_static("eu-central-1"));
        builder.credentials_provider(credentials)
    };
    let builder = Builder::new().behavior_version(BehaviorVersion::v2026_01_12());
    let builder = match connection {
        Connection::Environment => from_environment(builder),
        // A client without TLS would be a second one in every function.
        Connection::Local(url) => local(builder, https(TrustStore::default()), url),
        // A URL that nothing is ever sent to.
        Connection::Embedded(client) => local(builder, client, "http://embedded".to_owned()),
    };
    let limits = TimeoutConfig::builder()
        .connect_timeout(Timeouts::CLOUD.attempt)
        .operation_attempt_timeout(timeouts.attempt)
        .operation_timeout(timeouts.call)
        .build();
    let config = builder
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(limits)
        // Retries draw on a budget that successes refill, so they are few while a store throttles. A partition of its own
        // keeps the other stores of a process from paying for one that fails.
        .retry_partition(RetryPartition::custom("tally").build())
        .build();
    Store::new(Client::from_conf(config), tables, timeouts)
}

/// What Lambda sets, and nothing else: the SDK's own search, through profiles, containers and metadata services, adds to a
/// function's size and start, and finds nothing there. What is missing, calls tell.
fn from_environment(mut builder: Builder) -> Builder {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (region, endpoint) = (variable("AWS_REGION"), variable("AWS_ENDPOINT_URL_DYNAMODB"));
    // Another server than the region's may have its certificate from anywhere; one without TLS has none.
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

/// All roots of Amazon Trust Services, which asks of a trust store of one's own that it hold these five; they are valid to the
/// end of 2037 and beyond (<https://www.amazontrust.com/repository>). Reading all that a system trusts, some 140, is four
/// fifths of the work of a function's start.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// Whether certificates of DynamoDB in a region are known to come from [`AMAZON_ROOTS`]: not in partitions that are run
/// apart.
fn is_signed_by_amazon(region: &str) -> bool {
    !["cn-", "eusc-", "us-iso", "eu-iso"].iter().any(|apart| region.starts_with(apart))
}

fn https(trust: TrustStore) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    match TlsContext::builder().with_trust_store(trust).build() {
        Ok(tls) => builder.tls_context(tls).build_https(),
        // Its builder refuses names of servers alone, and was given none.
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
        // A client reads its trust store when it is made, and panics at what is no certificate.
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
