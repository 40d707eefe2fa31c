//! Counters: what they count, where a count is kept, and how a batch of the stream is folded into them.

pub mod cell;
pub mod checkpoint;
pub mod folding;
pub mod item;
pub mod key;
pub mod property;
