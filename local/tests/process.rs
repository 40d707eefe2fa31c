//! The server as a process: started, killed, started again; through its ports alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use axum::body::Body;
use common::{PATIENCE, Server, binary, fails};
use http::Request;
use serde_json::{Value, json};
use tally::first_start::Machine;
use tally::server::{Data, Stack, context, service};
use tally_core::app::{AppId, AppSlug};
use tally_core::event::id::EventId;
use tally_service::config::Config;
use tempfile::TempDir;
use tower::ServiceExt;

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

/// Sends an event each with the settings that the banner names for Sentry and OpenTelemetry.
fn sends_as_printed_for_other_libraries(server: &Server) {
    let printed = |name: &str| {
        let (_, value) = server.banner.split_once(&format!("{name}=")).expect(name);
        value.split_whitespace().next().unwrap().to_owned()
    };
    let dsn = printed("SENTRY_DSN");
    let (key, place) = dsn.strip_prefix("http://").unwrap().split_once('@').unwrap();
    let (host, project) = place.split_once('/').unwrap();
    assert_eq!(host, server.url);
    let envelope = "{}\n{\"type\":\"event\"}\n{\"message\":\"from Sentry\"}\n";
    let path = format!("/api/{project}/envelope/?sentry_key={key}");
    let sent = server.request("POST", &path, ("content-type", "application/x-sentry-envelope"), envelope);
    assert_eq!(sent.expect("a reply").0, 200);

    assert_eq!(printed("OTEL_EXPORTER_OTLP_ENDPOINT"), format!("http://{}", server.url));
    assert_eq!(printed("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf");
    let headers = printed("OTEL_EXPORTER_OTLP_HEADERS");
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"from OpenTelemetry"}}]}]}]}"#;
    let sent = server.request("POST", "/v1/logs", headers.split_once('=').unwrap(), logs);
    assert_eq!(sent.expect("a reply").0, 200);
}

#[test]
fn the_printed_commands_work_also_after_a_restart() {
    let data = TempDir::new().unwrap();
    std::fs::write(data.path().join("notes.txt"), "of somebody else").unwrap();
    let first = Server::start(data.path());
    assert_eq!(first.send(&json!({"name": "application started"})).unwrap().0, 201);
    let body = json!({"username": "admin", "password": first.password}).to_string();
    let (status, signed_in) = first.request("POST", "/auth", ("accept", "*/*"), &body).unwrap();
    assert_eq!((status, &signed_in["role"]), (200, &json!("admin")));
    sends_as_printed_for_other_libraries(&first);
    let keys = (first.ingest_key.clone(), first.password.clone());
    for secret in [&first.ingest_key, &first.read_key, &first.password] {
        assert!(first.banner.contains(secret), "{} shows {secret}", first.banner);
    }
    let mut first = first;
    first.signal("INT");
    let (status, said) = first.ended();
    assert!(status.success() && said.contains("what was accepted is kept"), "Ctrl-C ends it cleanly: {said}");

    let second = Server::start(data.path());
    assert_eq!((second.ingest_key.clone(), second.password.clone()), keys);
    for secret in [&second.ingest_key, &second.read_key, &second.password] {
        assert!(!second.banner.contains(secret), "{} shows {secret} again", second.banner);
    }
    assert!(second.banner.contains("this-machine.json"), "{} says where they are", second.banner);
    assert_eq!(second.counted("today", 3), 3);
    #[cfg(unix)]
    for file in ["tally.db", "this-machine.json", "lock"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(data.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} holds secrets");
    }
    let bearer = format!("Bearer {}", signed_in["token"].as_str().unwrap());
    assert_eq!(second.request("GET", "/apps", ("authorization", &bearer), "").unwrap().0, 200, "tokens stay good");
    assert_eq!(std::fs::read_to_string(data.path().join("notes.txt")).unwrap(), "of somebody else");
}

/// The link in what was printed: the place of its page, and its code.
fn sign_in_link(printed: &str) -> (String, String) {
    let link = printed.split_whitespace().find(|word| word.contains("/?sign_in=")).expect("a link");
    let (page, code) = link.split_once("/?sign_in=").unwrap();
    (page.to_owned(), code.to_owned())
}

