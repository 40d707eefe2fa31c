//! Authentication and authorization: users and access tokens.

pub mod attempts;
pub mod token;
pub mod user;
