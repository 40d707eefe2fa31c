//! Tally: collects application events and answers questions about them.
//!
//! The way of an event: `ingest` checks it ([`event`]) and stores it ([`store`]); the table's stream brings it to
//! `aggregate`, which folds it ([`fold`]) into counters of cells ([`cell`]) in buckets of time ([`bucket`]); `query`
//! reads events back and `reports` adds cells up. What decides an event's keys is its app's [`layout`].
//!
//! Flow is one way: HTTP ([`http`], [`auth`]) → domain → [`store`]. The domain knows neither HTTP nor AWS.

pub mod app;
pub mod auth;
pub mod backend;
pub mod bucket;
pub mod calendar;
pub mod cell;
pub mod clock;
pub mod config;
pub mod counting;
pub mod cover;
pub mod digest;
pub mod erase;
pub mod event;
pub mod event_id;
pub mod filter;
pub mod fold;
pub mod http;
pub mod invalid;
pub mod json;
pub mod layout;
pub mod level;
pub mod log;
pub mod messages;
pub mod metrics;
pub mod new_app;
pub mod quota;
pub mod reading;
pub mod recount;
pub mod store;
pub mod time;
