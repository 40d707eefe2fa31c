//! `GET /apps/{app}/stats/{stat}`

use std::collections::HashMap;
use std::hash::Hash;

use axum::extract::{Path, State};
use axum::response::Response;
use futures::future::try_join;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::event::filter::{CellFilter, EventFilter};
use tally_core::event::level::Level;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::calendar::{Interval, MAX_BUCKETS, TooManyBuckets};
use tally_core::time::moment::Calendar;
use tally_core::time::zone::Zone;
use tally_core::time::{Range, Timestamp};
use tally_http::counts::{Freshness, Point, count};
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{Operation, Parameter};
use tally_http::parameters::{FromQuery, Params, filters};
use tally_http::problem::{Problem, json};
use tally_http::service::Shared;
use tally_http::view::{TimeRange, intervals};
use tally_service::reads::Reads;
use tally_service::report::by_group::{self, range_of};
use tally_service::report::count as counters;
use tally_service::report::count::{AllDays, CellKey, Counts, boundaries, largest_first};

use crate::answer::{Compared, PreviousRange};
use crate::groups::{groups, groups_operation};
use crate::messages::{top_messages, top_messages_operation};
use crate::overview::{overview, overview_operation};
use crate::page::{AskedRows, Row, paging};
use crate::statistic::{Asked, Dimension, Statistic, compared};
use crate::uniques::{uniques, uniques_operation};

pub(crate) async fn statistic(
    State(context): Shared,
    Target(app): Target,
    Path((_, stat)): Path<(String, String)>,
    Limited(limits): Limited,
    params: Params,
) -> Result<Response, Problem> {
    let asked = Asked { now: context.clock.now(), reads: context.reads(), app };
    let statistic = Statistic::of_name(&stat);
    if let Some(statistic) = statistic {
        limits.admit(statistic.enforces())?;
    }
    match statistic {
        Some(Statistic::Overview) => Box::pin(overview(asked, params)).await,
        Some(Statistic::Timeseries) => timeseries(asked, params).await,
        Some(Statistic::By(Dimension::Level)) => by_level(asked, params).await,
        Some(Statistic::By(dimension)) => breakdown(asked, params, dimension).await,
        Some(Statistic::TopMessages) => top_messages(asked, params).await,
        Some(Statistic::Hours) => hours(asked, params).await,
        Some(Statistic::Totals) => totals(asked, params).await,
        Some(Statistic::Groups) => groups(asked, params).await,
        Some(Statistic::Uniques) => uniques(asked, params).await,
        None => {
            let names = Statistic::ALL.map(Statistic::name).join(", ");
            Err(Problem::NotFound(format!("no such statistic: ask for one of {names}")))
        }
    }
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

async fn timeseries(asked: Asked, params: Params) -> Result<Response, Problem> {
    let (filter, zone, interval, fill, (asked_range, range, starts)) = params.read(|params| {
        let (filter, calendar) = (EventFilter::read(params, asked.now), Calendar::read(params, asked.now)?);
        let range = TimeRange::in_calendar(params, &calendar);
        let Calendar { zone, week_start, .. } = calendar;
        let interval = params.text("interval").map_or(Some(Interval::Hour), |text| Interval::read(&text, week_start));
        if interval.is_none() {
            params.add("interval", "must be MINUTE, HOUR, DAY, WEEK or MONTH");
        }
        let fill = params.choice("fill", &[("zero", true)]).unwrap_or(false);
        let (filter, TimeRange(range), interval) = (filter?, range?, interval?);
        let wide = range_of(&asked.app, range, &filter, asked.now);
        let starts = params.keep("interval", interval.starts(wide, &zone))?;
        Some((filter, zone, interval, fill, (range, wide, starts)))
    })?;
    let (counts, counted_to) =
        count(&asked.reads, &asked.app, boundaries(&starts, range), &filter, false, "since").await?;
    let range = counts.range;
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
        freshness: Freshness::of_sums(&counts, counted_to).widened(range != asked_range),
    };
    json(StatusCode::OK, &reply)
}

/// Counts of a range.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}s")]
#[allow(clippy::struct_field_names)] // the API's name
pub(crate) struct Items<T> {
    since: Timestamp,
    until: Timestamp,
    items: Vec<T>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
    /// With `compare=previous`, the period before; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<PreviousRange>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// The occurrences of a level; null counts the events without one.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LevelCount {
    level: Option<Level>,
    count: i64,
    /// Of the period before, with `compare=previous`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

/// The occurrences of a name with any slug.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NameSum")]
pub(crate) struct NameSum<'a> {
    name: &'a str,
    count: i64,
    /// Of the period before, with `compare=previous`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

impl Row for NameSum<'_> {
    fn place(&self) -> (i64, &str, &str) {
        (-self.count, self.name, "")
    }
}

