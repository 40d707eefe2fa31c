//! What issues cost: the units of counting errors, and of the questions about issues.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use clap::Args;
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tally::server::{Data, Stack, service};
use tally::stream_poller::StreamPoller;
use tally::workbench::word;
use tally_core::app::App;
use tally_core::app::key::Scope;
use tally_core::event::draft::Draft;
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, MINUTE, Timestamp};
use tally_service::config::Config;
use tally_service::context::Context;
use tower::ServiceExt;

/// Errors of some groups over 14 days, counted in batches.
#[derive(Args)]
pub(crate) struct Issues {
    /// Groups.
    #[arg(long, default_value_t = 200)]
    groups: usize,
    /// Errors of the last days, spread over the groups.
    #[arg(long, default_value_t = 20_000)]
    errors: usize,
}

/// Days over which errors are spread.
const DAYS: i64 = 14;
/// The number of an event of a group of its own.
const FIRST: usize = usize::MAX;
/// Errors in a batch of the stream.
const BATCH: usize = 460;

struct Bench {
    context: Arc<Context>,
    poller: StreamPoller,
    router: Router,
    app: App,
    key: String,
    groups: usize,
}

/// Prints what issues cost.
pub(crate) async fn run(options: Issues) -> Result<(), Box<dyn Error>> {
    let config = Config { read_budget: 1e9, ..Config::default() };
    let stack = Stack::start(Data::Temporary, &config).await?;
    let context = Context::new(stack.store.clone(), Clock::System, config);
    let new = admin::NewApp { name: "shop".to_owned(), ..admin::NewApp::default() };
    let (app, keys) = admin::create_app(&context.apps, new, &[&[Scope::Read]]).await?;
    let key = keys.into_iter().next().ok_or("an app without a key")?;
    let poller = stack.poller(&context, None);
    let mut bench = Bench { router: service(&context), poller, context, app, key, groups: options.groups };
    let until = bench.context.clock.now().floor(MINUTE);
    println!("{:<58} {:>11} {:>10} {:>9}", "counted in a batch", "write units", "read units", "requests");
    let batch: Vec<usize> = (0..BATCH).collect();
    for (about, level) in
        [("INFO", "INFO"), ("ERROR, the first of their groups", "ERROR"), ("ERROR, of known groups", "ERROR")]
    {
        bench.count(&format!("{BATCH} events of {} groups, {about}", options.groups), level, &batch, |_| until).await?;
    }
    bench.count("one event, INFO", "INFO", &[0], |_| until).await?;
    bench.count("one event, ERROR, of a known group", "ERROR", &[0], |_| until).await?;
    bench.count("one event, ERROR, the first of its group", "ERROR", &[FIRST], |_| until).await?;
    let spread = (until - (until - DAYS * DAY)) / i64::try_from(options.errors)?;
    let all: Vec<usize> = (0..options.errors).collect();
    let ago = |n: usize| until - spread * i64::try_from(n).unwrap_or(0);
    bench.count(&format!("{} errors of {DAYS} days", options.errors), "ERROR", &all, ago).await?;
    println!("\n{:<58} {:>11} {:>10} {:>9}", "question", "ms", "read units", "requests");
    let page = bench.ask("issues of 14 days, newest 50", "issues").await?;
    bench.ask("… the most frequent 50", "issues?sort=count").await?;
    bench.ask("… that contain a text", "issues?q=card").await?;
    bench.ask("issues of 24 hours, newest 50", "issues?since=24h").await?;
    let id = page["items"][0]["id"].as_str().ok_or("no issue")?;
    bench.ask("one issue, 14 days", &format!("issues/{id}")).await?;
    Ok(())
}

impl Bench {
    /// Stores events and prints what counting them takes.
    async fn count(
        &mut self,
        about: &str,
        level: &str,
        numbers: &[usize],
        at: impl Fn(usize) -> Timestamp,
    ) -> Result<(), Box<dyn Error>> {
        for part in numbers.chunks(1_000) {
            let events = part.iter().map(|n| {
                let draft = Draft {
                    name: Some("TypeError".to_owned()),
                    level: Some(level.to_owned()),
                    message: Some(match n {
                        n if *n == FIRST => "the first of its group".to_owned(),
                        n => format!("{} {level}: card {n} declined", word(n % self.groups)),
                    }),
                    timestamp: Some(at(*n)),
                    ..Draft::default()
                };
                draft.accept(&self.app, self.context.clock.now())
            });
            let events = events.collect::<Result<Vec<_>, _>>()?;
            let store = &self.context.store;
            let stored =
                store.put_events(&self.app, events.iter().collect::<Vec<_>>().as_slice(), store.deadline()).await;
            stored.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        let before = self.context.store.meter().usage();
        self.poller.drain().await?;
        let used = self.context.store.meter().usage() - before;
        let requests = used.write_requests + used.read_requests;
        println!("{about:<58} {:>11.1} {:>10.1} {requests:>9}", used.write_units, used.read_units);
        Ok(())
    }

    /// Prints what a question takes. Returns the reply.
    async fn ask(&self, about: &str, path: &str) -> Result<Value, Box<dyn Error>> {
        let request = Request::get(format!("/apps/shop/{path}")).header("x-read-key", &self.key);
        let (before, started) = (self.context.store.meter().usage(), Instant::now());
        let Ok(reply) = self.router.clone().oneshot(request.body(Body::empty())?).await;
        let status = reply.status();
        let body = reply.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into());
        }
        let ms = started.elapsed().as_secs_f64() * 1e3;
        let used = self.context.store.meter().usage() - before;
        println!("{about:<58} {ms:>11.1} {:>10.1} {:>9}", used.read_units, used.read_requests);
        Ok(serde_json::from_slice(&body)?)
    }
}
