//! Accepting events.

pub mod accept;
pub mod quota;
pub mod rejected;
