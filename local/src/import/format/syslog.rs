//! syslog: RFC 5424, RFC 3164, and the files that daemons write in either form.

use tally_core::event::json::{Json, Number};

use super::table::{Format, Parsed, Reader, Text};
use crate::import::json::Object;
use crate::import::time::{self, Clock};

/// Reads a line that begins with a priority, or has a host and a program after its time.
pub(super) fn parse(line: &str, clock: &mut Clock) -> Option<Parsed> {
    let (priority, rest) = match priority(line) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, line),
    };
    let mut object = Object::new();
    let mut parsed = match rest.strip_prefix("1 ") {
        Some(rest) if priority.is_some() => rfc5424(rest, clock),
        _ => rfc3164(rest, priority.is_some(), clock),
    }?;
    if let Some(priority) = priority {
        let number = |n: u16| Number::parse(&n.to_string()).map(Json::Number);
        object.extend(number(priority / 8).ok().map(|n| ("facility".to_owned(), n)));
        object.extend(number(priority % 8).ok().map(|n| ("severity".to_owned(), n)));
    }
    parsed.object.append(&mut object);
    Some(parsed)
}

/// `<34>`
fn priority(line: &str) -> Option<(u16, &str)> {
    let (digits, rest) = line.strip_prefix('<')?.split_once('>')?;
    let all_digits = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let priority = digits.parse().ok().filter(|priority| all_digits && *priority <= 191)?;
    Some((priority, rest))
}

fn parsed(object: Object, time: Option<tally_core::time::Timestamp>) -> Parsed {
    let mut parsed = Parsed::new(Format::of_reader(Reader::Syslog), object, Text::Other);
    parsed.time = time;
    parsed
}

fn rfc5424(rest: &str, clock: &mut Clock) -> Option<Parsed> {
    let mut parts = rest.splitn(6, ' ');
    let time = parts.next()?;
    let at = time::of_text(time, clock);
    if at.is_none() && time != "-" {
        return None;
    }
    let mut object = Object::new();
    for key in ["host", "app", "pid", "msgid"] {
        let value = parts.next()?;
        if value != "-" {
            object.insert(key.to_owned(), Json::String(value.to_owned()));
        }
    }
    let (structured, message) = structured_data(parts.next()?)?;
    if !structured.is_empty() {
        object.insert("structured_data".to_owned(), Json::Object(structured));
    }
    let message = message.trim_start_matches(['\u{feff}', ' ']);
    if !message.is_empty() {
        object.insert("message".to_owned(), Json::String(message.to_owned()));
    } else if let Some(id) = object.get("msgid").cloned() {
        object.insert("message".to_owned(), id);
    }
    Some(parsed(object, at))
}

/// `[id key="value"][other …]` or `-`, and the rest.
fn structured_data(text: &str) -> Option<(Object, &str)> {
    let mut all = Object::new();
    if let Some(rest) = text.strip_prefix('-') {
        return (rest.is_empty() || rest.starts_with(' ')).then_some((all, rest));
    }
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']'])?;
        let (id, mut params) = element.split_at(end);
        let mut values = Object::new();
        loop {
            params = params.trim_start_matches(' ');
            if let Some(after) = params.strip_prefix(']') {
                rest = after;
                break;
            }
            let (key, value) = params.split_once("=\"")?;
            let mut text = String::new();
            let mut chars = value.char_indices();
            params = loop {
                match chars.next()? {
                    (place, '"') => break &value[place + 1..],
                    (_, '\\') => text.push(chars.next()?.1),
                    (_, c) => text.push(c),
                }
            };
            values.insert(key.to_owned(), Json::String(text));
        }
        all.insert(id.to_owned(), Json::Object(values));
    }
    (!all.is_empty()).then_some((all, rest))
}

