//! logfmt: `level=info msg="it works" took=12`.

use super::keys::Object;
use crate::event::json::{Json, Number};

/// Keys that identify logfmt even with a single pair, or with words between pairs.
const KNOWN: [&str; 8] = ["level", "lvl", "msg", "message", "ts", "time", "t", "timestamp"];

/// Reads a line that consists only of pairs: at least two, or one of them with a usual key, such as `level`. Words between
/// them are true.
pub fn parse(line: &str) -> Option<Object> {
    let mut object = Object::new();
    let mut rest = line.trim();
    let (mut pairs, mut words) = (0, 0);
    while !rest.is_empty() {
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_.@/-".contains(b)).count();
        if length == 0 {
            return None;
        }
        let (key, after) = rest.split_at(length);
        let value = if let Some(after) = after.strip_prefix('=') {
            pairs += 1;
            let (value, after) = value(after)?;
            rest = after;
            value
        } else {
            if pairs == 0 {
                return None;
            }
            words += 1;
            rest = after;
            Json::Bool(true)
        };
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return None;
        }
        rest = rest.trim_start();
        object.entry(key.to_owned()).or_insert(value);
    }
    let known = KNOWN.iter().any(|key| object.contains_key(*key));
    let is_logfmt = known || (pairs >= 2 && words == 0);
    is_logfmt.then_some(object)
}

/// A value, bare or quoted, and the rest.
fn value(text: &str) -> Option<(Json, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([' ', '\t']).unwrap_or(text.len()));
        return Some((bare(value), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((place, c)) = chars.next() {
        match c {
            '"' => return Some((Json::String(value), &quoted[place + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn bare(value: &str) -> Json {
    let is_number = serde_json::from_str::<serde_json::Number>(value).is_ok();
    match value {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        _ => match Number::parse(value) {
            Ok(number) if is_number => Json::Number(number),
            _ => Json::String(value.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<String> {
        serde_json::to_string(&Json::Object(parse(line)?)).ok()
    }

    #[test]
    fn pairs_are_logfmt_and_sentences_are_not() {
        for (line, object) in [
            (
                r#"level=info msg="it \"works\"" took=12 id=007 ok=true"#,
                r#"{"id":"007","level":"info","msg":"it \"works\"","ok":true,"took":12}"#,
            ),
            ("a=1 b=", r#"{"a":1,"b":""}"#),
            ("msg=hello", r#"{"msg":"hello"}"#),
            ("level=warn retry path=/a?b=c", r#"{"level":"warn","path":"/a?b=c","retry":true}"#),
        ] {
            assert_eq!(read(line).as_deref(), Some(object), "{line}");
        }
        for line in ["", "a=1", "x=1 and y=2", "the level=info", "a=1 \"b\"", "a=\"open b=2", "é=1 b=2"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
