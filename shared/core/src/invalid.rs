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

/// Maximum bytes of each text of a field error.
const MOST_BYTES: usize = 1_024;

fn shortened(mut text: String) -> String {
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        text.push('…');
    }
    text
}

impl FieldError {
    /// An error with the first 1,024 bytes of each text: both may repeat what was sent.
    fn new(field: String, detail: String) -> Self {
        Self { field: shortened(field), detail: shortened(detail) }
    }
}

/// Invalid input, with at least one field error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid(pub Vec<FieldError>);

impl Invalid {
    /// One wrong field.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(vec![FieldError::new(field.into(), detail.into())])
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
        self.0.push(FieldError::new(field.into(), detail.to_string()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_short_however_long_the_names_they_repeat() {
        let mut problems = Problems::default();
        for _ in 0..1_000 {
            problems.add("é".repeat(100_000), "ü".repeat(100_000));
        }
        let Invalid(errors) = problems.check().expect_err("errors");
        assert_eq!(errors.len(), MOST);
        for text in errors.iter().flat_map(|error| [&error.field, &error.detail]) {
            assert!(text.len() <= MOST_BYTES + 3 && text.ends_with('…'), "{text}");
        }
    }
}
