//! `GET /apps/{app}/stats/{stat}`

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::filter::CellFilter;
use tally_core::event::level::Level;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::calendar::{Interval, MAX_BUCKETS, TooManyBuckets, WeekStart};
use tally_core::time::zone::Zone;
use tally_core::time::{Range, Timestamp};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::context::Context;
use tally_service::report::count as counters;
use tally_service::report::count::{CellKey, Counts, all_days, widen};

use crate::answer::{Freshness, Point, boundaries, count, largest_first, read_filter, read_range, read_zone};
use crate::groups::groups;
use crate::messages::top_messages;

pub(crate) async fn statistic(
    State(context): Shared,
    Target(app): Target,
    Path((_, stat)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = Asked { params: Params::parse(query.as_deref()), now: context.clock.now(), context, app };
    match Statistic::of_name(&stat) {
        Some(Statistic::Timeseries) => timeseries(asked).await,
        Some(Statistic::By(dimension)) => breakdown(asked, dimension).await,
        Some(Statistic::TopMessages) => top_messages(asked).await,
        Some(Statistic::Hours) => hours(asked).await,
        Some(Statistic::Totals) => totals(asked).await,
        Some(Statistic::Groups) => groups(asked).await,
        None => {
            let names = Statistic::ALL.map(Statistic::name).join(", ");
            Err(Problem::NotFound(format!("there is no such statistic: ask for one of {names}")))
        }
    }
}

/// What can be asked for.
#[derive(Clone, Copy)]
pub(crate) enum Statistic {
    Timeseries,
    By(Dimension),
    TopMessages,
    Hours,
    Totals,
    Groups,
}

impl Statistic {
    pub(crate) const ALL: [Self; 8] = [
        Self::Timeseries,
        Self::By(Dimension::Level),
        Self::By(Dimension::Name),
        Self::By(Dimension::Category),
        Self::TopMessages,
        Self::Hours,
        Self::Totals,
        Self::Groups,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Timeseries => "timeseries",
            Self::By(Dimension::Level) => "by-level",
            Self::By(Dimension::Name) => "by-name",
            Self::By(Dimension::Category) => "by-category",
            Self::TopMessages => "top-messages",
            Self::Hours => "hours",
            Self::Totals => "totals",
            Self::Groups => "groups",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|statistic| statistic.name() == name)
    }
}

/// A statistic that is asked for.
pub(crate) struct Asked {
    pub(crate) params: Params,
    pub(crate) now: Timestamp,
    pub(crate) context: Arc<Context>,
    pub(crate) app: Arc<App>,
}

/// Occurrences in buckets of time.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Timeseries<'a> {
    interval: &'static str,
    since: Timestamp,
    until: Timestamp,
    tz: &'a str,
    series: Vec<Point>,
    #[serde(flatten)]
    freshness: Freshness,
}

async fn timeseries(mut asked: Asked) -> Result<Response, Problem> {
    let params = &mut asked.params;
    let filter = read_filter(params);
    let zone = read_zone(params);
    let range = read_range(params, asked.now);
    let week_start: WeekStart = params.parsed("week_start").unwrap_or_default();
    let interval = match params.text("interval") {
        None => Interval::Hour,
        Some(text) => Interval::read(&text, week_start).unwrap_or_else(|| {
            params.add("interval", "must be MINUTE, HOUR, DAY, WEEK or MONTH");
            Interval::Hour
        }),
    };
    let fill = match params.text("fill").as_deref() {
        None => false,
        Some("zero") => true,
        Some(_) => {
            params.add("fill", "must be zero, or left out");
            false
        }
    };
    let wide = widen(&asked.app, range, asked.now);
    let (range, widened) = (wide, wide != range);
    let starts = interval.starts(range, &zone).unwrap_or_else(|e| {
        params.add("interval", e);
        vec![]
    });
    asked.params.finish()?;
    let (counts, counted_to) = count(&asked.context, &asked.app, boundaries(&starts, range), &filter).await?;
    let points = starts.iter().zip(counts.by_slot(starts.len()));
    let reply = Timeseries {
        interval: interval.name(),
        since: range.since(),
        until: range.until(),
        tz: zone.name(),
        series: points
            .filter(|(_, count)| fill || *count != 0)
            .map(|(start, count)| Point { bucket_start: *start, count })
            .collect(),
        freshness: Freshness::new(&counts, counted_to).widened(widened),
    };
    json(StatusCode::OK, &reply)
}

/// A range counted as a whole.
async fn whole(asked: &Asked, range: Range, filter: &CellFilter) -> Result<(Counts, Freshness), Problem> {
    let slot = vec![range.since(), range.until()];
    let (counts, counted_to) = count(&asked.context, &asked.app, slot, filter).await?;
    let freshness = Freshness::new(&counts, counted_to);
    Ok((counts, freshness))
}

/// Counts of a range.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}s")]
#[allow(clippy::struct_field_names)] // the contract's name
pub(crate) struct Items<T> {
    since: Timestamp,
    until: Timestamp,
    items: Vec<T>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// What a breakdown is by.
#[derive(Clone, Copy)]
pub(crate) enum Dimension {
    Level,
    Name,
    Category,
}

/// A level, null where events have none, and how often.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LevelCount {
    level: Option<Level>,
    count: i64,
}

/// A name, whatever its slug, and how often.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NameSum")]
pub(crate) struct NameSum<'a> {
    name: &'a str,
    count: i64,
}

/// A category, null where events have none, and how often.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CategoryCount<'a> {
    category: Option<&'a str>,
    count: i64,
}

