//! `GET /apps/{app}/usage` and `GET /usage`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::app::{AppSlug, AppState};
use tally_core::time::{TimeDelta, Timestamp};
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::parameters::{AppsAfter, NoQuery, Query};
use tally_http::problem::{Problem, json};
use tally_http::routes::{APP_USAGE, USAGE};
use tally_http::service::Shared;
use tally_service::budget::ReadError;
use tally_service::report::prices::{AS_OF, Bill};
use tally_service::report::usage::{DayUsage, Total, total, usage};

/// The number of days, with today.
const DAYS: i64 = 30;

/// What an app uses.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Usage")]
struct UsageBody<'a> {
    app: &'a AppSlug,
    /// The last 30 days in UTC, the oldest first; the last is today.
    days: Vec<DayBody>,
    /// The occurrences of all these days.
    events: i64,
    /// About how many bytes their events take.
    bytes: i64,
    /// Whether `bytes` are estimates: of a day's events, the newest 20 stand for all.
    bytes_estimated: bool,
    /// Everything that was accepted before this time is counted.
    counted_to: Timestamp,
}

/// A day of an app.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageDay")]
struct DayBody {
    day: String,
    /// The occurrences that were counted.
    events: i64,
    /// About how many bytes their events take in the table, with their copies in the index of sessions; 0 once they have expired.
    bytes: i64,
}

impl From<DayUsage> for DayBody {
    fn from(DayUsage { day, events, bytes }: DayUsage) -> Self {
        Self { day: day.to_string()[..10].to_owned(), events, bytes }
    }
}

pub(crate) async fn read(State(context): Shared, Target(app): Target, _: NoQuery) -> Result<Response, Problem> {
    let (days, counted_to) =
        usage(&context.reads(), &app, DAYS).await.map_err(|error| Problem::of_read(error, "app"))?;
    let reply = UsageBody {
        app: &app.slug,
        events: days.iter().map(|day| day.events).sum(),
        bytes: days.iter().map(|day| day.bytes).sum(),
        bytes_estimated: true,
        days: days.into_iter().map(Into::into).collect(),
        counted_to,
    };
    json(StatusCode::OK, &reply)
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&APP_USAGE, "usage", "Tells what an app uses")
        .about("Events and bytes of each of the last 30 days. Events are exact; bytes are estimated by a few events of each day.")
        .answers_with::<UsageBody<'_>>(schemas, StatusCode::OK, "The usage.")
}

/// The number of apps in a page, at most.
const MOST_APPS: usize = 50;
/// How far ahead it is said when a disk is full, in days.
const FORESEEABLE: f64 = 3_650.0;

/// What all apps use.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageOfAll")]
struct AllBody {
    /// At most 50 apps, by `app`.
    items: Vec<AppUsage>,
    /// The parameter `next` of the next page; null on the last.
    next: Option<AppSlug>,
    /// The days that are told, with today, in UTC.
    days: i64,
    /// Whether `bytes` are estimates: the newest 20 events of an app stand for all.
    bytes_estimated: bool,
    /// The disk, where Tally runs on a machine of its own; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<DiskBody>,
    /// On AWS, what the events of these apps cost; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<CostBody>,
}

/// What an app used in the last 30 days.
#[derive(Serialize, JsonSchema)]
struct AppUsage {
    app: AppSlug,
    /// The occurrences that were counted; null where the read budget of the request ended before.
    events: Option<i64>,
    /// About how many bytes their events take; null as `events`.
    bytes: Option<i64>,
}

/// The disk of the database.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DiskUsage")]
struct DiskBody {
    /// The bytes of the files of the database; they hold the counters and deleted space as well.
    database_bytes: u64,
    /// The bytes that are free on its disk; null where the system does not tell.
    free_bytes: Option<u64>,
    /// When the disk is full if as many bytes of events come each day as in the last 30 days, and none expire. Null where none
    /// came, if it takes more than 10 years, or where `items` are not all apps.
    full_at: Option<Timestamp>,
}

/// An estimate of what the last 30 days cost, by the prices of docs/cost.md.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CostEstimate")]
struct CostBody {
    /// Always true: counters know occurrences, neither requests nor batches.
    estimated: bool,
    /// The write units of storing and counting.
    write_units: f64,
    /// Dollars for storing and counting: all that does not depend on the number of requests.
    dollars_from: f64,
    /// Dollars with the API and `ingest`, if each event came in a request of its own.
    dollars_to: f64,
    /// The region, processor and month of the prices.
    prices: &'static str,
}

/// `GET /usage`
pub(crate) async fn read_all(
    State(context): Shared,
    Query(AppsAfter(after)): Query<AppsAfter>,
) -> Result<Response, Problem> {
    let (mut apps, mut next) = context.store.list_apps(after.as_ref()).await?;
    if apps.len() > MOST_APPS {
        apps.truncate(MOST_APPS);
        next = apps.last().map(|app| app.slug.clone());
    }
    let (mut items, mut totals) = (Vec::new(), Vec::new());
    let mut reads = context.reads();
    for app in apps.iter().filter(|app| app.state == AppState::Active) {
        reads.turn_to_another_app();
        let used = match total(&reads, app, DAYS).await {
            Ok(used) => Some(used),
            Err(ReadError::Spent(_)) => None,
            Err(ReadError::Store(error)) => return Err(error.into()),
        };
        totals.extend(used);
        let (events, bytes) = (used.map(|used| used.events), used.map(|used| used.bytes));
        items.push(AppUsage { app: app.slug.clone(), events, bytes });
    }
    let is_all = after.is_none() && next.is_none() && totals.len() == items.len();
    let space = context.disk.get().and_then(|disk| disk.space());
    let disk = space.map(|space| DiskBody {
        database_bytes: space.database,
        free_bytes: space.free,
        full_at: space.free.filter(|_| is_all).and_then(|free| full_at(context.clock.now(), free, &totals)),
    });
    let cost = context.disk.get().is_none().then(|| cost(&totals));
    json(StatusCode::OK, &AllBody { items, next, days: DAYS, bytes_estimated: true, disk, cost })
}

/// When so many free bytes are taken.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an estimate
fn full_at(now: Timestamp, free: u64, totals: &[Total]) -> Option<Timestamp> {
    let a_day: f64 = totals.iter().map(|used| used.bytes as f64).sum::<f64>()
        / totals.iter().map(|used| used.days).max().unwrap_or(0).max(1) as f64;
    let days = free as f64 / a_day;
    (a_day > 0.0 && days <= FORESEEABLE).then(|| now + TimeDelta::seconds((days * 86_400.0) as i64))
}

fn cost(totals: &[Total]) -> CostBody {
    let stored: Bill = totals.iter().map(|used| used.stored).sum();
    let requests: Bill = totals.iter().map(|used| used.requests).sum();
    let cents = |dollars: f64| (dollars * 100.0).round() / 100.0;
    CostBody {
        estimated: true,
        write_units: stored.write_units.round(),
        dollars_from: cents(stored.dollars()),
        dollars_to: cents((stored + requests).dollars()),
        prices: AS_OF,
    }
}

pub(crate) fn all_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&USAGE, "usageOfAll", "Tells what all apps use")
        .about(
            "Events and bytes of each app in the last 30 days. Where Tally runs on a machine of its own, its disk, and when that is \
             full; on AWS, an estimate of what the events cost.",
        )
        .takes([Parameter::query("next", "The `next` of the previous page.", text())])
        .answers_with::<AllBody>(schemas, StatusCode::OK, "The usage.")
}
