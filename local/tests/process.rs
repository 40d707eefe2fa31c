//! The server as a process: started, killed, started again, and its importer; through its ports alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tally::first_start::Machine;
use tally::server::{FREE_PORT, Stack, context, service};
use tally_core::app::{AppId, AppSlug};
use tally_core::event::id::EventId;
use tally_service::config::Config;
use tempfile::TempDir;
use tower::ServiceExt;

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
    command.env_remove("TALLY_USERS").env("RUST_LOG", "warn");
    command
}

/// A running server.
struct Server {
    child: Child,
    url: String,
    ingest_key: String,
    read_key: String,
    password: String,
}

impl Server {
    /// Starts one on free ports and reads what it prints.
    fn start(data: &Path) -> Self {
        Self::start_with(&mut binary(), data)
    }

    fn start_with(command: &mut Command, data: &Path) -> Self {
        let mut child = command
            .args(["--port", "0", "--dynamodb-port", "0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        while !printed.contains("Ctrl-C ends it") {
            printed.push_str(&lines.next().expect("it prints all of its banner").unwrap());
            printed.push('\n');
        }
        let after = |checkpoint: &str| {
            let rest = printed.split_once(checkpoint).unwrap_or_else(|| panic!("no {checkpoint} in {printed}")).1;
            rest.split(['\'', '"', ' ', '\n']).next().unwrap().to_owned()
        };
        Self {
            url: after("http://"),
            ingest_key: after("X-Ingest-Key: "),
            read_key: after("X-Read-Key: "),
            password: after("\"password\":\""),
            child,
        }
    }

    fn kill(mut self) {
        // SIGKILL
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// One request over a connection of its own; none where the server went away meanwhile.
    fn request(&self, method: &str, path: &str, header: (&str, &str), body: &str) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(&self.url).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{}: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.url,
            header.0,
            header.1,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let (head, body) = reply.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    fn send(&self, events: &Value) -> Option<(u16, Value)> {
        self.request("POST", "/apps/demo/events", ("x-ingest-key", &self.ingest_key), &events.to_string())
    }

    fn report(&self, path: &str) -> Value {
        let (status, reply) =
            self.request("GET", &format!("/apps/demo/{path}"), ("x-read-key", &self.read_key), "").expect("a reply");
        assert_eq!(status, 200, "{reply}");
        reply
    }

    /// The total of a day, once the counters have followed what was sent.
    fn counted(&self, day: &str, expected: i64) -> i64 {
        let until = Instant::now() + Duration::from_mins(2);
        loop {
            let total = self.report(&format!("reports/day?date={day}"))["total"].as_i64().unwrap();
            if total >= expected || Instant::now() > until {
                return total;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `n`th batch of a hundred events with ids, on 1 October 2026.
fn batch(n: usize) -> Value {
    let events = (0..100).map(|i| {
        let number = n * 100 + i;
        let (minute, second) = (number / 60 % 60, number % 60);
        json!({"name": format!("name {}", number % 7), "id": format!("event {number}"),
            "timestamp": format!("2026-10-01T{:02}:{minute:02}:{second:02}Z", number / 3600)})
    });
    events.collect()
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_counts_nothing_twice() {
    const BATCHES: usize = 40;
    let data = TempDir::new().unwrap();
    let mut accepted = 0;
    for kill_after in [7, 18, 29] {
        let server = Server::start(data.path());
        for n in 0..kill_after {
            let (status, reply) = server.send(&batch(n)).expect("a reply");
            assert_eq!((status, &reply["accepted"]), (201, &json!(100)));
        }
        accepted = kill_after;
        // In the middle of a batch, and of whatever the poller is at.
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| server.send(&batch(kill_after)));
            if kill_after % 2 == 0 {
                sending.join().unwrap();
            }
            let pid = server.child.id().to_string();
            Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        });
        server.kill();
    }
    let server = Server::start(data.path());
    let before = server.counted("2026-10-01", i64::try_from(accepted * 100).unwrap());
    assert!(before >= i64::try_from(accepted * 100).unwrap(), "all that was accepted is counted after the restart");
    for n in 0..BATCHES {
        assert_eq!(server.send(&batch(n)).expect("a reply").0, 201);
    }
    let total = i64::try_from(BATCHES * 100).unwrap();
    assert_eq!(server.counted("2026-10-01", total), total);
    // Whatever else the stream holds must change nothing.
    std::thread::sleep(Duration::from_secs(1));
    let report = server.report("reports/day?date=2026-10-01");
    assert_eq!(report["total"], total);
    let sums = |list: &Value| list.as_array().unwrap().iter().map(|i| i["count"].as_i64().unwrap()).sum::<i64>();
    assert_eq!((sums(&report["by_name"]), sums(&report["series"])), (total, total));
    let series = server.report("stats/timeseries?since=2026-10-01&until=2026-10-02&interval=MINUTE");
    assert_eq!(sums(&series["series"]), total);
}

#[test]
fn the_lines_that_it_prints_work_and_go_on_working_after_a_restart() {
    let data = TempDir::new().unwrap();
    std::fs::write(data.path().join("notes.txt"), "of somebody else").unwrap();
    let first = Server::start(data.path());
    assert_eq!(first.send(&json!({"name": "application started"})).unwrap().0, 201);
    let body = json!({"username": "admin", "password": first.password}).to_string();
    let (status, signed_in) = first.request("POST", "/auth", ("accept", "*/*"), &body).unwrap();
    assert_eq!((status, &signed_in["role"]), (200, &json!("admin")));
    let keys = (first.ingest_key.clone(), first.password.clone());
    let pid = first.child.id().to_string();
    let mut first = first;
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(first.child.wait().unwrap().success(), "Ctrl-C ends it cleanly");

    let second = Server::start(data.path());
    assert_eq!((second.ingest_key.clone(), second.password.clone()), keys);
    assert_eq!(second.counted("today", 1), 1);
    #[cfg(unix)]
    for file in ["tally.db", "this-machine.json"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(data.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} holds secrets");
    }
    let bearer = format!("Bearer {}", signed_in["token"].as_str().unwrap());
    assert_eq!(second.request("GET", "/apps", ("authorization", &bearer), "").unwrap().0, 200, "tokens stay good");
    assert_eq!(std::fs::read_to_string(data.path().join("notes.txt")).unwrap(), "of somebody else");
}

fn fails(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.stdin(Stdio::null()).output().unwrap();
    assert!(!status.success());
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(said.trim().lines().count(), 1, "one clear line: {said}");
    said
}

#[test]
fn what_stands_in_its_way_is_said_in_one_line() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    let port = server.url.rsplit(':').next().unwrap();
    let other = TempDir::new().unwrap();
    let taken = fails(binary().args(["--port", port, "--dynamodb-port", "0", "--data"]).arg(other.path()));
    assert!(taken.contains(port) && taken.contains("--port"), "{taken}");
    let taken = fails(binary().args(["--port", "0", "--dynamodb-port", port, "--data"]).arg(other.path()));
    assert!(taken.contains("--dynamodb-port"), "{taken}");
    let in_use = fails(binary().args(["--port", "0", "--dynamodb-port", "0", "--data"]).arg(data.path()));
    assert!(in_use.contains("in use"), "{in_use}");
    let file = other.path().join("file");
    std::fs::write(&file, "").unwrap();
    let no_folder = fails(binary().args(["--port", "0", "--dynamodb-port", "0", "--data"]).arg(&file));
    assert!(no_folder.contains("data folder"), "{no_folder}");
    let setting = fails(binary().args(["--port", "0", "--memory"]).env("TALLY_TOKEN_MINUTES", "soon"));
    assert!(setting.contains("TALLY_TOKEN_MINUTES"), "{setting}");
    let damaged = TempDir::new().unwrap();
    std::fs::write(damaged.path().join("tally.db"), "not a database, but long enough to be taken for one").unwrap();
    let unreadable = fails(binary().args(["--port", "0", "--dynamodb-port", "0", "--data"]).arg(damaged.path()));
    assert!(unreadable.contains("tally.db"), "{unreadable}");
}

fn import(data: &Path, app: &str, file: &str, more: &[&str]) -> (bool, String) {
    let output = binary().arg("import").arg(file).args(["--app", app, "--data"]).arg(data).args(more).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_log_is_imported_once_however_often_it_is_sent() {
    let data = TempDir::new().unwrap();
    let log = data.path().join("log.ndjson");
    let mut lines = String::new();
    for n in 0..1_200 {
        let line = json!({"ts": format!("2026-10-02T10:{:02}:{:02}Z", n / 60, n % 60), "lvl": 30 + 10 * (n % 3),
            "http": {"path": format!("/p{}", n % 5)}, "user_id": n % 9, "took": 1.5});
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines.push_str("{\"ts\":\"never\",\"http\":{\"path\":\"/p\"}}\n{broken\n\nplain text\n");
    std::fs::write(&log, &lines).unwrap();
    let map = ["--map", "name=http.path", "timestamp=ts", "level=lvl"];
    let server = Server::start(data.path());
    for _ in 0..2 {
        let (clean, said) = import(data.path(), "demo", log.to_str().unwrap(), &map);
        assert!(!clean && said.contains("1201 events sent to `demo`"), "{said}");
        assert!(
            said.contains("line 1201: `timestamp`") && said.contains("line 1202: ") && !said.contains("line 1204"),
            "{said}"
        );
    }
    assert_eq!(server.counted("2026-10-02", 1_200), 1_200);
    let report = server.report("reports/day?date=2026-10-02&level=ERROR");
    assert_eq!((&report["total"], &report["by_name"][0]["name"]), (&json!(400), &json!("/p0")));
    let events = server.report("events?user_id=3&limit=1&order=asc&attr.took=1.5");
    assert_eq!(events["items"][0]["data"], json!({"took": 1.5, "http": {}}));
    server.kill();

    // Without a server it counts by itself; gzip and standard input do as well.
    let packed = data.path().join("packed.gz");
    let mut gzip = flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), flate2::Compression::fast());
    gzip.write_all(lines.as_bytes()).unwrap();
    gzip.finish().unwrap();
    let (_, said) = import(data.path(), "other", packed.to_str().unwrap(), &map);
    assert!(said.contains("1201 events sent to `other`"), "{said}");
    let mut child = binary()
        .args(["import", "-", "--app", "demo", "--data"])
        .arg(data.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"name\":\"piped\",\"timestamp\":\"2026-10-03T00:00:00Z\"}\n").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    let server = Server::start(data.path());
    assert_eq!(server.report("reports/day?date=2026-10-03")["total"], 1, "counted before it ended");
}

/// Runs `audit` or `recount` on the demo app; whether it went well, and what it printed.
fn audit(data: &Path, what: &str) -> (bool, String) {
    let output: Output = binary().args([what, "--app", "demo", "--data"]).arg(data).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn counters_are_held_to_events_beside_a_server_and_without_one() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    let (status, _) = server.send(&batch(0)).expect("a reply");
    assert_eq!(status, 201);
    for what in ["audit", "recount"] {
        let (well, printed) = audit(data.path(), what);
        assert!(well && printed.contains("every counter is right"), "{printed}");
    }
    server.kill();
    let (well, printed) = audit(data.path(), "audit");
    assert!(well && printed.contains("every counter is right"), "{printed}");
    assert!(fails(binary().args(["audit", "--app", "nobody", "--data"]).arg(data.path())).contains("no such app"));
}

#[test]
fn the_log_tells_of_every_request_and_holds_no_secret() {
    let data = TempDir::new().unwrap();
    let log = data.path().join("log");
    let mut command = binary();
    command.env("RUST_LOG", "debug").env("TALLY_LOG_FORMAT", "json").stderr(std::fs::File::create(&log).unwrap());
    let server = Server::start_with(&mut command, &data.path().join("data"));
    let json = ("content-type", "application/json");
    let (_, signed_in) = server
        .request("POST", "/auth", json, &json!({"username": "admin", "password": server.password}).to_string())
        .unwrap();
    let token = signed_in["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let (_, made) =
        server.request("POST", "/apps/demo/keys", ("authorization", &bearer), r#"{"scopes":["read"]}"#).unwrap();
    let new_key = made["key"].as_str().unwrap().to_owned();
    let wrong = "a guess that must stay secret";
    server.request("POST", "/auth", json, &json!({"username": "admin", "password": wrong}).to_string()).unwrap();
    let event = json!({"name": "a body that must stay secret", "user_id": "someone@example.com"});
    server.send(&event).unwrap();
    server.send(&json!([{"name": "a"}, {"nme": "typo"}])).unwrap();
    let nowhere = ("accept", "*/*");
    for path in [
        format!("/apps/demo/events?read_key={new_key}"),
        format!("/apps/demo/events?access_token={token}"),
        format!("/apps/demo/stats/totals?read_key={}", server.read_key),
        format!("/nothing/{new_key}"),
        format!("/the-eye/{new_key}/api/event"),
    ] {
        server.request("GET", &path, nowhere, "").unwrap();
    }
    server.request("POST", &format!("/apps/demo/count/x?ingest_key={}", server.ingest_key), nowhere, "").unwrap();
    server.request("POST", "/apps/demo/events", ("x-ingest-key", &format!("{}x", server.ingest_key)), "{").unwrap();
    server.request("POST", "/signing-keys", ("cookie", &format!("token={token}")), "").unwrap();
    server.counted("today", 3);
    let secrets = [
        &server.ingest_key,
        &server.read_key,
        &server.password,
        &token,
        &new_key,
        wrong,
        "a body that must stay secret",
        "someone@example.com",
    ]
    .map(str::to_owned);
    server.kill();
    let text = std::fs::read_to_string(&log).unwrap();
    for secret in secrets {
        // The secret part of a key is its end.
        for part in [secret.as_str(), secret.rsplit('_').next().unwrap(), secret.rsplit('.').next().unwrap()] {
            assert!(!text.contains(part), "{part} is in the log: {:?}", text.lines().find(|line| line.contains(part)));
        }
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert!(requests.len() >= 13, "{}", requests.len());
    for line in &requests {
        assert!(line["request_id"].as_str().is_some_and(|id| id.len() == 26), "{line}");
        assert!(line["status"].is_u64() && line["ms"].is_f64() && line["route"].is_string(), "{line}");
    }
    let sent = requests.iter().find(|line| line["route"] == "/apps/{app}/events" && line["rejected"] == 1).unwrap();
    assert_eq!((&sent["app"], &sent["accepted"], &sent["status"]), (&json!("demo"), &json!(1), &json!(207)));
    assert!(sent["caller"].as_str().unwrap().starts_with("key "), "{sent}");
    assert!(requests.iter().any(|line| line["caller"] == "user admin" && line["route"] == "/signing-keys"));
}

/// Stores events of the app `demo` in a data folder without counting any: what a server finds that was killed while it
/// was sent more than it could count. Each body is a list of events.
fn store_uncounted(data: &Path, bodies: impl Iterator<Item = Value>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stack = Stack::start(Some(data), FREE_PORT, &Config::default()).await.unwrap();
        let context = context(stack.store.clone(), Config::default());
        let mut machine = Machine::load_or_make(data).unwrap();
        machine.make_demo(&context, data).await.unwrap();
        let (service, key) = (service(&context), machine.demo_ingest_key.unwrap());
        for body in bodies {
            let request = Request::post("/apps/demo/events").header("x-ingest-key", &key);
            let reply = service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
            assert_eq!(reply.status(), 201);
        }
    });
}

#[test]
fn days_of_dead_batches_are_named_and_recounted_and_until_then_replies_are_incomplete() {
    let data = TempDir::new().unwrap();
    let day: tally_core::time::Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
    // What `aggregate` does when it is told of a batch that Lambda gave up.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stack = Stack::start(Some(data.path()), FREE_PORT, &Config::default()).await.unwrap();
        let demo = AppId::new(&AppSlug::of_name("demo").unwrap(), 1);
        stack.store.mark_uncounted(&demo, &[day].into(), day).await.unwrap();
    });
    let server = Server::start(data.path());
    assert_eq!(server.send(&batch(0)).expect("a reply").0, 201);
    assert_eq!(server.counted("2026-10-01", 100), 100);
    assert_eq!(server.report("reports/day?date=2026-10-01")["complete"], false);
    assert_eq!(server.report("reports/day?date=2026-10-02")["complete"], Value::Null);

    // As `aws s3 sync` leaves the objects.
    let folder = data.path().join("dead/aws/lambda/14b8db24/shardId-1/2026/10/02");
    std::fs::create_dir_all(&folder).unwrap();
    let keys = json!({"pk": {"S": "demo#0"}, "sk": {"S": EventId::first_at(day).to_string()}});
    let payload = json!({"Records": [{"eventName": "INSERT", "dynamodb": {"Keys": keys}}], "shardId": "shardId-1"});
    let record = json!({"DDBStreamBatchInfo": {"shardId": "shardId-1"}, "payload": payload.to_string()});
    std::fs::write(folder.join("2026-10-02T09.00.00-1"), record.to_string()).unwrap();
    let run = |arguments: &[&str], token: &str| {
        let mut command = binary();
        command.arg("dead-batches").arg(data.path().join("dead")).args(arguments).env("TALLY_TOKEN", token);
        let output = command.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), printed)
    };
    let (well, printed) = run(&[], "");
    assert!(well && printed.contains("demo 2026-10-01 to before 2026-10-02\n"), "{printed}");
    let url = format!("http://{}/", server.url);
    let (well, printed) = run(&["--url", &url], "wrong");
    assert!(!well && printed.contains("not recounted: 401"), "{printed}");
    let sign_in = json!({"username": "admin", "password": server.password}).to_string();
    let (_, signed_in) = server.request("POST", "/auth", ("content-type", "application/json"), &sign_in).unwrap();
    let token = signed_in["token"].as_str().unwrap();
    let (well, printed) = run(&["--url", &url], token);
    assert!(well && printed.contains("demo 2026-10-01 to before 2026-10-02: recounted, 0 differences"), "{printed}");
    assert_eq!(server.report("reports/day?date=2026-10-01")["complete"], Value::Null);

