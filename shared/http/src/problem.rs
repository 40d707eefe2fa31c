//! Errors as RFC 9457 problem documents: one enum, one table of status codes, one shape of body.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::invalid::{FieldError, Invalid};
use tally_core::time::Timestamp;
use tally_service::apps::create::NewAppError;
use tally_service::auth::token::{SigningKeyError, TokenError};
use tally_service::budget::{ReadError, Spent};
use tally_service::ingest::quota::QuotaError;
use tally_store::StoreError;

/// An error of a request.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// 400: invalid input, by field.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// 401: no credentials, or unknown ones.
    #[error("{0}")]
    Unauthorized(String),
    /// 401: a key that was good until this time.
    #[error("this key expired at {0}: ask for a new one where it came from")]
    ExpiredKey(Timestamp),
    /// 403: credentials that do not allow this.
    #[error("{0}")]
    Forbidden(String),
    /// 404: no such thing.
    #[error("{0}")]
    NotFound(String),
    /// 405: the methods that are allowed.
    #[error("method not allowed: use one of {0}")]
    MethodNotAllowed(String),
    /// 409: the request conflicts with the current state.
    #[error("{0}")]
    Conflict(String),
    /// 413: a body over its limit.
    #[error("{0}")]
    TooLarge(String),
    /// 415: a body of an unsupported type.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// 429: too many requests or events, and the seconds to wait.
    #[error("{0}")]
    TooManyRequests(String, u32),
    /// 503: a temporary fault; the caller may retry.
    #[error("the database is unavailable: retry in a moment")]
    Unavailable,
    /// 503: another service that is needed for the answer gives none.
    #[error("{0}")]
    Upstream(String),
    /// 500: a fault of the server; its text goes to the log only.
    #[error("internal error: the server has logged it")]
    Internal(String),
}

/// The `Retry-After` of what the store could not take, in seconds.
pub const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The type of the problem of a key that expired.
pub const EXPIRED_KEY: &str = "urn:tally:expired-key";

/// An error (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDocument<'a> {
    /// `about:blank`, where the status tells the kind of problem; `urn:tally:expired-key` for a key that expired.
    r#type: &'static str,
    /// The kind of problem in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong, and what to send instead.
    detail: String,
    /// When the key expired; only of an expired key.
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_at: Option<Timestamp>,
    /// Every wrong field of the input; only with status 400.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// Invalid input in one field.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(Invalid::field(field, detail))
    }

    /// A question that reads more than one request may, and the field that makes it large.
    pub fn too_much(spent: Spent, field: &str) -> Self {
        let limit = match spent {
            Spent::Units => ". The setting TALLY_READ_BUDGET is the limit",
            Spent::Memory | Spent::Time => "",
        };
        Self::field(field, format!("{spent}: ask for a shorter time or for one `level`{limit}"))
    }

    /// An error of a read. `field` is what makes the question large.
    pub fn of_read(error: ReadError, field: &str) -> Self {
        match error {
            ReadError::Store(error) => error.into(),
            ReadError::Spent(spent) => Self::too_much(spent, field),
        }
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) | Self::ExpiredKey(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests(..) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable | Self::Upstream(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, "the store failed");
            Self::Unavailable
        } else {
            Self::Internal(error.to_string())
        }
    }
}

impl From<QuotaError> for Problem {
    fn from(error: QuotaError) -> Self {
        Self::TooManyRequests(error.to_string(), error.seconds)
    }
}

impl From<NewAppError> for Problem {
    fn from(error: NewAppError) -> Self {
        match error {
            NewAppError::Name(error) => Self::field("name", error.to_string()),
            NewAppError::Taken(_) => Self::Conflict(error.to_string()),
            NewAppError::Store(error) => error.into(),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Store(error) => error.into(),
            refused => Self::Unauthorized(refused.to_string()),
        }
    }
}

impl From<SigningKeyError> for Problem {
    fn from(error: SigningKeyError) -> Self {
        match error {
            SigningKeyError::Store(error) => error.into(),
            SigningKeyError::Unusable => Self::Internal(error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        if let Self::Internal(error) = &self {
            tracing::error!(error, "answered 500");
        }
        let errors = match &self {
            Self::Invalid(Invalid(errors)) => errors.as_slice(),
            _ => &[],
        };
        let document = ProblemDocument {
            r#type: match self {
                Self::ExpiredKey(_) => EXPIRED_KEY,
                _ => "about:blank",
            },
            title: match self {
                Self::ExpiredKey(_) => "Expired key",
                _ => status.canonical_reason().unwrap_or("Error"),
            },
            status: status.as_u16(),
            detail: self.to_string(),
            expired_at: match self {
                Self::ExpiredKey(at) => Some(at),
                _ => None,
            },
            errors,
        };
        // Texts and numbers alone always serialize.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        match &self {
            Self::Unauthorized(_) | Self::ExpiredKey(_) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tally\""));
            }
            Self::MethodNotAllowed(methods) => {
                if let Ok(methods) = HeaderValue::from_str(methods) {
                    headers.insert(ALLOW, methods);
                }
            }
            Self::TooManyRequests(_, seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Self::Unavailable | Self::Upstream(_) => {
                headers.insert(RETRY_AFTER, RETRY_SECONDS);
            }
            _ => {}
        }
        // For the compats, which have their own format.
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// A JSON reply.
///
/// # Errors
/// Where the value cannot be serialized, which a value of texts, numbers and lists always can.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(|e| Problem::Internal(e.to_string()))?;
    Ok((status, [(CONTENT_TYPE, "application/json")], body).into_response())
}
