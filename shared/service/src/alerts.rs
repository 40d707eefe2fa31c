//! Alerts: judging the rules of all apps each minute, and telling what they found.

mod asking;
pub mod channels;
mod content;
pub mod deliver;
pub mod evaluate;
mod links;
mod news;
pub mod preview;
mod reports;
pub mod rules;
pub mod run;
pub mod seal;
mod summary;
mod telling;

pub use run::{Ran, run};
