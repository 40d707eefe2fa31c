//! Bad input: which field, and what to send instead.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// The name of the field or parameter, dotted where it is nested; empty where the whole input is meant.
    pub field: String,
    /// What is wrong and what to send instead.
    pub detail: String,
}

/// Invalid input, with at least one field error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid(pub Vec<FieldError>);

impl Invalid {
    /// One wrong field.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(vec![FieldError { field: field.into(), detail: detail.into() }])
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            match error.field.as_str() {
                "" => f.write_str(&error.detail)?,
                field => write!(f, "`{field}`: {}", error.detail)?,
            }
        }
        Ok(())
    }
}

/// Maximum number of field errors reported for one input.
const MOST: usize = 100;

/// Collects what is wrong with the fields of one input, so that the caller learns of all at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    /// Adds a field error. Errors after the first 100 are dropped.
    pub fn add(&mut self, field: impl Into<String>, detail: impl fmt::Display) {
        if self.0.len() >= MOST {
            return;
        }
        self.0.push(FieldError { field: field.into(), detail: detail.to_string() });
    }

    /// The value, or none with its error noted under `field`.
    pub fn keep<T, E: fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|e| self.add(field, e)).ok()
    }

    /// Fails with all that was noted, if anything was.
    pub fn check(self) -> Result<(), Invalid> {
        if self.0.is_empty() { Ok(()) } else { Err(Invalid(self.0)) }
    }
}
