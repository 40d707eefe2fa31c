//! The server on one machine, as its users meet it: its own process, over HTTP, with its files.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use http::Method;
use serde_json::{Value, json};
use tally::workbench::word;
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, HOUR, MINUTE, TimeDelta, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};

use crate::figures::Figures;
use crate::server::Server;

/// Events in a request that fills.
const BATCH: usize = 500;
/// Concurrent requests with batches.
const BATCHES: usize = 4;
/// Concurrent requests with single events, and concurrent questions.
const SINGLES: usize = 16;
/// Events a second while reports are asked for.
const RATE: usize = 2_000;
/// Events of the rare level.
const RARE: usize = 60;
/// How long the counters may take.
const PATIENCE: Duration = Duration::from_mins(10);

type Failure = Box<dyn Error + Send + Sync>;

/// Which server to measure.
#[derive(Args)]
pub(crate) struct Machine {
    /// Use a tenth of the events.
    #[arg(long)]
    quick: bool,
    /// Another program than the `tally` beside this one, such as one of before a change.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Write the figures to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the figures of a file that `--json` wrote next to the new ones.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Only this part: write, rest, question or large.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// Measures and prints.
pub(crate) async fn run(options: Machine) -> Result<(), Box<dyn Error>> {
    let before = options.compare.as_deref().map(Figures::read).transpose()?;
    let mut figures = Figures { quick: options.quick, rows: vec![] };
    measure_with(&options, &mut figures).await?;
    println!("{}", figures.table(before.as_ref()));
    if let Some(file) = &options.json {
        figures.write(file)?;
    }
    Ok(())
}

/// Measures the server beside this program.
pub(crate) async fn measure(quick: bool, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let options = Machine { quick, server: None, json: None, compare: None, only: String::new() };
    measure_with(&options, figures).await
}

async fn measure_with(options: &Machine, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let part = |name: &str| name.contains(&options.only);
    let start = || Server::start_program(options.server.as_deref()).map(Arc::new);
    let scale = if options.quick { 1 } else { 10 };
    if part("write") {
        writes(&start()?, scale, figures).await?;
    }
    if part("rest") {
        rest(&start()?, options.quick, figures).await?;
    }
    if part("question") {
        questions(&start()?, options.quick, figures).await?;
    }
    if part("large") {
        large(&start()?, 1_000 * scale, figures).await?;
    }
    Ok(())
}

/// Batches, singles, both at once, reports meanwhile.
#[allow(clippy::cast_precision_loss)] // figures to print
async fn writes(server: &Arc<Server>, scale: usize, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let mut sent = 0;
    let events = 20_000 * scale;
    let (started, before) = (Instant::now(), server.cpu());
    send(server, sent..sent + events, BATCH, BATCHES).await?;
    sent += events;
    counted(server, sent).await?;
    figures.add("machine: stored and counted, in requests of 500", "events/s", events as f64 / secs(started));
    add_cpu("machine: processor time of an event in requests of 500", server, before, events, figures);

    let events = 4_000 * scale;
    let (started, before) = (Instant::now(), server.cpu());
    send(server, sent..sent + events, 1, SINGLES).await?;
    figures.add("machine: singles, 16 at once", "events/s", events as f64 / secs(started));
    sent += events;
    counted(server, sent).await?;
    add_cpu("machine: processor time of a single event", server, before, events, figures);

    // Each single event has an id of its own, beyond those of the batches.
    let length = Duration::from_secs(if scale == 1 { 4 } else { 15 });
    let ended = Arc::new(AtomicBool::new(false));
    let batches = Arc::new(AtomicUsize::new(sent));
    let load = tokio::spawn({
        let (server, ended, next) = (Arc::clone(server), Arc::clone(&ended), Arc::clone(&batches));
        async move {
            let next = || (!ended.load(Ordering::Relaxed)).then(|| next.fetch_add(BATCH, Ordering::Relaxed));
            let posts = stream::iter(std::iter::from_fn(next)).map(|first| post(&server, first..first + BATCH));
            posts.buffer_unordered(BATCHES).try_collect::<Vec<_>>().await
        }
    });
    let started = Instant::now();
    let mut taken = vec![];
    let singles = AtomicUsize::new(100_000_000);
    let next = || (started.elapsed() < length).then(|| singles.fetch_add(1, Ordering::Relaxed));
    let posts = stream::iter(std::iter::from_fn(next)).map(|n| post(server, n..n + 1));
    let mut posts = posts.buffer_unordered(SINGLES);
    while let Some(time) = posts.next().await {
        taken.push(time.map_err(|e| e.to_string())?);
    }
    drop(posts);
    figures.add("machine: singles beside requests of 500, 16 at once", "events/s", taken.len() as f64 / secs(started));
    figures.add_times("machine: a single beside requests of 500", taken.clone());
    ended.store(true, Ordering::Relaxed);
    load.await?.map_err(|e| e.to_string())?;
    sent = batches.load(Ordering::Relaxed);
    let all = sent + taken.len();
    counted(server, all).await?;

    let answers = reports(server, sent, length, figures).await?;
    counted(server, all + answers).await?;

    if let Some(memory) = server.memory() {
        figures.add("machine: memory at most, of all these", "MB", memory.highest as f64);
    }
    Ok(())
}

/// What a server uses that has much and does nothing.
#[allow(clippy::cast_precision_loss)] // figures to print
async fn rest(server: &Arc<Server>, quick: bool, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let (events, name) = if quick { (100_000, "100,000") } else { (3_000_000, "3,000,000") };
    send(server, 0..events, BATCH, BATCHES).await?;
    counted(server, events).await?;
    // Housekeeping comes each minute. It deletes the copies of what is counted, which is work of the events and not of the rest.
    let before = server.cpu();
    sleep(Duration::from_secs(if quick { 65 } else { 100 })).await;
    add_cpu("machine: processor time of deleting the counted copy of an event", server, before, events, figures);
    let length = Duration::from_mins(if quick { 1 } else { 2 });
    let before = server.cpu();
    sleep(length).await;
    if let Some((before, after)) = before.zip(server.cpu()) {
        let part = after.saturating_sub(before).as_secs_f64() / length.as_secs_f64();
        figures.add(format!("machine: idle with {name} events"), "% of a CPU", part * 100.0);
    }
    if let Some(memory) = server.memory() {
        figures.add(format!("machine: memory with {name} events"), "MB", memory.now as f64);
        figures.add(format!("machine: memory at most, {name} events"), "MB", memory.highest as f64);
    }
    if let Some(bytes) = server.end()? {
        figures.add("machine: disk, an event of 300 bytes, counted", "bytes", bytes as f64 / events as f64);
    }
    Ok(())
}

/// Asks for reports, one after another, while events arrive.
async fn reports(
    server: &Arc<Server>,
    first: usize,
    length: Duration,
    figures: &mut Figures,
) -> Result<usize, Box<dyn Error>> {
    const SOME: usize = 100;
    let started = Instant::now();
    let feed = tokio::spawn({
        let server = Arc::clone(server);
        async move {
            let mut sent = 0;
            while started.elapsed() < length {
                sleep_until(started + Duration::from_secs(1) * u32::try_from(sent)? / u32::try_from(RATE)?).await;
                post(&server, first + sent..first + sent + SOME).await?;
                sent += SOME;
            }
            Ok::<_, Failure>(sent)
        }
    });
    let day = Clock::System.now().floor(DAY).to_string()[..10].to_owned();
    let asked = [
        format!("reports/day?date={day}"),
        format!("reports/week?date={day}"),
        format!("stats/by-level?since={day}"),
        format!("stats/by-name?since={day}"),
        format!("stats/top-messages?since={day}"),
        "stats/totals".to_owned(),
        "events?limit=50".to_owned(),
    ];
    let mut taken = vec![];
    for path in asked.iter().cycle() {
        if started.elapsed() > length {
            break;
        }
        let asked = Instant::now();
        server.ask(path).await?;
        taken.push(asked.elapsed());
    }
    figures.add_times("machine: a report while 2,000 events/s arrive", taken);
    Ok(feed.await?.map_err(|e| e.to_string())?)
}

/// A day of events with few of a rare level, and questions about them.
#[allow(clippy::cast_precision_loss)]
async fn questions(server: &Arc<Server>, quick: bool, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let events = if quick { 20_000 } else { 100_000 };
    let name = if quick { "20,000" } else { "100,000" };
    let now = Clock::System.now();
    let each = DAY / i64::try_from(events)?;
    let bodies = (0..events).step_by(BATCH).map(|first| {
        let events = (first..first + BATCH).map(|n| {
            let is_rare = n % (events / RARE) == events / RARE / 2;
            let mut event = event(n, now - DAY + i64::try_from(n).unwrap_or(0) * each);
            event["message"] = format!("the request for {} took long", word(n % 500)).into();
            if is_rare {
                event["level"] = "FATAL".into();
            }
            event
        });
        events.collect::<Value>().to_string()
    });
    let posts = stream::iter(bodies).map(|body| post_body(server, body)).buffer_unordered(BATCHES);
    posts.try_collect::<Vec<_>>().await.map_err(|e| e.to_string())?;
    counted(server, events).await?;
    let day = now.floor(DAY).to_string()[..10].to_owned();
    let yesterday = (now - DAY).floor(DAY).to_string()[..10].to_owned();
    for (what, path) in [
        ("newest 50 of a rare level", "events?level=FATAL&limit=50".to_owned()),
        ("top messages", format!("stats/top-messages?since={yesterday}&until={day}")),
        ("newest 50", "events?limit=50".to_owned()),
    ] {
        let mut taken = vec![];
        let before = server.cpu();
        let times = if quick { 20 } else { 60 };
        for _ in 0..times {
            let asked = Instant::now();
            let reply = server.ask(&path).await?;
            taken.push(asked.elapsed());
            let found = reply["items"].as_array().map_or(0, Vec::len);
            if path.contains("limit=50") && found != 50 {
                return Err(format!("{path}: {found} events").into());
            }
        }
        figures.add_times(format!("machine: {what}, {name} events of a day"), taken);
        add_cpu(&format!("machine: processor time of {what}, {name} events"), server, before, times, figures);
    }
    let asked = if quick { 32 } else { 160 };
    let started = Instant::now();
    let replies = stream::iter(0..asked).map(|_| async { server.ask("events?level=FATAL&limit=50").await.map(drop) });
    replies.buffer_unordered(SINGLES).try_collect::<Vec<_>>().await?;
    let what = format!("machine: newest 50 of a rare level, {name} events, 16 at once");
    figures.add(what, "replies/s", f64::from(asked) / secs(started));
    Ok(())
}

/// Events of 6 KB.
#[allow(clippy::cast_precision_loss)]
async fn large(server: &Arc<Server>, events: usize, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let at = Clock::System.now();
    let bodies = (0..events).map(|n| {
        let mut event = event(n, at);
        event["stack"] =
            (0..60).map(|line| json!({"file": format!("src/{line}.rs"), "text": "x".repeat(60)})).collect();
        event.to_string()
    });
    let started = Instant::now();
    let posts = stream::iter(bodies).map(|body| post_body(server, body)).buffer_unordered(SINGLES);
    posts.try_collect::<Vec<_>>().await.map_err(|e| e.to_string())?;
    counted(server, events).await?;
    figures.add("machine: singles of 6 KB, 16 at once, counted", "events/s", events as f64 / secs(started));
    if let Some(memory) = server.memory() {
        figures.add("machine: memory after events of 6 KB", "MB", memory.now as f64);
        figures.add("machine: memory at most, events of 6 KB", "MB", memory.highest as f64);
    }
    Ok(())
}

/// The processor time of the server since a time, for each of some requests or events. It is steadier than elapsed time on a
/// machine that does other things.
#[allow(clippy::cast_precision_loss)]
fn add_cpu(what: &str, server: &Server, before: Option<Duration>, of: usize, figures: &mut Figures) {
    if let Some((before, after)) = before.zip(server.cpu()) {
        figures.add(what, "µs", after.saturating_sub(before).as_secs_f64() * 1e6 / of as f64);
    }
}

fn secs(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// The `n`th event, of about 300 bytes as stored. A session has 50.
pub(crate) fn event(n: usize, at: Timestamp) -> Value {
    const LEVELS: [&str; 4] = ["DEBUG", "INFO", "WARN", "ERROR"];
    json!({"id": format!("event-{n}"), "timestamp": at.to_string(), "name": format!("name {}", n % 40),
        "level": LEVELS[n / 40 % 4], "session_id": format!("session-{}", n / 50),
        "data": {"path": format!("/orders/{n:09}/items"), "agent": "x".repeat(60)}})
}

/// Posts events with the given numbers.
async fn post(server: &Server, numbers: std::ops::Range<usize>) -> Result<Duration, Failure> {
    let at = Clock::System.now();
    let is_single = numbers.len() == 1;
    let mut events = numbers.map(|n| event(n, at));
    let body = if is_single { events.next().unwrap_or_default() } else { events.collect::<Value>() };
    post_body(server, body.to_string()).await
}

async fn post_body(server: &Server, body: String) -> Result<Duration, Failure> {
    let request = server.request("events").method(Method::POST).header("x-ingest-key", &server.ingest_key);
    let started = Instant::now();
    let (status, reply) = server.send(request.body(Body::from(body))?).await?;
    let taken = started.elapsed();
    if status != http::StatusCode::CREATED {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&reply)).into());
    }
    Ok(taken)
}

