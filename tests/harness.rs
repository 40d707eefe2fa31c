//! A complete Tally for one test: its own database, all routers, a poller, and a fixed clock.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use axum::Router;
use axum::body::Body;
use http::response::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tally::server::service_with;
use tally::stream_poller::{PollError, StreamPoller};
use tally_core::app::key::Scope;
use tally_core::app::role::Role;
use tally_core::app::{AppSlug, EventClock};
use tally_core::time::clock::Clock;
use tally_core::time::{HOUR, Timestamp};
use tally_http::gateway::answer;
use tally_http::service::serve;
use tally_notify::{Sender, Settings};
use tally_service::config::Config;
use tally_service::context::Context;
use tally_store::{Connection, MapFiles, Timeouts, Usage, connect_with};
use tempfile::TempDir;
use tokio::sync::{Mutex, RwLock};
use tower::ServiceExt;

use crate::database::Database;

/// The time of tests: a Saturday.
pub(crate) const NOW: &str = "2026-11-21T10:08:25.123456Z";

/// Parses a time.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A complete Tally.
pub(crate) struct Tally {
    pub(crate) context: Arc<Context>,
    pub(crate) clock: Clock,
    /// What alerts are sent with.
    pub(crate) sender: Arc<Sender>,
    // The temporary folder of an embedded database is deleted on drop.
    database: Database,
    router: Router,
    poller: Mutex<StreamPoller>,
    /// The files of source maps, deleted on drop.
    pub(crate) maps: Arc<TempDir>,
    /// Held by every write that lands later than its caller knows.
    pub(crate) late: Arc<RwLock<()>>,
}

/// An app and its keys.
#[derive(Clone, Debug)]
pub(crate) struct TestApp {
    pub(crate) slug: String,
    pub(crate) ingest_key: String,
    pub(crate) read_key: String,
}

