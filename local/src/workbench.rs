//! A complete Tally in this process with its own database, and events to send to it. `cost` and `bench` measure it.

use std::error::Error;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tally_core::app::key::Scope;
use tally_core::time::clock::Clock;
use tally_core::time::{TimeDelta, Timestamp};
use tally_core::web::page_view::PAGEVIEW;
use tally_service::config::Config;
use tally_service::context::Context;
use tally_store::{Connection, Usage, connect};
use tower::ServiceExt;

use crate::server::{Data, Stack, service};
use crate::stream_poller::StreamPoller;

/// What happens to the things of a shop; with [`VERBS`] 40 names of 14 to 21 bytes.
const OBJECTS: [&str; 8] =
    ["application", "checkout", "payment", "session", "invoice", "document", "account", "report"];
const VERBS: [&str; 5] = ["started", "completed", "failed", "cancelled", "viewed"];
const CATEGORIES: [&str; 4] = ["shop", "billing", "support", "system"];
const DEVICES: [&str; 3] = ["desktop", "mobile", "tablet"];
const BROWSERS: [&str; 5] = ["Chrome", "Firefox", "Safari", "Edge", "Opera"];
const COUNTRIES: [&str; 12] = ["DE", "US", "FR", "GB", "AT", "CH", "NL", "ES", "IT", "PL", "SE", "JP"];
const LEVELS: [&str; 4] = ["INFO", "ERROR", "DEBUG", "WARN"];

/// A complete Tally whose stream is counted on demand.
pub struct Workbench {
    /// Everything that functions share.
    pub context: Arc<Context>,
    router: Router,
    poller: StreamPoller,
    // The folder is deleted on drop.
    _stack: Stack,
}

/// An app and the key that opens it.
#[derive(Clone, Debug)]
pub struct WorkApp {
    slug: String,
    key: String,
}

/// Which events are sent: combinations of name, category and level, in even rotation.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Names, 1 to 40. Each has one category.
    pub names: usize,
    /// Levels, 1 to 4. The second is ERROR, so that two and more change counters of both kinds.
    pub levels: usize,
    /// Whether events have a session, which costs their size again in the index.
    pub sessions: bool,
    /// Different messages; 0 for none.
    pub messages: usize,
    /// Different pages: events are then page views with what is told of them, all of one name. 0 for none.
    pub pages: usize,
    /// Whether the app counts the properties of page views.
    pub counted: bool,
}

impl Mix {
    /// Few combinations: 5 names at 2 levels.
    pub const FEW: Self = Self { names: 5, levels: 2, sessions: false, messages: 0, pages: 0, counted: false };
    /// Many: 40 names at 4 levels.
    pub const MANY: Self = Self { names: 40, levels: 4, ..Self::FEW };
    /// Views of 100 pages.
    pub const WEB: Self = Self { names: 1, levels: 1, pages: 100, ..Self::FEW };

    /// The number of combinations of name, slug, category and level.
    pub const fn combinations(self) -> usize {
        self.names * self.levels
    }

    /// The `n`th event: about 300 bytes as stored.
    pub fn event(self, n: usize, at: Timestamp) -> Value {
        if self.pages > 0 {
            return self.page_view(n, at);
        }
        let name = n / self.levels % self.names;
        let mut event = json!({
            "id": format!("event-{n}"),
            "timestamp": at.to_string(),
            "name": format!("{} {}", OBJECTS[name % OBJECTS.len()], VERBS[name / OBJECTS.len() % VERBS.len()]),
            "category": CATEGORIES[name % CATEGORIES.len()],
            "level": LEVELS[n % self.levels],
            "user_id": format!("user-{}", n % 5_000),
            "data": {"path": format!("/orders/{n:09}/items"), "agent": "x".repeat(40)},
        });
        if self.sessions {
            event["session_id"] = format!("session-{}", n / 50).into();
        }
        if self.messages > 0 {
            event["message"] = format!("the request for {} took long", word(n % self.messages)).into();
        }
        event
    }

    fn page_view(self, n: usize, at: Timestamp) -> Value {
        // Few pages have most views.
        let page = n * 31 % self.pages * (n % 7) / 6;
        let data = json!({
            "path": format!("/articles/{page:04}"), "referrer_host": format!("site-{}.example.org", n * 7 % 20),
            "country": COUNTRIES[n * 5 % COUNTRIES.len()], "device": DEVICES[n % DEVICES.len()],
            "browser": BROWSERS[n * 3 % BROWSERS.len()],
            "utm_source": if n.is_multiple_of(10) { json!("newsletter") } else { Value::Null },
        });
        json!({"id": format!("view-{n}"), "timestamp": at.to_string(), "name": PAGEVIEW, "data": data})
    }

    /// Events from `first` on as one body: an object for a single event, otherwise a list. Their times are spread
    /// evenly over `length` from `at` on.
    pub fn body(self, first: usize, size: usize, at: Timestamp, length: TimeDelta) -> String {
        let step = length / i64::try_from(size.max(1)).unwrap_or(i64::MAX);
        let mut when = at;
        let mut events = (first..first + size).map(|n| {
            let event = self.event(n, when);
            when += step;
            event
        });
        if size == 1 { events.next().unwrap_or_default().to_string() } else { events.collect::<Value>().to_string() }
    }
}

