//! The client of DynamoDB: the connection and its time limits, one way to send each kind of request, metering, errors.

pub(crate) mod batch;
pub(crate) mod connection;
pub(crate) mod deadline;
pub(crate) mod error;
pub(crate) mod meter;
pub(crate) mod send;
