//! `GET /apps/{app}/reports/{hour,day,week,month,period}`

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::AppSlug;
use tally_core::time::calendar::{Interval, WeekStart};
use tally_core::time::zone::Zone;
use tally_core::time::{HOUR, Range, TimeError, Timestamp, parse_date};
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::report::count::widen;

use crate::answer::{Freshness, NameCount, Point, boundaries, by_name_and_slug, count, read_filter, read_zone};

/// How much of what happened in a period.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(crate) struct Reply<'a> {
    app: &'a AppSlug,
    report: &'static str,
    from: Timestamp,
    to: Timestamp,
    tz: &'a str,
    total: i64,
    /// Largest first.
    by_name: Vec<NameCount<'a>>,
    /// Every bucket, zeros too: by minute for an hour, by hour for a day, by day for longer.
    series: Vec<Point>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// What is said of a report that there is none of.
pub(crate) const NO_REPORT: &str = "there is no such report: ask for hour, day, week, month or period";

pub(crate) async fn report(
    State(context): Shared,
    Target(app): Target,
    Path((_, report)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let Some(period) = Period::of_name(&report) else {
        return Err(Problem::NotFound(NO_REPORT.to_owned()));
    };
    let mut params = Params::parse(query.as_deref());
    let filter = read_filter(&mut params);
    let zone = read_zone(&mut params);
    let range = period.read(&mut params, &zone, now);
    let starts = range.and_then(|range| {
        let starts = period.interval().starts(range, &zone);
        starts.map_err(|e| params.add("to", e)).ok().map(|starts| (range, starts))
    });
    params.finish()?;
    let Some((asked, starts)) = starts else {
        return Err(Problem::Internal("a report without a range passed its checks".to_owned()));
    };
    let range = widen(&app, asked, now);
    let (counts, counted_to) = count(&context, &app, boundaries(&starts, range), &filter).await?;
    let series = starts.iter().zip(counts.by_slot(starts.len()));
    let reply = Reply {
        app: &app.slug,
        report: period.name(),
        from: range.since(),
        to: range.until(),
        tz: zone.name(),
        total: counts.total(),
        by_name: by_name_and_slug(&counts),
        series: series.map(|(start, count)| Point { bucket_start: *start, count }).collect(),
        freshness: Freshness::new(&counts, counted_to).widened(range != asked),
    };
    json(StatusCode::OK, &reply)
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// An hour of a day.
    Hour,
    /// A day.
    Day,
    /// The week that holds a day.
    Week,
    /// The month that holds a day.
    Month,
    /// The days, or the time, from one to another.
    Between,
}

impl Period {
    pub(crate) const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Between];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Between => "period",
        }
    }

    /// The one that a path names.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    /// How long the buckets of its series are.
    pub const fn interval(self) -> Interval {
        match self {
            Self::Hour => Interval::Minute,
            Self::Day => Interval::Hour,
            Self::Week | Self::Month | Self::Between => Interval::Day,
        }
    }

    /// The range that the parameters name; none where something is wrong with them.
    pub fn read(self, params: &mut Params, zone: &Zone, now: Timestamp) -> Option<Range> {
        let bounds = match self {
            Self::Hour => {
                let date = read_day(params, "date", zone, now);
                if !params.has("hour") {
                    params.add("hour", "missing: send an hour from 0 to 23");
                }
                let hour = params.number("hour", 0, 23);
                let start = zone.start_of_hour(date?, i8::try_from(hour?).ok()?);
                start.map(|start| (start, start + HOUR))
            }
            Self::Day => days(zone, read_day(params, "date", zone, now)?, 1),
            Self::Week => {
                let week_start: WeekStart = params.parsed("week_start").unwrap_or_default();
                let date = read_day_of(params, "week", zone, now)?;
                days(zone, week_start.first_day(date), 7)
            }
            Self::Month => {
                let first = read_day_of(params, "month", zone, now)?.first_of_month();
                days(zone, first, i64::from(first.days_in_month()))
            }
            Self::Between => {
                let from = read_bound(params, "from", zone, now, 0);
                let to = read_bound(params, "to", zone, now, 1);
                Ok((from?, to?))
            }
        };
        let range = bounds.map(|(from, to)| Range::new(from, to));
        match range {
            Ok(Ok(range)) => Some(range),
            Ok(Err(_)) => {
                params.add("from", "must not be after `to`");
                None
            }
            Err(e) => {
                params.add("date", e);
                None
            }
        }
    }
}

/// From the start of a day over so many days.
fn days(zone: &Zone, first: jiff::civil::Date, count: i64) -> Result<(Timestamp, Timestamp), TimeError> {
    let end = first.checked_add(jiff::Span::new().days(count)).map_err(|_| TimeError)?;
    Ok((zone.start_of_day(first)?, zone.start_of_day(end)?))
}

fn read_day(params: &mut Params, name: &str, zone: &Zone, now: Timestamp) -> Option<jiff::civil::Date> {
    let Some(text) = params.text(name) else {
        params.add(name, "missing: send a day, e.g. 2026-11-21, or `today`");
        return None;
    };
    let date = zone.read_date(&text, now).ok().filter(|date| date.year() >= 1970);
    if date.is_none() {
        params.add(name, "must be a day from 1970 on, e.g. 2026-11-21, or `today`");
    }
    date
}

/// A day by `date`, or by the report's own name; a month also as `2026-11`.
fn read_day_of(params: &mut Params, name: &str, zone: &Zone, now: Timestamp) -> Option<jiff::civil::Date> {
    let Some(text) = params.text_of("date", name) else {
        params.add("date", "missing: send a day, e.g. 2026-11-21, or `today`");
        return None;
    };
    let whole_month = (name == "month" && text.len() == 7).then(|| format!("{text}-01"));
    let date = zone.read_date(whole_month.as_deref().unwrap_or(&text), now).ok();
    let date = date.filter(|date| date.year() >= 1970);
    if date.is_none() {
        params.add("date", "must be a day from 1970 on, e.g. 2026-11-21, or `today`");
    }
    date
}

/// One end of a period: a day (its start, or with `after` the start of the day after), or a full time.
fn read_bound(params: &mut Params, name: &str, zone: &Zone, now: Timestamp, after: i64) -> Option<Timestamp> {
    let Some(text) = params.text(name) else {
        params.add(name, "missing: send a day, e.g. 2026-11-21, or a time");
        return None;
    };
    let bound = if text == "today" || parse_date(&text).is_ok() {
        zone.read_date(&text, now).and_then(|date| {
            let date = date.checked_add(jiff::Span::new().days(after)).map_err(|_| TimeError)?;
            zone.start_of_day(date)
        })
    } else {
        text.parse()
    };
    let bound = bound.ok().filter(|bound| *bound >= Timestamp::EPOCH);
    if bound.is_none() {
        params.add(name, "must be a day or a time from 1970 on, e.g. 2026-11-21 or 2026-11-21T06:30:00Z");
    }
    bound
}