impl Workbench {
    /// Starts a Tally with a clock.
    pub async fn start(clock: Clock) -> Result<Self, Box<dyn Error>> {
        Self::through(clock, |client| client).await
    }

    /// Starts one whose store is reached through another client, made of the one to the database.
    pub async fn through(
        clock: Clock,
        client: impl FnOnce(SharedHttpClient) -> SharedHttpClient,
    ) -> Result<Self, Box<dyn Error>> {
        let config = Config::default();
        let stack = Stack::start(Data::Temporary, &config).await?;
        let client = client(stack.embedded.client());
        let store = connect(Connection::Embedded(client), config.tables.clone());
        let context = Context::new(store, clock, config);
        let poller = stack.poller(&context, None);
        Ok(Self { router: service(&context), poller, context, _stack: stack })
    }

    /// Creates an app.
    pub async fn app(&self, name: &str) -> Result<WorkApp, Box<dyn Error>> {
        self.app_with(admin::NewApp { name: name.to_owned(), ..admin::NewApp::default() }).await
    }

    /// Makes an app, with a key.
    pub async fn app_with(&self, new: admin::NewApp) -> Result<WorkApp, Box<dyn Error>> {
        let (app, keys) = admin::create_app(&self.context.apps, new, &[&[Scope::Ingest, Scope::Read]]).await?;
        Ok(WorkApp { slug: app.slug.to_string(), key: keys.into_iter().next().ok_or("an app without a key")? })
    }

    /// What the store has cost so far.
    pub fn usage(&self) -> Usage {
        self.context.store.meter().usage()
    }

    // A path is one of the app's own; with a `/` before it, any, in which `{app}` and `{key}` stand for the app's.

    /// Sends events and requires that all are accepted.
    pub async fn send(&self, app: &WorkApp, body: impl Into<Body>) -> Result<Value, Box<dyn Error>> {
        self.post(app, "events", body).await
    }

    /// Posts a request that must be accepted.
    pub async fn post(&self, app: &WorkApp, path: &str, body: impl Into<Body>) -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_slice(&self.call(Method::POST, app, path, body.into()).await?)?)
    }

    /// Posts a request of a client library, which must be answered with 200 or 202.
    pub async fn post_to_family(
        &self,
        app: &WorkApp,
        path: &str,
        user_agent: &str,
        body: impl Into<Body>,
    ) -> Result<(), Box<dyn Error>> {
        let wanted = [StatusCode::OK, StatusCode::ACCEPTED];
        self.request(Method::POST, &wanted, app, path, user_agent, body.into()).await.map(drop)
    }

    /// Sends a query that must succeed.
    pub async fn ask(&self, app: &WorkApp, path: &str) -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_slice(&self.get(app, path).await?)?)
    }

    /// Gets a resource that must exist.
    pub async fn get(&self, app: &WorkApp, path: &str) -> Result<Bytes, Box<dyn Error>> {
        self.call(Method::GET, app, path, Body::empty()).await
    }

    /// The events that Lambda would pass to `aggregate` next, as JSON.
    pub async fn uncounted(&mut self) -> Result<Vec<String>, Box<dyn Error>> {
        Ok(self.poller.peek().await?)
    }

    /// Has `aggregate` count everything that was sent, in batches of up to 5,000. Returns the number of events.
    pub async fn count(&mut self) -> Result<usize, Box<dyn Error>> {
        Ok(self.poller.drain().await?)
    }

    async fn call(&self, method: Method, app: &WorkApp, path: &str, body: Body) -> Result<Bytes, Box<dyn Error>> {
        let wanted = if method == Method::POST { StatusCode::CREATED } else { StatusCode::OK };
        self.request(method, &[wanted], app, path, "bench", body).await
    }

    async fn request(
        &self,
        method: Method,
        wanted: &[StatusCode],
        app: &WorkApp,
        path: &str,
        user_agent: &str,
        body: Body,
    ) -> Result<Bytes, Box<dyn Error>> {
        let uri = match path.strip_prefix('/') {
            Some(_) => path.replace("{app}", &app.slug).replace("{key}", &app.key),
            None => format!("/apps/{}/{path}", app.slug),
        };
        let request = Request::builder().method(method).uri(uri).header("user-agent", user_agent);
        let request = request.header("authorization", format!("Bearer {}", app.key)).body(body)?;
        let Ok(reply) = self.router.clone().oneshot(request).await;
        let status = reply.status();
        let body = reply.into_body().collect().await?.to_bytes();
        if !wanted.contains(&status) {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(body)
    }
}

/// A number in letters: texts that differ by it are messages of different groups.
pub fn word(mut n: usize) -> String {
    let mut word = String::new();
    loop {
        // A remainder of 26 is a letter.
        word.push(char::from(b'a' + u8::try_from(n % 26).unwrap_or(0)));
        n /= 26;
        if n == 0 {
            return word;
        }
    }
}
