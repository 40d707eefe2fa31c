//! What can go wrong between us and DynamoDB.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// A request to the store that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store takes no more just now; the same request may pass later.
    #[error("the store is throttling: {0}")]
    Throttled(String),
    /// The store did not answer in time, or with a fault of its own; a write may have happened all the same.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store will never take this request.
    #[error("the store refused the request: {0}")]
    Refused(String),
    /// An item is not what this code writes.
    #[error("the store holds an unreadable item: {0}")]
    Unreadable(String),
}

impl StoreError {
    /// Whether the same request may pass later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled(_) | Self::Unavailable(_))
    }

    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let text = DisplayErrorContext(error).to_string();
        let SdkError::ServiceError(service) = error else {
            return Self::Unavailable(text);
        };
        match service.err().code() {
            Some(
                "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "LimitExceededException",
            ) => Self::Throttled(text),
            Some("ValidationException" | "ItemCollectionSizeLimitExceededException" | "SerializationException") => {
                Self::Refused(text)
            }
            _ => Self::Unavailable(text),
        }
    }
}

impl From<BuildError> for StoreError {
    /// A request that lacks a part.
    fn from(error: BuildError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<serde_dynamo::Error> for StoreError {
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}
