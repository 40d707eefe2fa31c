//! A database that is not in this process: any DynamoDB, which several servers may share.

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tally_service::config::Config;
use tally_store::{Connection, Store, StoreError, connect};

/// Where a DynamoDB is, and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    pub(crate) url: String,
    pub(crate) region: Region,
    pub(crate) credentials: SharedCredentialsProvider,
}

/// An address that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no address such as http://127.0.0.1:8000 or https://dynamodb.eu-central-1.amazonaws.com")]
pub(crate) struct EndpointError(String);

/// The URL of a DynamoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(http::Uri);

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError(text.to_owned());
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_root = matches!(uri.path_and_query().map(http::uri::PathAndQuery::as_str), None | Some("/"));
        if is_http && is_root && uri.host().is_some() { Ok(Self(uri)) } else { Err(wrong()) }
    }
}

impl Endpoint {
    /// The region that an address of Amazon names.
    fn region(&self) -> Option<&str> {
        let mut parts = self.0.host()?.split('.');
        let service = parts.next()?;
        let region = parts.next()?;
        let is_amazon = parts.next() == Some("amazonaws");
        (is_amazon && service == "dynamodb").then_some(region)
    }

    /// The address of its streams. Amazon has another host for them; local servers do not.
    pub(crate) fn streams(&self) -> String {
        let url = self.0.to_string();
        if self.region().is_some() { url.replacen("://dynamodb.", "://streams.dynamodb.", 1) } else { url }
    }
}

impl Elsewhere {
    /// Finds out how to ask a DynamoDB: with the credentials of the environment; else, at an address of Amazon, with those of a
    /// profile, a container or a machine; else with some that a local server does not check.
    pub(crate) async fn at(endpoint: &Endpoint) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = variable("AWS_REGION").or_else(|| endpoint.region().map(str::to_owned));
        let region = Region::new(region.unwrap_or_else(|| "eu-central-1".to_owned()));
        let credentials = if variable("AWS_ACCESS_KEY_ID").is_some() {
            SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
        } else if endpoint.region().is_some() {
            let config = ProviderConfig::without_region().with_region(Some(region.clone())).with_http_client(https());
            SharedCredentialsProvider::new(DefaultCredentialsChain::builder().configure(config).build().await)
        } else {
            SharedCredentialsProvider::new(Credentials::new("local", "local", None, None, "local"))
        };
        Self { url: endpoint.0.to_string(), region, credentials }
    }

    /// Connects, and makes the tables that are missing.
    pub(crate) async fn connect(&self, config: &Config) -> Result<Store, StoreError> {
        let Self { url, region, credentials } = self.clone();
        let store = connect(Connection::At(url, region, credentials), config.tables.clone());
        store.create_tables(config.session_index).await?;
        Ok(store)
    }
}

/// A client over TLS, with the roots of this machine.
pub(crate) fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_amazon_tells_its_region_and_where_its_streams_are() {
        let of = |text: &str| text.parse::<Endpoint>().expect(text);
        let amazon = of("https://dynamodb.eu-west-1.amazonaws.com");
        assert_eq!(amazon.region(), Some("eu-west-1"));
        assert_eq!(amazon.streams(), "https://streams.dynamodb.eu-west-1.amazonaws.com/");
        assert_eq!(of("https://dynamodb.cn-north-1.amazonaws.com.cn").region(), Some("cn-north-1"));
        let local = of("http://127.0.0.1:8000");
        assert_eq!((local.region(), local.streams()), (None, "http://127.0.0.1:8000/".to_owned()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "127.0.0.1:8000", "ftp://x", "http://x/path", "http://", "http://x?a=1"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
