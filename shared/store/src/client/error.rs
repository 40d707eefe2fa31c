//! Errors of requests to DynamoDB.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// An error of a request to the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store is throttling. The same request may succeed later.
    #[error("the store is throttling: {0}")]
    Throttled(String),
    /// The store did not respond in time or had an internal error. A write may still have taken effect.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store permanently rejects this request.
    #[error("the store refused the request: {0}")]
    Refused(String),
    /// An item has an unexpected format.
    #[error("the store holds an unreadable item: {0}")]
    Unreadable(String),
}

impl StoreError {
    /// Returns whether the same request may succeed later.
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
    /// Creates the error for a request with a missing part.
    fn from(error: BuildError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<serde_dynamo::Error> for StoreError {
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}
