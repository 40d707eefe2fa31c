//! The cost of queries over a full embedded database: read units (as DynamoDB reports them), round trips and time.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use clap::Args;
use futures::future::try_join_all;
use http::Request;
use http_body_util::BodyExt;
use indicatif::ProgressBar;
use serde_json::Value;
use tally::server::{Data, Stack, service};
use tally::workbench::word;
use tally_core::app::App;
use tally_core::app::key::Scope;
use tally_core::event::Event;
use tally_core::event::draft::Draft;
use tally_core::event::json::Json;
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, MICROSECOND, Timestamp};
use tally_service::config::Config;
use tally_service::context::Context;
use tally_store::Usage;
use tower::ServiceExt;

use crate::figures::percentiles;

/// Queries over 30 days of events with 40 names and 5 levels, one of which has 60 occurrences.
#[derive(Args)]
pub(crate) struct Questions {
    /// Events of the small app.
    #[arg(long, default_value_t = 100_000)]
    small: usize,
    /// Events of the large app.
    #[arg(long, default_value_t = 1_000_000)]
    large: usize,
}

/// Days over which events are spread.
const DAYS: i64 = 30;
/// Names of events.
const NAMES: usize = 40;
/// The levels of all events except the rare ones.
const LEVELS: [&str; 4] = ["TRACE", "DEBUG", "INFO", "WARN"];
/// Number of events of the rare level.
const RARE: usize = 60;
/// Events in one call of the store.
const BATCH: usize = 1_000;
/// Calls of the store at once.
const CONCURRENCY: usize = 4;
/// Repetitions of each query; the median time is printed.
const TIMES: usize = 9;

/// Prints the cost of each query.
pub(crate) async fn run(options: Questions) -> Result<(), Box<dyn Error>> {
    let config = Config { read_budget: 1e9, ..Config::default() };
    let stack = Stack::start(Data::Temporary, &config).await?;
    let context = Context::new(stack.store.clone(), Clock::System, config);
    let until = context.clock.now().floor(DAY);
    let bench = Bench { router: service(&context), context, stack, since: until - DAYS * DAY };
    let small = bench.fill("small", options.small, 300).await?;
    let large = bench.fill("large", options.large, 300).await?;
    let wide = bench.fill("wide", options.small, 1_000).await?;
    bench.count().await?;
    println!("{:<58} {:>10} {:>7} {:>9}", "question", "read units", "trips", "median ms");
    let whole_days = until;
    let until = until - MICROSECOND;
    for filled in [&small, &large] {
        // Whole days, so that nothing but days is read.
        let month = format!("reports/period?from={}&to={whole_days}", bench.since);
        bench.ask(filled, &format!("report of 30 days, {} events", filled.events), &month).await?;
    }
    for filled in [&large, &wide] {
        let planned = bench.ask(filled, "newest 50 of the rare level", "events?level=FATAL&limit=50").await?;
        let read = bench.read_until_found(filled).await?;
        let about = format!("… by reading the table until they are found, {} bytes each", filled.bytes);
        println!("{about:<58} {read:>10.1} {:>6.0}x", read / planned);
    }
    bench.ask(&large, "page of 50 of a session", "events?session_id=s100&limit=50").await?;
    bench.ask(&large, "page of 50", "events?limit=50").await?;
    bench.ask(&large, "page of 50 of a frequent name", "events?name=name+7&limit=50").await?;
    let thousandth = bench.page(&large, 1_000).await?;
    bench.ask(&large, "page 1,000 of 50", &thousandth).await?;
    bench
        .ask(&large, "top 10 messages of 30 days", &format!("stats/top-messages?since={}&until={until}", bench.since))
        .await?;
    bench
        .ask(&large, "series of 30 days by hour", &format!("stats/timeseries?since={}&until={until}", bench.since))
        .await?;
    bench.overviews(&large, whole_days).await
}

struct Bench {
    stack: Stack,
    context: Arc<Context>,
    router: Router,
    since: Timestamp,
}

/// An app filled with events.
struct Filled {
    app: App,
    key: String,
    events: usize,
    bytes: usize,
}

impl Bench {
    /// Fills an app with events of about `bytes` stored bytes, spread evenly over the days.
    async fn fill(&self, name: &str, events: usize, bytes: usize) -> Result<Filled, Box<dyn Error>> {
        let new = admin::NewApp { name: name.to_owned(), ..admin::NewApp::default() };
        let (app, keys) = admin::create_app(&self.context.apps, new, &[&[Scope::Read]]).await?;
        let started = Instant::now();
        let progress = ProgressBar::new(events as u64).with_message(name.to_owned());
        for from in (0..events).step_by(BATCH * CONCURRENCY) {
            let batches = (0..CONCURRENCY).map(|i| from + i * BATCH).filter(|first| *first < events);
            let puts = batches.map(|first| self.put(&app, first..(first + BATCH).min(events), events, bytes));
            try_join_all(puts).await?;
            progress.set_position(from as u64);
        }
        progress.finish_and_clear();
        let rate = per_second(events, started.elapsed());
        println!("stored {events} events of {bytes} bytes: {rate:.0}/s");
        let key = keys.into_iter().next().ok_or("an app without a key")?;
        Ok(Filled { app, key, events, bytes })
    }

