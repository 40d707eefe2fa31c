//! Authentication and authorization: users and access tokens.

pub mod attempts;
pub mod sessions;
pub mod sign_in_code;
pub mod token;
pub mod user;
