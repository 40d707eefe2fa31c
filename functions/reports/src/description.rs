//! The operations of this function, as the description of the API tells them.

use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tally_core::time::calendar::{Interval, MAX_BUCKETS, WeekStart};
use tally_http::compat::event_tracker::Envelope;
use tally_http::openapi::{
    DayInput, JSON, LevelInput, Operation, Parameter, ReplyDescription, TimeInput, app, key, number, number_or, one_of,
    text,
};

use crate::event_tracker::{self, HourRow, NameRow};
use crate::histogram::{self, DEFAULT_SIZE, SIZES};
use crate::periods::{self, Period};
use crate::statistics::{
    CategoryCount, Dimension, HourCount, Items, LevelCount, MAX_HOURS, NameSum, Statistic, Timeseries, Totals,
};
use crate::{groups, messages, seismo};

/// What this function's operations say of themselves.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = Vec::new();
    operations.extend(Period::ALL.map(|period| report(schemas, period)));
    operations.extend(Statistic::ALL.map(|asked| statistic(schemas, asked)));
    operations.push(histogram(schemas));
    operations.push(histogram_file(schemas));
    operations.extend(Period::ALL.map(|period| seismo_report(schemas, period)));
    operations.push(event_tracker_hours(schemas));
    operations.push(event_tracker_names(schemas));
    operations.push(event_tracker_histogram(schemas));
    operations
}

/// `YYYYMMDD` or `YYYYMMDDHH`.
const DAY_OR_HOUR: &str = r"^\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])?$";

fn event_tracker_hours(schemas: &mut SchemaGenerator) -> Operation {
    let date = json_schema!({"type": "string", "pattern": DAY_OR_HOUR, "examples": ["2026112106", "20261121"]});
    Operation::new(
        Method::GET,
        "/event-tracker/{key}/api/events",
        "listEventTracker",
        "Event Tracker: every name in every hour (UTC), in order of name, then time",
    )
    .about(format!("At most {MAX_BUCKETS} rows, and {MAX_HOURS} hours between the first and the last event."))
    .takes([
        key("read"),
        Parameter::query("start_date", "The first hour (`YYYYMMDDHH`) or day (`YYYYMMDD`).", date.clone()).required(),
        Parameter::query("end_date", "The last day or hour, which is in.", date).required(),
    ])
    .answers(StatusCode::OK, "The counts.", schemas.subschema_for::<event_tracker::Rows<HourRow>>())
}

fn event_tracker_names(schemas: &mut SchemaGenerator) -> Operation {
    Operation::new(
        Method::GET,
        "/event-tracker/{key}/api/events/unique",
        "listEventTrackerNames",
        "Event Tracker: all names of all time, largest first",
    )
    .takes([key("read")])
    .answers(StatusCode::OK, "The counts.", schemas.subschema_for::<event_tracker::Rows<NameRow>>())
}

fn event_tracker_histogram(schemas: &mut SchemaGenerator) -> Operation {
    let day = schemas.subschema_for::<DayInput>();
    let operation = Operation::new(
        Method::GET,
        "/event-tracker/{key}/api/events/histogram/{name}/{date}",
        "eventTrackerHistogram",
        "Event Tracker: the hours of a day (UTC) as a bar chart, of one name",
    )
    .about("`Accept` tells what is preferred of a PNG, a JPEG and the numbers as JSON; it is a PNG where it does not.")
    .takes([
        key("read"),
        Parameter::path("name", "The name. It may hold slashes, sent as they are.", text()),
        Parameter::path("date", "The day.", day),
    ]);
    let numbers = schemas.subschema_for::<Envelope<histogram::Reply<'_>>>();
    cached(operation, vec![("image/png", json_schema!({})), ("image/jpeg", json_schema!({})), (JSON, numbers)])
}

