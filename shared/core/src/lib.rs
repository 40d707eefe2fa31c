//! The domain of Tally: events, apps, time and counters. Pure: no I/O, no HTTP, no AWS, no async runtime.

pub mod alert;
pub mod app;
pub mod counter;
pub mod digest;
pub mod distinct;
pub mod event;
pub mod invalid;
pub mod issue;
pub mod log;
pub mod people;
pub mod rejected;
pub mod source_map;
pub mod time;
pub mod web;
