//! What the HTTP functions share: routes and who may call them, problem documents, bodies and queries.

pub mod access;
pub mod body;
pub mod cors;
pub mod description;
pub mod dialect;
pub mod event;
pub mod name_in_path;
pub mod problem;
pub mod query;
pub mod routes;
pub mod service;
pub mod source;
