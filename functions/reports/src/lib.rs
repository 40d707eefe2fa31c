//! Answers from counters: reports of hours, days, weeks, months and periods, and statistics.

mod answer;
mod compat_event_tracker;
mod compat_seismo;
mod groups;
mod messages;
mod metrics;
mod overview;
mod page;
mod periods;
mod statistic;
mod statistics;
mod uniques;

pub use answer::TimeRange;
pub use periods::Period;

use std::sync::Arc;

use axum::Router;
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::routes::{self, Function};
use tally_http::rows::in_rows;
use tally_http::service::Routes;
use tally_service::context::Context;

/// The router of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::Reports, context)
        .serve(&routes::REPORT, in_rows(periods::report))
        .serve(&routes::STATISTIC, in_rows(statistics::statistic))
        .serve(&routes::METRICS, metrics::metrics)
        .serve(&routes::SEISMO_REPORT, compat_seismo::report)
        .serve(&routes::EVENT_TRACKER_LIST, compat_event_tracker::hours)
        .serve(&routes::EVENT_TRACKER_PATH, compat_event_tracker::of_path)
        .finish()
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = Vec::new();
    operations.extend(periods::report_operations(schemas));
    operations.extend(statistics::statistic_operations(schemas));
    operations.push(metrics::operation(schemas));
    operations.extend(compat_seismo::report_operations(schemas));
    operations.push(compat_event_tracker::hours_operation(schemas));
    operations.push(compat_event_tracker::unique_operation(schemas));
    operations
}
