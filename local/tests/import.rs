//! The importer as a process: with a running server, without one, and over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Server, binary, fails};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What an import said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    /// Checks that it begins with these numbers, and that it went well where nothing was refused.
    #[track_caller]
    fn is(&self, numbers: &str) {
        assert!(self.out.contains(&format!("demo: {numbers}.\n")), "{numbers}: {}{}", self.out, self.err);
        assert_eq!(self.code == Some(0), numbers.contains(" 0 refused"), "{}{}", self.out, self.err);
    }
}

/// A folder of data and logs, and a server on it.
struct Place {
    folder: TempDir,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let server = Server::start(&folder.path().join("data"));
        Self { folder, server }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The path of a file, and the file with this content.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = binary();
        command.arg("import").args(more).args(["--app", "demo"]).current_dir(self.folder.path());
        if !more.contains(&"--url") {
            command.arg("--data").arg(self.data());
        }
        command
    }

    fn import(&self, more: &[&str]) -> Said {
        run(&mut self.command(more))
    }

    fn pipe(&self, content: &str, more: &[&str]) -> Said {
        let mut child = self.spawn(&[&["-"], more].concat());
        child.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
        said(child)
    }

    /// An import under way, its standard input open.
    fn spawn(&self, more: &[&str]) -> Child {
        let mut command = self.command(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The events that a query finds, the oldest first.
    fn events(&self, query: &str) -> Vec<Value> {
        let page = self.server.report(&format!("events?order=asc&limit=1000&consistent=true&{query}"));
        page["items"].as_array().unwrap().clone()
    }

    fn messages(&self, query: &str) -> Vec<String> {
        self.events(query).iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for events; how long it took.
    fn until(&self, count: usize, query: &str) -> Duration {
        let began = Instant::now();
        while self.events(query).len() < count {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", self.events(query));
            std::thread::sleep(Duration::from_millis(20));
        }
        began.elapsed()
    }
}

fn run(command: &mut Command) -> Said {
    said(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn said(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn interrupt(child: &Child) {
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

fn xz(content: &[u8]) -> Vec<u8> {
    liblzma::encode_all(content, 1).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Numbered lines, with a time in front or none.
fn lines(count: usize, day: Option<&str>) -> String {
    (0..count).fold(String::new(), |mut lines, n| {
        if let Some(day) = day {
            write!(lines, "{day} 09:{:02}:{:02} ", n / 60, n % 60).unwrap();
        }
        writeln!(lines, "line {n}").unwrap();
        lines
    })
}

#[test]
fn what_a_tally_exported_is_the_same_events_in_another() {
    let place = Place::new();
    let file = place.write("app.log", lines(20, Some("2025-11-03")));
    place.import(&[path(&file), "--set", "level=warn"]).is("20 lines: 20 new, 0 already there, 0 refused");
    let events = place.events("");
    let exported = events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");

    let other = Place::new();
    let file = other.write("export.ndjson", &exported);
    let shown = other.import(&[path(&file), "--dry-run"]);
    assert!(shown.out.contains("(tally)"), "{}", shown.out);
    let url = format!("http://{}/", other.server.url);
    let send = |key: &str| run(&mut other.command(&[path(&file), "--url", &url, "--key", key]));
    let refused = send(&other.server.ingest_key);
    assert_eq!(refused.code, Some(1), "{}{}", refused.out, refused.err);
    assert!(refused.out.contains("only an admin"), "{}", refused.out);
    assert_eq!(other.events(""), Vec::<Value>::new());
    let body = json!({"username": "admin", "password": other.server.password}).to_string();
    let (_, signed_in) = other.server.request("POST", "/auth", ("accept", "*/*"), &body).unwrap();
    let sent = send(signed_in["token"].as_str().unwrap());
    assert_eq!(sent.code, Some(0), "{}{}", sent.out, sent.err);
    assert_eq!(other.events(""), events);
    // Also in the data of the machine, and once.
    other.import(&[path(&file)]).is("20 lines: 0 new, 20 already there, 0 refused");
    assert_eq!(other.events(""), events);
    // What is changed is another event.
    other.import(&[path(&file), "--set", "category=copy"]).is("20 lines: 20 new, 0 already there, 0 refused");
    assert_eq!(other.events("category=copy").len(), 20);
}

#[test]
fn a_line_counts_once_whatever_happens_to_its_file() {
    let place = Place::new();
    for (name, day) in [("plain", None), ("timed", Some("2025-11-03"))] {
        let file = |ending: &str| place.folder.path().join(format!("{name}.log{ending}"));
        let mut content = lines(100, day);
        place.write(&format!("{name}.log"), &content);
        place.import(&[path(&file(""))]).is("100 lines: 100 new, 0 already there, 0 refused");
        place.import(&[path(&file(""))]).is("100 lines: 0 new, 100 already there, 0 refused");
        // Appended to.
        content.push_str(&lines(101, day)[lines(100, day).len()..]);
        place.write(&format!("{name}.log"), &content);
        place.import(&[path(&file(""))]).is("101 lines: 1 new, 100 already there, 0 refused");
        // Touched.
        let day_ago = std::time::SystemTime::now() - Duration::from_hours(24);
        File::options().append(true).open(file("")).unwrap().set_modified(day_ago).unwrap();
        place.import(&[path(&file(""))]).is("101 lines: 0 new, 101 already there, 0 refused");
        // Rotated and compressed.
        fs::rename(file(""), file(".1")).unwrap();
        place.import(&[path(&file(".1"))]).is("101 lines: 0 new, 101 already there, 0 refused");
        let zstd = zstd::encode_all(content.as_bytes(), 1).unwrap();
        for (ending, packed) in
            [(".1.gz", gzip(content.as_bytes())), ("-20251126.zst", zstd), (".2.xz", xz(content.as_bytes()))]
        {
            fs::write(file(ending), packed).unwrap();
            place.import(&[path(&file(ending))]).is("101 lines: 0 new, 101 already there, 0 refused");
        }
        // Renamed, its source named.
        let source = format!("{}:{}", gethostname::gethostname().display(), file("").display());
        let renamed = place.write(&format!("kept/{name}"), &content);
        let canonical = place.folder.path().canonicalize().unwrap().join(format!("{name}.log"));
        let source = source.replace(path(&file("")), path(&canonical));
        place.import(&[path(&renamed), "--source", &source]).is("101 lines: 0 new, 101 already there, 0 refused");
    }
    assert_eq!(place.server.counted("2025-11-03", 101), 101);
}

#[test]
fn equal_lines_of_different_sources_are_different() {
    let place = Place::new();
    for (day, content) in [("2025-11-03", lines(10, Some("2025-11-03"))), ("today", lines(10, None))] {
        let files = ["web1", "web2"].map(|web| place.write(&format!("{web}/{day}.log"), &content));
        place.import(&[path(&files[0]), path(&files[1])]).is("20 lines: 20 new, 0 already there, 0 refused");
        place.import(&[path(&files[1])]).is("10 lines: 0 new, 10 already there, 0 refused");
        place.import(&[path(&files[1]), "--source", "another"]).is("10 lines: 10 new, 0 already there, 0 refused");
        // Standard input, of a source that is named.
        for _ in 0..2 {
            place.pipe(&content, &["--source", "another"]).is("10 lines: 0 new, 10 already there, 0 refused");
        }
        place.pipe(&content, &["--source", "piped"]).is("10 lines: 10 new, 0 already there, 0 refused");
        place.pipe(&content, &["--source", "piped"]).is("10 lines: 0 new, 10 already there, 0 refused");
        place.pipe(&content, &[]).is("10 lines: 10 new, 0 already there, 0 refused");
        place.pipe(&content, &[]).is("10 lines: 0 new, 10 already there, 0 refused");
    }
    assert_eq!(place.server.counted("2025-11-03", 50), 50);
}

#[test]
fn equal_lines_at_one_time_are_as_many_as_they_are() {
    let place = Place::new();
    let line = "2025-11-03 09:00:00 again\n";
    let file = place.write("app.log", line.repeat(3));
    place.import(&[path(&file)]).is("3 lines: 3 new, 0 already there, 0 refused");
    let file = place.write("app.log", line.repeat(5));
    place.import(&[path(&file)]).is("5 lines: 2 new, 3 already there, 0 refused");
    assert_eq!(place.server.counted("2025-11-03", 5), 5);
}

#[test]
fn a_line_without_a_time_keeps_its_assigned_time() {
    let place = Place::new();
    let content = "banner\n2025-11-03 09:00:00 up\nplain\n{\"message\":\"json\"}\n";
    let file = place.write("app.log", content);
    place.import(&[path(&file)]).is("4 lines: 4 new, 0 already there, 0 refused");
    let of = |message: &str| place.events(&format!("message={message}"))[0]["timestamp"].clone();
    for message in ["plain", "json"] {
        assert_eq!(of(message), "2025-11-03T09:00:00Z", "that of the line before");
    }
    let first = of("banner");
    std::thread::sleep(Duration::from_millis(1_100));
    place.import(&[path(&file)]).is("4 lines: 0 new, 4 already there, 0 refused");
    assert_eq!((of("banner"), place.events("message=banner").len()), (first.clone(), 1));
    // What is appended has a time of its own.
    let plain = place.write("plain.log", "one\n");
    place.import(&[path(&plain)]);
    std::thread::sleep(Duration::from_millis(1_100));
    fs::write(&plain, "one\ntwo\n").unwrap();
    place.import(&[path(&plain)]).is("2 lines: 1 new, 1 already there, 0 refused");
    assert!(of("one").as_str() < of("two").as_str());
    let help = String::from_utf8(binary().args(["import", "--help"]).output().unwrap().stdout).unwrap();
    assert!(help.contains("A line without a time") && help.contains("Which lines are the same"), "{help}");
}

#[test]
fn ids_and_counts_of_a_log_are_not_those_of_its_events() {
    let place = Place::new();
    let line = |n: usize, name: &str| {
        json!({"id": 42, "count": 350, "name": name, "timestamp": "2025-11-03T09:00:00Z", "n": n}).to_string()
    };
    let file = place.write("app.log", [line(1, "a"), line(2, "a")].join("\n"));
    place.import(&[path(&file)]).is("2 lines: 2 new, 0 already there, 0 refused");
    assert_eq!(place.server.counted("2025-11-03", 2), 2);
    let event = &place.events("name=a")[0];
    assert_eq!((&event["count"], &event["data"]), (&json!(1), &json!({"id": 42, "count": 350, "n": 1})));
    let file = place.write("mapped.log", [line(1, "b"), line(2, "b")].join("\n"));
    for new in ["1 new, 1 already there", "0 new, 2 already there"] {
        place.import(&[path(&file), "--map", "id=id", "count=count"]).is(&format!("2 lines: {new}, 0 refused"));
    }
    let events = place.events("name=b");
    assert_eq!((events.len(), &events[0]["count"], &events[0]["client_id"]), (1, &json!(350), &json!("42")));
    assert_eq!(place.server.counted("2025-11-03", 352), 352);
}

/// A log in a format of the world, and what its first line must become: time, level, and message.
#[allow(clippy::too_many_lines)] // a table
fn logs() -> Vec<(&'static str, &'static str, &'static str, &'static str, &'static str)> {
    vec![
        (
            "pino",
            r#"{"level":50,"time":1762160400123,"pid":7,"hostname":"web","msg":"failed"}
{"level":30,"time":1762160401123,"pid":7,"hostname":"web","msg":"up"}"#,
            "2025-11-03T09:00:00.123Z",
            "ERROR",
            "failed",
        ),
        (
            "bunyan",
            r#"{"name":"shop","hostname":"web","pid":7,"level":60,"msg":"failed","time":"2025-11-03T09:00:00.123Z","v":0}
{"name":"shop","hostname":"web","pid":7,"level":30,"msg":"up","time":"2025-11-03T09:00:01.123Z","v":0}"#,
            "2025-11-03T09:00:00.123Z",
            "FATAL",
            "failed",
        ),
        (
            "winston",
            r#"{"level":"verbose","message":"failed","timestamp":"2025-11-03T09:00:00.000Z"}
{"level":"error","message":"up","timestamp":"2025-11-03T09:00:01.000Z"}"#,
            "2025-11-03T09:00:00Z",
            "DEBUG",
            "failed",
        ),
        (
            "logrus",
            r#"{"level":"panic","msg":"failed","time":"2025-11-03T10:00:00+01:00"}
{"level":"info","msg":"up","time":"2025-11-03T10:00:01+01:00"}"#,
            "2025-11-03T09:00:00Z",
            "FATAL",
            "failed",
        ),
        (
            "zap",
            r#"{"level":"dpanic","ts":1762160400.25,"caller":"a.go:1","msg":"failed"}
{"level":"info","ts":1762160401.25,"caller":"a.go:1","msg":"up"}"#,
            "2025-11-03T09:00:00.250Z",
            "FATAL",
            "failed",
        ),
        (
            "slog",
            r#"{"time":"2025-11-03T09:00:00.123456789Z","level":"WARN","msg":"failed"}
{"time":"2025-11-03T09:00:01.123456789Z","level":"INFO","msg":"up"}"#,
            "2025-11-03T09:00:00.123456Z",
            "WARN",
            "failed",
        ),
        (
            "python",
            r#"{"asctime":"2025-11-03 09:00:00,123","levelname":"CRITICAL","name":"root","message":"failed"}
{"asctime":"2025-11-03 09:00:01,123","levelname":"INFO","name":"root","message":"up"}"#,
            "2025-11-03T09:00:00.123Z",
            "FATAL",
            "failed",
        ),
        (
            "nginx",
            r#"::1 - - [03/Nov/2025:10:00:00 +0100] "GET /a HTTP/1.1" 503 5 "-" "curl/8"
::1 - ann [03/Nov/2025:10:00:01 +0100] "GET /b HTTP/1.1" 200 5 "-" "curl/8""#,
            "2025-11-03T09:00:00Z",
            "ERROR",
            "GET /a HTTP/1.1",
        ),
        (
            "nginx-json",
            r#"{"time_iso8601":"2025-11-03T10:00:00+01:00","remote_addr":"::1","request":"GET /a HTTP/1.1","status":404}
{"time_iso8601":"2025-11-03T10:00:01+01:00","remote_addr":"::1","request":"GET /b HTTP/1.1","status":200}"#,
            "2025-11-03T09:00:00Z",
            "WARN",
            "GET /a HTTP/1.1",
        ),
        (
            "journald",
            r#"{"__REALTIME_TIMESTAMP":"1762160400123456","PRIORITY":"3","MESSAGE":"failed","SYSLOG_IDENTIFIER":"sshd"}
{"__REALTIME_TIMESTAMP":"1762160401123456","PRIORITY":"6","MESSAGE":"up","SYSLOG_IDENTIFIER":"sshd"}"#,
            "2025-11-03T09:00:00.123456Z",
            "ERROR",
            "failed",
        ),
        (
            "cloudwatch",
            "2025-11-03T09:00:00.123Z ERROR failed\n2025-11-03T09:00:01.123Z START RequestId: 1",
            "2025-11-03T09:00:00.123Z",
            "ERROR",
            "failed",
        ),
        (
            "syslog-3164",
            "<27>Nov  3 09:00:00 web sshd[7]: failed\n<30>Nov  3 09:00:01 web sshd[7]: up",
            "-11-03T09:00:00Z",
            "ERROR",
            "failed",
        ),
        (
            "syslog-5424",
            "<25>1 2025-11-03T09:00:00.003Z web sshd 7 ID1 [a@1 b=\"c\"] failed\n<30>1 2025-11-03T09:00:01Z web sshd 7 - - up",
            "2025-11-03T09:00:00.003Z",
            "FATAL",
            "failed",
        ),
        (
            "docker",
            r#"{"log":"ERROR failed\n","stream":"stderr","time":"2025-11-03T09:00:00.123456789Z"}
{"log":"up\n","stream":"stdout","time":"2025-11-03T09:00:01Z"}"#,
            "2025-11-03T09:00:00.123456Z",
            "ERROR",
            "ERROR failed",
        ),
        (
            "logfmt",
            "time=2025-11-03T09:00:00Z level=crit msg=\"failed\" took=12\ntime=2025-11-03T09:00:01Z level=info msg=up",
            "2025-11-03T09:00:00Z",
            "FATAL",
            "failed",
        ),
        (
            "array",
            "[\n  {\"severity\": \"alert\", \"time\": \"2025-11-03T09:00:00Z\",\n   \"message\": \"failed\"},\n  {\"message\": \"up\"}\n]",
            "2025-11-03T09:00:00Z",
            "FATAL",
            "failed",
        ),
        (
            "timestamped",
            "2025-11-03 09:00:00,123 [main] SEVERE x.Y - failed\n[2025-11-03 09:00:01] INFO up",
            "2025-11-03T09:00:00.123Z",
            "ERROR",
            "[main] SEVERE x.Y - failed",
        ),
        (
            "otel",
            r#"{"timeUnixNano":"1762160400000000000","severityNumber":21,"body":"failed"}
{"timeUnixNano":"1762160401000000000","severityNumber":9,"body":"up"}"#,
            "2025-11-03T09:00:00Z",
            "FATAL",
            "failed",
        ),
    ]
}

#[test]
fn logs_of_any_shape_are_understood_without_options() {
    let place = Place::new();
    for (name, content, time, level, message) in logs() {
        let file = place.write(&format!("{name}.log"), content);
        let category = format!("of {name}");
        place
            .import(&[path(&file), "--set", &format!("category={category}")])
            .is("2 lines: 2 new, 0 already there, 0 refused");
        let events = place.events(&format!("category=of%20{name}"));
        assert_eq!(events.len(), 2, "{name}");
        let first = &events[0];
        assert!(first["timestamp"].as_str().unwrap().ends_with(time), "{name}: {first}");
        assert_eq!((&first["level"], &first["message"]), (&json!(level), &json!(message)), "{name}: {first}");
        let is_request = name.starts_with("nginx");
        assert_eq!(first["name"], if is_request { "request" } else { "log" }, "{name}");
    }
    let request = &place.events("category=of%20nginx")[0]["data"];
    assert_eq!((&request["status"], &request["path"]), (&json!(503), &json!("/a")));
    assert_eq!(place.events("category=of%20docker")[0]["data"], json!({"stream": "stderr"}));
}

#[test]
fn stack_traces_belong_to_their_line() {
    let place = Place::new();
    let content = "2025-11-03 09:00:00 ERROR failed\njava.lang.IllegalStateException: bad\n\tat a.B.c(B.java:1)\nCaused by: y\n\n2025-11-03 09:00:01 up\n";
    let file = place.write("app.log", content);
    place.import(&[path(&file)]).is("2 lines: 2 new, 0 already there, 0 refused; 3 more belong to the line before");
    let events = place.events("date=2025-11-03");
    assert_eq!(
        (&events[0]["message"], &events[0]["stack"]),
        (&json!("failed"), &json!("java.lang.IllegalStateException: bad\n\tat a.B.c(B.java:1)\nCaused by: y"))
    );
    assert_eq!((&events[1]["message"], events[1].get("stack")), (&json!("up"), None));
    // A trace that grows replaces the event.
    fs::write(&file, content.replace("\n\n2025-11-03 09:00:01 up", "\n\tat z")).unwrap();
    let said = place.import(&[path(&file)]);
    said.is("1 line: 0 new, 1 already there, 0 refused; 4 more belong to the line before");
    let plain = place.write("plain.log", "Error: x\n    at f (a.js:1:2)\n    at g\n  indented\nend\n");
    place.import(&[path(&plain), "--set", "category=plain"]);
    assert_eq!(place.messages("category=plain"), ["Error: x", "end"].map(str::to_owned));
}

#[test]
fn a_format_can_be_forced_previewed_and_extended() {
    let place = Place::new();
    let file = place.write("app.log", "{\"level\":3,\"msg\":\"failed\"}\n{\"level\":6,\"msg\":\"up\"}\n");
    let said = place.import(&[path(&file), "--dry-run", "--format", "syslog-json"]);
    assert_eq!((said.code, said.out.lines().count()), (Some(0), 2), "{}{}", said.out, said.err);
    assert!(
        said.out.starts_with("line 1 (syslog-json): {") && said.out.contains(r#""level":"ERROR","message":"failed""#),
        "{}",
        said.out
    );
    assert_eq!(place.events("").len(), 0, "nothing was sent");
    place
        .import(&[path(&file), "--format", "plain", "--set", "name=raw", "data.env=prod", "level=notice"])
        .is("2 lines: 2 new, 0 already there, 0 refused");
    let event = &place.events("name=raw")[0];
    assert_eq!(event["message"], r#"{"level":3,"msg":"failed"}"#);
    assert_eq!((&event["level"], &event["data"]), (&json!("INFO"), &json!({"env": "prod"})));
    let error = fails(&mut place.command(&[path(&file), "--follow", "-"]));
    assert!(error.contains("--follow"), "{error}");
    for constant in ["level=loud", "timestamp=soon", "count=0", "id=1", "nme=x"] {
        assert_eq!(place.import(&[path(&file), "--set", constant]).code, Some(2), "{constant}");
    }
    let unknown = run(&mut place.command(&[path(&file), "--format", "xml"]));
    assert!(unknown.err.contains("journald"), "{}", unknown.err);
    // Without a folder of data, trying needs none.
    let said = run(binary().args(["import", path(&file), "--app", "x", "--dry-run"]).current_dir(place.folder.path()));
    assert!(said.code == Some(0) && !place.folder.path().join(".tally").exists(), "{}", said.err);
    // A zone for times that name none.
    let file = place.write("zone.log", "2025-11-03 09:00:00 up\n");
    place.import(&[path(&file), "--tz", "Europe/Stockholm", "--set", "name=zone"]);
    assert_eq!(place.events("name=zone")[0]["timestamp"], "2025-11-03T08:00:00Z");
}

#[test]
fn no_line_is_dropped_for_one_field() {
    let place = Place::new();
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let long = "m".repeat(9_000);
    let mut content = Vec::new();
    for line in [
        r#"{"message":"level","level":"loud"}"#.to_owned(),
        r#"{"message":"level","level":"louder"}"#.to_owned(),
        format!(r#"{{"message":"number","n":{}}}"#, "9".repeat(60)),
        format!(r#"{{"message":"deep","d":{deep}}}"#),
        format!(r#"{{"message":"{long}"}}"#),
        r#"{"message":"time","time":"never"}"#.to_owned(),
        r#"{"message":"twice","a":1,"a":2}"#.to_owned(),
        r#"{"message":"typed","name":{"a":1},"event":{"action":"x"},"tags":["t"]}"#.to_owned(),
        format!(r#"{{"message":"huge","x":"{}"}}"#, "x".repeat(300_000)),
        "x".repeat(1_500_000),
    ] {
        content.extend_from_slice(line.as_bytes());
        content.push(b'\n');
    }
    content.extend_from_slice(b"caf\xe9 plain\n{\"message\":\"caf\xe9 json\"}\n");
    let file = place.write("app.log", content);
    let said = place.import(&[path(&file)]);
    said.is("12 lines: 12 new, 0 already there, 0 refused");
    assert_eq!(said.err.matches("warning: line 1: the level \"loud\"").count(), 1, "{}", said.err);
    assert!(!said.err.contains("louder"), "once per kind: {}", said.err);
    let data = |message: &str| place.events(&format!("message={message}"))[0]["data"].clone();
    assert_eq!(data("level"), json!({"level": "loud"}));
    assert_eq!(data("number"), json!({"n": "9".repeat(60)}));
    assert_eq!(data("time"), json!({"time": "never"}));
    assert_eq!(data("twice"), json!({"a": 1, "a (2)": 2}));
    assert_eq!(data("typed"), json!({"name": {"a": 1}, "event": {"action": "x"}}));
    assert!(data("deep")["d"].to_string().contains("\"[[[[["));
    assert!(data("huge")["line"].as_str().unwrap().starts_with(r#"{"message":"huge""#));
    assert_eq!(data("caf%EF%BF%BD%20plain"), json!({"undecoded": "caf\\xe9 plain"}));
    assert_eq!(data("caf%EF%BF%BD%20json")["undecoded"], r#"{\"message\":\"caf\xe9 json\"}"#);
    let messages = place.messages("");
    assert!(messages.contains(&long[..8_192].to_owned()) && messages.contains(&"x".repeat(8_192)));
    let event = place.events("").into_iter().find(|event| event["message"] == long[..8_192]).unwrap();
    assert_eq!(event["data"]["message"], long);
}

#[test]
fn common_severity_names_are_understood_over_http_too() {
    let place = Place::new();
    for (level, names) in [
        ("INFO", "notice information informational"),
        ("FATAL", "alert crit critical emerg emergency panic"),
        ("ERROR", "err severe"),
        ("WARN", "warning"),
        ("DEBUG", "verbose fine"),
        ("TRACE", "trace finest"),
    ] {
        for name in names.split(' ') {
            let (status, reply) = place.server.send(&json!({"name": name, "level": name.to_uppercase()})).unwrap();
            assert_eq!((status, &reply["level"]), (201, &json!(level)), "{name}");
        }
    }
    assert_eq!(place.server.send(&json!({"name": "x", "level": "loud"})).unwrap().0, 400);
    assert_eq!(place.events("level=emerg").len(), 6, "filters understand them as well");
}

#[test]
fn encodings_indentation_and_order_are_kept() {
    let place = Place::new();
    let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
    };
    let text = "  indented é\r\n\tand a tab\r\nlast 日本\r\n";
    for (name, content) in [
        ("utf8", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("utf16le", utf16(text, u16::to_le_bytes)),
        ("utf16be", utf16(text, u16::to_be_bytes)),
    ] {
        let file = place.write(name, content);
        place
            .import(&[path(&file), "--set", &format!("category={name}")])
            .is("3 lines: 3 new, 0 already there, 0 refused");
        assert_eq!(place.messages(&format!("category={name}")), ["  indented é", "\tand a tab", "last 日本"]);
    }
    let file = place.write("bom.json", "\u{feff}{\"message\":\"json\"}\n");
    place.import(&[path(&file)]).is("1 line: 1 new, 0 already there, 0 refused");

    // Lines that share a time are listed in the order of the file, in either direction.
    let same: String = (0..300).fold(String::new(), |mut all, n| {
        writeln!(all, "2025-11-03 09:00:00 line {}", n * 7919 % 300).unwrap();
        all
    });
    let file = place.write("same.log", &same);
    place.import(&[path(&file)]);
    let expected: Vec<_> = (0..300).map(|n| format!("line {}", n * 7919 % 300)).collect();
    assert_eq!(place.messages("date=2025-11-03"), expected);
    let newest = place.server.report("events?date=2025-11-03&limit=1");
    assert_eq!(newest["items"][0]["message"], expected[299]);
    assert_eq!(newest["items"][0]["timestamp"], "2025-11-03T09:00:00Z");
}

#[test]
fn a_truncated_file_is_stored_as_far_as_it_was_read() {
    let place = Place::new();
    let content = lines(5_000, Some("2025-11-03"));
    for (name, packed) in [
        ("cut.gz", gzip(content.as_bytes())),
        ("cut.zst", zstd::encode_all(content.as_bytes(), 1).unwrap()),
        ("cut.xz", xz(content.as_bytes())),
    ] {
        let file = place.write(name, &packed[..packed.len() - packed.len() / 10]);
        let said = place.import(&[path(&file), "--source", name]);
        assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
        assert!(
            said.err.contains("cannot be read to its end") && said.err.contains("the lines before are stored"),
            "{}",
            said.err
        );
        let numbers = said.out.split("demo: ").nth(1).unwrap().split(' ').next().unwrap().replace(',', "");
        // The decoders of zstd and xz give whole blocks.
        assert!(name != "cut.gz" || numbers.parse::<usize>().unwrap() > 3_000, "{}", said.out);
    }
    let good = place.write("good.log", "2025-11-04 09:00:00 up\n");
    let cut = place.folder.path().join("cut.gz");
    let both = place.import(&[path(&cut), path(&good)]);
    assert!(
        both.code == Some(1) && place.messages("date=2025-11-04") == ["up"],
        "the other files are read: {}",
        both.out
    );
}

#[test]
fn lines_from_a_pipe_appear_within_a_second() {
    let place = Place::new();
    let mut child = place.spawn(&["-", "--source", "tail"]);
    let mut stdin = child.stdin.take().unwrap();
    for n in 1..=3 {
        writeln!(stdin, "2025-11-03 09:00:0{n} ERROR line {n}").unwrap();
        let took = place.until(n, "date=2025-11-03");
        // The first waits for the process to start as well.
        assert!(n == 1 || took < Duration::from_secs(1), "{took:?}");
    }
    // What belongs to a line may come later.
    writeln!(stdin, "    at f (a.js:1:2)").unwrap();
    let began = Instant::now();
    while place.events("message=line%203")[0].get("stack").is_none() {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    drop(stdin);
    said(child).is("3 lines: 3 new, 0 already there, 0 refused; 1 more belong to the line before");
    assert_eq!(place.server.counted("2025-11-03", 3), 3);
}

#[test]
fn a_file_is_followed_across_rotation() {
    let place = Place::new();
    let file = place.write("app.log", "2025-11-03 09:00:00 one\n");
    let other = place.write("other.log", "2025-11-03 08:00:00 zero\n");
    let child = place.spawn(&[path(&file), path(&other), "--follow"]);
    place.until(2, "date=2025-11-03");
    let append = |text: &str| File::options().append(true).open(&file).unwrap().write_all(text.as_bytes()).unwrap();
    append("2025-11-03 09:00:01 half");
    std::thread::sleep(Duration::from_millis(600));
    append(" and half\n");
    place.until(3, "date=2025-11-03");
    fs::rename(&file, place.folder.path().join("app.log.1")).unwrap();
    fs::write(&file, "2025-11-03 09:00:02 two\n").unwrap();
    place.until(4, "date=2025-11-03");
    append("2025-11-03 09:00:03 three\n");
    place.until(5, "date=2025-11-03");
    // Truncated and started again.
    File::options().write(true).truncate(true).open(&file).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    append("2025-11-03 09:00:04 four\n");
    place.until(6, "date=2025-11-03");
    interrupt(&child);
    said(child).is("6 lines: 6 new, 0 already there, 0 refused");
    assert_eq!(place.messages("date=2025-11-03"), ["zero", "one", "half and half", "two", "three", "four"]);
    let rotated = place.folder.path().join("app.log.1");
    place.import(&[path(&rotated)]).is("2 lines: 0 new, 2 already there, 0 refused");
}

#[test]
fn several_files_and_patterns_are_read() {
    let place = Place::new();
    for n in 0..3 {
        place.write(&format!("logs/{n}.log"), format!("2025-11-03 09:00:0{n} up\n"));
    }
    place.import(&["logs/*.log"]).is("3 lines: 3 new, 0 already there, 0 refused");
    place.import(&["logs/0.log", "logs/2.log"]).is("2 lines: 0 new, 2 already there, 0 refused");
    for (argument, word) in [("logs/*.txt", "no file matches"), ("logs", "is a folder"), ("none.log", "cannot read")] {
        let error = fails(&mut place.command(&[argument]));
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn events_are_sent_to_a_remote_tally() {
    let place = Place::new();
    let file = place.write("app.log", format!("banner\n{}", lines(1_200, Some("2025-11-03"))));
    let state = place.folder.path().join("state");
    let url = format!("http://{}/", place.server.url);
    let send = |key: &str, more: &[&str]| {
        let args = [&[path(&file), "--url", &url, "--key", key][..], more].concat();
        run(place.command(&args).env("XDG_STATE_HOME", &state))
    };
    let sent = send(&place.server.ingest_key, &[]);
    assert_eq!(sent.code, Some(0), "{}{}", sent.out, sent.err);
    assert!(sent.out.contains("1,201 lines: 1,201 stored, new or already there; 0 refused"), "{}", sent.out);
    std::thread::sleep(Duration::from_millis(1_100));
    // A key that reads as well can tell.
    let body = json!({"username": "admin", "password": place.server.password}).to_string();
    let (_, signed_in) = place.server.request("POST", "/auth", ("accept", "*/*"), &body).unwrap();
    let bearer = format!("Bearer {}", signed_in["token"].as_str().unwrap());
    let scopes = r#"{"scopes":["ingest","read"]}"#;
    let (_, key) = place.server.request("POST", "/apps/demo/keys", ("authorization", &bearer), scopes).unwrap();
    send(key["key"].as_str().unwrap(), &[]).is("1,201 lines: 0 new, 1,201 already there, 0 refused");
    assert_eq!(place.server.counted("2025-11-03", 1_200), 1_200);
    assert_eq!(place.events("message=banner").len(), 1, "a line without a time is the same again");
    assert!(!place.folder.path().join(".tally").exists());

    let one_line = |said: &Said| said.err.trim().lines().count() == 1 && said.code == Some(1);
    let wrong = send("tly_in_wrong", &[]);
    assert!(one_line(&wrong) && wrong.err.contains("401"), "{}", wrong.err);
    let nowhere =
        run(place.command(&[path(&file), "--url", "http://127.0.0.1:1", "--key", "k"]).env("XDG_STATE_HOME", &state));
    assert!(one_line(&nowhere) && nowhere.err.contains("cannot reach"), "{}", nowhere.err);
    let keyless = run(&mut place.command(&[path(&file), "--url", &url]));
    assert!(one_line(&keyless) && keyless.err.contains("TALLY_KEY"), "{}", keyless.err);
    let by_variable = run(place
        .command(&[path(&file), "--url", &url])
        .env("TALLY_KEY", &place.server.ingest_key)
        .env("XDG_STATE_HOME", &state));
    assert_eq!(by_variable.code, Some(0), "{}", by_variable.err);
    let ftp = run(&mut place.command(&[path(&file), "--url", "ftp://x", "--key", "k"]));
    assert!(one_line(&ftp) && ftp.err.contains("https://"), "{}", ftp.err);
}

/// A port that speaks TLS with this certificate, and hands what it says to another port.
fn tls_in_front_of(port: String, certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                // One that does not trust the certificate goes away.
                let Ok(mut outside) = acceptor.accept(socket).await else { continue };
                let mut inside = tokio::net::TcpStream::connect(&port).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    });
    at
}

#[test]
fn events_are_sent_over_tls_to_servers_with_trusted_certificates() {
    let place = Place::new();
    let file = place.write("app.log", lines(10, Some("2025-11-03")));
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let trusted = place.write("trusted.pem", certified.cert.pem());
    let port = tls_in_front_of(place.server.url.clone(), &certified);
    let url = format!("https://localhost:{port}");
    let mut command = place.command(&[path(&file), "--url", &url, "--key", &place.server.ingest_key]);
    let distrusted = run(&mut command);
    assert!(distrusted.code == Some(1) && distrusted.err.contains("cannot reach"), "{}", distrusted.err);
    let sent = run(command.env("SSL_CERT_FILE", &trusted));
    assert!(sent.code == Some(0) && sent.out.contains("10 lines: 10 stored"), "{}{}", sent.out, sent.err);
    assert_eq!(place.server.counted("2025-11-03", 10), 10);
}

#[test]
fn no_database_is_created_silently() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("app.log"), "2025-11-03 09:00:00 up\n").unwrap();
    let command = |args: &[&str]| {
        let mut command = binary();
        command.args(args).args(["--app", "demo"]).current_dir(folder.path());
        command
    };
    for args in [&["import", "app.log"][..], &["audit"], &["recount"]] {
        let error = fails(&mut command(args));
        assert!(error.contains("no Tally runs here") && error.contains("--data"), "{error}");
    }
    for what in ["audit", "recount"] {
        let error = fails(&mut command(&[what, "--data", "new"]));
        assert!(error.contains("there is no data of a Tally in new"), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
    let said = run(&mut command(&["import", "app.log", "--data", "new"]));
    said.is("1 line: 1 new, 0 already there, 0 refused");
    assert!(said.err.contains("a new database is made in new"), "{}", said.err);
    // Without a server it counts by itself.
    let said = run(&mut command(&["audit", "--data", "new"]));
    assert!(said.out.contains("every counter is right"), "{}{}", said.out, said.err);
}

#[test]
fn rejected_lines_are_grouped_and_kept() {
    let place = Place::new();
    let mut content = "{\"message\":\"up\"}\n{\"message\":\"an object without its!\n".to_owned();
    for n in 0..200 {
        writeln!(content, r#"{{"level":"info","when":"2025-11-03T09:00:00Z","pid":{n},"what":"it happened"}}"#)
            .unwrap();
    }
    content.push_str("{\"message\":\"early\",\"time\":\"9000-01-01T00:00:00Z\"}\n");
    let file = place.write("app.log", content);
    let said = place.import(&[path(&file), "--rejects", "rejects.ndjson"]);
    said.is("203 lines: 1 new, 0 already there, 202 refused");
    assert!(said.out.contains("line 2, column 34: not valid JSON"), "{}", said.out);
    assert!(
        said.out.contains(
            "200 lines have neither name nor message; the first (line 3) has level, pid, what, when: \
             try --map message=what timestamp=when"
        ),
        "{}",
        said.out
    );
    assert!(said.out.contains("line 203: `timestamp`: 9000-01-01T00:00:00Z is more than a day ahead"), "{}", said.out);
    let rejects = fs::read_to_string(place.folder.path().join("rejects.ndjson")).unwrap();
    let rejects: Vec<Value> = rejects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rejects.len(), 202);
    assert_eq!((&rejects[0]["line"], &rejects[0]["reason"]), (&json!(2), &json!("not valid JSON")));
    assert!(rejects[1]["text"].as_str().unwrap().contains("it happened"));
    place
        .import(&[path(&file), "--map", "message=what", "timestamp=when"])
        .is("203 lines: 200 new, 1 already there, 2 refused");
    assert_eq!(place.server.counted("2025-11-03", 200), 200);
}

#[test]
fn an_import_waits_until_counted_or_says_what_is_left() {
    let place = Place::new();
    let content: String = (0..20_000).fold(String::new(), |mut all, n| {
        writeln!(all, "2025-11-03 {:02}:{:02}:{:02} line", n / 3_600, n / 60 % 60, n % 60).unwrap();
        all
    });
    let file = place.write("app.log", content);
    place.import(&[path(&file)]).is("20,000 lines: 20,000 new, 0 already there, 0 refused");
    assert_eq!(place.server.report("reports/day?date=2025-11-03")["total"], 20_000, "counted when it ends");

    // Stopped in the middle, by the same command it goes on.
    let other = lines(3_000, Some("2025-11-04"));
    let mut child = place.spawn(&["-", "--source", "other"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(other.as_bytes()).unwrap();
    place.until(1_000, "date=2025-11-04");
    interrupt(&child);
    let stopped = said(child);
    assert_eq!(stopped.code, Some(130), "{}{}", stopped.out, stopped.err);
    assert!(
        stopped.out.contains("Stopped after line ") && stopped.out.contains("the same command continues"),
        "{}",
        stopped.out
    );
    drop(stdin);
    let again = place.pipe(&other, &["--source", "other"]);
    assert!(again.out.contains("3,000 lines: ") && again.out.contains(" already there, 0 refused"), "{}", again.out);
    assert_eq!(place.server.counted("2025-11-04", 3_000), 3_000);
}

#[test]
fn an_import_reports_events_that_are_not_counted() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    // The poller cannot move on where it cannot keep its position.
    fs::create_dir_all(data.join("stream-position.new")).unwrap();
    fs::write(folder.path().join("app.log"), lines(100, Some("2025-11-03"))).unwrap();
    let mut command = binary();
    command.args(["import", "app.log", "--app", "demo", "--data", "data"]).current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said_so = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said_so.any(|line| line == "counting: 100 left"));
    interrupt(&child);
    let said = said(child);
    assert_eq!(said.code, Some(0), "all is stored");
    assert!(
        said.out.contains("100 lines: 100 new") && said.out.contains("counting: 100 left; the next start goes on"),
        "{}",
        said.out
    );
    fs::remove_dir(data.join("stream-position.new")).unwrap();
    fs::rename(&data, folder.path().join(".tally")).unwrap();
    // The default folder, once it is there.
    let mut command = binary();
    let said = run(command.args(["import", "app.log", "--app", "demo"]).current_dir(folder.path()));
    said.is("100 lines: 0 new, 100 already there, 0 refused");
    assert!(!said.out.contains("counting"), "{}", said.out);
}

#[test]
fn a_log_is_imported_once_however_often_it_is_sent() {
    let place = Place::new();
    let mut content = String::new();
    for n in 0..1_200 {
        let line = json!({"ts": format!("2026-10-02T10:{:02}:{:02}Z", n / 60, n % 60), "lvl": 30 + 10 * (n % 3),
            "http": {"path": format!("/p{}", n % 5)}, "user_id": n % 9, "took": 1.5});
        content.push_str(&line.to_string());
        content.push('\n');
    }
    content.push_str("{\"ts\":\"never\",\"http\":{\"path\":\"/p\"}}\n{broken\n\nplain text\n");
    let file = place.write("log.ndjson", &content);
    let map = ["--map", "name=http.path", "timestamp=ts", "level=lvl"];
    let args = [&[path(&file)][..], &map].concat();
    for numbers in ["1,202 new, 0 already there", "0 new, 1,202 already there"] {
        let said = place.import(&args);
        said.is(&format!("1,203 lines: {numbers}, 1 refused"));
        assert!(said.out.contains("line 1202, column 2: not valid JSON"), "{}", said.out);
        assert!(said.err.contains("warning: line 1201: the time \"never\" is not understood"), "{}", said.err);
    }
    // The last two have the time of the line before.
    assert_eq!(place.server.counted("2026-10-02", 1_202), 1_202);
    let report = place.server.report("reports/day?date=2026-10-02&level=ERROR");
    assert_eq!((&report["total"], &report["by_name"][0]["name"]), (&json!(400), &json!("/p0")));
    let events = place.server.report("events?user_id=3&limit=1&order=asc&attr.took=1.5");
    assert_eq!(events["items"][0]["data"], json!({"took": 1.5, "http": {}}));
    let Place { folder, server } = place;
    server.kill();

    // Without a server it counts by itself; gzip and standard input do as well.
    let data = folder.path().join("data");
    let packed = folder.path().join("packed.gz");
    fs::write(&packed, gzip(content.as_bytes())).unwrap();
    let args = [&["import", path(&packed), "--app", "other", "--data", path(&data)][..], &map].concat();
    let said = run(binary().args(&args));
    assert!(said.out.contains("other: 1,203 lines: 1,202 new, 0 already there, 1 refused"), "{}{}", said.out, said.err);
    let mut child = binary()
        .args(["import", "-", "--app", "demo", "--data"])
        .arg(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"name\":\"piped\",\"timestamp\":\"2026-10-03T00:00:00Z\"}\n").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    let server = Server::start(&data);
    assert_eq!(server.report("reports/day?date=2026-10-03")["total"], 1, "counted before it ended");
}
