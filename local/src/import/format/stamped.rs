//! Text with a leading time: the output of most frameworks, `aws logs` and containers.

use tally_core::event::json::Json;
use tally_core::log::level;

use super::table::{Format, Parsed, Reader, Text};
use crate::import::json::Object;
use crate::import::oddity::Oddities;
use crate::import::time::{self, Clock};

/// The number of words after the time that are searched for a level.
const WORDS: usize = 4;

/// Reads a time, possibly in brackets, and the text after it, which may itself be JSON or logfmt.
pub(super) fn parse(line: &str, clock: &mut Clock, oddities: &mut Oddities) -> Option<Parsed> {
    let bracket = line.starts_with('[');
    let text = if bracket { &line[1..] } else { line };
    let (at, length) = time::leading(text, clock)?;
    let rest = &text[length..];
    let rest = if bracket { rest.strip_prefix(']').unwrap_or(rest) } else { rest };
    if !rest.is_empty() && !rest.starts_with([' ', '\t', ':', ',', ';', '|', '-', '[', ']']) {
        return None;
    }
    let rest = rest.trim_start_matches([' ', '\t', ':', ',', ';', '|', '-']);
    let (stream, rest) = container(rest);
    let mut parsed = inner(rest, oddities).unwrap_or_else(|| with_level(rest));
    parsed.time = Some(at);
    if let Some(stream) = stream {
        parsed.object.entry("stream".to_owned()).or_insert_with(|| Json::String(stream.to_owned()));
    }
    Some(parsed)
}

/// The stream that containerd writes before a line.
fn container(text: &str) -> (Option<&str>, &str) {
    for stream in ["stdout", "stderr"] {
        let rest = text.strip_prefix(stream).and_then(|rest| rest.strip_prefix(" F ").or(rest.strip_prefix(" P ")));
        if let Some(rest) = rest {
            return (Some(stream), rest);
        }
    }
    (None, text)
}

fn inner(text: &str, oddities: &mut Oddities) -> Option<Parsed> {
    if text.starts_with('{') {
        let object = crate::import::json::object(text, oddities).ok().flatten()?;
        return Some(Parsed::new(Format::of_object(&object), object, Text::None));
    }
    Parsed::logfmt(text)
}

fn with_level(rest: &str) -> Parsed {
    let words = rest.split_whitespace().filter(|word| !matches!(*word, "-" | "|" | ":")).take(WORDS);
    let found = words.enumerate().find_map(|(place, word)| Some((place, word, level::of_word(word)?)));
    let mut message = rest;
    if let Some((0, word, _)) = found {
        message = rest.trim_start_matches([' ', '\t', '-', '|', ':']);
        message = message.strip_prefix(word).unwrap_or(message).trim_start_matches([' ', '\t', '-', '|', ':']);
    }
    // A line with only a level has no other text.
    let message = if message.is_empty() { rest } else { message };
    let mut object = Object::new();
    if !message.is_empty() {
        object.insert("message".to_owned(), Json::String(message.to_owned()));
    }
    let mut parsed = Parsed::new(Format::of_reader(Reader::Stamped), object, Text::Stamped);
    parsed.level = found.map(|(_, _, level)| level);
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn read(line: &str) -> Option<(String, String, String)> {
        let parsed = parse(line, &mut Clock::new(TimeZone::UTC), &mut Oddities::default())?;
        let object = serde_json::to_string(&Json::Object(parsed.object)).ok()?;
        let level = parsed.level.map_or_else(String::new, |level| level.to_string());
        Some((parsed.time?.to_string(), level, object))
    }

    #[test]
    fn time_level_and_message_are_told_apart() {
        let nine = "2026-11-26T09:00:00Z";
        for (line, level, message) in [
            ("2026-11-26 09:00:00 ERROR it failed", "ERROR", "it failed"),
            ("[2026-11-26 09:00:00] production.ERROR: it failed", "ERROR", "it failed"),
            ("2026-11-26 09:00:00 - root - ERROR - it failed", "ERROR", "root - ERROR - it failed"),
            ("2026/11/26 09:00:00 [error] 12#0: it failed", "ERROR", "12#0: it failed"),
            ("[Thu Nov 26 09:00:00 2026] [core:error] [pid 12] it failed", "ERROR", "[pid 12] it failed"),
            ("[2026-11-26T09:00:00Z WARN  app] careful", "WARN", "app] careful"),
            ("2026-11-26 09:00:00 no error here", "", "no error here"),
            ("2026-11-26 09:00:00 INFO", "INFO", "INFO"),
        ] {
            let message = serde_json::to_string(&Json::Object(Object::from([(
                "message".to_owned(),
                Json::String(message.to_owned()),
            )])));
            assert_eq!(read(line), Some((nine.to_owned(), level.to_owned(), message.expect("JSON"))), "{line}");
        }
        for (line, object) in [
            ("2026-11-26T09:00:00Z {\"a\":1}", r#"{"a":1}"#),
            ("2026-11-26T09:00:00Z stderr F {\"a\":1}", r#"{"a":1,"stream":"stderr"}"#),
            ("2026-11-26T09:00:00Z at=info method=GET", r#"{"at":"info","method":"GET"}"#),
        ] {
            assert_eq!(read(line).map(|read| read.2).as_deref(), Some(object), "{line}");
        }
        for line in ["it failed at 2026-11-26 09:00:00", "2026-11-26 09:00:00x", "[x]"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