    // A record without events, as a queue would get it.
    std::fs::write(folder.join("2026-10-02T09.00.00-2"), r#"{"DDBStreamBatchInfo": {}}"#).unwrap();
    let (well, printed) = run(&["--url", &url], token);
    assert!(!well && printed.contains("recount every app") && printed.contains("no payload"), "{printed}");
}

/// The most memory that a process has had, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB")
}

#[cfg(target_os = "linux")]
#[test]
fn a_backlog_of_large_events_is_counted_in_little_memory() {
    const ROUNDS: usize = 25;
    const EVENTS: usize = 16;
    const EVENT: usize = 250 * 1024;
    const MIB: u64 = 1024 * 1024;
    let data = TempDir::new().unwrap();
    let large = "x".repeat(EVENT);
    // The same events again and again, each time with another count: a change is a record of both images.
    let round = |n: usize| -> Value {
        let event = |i| {
            json!({"name": "large", "id": format!("event {i}"), "timestamp": format!("2026-10-01T10:00:{i:02}Z"),
                "count": n + 1, "data": large})
        };
        (0..EVENTS).map(event).collect()
    };
    store_uncounted(data.path(), (0..ROUNDS).map(round));
    let backlog = EVENTS * (2 * ROUNDS - 1) * EVENT;
    assert!(backlog > 200_000_000);
    let server = Server::start(data.path());
    let all = i64::try_from(EVENTS * ROUNDS).unwrap();
    assert_eq!(server.counted("2026-10-01", all), all);
    let peak = peak_memory(&server.child);
    assert!(peak < 256 * MIB, "{} MiB for a backlog of {} MB", peak / MIB, backlog / 1_000_000);
}
