//! Tests of the whole system through its public interface; one file for each function.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

mod admin;
mod aggregate;
mod exactness;
mod faults;
mod harness;
mod ingest;
mod layouts;
mod overload;
mod query;
mod reports;
mod template;
