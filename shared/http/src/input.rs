//! Named values of a request: each is read once and checked, the rest is refused, and every error is reported at once.
//! Query parameters ([`Params`](crate::parameters::Params)) and the fields of a JSON object
//! ([`Fields`](crate::body::Fields)) are both an [`Input`].

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use tally_core::event::json::JsonError;
use tally_core::invalid::{Invalid, Problems};

use crate::limits::Limits;
use crate::problem::Problem;
use crate::synonyms::meant;

/// The raw value of one name.
pub trait Value {
    /// Whether it means the same as no value: an empty parameter, a JSON null.
    fn is_absent(&self) -> bool;

    /// The value as a text.
    ///
    /// # Errors
    /// Where it is of another type.
    fn into_text(self) -> Result<String, JsonError>;

    /// The value as a whole number, if it is one.
    fn into_number(self) -> Option<u64>;
}

/// The values that have not been read yet, and the errors so far.
pub struct Input<V> {
    left: Vec<(String, V)>,
    problems: Problems,
    /// The names that were asked for.
    known: Known,
    /// What the key of the caller may not read.
    limits: Option<Arc<Limits>>,
}

/// The names that an input may have.
enum Known {
    /// Those that are asked for while it is read.
    Asked(Vec<String>),
    /// These. An event has the same names as the thousand before it.
    Fixed(&'static [&'static str]),
}

impl<V: Value> Input<V> {
    pub(crate) fn new(left: Vec<(String, V)>, problems: Problems) -> Self {
        Self { left, problems, known: Known::Asked(vec![]), limits: None }
    }

    /// The same, sent with a key that may not read all. Filters that are read from it match no more than the key may read.
    #[must_use]
    pub fn within(mut self, limits: Option<Arc<Limits>>) -> Self {
        self.limits = limits;
        self
    }

    /// What the key of the caller may not read.
    pub fn limits(&self) -> Option<Arc<Limits>> {
        self.limits.clone()
    }

    /// The same, where the names that may be asked for are known in advance.
    #[must_use]
    pub(crate) fn knowing(mut self, names: &'static [&'static str]) -> Self {
        self.known = Known::Fixed(names);
        self
    }

    /// Whether a name was sent and not read yet, with a value or without.
    pub fn was_sent(&self, name: &str) -> bool {
        self.left.iter().any(|(n, _)| n == name)
    }

    /// The raw value of a name, if it has one.
    pub fn raw(&mut self, name: &str) -> Option<V> {
        if let Known::Asked(names) = &mut self.known {
            names.push(name.to_owned());
        }
        let at = self.left.iter().position(|(n, _)| n == name)?;
        Some(self.left.swap_remove(at).1).filter(|value| !value.is_absent())
    }

    /// The text of a name; an empty text counts as absent.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        self.keep_json(name, raw.into_text()).filter(|text| !text.is_empty())
    }

    /// The text of a name that has an alias. Sending both is an error.
    pub fn text_of(&mut self, name: &str, alias: &str) -> Option<String> {
        let (one, other) = (self.text(name), self.text(alias));
        if one.is_some() && other.is_some() {
            self.add(alias, format!("means the same as `{name}`: send one of them"));
        }
        one.or(other)
    }

    /// The text of a name that the path may give as well. Sending it in both places is an error.
    pub fn text_or_path(&mut self, name: &str, in_path: Option<String>) -> Option<String> {
        let sent = self.text(name);
        if sent.is_some() && in_path.is_some() {
            self.add(name, "the path has it already: send it once");
        }
        in_path.or(sent)
    }

    /// A value of a type that reads itself.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        self.keep(name, text.parse())
    }

    /// A whole number within limits. A type too small for the upper limit reads as absent.
    pub fn number<T: TryFrom<u64>>(&mut self, name: &str, from: u64, to: u64) -> Option<T> {
        let raw = self.raw(name)?;
        let number = raw.into_number().filter(|number| (from..=to).contains(number));
        if number.is_none() {
            self.add(name, format!("must be a whole number from {from} to {to}"));
        }
        T::try_from(number?).ok()
    }

    /// One of some words, and what it means.
    pub fn choice<T: Clone>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| meaning.clone());
        if chosen.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.add(name, format!("must be {}", words.join(" or ")));
        }
        chosen
    }

    /// The value, or none with its error recorded under `name`.
    pub fn keep<T>(&mut self, name: &str, result: Result<T, impl Display>) -> Option<T> {
        self.problems.keep(name, result)
    }

    /// The same for a piece of JSON, whose error also names the place inside it.
    pub fn keep_json<T>(&mut self, name: &str, result: Result<T, JsonError>) -> Option<T> {
        result
            .map_err(|e| {
                let path = if e.path.is_empty() { name.to_owned() } else { format!("{name}.{}", e.path) };
                self.problems.add(path, e.detail);
            })
            .ok()
    }

    /// Records the errors of a nested object under `name`.
    pub fn add_nested(&mut self, name: &str, result: Result<(), Invalid>) {
        for error in result.err().into_iter().flat_map(|Invalid(errors)| errors) {
            self.add(&format!("{name}.{}", error.field), error.detail);
        }
    }

    /// Records an error.
    pub fn add(&mut self, name: &str, detail: impl Display) {
        self.problems.add(name, detail);
    }

    /// Makes an error of every value that has not been read: a value of `kind`, and what to do about it.
    pub(crate) fn refuse_rest(&mut self, kind: &str, hint: &str) {
        for (name, _) in std::mem::take(&mut self.left) {
            let meant = match &self.known {
                Known::Asked(names) => meant(&name, &names.iter().map(String::as_str).collect::<Vec<_>>()),
                Known::Fixed(names) => meant(&name, names),
            };
            let detail = match meant {
                Some(meant) => format!("unknown {kind}: did you mean `{meant}`? If not, {hint}"),
                None => format!("unknown {kind}: {hint}"),
            };
            self.problems.add(name, detail);
        }
    }

    /// Ends the reading; values that have not been read are ignored.
    ///
    /// # Errors
    /// All errors that were recorded.
    pub fn check(self) -> Result<(), Invalid> {
        self.problems.check()
    }

    /// Ends the reading like [`check`](Self::check) and gives the value that was read.
    ///
    /// # Errors
    /// All errors that were recorded; an internal one where there is no value and no error either.
    pub fn give<T>(self, value: Option<T>) -> Result<T, Problem> {
        self.check()?;
        value.ok_or_else(|| Problem::Internal("input without a value passed its checks".to_owned()))
    }

    pub(crate) fn left_mut(&mut self) -> &mut Vec<(String, V)> {
        &mut self.left
    }
}
