//! The HTTP boundary: routes and who may call them, problem documents, parameters, CORS, and what the clients of other
//! systems send and get.

pub mod body;
pub mod compat;
mod cors;
pub mod event;
pub mod guard;
pub mod name_in_path;
pub mod openapi;
pub mod parameters;
pub mod problem;
pub mod routes;
pub mod runtime;
pub mod source;