#[test]
fn a_start_prints_a_link_that_signs_in_once() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    let sign_in = |code: &str| {
        let body = json!({"sign_in": code}).to_string();
        server.request("POST", "/auth", ("accept", "*/*"), &body).expect("a reply")
    };
    let (page, code) = sign_in_link(&server.banner);
    assert_eq!(page, format!("http://localhost:{}", server.url.rsplit(':').next().unwrap()));
    let (status, signed_in) = sign_in(&code);
    assert_eq!((status, &signed_in["user"], &signed_in["role"]), (200, &json!("admin"), &json!("admin")));
    assert_eq!(sign_in(&code).0, 401, "a link works once");

    let more = binary().args(["sign-in", "--data"]).arg(data.path()).output().unwrap();
    let (again, code) = sign_in_link(&String::from_utf8(more.stdout).unwrap());
    assert_eq!((again, sign_in(&code).0), (page, 200));
    drop(server);
    let said = fails(binary().args(["sign-in", "--data"]).arg(data.path()));
    assert!(said.contains("no Tally serves"), "{said}");
    let nothing = TempDir::new().unwrap();
    assert!(fails(binary().args(["sign-in", "--data"]).arg(nothing.path())).contains("no data"));

    let users = r#"[{"github": "octocat", "role": "admin"}]"#;
    let server = Server::start_with(binary().env("TALLY_USERS", users), data.path());
    assert!(!server.banner.contains("sign_in="), "{}", server.banner);
    let said = fails(binary().args(["sign-in", "--data"]).arg(data.path()));
    assert!(said.contains("TALLY_USERS"), "{said}");
}

#[test]
fn startup_problems_are_reported_in_one_line() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    let port = server.url.rsplit(':').next().unwrap();
    let other = TempDir::new().unwrap();
    let serve =
        |data: &Path, more: &[&str]| fails(binary().args(["serve", "--port", "0", "--data"]).arg(data).args(more));
    let taken = fails(binary().args(["--port", port, "--data"]).arg(other.path()));
    assert!(taken.contains(port) && taken.contains("--port"), "{taken}");
    let taken = serve(other.path(), &["--dynamodb-port", port]);
    assert!(taken.contains("--dynamodb-port"), "{taken}");
    let in_use = serve(data.path(), &[]);
    assert!(in_use.contains("in use"), "{in_use}");
    let file = other.path().join("file");
    std::fs::write(&file, "").unwrap();
    let no_folder = serve(&file, &[]);
    assert!(no_folder.contains("data folder"), "{no_folder}");
    for (name, value) in [
        ("TALLY_TOKEN_MINUTES", "soon"),
        ("TALLY_READ_ORIGINS", "app.example"),
        ("TALLY_LOG_FORMAT", "yaml"),
        ("RUST_LOG", "tally=loud"),
    ] {
        let setting = fails(binary().args(["--port", "0", "--memory"]).env(name, value));
        assert!(setting.contains(name), "{setting}");
    }
}

/// A data folder with two events that are counted, of a server that ended.
fn used_folder() -> TempDir {
    let data = TempDir::new().unwrap();
    let mut server = Server::start(data.path());
    for n in 0..3 {
        assert_eq!(server.send(&batch(n)).expect("a reply").0, 201);
    }
    assert_eq!(server.counted("2026-10-01", 300), 300);
    server.signal("TERM");
    assert!(server.ended().0.success());
    data
}

#[test]
fn a_damaged_database_is_reported_and_never_replaced_by_an_empty_one() {
    let refused = |data: &Path| fails(binary().args(["serve", "--port", "0", "--data"]).arg(data));
    let damaged = TempDir::new().unwrap();
    std::fs::write(damaged.path().join("tally.db"), "not a database, but long enough to be taken for one").unwrap();
    let said = refused(damaged.path());
    assert!(said.contains("tally.db") && said.contains("backup"), "{said}");

    let data = used_folder();
    let file = data.path().join("tally.db");
    let whole = std::fs::read(&file).unwrap();
    for kept in [0, 100, 4_096, whole.len() / 2] {
        for log in ["tally.db-wal", "tally.db-shm"] {
            let _ = std::fs::remove_file(data.path().join(log));
        }
        std::fs::write(&file, &whole[..kept]).unwrap();
        let said = refused(data.path());
        assert!(said.contains("tally.db") && said.contains("backup"), "{kept} bytes: {said}");
    }
    std::fs::remove_file(&file).unwrap();
    let said = refused(data.path());
    assert!(said.contains("missing") && said.contains("stream-position.json"), "{said}");
    assert!(!file.exists(), "nothing is put in its place");
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(Server::start(data.path()).report("reports/day?date=2026-10-01")["total"], 300);
}

