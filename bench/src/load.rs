//! Load test of the local server: batches of events over HTTP at a steady rate, independent of the answers.

use std::collections::HashSet;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use clap::Args;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tally_core::time::clock::Clock;
use tally_core::time::{MINUTE, Timestamp};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::figures::percentiles;
use crate::server::{Memory, Server};

/// Sends at a steady rate. Latency is measured from the moment a request is due, so waiting counts.
#[derive(Args)]
pub(crate) struct Load {
    /// Events a second.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Duration in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Events in one request.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: u32,
}

impl Load {
    /// Number of requests.
    fn requests(&self) -> u32 {
        (self.rate * self.seconds).div_ceil(self.batch)
    }
}

/// Names of events.
const NAMES: u32 = 40;
/// Their levels.
const LEVELS: [&str; 4] = ["DEBUG", "INFO", "WARN", "ERROR"];
/// How long to wait for the counters to catch up.
const PATIENCE: Duration = Duration::from_mins(5);

/// The outcome of one request.
struct Answer {
    /// Time from when the request was due.
    took: Duration,
    /// The ids of the accepted events, or the reason for the refusal.
    accepted: Result<Vec<String>, String>,
}

/// Sends the load. Fails if an accepted event is not stored, or not counted exactly once.
pub(crate) async fn run(load: Load) -> Result<ExitCode, Box<dyn Error>> {
    let server = Arc::new(Server::start()?);
    let clock = Clock::System;
    let since = clock.now().floor(MINUTE);
    println!("{} events a second in batches of {} for {} s", load.rate, load.batch, load.seconds);
    say_memory("started", server.memory());
    let answers = send(&load, &server, &clock).await;
    let sent = Instant::now();
    say_memory("sent", server.memory());
    let accepted = summarize(&load, answers);
    let until = (clock.now() + MINUTE).ceil(MINUTE);
    let counted = drained(&server, since, until, accepted.len()).await?;
    println!("counted {counted} events {:.2} s after the last answer", sent.elapsed().as_secs_f64());
    say_memory("counted", server.memory());
    let stored = stored(&server).await?;
    // Once more: nothing may have been counted twice meanwhile.
    let counted = total(&server, since, until).await?;
    let lost = accepted.difference(&stored).count();
    println!("accepted {}, stored {}, counted {counted}: {lost} lost", accepted.len(), stored.len());
    let kept = accepted == stored && usize::try_from(counted) == Ok(accepted.len());
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends each request when it is due and waits for all answers.
async fn send(load: &Load, server: &Arc<Server>, clock: &Clock) -> Vec<Answer> {
    let requests = load.requests();
    let began = Instant::now();
    let mut running = JoinSet::new();
    for n in 0..requests {
        let due = began + Duration::from_secs_f64(f64::from(n) * f64::from(load.batch) / f64::from(load.rate));
        sleep_until(due).await;
        let body = batch(n * load.batch, load.batch, clock.now()).to_string();
        let server = Arc::clone(server);
        running.spawn(async move {
            let accepted = post(&server, body).await;
            Answer { took: due.elapsed(), accepted }
        });
    }
    let answers = running.join_all().await;
    let elapsed = began.elapsed();
    println!("{requests} requests answered in {:.2} s", elapsed.as_secs_f64());
    answers
}

/// Events of about 300 stored bytes.
fn batch(first: u32, size: u32, at: Timestamp) -> Value {
    let events = (first..first + size).map(|n| {
        json!({"name": format!("name {}", n % NAMES), "level": LEVELS[(n / NAMES % 4) as usize], "id": format!("load-{n}"),
            "timestamp": at.to_string(), "session_id": format!("s{}", n / 50), "data": {"path": "x".repeat(100)}})
    });
    events.collect()
}

async fn post(server: &Server, body: String) -> Result<Vec<String>, String> {
    let request = server.request("events").method(Method::POST).header("x-ingest-key", &server.ingest_key);
    let request = request.body(Body::from(body)).map_err(|e| e.to_string())?;
    let (status, body) = server.send(request).await.map_err(|e| e.to_string())?;
    let reply: Value = serde_json::from_slice(&body).unwrap_or_default();
    match status {
        StatusCode::CREATED | StatusCode::MULTI_STATUS => {
            let ids = reply["ids"].as_array().into_iter().flatten();
            Ok(ids.filter_map(|id| Some(id.as_str()?.to_owned())).collect())
        }
        _ => Err(format!("{status}: {}", reply["detail"])),
    }
}

/// Prints the latencies; returns the ids of the accepted events.
fn summarize(load: &Load, answers: Vec<Answer>) -> HashSet<String> {
    let times = answers.iter().map(|answer| answer.took).collect();
    let [p50, p99, max] = percentiles(times, [50, 99, 100]);
    println!("answers: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
    let mut accepted = HashSet::new();
    let mut refused = Vec::new();
    for answer in answers {
        match answer.accepted {
            Ok(ids) => accepted.extend(ids),
            Err(why) => refused.push(why),
        }
    }
    println!(
        "{} of {} events accepted, {} requests refused",
        accepted.len(),
        load.requests() * load.batch,
        refused.len()
    );
    if let Some(why) = refused.first() {
        println!("first refusal: {why}");
    }
    accepted
}

/// Waits until the counters have `accepted` events; returns how many they have.
async fn drained(server: &Server, since: Timestamp, until: Timestamp, accepted: usize) -> Result<i64, Box<dyn Error>> {
    let began = Instant::now();
    loop {
        let counted = total(server, since, until).await?;
        if usize::try_from(counted)? >= accepted || began.elapsed() > PATIENCE {
            return Ok(counted);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn total(server: &Server, since: Timestamp, until: Timestamp) -> Result<i64, Box<dyn Error>> {
    let report = server.ask(&format!("reports/period?from={since}&to={until}")).await?;
    report["total"].as_i64().ok_or_else(|| "a report without a total".into())
}

/// The ids of all stored events, read without counters.
async fn stored(server: &Server) -> Result<HashSet<String>, Box<dyn Error>> {
    let mut ids = HashSet::new();
    let mut path = "events?consistent=true&limit=1000".to_owned();
    loop {
        let page = server.ask(&path).await?;
        let items = page["items"].as_array().into_iter().flatten();
        ids.extend(items.filter_map(|event| Some(event["id"].as_str()?.to_owned())));
        match page["next"].as_str() {
            Some(next) => path = format!("events?cursor={next}"),
            None => return Ok(ids),
        }
    }
}

fn say_memory(when: &str, memory: Option<Memory>) {
    if let Some(memory) = memory {
        println!("memory of the server when {when}: {memory}");
    }
}