async fn send(
    server: &Server,
    numbers: std::ops::Range<usize>,
    batch: usize,
    at_once: usize,
) -> Result<(), Box<dyn Error>> {
    let last = numbers.end;
    let posts = stream::iter(numbers.step_by(batch)).map(|first| post(server, first..(first + batch).min(last)));
    posts.buffer_unordered(at_once).try_collect::<Vec<_>>().await.map_err(|e| e.to_string())?;
    Ok(())
}

/// Waits until the counters have that many events.
async fn counted(server: &Server, events: usize) -> Result<(), Box<dyn Error>> {
    const AGO: TimeDelta = TimeDelta::days(2);
    let started = Instant::now();
    loop {
        let now = Clock::System.now();
        let (since, until) = ((now - AGO).floor(HOUR), (now + MINUTE).ceil(MINUTE));
        let report = server.ask(&format!("reports/period?from={since}&to={until}")).await?;
        let total = report["total"].as_u64().ok_or("a report without a total")?;
        if usize::try_from(total)? >= events {
            return if total == events as u64 { Ok(()) } else { Err(format!("{events} sent, {total} counted").into()) };
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{events} sent, {total} counted after {PATIENCE:?}").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_of_about_300_bytes() {
        let length = event(5, Timestamp::EPOCH).to_string().len();
        assert!((200..320).contains(&length), "{length}");
    }
}
