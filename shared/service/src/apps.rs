//! Apps: creating them, and what a warm process remembers of them.

pub mod cache;
pub mod create;
pub mod key_cache;
