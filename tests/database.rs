//! The database of a test: an embedded one or, with the feature `server`, its own tables in a server that
//! `TALLY_TEST_DYNAMODB` names (`.ci/dynamodb-local` starts Amazon's and sets both). Tests that only the embedded one can
//! run are `ignored` with that feature, so that the runner counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config as ClientConfig, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, DeleteGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    StreamSpecification, StreamViewType, TimeToLiveSpecification,
};
use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use proptest::test_runner::Config as ProptestConfig;
use tally::embedded::Embedded;
use tally::server::{Data, Stack};
use tally_service::config::Config;
use tally_store::tables::{BY_SESSION, BY_USER, EXPIRES_AT, PK, SESSION, SK, TABLES, TableNames};
use tally_store::{Connection, connect};

/// The header of a request to set a TTL that is not made for nothing.
const FOR_REAL: &str = "x-test-for-real";

/// Where a test keeps its tables.
pub(crate) enum Database {
    /// In this process.
    Embedded(Stack),
    /// In a server, reached by this client, under these names.
    Server(SharedHttpClient, TableNames),
}

/// The URL of the server that a test uses in place of the embedded database. Where several are named, separated by commas, tests
/// take turns: Amazon's does one thing at a time.
fn server() -> Option<String> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let named = std::env::var("TALLY_TEST_DYNAMODB").ok();
    // One without the other would test something else than was asked for.
    assert_eq!(named.is_some(), cfg!(feature = "server"), "TALLY_TEST_DYNAMODB and the feature `server` go together");
    let urls: Vec<_> = named.as_ref()?.split(',').collect();
    Some(urls[TURN.fetch_add(1, Ordering::Relaxed) % urls.len()].to_owned())
}

