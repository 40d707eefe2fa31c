//! Seismo's `GET api/reports/{hour,day,week,month,period}/{app}`; see [`tally_http::compat::seismo`].

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::SchemaGenerator;
use tally_core::event::filter::CellFilter;
use tally_core::time::moment::Calendar;
use tally_http::compat::seismo::{SeismoReport, is_relative};
use tally_http::counts::count;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::parameters::{FromQuery, Params, SentParams};
use tally_http::problem::{Problem, json};
use tally_http::routes::SEISMO_REPORT;
use tally_http::service::Shared;
use tally_service::report::count::{Counts, widen};

use crate::answer::{NameCount, by_name_and_slug};
use crate::periods::{NO_REPORT, Period};

pub(crate) async fn report(
    State(context): Shared,
    app: Option<Target>,
    Path((report, _)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let period = Period::of_name(&report).ok_or_else(|| Problem::NotFound(NO_REPORT.to_owned()))?;
    let (filter, asked) = translate(period, params)?.read(|params| {
        let calendar = Calendar::read(params, now)?;
        let (filter, asked) = (CellFilter::read(params, now), period.read(params, &calendar));
        filter.zip(asked)
    })?;
    let counts = match app {
        Some(Target(app)) => {
            // No hour of UTC is skipped or occurs twice.
            let range = widen(&app, asked.range, now);
            let boundaries = vec![range.since(), range.until()];
            let (counts, _) =
                count(&context.reads(), &app, boundaries, &filter.clone().into(), true, period.field()).await?;
            if counts.range != range {
                // Its format cannot say so.
                return Err(Problem::field(
                    period.field(),
                    "a minute has too many events to count a part of it: send whole minutes",
                ));
            }
            counts
        }
        None => Counts::default(),
    };
    json(StatusCode::OK, &summary(&filter, &counts))
}

fn summary<'a>(filter: &'a CellFilter, counts: &'a Counts) -> SeismoReport<'a> {
    let all = by_name_and_slug(counts);
    // What `(other)` counts has names that nobody knows.
    let known = !counts.each().any(|(_, cell, _)| cell.is_other());
    let same = |of: fn(&NameCount<'a>) -> &'a str| {
        let first = all.first().map(of)?;
        (known && all.iter().all(|one| of(one) == first)).then_some(first)
    };
    SeismoReport {
        id: filter.slug.single().map(String::as_str).or_else(|| same(|one| one.slug)),
        event: filter.name.single().map(String::as_str).or_else(|| same(|one| one.name)),
        total: counts.total(),
        complete: (!counts.complete).then_some(false),
    }
}

/// Seismo's parameters as those of a report.
fn translate(period: Period, mut sent: Params) -> Result<Params, Problem> {
    let mut params = SentParams::new();
    let mut put = |name: &str, value: Option<String>| params.extend(value.map(|value| (name.to_owned(), value.into())));
    put("name", sent.text("event"));
    put("slug", sent.text("id"));
    let needed: &[&str] = match period {
        Period::Hour => &["date", "hour"],
        Period::Day | Period::Week | Period::Month => &["date"],
        Period::Between => &["from", "to"],
    };
    for name in needed {
        let value = sent.text(name).or_else(|| match period {
            Period::Week | Period::Month => sent.text(period.name()),
            Period::Hour | Period::Day | Period::Between => None,
        });
        if value.is_none() {
            sent.check()?;
            return Err(Problem::Forbidden(missing(name)));
        }
        if *name != "hour" && value.as_deref().is_some_and(is_relative) {
            return Err(Problem::field(*name, "must be a day, e.g. 2013-09-29, or `today`"));
        }
        put(name, value);
    }
    if period == Period::Week {
        put("week_start", Some("sunday".to_owned()));
    }
    sent.check()?;
    Ok(Params::of(params))
}

fn missing(name: &str) -> String {
    let example = if name == "hour" { "an hour from 0 to 23" } else { "a day, e.g. 2013-09-29" };
    format!("missing {name} parameter: send {example}")
}

pub(crate) fn report_operations(schemas: &mut SchemaGenerator) -> [Operation; 5] {
    Period::ALL.map(|period| {
        let (id, summary) = match period {
            Period::Hour => ("seismoReportHour", "Seismo: the occurrences of an hour"),
            Period::Day => ("seismoReportDay", "Seismo: the occurrences of a day"),
            Period::Week => ("seismoReportWeek", "Seismo: the occurrences of a week"),
            Period::Month => ("seismoReportMonth", "Seismo: the occurrences of a month"),
            Period::Between => ("seismoReportPeriod", "Seismo: the occurrences of any period"),
        };
        Operation::of(&SEISMO_REPORT, id, summary)
            .about(
                "Days are in UTC, and weeks begin on Sunday. Other parameters are ignored. A missing day is answered with \
                 403.",
            )
            .with("{report}", period.name())
            .takes(period.parameters(schemas))
            .takes([
                Parameter::query("event", "Only events with this name.", text()),
                Parameter::query("id", "Only events with this slug.", text()),
            ])
            .answers_with::<SeismoReport<'_>>(schemas, StatusCode::OK, "The report.")
    })
}
