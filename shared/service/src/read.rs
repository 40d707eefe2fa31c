//! Reading events, with the counters as their index.

mod cost;
mod planner;
pub mod query;
pub mod reader;
