//! `POST /apps/{app}/audit` and `POST /apps/{app}/recount`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::counter::cell::{Cell, CounterLabel, OTHER};
use tally_core::counter::key::CounterKind;
use tally_core::event::id::EventId;
use tally_core::event::level::Level;
use tally_core::time::Timestamp;
use tally_core::time::bucket::Granularity;
use tally_core::time::moment::{Calendar, Moment};
use tally_http::body::{Fields, FromFields, JsonBody};
use tally_http::guard::Target;
use tally_http::openapi::{JSON, MomentInput, Operation};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::reply::{LeftOut, Room};
use tally_http::routes::{self, Route};
use tally_http::service::Shared;
use tally_service::context::Context;
use tally_service::repair::recount::{Difference, Job, Purpose, RecountError, work};

use crate::apps::current;

/// The result of an audit or recount so far.
#[derive(Serialize, JsonSchema)]
struct Recounted {
    /// The counts that differ from the events that are stored.
    differences: Vec<DifferenceBody>,
    /// The differences for which the reply has no room, and how many occurrences they are; absent if there are none. A recount
    /// corrects them too.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
    /// The number of days that this call finished; days of each shard count separately.
    days: usize,
    /// The number of occurrences in the counters of the days that this call compared to the end, before a correction. Add up
    /// those of all calls.
    counted: i64,
    /// The number of occurrences in the stored events of those days. Add up those of all calls.
    stored: i64,
    /// Whether everything is compared, and no counter was skipped because it kept changing.
    complete: bool,
    /// The field `next` of the next call, which has no other field; null at the end.
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
    /// Only where messages are counted: the group, since counters do not keep texts, with ` marks` for the sum that tells
    /// whether all its messages are equal; or `(other)` for the rest of a full item.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_hash: Option<String>,
    /// Only where values of a counted property are counted: its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    attr: Option<String>,
    /// Only there: the JSON text of the value, or `(other)` for those that are not counted by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// The number of occurrences in the counters.
    counted: i64,
    /// The number of occurrences in the stored events.
    stored: i64,
    /// The granularities of the counters that differ.
    granularities: Vec<Granularity>,
}

impl From<Difference> for DifferenceBody {
    fn from(difference: Difference) -> Self {
        let Difference { day, kind, what, granularities, counted, stored } = difference;
        let level = what.level();
        let other = || OTHER.to_owned();
        let (cell, message_hash, property) = match what {
            CounterLabel::Cell(cell) => (Some(cell), None, None),
            CounterLabel::Other(_) if kind == CounterKind::Messages => (None, Some(other()), None),
            CounterLabel::Other(level) => {
                (Some(Cell { name: other(), slug: other(), category: Some(other()), level }), None, None)
            }
            CounterLabel::Group(_, group) => (None, Some(group.to_string()), None),
            CounterLabel::Marks(_, group) => (None, Some(format!("{group} marks")), None),
            CounterLabel::Value(cell, path, value) => (Some(cell), None, Some((path, value))),
            CounterLabel::OtherValues(_, path) => (None, None, Some((path, other()))),
        };
        let day = day.to_string()[..10].to_owned();
        let (name, slug, category) =
            cell.map_or((None, None, None), |cell| (Some(cell.name), Some(cell.slug), cell.category));
        let (attr, value) = property.map(|(path, value)| (path.into(), value)).unzip();
        Self { day, name, slug, category, level, message_hash, attr, value, counted, stored, granularities }
    }
}

/// `POST /apps/{app}/audit`
pub(crate) async fn audit(
    State(context): Shared,
    Target(app): Target,
    _: NoQuery,
    JsonBody(job): JsonBody<AskedJob>,
) -> Result<Response, Problem> {
    run(&context, &app, Purpose::Audit, job).await
}

/// `POST /apps/{app}/recount`
pub(crate) async fn recount(
    State(context): Shared,
    Target(app): Target,
    _: NoQuery,
    JsonBody(job): JsonBody<AskedJob>,
) -> Result<Response, Problem> {
    run(&context, &app, Purpose::Recount, job).await
}

