//! Accepting events.

pub mod quota;
