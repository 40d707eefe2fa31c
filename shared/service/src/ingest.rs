//! Accepting events.

pub mod accept;
pub mod names;
pub mod quota;
pub mod rejected;
pub mod rejection;
