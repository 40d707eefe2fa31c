//! The connection to DynamoDB.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_sdk_dynamodb::config::{Builder as ConfigBuilder, Credentials, Region, SharedHttpClient};
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

/// How long one try of a request may take. DynamoDB answers in milliseconds; a try that does not is better made anew.
const TRY: Duration = Duration::from_millis(900);
/// How long a request may take with its retries, so that a caller is told to come back within two seconds.
const REQUEST: Duration = Duration::from_millis(1_800);

/// Connects to DynamoDB.
pub async fn connect(connection: Connection, tables: TableNames) -> Store {
    let is_embedded = matches!(connection, Connection::Embedded(_));
    let (http, url) = match connection {
        Connection::Environment => (https(), None),
        Connection::Local(url) => (https(), Some(url)),
        // A URL that nothing is ever sent to.
        Connection::Embedded(client) => (client, Some("http://embedded".to_owned())),
    };
    // A laptop's database waits for its disk and for whatever else the laptop does.
    let patience = if url.is_none() { 1 } else { 15 };
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(TRY)
        .operation_attempt_timeout(TRY * patience)
        .operation_timeout(REQUEST * patience)
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
    let mut config = ConfigBuilder::from(&loader.load().await);
    if is_embedded {
        // The SDK rations retries over a whole process; of several databases in it none is to use up the others' share.
        config = config.retry_partition(RetryPartition::custom("embedded").build());
    }
    Store::new(Client::from_conf(config.build()), tables)
}

fn https() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