#[test]
fn damage_found_at_first_use_is_not_reported_as_retryable() {
    let data = used_folder();
    let file = data.path().join("tally.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // Every page but those that hold the schema: the trees that requests walk.
    let text = b"event 2";
    let hit: Vec<usize> = (4_096..bytes.len() - 4_096)
        .step_by(4_096)
        .filter(|page| bytes[*page..page + 4_096].windows(text.len()).any(|part| part == text))
        .collect();
    assert!(!hit.is_empty());
    for page in hit {
        bytes[page..page + 4_096].fill(0xA5);
    }
    std::fs::write(&file, bytes).unwrap();
    let log = data.path().join("log");
    let server = Server::start_with(binary().stderr(std::fs::File::create(&log).unwrap()), data.path());
    let (status, reply) =
        server.request("GET", "/apps/demo/events?limit=100", ("x-read-key", &server.read_key), "").expect("a reply");
    assert_eq!(status, 500, "{reply}");
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(said.matches("restore the data folder from a backup").count(), 1, "said once: {said}");
}

#[test]
fn in_memory_mode_leaves_nothing_behind() {
    let place = TempDir::new().unwrap();
    let entries = || std::fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    for signal in ["KILL", "TERM"] {
        let mut command = binary();
        command.env("TALLY_MEMORY", "yes").env("TMPDIR", place.path()).current_dir(place.path());
        let mut server = Server::start_with(&mut command, &place.path().join("unused"));
        let key = server.banner.split_once("X-Ingest-Key: ").expect("it shows its keys").1;
        let key = key.split('\'').next().unwrap().to_owned();
        for n in 0..20 {
            let sent = server.request("POST", "/apps/demo/events", ("x-ingest-key", &key), &batch(n).to_string());
            assert_eq!(sent.expect("a reply").0, 201);
        }
        assert!(entries().is_empty(), "{:?}", entries());
        server.signal(signal);
        let (_, said) = server.ended();
        assert!(!said.contains("is kept.") || said.contains("nothing is kept"), "{said}");
        assert!(entries().is_empty(), "{:?}", entries());
    }
}

#[test]
fn it_stops_while_clients_hold_connections_open() {
    let data = TempDir::new().unwrap();
    let mut server = Server::start(data.path());
    let open = |begun: &str| {
        let mut stream = TcpStream::connect(&server.url).expect("a connection");
        stream.write_all(begun.as_bytes()).unwrap();
        stream
    };
    let half = format!(
        "POST /apps/demo/events HTTP/1.1\r\nhost: a\r\nx-ingest-key: {}\r\ncontent-length: 100\r\n\r\n[{{",
        server.ingest_key
    );
    let held: Vec<_> = (0..100).flat_map(|_| ["", "GET /apps HTTP/1.1\r\nhos", &half].map(open)).collect();
    // All of them are accepted once one that came after them is answered.
    assert_eq!(server.send(&batch(0)).expect("a reply").0, 201);
    server.signal("TERM");
    let (status, said) = server.ended();
    assert!(status.success() && said.contains("what was accepted is kept"), "{said}");
    drop(held);

    let mut server = Server::start(data.path());
    let mut held = TcpStream::connect(&server.url).unwrap();
    held.write_all(half.as_bytes()).unwrap();
    assert_eq!(server.send(&batch(1)).expect("a reply").0, 201);
    let asked = Instant::now();
    server.signal("INT");
    while TcpStream::connect(&server.url).is_ok() {
        assert!(asked.elapsed() < PATIENCE);
    }
    server.signal("INT");
    assert_eq!(server.ended().0.code(), Some(130), "a second signal ends it at once");
}

#[test]
fn every_option_has_an_environment_variable_and_serve_is_the_default() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("here");
    let mut child = binary()
        .envs([
            ("TALLY_PORT", "0"),
            ("TALLY_HOST", "127.0.0.2"),
            ("TALLY_DYNAMODB_PORT", "0"),
            ("TALLY_BASE_PATH", "/t"),
        ])
        .env("TALLY_DATA", &folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut banner = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        banner.push_str(&line);
        banner.push('\n');
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(banner.contains("http://127.0.0.2:") && banner.contains("DynamoDB API on http://127.0.0.1:"), "{banner}");
    assert!(banner.contains(folder.to_str().unwrap()), "{banner}");
    // The other commands do not mind the server's.
    let said = binary().args(["audit", "--help"]).env("TALLY_PORT", "0").output().unwrap();
    assert!(said.status.success());
    let wrong = binary().args(["audit", "--app", "nobody"]).env("TALLY_PORT", "0").env("TALLY_DATA", &folder).output();
    let said = String::from_utf8(wrong.unwrap().stderr).unwrap();
    assert!(said.contains("no such app"), "{said}");
    let help = String::from_utf8(binary().args(["serve", "--help"]).output().unwrap().stdout).unwrap();
    let options = help.lines().filter_map(|line| line.trim().strip_prefix("--")?.split([' ', '=']).next()).count();
    assert_eq!(help.matches("[env: TALLY_").count(), options, "all but -h: {help}");
}

#[test]
fn the_dynamodb_port_is_off_by_default() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    assert!(!server.banner.contains("DynamoDB"), "{}", server.banner);
    drop(server);
    let no = Server::start_with(binary().env("TALLY_DYNAMODB_PORT", "0").env("TALLY_NO_DYNAMODB", "1"), data.path());
    assert!(!no.banner.contains("DynamoDB"), "{}", no.banner);
}

