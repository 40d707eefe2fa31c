//! Alert rules: what they ask of counters, how an answer is judged, and how a rule reads as a sentence; pure.

pub mod filter;
pub mod judge;
pub mod minutes;
pub mod rule;
pub mod schedule;
pub mod sentence;
