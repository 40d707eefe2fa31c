//! Access logs of web servers: the common and the combined format of Apache and nginx.

use tally_core::event::json::{Json, Number};

use super::table::{Format, Parsed, Reader, Text};
use crate::import::json::Object;
use crate::import::time::{self, Clock};

/// Reads `ADDRESS - USER [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT"`, with an optional host before it and optional
/// text after it.
pub(super) fn parse(line: &str, clock: &mut Clock) -> Option<Parsed> {
    let (who, rest) = line.split_once(" [")?;
    let (at, length) = time::leading(rest, clock)?;
    let rest = rest.get(length..)?.strip_prefix("] \"")?;
    let (request, rest) = quoted(rest)?;
    let mut rest = rest.strip_prefix(' ')?.splitn(3, ' ');
    let status = rest.next().filter(|status| status.len() == 3)?;
    let status = Number::parse(status).ok()?;
    let bytes = rest.next()?;
    let mut rest = rest.next().unwrap_or("");

    let mut object = Object::new();
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() && value != "-" {
            object.insert(key.to_owned(), Json::String(value.to_owned()));
        }
    };
    let who: Vec<&str> = who.split(' ').collect();
    let (host, who) = if who.len() == 4 { (Some(who[0]), &who[1..]) } else { (None, &who[..]) };
    let [address, _, user @ ..] = who else { return None };
    add("host", host.unwrap_or(""));
    add("remote_addr", address);
    add("remote_user", &user.join(" "));
    add("request", request);
    let parts: Vec<&str> = request.split(' ').collect();
    if let [method, path, protocol] = parts[..] {
        add("method", method);
        add("path", path);
        add("protocol", protocol);
    }
    for key in ["referer", "user_agent"] {
        if let Some((value, after)) = rest.strip_prefix('"').and_then(quoted) {
            add(key, value);
            rest = after.trim_start();
        }
    }
    add("extra", rest);
    object.insert("status".to_owned(), Json::Number(status));
    // Absent if it is `-`.
    object.extend(Number::parse(bytes).ok().map(|bytes| ("bytes".to_owned(), Json::Number(bytes))));
    let mut parsed = Parsed::new(Format::of_reader(Reader::Access), object, Text::Other);
    parsed.time = Some(at);
    Some(parsed)
}

/// A text up to its closing quote, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    Some((&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn read(line: &str) -> Option<(String, String)> {
        let parsed = parse(line, &mut Clock::new(TimeZone::UTC))?;
        let object = serde_json::to_string(&Json::Object(parsed.object)).ok()?;
        Some((parsed.time?.to_string(), object))
    }

    #[test]
    fn the_formats_of_nginx_and_apache_are_read() {
        let combined = r#"203.0.113.7 - ann [26/Nov/2026:10:00:00 +0100] "GET /a?b=1 HTTP/1.1" 404 12 "https://x.example/" "curl/8 \"q\"""#;
        assert_eq!(
            read(combined),
            Some((
                "2026-11-26T09:00:00Z".to_owned(),
                concat!(
                    r#"{"bytes":12,"method":"GET","path":"/a?b=1","protocol":"HTTP/1.1","referer":"https://x.example/","#,
                    r#""remote_addr":"203.0.113.7","remote_user":"ann","request":"GET /a?b=1 HTTP/1.1","status":404,"#,
                    r#""user_agent":"curl/8 \\\"q\\\""}"#
                )
                .to_owned()
            ))
        );
        let common = read(r#"::1 - - [26/Nov/2026:10:00:00 +0000] "-" 400 -"#).expect("common");
        assert_eq!(common.1, r#"{"remote_addr":"::1","status":400}"#);
        let vhost = read(r#"x.example:443 ::1 - - [26/Nov/2026:10:00:00 +0000] "GET / HTTP/2.0" 200 5 "-" "-" 0.012"#);
        let vhost = vhost.expect("with a host").1;
        assert!(vhost.contains(r#""host":"x.example:443""#) && vhost.contains(r#""extra":"0.012""#), "{vhost}");
        for line in [
            "",
            "a [b] \"c",
            "::1 - - [26/Nov/2026:10:00:00 +0000] GET / 200 5",
            "[26/Nov/2026:10:00:00 +0000] \"GET\" 200 1",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