/// How many cases of a property run: fewer on a server, which is slower. `TALLY_CASES` names another number.
pub(crate) fn cases(embedded: u32) -> ProptestConfig {
    let asked = std::env::var("TALLY_CASES").ok().map(|cases| cases.parse().expect("a number"));
    let cases = asked.unwrap_or_else(|| if Database::is_embedded() { embedded } else { embedded.div_ceil(4) });
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

impl Database {
    /// Whether tests run on the embedded database, where requests take no time.
    pub(crate) fn is_embedded() -> bool {
        !cfg!(feature = "server")
    }

    /// Creates empty tables, with unique names if others share the server.
    pub(crate) async fn start(config: &mut Config) -> Self {
        let Some(url) = server() else {
            return Self::Embedded(Stack::start(Data::Temporary, config).await.expect("a database"));
        };
        let test: u64 = rand::random();
        let name = |table: &str| format!("{test:016x}-{table}");
        config.tables =
            TableNames { events: name("events"), counters: name("counters"), apps: name("apps"), salts: name("salts") };
        // One client per test: its connections end with the test's runtime.
        let client = SharedHttpClient::new(Redirected { inner: Builder::new().build_http(), url });
        let store = connect(Connection::Behind(client.clone()), config.tables.clone());
        store.create_tables(config.session_index).await.expect("tables");
        Self::Server(client, config.tables.clone())
    }

    /// Tables as version 0.2.0 made them: Events has no index by user.
    pub(crate) async fn of_an_earlier_version(config: &Config) -> Self {
        let embedded = Embedded::in_memory().expect("a database");
        let client = plain(&embedded.client());
        let key =
            |name: &str, role| KeySchemaElement::builder().attribute_name(name).key_type(role).build().expect("all");
        let text = |name: &str| {
            let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            definition.build().expect("all of it")
        };
        for table in TABLES {
            let mut request = client
                .create_table()
                .table_name((table.name)(&config.tables))
                .billing_mode(BillingMode::PayPerRequest)
                .key_schema(key(PK, KeyType::Hash))
                .key_schema(key(SK, KeyType::Range))
                .attribute_definitions(text(PK))
                .attribute_definitions(text(SK));
            if table.stream {
                let index = GlobalSecondaryIndex::builder()
                    .index_name(BY_SESSION)
                    .key_schema(key(SESSION, KeyType::Hash))
                    .key_schema(key(SK, KeyType::Range))
                    .projection(Projection::builder().projection_type(ProjectionType::All).build());
                let images = StreamViewType::NewAndOldImages;
                let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(images);
                request = request
                    .attribute_definitions(text(SESSION))
                    .global_secondary_indexes(index.build().expect("all of it"))
                    .stream_specification(stream.build().expect("all of it"));
            }
            request.send().await.expect("a table");
        }
        let store = connect(Connection::Embedded(embedded.client()), config.tables.clone());
        let housekeeping = Arc::new(embedded.housekeeping().expect("tables"));
        Self::Embedded(Stack { embedded: Arc::new(embedded), store, housekeeping })
    }

    /// Deletes the events that have expired by the machine's clock, and waits until they are gone: all events with an
    /// expiry.
    ///
    /// Amazon's server looks for them a few seconds after a table has got a TTL (which tests else go without) and takes
    /// 20 items of the table every 10 seconds. It names the one to delete by the keys of the table and of its index
    /// together, so that an item which is not in all indexes never expires there: the index by user goes, and an event without a
    /// session stays.
    pub(crate) async fn expire(&self, tables: &TableNames) {
        let client = plain(&self.client());
        match self {
            Self::Embedded(stack) => {
                stack.housekeeping.delete_expired().expect("a sweep");
            }
            Self::Server(..) => {
                let delete =
                    DeleteGlobalSecondaryIndexAction::builder().index_name(BY_USER).build().expect("all of it");
                let update = GlobalSecondaryIndexUpdate::builder().delete(delete).build();
                let request = client.update_table().table_name(&tables.events).global_secondary_index_updates(update);
                request.send().await.expect("one index less");
                let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT);
                let set = client
                    .update_time_to_live()
                    .table_name(&tables.events)
                    .time_to_live_specification(expiry.build().expect("all of it"))
                    .customize()
                    .mutate_request(|request| {
                        request.headers_mut().insert(FOR_REAL, "yes");
                    });
                set.send().await.expect("a TTL");
            }
        }
        let until = Instant::now() + Duration::from_mins(1);
        loop {
            let left = client.scan().table_name(&tables.events).filter_expression("attribute_exists(#e)");
            let left = left.expression_attribute_names("#e", EXPIRES_AT).send().await.expect("a scan");
            if left.count() == 0 {
                return;
            }
            assert!(Instant::now() < until, "{} events do not expire", left.count());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// All items of all tables but salts, as text.
    pub(crate) async fn contents(&self, tables: &TableNames) -> String {
        self.items(&[&tables.events, &tables.counters, &tables.apps]).await
    }

    /// All items of tables, as text.
    pub(crate) async fn items(&self, tables: &[&str]) -> String {
        let client = plain(&self.client());
        let mut all = String::new();
        for table in tables {
            let mut from = None;
            loop {
                let page = client.scan().table_name(*table).set_exclusive_start_key(from).send().await.expect("a scan");
                all.extend(page.items().iter().map(|item| format!("{item:?}\n")));
                from = page.last_evaluated_key;
                if from.is_none() {
                    break;
                }
            }
        }
        all
    }

    /// The way to it, whatever URL requests name.
    pub(crate) fn client(&self) -> SharedHttpClient {
        match self {
            Self::Embedded(stack) => stack.embedded.client(),
            Self::Server(client, _) => client.clone(),
        }
    }
}

/// A client of the server, for what the store does not do.
fn plain(client: &SharedHttpClient) -> Client {
    let config = ClientConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url("http://database")
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .http_client(client.clone())
        .build();
    Client::from_conf(config)
}

impl Drop for Database {
    /// Amazon's server gets slower with every table that has a stream.
    fn drop(&mut self) {
        let Self::Server(client, tables) = self else { return };
        let client = plain(client);
        let tables = [tables.events.clone(), tables.counters.clone(), tables.apps.clone(), tables.salts.clone()];
        // Runs on its own thread: a runtime cannot wait for another one.
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                for table in tables {
                    // A leftover table only costs time.
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
        // Amazon's server deletes expired items by the machine's clock, but tests have their own clocks.
        let for_real = request.headers_mut().remove(FOR_REAL).is_some();
        let is_expiry =
            request.headers().get("x-amz-target").is_some_and(|target| target.ends_with("UpdateTimeToLive"));
        if is_expiry && !for_real {
            let done = HttpResponse::new(StatusCode::try_from(200).expect("a status"), SdkBody::from("{}"));
            return HttpConnectorFuture::ready(Ok(done));
        }
        request.set_uri(self.url.as_str()).expect("a URL");
        self.inner.call(request)
    }
}