/// The occurrences of a category; null counts the events without one.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CategoryCount<'a> {
    category: Option<&'a str>,
    count: i64,
    /// Of the period before, with `compare=previous`; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

impl Row for CategoryCount<'_> {
    fn place(&self) -> (i64, &str, &str) {
        // No category is empty.
        (-self.count, self.category.unwrap_or_default(), "")
    }
}

async fn by_level(asked: Asked, params: Params) -> Result<Response, Problem> {
    let (filter, Compared { range, previous }) = params.read(|params| FromQuery::read(params, asked.now))?;
    let both = Both::count(&asked, range, previous, &filter, false).await?;
    let items = both.largest_first(CellKey::level).into_iter();
    let items = items.map(|(level, count, previous)| LevelCount { level, count, previous }).collect();
    let freshness = Freshness::of_sums(&both.counts, both.counted_to);
    json(StatusCode::OK, &both.reply(items, None, freshness, |counts| counts.complete))
}

/// A range counted as a whole, and the one to compare with.
struct Both {
    asked: Range,
    counts: Counts,
    previous: Option<Counts>,
    counted_to: Timestamp,
}

impl Both {
    async fn count(
        asked: &Asked,
        range: Range,
        previous: Option<Range>,
        filter: &EventFilter,
        names: bool,
    ) -> Result<Self, Problem> {
        let (reads, app) = (&asked.reads, &asked.app);
        let whole = async |range: Range| {
            let wide = range_of(app, range, filter, asked.now);
            let counts = by_group::count(reads, app, vec![wide.since(), wide.until()], filter, names).await;
            counts.map_err(|e| Problem::of_read(e, "since"))
        };
        // Read before the counters: a batch that is folded in between is then not claimed to be counted.
        let counted_to = counters::counted_to(reads, app).await?;
        let before = async {
            match previous {
                Some(previous) => whole(previous).await.map(Some),
                None => Ok(None),
            }
        };
        let (counts, previous) = if filter.asks_events() {
            // The range comes first, since both share the read budget.
            (whole(range).await?, before.await?)
        } else {
            try_join(whole(range), before).await?
        };
        Ok(Self { asked: range, counts, previous, counted_to })
    }

    /// Occurrences by a property of the cell, now and before, the largest first.
    fn largest_first<'a, K: Ord + Hash>(&'a self, key: impl Fn(&'a CellKey) -> K) -> Vec<(K, i64, Option<i64>)> {
        let before = self.previous.as_ref().map(|previous| previous.by(&key));
        let with_before = |(key, count): (K, i64)| {
            let before = before.as_ref().map(|before| before.get(&key).copied().unwrap_or(0));
            (key, count, before)
        };
        largest_first(self.counts.by(&key)).into_iter().map(with_before).collect()
    }

    /// `complete` tells whether the counts of the period before are.
    fn reply<T>(
        &self,
        items: Vec<T>,
        next: Option<String>,
        freshness: Freshness,
        complete: fn(&Counts) -> bool,
    ) -> Items<T> {
        let range = self.counts.range;
        Items {
            since: range.since(),
            until: range.until(),
            items,
            next,
            previous: self.previous.as_ref().map(|previous| PreviousRange::of(previous.range, complete(previous))),
            freshness: freshness.widened(range != self.asked),
        }
    }
}

async fn breakdown(asked: Asked, params: Params, dimension: Dimension) -> Result<Response, Problem> {
    let list = AskedRows::read(params, Statistic::By(dimension), &asked)?;
    let both = Both::count(&asked, list.range, list.previous, &list.filter, true).await?;
    let (freshness, app) = (Freshness::of_names(&both.counts, both.counted_to), &asked.app.id);
    if let Dimension::Category = dimension {
        let rows = both.largest_first(CellKey::category).into_iter();
        let row = |(category, count, previous)| CategoryCount { category, count, previous };
        let (items, next) = list.page(app, rows.map(row))?;
        json(StatusCode::OK, &both.reply(items, next, freshness, Counts::names_complete))
    } else {
        let rows = both.largest_first(CellKey::name).into_iter();
        let (items, next) = list.page(app, rows.map(|(name, count, previous)| NameSum { name, count, previous }))?;
        json(StatusCode::OK, &both.reply(items, next, freshness, Counts::names_complete))
    }
}

