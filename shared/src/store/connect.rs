//! The connection to DynamoDB.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedHttpClient};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use super::Store;
use super::tables::TableNames;

/// Where DynamoDB is.
#[derive(Clone, Debug)]
pub enum Connection {
    /// As the environment says (region, credentials, `AWS_ENDPOINT_URL_DYNAMODB`).
    Environment,
    /// A local server at this URL, with credentials that nobody checks.
    Local(String),
    /// A database in this process, which answers as an HTTP client.
    Embedded(SharedHttpClient),
}

/// How long to wait for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For one try of one call. DynamoDB answers in milliseconds; a try that does not is better made anew.
    pub attempt: Duration,
    /// For one call with its tries.
    pub call: Duration,
    /// For all calls of one answer that must come soon: what lets a caller in, and what stores events.
    pub answer: Duration,
}

impl Patience {
    /// That of the cloud: a caller is told within two seconds to come back.
    pub const CLOUD: Self = Self {
        attempt: Duration::from_millis(900),
        call: Duration::from_millis(1_800),
        answer: Duration::from_millis(1_800),
    };
    /// That of a laptop, whose database waits for its disk and for whatever else the laptop does.
    pub const LAPTOP: Self =
        Self { attempt: Duration::from_millis(13_500), call: Duration::from_secs(27), answer: Duration::from_mins(2) };
}

/// Connects to DynamoDB, with the patience that the place asks for.
pub async fn connect(connection: Connection, tables: TableNames) -> Store {
    let patience = match connection {
        Connection::Environment => Patience::CLOUD,
        Connection::Local(_) | Connection::Embedded(_) => Patience::LAPTOP,
    };
    connect_with(patience, connection, tables).await
}

/// Connects to DynamoDB.
pub async fn connect_with(patience: Patience, connection: Connection, tables: TableNames) -> Store {
    let (http, url) = match connection {
        Connection::Environment => (https(), None),
        Connection::Local(url) => (https(), Some(url)),
        // A URL that nothing is ever sent to.
        Connection::Embedded(client) => (client, Some("http://embedded".to_owned())),
    };
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Patience::CLOUD.attempt)
        .operation_attempt_timeout(patience.attempt)
        .operation_timeout(patience.call)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(timeouts);
    if let Some(url) = url {
        loader = loader
            .endpoint_url(url)
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"));
    }
    // While a store throttles, tries made anew are few (a quota that successes fill). Else all stores of a process would
    // share it, and one that fails would take from the others.
    let config = aws_sdk_dynamodb::config::Builder::from(&loader.load().await)
        .retry_partition(RetryPartition::custom("tally").build())
        .build();
    Store::new(Client::from_conf(config), tables, patience)
}

fn https() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
