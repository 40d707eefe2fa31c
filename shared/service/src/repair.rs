//! Repair: recounting and erasing.

pub mod erase;
pub mod recount;
