//! `GET /seismo/api/reports/{hour,day,week,month,period}/{app}`

use std::collections::BTreeMap;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::event::filter::CellFilter;
use tally_core::time::zone::Zone;
use tally_http::guard::Target;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_service::report::count::{Counts, widen};

use crate::answer::{NameCount, by_name_and_slug, count, read_filter};
use crate::periods::{NO_REPORT, Period};

/// How often something happened in a period.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SeismoReport")]
pub(crate) struct Reply<'a> {
    /// The machine id that was asked for, or that all of it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// The name that was asked for, or that all of it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    /// The occurrences.
    total: i64,
}

pub(crate) async fn report(
    State(context): Shared,
    app: Option<Target>,
    Path((report, _)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    let period = Period::of_name(&report).ok_or_else(|| Problem::NotFound(NO_REPORT.to_owned()))?;
    let mut params = translate(period, query.as_deref())?;
    let filter = read_filter(&mut params);
    let range = period.read(&mut params, &Zone::utc(), now);
    params.finish()?;
    let Some(range) = range else {
        return Err(Problem::Internal("a report without a range passed its checks".to_owned()));
    };
    let counts = match app {
        Some(Target(app)) => {
            let range = widen(&app, range, now);
            count(&context, &app, vec![range.since(), range.until()], &filter).await?.0
        }
        None => Counts::default(),
    };
    json(StatusCode::OK, &summary(&filter, &counts))
}

fn summary<'a>(filter: &'a CellFilter, counts: &'a Counts) -> Reply<'a> {
    let all = by_name_and_slug(counts);
    let same = |of: fn(&NameCount<'a>) -> &'a str| {
        let first = all.first().map(of)?;
        all.iter().all(|one| of(one) == first).then_some(first)
    };
    Reply {
        id: filter.slug.as_deref().or_else(|| same(|one| one.slug)),
        event: filter.name.as_deref().or_else(|| same(|one| one.name)),
        total: counts.total(),
    }
}

/// Seismo's parameters as those of a report.
fn translate(period: Period, query: Option<&str>) -> Result<Params, Problem> {
    let mut sent = Params::parse(query);
    let mut params = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| params.extend(value.map(|value| (name.to_owned(), value)));
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
            return Err(Problem::Forbidden(missing(name)));
        }
        put(name, value);
    }
    if period == Period::Week {
        put("week_start", Some("sunday".to_owned()));
    }
    sent.check()?;
    Ok(Params::of(&params))
}

fn missing(name: &str) -> String {
    let example = if name == "hour" { "an hour from 0 to 23" } else { "a day, e.g. 2013-09-29" };
    format!("missing {name} parameter: send {example}")
}
