//! Cells of CSV (RFC 4180). A spreadsheet that opens the file runs none of them.

use tally_core::event::json::{Json, Number};

/// Writes a cell: a text as it is, anything else as JSON; nothing for null.
pub(super) fn push(line: &mut Vec<u8>, value: Option<&Json>) -> serde_json::Result<()> {
    match value {
        None | Some(Json::Null) => {}
        Some(Json::String(text)) => push_text(line, text),
        Some(other) => push_text(line, &serde_json::to_string(other)?),
    }
    Ok(())
}

/// Writes a text as a cell.
pub(super) fn push_text(line: &mut Vec<u8>, text: &str) {
    let mark = if would_run(text) { "'" } else { "" };
    let is_plain = !text.contains(['"', ',', '\r', '\n']) && text.trim() == text;
    if is_plain {
        line.extend_from_slice(mark.as_bytes());
        line.extend_from_slice(text.as_bytes());
        return;
    }
    line.push(b'"');
    line.extend_from_slice(mark.as_bytes());
    for byte in text.bytes() {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}

/// Whether a spreadsheet would take a text for a formula.
fn would_run(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && Number::parse(text).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> String {
        let mut line = Vec::new();
        push_text(&mut line, text);
        String::from_utf8(line).expect("UTF-8")
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        for (text, written) in [
            ("a", "a"),
            ("", ""),
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\nb", "\"a\nb\""),
            ("a\r\nb", "\"a\r\nb\""),
            (" a", "\" a\""),
            ("日本", "日本"),
        ] {
            assert_eq!(cell(text), written, "{text:?}");
        }
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (text, written) in [
            ("=1+1", "'=1+1"),
            ("+1+1", "'+1+1"),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("\n=1", "\"'\n=1\""),
            ("=HYPERLINK(\"http://a\",\"b\")", "\"'=HYPERLINK(\"\"http://a\"\",\"\"b\"\")\""),
            ("-", "'-"),
            ("--5", "'--5"),
            ("-5", "-5"),
            ("+5", "+5"),
            ("-1.5e3", "-1.5e3"),
            ("+-5", "'+-5"),
            ("5=5", "5=5"),
        ] {
            assert_eq!(cell(text), written, "{text:?}");
        }
    }
}
