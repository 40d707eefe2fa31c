//! What questions about people cost: a funnel over many events, in one request and in several, and the others.

use std::error::Error;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use clap::Args;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tally::server::{Data, Stack, service};
use tally::workbench::word;
use tally_core::app::key::Scope;
use tally_core::event::draft::Draft;
use tally_core::event::json::{Json, Number};
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, MINUTE};
use tally_service::config::Config;
use tally_service::context::Context;
use tally_store::Store;
use tower::ServiceExt;

/// Events of people who view, add and pay.
#[derive(Args)]
pub(crate) struct Funnel {
    /// Events, all of them of the steps.
    #[arg(long, default_value_t = EVENTS)]
    events: usize,
    /// People.
    #[arg(long, default_value_t = 20_000)]
    people: usize,
}

/// Days over which events are spread.
const DAYS: i64 = 7;
/// The read units of a request on Lambda.
const BUDGET: f64 = 1_000.0;
/// Events by default.
const EVENTS: usize = 200_000;
/// Most time, in seconds, and memory, in MB, of a funnel of that many.
const MOST: (f64, u64) = (3.0, 256);

struct Bench {
    store: Store,
    key: String,
}

/// Prints what questions about people cost.
pub(crate) async fn run(options: Funnel) -> Result<(), Box<dyn Error>> {
    let config = Config { read_budget: 1e9, ..Config::default() };
    let stack = Stack::start(Data::Temporary, &config).await?;
    let context = Context::new(stack.store.clone(), Clock::System, config);
    let new = admin::NewApp { name: "shop".to_owned(), ..admin::NewApp::default() };
    let (app, keys) = admin::create_app(&context.apps, new, &[&[Scope::Read]]).await?;
    let key = keys.into_iter().next().ok_or("an app without a key")?;
    let until = context.clock.now().floor(MINUTE);
    let apart = DAYS * DAY / i64::try_from(options.events)?;
    let numbers: Vec<usize> = (0..options.events).collect();
    for part in numbers.chunks(1_000) {
        let events = part.iter().map(|n| {
            // A different person with each event, and another step each time.
            let (person, turn) = (n * 7_919 % options.people, n / options.people);
            let amount = Number::parse(&(n % 500).to_string()).map_err(|e| e.detail)?;
            let data =
                [("amount".to_owned(), Json::Number(amount)), ("country".to_owned(), Json::String(word(n % 30)))];
            let draft = Draft {
                name: Some(["viewed", "viewed", "added", "paid"][(turn + person) % 4].to_owned()),
                user_id: Some(format!("user-{person:06}")),
                session_id: Some(format!("session-{person:06}-{}", turn / 4)),
                data: Some(Json::Object(data.into())),
                timestamp: Some(until - DAYS * DAY + apart * i64::try_from(*n).unwrap_or(0)),
                ..Draft::default()
            };
            Ok::<_, Box<dyn Error>>(draft.accept(&app, context.clock.now())?)
        });
        let events = events.collect::<Result<Vec<_>, _>>()?;
        let (store, all) = (&context.store, events.iter().collect::<Vec<_>>());
        let stored = store.put_events(&app, all.as_slice(), store.deadline()).await;
        stored.into_iter().collect::<Result<Vec<_>, _>>()?;
    }
    stack.poller(&context, None).drain().await?;

    println!("{} events of {} people\n", options.events, options.people);
    println!("{:<58} {:>11} {:>10} {:>9} {:>8}", "question", "ms", "read units", "requests", "MB more");
    let bench = Bench { store: context.store.clone(), key };
    let whole = service(&context);
    let small = Config { read_budget: BUDGET, ..Config::default() };
    let small = service(&Context::new(stack.store.clone(), Clock::System, small));
    let mut body = json!({
        "steps": [{"name": "viewed"}, {"name": "added"}, {"name": "paid"}], "since": "8d", "within": "2d",
    });
    let (reply, seconds, megabytes) = bench.ask("a funnel of all events", &whole, "funnels", Some(&body)).await?;
    let (most, memory) = MOST;
    let is_within = seconds <= most && megabytes.is_none_or(|mb| mb <= memory);
    // The bound is of so many events.
    let fails = options.events == EVENTS && !is_within;
    if options.events == EVENTS {
        println!("  {} {most} s and {memory} MB", if is_within { "within" } else { "MORE THAN" });
    }
    body["breakdown"] = json!("attr.country");
    bench.ask("… with a breakdown", &whole, "funnels", Some(&body)).await?;
    let mut calls = 0;
    let mut next = json!(null);
    let parts = loop {
        body["next"] = next;
        let about = format!("… in requests of {BUDGET} units: request {}", calls + 1);
        let (part, ..) = bench.ask(&about, &small, "funnels", Some(&body)).await?;
        (calls, next) = (calls + 1, part["next"].clone());
        if next.is_null() {
            break part;
        }
    };
    if parts["steps"] != reply["steps"] {
        return Err(format!("{parts} is not {reply}").into());
    }
    for (about, path) in [
        ("retention by day", "stats/retention?since=8d&first=viewed&again=paid"),
        ("what comes next", "stats/next?since=8d&name=viewed&within=1w"),
        ("statistics of sessions", "stats/sessions?since=8d"),
        ("numbers by day", "stats/numbers?since=8d&attr=amount"),
        ("numbers of one name, one day", "stats/numbers?since=24h&attr=amount&name=paid"),
        ("the newest 50 sessions", "sessions?since=8d"),
        ("… of one name", "sessions?since=8d&name=paid"),
    ] {
        bench.ask(about, &whole, path, None).await?;
    }
    if fails {
        return Err(format!("a funnel of {EVENTS} events takes more than {most} s or {memory} MB").into());
    }
    Ok(())
}

impl Bench {
    /// Prints what a question takes. Returns the reply, the seconds, and how many MB more the process took meanwhile.
    async fn ask(
        &self,
        about: &str,
        router: &Router,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Value, f64, Option<u64>), Box<dyn Error>> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let request =
            Request::builder().method(method).uri(format!("/apps/shop/{path}")).header("x-read-key", &self.key);
        let sent = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let resident = memory("VmRSS");
        // From here on the highest is measured anew.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (before, started) = (self.store.meter().usage(), Instant::now());
        let Ok(reply) = router.clone().oneshot(request.body(sent)?).await;
        let status = reply.status();
        let bytes = reply.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&bytes)).into());
        }
        let seconds = started.elapsed().as_secs_f64();
        let used = self.store.meter().usage() - before;
        let more = memory("VmHWM").zip(resident).map(|(highest, before)| highest.saturating_sub(before) / 1024);
        let shown = more.map_or_else(String::new, |more| more.to_string());
        println!("{about:<58} {:>11.1} {:>10.1} {:>9} {shown:>8}", seconds * 1e3, used.read_units, used.read_requests);
        Ok((serde_json::from_slice(&bytes)?, seconds, more))
    }
}

/// What Linux says of the memory of this process, in KB.
fn memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}
