//! Reading events, with the counters as their index.

pub(crate) mod checkpoints;
mod cost;
mod planner;
pub mod query;
pub mod reader;
pub(crate) mod ways;