/// What [`crate::answer::read_filter`] takes.
fn filters(schemas: &mut SchemaGenerator) -> Vec<Parameter> {
    let level = schemas.subschema_for::<LevelInput>();
    vec![
        Parameter::query("name", "Only this name.", text()),
        Parameter::query("event", "Another word for `name`.", text()),
        Parameter::query("slug", "Only this slug.", text()),
        Parameter::query("category", "Only this category.", text()),
        Parameter::query("level", "Only this level.", level),
    ]
}

fn zone() -> Parameter {
    Parameter::query("tz", "The time zone, an IANA name; UTC where nothing is said.", text())
}

fn week_start() -> Parameter {
    Parameter::query("week_start", "The first day of a week.", one_of(&["monday", "sunday"]))
}

/// What [`crate::answer::read_range`] takes.
fn range(schemas: &mut SchemaGenerator) -> Vec<Parameter> {
    let time = schemas.subschema_for::<TimeInput>();
    vec![
        Parameter::query(
            "since",
            "From this time on; by default 24 hours before the start of this minute.",
            time.clone(),
        ),
        Parameter::query("until", "Before this time; by default to the end of this minute.", time),
    ]
}

/// What tells which period a report is about.
fn which(schemas: &mut SchemaGenerator, period: Period) -> Vec<Parameter> {
    let (day, time) = (schemas.subschema_for::<DayInput>(), schemas.subschema_for::<TimeInput>());
    let date = |about: &str| Parameter::query("date", about, day.clone());
    match period {
        Period::Hour => vec![
            date("The day.").required(),
            Parameter::query("hour", "The hour of the day.", number(0, 23)).required(),
        ],
        Period::Day => vec![date("The day.").required()],
        Period::Week => vec![
            date("A day of the week; this or `week` must be sent."),
            Parameter::query("week", "Another word for `date`.", day),
        ],
        Period::Month => vec![
            date("A day of the month; this or `month` must be sent."),
            Parameter::query(
                "month",
                "The same, or the month itself, e.g. `2026-11`.",
                json_schema!({"anyOf": [day, {"type": "string", "pattern": r"^\d{4}-\d{2}$"}]}),
            ),
        ],
        Period::Between => {
            let bound = json_schema!({"anyOf": [day, time]});
            vec![
                Parameter::query("from", "The first day, or a time.", bound.clone()).required(),
                Parameter::query("to", "The last day, or the time before which it ends.", bound).required(),
            ]
        }
    }
}

