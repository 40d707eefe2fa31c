//! `POST /apps/{app}/audit` and `POST /apps/{app}/recount`

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::App;
use tally_core::counter::cell::{CounterLabel, OTHER};
use tally_core::counter::key::CounterKind;
use tally_core::event::id::EventId;
use tally_core::event::level::Level;
use tally_core::time::Timestamp;
use tally_core::time::bucket::Granularity;
use tally_http::body::{Fields, SMALL, read};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::context::Context;
use tally_service::repair::recount::{Difference, Job, Purpose, RecountError, work};

use crate::apps::current;

/// What an audit or recount has found so far.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Recounted")]
pub(crate) struct Reply {
    /// The counts that differ from the events that are stored.
    differences: Vec<DifferenceBody>,
    /// How many days this call came to the end of, those of each shard by themselves.
    days: usize,
    /// Whether all is done, and nothing was left out because it kept changing.
    complete: bool,
    /// What to go on with, alone; null at the end.
    next: Option<String>,
}

/// A count that differs from the events of its day.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Difference")]
struct DifferenceBody {
    /// In UTC.
    day: String,
    /// Null where messages are counted.
    name: Option<String>,
    slug: Option<String>,
    category: Option<String>,
    level: Option<Level>,
    /// Only where messages are counted: their texts are not kept, a hash of each is; `(other)` for the rest of a full item.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_hash: Option<String>,
    /// The occurrences that are counted.
    counted: i64,
    /// The occurrences that are stored.
    stored: i64,
    /// In which counters it differs.
    granularities: Vec<Granularity>,
}

impl From<Difference> for DifferenceBody {
    fn from(difference: Difference) -> Self {
        let Difference { day, kind, what, granularities, counted, stored } = difference;
        let level = what.level();
        let (name, slug, category, message_hash) = match what {
            CounterLabel::Cell(cell) => (Some(cell.name), Some(cell.slug), cell.category, None),
            CounterLabel::Other(_) if kind == CounterKind::Messages => (None, None, None, Some(OTHER.to_owned())),
            CounterLabel::Other(_) => (Some(OTHER.to_owned()), Some(OTHER.to_owned()), Some(OTHER.to_owned()), None),
            CounterLabel::Message(_, hash) => (None, None, None, Some(hash.to_string())),
        };
        let day = day.to_string()[..10].to_owned();
        Self { day, name, slug, category, level, message_hash, counted, stored, granularities }
    }
}

/// `POST /apps/{app}/audit`
pub(crate) async fn audit(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    run(&context, &app, Purpose::Audit, query, body).await
}

/// `POST /apps/{app}/recount`
pub(crate) async fn recount(
    State(context): Shared,
    Target(app): Target,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    run(&context, &app, Purpose::Recount, query, body).await
}

async fn run(
    context: &Context,
    app: &App,
    purpose: Purpose,
    query: Option<String>,
    body: Body,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    let job = job(&read(body, SMALL).await?)?;
    // The layout decides where each event is counted, and must be as it is.
    let app = current(context, app).await?;
    let progress = work(&context.store, &context.clock, &app, purpose, &job).await.map_err(|error| match error {
        RecountError::Expiring(_) => Problem::Conflict(error.to_string()),
        RecountError::Unknown => Problem::field("next", error.to_string()),
        RecountError::Store(error) => error.into(),
    })?;
    let reply = Reply {
        differences: progress.differences.into_iter().map(Into::into).collect(),
        days: progress.days,
        complete: progress.complete,
        next: progress.next.map(|id| id.to_string()),
    };
    json(StatusCode::OK, &reply)
}

fn job(body: &[u8]) -> Result<Job, Problem> {
    let mut fields = Fields::parse(body)?;
    let mut time = |name: &str| -> Option<Timestamp> {
        let text = fields.text(name)?;
        text.parse().map_err(|e| fields.add(name, e)).ok()
    };
    let (since, until) = (time("since"), time("until"));
    let next = fields.text("next").and_then(|text| {
        let id: Result<EventId, _> = text.parse();
        id.map_err(|_| fields.add("next", "send the `next` of the reply before as it is")).ok()
    });
    if next.is_some() && (since.is_some() || until.is_some()) {
        fields.add("next", "goes on with the days that the first call named: send it alone");
    }
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        fields.add("since", "must be before `until`");
    }
    fields.finish("send since and until, or next")?;
    Ok(next.map_or(Job::Begin { since, until }, Job::Continue))
}
