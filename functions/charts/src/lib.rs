//! Draws pictures of counts: charts of a series, and histograms of a day. What draws and its font are 220 KB of a function that
//! may have 2.5 MiB, so they are apart from `reports`.

mod chart;
mod compat_event_tracker;
mod histogram;
mod series_chart;

use std::sync::Arc;

use axum::Router;
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::routes::{self, Function};
use tally_http::service::Routes;
use tally_service::context::Context;

/// The router of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::Charts, context)
        .serve(&routes::HISTOGRAM, histogram::histogram)
        .serve(&routes::HISTOGRAM_FILE, histogram::histogram)
        .serve(&routes::CHART_SVG, series_chart::svg)
        .serve(&routes::CHART_PNG, series_chart::png)
        .serve(&routes::EVENT_TRACKER_HISTOGRAM, compat_event_tracker::histogram)
        .finish()
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = Vec::new();
    operations.extend(histogram::histogram_operations(schemas));
    operations.extend(series_chart::chart_operations(schemas));
    operations.push(compat_event_tracker::histogram_operation(schemas));
    operations
}