#[test]
fn health_needs_no_credentials() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    let (status, reply) = server.request("GET", "/health", ("accept", "*/*"), "").expect("a reply");
    assert_eq!((status, reply), (200, json!({"status": "ok"})));
}

/// One request with headers of its own, as the status and the whole reply.
fn raw(server: &Server, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(&server.url).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    (reply.split(' ').nth(1).unwrap().parse().unwrap(), reply)
}

#[test]
fn behind_a_proxy_one_clients_wrong_passwords_lock_out_nobody_else() {
    let data = TempDir::new().unwrap();
    let sign_in = |server: &Server, from: &str, user: &str, password: &str| {
        let body = json!({"username": user, "password": password}).to_string();
        let length = body.len();
        let request = format!(
            "POST /auth HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {from}\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        raw(server, &request).0
    };
    let server = Server::start_with(binary().env("TALLY_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8"), data.path());
    for n in 0..10 {
        assert_eq!(sign_in(&server, "192.0.2.1", &format!("nobody{n}"), "wrong"), 401);
    }
    assert_eq!(sign_in(&server, "192.0.2.1", "admin", &server.password), 429);
    assert_eq!(sign_in(&server, "192.0.2.2", "admin", &server.password), 200);
    drop(server);
    // Whoever is not trusted cannot take an address of its own for each attempt.
    let server = Server::start(data.path());
    for n in 0..10 {
        assert_eq!(sign_in(&server, &format!("192.0.2.{}", n + 10), &format!("no{n}"), "wrong"), 401);
    }
    assert_eq!(sign_in(&server, "192.0.2.99", "admin", &server.password), 429);
}

#[test]
fn links_and_redirects_go_through_the_proxy() {
    let data = TempDir::new().unwrap();
    let server = Server::start_with(binary().env("TALLY_BASE_PATH", "/tally/"), data.path());
    assert_eq!(server.send(&batch(0)).expect("a reply").0, 201);
    let (status, reply) =
        raw(&server, "GET /tally/apps/demo/events/?a=b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_eq!(status, 308);
    assert!(reply.to_ascii_lowercase().contains("location: /tally/apps/demo/events?a=b\r\n"), "{reply}");
    let path = format!("/tally/the-eye/{}/api/event/?limit=1", server.read_key);
    let (status, reply) = raw(&server, &format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n"));
    assert_eq!(status, 200, "{reply}");
    assert!(reply.contains("http://a.example/tally/the-eye/"), "{reply}");
}

#[test]
fn its_log_has_colours_only_on_a_terminal() {
    let data = TempDir::new().unwrap();
    let log = data.path().join("log");
    let mut command = binary();
    command.env("RUST_LOG", "info").stderr(std::fs::File::create(&log).unwrap());
    let server = Server::start_with(&mut command, &data.path().join("data"));
    assert_eq!(server.send(&batch(0)).expect("a reply").0, 201);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("request") && !text.contains('\u{1b}'), "{text}");
}

/// Runs `audit` or `recount` on the demo app; whether it went well, and what it printed.
fn audit(data: &Path, what: &str) -> (bool, String) {
    let output: Output = binary().args([what, "--app", "demo", "--data"]).arg(data).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn audit_works_with_and_without_a_running_server() {
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
fn the_log_has_a_line_for_each_request_and_no_secret() {
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
        let stack = Stack::start(Data::Folder(data), &Config::default()).await.unwrap();
        let context = context(stack.store.clone(), Config::default());
        let mut machine = Machine::load_or_make(Some(data)).unwrap();
        machine.make_demo(&context).await.unwrap();
        let (service, key) = (service(&context), machine.demo_ingest_key.unwrap());
        for body in bodies {
            let request = Request::post("/apps/demo/events").header("x-ingest-key", &key);
            let reply = service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
            assert_eq!(reply.status(), 201);
        }
    });
}

#[test]
fn days_of_dead_batches_make_replies_incomplete_until_they_are_recounted() {
    let data = TempDir::new().unwrap();
    let day: tally_core::time::Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
    // What `aggregate` does when it is told of a batch that Lambda gave up.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stack = Stack::start(Data::Folder(data.path()), &Config::default()).await.unwrap();
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

#[test]
fn the_page_is_served_from_its_folder_for_work_on_it() {
    let data = TempDir::new().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    let server = Server::start_with(binary().env("TALLY_WEB_DIR", &folder), data.path());
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&server.url).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\naccept: text/html\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.to_ascii_lowercase(), body.to_owned())
    };
    let (head, page) = get("/");
    assert!(head.starts_with("http/1.1 200") && head.contains("cache-control: no-store"), "{head}");
    assert!(page.contains("\"assets/dev/app.js\"") && page.contains("\"assets/dev/app.css\""), "{page}");
    assert_eq!(get("/assets/dev/app.js").1, "import './js/main.js';\n");
    let sheets = get("/assets/dev/app.css").1;
    assert!(sheets.starts_with("@import './css/") && sheets.ends_with(".css';\n"), "{sheets}");
    let (head, module) = get("/assets/dev/js/main.js");
    assert!(head.contains("content-type: text/javascript") && head.contains("cache-control: no-store"), "{head}");
    assert_eq!(module, std::fs::read_to_string(folder.join("js/main.js")).unwrap());
    for nothing in ["dev/..%2F..%2FCargo.toml", "dev/%2Fetc%2Fpasswd", "dev/no.js", "dev/js", "0123456789abcdef/app.js"]
    {
        let (head, _) = get(&format!("/assets/{nothing}"));
        assert!(head.starts_with("http/1.1 404"), "{nothing}: {head}");
    }

    let said = fails(binary().args(["serve", "--port", "0", "--web-dir"]).arg(data.path()));
    assert!(said.contains("index.html"), "{said}");
}

