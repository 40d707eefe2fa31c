//! `GET /apps/{app}/chart.svg` and `…/chart.png`

use axum::extract::State;
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use schemars::{SchemaGenerator, json_schema};
use tally_core::app::App;
use tally_core::event::level::Level;
use tally_core::time::Timestamp;
use tally_core::time::calendar::Interval;
use tally_core::time::zone::Zone;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter, number_or, one_of};
use tally_http::parameters::{ChartParams, FromQuery, Params, event_filters};
use tally_http::problem::Problem;
use tally_http::routes::{CHART_PNG, CHART_SVG, Route};
use tally_http::series::{Counted, OTHER_NAMES, TOP_OF_SERIES};
use tally_http::service::Shared;
use tally_http::view::{By, ChartView, DEFAULT_SIZE, MAX_TITLE, SIZES, View, intervals, time_range};
use tally_service::context::Context;
use tally_service::report::count::{CellKey, counted_to, largest_first};

use crate::chart::{Chart, Part, Picture, Theme, grouped};
use crate::histogram::{Format, answers_cached, cached};

pub(crate) async fn svg(
    State(context): Shared,
    Target(app): Target,
    ChartParams(params): ChartParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    chart(&context, &app, params, &headers, Picture::Svg).await
}

pub(crate) async fn png(
    State(context): Shared,
    Target(app): Target,
    ChartParams(params): ChartParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    chart(&context, &app, params, &headers, Picture::Png).await
}

async fn chart(
    context: &Context,
    app: &App,
    params: Params,
    headers: &HeaderMap,
    picture: Picture,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    // Everybody who meets the address of such a picture may see it.
    let is_public = params.limits().is_some_and(|limits| limits.chart.is_some());
    let asked = params.read(|params| ChartView::read(params, now))?;
    let ChartView { view, is_dark, size, title } = asked;
    let theme = if is_dark { Theme::DARK } else { Theme::LIGHT };
    let reads = context.reads();
    // Read before the counters: a batch that is folded in between is then not claimed to be counted.
    let counted_to = counted_to(&reads, app).await?;
    let counted = Counted::of(&reads, app, view.range, &view).await?;
    let (parts, columns) = columns(&view, &counted, &theme);
    let title = title.unwrap_or_else(|| format!("{}: {} in all", app.name, grouped(counted.counts.total())));
    let axis = view.zone.name().to_owned();
    let chart = Chart {
        title: &title,
        axis: &axis,
        bars: &columns,
        parts: &parts,
        theme: &theme,
        width: size.0,
        height: size.1,
    };
    let body = chart.draw(picture).map_err(|e| Problem::Internal(e.to_string()))?;
    let mut reply = cached(Format::Picture(picture), body, false, (counted_to, counted.counts.live_from), headers);
    if is_public {
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    }
    if !counted.counts.complete {
        reply.headers_mut().insert("tally-complete", HeaderValue::from_static("false"));
    }
    Ok(reply)
}

/// The parts that columns are divided into, from the baseline up, and the columns.
fn columns(view: &View, counted: &Counted, theme: &Theme) -> (Vec<Part>, Vec<(String, Vec<i64>)>) {
    let names = counted.counts.by(CellKey::name);
    let shown: Vec<&str> = largest_first(names.clone()).into_iter().map(|(name, _)| name).take(TOP_OF_SERIES).collect();
    let by_severity: Vec<_> = Level::ALL.into_iter().rev().map(Some).chain([None]).collect();
    let part_of = |cell: &CellKey| match view.by {
        By::Level => by_severity.iter().position(|level| *level == cell.level()).unwrap_or(0),
        By::Name => shown.iter().position(|name| *name == cell.name()).unwrap_or(shown.len()),
    };
    let parts: Vec<Part> = match view.by {
        By::Level => by_severity.iter().map(|level| theme.level(*level)).collect(),
        By::Name => {
            shown.iter().copied().chain([OTHER_NAMES]).enumerate().map(|(i, name)| theme.name(i, name)).collect()
        }
    };
    let mut columns: Vec<_> =
        counted.starts.iter().map(|start| (label(*start, view.interval, &view.zone), vec![0; parts.len()])).collect();
    let mut sums = vec![0; parts.len()];
    for (slot, cell, count) in counted.counts.each() {
        let part = part_of(cell);
        if let Some((_, counts)) = columns.get_mut(slot) {
            counts[part] += count;
            sums[part] += count;
        }
    }
    // A part without occurrences has no place in the legend.
    let kept: Vec<_> = sums.iter().map(|sum| *sum != 0).collect();
    let keep = |counts: Vec<i64>| counts.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(n, _)| n).collect();
    let columns = columns.into_iter().map(|(label, counts)| (label, keep(counts))).collect();
    let parts: Vec<_> = parts.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(part, _)| part).collect();
    // Of an app without levels, there is nothing to divide.
    let is_whole = view.by == By::Level && kept.iter().rev().skip(1).all(|kept| !kept);
    (if is_whole { vec![theme.whole()] } else { parts }, columns)
}

/// What stands below a column.
fn label(start: Timestamp, interval: Interval, zone: &Zone) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = zone.datetime(start);
    let month = MONTHS[usize::from(at.month().unsigned_abs()).saturating_sub(1) % MONTHS.len()];
    match interval {
        Interval::Minute | Interval::Hour if at.hour() == 0 && at.minute() == 0 => format!("{} {month}", at.day()),
        Interval::Minute | Interval::Hour => format!("{:02}:{:02}", at.hour(), at.minute()),
        Interval::Day | Interval::Week(_) => format!("{} {month}", at.day()),
        Interval::Month => format!("{month} {}", at.year()),
    }
}

pub(crate) fn chart_operations(schemas: &mut SchemaGenerator) -> [Operation; 2] {
    [(&CHART_SVG, "chartSvg", "image/svg+xml"), (&CHART_PNG, "chartPng", "image/png")].map(
        |(route, id, media_type): (&'static Route, _, _)| {
            let pixels = |default: u32| number_or(default.into(), SIZES.0, SIZES.1);
            let title = json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_TITLE});
            let operation = Operation::of(route, id, "A series as a picture, in columns by level or by name")
                .about(
                    "Any filter: one that counters do not know is answered from the events within the read budget, and the \
                     header `Tally-Complete` is `false` if that ends first. A signed link, as messages of alerts have them, needs no key.",
                )
                .takes(time_range(schemas))
                .takes(event_filters(schemas))
                .takes([
                    intervals("The length of a column; by default one that gives a few dozen.", None),
                    Parameter::query("by", "What columns are divided by.", one_of(&["level", "name"])),
                    Parameter::query("theme", "The colours.", one_of(&["light", "dark"])),
                    Parameter::query("width", "In pixels.", pixels(DEFAULT_SIZE.0)),
                    Parameter::query("height", "In pixels.", pixels(DEFAULT_SIZE.1)),
                    Parameter::query("title", "What stands above; by default the app's name and the total.", title),
                ]);
            answers_cached(operation, vec![(media_type, json_schema!({}))])
        },
    )
}
