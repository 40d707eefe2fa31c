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
    /// The store rejects every such request until somebody changes its setup: rights, tables, credentials, the endpoint.
    #[error("the store does not let us in, or lacks a table: {0}")]
    Denied(String),
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
        match error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                let (code, message) = (service.err().code(), service.err().message());
                Class::of(status, code.unwrap_or_default(), message.unwrap_or_default()).error(text)
            }
            // It lacks a part, and the SDK has not sent it.
            SdkError::ConstructionFailure(_) => Self::Refused(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// What an error of DynamoDB means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Throttled,
    Unavailable,
    Refused,
    Denied,
}

impl Class {
    /// Classifies an error. The codes are those of the SDK's model and of "Error handling with DynamoDB" in Amazon's
    /// developer guide. A code that is in neither is judged by its status.
    fn of(status: u16, code: &str, message: &str) -> Self {
        match code {
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "LimitExceededException" => Self::Throttled,
            "TransactionConflictException"
            | "TransactionInProgressException"
            | "ReplicatedWriteConflictException"
            | "RequestTimeoutException"
            // Being made, changed or deleted: a table that is there in a moment.
            | "ResourceInUseException" => Self::Unavailable,
            // The message lists the reasons of its writes, e.g. `[None, TransactionConflict]`.
            "TransactionCanceledException"
                if !["ValidationError", "ItemCollectionSizeLimitExceeded", "ConditionalCheckFailed"]
                    .iter()
                    .any(|permanent| message.contains(permanent)) =>
            {
                Self::Unavailable
            }
            "TransactionCanceledException"
            | "ValidationException"
            | "SerializationException"
            | "ItemCollectionSizeLimitExceededException"
            | "IdempotentParameterMismatchException"
            | "DuplicateItemException"
            | "ConditionalCheckFailedException" => Self::Refused,
            // AccessDenied, ResourceNotFound, UnrecognizedClient, ExpiredToken, InvalidSignature, IncompleteSignature,
            // MissingAuthenticationToken, InvalidEndpoint, UnknownOperation, …
            _ => match status {
                429 => Self::Throttled,
                413 => Self::Refused,
                400..=499 => Self::Denied,
                _ => Self::Unavailable,
            },
        }
    }

    fn error(self, text: String) -> StoreError {
        match self {
            Self::Throttled => StoreError::Throttled(text),
            Self::Unavailable => StoreError::Unavailable(text),
            Self::Refused => StoreError::Refused(text),
            Self::Denied => StoreError::Denied(text),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_dynamodb_is_temporary_or_not() {
        for (status, code, message, class) in [
            (400, "ProvisionedThroughputExceededException", "", Class::Throttled),
            (400, "ThrottlingException", "", Class::Throttled),
            (400, "RequestLimitExceeded", "", Class::Throttled),
            (400, "LimitExceededException", "", Class::Throttled),
            (429, "", "", Class::Throttled),
            (400, "TransactionConflictException", "", Class::Unavailable),
            (400, "TransactionInProgressException", "", Class::Unavailable),
            (400, "TransactionCanceledException", "[None, TransactionConflict]", Class::Unavailable),
            (400, "TransactionCanceledException", "[ThrottlingError]", Class::Unavailable),
            (400, "TransactionCanceledException", "[ValidationError, None]", Class::Refused),
            (400, "ReplicatedWriteConflictException", "", Class::Unavailable),
            (400, "ResourceInUseException", "", Class::Unavailable),
            (500, "InternalServerError", "", Class::Unavailable),
            (503, "ServiceUnavailable", "", Class::Unavailable),
            (500, "", "", Class::Unavailable),
            (400, "ValidationException", "", Class::Refused),
            (400, "SerializationException", "", Class::Refused),
            (400, "ItemCollectionSizeLimitExceededException", "", Class::Refused),
            (400, "IdempotentParameterMismatchException", "", Class::Refused),
            (400, "ConditionalCheckFailedException", "", Class::Refused),
            (413, "", "", Class::Refused),
            (400, "AccessDeniedException", "", Class::Denied),
            (400, "ResourceNotFoundException", "", Class::Denied),
            (400, "UnrecognizedClientException", "", Class::Denied),
            (400, "ExpiredTokenException", "", Class::Denied),
            (400, "InvalidSignatureException", "", Class::Denied),
            (400, "IncompleteSignatureException", "", Class::Denied),
            (400, "MissingAuthenticationTokenException", "", Class::Denied),
            (421, "InvalidEndpointException", "", Class::Denied),
            (400, "SomethingNewException", "", Class::Denied),
        ] {
            let is = Class::of(status, code, message);
            assert_eq!(is, class, "{status} {code} {message}");
            let temporary = matches!(class, Class::Throttled | Class::Unavailable);
            assert_eq!(is.error(String::new()).is_transient(), temporary);
        }
    }
}