/// Most hours in a range of rows, more than ten years.
pub(crate) const MAX_HOURS: usize = 100_000;

/// The occurrences of a name in an hour.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HourCount<'a> {
    /// `YYYYMMDDHH`, in UTC.
    pub(crate) date: String,
    pub(crate) hour_start: Timestamp,
    pub(crate) name: &'a str,
    pub(crate) count: i64,
}

impl Row for HourCount<'_> {
    fn place(&self) -> (i64, &str, &str) {
        (self.hour_start.micros(), self.name, "")
    }
}

async fn hours(asked: Asked, params: Params) -> Result<Response, Problem> {
    // The bound that was sent makes the range too long.
    let far = if params.was_sent("until") && !params.was_sent("since") { "until" } else { "since" };
    let list = AskedRows::read(params, Statistic::Hours, &asked)?;
    let wide = range_of(&asked.app, list.range, &list.filter, asked.now);
    let mut starts = hours_of(wide).map_err(|e| Problem::field(far, e.to_string()))?;
    // What earlier pages had is not read again.
    // Whether a group has names is decided by all of it, so that each page says the same.
    if list.filter.cell.group.is_any() {
        starts.retain(|start| list.after.as_ref().is_none_or(|last| last.0 <= start.micros()));
    }
    let rest = starts.first().and_then(|first| Range::new((*first).max(wide.since()), wide.until()).ok());
    let rest = rest.unwrap_or(Range::EMPTY);
    let hours = Hours::count(&asked.reads, &asked.app, starts, rest, &list.filter, far).await?;
    // The first page may be widened at its start, the others only at the end.
    let counted = hours.range();
    let since = if rest.since() == wide.since() { counted.since() } else { wide.since() };
    let until = counted.until().max(wide.until());
    let (items, next) = list.page(&asked.app.id, hours.rows())?;
    let freshness = hours.freshness().widened((since, until) != (list.range.since(), list.range.until()));
    json(StatusCode::OK, &Items { since, until, items, next, previous: None, freshness })
}

/// The hours (UTC) of a range of rows.
pub(crate) fn hours_of(range: Range) -> Result<Vec<Timestamp>, TooManyBuckets> {
    Interval::Hour.starts_at_most(range, &Zone::utc(), MAX_HOURS)
}

/// Every name in every hour of a range.
pub(crate) struct Hours {
    starts: Vec<Timestamp>,
    counts: Counts,
    counted_to: Timestamp,
}

impl Hours {
    /// Counts a range whose hours start at `starts`. More than the read budget allows is an error of `field`.
    pub(crate) async fn count(
        reads: &Reads,
        app: &App,
        starts: Vec<Timestamp>,
        range: Range,
        filter: &EventFilter,
        field: &str,
    ) -> Result<Self, Problem> {
        let (counts, counted_to) = count(reads, app, boundaries(&starts, range), filter, true, field).await?;
        Ok(Self { starts, counts, counted_to })
    }

    /// The range that was counted: as asked for, or wider.
    pub(crate) fn range(&self) -> Range {
        self.counts.range
    }

    pub(crate) fn freshness(&self) -> Freshness {
        Freshness::of_names(&self.counts, self.counted_to)
    }

    /// The counts in order of time, then name.
    pub(crate) fn rows(&self) -> impl Iterator<Item = HourCount<'_>> {
        let mut sums: HashMap<(usize, &str), i64> = HashMap::new();
        for (slot, cell, count) in self.counts.each() {
            *sums.entry((slot, cell.name())).or_default() += count;
        }
        let mut rows: Vec<_> = sums.into_iter().filter(|(_, count)| *count != 0).collect();
        rows.sort_unstable();
        rows.into_iter().map(|((slot, name), count)| HourCount {
            date: Bucket::of(Granularity::Hour, self.starts[slot]).to_string(),
            hour_start: self.starts[slot],
            name,
            count,
        })
    }
}

/// All names of all time, largest first.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Totals<'a> {
    items: Vec<NameTotal<'a>>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// The occurrences of a name and slug, and the first and last day (UTC) with any.
#[derive(Serialize, JsonSchema)]
struct NameTotal<'a> {
    name: &'a str,
    slug: &'a str,
    count: i64,
    first_day: String,
    last_day: String,
}

impl Row for NameTotal<'_> {
    fn place(&self) -> (i64, &str, &str) {
        (-self.count, self.name, self.slug)
    }
}

