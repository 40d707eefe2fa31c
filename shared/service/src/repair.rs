//! Repair: recounting and erasing.

pub mod distinct;
pub mod erase;
pub mod recount;
