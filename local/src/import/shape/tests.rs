use super::*;
use crate::import::format::{Format, parse};
use jiff::tz::TimeZone;

fn clock() -> Clock {
    let mut clock = Clock::new(TimeZone::UTC);
    clock.written_before = "2026-11-27T00:00:00Z".parse().ok();
    clock
}

/// The event of a line, with its format and time, and how many oddities it has.
fn read_as(line: &str, format: Option<&str>, map: &[(&str, &str)], set: &[(&str, &str)]) -> (String, usize) {
    let (mut clock, mut oddities) = (clock(), Oddities::default());
    let format = format.map(|name| Format::of_name(name).expect(name));
    let parsed = parse(line, format, &mut clock, &mut oddities).expect("readable");
    let name = parsed.format.name;
    let map: Vec<_> =
        map.iter().map(|(field, path)| Mapping { field: (*field).to_owned(), path: (*path).to_owned() }).collect();
    let set: Vec<_> =
        set.iter().map(|(field, value)| Constant { field: (*field).to_owned(), value: (*value).to_owned() }).collect();
    let shaped = shape(parsed, &map, &set, &mut clock, &mut oddities).expect("named");
    let time = shaped.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let event = serde_json::to_string(&Json::Object(shaped.event)).expect("JSON");
    (format!("{name} {time} {event}"), oddities.list().len())
}

