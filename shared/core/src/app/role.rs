//! Roles of users.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a signed-in user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Read every app.
    Reader,
}
