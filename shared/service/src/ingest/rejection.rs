//! Why an event was not accepted.

use tally_core::invalid::Invalid;
use tally_core::rejected::Refusal;
use tally_store::StoreError;

/// Why an event was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Rejection {
    /// The event is invalid and must be changed.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The event is refused for good, for a reason other than its fields.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The event was not stored. If the failure is temporary, the same event may be sent again.
    #[error("could not be stored: {}", if .0.is_transient() { "send it again" } else { "the server's log says why" })]
    Store(#[from] StoreError),
}

impl Rejection {
    /// Returns whether the same event may be accepted if it is sent again.
    pub fn retry(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}
