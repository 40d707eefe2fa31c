//! The labels of a stream as Prometheus writes them: `{app="shop", level="info"}`.

/// Reads labels. Values are quoted as Go quotes a text.
pub(super) fn parse(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let mut labels = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix('}') {
            return end.trim().is_empty().then_some(labels);
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start())?;
        let name = name.trim();
        if name.is_empty() {
            return None;
        }
        labels.push((name.to_owned(), value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.starts_with('}') => after,
            None => return None,
        };
    }
}

/// A quoted text at the beginning, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (value, after) = raw.split_once('`')?;
        return Some((value.to_owned(), after));
    }
    let mut value = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let plain = rest.find(['"', '\\'])?;
        value.push_str(&rest[..plain]);
        let (mark, after) = rest[plain..].split_at(1);
        if mark == "\"" {
            return Some((value, after));
        }
        rest = escape(after, &mut value)?;
    }
}

/// Adds what the escape at the beginning stands for; what follows it.
fn escape<'a>(text: &'a str, value: &mut String) -> Option<&'a str> {
    let kind = text.chars().next()?;
    let after = &text[kind.len_utf8()..];
    let number = |digits: usize| {
        let code = after.get(..digits)?;
        let character = char::from_u32(u32::from_str_radix(code, 16).ok()?).unwrap_or(char::REPLACEMENT_CHARACTER);
        Some((character, &after[digits..]))
    };
    let (character, after) = match kind {
        'n' => ('\n', after),
        't' => ('\t', after),
        'r' => ('\r', after),
        'x' => number(2)?,
        'u' => number(4)?,
        'U' => number(8)?,
        other => (other, after),
    };
    value.push(character);
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_prometheus_writes_them() {
        for (text, labels) in [
            (r#"{app="shop", level="info"}"#, vec![("app", "shop"), ("level", "info")]),
            (r#" { a = "b\"c\\d\n\u00e9" , } "#, vec![("a", "b\"c\\d\né")]),
            ("{a=`b\\`}", vec![("a", "b\\")]),
            ("{}", vec![]),
        ] {
            let labels: Vec<_> = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(parse(text), Some(labels), "{text}");
        }
        for text in
            ["", "a", "{", r#"{a="b""#, r#"{a="b" c="d"}"#, "{a=b}", r#"{="b"}"#, r#"{a="\u00"}"#, "{a=\"\\", "{}x"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
