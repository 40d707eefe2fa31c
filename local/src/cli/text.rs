//! Text for a terminal: made harmless, measured, cut, coloured, and drawn as bars.

use std::borrow::Cow;
use std::fmt::Write as _;

use console::measure_text_width;

/// Whether a terminal does something with a character other than show it, or shows the text around it in another order.
/// Whoever may send events writes what others see: with such characters it could look like something else.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with harmful characters spelt out: `\n`, `\t`, `\x1b`, `\u{202e}`.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        // Writing to a text cannot fail.
        let _ = match c {
            '\n' => write!(shown, "\\n"),
            '\r' => write!(shown, "\\r"),
            '\t' => write!(shown, "\\t"),
            c if !is_harmful(c) => write!(shown, "{c}"),
            c if u32::from(c) < 0x100 => write!(shown, "\\x{:02x}", u32::from(c)),
            c => write!(shown, "\\u{{{:x}}}", u32::from(c)),
        };
    }
    Cow::Owned(shown)
}

/// JSON with the same values, in which what harms a terminal is spelt `\u001b`. JSON allows such characters within its
/// texts alone, and of the control characters only those from U+007F on.
pub(super) fn harmless_json(json: &str) -> Cow<'_, str> {
    let harms = |c: char| is_harmful(c) && !matches!(c, '\n' | '\r' | '\t');
    if !json.contains(harms) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if harms(c) {
            // Writing to a text cannot fail. None of these is beyond U+FFFF.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// How many columns of a terminal a text takes.
pub(super) fn width(text: &str) -> usize {
    measure_text_width(text)
}

/// The text, cut to so many columns with an ellipsis at its end.
pub(super) fn cut(text: &str, columns: usize, unicode: bool) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let ellipsis = if unicode { "…" } else { "..." };
    if columns < width(ellipsis) {
        return Cow::Borrowed("");
    }
    console::truncate_str(text, columns, ellipsis)
}

/// The text with spaces behind it, or in front of it, up to a width.
pub(super) fn pad(text: &str, columns: usize, to_the_right: bool) -> String {
    let spaces = " ".repeat(columns.saturating_sub(width(text)));
    if to_the_right { format!("{spaces}{text}") } else { format!("{text}{spaces}") }
}

/// What a text looks like, by the codes of ANSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// As it is.
    Plain,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
    /// A level from TRACE to FATAL, or another word of a state.
    Code(&'static str),
}

impl Look {
    /// The look of a level.
    pub(super) fn of_level(level: &str) -> Self {
        match level {
            "TRACE" => Self::Dim,
            "DEBUG" => Self::Code("36"),
            "INFO" => Self::Code("32"),
            "WARN" => Self::Code("33"),
            "ERROR" => Self::Code("31"),
            "FATAL" => Self::Code("1;37;41"),
            _ => Self::Plain,
        }
    }

    /// The text in this look.
    pub(super) fn paint(self, text: &str, color: bool) -> String {
        let code = match self {
            _ if !color || text.is_empty() => return text.to_owned(),
            Self::Plain => return text.to_owned(),
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Code(code) => code,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A bar of so many columns for the largest value, in eighths of a column, or in `#`. Only nothing has no bar.
pub(super) fn bar(value: u64, largest: u64, columns: usize, unicode: bool) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if value == 0 || largest == 0 {
        return String::new();
    }
    let steps = if unicode { columns * 8 } else { columns };
    let steps_of_value = u128::from(value.min(largest)) * steps as u128 / u128::from(largest);
    let steps = usize::try_from(steps_of_value).unwrap_or(steps).max(1);
    if unicode { "█".repeat(steps / 8) + EIGHTHS[steps % 8] } else { "#".repeat(steps) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_events_say_cannot_command_a_terminal() {
        for (text, shown) in [
            ("plain, ü, 日本", "plain, ü, 日本"),
            ("\x1b[2J\x07gone", "\\x1b[2J\\x07gone"),
            ("two\nlines\r\tand", "two\\nlines\\r\\tand"),
            ("\u{9b}31mred\u{7f}", "\\x9b31mred\\x7f"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"message": "\u{9b}31m \u{7f} \u{202e} \x1b ü 日本", "n": [1, null]});
        let text = value.to_string();
        let shown = harmless_json(&text);
        assert!(!shown.contains(is_harmful), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
        assert!(matches!(harmless_json(r#"{"a":"b"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn texts_are_cut_by_columns() {
        for (text, columns, unicode, shown) in [
            ("short", 5, true, "short"),
            ("longer", 5, true, "long…"),
            ("longer", 5, false, "lo..."),
            ("日本語です", 10, true, "日本語です"),
            ("日本語です", 7, true, "日本語…"),
            ("日本語です", 6, true, "日本…"),
            ("longer", 0, true, ""),
        ] {
            assert_eq!(cut(text, columns, unicode), shown, "{text} in {columns}");
        }
        assert_eq!((pad("日本", 6, false), pad("7", 3, true)), ("日本  ".to_owned(), "  7".to_owned()));
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        for (value, largest, unicode, shown) in [
            (0, 10, true, ""),
            (10, 10, true, "████"),
            (5, 10, true, "██"),
            (6, 10, true, "██▍"),
            (1, 1_000_000, true, "▏"),
            (1, 1_000_000, false, "#"),
            (10, 10, false, "####"),
            (0, 0, true, ""),
            (u64::MAX, u64::MAX, true, "████"),
        ] {
            assert_eq!(bar(value, largest, 4, unicode), shown, "{value} of {largest}");
        }
    }

    #[test]
    fn colours_are_there_only_where_they_are_wanted() {
        assert_eq!(Look::of_level("ERROR").paint("ERROR", true), "\x1b[31mERROR\x1b[0m");
        assert_eq!(Look::of_level("ERROR").paint("ERROR", false), "ERROR");
        assert_eq!(Look::of_level("NONE").paint("NONE", true), "NONE");
    }
}
