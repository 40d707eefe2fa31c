//! `GET /apps/{app}/usage`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::app::AppSlug;
use tally_core::time::Timestamp;
use tally_http::guard::Target;
use tally_http::openapi::Operation;
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::APP_USAGE;
use tally_http::service::Shared;
use tally_service::report::usage::{DayUsage, usage};

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
