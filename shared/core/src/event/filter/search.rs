//! A search for a text in what an event says, in upper or lower case.

use crate::event::Event;
use crate::event::json::Json;

/// Longest text to search for, in bytes.
pub const MAX_SEARCH: usize = 200;

/// A text cannot be searched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes: send a text of 1 to {MAX_SEARCH} bytes")]
pub struct SearchError(usize);

/// A text that an event has in its name, message, user, session, or in a string of its `data` or `stack`; keys do not count.
/// Letters are equal if their simple lower cases are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSearch {
    /// Its characters in lower case; at least one.
    wanted: Vec<char>,
    /// By the number of characters that are equal so far, how many still are where the next differs: what Knuth, Morris and
    /// Pratt use to look at each character of a text once. A text of the sender's choice then costs no more than another.
    fallback: Vec<usize>,
}

impl TextSearch {
    /// A search for a text.
    ///
    /// # Errors
    /// Where it is empty, or longer than [`MAX_SEARCH`].
    pub fn new(text: &str) -> Result<Self, SearchError> {
        if text.is_empty() || text.len() > MAX_SEARCH {
            return Err(SearchError(text.len()));
        }
        let wanted: Vec<char> = text.chars().map(lower).collect();
        let mut fallback = vec![0; wanted.len()];
        let mut equal = 0;
        for at in 1..wanted.len() {
            while equal > 0 && wanted[at] != wanted[equal] {
                equal = fallback[equal - 1];
            }
            equal += usize::from(wanted[at] == wanted[equal]);
            fallback[at] = equal;
        }
        Ok(Self { wanted, fallback })
    }

    /// Whether an event has it.
    pub fn matches(&self, event: &Event) -> bool {
        let texts = [&event.message, &event.user_id, &event.session_id].into_iter().flatten();
        self.is_in(&event.name)
            || texts.into_iter().any(|text| self.is_in(text))
            || [&event.data, &event.stack].into_iter().flatten().any(|json| self.is_in_json(json))
    }

    /// Whether a text has it. Nothing is allocated.
    pub fn is_in(&self, text: &str) -> bool {
        let mut equal = 0;
        for each in text.chars().map(lower) {
            while equal > 0 && each != self.wanted[equal] {
                equal = self.fallback[equal - 1];
            }
            equal += usize::from(each == self.wanted[equal]);
            if equal == self.wanted.len() {
                return true;
            }
        }
        false
    }

    /// Whether a string has it, at any depth; data is stored with few levels.
    fn is_in_json(&self, json: &Json) -> bool {
        match json {
            Json::String(text) => self.is_in(text),
            Json::Array(items) => items.iter().any(|item| self.is_in_json(item)),
            Json::Object(fields) => fields.values().any(|value| self.is_in_json(value)),
            Json::Null | Json::Bool(_) | Json::Number(_) => false,
        }
    }
}

/// The simple lower case: one character for each, whatever stands beside it. Of the only one whose full lower case is longer,
/// `İ`, the simple one is the first of it, `i`.
fn lower(each: char) -> char {
    if each.is_ascii() { each.to_ascii_lowercase() } else { each.to_lowercase().next().unwrap_or(each) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json;

    fn has(text: &str, wanted: &str) -> bool {
        TextSearch::new(wanted).expect(wanted).is_in(text)
    }

    /// By lower casing both and looking at every place.
    fn naive(text: &str, wanted: &str) -> bool {
        let lower = |text: &str| text.chars().filter_map(|each| each.to_lowercase().next()).collect::<String>();
        lower(text).contains(&lower(wanted))
    }

    #[test]
    fn case_does_not_count_in_any_script() {
        for (text, wanted) in [
            ("Payment TIMED out", "timed OUT"),
            ("ÄRGER im Büro", "ärger IM bÜ"),
            ("ΟΔΟΣ", "οδοσ"),
            ("Привет", "ПРИВЕТ"),
            ("İstanbul", "istanbul"),
            ("\u{212a}elvin", "kelvin"),
            ("aabaabaaab", "aabaaab"),
            ("日本語", "本"),
            ("a", "A"),
        ] {
            assert!(has(text, wanted) && naive(text, wanted), "{wanted} in {text}");
        }
        for (text, wanted) in [("", "a"), ("ab", "abc"), ("straße", "strasse"), ("ab ab", "abab"), ("aaab", "aaaab")] {
            assert!(!has(text, wanted) && !naive(text, wanted), "{wanted} in {text}");
        }
    }

    #[test]
    fn only_a_text_of_some_length_is_searched_for() {
        assert_eq!(TextSearch::new(""), Err(SearchError(0)));
        assert_eq!(TextSearch::new(&"ä".repeat(101)), Err(SearchError(202)));
        assert!(TextSearch::new(&"ä".repeat(100)).is_ok());
    }

    #[test]
    fn names_and_values_are_searched_and_keys_are_not() {
        let value = |text: &str| json::document(text.as_bytes()).and_then(|raw| json::value(raw, 16)).expect("JSON");
        let event = Event {
            id: crate::event::id::EventId::first_at(crate::time::Timestamp::EPOCH),
            client_id: Some("of-client".into()),
            name: "of-name".into(),
            slug: "of-slug".into(),
            category: Some("of-category".into()),
            level: None,
            message: Some("of-message".into()),
            session_id: Some("of-session".into()),
            alias: None,
            user_id: Some("of-user".into()),
            fingerprint: Some("of-print".into()),
            timestamp: crate::time::Timestamp::EPOCH,
            received_at: crate::time::Timestamp::EPOCH,
            count: 1,
            data: Some(value(r#"{"of-key":["of-item",{"deep":"of-depth"}],"n":12345}"#)),
            tags: Some(value(r#"{"a":"of-tag"}"#)),
            stack: Some(value(r#"["of-stack"]"#)),
        };
        let finds = |text: &str| TextSearch::new(text).expect(text).matches(&event);
        for text in ["OF-NAME", "of-message", "of-session", "of-user", "of-item", "of-depth", "of-stack"] {
            assert!(finds(text), "{text}");
        }
        for text in ["of-key", "12345", "of-tag", "of-slug", "of-category", "of-print", "of-client", "of-nothing"] {
            assert!(!finds(text), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_is_found_as_by_lower_casing_both(
            text in "[aAbBäÄKk\u{212a}İiIσςΣ ]{0,40}",
            wanted in "[aAbBäÄKk\u{212a}İiIσςΣ ]{1,6}",
            any in ".{0,60}",
            cut in (0_usize..60, 1_usize..20),
        ) {
            assert_eq!(has(&text, &wanted), naive(&text, &wanted), "{wanted:?} in {text:?}");
            assert_eq!(has(&any, &wanted), naive(&any, &wanted), "{wanted:?} in {any:?}");
            let part: String = any.chars().skip(cut.0).take(cut.1).flat_map(char::to_uppercase).collect();
            if !part.is_empty() {
                assert_eq!(has(&any, &part), naive(&any, &part), "{part:?} in {any:?}");
            }
        }
    }
}
