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

/// Cuts a text that repeats what was sent.
fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

impl FieldError {
    fn new(field: String, detail: String) -> Self {
        Self { field: shortened(field, LONGEST), detail: shortened(detail, LONGEST_DETAIL) }
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

    /// The same errors of what stands in a field.
    #[must_use]
    pub fn within(self, field: &str) -> Self {
        let nested = |inner: &str| if inner.is_empty() { field.to_owned() } else { format!("{field}.{inner}") };
        Self(self.0.into_iter().map(|error| FieldError::new(nested(&error.field), error.detail)).collect())
    }

    /// The first errors, `most` at the most, and how many more there are.
    #[must_use]
    pub fn first(mut self, most: usize) -> Self {
        let more = self.0.len().saturating_sub(most);
        if more > 0 {
            self.0.truncate(most);
            self.0.push(FieldError { field: String::new(), detail: format!("{more} more errors are not listed") });
        }
        self
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
/// Maximum bytes of a field's name that are repeated. The limit of every name that means something is lower.
const LONGEST: usize = 300;
/// Maximum bytes of the text of an error.
const LONGEST_DETAIL: usize = 1_024;

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
    fn neither_many_errors_nor_long_names_are_repeated_in_full() {
        let mut problems = Problems::default();
        for n in 0..1_000 {
            problems.add(format!("{n}{}", "é".repeat(1_000)), "wrong");
        }
        let Invalid(errors) = problems.check().expect_err("errors");
        assert_eq!(errors.len(), MOST);
        assert!(errors.iter().all(|error| error.field.len() <= LONGEST + 3 && error.field.ends_with('…')));
        let Invalid(first) = Invalid(errors.clone()).first(10);
        assert_eq!((first.len(), first[10].detail.as_str()), (11, "90 more errors are not listed"));
        assert_eq!(Invalid(errors.clone()).first(MOST), Invalid(errors));
        assert!(Invalid::field("x".repeat(1_000), "wrong").to_string().len() < 320);
    }
}
