//! Tests of the whole system through its public interface; one file for each function.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

mod access;
mod admin;
mod aggregate;
mod architecture;
mod attributes;
mod chart;
mod counts;
mod database;
mod erase;
mod event_tracker;
mod exactness;
mod families;
mod faults;
mod faults_by_seed;
mod faulty;
mod filters;
mod gateway;
mod harness;
mod ingest;
mod layouts;
mod log_handler;
mod mixpanel;
mod openapi;
mod other;
mod otlp;
mod overload;
mod overview;
mod posthog;
mod public_keys;
mod query;
mod quota;
mod recount;
mod rejected;
mod relative_times;
mod replays;
mod reply_size;
mod reports;
mod segment;
mod seismo;
mod sentry;
mod stream;
mod template;
mod the_eye;
