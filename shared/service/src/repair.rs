//! Repair: recounting and erasing.

mod distinct;
pub mod erase;
pub mod recount;
