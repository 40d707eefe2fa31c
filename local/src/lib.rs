//! Tally on a laptop: all functions on one port over an embedded DynamoDB. Its stream is polled into `aggregate`, as
//! Lambda's event source mapping would do.

pub mod audit;
mod background;
pub mod backlog;
pub mod backup;
mod catalog;
pub mod cli;
mod condition;
pub mod connections;
pub mod cost;
pub mod dead_batches;
pub mod demo;
#[cfg(test)]
mod differential;
mod direct;
mod disk;
mod door;
mod elsewhere;
pub mod embedded;
mod exchange;
pub mod first_start;
pub mod housekeeping;
pub mod import;
mod large;
mod lease;
pub mod mcp;
mod numbers;
mod pages;
pub mod proxy;
mod puts;
mod queries;
mod readers;
mod refusals;
pub mod serve;
pub mod server;
#[cfg(test)]
mod sharing;
pub mod sign_in;
pub mod stream_poller;
pub mod table;
mod tls;
mod web_folder;
mod wire;
pub mod workbench;
mod writer;