fn report(schemas: &mut SchemaGenerator, period: Period) -> Operation {
    let (path, id, summary) = match period {
        Period::Hour => ("/apps/{app}/reports/hour", "reportHour", "How much in an hour, by name and by minute"),
        Period::Day => ("/apps/{app}/reports/day", "reportDay", "How much in a day, by name and by hour"),
        Period::Week => ("/apps/{app}/reports/week", "reportWeek", "How much in a week, by name and by day"),
        Period::Month => ("/apps/{app}/reports/month", "reportMonth", "How much in a month, by name and by day"),
        Period::Between => ("/apps/{app}/reports/period", "reportPeriod", "How much in any period, by name and by day"),
    };
    Operation::new(Method::GET, path, id, summary)
        .takes([app()])
        .takes(which(schemas, period))
        .takes((period == Period::Week).then(week_start))
        .takes([zone()])
        .takes(filters(schemas))
        .answers(StatusCode::OK, "The report.", schemas.subschema_for::<periods::Reply<'_>>())
}

fn seismo_report(schemas: &mut SchemaGenerator, period: Period) -> Operation {
    let (path, id, summary) = match period {
        Period::Hour => {
            ("/seismo/api/reports/hour/{app}", "seismoReportHour", "How much in an hour, as Seismo says it")
        }
        Period::Day => ("/seismo/api/reports/day/{app}", "seismoReportDay", "How much in a day, as Seismo says it"),
        Period::Week => ("/seismo/api/reports/week/{app}", "seismoReportWeek", "How much in a week, as Seismo says it"),
        Period::Month => {
            ("/seismo/api/reports/month/{app}", "seismoReportMonth", "How much in a month, as Seismo says it")
        }
        Period::Between => {
            ("/seismo/api/reports/period/{app}", "seismoReportPeriod", "How much in any period, as Seismo says it")
        }
    };
    Operation::new(Method::GET, path, id, summary)
        .about(
            "Days are those of UTC, and weeks begin on Sunday. Other parameters are ignored. 403 also where the day is \
             missing.",
        )
        .takes([app()])
        .takes(which(schemas, period))
        .takes([
            Parameter::query("event", "Only this name.", text()),
            Parameter::query("id", "Only this machine id (a `slug`).", text()),
        ])
        .answers(StatusCode::OK, "The report.", schemas.subschema_for::<seismo::Reply<'_>>())
}

fn statistic(schemas: &mut SchemaGenerator, asked: Statistic) -> Operation {
    match asked {
        Statistic::Timeseries => timeseries(schemas),
        Statistic::By(Dimension::Level) => counted::<Items<LevelCount>>(
            schemas,
            "/apps/{app}/stats/by-level",
            "countByLevel",
            "Counts by level, largest first",
        ),
        Statistic::By(Dimension::Name) => counted::<Items<NameSum<'_>>>(
            schemas,
            "/apps/{app}/stats/by-name",
            "countByName",
            "Counts by name, largest first",
        ),
        Statistic::By(Dimension::Category) => counted::<Items<CategoryCount<'_>>>(
            schemas,
            "/apps/{app}/stats/by-category",
            "countByCategory",
            "Counts by category, largest first",
        ),
        Statistic::TopMessages => top_messages(schemas),
        Statistic::Hours => counted::<Items<HourCount>>(
            schemas,
            "/apps/{app}/stats/hours",
            "countByHour",
            "Every name in every hour (UTC), in order of time, then name",
        )
        .about(format!("At most {MAX_BUCKETS} rows.")),
        Statistic::Totals => Operation::new(
            Method::GET,
            "/apps/{app}/stats/totals",
            "totals",
            "All names of all time, largest first; days in UTC",
        )
        .takes([app()])
        .takes(filters(schemas))
        .answers(StatusCode::OK, "The totals.", schemas.subschema_for::<Totals<'_>>()),
        Statistic::Groups => by_attribute(schemas),
    }
}

fn timeseries(schemas: &mut SchemaGenerator) -> Operation {
    let week = Interval::Week(WeekStart::default());
    let intervals = [Interval::Minute, Interval::Hour, Interval::Day, week, Interval::Month].map(Interval::name);
    let intervals = json_schema!({"type": "string", "enum": intervals, "default": Interval::Hour.name()});
    let zero = json_schema!({"type": "string", "enum": ["zero"]});
    counted::<Timeseries<'_>>(schemas, "/apps/{app}/stats/timeseries", "countInBuckets", "Counts in buckets of time")
        .about(format!("At most {MAX_BUCKETS} buckets in the range."))
        .takes([
            Parameter::query("interval", "How long the buckets are.", intervals),
            zone(),
            Parameter::query("fill", "`zero` gives the buckets without events too.", zero),
            week_start(),
        ])
}

fn top_messages(schemas: &mut SchemaGenerator) -> Operation {
    let level = schemas.subschema_for::<LevelInput>();
    let limit = number_or(messages::DEFAULT_LIMIT, 1, messages::MAX_LIMIT);
    Operation::new(
        Method::GET,
        "/apps/{app}/stats/top-messages",
        "topMessages",
        "The most frequent messages, largest first, then newest",
    )
    .takes([app()])
    .takes(range(schemas))
    .takes([Parameter::query("level", "Only this level.", level), Parameter::query("limit", "Most messages.", limit)])
    .answers(StatusCode::OK, "The messages.", schemas.subschema_for::<messages::Reply>())
}

fn by_attribute(schemas: &mut SchemaGenerator) -> Operation {
    let attr = json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": groups::MAX_PATH,
        "examples": ["plan", "user.plan"],
    });
    let limit = number_or(groups::DEFAULT_LIMIT, 1, groups::MAX_LIMIT);
    counted::<groups::Reply>(
        schemas,
        "/apps/{app}/stats/groups",
        "countByAttribute",
        "Counts by the value of an attribute in `data`, largest first",
    )
    .about(
        "Reads the events of the range themselves, within a read budget: where it ends before them, the newest are in and \
         `complete` is false.",
    )
    .takes([
        Parameter::query("attr", "The path of the attribute in `data`.", attr).required(),
        Parameter::query("limit", "Most values.", limit),
    ])
}

