//! `GET /apps/{app}/reports/{hour,day,week,month,period}`

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::AppSlug;
use tally_core::event::filter::EventFilter;
use tally_core::time::calendar::{Interval, TooManyBuckets, hour_of_day};
use tally_core::time::moment::{Calendar, Moment, Span};
use tally_core::time::zone::Zone;
use tally_core::time::{Range, TimeError, Timestamp};
use tally_http::counts::{Freshness, Point, count};
use tally_http::guard::Target;
use tally_http::openapi::{MomentInput, Operation, Parameter, PastDayInput, number};
use tally_http::parameters::{FromQuery, Params, calendar, event_filters};
use tally_http::problem::{Problem, json};
use tally_http::reply::{LeftOut, Room};
use tally_http::routes::REPORT;
use tally_http::service::Shared;
use tally_service::report::by_group::range_of;
use tally_service::report::count::{self as counters, Counts, boundaries};

use crate::answer::{NameCount, by_name_and_slug};

/// The occurrences of a period.
#[derive(Serialize, JsonSchema)]
#[allow(clippy::struct_field_names)] // the API's name
struct Report<'a> {
    app: &'a AppSlug,
    report: &'static str,
    from: Timestamp,
    to: Timestamp,
    tz: &'a str,
    total: i64,
    /// Largest first. `stats/by-name` has pages of them.
    by_name: Vec<NameCount<'a>>,
    /// The names that the reply has no room for; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
    /// Every bucket, even without occurrences: minutes of an hour, hours of a day, days of longer periods.
    series: Vec<Point>,
    /// False where clocks skip the hour of the report; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    exists: Option<bool>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// The error of an unknown report.
pub(crate) const NO_REPORT: &str = "no such report: ask for hour, day, week, month or period";

