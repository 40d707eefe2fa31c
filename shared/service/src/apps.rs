//! Apps: creating and caching them.

pub mod cache;
pub mod create;
pub mod key_cache;
pub mod views;
