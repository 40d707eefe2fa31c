//! What several commands share: numbers and lists of the API.

use serde_json::Value;

use super::error::CliError;
use super::remote::{Query, Tally};
use super::text::harmless;

/// Pages of a list that are read at most.
const PAGES: usize = 100;

/// All items of a list of the API, page after page, at most `most`.
pub(super) async fn items(tally: &Tally, path: &str, mut query: Query, most: usize) -> Result<Vec<Value>, CliError> {
    let mut items = Vec::new();
    for _ in 0..PAGES {
        let mut page: Value = tally.read(path, &query).await?;
        if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
            items.extend(more);
        }
        match page["next"].as_str() {
            Some(next) if items.len() < most => query = vec![("cursor".to_owned(), next.to_owned())],
            _ => break,
        }
    }
    items.truncate(most);
    Ok(items)
}

/// The text of a field, harmless, or nothing.
pub(super) fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => String::new(),
        Value::String(text) => harmless(text).into_owned(),
        other => harmless(&other.to_string()).into_owned(),
    }
}

/// The number of a field, or 0.
pub(super) fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_default()
}

/// A count with its word: `1 event`, `1,234 events`.
pub(super) fn counted(number: u64, word: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {word}{s}", crate::numbers::thousands(number))
}