async fn breakdown(mut asked: Asked, dimension: Dimension) -> Result<Response, Problem> {
    let filter = read_filter(&mut asked.params);
    let range = read_range(&mut asked.params, asked.now);
    let params = std::mem::replace(&mut asked.params, Params::parse(None));
    params.finish()?;
    let wide = widen(&asked.app, range, asked.now);
    let (counts, freshness) = whole(&asked, wide, &filter).await?;
    let (since, until, freshness) = (wide.since(), wide.until(), freshness.widened(wide != range));
    match dimension {
        Dimension::Level => {
            let items = largest_first(counts.by(CellKey::level)).into_iter();
            let items = items.map(|(level, count)| LevelCount { level, count }).collect();
            json(StatusCode::OK, &Items { since, until, items, freshness })
        }
        Dimension::Name => {
            let items = largest_first(counts.by(CellKey::name)).into_iter();
            let items = items.map(|(name, count)| NameSum { name, count }).collect();
            json(StatusCode::OK, &Items { since, until, items, freshness })
        }
        Dimension::Category => {
            let items = largest_first(counts.by(CellKey::category)).into_iter();
            let items = items.map(|(category, count)| CategoryCount { category, count }).collect();
            json(StatusCode::OK, &Items { since, until, items, freshness })
        }
    }
}

/// Most hours in which rows are looked for: ten years and more. How many rows there are is another matter.
pub(crate) const MAX_HOURS: usize = 100_000;

/// A name in an hour, and how often.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HourCount {
    /// `YYYYMMDDHH`, in UTC.
    pub(crate) date: String,
    hour_start: Timestamp,
    pub(crate) name: String,
    pub(crate) count: i64,
}

async fn hours(mut asked: Asked) -> Result<Response, Problem> {
    let filter = read_filter(&mut asked.params);
    let range = read_range(&mut asked.params, asked.now);
    let wide = widen(&asked.app, range, asked.now);
    let starts = hours_of(wide).unwrap_or_else(|e| {
        asked.params.add("since", e);
        vec![]
    });
    let params = std::mem::replace(&mut asked.params, Params::parse(None));
    params.finish()?;
    let (items, freshness) = rows(&asked.context, &asked.app, &starts, wide, &filter, "since").await?;
    let freshness = freshness.widened(wide != range);
    json(StatusCode::OK, &Items { since: wide.since(), until: wide.until(), items, freshness })
}

/// The hours (UTC) in which rows of a range are looked for.
pub(crate) fn hours_of(range: Range) -> Result<Vec<Timestamp>, TooManyBuckets> {
    Interval::Hour.starts_at_most(range, &Zone::utc(), MAX_HOURS)
}

/// Every name in every hour of a range, in order of time, then name. Where there are too many, `field` must be changed.
pub(crate) async fn rows(
    context: &Context,
    app: &App,
    starts: &[Timestamp],
    range: Range,
    filter: &CellFilter,
    field: &str,
) -> Result<(Vec<HourCount>, Freshness), Problem> {
    let (counts, counted_to) = count(context, app, boundaries(starts, range), filter).await?;
    let mut sums: HashMap<(usize, &str), i64> = HashMap::new();
    for ((slot, cell), count) in &counts.sums {
        *sums.entry((*slot, cell.name())).or_default() += count;
    }
    sums.retain(|_, count| *count != 0);
    if sums.len() > MAX_BUCKETS {
        return Err(Problem::field(
            field,
            format!("the range holds {} names in hours, more than {MAX_BUCKETS}: send a shorter range", sums.len()),
        ));
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_unstable();
    let items = rows.into_iter().map(|((slot, name), count)| HourCount {
        date: Bucket::of(Granularity::Hour, starts[slot]).to_string(),
        hour_start: starts[slot],
        name: name.to_owned(),
        count,
    });
    Ok((items.collect(), Freshness::new(&counts, counted_to)))
}

/// All names of all time, largest first.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Totals<'a> {
    items: Vec<NameTotal<'a>>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// A name and its slug, how often, and the first and last day (UTC) that has it.
#[derive(Serialize, JsonSchema)]
struct NameTotal<'a> {
    name: &'a str,
    slug: &'a str,
    count: i64,
    first_day: String,
    last_day: String,
}

async fn totals(mut asked: Asked) -> Result<Response, Problem> {
    let filter = read_filter(&mut asked.params);
    let params = std::mem::replace(&mut asked.params, Params::parse(None));
    params.finish()?;
    let (days, freshness) = by_day(&asked.context, &asked.app, &filter).await?;
    let mut sums: HashMap<(&str, &str), (i64, Timestamp, Timestamp)> = HashMap::new();
    for ((day, cell), count) in &days {
        let sum = sums.entry((cell.name(), cell.slug())).or_insert((0, *day, *day));
        *sum = (sum.0 + count, sum.1.min(*day), sum.2.max(*day));
    }
    let spans = sums.clone();
    let date = |at: Timestamp| Zone::utc().date(at).to_string();
    let sums = sums.into_iter().map(|(key, (count, ..))| (key, count)).filter(|(_, count)| *count != 0);
    let items = largest_first(sums.collect()).into_iter().map(|((name, slug), count)| {
        let (_, first, last) = spans[&(name, slug)];
        NameTotal { name, slug, count, first_day: date(first), last_day: date(last) }
    });
    json(StatusCode::OK, &Totals { items: items.collect(), freshness })
}

/// Occurrences by day (UTC) and cell, of all time.
pub(crate) async fn by_day(
    context: &Context,
    app: &App,
    filter: &CellFilter,
) -> Result<(HashMap<(Timestamp, CellKey), i64>, Freshness), Problem> {
    // Before the counters, or a batch that is folded in between would be told as in.
    let counted_to = counters::counted_to(&context.store, context.clock.now(), app).await?;
    let (days, complete) = counters::days(&context.store, app, all_days(), filter).await?;
    Ok((days, Freshness { counted_to, complete: (!complete).then_some(false), widened: None }))
}
