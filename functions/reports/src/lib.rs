//! Answers how many: reports of hours, days, weeks, months and periods, and statistics, from counters.

mod answer;
mod chart;
mod description;
mod event_tracker;
mod groups;
mod histogram;
mod messages;
mod periods;
mod seismo;
mod statistics;

pub use answer::{read_range, read_zone};
pub use periods::Period;

use std::sync::Arc;

use axum::Router;
use http::Method;
use tally_http::routes::Function;
use tally_http::runtime::Routes;
use tally_service::context::Context;

pub use description::operations;

/// The routes of this function.
pub fn router(context: Arc<Context>) -> Router {
    Routes::of(Function::Reports, context)
        .on(Method::GET, "/apps/{app}/reports/{report}", periods::report)
        .on(Method::GET, "/apps/{app}/stats/{stat}", statistics::statistic)
        .on(Method::GET, "/apps/{app}/histogram", histogram::histogram)
        .on(Method::GET, "/apps/{app}/histogram/{*path}", histogram::histogram_file)
        .on(Method::GET, "/seismo/api/reports/{report}/{app}", seismo::report)
        .on(Method::GET, "/event-tracker/{key}/api/events", event_tracker::hours)
        .on(Method::GET, "/event-tracker/{key}/api/events/{*path}", event_tracker::of_path)
        .finish()
}