/// A statistic of a range under all filters.
fn counted<Reply: JsonSchema>(
    schemas: &mut SchemaGenerator,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    Operation::new(Method::GET, path, id, summary).takes([app()]).takes(range(schemas)).takes(filters(schemas)).answers(
        StatusCode::OK,
        "The counts.",
        schemas.subschema_for::<Reply>(),
    )
}

fn histogram(schemas: &mut SchemaGenerator) -> Operation {
    let day = schemas.subschema_for::<DayInput>();
    let operation = Operation::new(
        Method::GET,
        "/apps/{app}/histogram",
        "histogram",
        "The hours of a day as a bar chart, of one name or of all",
    )
    .takes([
        app(),
        Parameter::query("date", "The day.", day).required(),
        Parameter::query(
            "format",
            "The kind of picture, or the numbers.",
            one_of(&["png", "jpg", "jpeg", "svg", "json"]),
        ),
    ])
    .takes(filters(schemas));
    pictured(schemas, operation)
}

fn histogram_file(schemas: &mut SchemaGenerator) -> Operation {
    let file = json_schema!({
        "type": "string",
        "pattern": r"^(today|\d{4}-?\d{2}-?\d{2})\.(png|jpg|jpeg|svg|json)$",
        "examples": ["2026-11-21.png"],
    });
    let filters = filters(schemas).into_iter().filter(|filter| !["name", "event"].contains(&filter.name));
    let operation = Operation::new(
        Method::GET,
        "/apps/{app}/histogram/{name}/{file}",
        "histogramFile",
        "The hours of a day as a bar chart, of one name",
    )
    .takes([
        app(),
        Parameter::path("name", "The name. It may hold slashes, sent as they are.", text()),
        Parameter::path("file", "The day, and the kind of picture as its extension.", file),
    ])
    .takes(filters);
    pictured(schemas, operation)
}

fn pictured(schemas: &mut SchemaGenerator, operation: Operation) -> Operation {
    let picture = json_schema!({});
    let numbers = schemas.subschema_for::<histogram::Reply<'_>>();
    let pixels = |default: u32| number_or(default.into(), SIZES.0, SIZES.1);
    let operation = operation.takes([
        zone(),
        Parameter::query("width", "In pixels.", pixels(DEFAULT_SIZE.0)),
        Parameter::query("height", "In pixels.", pixels(DEFAULT_SIZE.1)),
    ]);
    let content = vec![
        ("image/png", picture.clone()),
        ("image/jpeg", picture.clone()),
        ("image/svg+xml", picture),
        (JSON, numbers),
    ];
    cached(operation, content)
}

/// Answers with a chart that may be kept.
fn cached(operation: Operation, content: Vec<(&'static str, Schema)>) -> Operation {
    const TELLS: [(&str, &str); 3] = [
        ("ETag", "Names this very reply."),
        ("Cache-Control", "For how long it may be kept."),
        ("Tally-CounterLabel-To", "All that was accepted before this time is in."),
    ];
    operation
        .takes([Parameter::header(
            "If-None-Match",
            "The `ETag` of a reply that is still kept.",
            json_schema!({"type": "string"}),
        )])
        .replies(ReplyDescription { status: StatusCode::OK, about: "The chart.", content, headers: TELLS.to_vec() })
        .replies(ReplyDescription {
            status: StatusCode::NOT_MODIFIED,
            about: "It is as `If-None-Match` names it.",
            content: vec![],
            headers: TELLS.to_vec(),
        })
}