pub(crate) async fn report(
    State(context): Shared,
    Target(app): Target,
    Path((_, report)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let Some(period) = Period::of_name(&report) else {
        return Err(Problem::NotFound(NO_REPORT.to_owned()));
    };
    let (filter, zone, asked, parts) = params.read(|params| {
        let (filter, calendar) = (EventFilter::read(params, now), Calendar::read(params, now)?);
        let asked = period.read(params, &calendar)?;
        let zone = calendar.zone;
        let starts = |part: &Range| Ok((*part, period.interval().starts(*part, &zone)?));
        let parts: Result<Vec<_>, TooManyBuckets> = asked.parts.iter().map(starts).collect();
        Some((filter?, zone, asked, params.keep("to", parts)?))
    })?;
    let mut range = asked.range;
    let mut widened = false;
    let mut series = Vec::new();
    let mut counts = Counts::default();
    let reads = context.reads();
    let mut counted_to = None;
    for (asked, starts) in parts {
        let part = range_of(&app, asked, &filter, now);
        let (more, to) = count(&reads, &app, boundaries(&starts, part), &filter, true, period.field()).await?;
        let part = more.range;
        widened |= part != asked;
        range = Range::new(range.since().min(part.since()), range.until().max(part.until())).unwrap_or(range);
        series.extend(
            starts.iter().zip(more.by_slot(starts.len())).map(|(start, n)| Point { bucket_start: *start, count: n }),
        );
        // Nothing reads the slots any more.
        counts.add_all(&reads, &more).map_err(|spent| Problem::too_much(spent, period.field()))?;
        counted_to = Some(counted_to.map_or(to, |before: Timestamp| before.min(to)));
    }
    let counted_to = match counted_to {
        Some(counted_to) => counted_to,
        None => counters::counted_to(&reads, &app).await?,
    };
    let mut room = Room::default();
    room.take(&series)?;
    let mut by_name = by_name_and_slug(&counts);
    let left_out = LeftOut::of(room.fill(&mut by_name)?.iter().map(|name| name.count));
    let reply = Report {
        app: &app.slug,
        report: period.name(),
        from: range.since(),
        to: range.until(),
        tz: zone.name(),
        total: counts.total(),
        by_name,
        left_out,
        series,
        exists: asked.parts.is_empty().then_some(false),
        freshness: Freshness::of_names(&counts, counted_to).without(left_out).widened(widened),
    };
    json(StatusCode::OK, &reply)
}

/// The period of a report.
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

    /// The parameter that says how long it is.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::Hour | Self::Day | Self::Week | Self::Month => "date",
            Self::Between => "from",
        }
    }

    /// The period with a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    /// The length of the buckets of its series.
    pub const fn interval(self) -> Interval {
        match self {
            Self::Hour => Interval::Minute,
            Self::Day => Interval::Hour,
            Self::Week | Self::Month | Self::Between => Interval::Day,
        }
    }

    /// Reads the time to count; none where an error was recorded.
    pub fn read(self, params: &mut Params, calendar: &Calendar) -> Option<Asked> {
        let zone = &calendar.zone;
        let bounds = match self {
            Self::Hour => {
                let date = read_day(params, "date", calendar, None);
                let hour = params.text("hour").as_deref().map(str::parse);
                let hour = hour.and_then(Result::ok).filter(|hour| (0..24).contains(hour));
                if hour.is_none() {
                    params.add("hour", "send an hour from 0 to 23");
                }
                return params.keep("date", Asked::hour(zone, date?, hour?));
            }
            Self::Day => days(zone, read_day(params, "date", calendar, None)?, 1),
            Self::Week => {
                let date = read_day(params, "week", calendar, Some(Span::ThisWeek))?;
                days(zone, calendar.week_start.first_day(date), 7)
            }
            Self::Month => {
                let first = read_day(params, "month", calendar, Some(Span::ThisMonth))?.first_of_month();
                days(zone, first, i64::from(first.days_in_month()))
            }
            Self::Between => {
                let from = read_bound(params, "from", calendar, Range::since);
                let to = read_bound(params, "to", calendar, Range::until);
                Ok((from?, to?))
            }
        };
        let range = bounds.map(|(from, to)| Range::new(from, to));
        match range {
            Ok(Ok(range)) => Some(Asked { range, parts: vec![range] }),
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

/// The time that a report counts.
pub struct Asked {
    /// From the start of its first part to the end of its last. Of an hour that clocks skip, the moment they skip at.
    pub range: Range,
    /// What is counted of it, in order: all, one part for each pass of an hour that occurs twice, nothing of an hour that
    /// clocks skip.
    pub parts: Vec<Range>,
}

impl Asked {
    fn hour(zone: &Zone, date: jiff::civil::Date, hour: i8) -> Result<Self, TimeError> {
        let parts = hour_of_day(zone, date, hour)?;
        let (since, until) = if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
            (first.since(), last.until())
        } else {
            let skipped = zone.start_of_hour(date, hour)?;
            (skipped, skipped)
        };
        Ok(Self { range: Range::new(since, until).map_err(|_| TimeError)?, parts })
    }
}

/// From the start of a day, for `count` days.
fn days(zone: &Zone, first: jiff::civil::Date, count: i64) -> Result<(Timestamp, Timestamp), TimeError> {
    let end = first.checked_add(jiff::Span::new().days(count)).map_err(|_| TimeError)?;
    Ok((zone.start_of_day(first)?, zone.start_of_day(end)?))
}

/// A day in `date`, or in the parameter `alias`, which is `date` where there is none. With `alias` `month` it may be a
/// month, e.g. `2026-11`; it may also be the name of `span`.
fn read_day(params: &mut Params, alias: &str, calendar: &Calendar, span: Option<Span>) -> Option<jiff::civil::Date> {
    let Some(text) = params.text_of("date", alias) else {
        params.add("date", "missing: send a day, e.g. 2026-11-21, or `today`");
        return None;
    };
    let whole_month = (alias == "month" && text.len() == 7).then(|| format!("{text}-01"));
    let date = match text.parse() {
        Ok(Moment::StartOf(named)) if Some(named) == span => calendar.first_day(named),
        _ => calendar.read_day(whole_month.as_deref().unwrap_or(&text)),
    };
    let date = date.ok().filter(|date| date.year() >= 1970);
    if date.is_none() {
        params.add("date", "must be a day from 1970 on, e.g. 2026-11-21, `today` or `yesterday`");
    }
    date
}

/// One end of a period: that of a day, a week or a month, or a time.
fn read_bound(params: &mut Params, name: &str, calendar: &Calendar, end: fn(Range) -> Timestamp) -> Option<Timestamp> {
    let Some(text) = params.text(name) else {
        params.add(name, "missing: send a day, e.g. 2026-11-21, or a time");
        return None;
    };
    let bound = text.parse().and_then(|moment| match moment {
        Moment::Day(date) => Ok(end(calendar.zone.day(date)?)),
        Moment::StartOf(span) => calendar.span(span).map(end),
        moment => calendar.at(moment),
    });
    let bound = bound.ok().filter(|bound| *bound >= Timestamp::EPOCH);
    if bound.is_none() {
        params
            .add(name, "must be a day or a time from 1970 on, e.g. 2026-11-21, yesterday, 7d or 2026-11-21T06:30:00Z");
    }
    bound
}

pub(crate) fn report_operations(schemas: &mut SchemaGenerator) -> [Operation; 5] {
    Period::ALL.map(|period| {
        let (id, summary) = match period {
            Period::Hour => ("reportHour", "The occurrences of an hour, by name and by minute"),
            Period::Day => ("reportDay", "The occurrences of a day, by name and by hour"),
            Period::Week => ("reportWeek", "The occurrences of a week, by name and by day"),
            Period::Month => ("reportMonth", "The occurrences of a month, by name and by day"),
            Period::Between => ("reportPeriod", "The occurrences of any period, by name and by day"),
        };
        Operation::of(&REPORT, id, summary)
            .with("{report}", period.name())
            .takes(period.parameters(schemas))
            .takes(calendar())
            .takes(event_filters(schemas))
            .answers_with::<Report<'_>>(schemas, StatusCode::OK, "The report.")
    })
}

impl Period {
    /// The parameters of its range.
    pub(crate) fn parameters(self, schemas: &mut SchemaGenerator) -> Vec<Parameter> {
        let (day, time) = (schemas.subschema_for::<PastDayInput>(), schemas.subschema_for::<MomentInput>());
        let date = |about: &str| Parameter::query("date", about, day.clone());
        match self {
            Self::Hour => vec![
                date("The day.").required(),
                Parameter::query("hour", "The hour of the day.", number(0, 23)).required(),
            ],
            Self::Day => vec![date("The day.").required()],
            Self::Week => vec![
                date("A day of the week. Either this or `week` is required."),
                Parameter::query("week", "An alias of `date`.", day),
            ],
            Self::Month => vec![
                date("A day of the month. Either this or `month` is required."),
                Parameter::query(
                    "month",
                    "A day of the month, or the month itself, e.g. `2026-11`.",
                    json_schema!({"anyOf": [day, {"type": "string", "pattern": r"^\d{4}-\d{2}$"}]}),
                ),
            ],
            Self::Between => {
                let bound = json_schema!({"anyOf": [day, time]});
                vec![
                    Parameter::query("from", "The first day, week or month, or a time.", bound.clone()).required(),
                    Parameter::query(
                        "to",
                        "The last day, week or month, or the time before which the period ends.",
                        bound,
                    )
                    .required(),
                ]
            }
        }
    }
}
