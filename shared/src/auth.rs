//! Who may do what: keys of apps, access tokens of users.

pub mod key;
pub mod token;
pub mod user;
