//! Tally on a laptop: all functions on one port over an embedded DynamoDB, whose stream is polled into `aggregate` as
//! Lambda's event source mapping would.

pub mod audit;
pub mod cost;
pub mod dead_batches;
pub mod direct;
pub mod embedded;
pub mod first_start;
pub mod import;
pub mod server;
pub mod stream_poller;
pub mod table;
pub mod workbench;
