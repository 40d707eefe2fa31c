//! Latency and read units of each endpoint, over a month of events.

use std::error::Error;
use std::time::Instant;

use tally::workbench::{Mix, WorkApp, Workbench};
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, SECOND, Timestamp};

use crate::figures::Figures;

/// Days over which events are spread.
const DAYS: usize = 30;
/// Events in a request that fills.
const BATCH: usize = 500;

/// Measures all endpoints except sign-in (dominated by bcrypt) and rare admin requests.
pub(crate) async fn measure(quick: bool, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let (events, times) = if quick { (15_000, 60) } else { (150_000, 300) };
    let now = Clock::System.now().floor(DAY);
    let mut bench = Workbench::start(Clock::at(now)).await?;
    let app = bench.app("endpoints").await?;
    let id = fill(&mut bench, &app, events, now).await?;
    let mix = Mix { sessions: true, messages: 50, ..Mix::MANY };
    for (about, size) in [("POST events, 1", 1), ("POST events, 100", 100)] {
        let mut taken = Vec::new();
        for n in 0..times {
            let body = mix.body(events + n * size, size, now, SECOND);
            let started = Instant::now();
            bench.send(&app, body).await?;
            taken.push(started.elapsed());
        }
        figures.add_times(about, taken);
    }
    let mut taken = Vec::new();
    for _ in 0..times {
        let started = Instant::now();
        bench.post(&app, "count/clicked/3", "").await?;
        taken.push(started.elapsed());
    }
    figures.add_times("POST count/clicked/3", taken);
    // Otherwise queries would also read the events just sent, which are not counted yet.
    bench.count().await?;

    let day = |n: i64| (now - n * DAY).to_string()[..10].to_owned();
    let (first, last) = (day(i64::try_from(DAYS)?), day(1));
    let month = format!("since={first}&until={}", day(0));
    let digits = last.replace('-', "");
    let questions = [
        ("GET event", format!("events/{id}")),
        ("GET events, page of 50", format!("events?limit=50&{month}")),
        ("GET events of a name, page of 50", format!("events?limit=50&name=payment+failed&{month}")),
        ("GET events of a session", format!("events?session_id=session-{}", events / 100)),
        ("GET reports/day", format!("reports/day?date={last}")),
        ("GET reports/period, 30 days", format!("reports/period?from={first}&to={last}")),
        ("GET stats/timeseries, 30 days by hour", format!("stats/timeseries?interval=HOUR&{month}")),
        ("GET stats/by-level, 30 days", format!("stats/by-level?{month}")),
        ("GET stats/by-name, 30 days", format!("stats/by-name?{month}")),
        ("GET stats/top-messages, 30 days", format!("stats/top-messages?{month}")),
        ("GET stats/hours, a day", format!("stats/hours?since={last}&until={}", day(0))),
        ("GET stats/totals", "stats/totals".to_owned()),
        ("GET stats/groups, a day", format!("stats/groups?attr=agent&since={last}&until={}", day(0))),
        ("GET stats/by-category, 30 days", format!("stats/by-category?{month}")),
        ("GET reports/hour", format!("reports/hour?date={last}&hour=6")),
        ("GET reports/week", format!("reports/week?date={last}")),
        ("GET reports/month", format!("reports/month?date={last}")),
        ("GET histogram, PNG", format!("histogram?name=payment+failed&date={last}&format=png")),
        ("GET app", "/apps/{app}".to_owned()),
        ("Seismo: GET events of a name, a day", format!("/seismo/api/events/{{app}}?event=payment+failed&date={last}")),
        ("Seismo: GET reports/day", format!("/seismo/api/reports/day/{{app}}?date={last}")),
        ("The Eye: GET event, page of 100", format!("/the-eye/{{key}}/api/event/?timestamp_after={first}")),
        (
            "Event Tracker: GET events, a day",
            format!("/event-tracker/{{key}}/api/events?start_date={digits}&end_date={digits}"),
        ),
        ("Event Tracker: GET events/unique", "/event-tracker/{key}/api/events/unique".to_owned()),
    ];
    for (about, path) in questions {
        let mut taken = Vec::new();
        let before = bench.usage();
        for _ in 0..times {
            let started = Instant::now();
            bench.get(&app, &path).await?;
            taken.push(started.elapsed());
        }
        let used = bench.usage() - before;
        figures.add_times(about, taken);
        #[allow(clippy::cast_precision_loss)] // some hundred
        figures.add(about, "read units", used.read_units / times as f64);
    }
    Ok(())
}

/// Sends a month of evenly spread events and counts them; returns the id of one.
async fn fill(bench: &mut Workbench, app: &WorkApp, events: usize, until: Timestamp) -> Result<String, Box<dyn Error>> {
    let mix = Mix { sessions: true, messages: 50, ..Mix::MANY };
    let mut id = None;
    let length = i64::try_from(DAYS * BATCH)? * DAY / i64::try_from(events)?;
    let mut at = until - i64::try_from(DAYS)? * DAY;
    for first in (0..events).step_by(BATCH) {
        let reply = bench.send(app, mix.body(first, BATCH, at, length)).await?;
        id = reply["ids"][0].as_str().map(str::to_owned);
        at += length;
    }
    bench.count().await?;
    id.ok_or_else(|| "a reply without ids".into())
}
