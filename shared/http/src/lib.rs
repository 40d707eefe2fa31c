//! The HTTP boundary: routes and who may call them, parameters and bodies, problem documents, CORS, and the wire formats
//! of the systems that Tally replaces.

pub mod body;
pub mod compat;
mod cors;
pub mod counts;
pub mod credentials;
pub mod cursor;
pub mod event;
pub mod families;
pub mod gateway;
pub mod guard;
pub mod input;
pub mod issue;
pub mod limits;
pub mod name_in_path;
pub mod openapi;
pub mod parameters;
pub mod path;
pub mod problem;
pub mod reply;
mod request_log;
pub mod routes;
pub mod rows;
pub mod runtime;
pub mod series;
pub mod service;
pub mod source;
mod synonyms;
pub mod view;

pub use request_log::Figures;