#[test]
fn one_command_fills_a_shop_and_serves_it() {
    let data = TempDir::new().unwrap();
    let mut command = binary();
    command.args(["demo", "--days", "1"]);
    // The helper adds `serve`, which this command is in place of.
    let mut child = command.args(["--port", "0", "--data"]).arg(data.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("Ctrl-C ends it") {
        said.push_str(&lines.next().expect("its banner").unwrap());
        said.push('\n');
    }
    let url = said.split_once("http://").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let port = url.rsplit(':').next().unwrap();
    assert!(said.contains(&format!("http://localhost:{port}/?app=shop&sign_in=")), "{said}");
    let events: i64 = said.split_once(" days of a shop: ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(events > 100, "{said}");

    // A second one fills through the server that runs, and has only what happened since.
    let again = binary().args(["demo", "--days", "1", "--data"]).arg(data.path()).output().unwrap();
    let told = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && told.contains("Open /?app=shop at the Tally that runs"), "{told}");
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    child.wait().unwrap();

    let audit = binary().args(["audit", "--app", "shop", "--data"]).arg(data.path()).output().unwrap();
    let verdict = String::from_utf8(audit.stdout).unwrap();
    assert!(audit.status.success() && verdict.contains("every counter is right"), "{verdict}");
    let counted: i64 = verdict.split_once("counted ").unwrap().1.split(',').next().unwrap().parse().unwrap();
    assert!((events..events + 20).contains(&counted), "{events} of the first run: {verdict}");

    let demo = binary()
        .args(["demo", "--app", "demo", "--days", "1", "--no-serve", "--port", "0", "--data"])
        .arg(data.path())
        .output();
    assert!(demo.unwrap().status.success(), "an app without events may be filled");
}
