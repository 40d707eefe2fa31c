//! The database of a test: an embedded one, or tables of its own in the server that `TALLY_TEST_DYNAMODB` names
//! (`.ci/dynamodb-local` starts Amazon's and sets it).

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config as ClientConfig, Credentials, Region};
use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use proptest::test_runner::Config as ProptestConfig;
use tally::server::{FREE_PORT, Stack};
use tally_service::config::Config;
use tally_store::tables::TableNames;
use tally_store::{Connection, connect};

/// Where a test keeps its tables.
pub(crate) enum Database {
    /// In this process.
    Embedded(Stack),
    /// In a server, reached by this client, under these names.
    Server(SharedHttpClient, TableNames),
}

/// The URL of the server that tests use in place of the embedded database.
fn server() -> Option<String> {
    std::env::var("TALLY_TEST_DYNAMODB").ok().filter(|url| !url.is_empty())
}

/// How many cases of a property run: fewer on a server, which takes its time.
pub(crate) fn cases(embedded: u32) -> ProptestConfig {
    let cases = if Database::is_embedded() { embedded } else { embedded.div_ceil(4) };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

impl Database {
    /// Whether tests run on the embedded database, where requests take no time.
    pub(crate) fn is_embedded() -> bool {
        server().is_none()
    }

    /// Makes empty tables, under names of their own where others share the server.
    pub(crate) async fn start(config: &mut Config) -> Self {
        let Some(url) = server() else {
            return Self::Embedded(Stack::start(None, FREE_PORT, config).await.expect("a database"));
        };
        let test: u64 = rand::random();
        let name = |table: &str| format!("{test:016x}-{table}");
        config.tables = TableNames { events: name("events"), counters: name("counters"), apps: name("apps") };
        // One client a test: its connections end with the test's runtime.
        let client = SharedHttpClient::new(Redirected { inner: Builder::new().build_http(), url });
        let store = connect(Connection::Embedded(client.clone()), config.tables.clone());
        store.create_tables().await.expect("tables");
        Self::Server(client, config.tables.clone())
    }

    /// The way to it, whatever URL requests name.
    pub(crate) fn client(&self) -> SharedHttpClient {
        match self {
            Self::Embedded(stack) => stack.embedded.client(),
            Self::Server(client, _) => client.clone(),
        }
    }
}

impl Drop for Database {
    /// Amazon's server gets slower with every table that has a stream.
    fn drop(&mut self) {
        let Self::Server(client, tables) = self else { return };
        let config = ClientConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .endpoint_url("http://database")
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .http_client(client.clone())
            .build();
        let client = Client::from_conf(config);
        let tables = [tables.events.clone(), tables.counters.clone(), tables.apps.clone()];
        // On a thread of its own: a runtime cannot wait for another one.
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                for table in tables {
                    // A table that stays only costs time.
                    let _ = client.delete_table().table_name(table).send().await;
                }
            });
        });
        let _ = deleting.join();
    }
}

/// Sends every request to one URL.
#[derive(Clone, Debug)]
struct Redirected<T> {
    inner: T,
    url: String,
}

impl HttpClient for Redirected<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Redirected { inner, url: self.url.clone() })
    }
}

impl HttpConnector for Redirected<SharedHttpConnector> {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        // Amazon's server deletes what has expired by the machine's clock, and tests have clocks of their own.
        if request.headers().get("x-amz-target").is_some_and(|target| target.ends_with("UpdateTimeToLive")) {
            let done = HttpResponse::new(StatusCode::try_from(200).expect("a status"), SdkBody::from("{}"));
            return HttpConnectorFuture::ready(Ok(done));
        }
        request.set_uri(self.url.as_str()).expect("a URL");
        self.inner.call(request)
    }
}