/// `Nov 26 09:00:00 host program[12]: message`, the time in either form.
fn rfc3164(rest: &str, certain: bool, clock: &mut Clock) -> Option<Parsed> {
    let named = rest.starts_with(|c: char| c.is_ascii_uppercase());
    if !named && !certain && rest.get(10..11).is_none_or(|t| t != "T") {
        return None;
    }
    let Some((at, length)) = time::leading(rest, clock) else {
        // A priority is enough to identify syslog.
        let message = Object::from([("message".to_owned(), Json::String(rest.to_owned()))]);
        return (certain && !rest.is_empty()).then(|| parsed(message, None));
    };
    let text = rest.get(length..)?.strip_prefix(' ')?;
    let mut object = Object::new();
    let mut add = |key: &str, value: &str| object.insert(key.to_owned(), Json::String(value.to_owned()));
    let tagged = text.split_once(' ').and_then(|(host, rest)| {
        let (tag, message) = rest.split_once(':')?;
        Some((host, program(tag)?, message))
    });
    match tagged {
        Some((host, (program, pid), message)) if is_host(host) && (named || certain || pid.is_some()) => {
            add("host", host);
            add("app", program);
            if let Some(pid) = pid {
                add("pid", pid);
            }
            add("message", message.strip_prefix(' ').unwrap_or(message));
        }
        _ if certain => {
            let (host, message) = text.split_once(' ').unwrap_or(("", text));
            if !host.is_empty() {
                add("host", host);
            }
            add("message", message);
        }
        _ => return None,
    }
    Some(parsed(object, Some(at)))
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b)) && !text.ends_with(':')
}

/// A program and its process id: `sshd[12]`.
fn program(tag: &str) -> Option<(&str, Option<&str>)> {
    let (name, pid) = match tag.strip_suffix(']').and_then(|tag| tag.rsplit_once('[')) {
        Some((name, pid)) => (name, Some(pid)),
        None => (tag, None),
    };
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/()@".contains(&b));
    (good && name.parse::<tally_core::event::level::Level>().is_err()).then_some((name, pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn read(line: &str) -> Option<(String, String)> {
        let mut clock = Clock::new(TimeZone::UTC);
        clock.written_before = "2026-11-27T00:00:00Z".parse().ok();
        let parsed = parse(line, &mut clock)?;
        let object = serde_json::to_string(&Json::Object(parsed.object)).ok()?;
        Some((parsed.time.map_or_else(String::new, |at| at.to_string()), object))
    }

    #[test]
    fn both_forms_are_read() {
        for (line, time, object) in [
            (
                r#"<34>1 2026-11-26T09:00:00.003Z web su 12 ID47 [x@1 a="b \"c\""][y] 'su' failed"#,
                "2026-11-26T09:00:00.003Z",
                r#"{"app":"su","facility":4,"host":"web","message":"'su' failed","msgid":"ID47","pid":"12","severity":2,"structured_data":{"x@1":{"a":"b \"c\""},"y":{}}}"#,
            ),
            ("<165>1 - - - - - - \u{feff}hello", "", r#"{"facility":20,"message":"hello","severity":5}"#),
            (
                "<34>Nov 26 09:00:00 web su[12]: failed",
                "2026-11-26T09:00:00Z",
                r#"{"app":"su","facility":4,"host":"web","message":"failed","pid":"12","severity":2}"#,
            ),
            (
                "Nov 26 09:00:00 web kernel: up",
                "2026-11-26T09:00:00Z",
                r#"{"app":"kernel","host":"web","message":"up"}"#,
            ),
            (
                "2026-11-26T09:00:00+00:00 web sshd[12]: up",
                "2026-11-26T09:00:00Z",
                r#"{"app":"sshd","host":"web","message":"up","pid":"12"}"#,
            ),
            ("<13>hello", "", r#"{"facility":1,"message":"hello","severity":5}"#),
        ] {
            assert_eq!(read(line), Some((time.to_owned(), object.to_owned())), "{line}");
        }
        for line in [
            "2026-11-26T09:00:00Z main worker: up",
            "Nov 26 09:00:00 ERROR",
            "<999>x",
            "<b>bold</b>",
            "hello: world",
            "Nov 26 09:00:00 web ERROR: x",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