fn read(line: &str) -> String {
    let (read, odd) = read_as(line, None, &[], &[]);
    assert_eq!(odd, 0, "{line}");
    read
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn every_format_is_recognized_and_understood() {
    let nine = "2025-11-26T09:00:00";
    for (line, expected) in [
        (
            r#"{"level":50,"time":1764147600123,"pid":7,"hostname":"web","msg":"failed","name":"shop"}"#,
            format!(
                r#"pino {nine}.123Z {{"category":"shop","data":{{"hostname":"web","pid":7}},"level":"ERROR","message":"failed"}}"#
            ),
        ),
        (
            r#"{"name":"shop","hostname":"web","pid":7,"level":40,"msg":"slow","time":"2025-11-26T09:00:00.123Z","v":0}"#,
            format!(
                r#"bunyan {nine}.123Z {{"category":"shop","data":{{"hostname":"web","pid":7,"v":0}},"level":"WARN","message":"slow"}}"#
            ),
        ),
        (
            r#"{"level":"verbose","message":"up","timestamp":"2025-11-26T09:00:00.000Z","service":"shop"}"#,
            format!(r#"winston {nine}Z {{"data":{{"service":"shop"}},"level":"DEBUG","message":"up"}}"#),
        ),
        (
            r#"{"level":"warning","msg":"slow","time":"2025-11-26T09:00:00Z","animal":"walrus"}"#,
            format!(r#"logrus {nine}Z {{"data":{{"animal":"walrus"}},"level":"WARN","message":"slow"}}"#),
        ),
        (
            r#"{"level":"dpanic","ts":1764147600.5,"logger":"db","caller":"a.go:1","msg":"bad","stacktrace":"a\nb"}"#,
            format!(
                r#"zap {nine}.500Z {{"category":"db","data":{{"caller":"a.go:1"}},"level":"FATAL","message":"bad","stack":"a\nb"}}"#
            ),
        ),
        (
            r#"{"time":"2025-11-26T09:00:00.123456789Z","level":"INFO","msg":"up","count":3}"#,
            format!(r#"slog {nine}.123456Z {{"data":{{"count":3}},"level":"INFO","message":"up"}}"#),
        ),
        (
            r#"{"asctime":"2025-11-26 09:00:00,123","levelname":"CRITICAL","name":"root","message":"bad"}"#,
            format!(r#"python {nine}.123Z {{"category":"root","level":"FATAL","message":"bad"}}"#),
        ),
        (
            r#"{"time_local":"26/Nov/2025:10:00:00 +0100","remote_addr":"::1","request":"GET / HTTP/1.1","status":"503"}"#,
            format!(
                r#"nginx-json {nine}Z {{"data":{{"remote_addr":"::1","status":"503"}},"level":"ERROR","message":"GET / HTTP/1.1","name":"request"}}"#
            ),
        ),
        (
            r#"{"__REALTIME_TIMESTAMP":"1764147600123456","PRIORITY":"5","MESSAGE":"up","SYSLOG_IDENTIFIER":"kernel","_PID":"1"}"#,
            format!(
                r#"journald {nine}.123456Z {{"category":"kernel","data":{{"_PID":"1"}},"level":"INFO","message":"up"}}"#
            ),
        ),
        (
            r#"{"__REALTIME_TIMESTAMP":"1764147600000000","PRIORITY":"2","MESSAGE":[104,105,255]}"#,
            format!(r#"journald {nine}Z {{"level":"FATAL","message":"hi{}"}}"#, '\u{fffd}'),
        ),
        (
            r#"{"log":"2025-11-26 08:00:00 WARN slow\n","stream":"stderr","time":"2025-11-26T09:00:00.5Z"}"#,
            r#"timestamped 2025-11-26T08:00:00Z {"data":{"stream":"stderr"},"level":"WARN","message":"slow"}"#
                .to_owned(),
        ),
        (
            r#"{"log":"{\"level\":30,\"msg\":\"up\"}\n","stream":"stdout","time":"2025-11-26T09:00:00.5Z"}"#,
            format!(r#"json {nine}.500Z {{"data":{{"stream":"stdout"}},"level":"INFO","message":"up"}}"#),
        ),
        (
            r#"{"log":"plain\n","stream":"stdout","time":"2025-11-26T09:00:00Z"}"#,
            format!(r#"docker {nine}Z {{"data":{{"stream":"stdout"}},"message":"plain"}}"#),
        ),
        (
            r#"{"timeUnixNano":"1764147600000000000","severityNumber":17,"body":{"stringValue":"bad"}}"#,
            format!(r#"otel {nine}Z {{"data":{{"body":{{}}}},"level":"ERROR","message":"bad"}}"#),
        ),
        (
            r#"{"version":"1.1","host":"web","short_message":"bad","timestamp":1764147600,"level":3}"#,
            format!(r#"gelf {nine}Z {{"data":{{"host":"web","version":"1.1"}},"level":"ERROR","message":"bad"}}"#),
        ),
        (
            "2025-11-26T09:00:00.000Z {\"level\":\"info\",\"message\":\"up\"}",
            format!(r#"winston {nine}Z {{"level":"INFO","message":"up"}}"#),
        ),
        (
            "2025-11-26T09:00:00.000Z START RequestId: 12",
            format!(r#"timestamped {nine}Z {{"message":"START RequestId: 12"}}"#),
        ),
        (
            "<27>1 2025-11-26T09:00:00Z web app 7 - - bad",
            format!(
                r#"syslog {nine}Z {{"category":"app","data":{{"facility":3,"host":"web","pid":"7"}},"level":"ERROR","message":"bad"}}"#
            ),
        ),
        (
            r#"::1 - - [26/Nov/2025:09:00:00 +0000] "GET /x HTTP/1.1" 404 5"#,
            format!(
                r#"access {nine}Z {{"data":{{"bytes":5,"method":"GET","path":"/x","protocol":"HTTP/1.1","remote_addr":"::1","status":404}},"level":"WARN","message":"GET /x HTTP/1.1","name":"request"}}"#
            ),
        ),
        (
            r#"time=2025-11-26T09:00:00Z level=warn msg="slow \"query\"" took=12"#,
            format!(r#"logfmt {nine}Z {{"data":{{"took":12}},"level":"WARN","message":"slow \"query\""}}"#),
        ),
        ("  indented", r#"plain - {"message":"  indented"}"#.to_owned()),
        ("ERROR: bad", r#"plain - {"level":"ERROR","message":"ERROR: bad"}"#.to_owned()),
        (
            r#"{"@timestamp":"2025-11-26T09:00:00Z","log.level":"error","message":"bad","event":{"action":"x"}}"#,
            format!(r#"json {nine}Z {{"data":{{"event":{{"action":"x"}}}},"level":"ERROR","message":"bad"}}"#),
        ),
        (
            r#"{"event":{"slug":"up","name":"Is up"},"user_id":42,"data":{"a":1},"b":2}"#,
            r#"json - {"data":{"a":1,"b":2},"name":"Is up","slug":"up","user_id":"42"}"#.to_owned(),
        ),
    ] {
        assert_eq!(read(line), expected);
    }
}

#[test]
fn ids_and_counts_are_taken_only_where_they_are_mapped() {
    let line = r#"{"name":"a","id":42,"count":350}"#;
    assert_eq!(read(line), r#"json - {"data":{"count":350,"id":42},"name":"a"}"#);
    let (mapped, odd) = read_as(line, None, &[("id", "id"), ("count", "count")], &[]);
    assert_eq!((mapped.as_str(), odd), (r#"json - {"count":350,"id":"42","name":"a"}"#, 0));
    let (mapped, odd) = read_as(r#"{"name":"a","n":0}"#, None, &[("count", "n")], &[]);
    assert_eq!((mapped.as_str(), odd), (r#"json - {"data":{"n":0},"name":"a"}"#, 1));
}

#[test]
fn a_format_can_be_forced_and_constants_set() {
    let (read, odd) =
        read_as(r#"{"level":3,"msg":"x"}"#, Some("syslog-json"), &[], &[("category", "c"), ("data.env", "prod")]);
    assert_eq!(
        (read.as_str(), odd),
        (r#"syslog-json - {"category":"c","data":{"env":"prod"},"level":"ERROR","message":"x"}"#, 0)
    );
    let (read, odd) = read_as(r#"{"a":1}"#, Some("plain"), &[], &[("name", "n"), ("level", "notice"), ("count", "3")]);
    assert_eq!((read.as_str(), odd), (r#"plain - {"count":3,"level":"INFO","message":"{\"a\":1}","name":"n"}"#, 0));
    let (read, odd) = read_as("hello", Some("access"), &[], &[("timestamp", "2025-11-26T09:00:00Z")]);
    assert_eq!((read.as_str(), odd), (r#"plain 2025-11-26T09:00:00Z {"message":"hello"}"#, 1));
}

#[test]
fn what_is_not_understood_is_kept_in_data() {
    let long = "é".repeat(5_000);
    let name = "n".repeat(300);
    for (line, expected) in [
        (r#"{"name":"a","level":"loud"}"#.to_owned(), r#"json - {"data":{"level":"loud"},"name":"a"}"#.to_owned()),
        (r#"{"name":"a","level":3}"#.to_owned(), r#"json - {"data":{"level":3},"name":"a"}"#.to_owned()),
        (r#"{"name":"a","time":"never"}"#.to_owned(), r#"json - {"data":{"time":"never"},"name":"a"}"#.to_owned()),
        (
            r#"{"message":"a","name":{"b":1}}"#.to_owned(),
            r#"json - {"data":{"name":{"b":1}},"message":"a"}"#.to_owned(),
        ),
        (
            format!(r#"{{"message":"{long}"}}"#),
            format!(r#"json - {{"data":{{"message":"{long}"}},"message":"{}"}}"#, "é".repeat(4_096)),
        ),
        (
            format!(r#"{{"name":"{name}"}}"#),
            format!(r#"json - {{"data":{{"name":"{name}"}},"name":"{}"}}"#, "n".repeat(256)),
        ),
        (
            format!(r#"{{"name":"a","user_id":"{name}"}}"#),
            format!(r#"json - {{"data":{{"user_id":"{name}"}},"name":"a"}}"#),
        ),
    ] {
        assert_eq!(read_as(&line, None, &[], &[]), (expected, 1));
    }
}

#[test]
fn a_line_without_a_name_says_what_it_has() {
    let mut clock = clock();
    let mut oddities = Oddities::default();
    let line = r#"{"severity":"info","when":"2025-11-26T09:00:00Z","pid":1,"what":"it happened"}"#;
    let parsed = parse(line, None, &mut clock, &mut oddities).expect("JSON");
    let nameless = shape(parsed, &[], &[], &mut clock, &mut oddities).expect_err("no name");
    assert_eq!(
        nameless,
        Nameless {
            keys: ["pid", "severity", "what", "when"].map(str::to_owned).to_vec(),
            message: Some("what".to_owned()),
            time: Some("when".to_owned()),
        }
    );
}

#[test]
fn an_event_that_is_too_large_keeps_the_beginning_of_its_line() {
    let line = format!(r#"{{"name":"a","x":"{}"}}"#, "x".repeat(MAX_EVENT));
    let (mut clock, mut oddities) = (clock(), Oddities::default());
    let parsed = parse(&line, None, &mut clock, &mut oddities).expect("JSON");
    let mut event = shape(parsed, &[], &[], &mut clock, &mut oddities).expect("named").event;
    let json = to_json(&mut event, &line, &mut oddities).expect("JSON");
    assert!(json.len() < MAX_EVENT && json.contains(r#""line":"{\"name\":\"a\""#));
    assert_eq!(oddities.list(), [Oddity::LargeEvent]);
}