    async fn put(
        &self,
        app: &App,
        range: std::ops::Range<usize>,
        of: usize,
        bytes: usize,
    ) -> Result<(), Box<dyn Error>> {
        let events = range.map(|n| self.event(app, n, of, bytes)).collect::<Result<Vec<_>, _>>()?;
        let store = &self.context.store;
        let verdicts = store.put_events(app, events.iter().collect::<Vec<_>>().as_slice(), store.deadline()).await;
        verdicts.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(())
    }

    /// The `n`th event.
    fn event(&self, app: &App, n: usize, of: usize, bytes: usize) -> Result<Event, Box<dyn Error>> {
        let at = self.since + DAYS * DAY / i64::try_from(of)? * i64::try_from(n)?;
        // Events of the rare level, evenly over the days.
        let rare = n % (of / RARE) == of / RARE / 2;
        let mut data = std::collections::BTreeMap::from([("path".to_owned(), Json::String("x".repeat(bytes - 200)))]);
        if rare {
            data.insert("rare".to_owned(), Json::Bool(true));
        }
        let draft = Draft {
            name: Some(format!("name {}", n % NAMES)),
            level: Some(if rare { "FATAL" } else { LEVELS[n / NAMES % LEVELS.len()] }.to_owned()),
            message: n.is_multiple_of(10).then(|| format!("message {}", word(n % 170))),
            session_id: n.is_multiple_of(20).then(|| format!("s{}", n / 2_000)),
            timestamp: Some(at),
            data: Some(Json::Object(data)),
            ..Draft::default()
        };
        Ok(draft.accept(app, self.context.clock.now())?)
    }

    /// Counts all events.
    async fn count(&self) -> Result<(), Box<dyn Error>> {
        let started = Instant::now();
        let before = self.context.store.meter().usage();
        let counted = self.stack.poller(&self.context, None).drain().await?;
        let used = self.context.store.meter().usage() - before;
        let rate = per_second(counted, started.elapsed());
        println!("counted {counted} events: {rate:.0}/s, {} updates\n", used.write_requests);
        Ok(())
    }

    /// Runs a query several times and prints its cost; returns its read units.
    async fn ask(&self, of: &Filled, about: &str, path: &str) -> Result<f64, Box<dyn Error>> {
        let mut times = Vec::new();
        let mut used = Usage::default();
        for _ in 0..TIMES {
            let before = self.context.store.meter().usage();
            let started = Instant::now();
            self.get(of, path).await?;
            times.push(started.elapsed());
            used = self.context.store.meter().usage() - before;
        }
        let [median] = percentiles(times, [50]);
        println!("{about:<58} {:>10.1} {:>7} {median:>9.2}", used.read_units, used.read_requests);
        Ok(used.read_units)
    }

    /// The overview of the newest days, alone and compared, beside the series that it holds.
    async fn overviews(&self, of: &Filled, until: Timestamp) -> Result<(), Box<dyn Error>> {
        for (about, days, interval) in [("24 h", 1, "HOUR"), ("7 d", 7, "DAY"), ("30 d", DAYS, "DAY")] {
            let range = format!("since={}&until={until}", until - days * DAY);
            let series = format!("stats/timeseries?{range}&interval={interval}");
            self.ask(of, &format!("series of {about}"), &series).await?;
            let top = format!("stats/top-messages?{range}&limit=20");
            self.ask(of, &format!("top 20 messages of {about}"), &top).await?;
            let overview = format!("stats/overview?{range}");
            self.ask(of, &format!("overview of {about}"), &overview).await?;
            self.ask(of, &format!("overview of {about}, compared"), &format!("{overview}&compare=previous")).await?;
        }
        Ok(())
    }

    /// The cost of finding the 50 newest rare events by an attribute that is not counted.
    async fn read_until_found(&self, of: &Filled) -> Result<f64, Box<dyn Error>> {
        let before = self.context.store.meter().usage();
        let mut path = "events?attr.rare=true&limit=50".to_owned();
        let mut found = 0;
        loop {
            let page = self.get(of, &path).await?;
            found += page["items"].as_array().map_or(0, Vec::len);
            match page["next"].as_str() {
                Some(next) if found < 50 => path = format!("events?cursor={next}&limit={}", 50 - found),
                _ => break,
            }
        }
        Ok((self.context.store.meter().usage() - before).read_units)
    }

    /// The path of a page far down.
    async fn page(&self, of: &Filled, number: usize) -> Result<String, Box<dyn Error>> {
        let mut path = "events?limit=50".to_owned();
        for _ in 1..number {
            let page = self.get(of, &path).await?;
            path = format!("events?cursor={}", page["next"].as_str().ok_or("too few events for so many pages")?);
        }
        Ok(path)
    }

    async fn get(&self, of: &Filled, path: &str) -> Result<Value, Box<dyn Error>> {
        let request = Request::get(format!("/apps/{}/{path}", of.app.slug)).header("x-read-key", &of.key);
        let Ok(reply) = self.router.clone().oneshot(request.body(Body::empty())?).await;
        let status = reply.status();
        let body = reply.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

#[allow(clippy::cast_precision_loss)] // a rate to print
fn per_second(events: usize, elapsed: Duration) -> f64 {
    events as f64 / elapsed.as_secs_f64()
}