async fn run(context: &Context, app: &App, purpose: Purpose, asked: AskedJob) -> Result<Response, Problem> {
    let job = asked.job(context.clock.now())?;
    // The layout decides where each event is counted, so it must be current.
    let app = current(context, app).await?;
    let progress = work(&context.store, &context.clock, &app, purpose, &job).await.map_err(|error| match error {
        RecountError::Expiring(_) => Problem::Conflict(error.to_string()),
        RecountError::Unknown => Problem::field("next", error.to_string()),
        RecountError::Store(error) => error.into(),
    })?;
    let mut differences: Vec<DifferenceBody> = progress.differences.into_iter().map(Into::into).collect();
    let cut = Room::default().fill(&mut differences)?;
    let left_out = LeftOut::of(cut.iter().map(|difference| (difference.counted - difference.stored).abs()));
    let reply = Recounted {
        differences,
        left_out,
        days: progress.days,
        counted: progress.counted,
        stored: progress.stored,
        complete: progress.complete,
        next: progress.next.map(|id| id.to_string()),
    };
    json(StatusCode::OK, &reply)
}

/// The days to go through, or where to continue.
pub(crate) struct AskedJob {
    since: Option<Moment>,
    until: Option<Moment>,
    next: Option<EventId>,
}

impl FromFields for AskedJob {
    const HINT: &'static str = "send since and until, or next";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (since, until) = (fields.parsed("since"), fields.parsed("until"));
        let next = fields.text("next").and_then(|text| {
            let id: Result<EventId, _> = text.parse();
            fields.keep("next", id.map_err(|_| "send the `next` of the previous reply as it is"))
        });
        if next.is_some() && (since.is_some() || until.is_some()) {
            fields.add("next", "continues with the days of the first call: send it alone");
        }
        Some(Self { since, until, next })
    }
}

impl AskedJob {
    /// What it asks for at a time, by the calendar of UTC, whose days counters have.
    fn job(self, now: Timestamp) -> Result<Job, Problem> {
        if let Some(next) = self.next {
            return Ok(Job::Continue(next));
        }
        let calendar = Calendar::utc(now);
        let at = |field: &str, moment: Option<Moment>| {
            moment.map(|moment| calendar.at(moment)).transpose().map_err(|e| Problem::field(field, e.to_string()))
        };
        let (since, until) = (at("since", self.since)?, at("until", self.until)?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(Problem::field("since", "must be before `until`"));
        }
        Ok(Job::Begin { since, until })
    }
}

pub(crate) fn operations(schemas: &mut SchemaGenerator) -> [Operation; 2] {
    let time = schemas.subschema_for::<MomentInput>();
    let day = |about: &str| json_schema!({"description": about, "anyOf": [time, {"type": "string", "const": ""}, {"type": "null"}]});
    let body = json_schema!({
        "type": "object",
        "properties": {
            "since": day(
                "From this time on, rounded down to the start of its day; by default from the first day of which no event can have expired.",
            ),
            "until": day("Before this time, rounded up to the end of its day; by default now."),
            "next": {"description": "The `next` of the previous reply, alone.", "type": ["string", "null"]},
        },
        "additionalProperties": false,
    });
    let mut operation = |route: &'static Route, id: &str, summary: &str, about: &str| {
        Operation::of(route, id, summary)
            .about(format!("Works for at most 20 seconds per call: repeat it with `next` until that is null.{about}"))
            .optional_body(JSON, body.clone())
            .answers_with::<Recounted>(schemas, StatusCode::OK, "The result so far.")
            .refuses([StatusCode::CONFLICT])
    };
    [
        operation(
            &routes::AUDIT,
            "audit",
            "Compares the counters of whole days with the stored events",
            " Changes nothing.",
        ),
        operation(&routes::RECOUNT, "recount", "Corrects the counters of whole days to the stored events", ""),
    ]
}
