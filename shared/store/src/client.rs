//! The DynamoDB client: connection, timeouts, requests, retries, metering and errors.

pub(crate) mod back_off;
pub(crate) mod batch;
pub(crate) mod connection;
pub(crate) mod deadline;
pub(crate) mod error;
pub(crate) mod meter;
pub(crate) mod query;
pub(crate) mod send;
pub(crate) mod timeouts;
