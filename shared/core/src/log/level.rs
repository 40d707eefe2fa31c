//! Severities as loggers write them: by name, or by a number on the scale of the format.

use crate::event::json::Json;
use crate::event::level::Level;

/// What the numbers of a format mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// 10 to 60, as pino and bunyan write them.
    Pino,
    /// 0 to 7, the severities of syslog.
    Syslog,
    /// 1 to 24, the severity numbers of OpenTelemetry.
    OpenTelemetry,
}

/// The level that a value names, if it is understood.
pub fn of_json(value: &Json, scale: Scale) -> Option<Level> {
    match value {
        Json::String(text) => of_text(text.trim(), scale),
        Json::Number(number) => of_number(number.as_str(), scale),
        _ => None,
    }
}

fn of_text(text: &str, scale: Scale) -> Option<Level> {
    of_name(text).or_else(|| of_number(text, scale))
}

/// The level of a name: Tally's own names, and names that only logs use.
pub fn of_name(text: &str) -> Option<Level> {
    if let Ok(level) = text.parse() {
        return Some(level);
    }
    // slog's `INFO+2`, OpenTelemetry's `WARN3`.
    let base = text.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['+', '-']);
    if base.len() < text.len()
        && let Ok(level) = base.parse()
    {
        return Some(level);
    }
    let known = [("silly", Level::Trace), ("http", Level::Debug), ("success", Level::Info), ("log", Level::Info)];
    known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, level)| level)
}

fn of_number(text: &str, scale: Scale) -> Option<Level> {
    let number: u32 = text.parse().ok()?;
    Some(match (scale, number) {
        (Scale::Pino, 10..=19) | (Scale::OpenTelemetry, 1..=4) => Level::Trace,
        (Scale::Pino, 20..=29) | (Scale::Syslog, 7) | (Scale::OpenTelemetry, 5..=8) => Level::Debug,
        (Scale::Pino, 30..=39) | (Scale::Syslog, 5..=6) | (Scale::OpenTelemetry, 9..=12) => Level::Info,
        (Scale::Pino, 40..=49) | (Scale::Syslog, 4) | (Scale::OpenTelemetry, 13..=16) => Level::Warn,
        (Scale::Pino, 50..=59) | (Scale::Syslog, 3) | (Scale::OpenTelemetry, 17..=20) => Level::Error,
        (Scale::Pino, 60..=69) | (Scale::Syslog, 0..=2) | (Scale::OpenTelemetry, 21..=24) => Level::Fatal,
        _ => return None,
    })
}

/// The level for an HTTP response status.
pub fn of_status(status: &str) -> Option<Level> {
    match status.parse().ok()? {
        100..=399 => Some(Level::Info),
        400..=499 => Some(Level::Warn),
        500..=599 => Some(Level::Error),
        _ => None,
    }
}

/// The level that a word in a text line names: in capitals, or in any case between brackets or before a colon.
pub fn of_word(word: &str) -> Option<Level> {
    let bare = word.trim_matches(|c: char| "[]<>()|:,-".contains(c));
    // Monolog writes `production.ERROR:`, Apache `[core:error]`.
    let bare = bare.rsplit(['.', ':']).next().unwrap_or(bare);
    let marked = word.starts_with(['[', '<', '(', '|']) || word.ends_with(':');
    let capitals = bare.len() > 1 && bare.bytes().all(|b| b.is_ascii_uppercase());
    (capitals || marked).then(|| bare.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, scale: Scale) -> Option<Level> {
        of_json(&Json::String(text.to_owned()), scale)
    }

    #[test]
    fn numbers_mean_what_their_format_says() {
        let levels = |scale, numbers: &[&str]| numbers.iter().map(|n| text(n, scale)).collect::<Vec<_>>();
        let all: Vec<_> = Level::ALL.into_iter().map(Some).collect();
        assert_eq!(levels(Scale::Pino, &["10", "20", "30", "40", "50", "60"]), all);
        assert_eq!(levels(Scale::OpenTelemetry, &["1", "5", "9", "13", "17", "21"]), all);
        assert_eq!(levels(Scale::OpenTelemetry, &["4", "8", "12", "16", "20", "24"]), all);
        let syslog = [
            Level::Fatal,
            Level::Fatal,
            Level::Fatal,
            Level::Error,
            Level::Warn,
            Level::Info,
            Level::Info,
            Level::Debug,
        ];
        assert_eq!(levels(Scale::Syslog, &["0", "1", "2", "3", "4", "5", "6", "7"]), syslog.map(Some));
        for (number, scale) in
            [("3", Scale::Pino), ("70", Scale::Pino), ("8", Scale::Syslog), ("0", Scale::OpenTelemetry)]
        {
            assert_eq!(text(number, scale), None, "{number}");
        }
    }

    #[test]
    fn names_of_single_loggers_are_understood() {
        for (name, level) in [
            ("INFO+2", Level::Info),
            ("DEBUG-4", Level::Debug),
            ("WARN3", Level::Warn),
            ("silly", Level::Trace),
            (" error ", Level::Error),
        ] {
            assert_eq!(text(name, Scale::Pino), Some(level), "{name}");
        }
        assert_eq!(text("loud", Scale::Pino), None);
    }

    #[test]
    fn a_word_is_a_level_where_it_looks_like_one() {
        for word in ["ERROR", "[error]", "error:", "<err>", "production.ERROR:", "|ERROR|"] {
            assert_eq!(of_word(word), Some(Level::Error), "{word}");
        }
        for word in ["error", "Error", "errors:", "I", ""] {
            assert_eq!(of_word(word), None, "{word}");
        }
    }
}
