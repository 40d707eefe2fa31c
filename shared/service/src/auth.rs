//! Who may do what: users and access tokens.

pub mod attempts;
pub mod token;
pub mod user;
