//! Text for people, made safe and short.
//!
//! Limits count UTF-16 units: no receiver counts more for a character.

use tally_core::time::{Range, SECOND, Timestamp};
use url::Url;

/// What is shown for a text in which nothing can be seen. Receivers refuse empty texts.
const EMPTY: &str = "(empty)";
/// The characters of a text that are looked at. No channel shows as many.
const LOOKED_AT: usize = 5_000;
/// The longest link that is shown.
const MAX_LINK: usize = 2_000;

/// One line of a text: control characters become spaces, and those that change the direction of what follows go.
pub(crate) fn line(text: &str) -> String {
    let shown = text.chars().take(LOOKED_AT).filter(|c| !is_direction(*c));
    let line: String = shown.map(|c| if is_break(c) { ' ' } else { c }).collect();
    let line = line.trim();
    if line.chars().all(is_invisible) { EMPTY.to_owned() } else { line.to_owned() }
}

/// The longest start of a text that has at most `limit` units once each character is written by `escape`. It ends with
/// `…` if there is more.
pub(crate) fn fit(text: &str, limit: usize, escape: impl Fn(char, &mut String)) -> String {
    let (mut fitting, mut units, mut cut) = (String::new(), 0, 0);
    for c in text.chars() {
        let before = fitting.len();
        escape(c, &mut fitting);
        units += fitting[before..].encode_utf16().count();
        if units > limit {
            fitting.truncate(cut);
            fitting.push('…');
            return fitting;
        }
        if units < limit {
            cut = fitting.len();
        }
    }
    fitting
}

/// Writes a character as it is.
pub(crate) fn plain(c: char, text: &mut String) {
    text.push(c);
}

/// Whether a character ends a line, or is none that people can read.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character sets the direction of the text that follows: one without its end would turn the rest around.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether nothing is seen of a character.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// A link that may be shown: http or https without a user name, at most [`MAX_LINK`] bytes, and without the characters
/// that end a link in a markup.
pub(crate) fn link(text: Option<&str>) -> Option<String> {
    let url = Url::parse(text.filter(|text| text.len() <= MAX_LINK)?).ok()?;
    // A host may hold a quotation mark, which the other parts of a URL encode.
    let host = url.host_str()?.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let shown =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() && host;
    let text = url.as_str().replace('|', "%7C").replace('(', "%28").replace(')', "%29").replace('\'', "%27");
    (shown && text.len() <= MAX_LINK).then_some(text)
}

/// Whether the host of a URL is of letters, digits and the signs that names and addresses need. It may hold others, such
/// as a quotation mark, which the other parts of a URL encode.
pub(crate) fn has_plain_host(url: &Url) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    url.host_str().is_some_and(|host| !host.is_empty() && host.bytes().all(plain))
}

/// A link to a picture, which receivers fetch themselves: https alone.
pub(crate) fn picture(text: Option<&str>) -> Option<String> {
    link(text).filter(|url| url.starts_with("https:"))
}

/// A number with at most two decimals, and none where they are zeros.
pub(crate) fn number(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    if value.abs() >= 1e15 {
        return Some(format!("{value:e}"));
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    Some(if text == "-0" { "0".to_owned() } else { text.to_owned() })
}

/// A count with a comma between thousands: `12,340`.
pub(crate) fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = if n < 0 { "−".to_owned() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time to the second: `2026-11-27 11:40:00 UTC`.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{} UTC", clock(at))
}

/// A range: `2026-11-27 11:35:00 to 11:40:00 UTC`, with the second day where that is another.
pub(crate) fn range(range: Range) -> String {
    let (since, until) = (clock(range.since()), clock(range.until()));
    let day = since.split_once(' ').map_or("", |(day, _)| day);
    let end = until.strip_prefix(day).map_or(until.as_str(), str::trim_start);
    format!("{since} to {end} UTC")
}

fn clock(at: Timestamp) -> String {
    at.floor(SECOND).to_string().trim_end_matches('Z').replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tally_core::time::{DAY, MINUTE};

    #[test]
    fn a_line_has_no_breaks_and_no_directions() {
        assert_eq!(line("a\r\nb\0c\u{2028}d"), "a  b c d");
        assert_eq!(line("\u{202e}abc\u{2066}"), "abc");
        assert_eq!(line("שלום"), "שלום");
        for empty in ["", " ", "\0", "\u{202e}", "\u{200d}\u{fe0f}", "\u{3164}", "\u{2800}\n"] {
            assert_eq!(line(empty), "(empty)", "{empty:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_whole_characters() {
        assert_eq!(fit("abcd", 4, plain), "abcd");
        assert_eq!(fit("abcde", 4, plain), "abc…");
        assert_eq!(fit("a😀😀", 4, plain), "a😀…");
        assert_eq!(fit("a&&", 7, |c, text| text.push_str(if c == '&' { "&amp;" } else { "a" })), "a&amp;…");
    }

    #[test]
    fn numbers_times_and_ranges_read_well() {
        for (value, expected) in
            [(25.0, "25"), (-0.001, "0"), (33.333, "33.33"), (0.5, "0.5"), (1_200.0, "1200"), (1e300, "1e300")]
        {
            assert_eq!(number(value).as_deref(), Some(expected));
        }
        assert_eq!(number(f64::NAN), None);
        for (n, expected) in [(0, "0"), (999, "999"), (12_340, "12,340"), (-1_000_000, "−1,000,000")] {
            assert_eq!(grouped(n), expected);
        }
        let at = Timestamp::from_seconds(1_795_779_300);
        assert_eq!(time(at), "2026-11-27 11:35:00 UTC");
        assert_eq!(range(Range::new(at, at + 5 * MINUTE).expect("a range")), "2026-11-27 11:35:00 to 11:40:00 UTC");
        let days = Range::new(at, at + DAY).expect("a range");
        assert_eq!(range(days), "2026-11-27 11:35:00 to 2026-11-28 11:35:00 UTC");
    }

    #[test]
    fn only_links_to_pages_are_shown() {
        assert_eq!(link(Some("https://t.example/a?q=(x|y)")).as_deref(), Some("https://t.example/a?q=%28x%7Cy%29"));
        for wrong in ["javascript:alert(1)", "https://u:p@t.example/", "https://t\"/", "t.example", "//t.example", ""] {
            assert_eq!(link(Some(wrong)), None, "{wrong}");
        }
        assert_eq!(picture(Some("http://t.example/a.png")), None);
    }

    proptest! {
        #[test]
        fn a_cut_text_fits(text in "\\PC{0,40}", limit in 1_usize..30) {
            let cut = fit(&text, limit, plain);
            prop_assert!(cut.encode_utf16().count() <= limit);
            prop_assert!(cut == text || cut.ends_with('…') && text.starts_with(cut.trim_end_matches('…')));
        }

        #[test]
        fn a_link_ends_no_markup(text in "https?://[a-z]{1,9}\\PC{0,40}") {
            if let Some(link) = link(Some(&text)) {
                prop_assert!(!link.contains(['<', '>', '|', '(', ')', '"', '\'', ' ', '\n']), "{}", link);
            }
        }
    }
}
