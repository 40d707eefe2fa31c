//! The arguments of a tool, made the query or the body of a question to the API, which checks their values.

use form_urlencoded::Serializer;
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// The fields that `filters` may name, beside `attr.` and a path; each with an operator in brackets or without.
pub(crate) const FILTERS: [&str; 10] =
    ["name", "event", "slug", "category", "level", "group", "message", "session_id", "user_id", "fingerprint"];
/// The search, which has no operator.
pub(crate) const SEARCH: &str = "q";

/// Arguments that are taken one by one, and what is wrong with them.
pub(crate) struct Arguments {
    left: Map<String, Value>,
    wrong: Vec<String>,
}

impl Arguments {
    pub(crate) fn of(sent: Map<String, Value>) -> Self {
        Self { left: sent, wrong: vec![] }
    }

    /// A value as it was sent; null is none.
    pub(crate) fn raw(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// A text; a number is taken as its text.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let text = scalar(&self.raw(name)?);
        if text.is_none() {
            self.wrong.push(format!("{name}: must be a text"));
        }
        text.filter(|text| !text.is_empty())
    }

    /// A number of a range.
    pub(crate) fn number(&mut self, name: &str, from: u64, to: u64) -> Option<u64> {
        let number = self.raw(name)?.as_u64().filter(|number| (from..=to).contains(number));
        if number.is_none() {
            self.wrong.push(format!("{name}: must be a whole number from {from} to {to}"));
        }
        number
    }

    /// The arguments of these names, as parameters of the API with the same names.
    pub(crate) fn parameters(&mut self, names: &[&'static str]) -> Parameters {
        let sent = names.iter().filter_map(|name| Some(((*name).to_owned(), self.text(name)?)));
        Parameters(sent.collect())
    }

    /// The argument `filters`, as parameters of the API.
    pub(crate) fn filters(&mut self) -> Parameters {
        let filters = match self.raw("filters") {
            None => Map::new(),
            Some(Value::Object(filters)) => filters,
            Some(_) => {
                self.wrong.push("filters: must be an object, such as {\"level\": \"ERROR\"}".to_owned());
                Map::new()
            }
        };
        let mut all = Vec::new();
        for (name, value) in filters {
            let values = match &value {
                Value::Array(values) => values.iter().map(scalar).collect(),
                one => scalar(one).map(|one| vec![one]),
            };
            match values {
                // The names decide what a question asks, so no other may be among them, such as one of a credential.
                _ if !is_filter(&name) => self.wrong.push(format!(
                    "filters.{name}: is none: send {}, {SEARCH}, or attr. and a path into `data`",
                    FILTERS.join(", ")
                )),
                Some(values) => all.extend(values.into_iter().map(|value| (name.clone(), value))),
                None => self.wrong.push(format!("filters.{name}: must be a text, or a list of texts")),
            }
        }
        Parameters(all)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All that is wrong, and every argument that nobody took.
    pub(crate) fn finish(mut self) -> Result<(), Refusal> {
        self.wrong.extend(self.left.keys().map(|name| format!("{name}: this tool has no such argument: leave it out")));
        if self.wrong.is_empty() { Ok(()) } else { Err(Refusal::new(self.wrong.join("; "))) }
    }
}

fn is_filter(name: &str) -> bool {
    let field = name.strip_suffix("[ne]").unwrap_or(name);
    name == SEARCH || FILTERS.contains(&field) || name.strip_prefix("attr.").is_some_and(|path| !path.is_empty())
}

/// A text; of a number or of true and false the text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Parameters of a question to the API.
#[derive(Clone, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// With a value, if there is one.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, wanted: &str) -> bool {
        self.0.iter().any(|(name, _)| name == wanted)
    }

    /// As the query of a URL.
    pub(crate) fn query(&self) -> String {
        Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use schemars::SchemaGenerator;
    use serde_json::json;
    use tally_http::parameters::event_filters;

    use super::*;

    fn arguments(json: Value) -> Arguments {
        match json {
            Value::Object(fields) => Arguments::of(fields),
            _ => panic!("no object"),
        }
    }

    #[test]
    fn filters_are_those_of_the_api() {
        let mut known: Vec<_> = FILTERS.into_iter().chain([SEARCH]).collect();
        let parameters = event_filters(&mut SchemaGenerator::default());
        let mut of_the_api: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
        of_the_api.retain(|name| !name.ends_with("[ne]") && *name != "attributes");
        known.sort_unstable();
        of_the_api.sort_unstable();
        assert_eq!(known, of_the_api);
    }

    #[test]
    fn no_filter_is_another_parameter() {
        for name in ["read_key", "access_token", "since", "limit", "cursor", "attr.", "name[gt]", "", "q[ne]"] {
            let mut sent = arguments(json!({"filters": {name: "x"}}));
            assert_eq!(sent.filters().query(), "", "{name}");
            assert!(sent.finish().is_err(), "{name}");
        }
        let mut sent = arguments(json!({"filters": {"level[ne]": ["INFO", "WARN"], "attr.n[gte]": 3}}));
        assert_eq!(sent.filters().query(), "attr.n%5Bgte%5D=3&level%5Bne%5D=INFO&level%5Bne%5D=WARN");
        assert!(sent.finish().is_ok());
    }
}
