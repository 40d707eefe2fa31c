//! `GET /apps/{app}/stats/web`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tally_core::event::filter::EventFilter;
use tally_core::people::visits::{OfPage, Summary};
use tally_core::time::Timestamp;
use tally_core::time::calendar::Interval;
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{Operation, Parameter, number_or};
use tally_http::parameters::{FromQuery, Params, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::routes::WEB_STATISTICS;
use tally_http::service::Shared;
use tally_http::view::time_range;
use tally_service::people::identities::Asked;
use tally_service::people::visits::{Found, visits};

use crate::answer::{Buckets, Coverage, MAX_COLUMNS, NumberBody, interval, joins, share};
use crate::session_statistics::INTERVALS;

/// Pages of each list: by default, and at most.
const DEFAULT_PAGES: u64 = 10;
const MAX_PAGES: u64 = 100;

/// The visits of a web page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebStatistics")]
struct WebBody<'a> {
    interval: &'static str,
    tz: &'a str,
    #[serde(flatten)]
    all: Numbers,
    /// By the bucket in which a visit began. Buckets without visits are left out.
    series: Vec<WebBucket>,
    /// By the page of the first view: the most visits first.
    entry_pages: Vec<Page<'a>>,
    /// By the page of the last view.
    exit_pages: Vec<Page<'a>>,
    #[serde(flatten)]
    coverage: Coverage,
}

/// What is told of some visits.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebNumbers")]
struct Numbers {
    /// Who made the visits.
    visitors: u64,
    /// Those of them without a user id. Where visitors are told apart without cookies, one of these who returns on another day (of UTC)
    /// is another visitor.
    anonymous: u64,
    /// The number of visits.
    visits: u64,
    /// The views of pages in them. With a filter those that match.
    views: u64,
    /// Null without visits.
    views_per_visit: Option<NumberBody>,
    /// The share of visits with one view and nothing else, from 0 to 1; null without visits.
    bounce_rate: Option<f64>,
    /// The mean of their durations, from the first event to the end of the last; null without visits.
    mean_seconds: Option<NumberBody>,
    /// The median of their durations, in whole seconds.
    median_seconds: Option<i64>,
}

/// The visits that began in a bucket.
#[derive(Serialize, JsonSchema)]
struct WebBucket {
    /// The start of the whole bucket, even where it is before the range.
    bucket_start: Timestamp,
    #[serde(flatten)]
    numbers: Numbers,
}

/// The visits that began or ended with a page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebPage")]
struct Page<'a> {
    /// Its path.
    path: &'a str,
    visits: u64,
    /// The share of them with one view and nothing else, from 0 to 1.
    bounce_rate: Option<f64>,
}

impl From<&Summary> for Numbers {
    fn from(summary: &Summary) -> Self {
        let visits = summary.visits;
        Self {
            visitors: summary.visitors,
            anonymous: summary.anonymous,
            visits,
            views: summary.views,
            #[allow(clippy::cast_precision_loss)] // numbers of views
            views_per_visit: mean(summary.views as f64, visits),
            bounce_rate: share(summary.bounces, visits),
            #[allow(clippy::cast_precision_loss)] // seconds of visits
            mean_seconds: mean(summary.seconds as f64, visits),
            median_seconds: summary.median_seconds,
        }
    }
}

/// A mean to two digits. None of none.
#[allow(clippy::cast_precision_loss)] // numbers of visits
fn mean(sum: f64, of: u64) -> Option<NumberBody> {
    (of > 0).then(|| NumberBody((sum / of as f64 * 1e2).round() / 1e2))
}

pub(crate) async fn statistics(
    State(context): Shared,
    Target(app): Target,
    Limited(limits): Limited,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let (filter, buckets, limit) = params.read(|params| {
        let filter = EventFilter::read(params, now);
        let buckets = Buckets::read(params, now, (Interval::Day, &INTERVALS), MAX_COLUMNS);
        let limit = params.number("limit", 1, MAX_PAGES).unwrap_or(DEFAULT_PAGES);
        Some((filter?, buckets?, limit))
    })?;
    let when = (buckets.range, buckets.starts.as_slice());
    let asked = Asked { filter: &filter, joins: joins(&limits) };
    let found = visits(&context.reads(), &app, when, &limits.filter(), asked).await?;
    let series = found.told.buckets.iter().filter_map(|(bucket, summary)| {
        Some(WebBucket { bucket_start: *buckets.starts.get(*bucket)?, numbers: summary.into() })
    });
    let reply = WebBody {
        interval: buckets.interval.name(),
        tz: buckets.zone.name(),
        all: (&found.told.all).into(),
        series: series.collect(),
        entry_pages: pages(&found, &found.told.entries, limit),
        exit_pages: pages(&found, &found.told.exits, limit),
        coverage: Coverage::of(buckets.range, &found.read),
    };
    json(StatusCode::OK, &reply)
}

fn pages<'a>(found: &'a Found, pages: &[(u32, OfPage)], limit: u64) -> Vec<Page<'a>> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = |(number, page): &(u32, OfPage)| {
        let path = found.page(*number)?;
        Some(Page { path, visits: page.visits, bounce_rate: share(page.bounces, page.visits) })
    };
    pages.iter().take(most).filter_map(page).collect()
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&WEB_STATISTICS, "readWebStatistics", "Tells how a web page is visited")
        .about(
            "A visit is the events of a visitor with gaps of less than 30 minutes, one of which is a view of a page (`pageview`, \
             `$pageview` or `page`). With a filter it counts if one of its events matches. A visitor is a user with all their ids, or \
             else a session. Reads all events of the range, the newest first, within the read budget.",
        )
        .takes(time_range(schemas))
        .takes([
            interval("DAY", &INTERVALS),
            Parameter::query("limit", "Most pages of each list.", number_or(DEFAULT_PAGES, 1, MAX_PAGES)),
        ])
        .takes(event_filters(schemas))
        .answers_with::<WebBody<'_>>(schemas, StatusCode::OK, "The visits.")
}