/// A reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Tally {
    /// Starts a Tally with the default settings.
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    /// Starts one that answers from counters alone, for tests whose counters have no events. It may read 8 MB of counters: they
    /// are read strongly, which takes two units for 8 KB.
    pub(crate) async fn of_counters() -> Self {
        Self::with(Config { tail_budget: 0.0, read_budget: 2_000.0, ..Config::default() }).await
    }

    /// Starts a Tally with other settings.
    pub(crate) async fn with(config: Config) -> Self {
        // Amazon's server, which all tests share, slows down with every table.
        let patient =
            Timeouts { attempt: Duration::from_mins(1), call: Duration::from_mins(3), answer: Duration::from_mins(5) };
        let timeouts = if Database::is_embedded() { Timeouts::LAPTOP } else { patient };
        Self::over(config, timeouts, |client| client).await
    }

    /// Starts one whose store is reached through another client, made of the one to the database.
    pub(crate) async fn through(timeouts: Timeouts, client: impl FnOnce(SharedHttpClient) -> SharedHttpClient) -> Self {
        Self::over(Config::default(), timeouts, client).await
    }

    /// Starts one whose alerts may reach these private addresses, with other settings.
    pub(crate) async fn telling(allow: &str, config: Config) -> Self {
        Self::with(config).await.allowing(allow)
    }

    /// The same, whose alerts may reach these private addresses.
    pub(crate) fn allowing(self, allow: &str) -> Self {
        let settings = Settings { allow: allow.parse().expect("addresses"), ..Settings::default() };
        let sender = Arc::new(Sender::new(settings));
        Self { router: service_with(&self.context, Arc::clone(&sender), web::router), sender, ..self }
    }

    /// … with other settings.
    pub(crate) async fn over(
        mut config: Config,
        timeouts: Timeouts,
        client: impl FnOnce(SharedHttpClient) -> SharedHttpClient,
    ) -> Self {
        let database = Database::start(&mut config).await;
        Self::on(database, config, timeouts, client)
    }

    /// Starts one on the tables of an earlier version.
    pub(crate) async fn on_earlier_tables() -> Self {
        let config = Config::default();
        Self::on(Database::of_an_earlier_version(&config).await, config, Timeouts::LAPTOP, |client| client)
    }

    fn on(
        database: Database,
        mut config: Config,
        timeouts: Timeouts,
        client: impl FnOnce(SharedHttpClient) -> SharedHttpClient,
    ) -> Self {
        // A slow machine must not change what a test gets.
        config.read_time = Duration::from_hours(1);
        let client_of = if Database::is_embedded() { Connection::Embedded } else { Connection::Behind };
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        config.map_files = MapFiles::Folder(folder.path().to_owned());
        let store = connect_with(timeouts, client_of(client(database.client())), config.tables.clone());
        let clock = Clock::at(at(NOW));
        let context = Context::new(store, clock.clone(), config);
        let poller = Mutex::new(StreamPoller::new(database.client(), "http://database", Arc::clone(&context), None));
        let sender = Arc::new(Sender::new(Settings::default()));
        let router = service_with(&context, Arc::clone(&sender), web::router);
        Self { router, poller, database, context, clock, sender, late: Arc::default(), maps: folder }
    }

    /// Creates an app with an ingest key and a read key.
    pub(crate) async fn app(&self, name: &str) -> TestApp {
        self.app_with(admin::NewApp { name: name.to_owned(), ..admin::NewApp::default() }).await
    }

    /// Creates an app that keys events by the server's clock.
    pub(crate) async fn received_app(&self, name: &str) -> TestApp {
        let clock = EventClock::Received;
        self.app_with(admin::NewApp { name: name.to_owned(), clock, ..admin::NewApp::default() }).await
    }

    pub(crate) async fn app_with(&self, new: admin::NewApp) -> TestApp {
        let scopes: &[&[Scope]] = &[&[Scope::Ingest], &[Scope::Read]];
        let (app, keys) = admin::create_app(&self.context.apps, new, scopes).await.expect("a new app");
        let [ingest_key, read_key] = keys.try_into().expect("two keys");
        TestApp { slug: app.slug.to_string(), ingest_key, read_key }
    }

    /// Creates a key of an app that may both send and read.
    pub(crate) async fn key_for_both(&self, app: &TestApp) -> String {
        let (path, token) = (format!("/apps/{}/keys", app.slug), self.token(Role::Admin).await);
        let scopes = r#"{"scopes": ["ingest", "read"]}"#;
        let reply = self.call(Method::POST, &path, ("x-access-token", &token), scopes).await;
        reply.json["key"].as_str().expect("a key").to_owned()
    }

    /// An access token of a role, signed as `POST /auth` would.
    pub(crate) async fn token(&self, role: Role) -> String {
        let key = tally_service::auth::token::signing_key(&self.context.store).await.expect("a key");
        key.sign("somebody", role, self.clock.now(), HOUR).expect("a token").0
    }

    /// Sends a request whose reply is not JSON.
    pub(crate) async fn raw(&self, request: Request<Body>) -> (Parts, Vec<u8>) {
        let Ok(reply) = self.router.clone().oneshot(request).await;
        let (parts, body) = reply.into_parts();
        (parts, body.collect().await.expect("a body").to_bytes().to_vec())
    }

    /// Gives an event of the HTTP API to the code that answers it on Lambda. Returns the reply as HTTP API takes it.
    pub(crate) async fn on_lambda(&self, event: Value) -> Value {
        Self::on_lambda_by(self.router.clone(), event).await
    }

    /// The same for the URL of `ingest`, behind which is this function alone.
    pub(crate) async fn on_function_url(&self, event: Value) -> Value {
        let context = Arc::clone(&self.context);
        Self::on_lambda_by(serve(Arc::clone(&context), [ingest::router(context)]), event).await
    }

    async fn on_lambda_by(router: Router, event: Value) -> Value {
        let event = serde_json::from_value(event).expect("an event of the HTTP API");
        let mut context = lambda_http::Context::default();
        context.request_id = String::from("request");
        let Ok(reply) = answer(router, event, context).await;
        serde_json::to_value(reply).expect("JSON")
    }

    /// Sends a request to functions with another read budget, over the same store.
    pub(crate) async fn send_with_budget(&self, read_budget: f64, request: Request<Body>) -> Reply {
        let config = Config { read_budget, ..self.context.config.clone() };
        let context = Context::new(self.context.store.clone(), self.clock.clone(), config);
        Self::reply_of(service_with(&context, Arc::clone(&self.sender), web::router), request).await
    }

    /// Sends a request. What is sent as JSON must be JSON; of any other reply `json` is null.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        Self::reply_of(self.router.clone(), request).await
    }

    async fn reply_of(router: Router, request: Request<Body>) -> Reply {
        let Ok(reply) = router.oneshot(request).await;
        let (Parts { status, headers, .. }, body) = reply.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let media_type = headers.get("content-type").map_or("", |value| value.to_str().expect("a media type"));
        let is_json = media_type.ends_with("json") && !media_type.ends_with("ndjson") && !body.is_empty();
        let json = if is_json { serde_json::from_slice(&body).expect("JSON") } else { Value::Null };
        Reply { status, headers, json }
    }

    /// Sends a request with a header and a body.
    pub(crate) async fn call(&self, method: Method, path: &str, header: (&str, &str), body: impl Into<Body>) -> Reply {
        let request = Request::builder().method(method).uri(path).header(header.0, header.1);
        self.send(request.body(body.into()).expect("a request")).await
    }

    /// Sends events to an app.
    pub(crate) async fn ingest(&self, app: &TestApp, body: &Value) -> Reply {
        let path = format!("/apps/{}/events", app.slug);
        self.call(Method::POST, &path, ("x-ingest-key", &app.ingest_key), body.to_string()).await
    }

    /// Sends events and requires that all are accepted.
    pub(crate) async fn accept(&self, app: &TestApp, body: &Value) -> Value {
        let reply = self.ingest(app, body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.json);
        reply.json
    }

    /// Sends a query to an app with its read key.
    pub(crate) async fn get(&self, app: &TestApp, path: &str) -> Reply {
        let path = format!("/apps/{}{path}", app.slug);
        self.call(Method::GET, &path, ("x-read-key", &app.read_key), Body::empty()).await
    }

    /// Sends a query that must succeed.
    pub(crate) async fn ask(&self, app: &TestApp, path: &str) -> Value {
        let reply = self.get(app, path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.json);
        reply.json
    }

    /// All events of an app that match a query, page by page.
    pub(crate) async fn list(&self, app: &TestApp, query: &str) -> Vec<Value> {
        let mut page = self.ask(app, &format!("/events?{query}")).await;
        let mut all = Vec::new();
        loop {
            all.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => page = self.ask(app, &format!("/events?cursor={next}")).await,
                None => return all,
            }
        }
    }

    /// Counts everything that was stored. An error fails the test.
    pub(crate) async fn drain(&mut self) -> usize {
        loop {
            match self.try_drain().await {
                Ok(counted) => return counted,
                Err(error) => assert!(is_busy(&error), "a stream that cannot be counted: {error:?}"),
            }
        }
    }

    /// Does something while the stream is counted, as it is all the time in the cloud. An error of counting fails the
    /// test.
    pub(crate) fn counting<'a, T>(&'a self, work: impl Future<Output = T> + 'a) -> Pin<Box<impl Future<Output = T>>> {
        self.counting_every(Duration::from_millis(5), work)
    }

    /// … now and then.
    pub(crate) fn counting_every<'a, T>(
        &'a self,
        pause: Duration,
        work: impl Future<Output = T> + 'a,
    ) -> Pin<Box<impl Future<Output = T>>> {
        Box::pin(async move {
            let mut poller = self.poller.lock().await;
            let polled = async {
                loop {
                    if let Err(error) = poller.drain().await {
                        assert!(is_busy(&error), "a stream that cannot be counted: {error:?}");
                    }
                    tokio::time::sleep(pause).await;
                }
            };
            tokio::select! {
                done = work => done,
                () = polled => unreachable!("it never ends"),
            }
        })
    }

    /// Counts what was stored, until an error occurs.
    pub(crate) async fn try_drain(&mut self) -> Result<usize, PollError> {
        self.poller.get_mut().drain().await
    }

    /// The events that Lambda would send next.
    pub(crate) async fn peek(&mut self) -> Vec<String> {
        self.poller.get_mut().peek().await.expect("a stream")
    }

    /// Deletes the events that have expired by the machine's clock, and waits until they are gone.
    pub(crate) async fn expire(&self) {
        self.database.expire(&self.context.config.tables).await;
    }

    /// All items of all tables but salts, as text.
    pub(crate) async fn contents(&self) -> String {
        self.database.contents(&self.context.config.tables).await
    }

    /// The salts of visitors, as text.
    pub(crate) async fn salts(&self) -> String {
        self.database.items(&[&self.context.config.tables.salts]).await
    }

    /// What the store has cost so far.
    pub(crate) fn usage(&self) -> Usage {
        self.context.store.meter().usage()
    }

    /// The app as the store has it.
    pub(crate) async fn stored_app(&self, app: &TestApp) -> tally_core::app::App {
        let slug = AppSlug::of_name(&app.slug).expect("a slug");
        self.context.store.get_app(&slug).await.expect("a store").expect("an app")
    }
}

/// Whether Amazon's server gave up waiting for one of its locks, as it does on a busy machine, and DynamoDB never.
fn is_busy(error: &PollError) -> bool {
    !Database::is_embedded() && format!("{error:?}").contains("waiting for a lock")
}

/// The values of a field in a list of objects.
pub(crate) fn column<'a>(items: &'a Value, field: &str) -> Vec<&'a Value> {
    items.as_array().expect("a list").iter().map(|item| &item[field]).collect()
}

/// Asserts a problem document: its status, and the fields that it names, sorted.
#[track_caller]
pub(crate) fn assert_problem(reply: &Reply, status: u16, fields: &[&str]) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.json);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!(reply.json["status"], status);
    assert!(reply.json["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{}", reply.json);
    let errors = reply.json["errors"].as_array().cloned().unwrap_or_default();
    let mut named: Vec<_> = errors.iter().map(|error| error["field"].as_str().expect("a field")).collect();
    named.sort_unstable();
    assert_eq!(named, fields, "{}", reply.json);
}