async fn totals(asked: Asked, params: Params) -> Result<Response, Problem> {
    let list = AskedRows::read(params, Statistic::Totals, &asked)?;
    if let Some(field) = list.filter.beyond_cells().first() {
        return Err(Problem::field(
            *field,
            "`totals` reads counters of all time, which do not know it: leave it out, or ask `by-name` of a range",
        ));
    }
    let (days, freshness) = by_day(&asked.reads, &asked.app, &list.filter.cell, "level").await?;
    let mut sums: HashMap<(&str, &str), (i64, Timestamp, Timestamp)> = HashMap::new();
    for (cell, days) in &days.cells {
        let sum = sums.entry((cell.name(), cell.slug())).or_insert((0, days.first, days.last));
        *sum = (sum.0 + days.count, sum.1.min(days.first), sum.2.max(days.last));
    }
    let spans = sums.clone();
    let date = |at: Timestamp| Zone::utc().date(at).to_string();
    let sums = sums.into_iter().map(|(key, (count, ..))| (key, count)).filter(|(_, count)| *count != 0);
    let items = largest_first(sums).into_iter().map(|((name, slug), count)| {
        let (_, first, last) = spans[&(name, slug)];
        NameTotal { name, slug, count, first_day: date(first), last_day: date(last) }
    });
    let (items, next) = list.page(&asked.app.id, items)?;
    json(StatusCode::OK, &Totals { items, next, freshness })
}

/// Occurrences by cell on the days (UTC) of all time, or on the newest of them within the read budget. If it does not
/// suffice for any, that is an error of `field`.
pub(crate) async fn by_day(
    reads: &Reads,
    app: &App,
    filter: &CellFilter,
    field: &str,
) -> Result<(AllDays, Freshness), Problem> {
    if filter.asks_events() {
        return Err(Problem::field(
            "group",
            "counters of all time know no names of groups: leave out name, slug, category and `group[ne]`, or ask `by-name` of a \
             range",
        ));
    }
    // Read before the counters: a batch that is folded in between is then not claimed to be counted.
    let counted_to = counters::counted_to(reads, app).await?;
    let days = counters::count_days(reads, app, filter).await.map_err(|e| Problem::of_read(e, field))?;
    let names_complete = days.complete && !days.cells.keys().any(CellKey::is_other);
    let freshness = Freshness::of(names_complete, counted_to, days.live_from).covering(days.covered_since);
    Ok((days, freshness))
}

pub(crate) fn statistic_operations(schemas: &mut SchemaGenerator) -> [Operation; 10] {
    let by = |dimension| Statistic::By(dimension);
    let pages = "A page has as many rows as were asked for, or as a reply has room for. Only `next` tells whether there is more. A \
                 cursor contains its query: send it alone or with a `limit`. Counts may change between two pages.";
    [
        overview_operation(schemas),
        timeseries_operation(schemas),
        by(Dimension::Level)
            .counts::<Items<LevelCount>>(schemas, "countByLevel", "Counts by level, largest first")
            .takes([compared()]),
        by(Dimension::Name)
            .counts::<Items<NameSum<'_>>>(schemas, "countByName", "Counts by name, largest first")
            .about(pages)
            .takes([compared()])
            .takes(paging()),
        by(Dimension::Category)
            .counts::<Items<CategoryCount<'_>>>(schemas, "countByCategory", "Counts by category, largest first")
            .about(pages)
            .takes([compared()])
            .takes(paging()),
        top_messages_operation(schemas),
        Statistic::Hours
            .counts::<Items<HourCount<'_>>>(
                schemas,
                "countByHour",
                "Every name in every hour (UTC), by time, then name",
            )
            .about(format!("At most {MAX_HOURS} hours. {pages}"))
            .takes(paging()),
        Statistic::Totals
            .operation("totals", "All names of all time, largest first, with days in UTC")
            .about(pages)
            .takes(filters(schemas))
            .takes(paging())
            .answers_with::<Totals<'_>>(schemas, StatusCode::OK, "The totals."),
        groups_operation(schemas),
        uniques_operation(schemas),
    ]
}

fn timeseries_operation(schemas: &mut SchemaGenerator) -> Operation {
    let zero = json_schema!({"type": "string", "enum": ["zero"]});
    Statistic::Timeseries
        .counts::<Timeseries<'_>>(schemas, "countInBuckets", "Counts in buckets of time")
        .about(format!("At most {MAX_BUCKETS} buckets in the range."))
        .takes([
            intervals("The length of a bucket.", Some(Interval::Hour)),
            Parameter::query("fill", "`zero` includes buckets without events.", zero),
        ])
}
