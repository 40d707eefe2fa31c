//! The use cases of Tally, on top of the store: accepting events, reading them, reporting, repairing counters, signing
//! in.

pub mod alerts;
pub mod apps;
pub mod auth;
pub mod budget;
pub mod chart_link;
pub mod config;
pub mod context;
pub mod countries;
pub mod disk;
pub mod event_units;
pub mod ingest;
pub mod issues;
mod live;
pub mod log;
pub mod metrics;
pub mod people;
pub mod read;
pub mod reads;
pub mod repair;
pub mod report;
pub mod source_maps;
pub mod visitors;
