//! What the loggers of many languages have in common: their keys, their levels, and logfmt.

pub mod keys;
pub mod level;
pub mod logfmt;
