//! Events of client libraries beside native ones: accepted and stored per second, and how their requests look.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tally::workbench::{Mix, WorkApp, Workbench};
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, HOUR, SECOND, Timestamp};

/// Concurrent requests.
const AT_ONCE: usize = 16;
/// Events in a batch: what an exporter of OpenTelemetry sends at most.
const BATCH: usize = 512;

/// How much to measure.
#[derive(Args)]
pub(crate) struct Families {
    /// Events of each round that are sent in batches; of those sent singly, a sixteenth.
    #[arg(long, default_value_t = 102_400)]
    events: usize,
    /// Rounds. In each, all kinds of requests take turns; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
}

/// What sends the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sender {
    /// Tally's own JSON.
    Native,
    /// An exporter of OpenTelemetry: protobuf.
    Otlp,
    /// An SDK of Sentry: an envelope of one event, or of several.
    Sentry,
    /// Tally's script for web pages, in a browser: page views.
    Script,
}

impl Sender {
    /// Its name on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Otlp => "otlp",
            Self::Sentry => "sentry",
            Self::Script => "script",
        }
    }

    /// Its events, all of the same content, from `first` on.
    pub(crate) fn body(self, first: usize, count: usize, at: Timestamp) -> Bytes {
        let events = (first..first + count).map(|n| event(n, at));
        match self {
            Self::Native if count == 1 => events.map(|event| event.to_string()).collect::<String>().into(),
            Self::Native => events.collect::<Value>().to_string().into(),
            Self::Otlp => otlp(events).into(),
            Self::Sentry => sentry(events).into(),
            Self::Script => (first..first + count).map(|n| page_view(n, at)).collect::<Value>().to_string().into(),
        }
    }

    /// Sends a body, which must be accepted.
    pub(crate) async fn send(self, bench: &Workbench, app: &WorkApp, body: Bytes) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Native => bench.send(app, body).await.map(drop),
            Self::Otlp => bench.post_to_family(app, "/v1/logs", "OTel-OTLP-Exporter-JavaScript/0.200.0", body).await,
            Self::Sentry => bench.post_to_family(app, "/api/1/envelope/", "sentry.javascript.node/10", body).await,
            Self::Script => {
                let path = "/collect?key={key}&z=Europe/Vienna&w=1920";
                let user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
                bench.post_to_family(app, path, user_agent, body).await
            }
        }
    }
}

/// An event as it is sent natively. The times are finer than a second.
fn event(n: usize, at: Timestamp) -> Value {
    let micros = i64::try_from(n % 3_000_000).unwrap_or_default() * 1_000 + 123;
    Mix { messages: 50, ..Mix::MANY }.event(n, Timestamp::from_micros(at.micros() + micros))
}

/// A page view as `/tally.js` sends it, of one of 100 pages.
fn page_view(n: usize, at: Timestamp) -> Value {
    let at = at.micros() / 1_000 + i64::try_from(n % 3_000_000).unwrap_or_default();
    json!({
        // A UUID of version 7: its first 48 bits are the time.
        "id": format!("{at:012x}70008{n:015x}"), "name": "pageview",
        "data": {
            "url": format!("https://shop.example/products/{}?utm_source=news", n % 100),
            "referrer": "https://www.example.org/a", "title": "Products", "language": "de-AT",
        },
    })
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

fn sentry(events: impl Iterator<Item = Value>) -> String {
    let items = events.map(|event| {
        let item = json!({
            "event_id": format!("{:032x}", text(&event, "id").trim_start_matches("event-").parse::<u128>().unwrap_or(0)),
            "timestamp": event["timestamp"], "logger": event["name"], "environment": event["category"],
            "level": event["level"].as_str().map(str::to_ascii_lowercase), "message": event["message"],
            "user": {"id": event["user_id"]}, "extra": event["data"], "platform": "node",
        });
        format!("{{\"type\":\"event\"}}\n{item}\n")
    });
    format!("{{\"sdk\":{{\"name\":\"sentry.javascript.node\",\"version\":\"10\"}}}}\n{}", items.collect::<String>())
}

/// A field of a protobuf message that has a length.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    let mut length = content.len();
    // Seven bits at a time, the lowest first; a set eighth bit says that more follow.
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        bytes.push(low & 0x7f | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

fn attribute(tag: u8, key: &str, value: &str) -> Vec<u8> {
    field(tag, &[field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat())
}

fn otlp(events: impl Iterator<Item = Value>) -> Vec<u8> {
    let records = events.flat_map(|event| {
        let at: Option<Timestamp> = text(&event, "timestamp").parse().ok();
        let nanos = at.and_then(|at| u64::try_from(at.micros()).ok()).unwrap_or_default() * 1_000;
        let severity = match text(&event, "level") {
            "DEBUG" => 5,
            "INFO" => 9,
            "WARN" => 13,
            _ => 17,
        };
        let record = [
            [&[0x09][..], &nanos.to_le_bytes()].concat(),
            vec![0x10, severity],
            field(5, &field(1, text(&event, "message").as_bytes())),
            attribute(6, "path", text(&event["data"], "path")),
            attribute(6, "agent", text(&event["data"], "agent")),
            attribute(6, "user.id", text(&event, "user_id")),
            field(12, text(&event, "name").as_bytes()),
        ];
        field(2, &record.concat())
    });
    let scope = field(1, &field(1, b"bench"));
    let logs: Vec<u8> = scope.into_iter().chain(records).collect();
    let resource = [("service.name", "shop"), ("telemetry.sdk.name", "opentelemetry"), ("host.name", "one")];
    let resource: Vec<u8> = resource.iter().flat_map(|(key, value)| attribute(1, key, value)).collect();
    field(1, &[field(1, &resource), field(2, &logs)].concat())
}

/// Prints the events per second of each kind of requests.
#[allow(clippy::cast_precision_loss)] // figures to print
pub(crate) async fn run(options: Families) -> Result<ExitCode, Box<dyn Error>> {
    let kinds =
        [(Sender::Native, BATCH), (Sender::Otlp, BATCH), (Sender::Native, 1), (Sender::Sentry, 1), (Sender::Script, 1)];
    let mut rates = vec![Vec::new(); kinds.len()];
    for _ in 0..options.rounds {
        for ((sender, size), rates) in kinds.into_iter().zip(&mut rates) {
            // All of the rounds begin with an empty store.
            let at = Clock::System.now().floor(DAY) - DAY / 2;
            let bench = Workbench::start(Clock::at(at + HOUR)).await?;
            let app = bench.app("families").await?;
            let events = if size == 1 { options.events / 16 } else { options.events };
            let bodies: Vec<_> =
                (0..events).step_by(size).map(|first| sender.body(first, size.min(events - first), at)).collect();
            sender.send(&bench, &app, sender.body(events, 1, at - SECOND)).await?;
            let started = Instant::now();
            let sent = stream::iter(bodies).map(|body| sender.send(&bench, &app, body)).buffer_unordered(AT_ONCE);
            sent.try_for_each(|()| async { Ok(()) }).await?;
            rates.push(events as f64 / started.elapsed().as_secs_f64());
        }
    }
    for ((sender, size), mut rates) in kinds.into_iter().zip(rates) {
        rates.sort_by(f64::total_cmp);
        let median = rates.get(rates.len() / 2).copied().unwrap_or_default();
        let all: Vec<_> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        println!("{} in requests of {size}: {median:.0} events/s (of {})", sender.as_str(), all.join(", "));
    }
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("load of the machine: {}", load.trim());
    }
    Ok(ExitCode::SUCCESS)
}
