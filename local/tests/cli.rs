//! The commands that ask a Tally, as processes: against a running server, as a user runs them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{PATIENCE, Server, binary};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    /// What it printed, if it went well.
    #[track_caller]
    fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The one line that says why it failed with this code.
    #[track_caller]
    fn fails(self, code: i32) -> String {
        assert_eq!((self.code, self.err.trim().lines().count()), (Some(code), 1), "{self:?}");
        assert!(self.err.starts_with("tally: "), "{self:?}");
        self.err
    }
}

/// A user with settings of their own, and a server.
struct Desk {
    folder: TempDir,
    server: Server,
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let server = Server::start(&folder.path().join("data"));
        Self { folder, server }
    }

    /// A user who is signed in.
    fn signed_in() -> Self {
        let desk = Self::new();
        desk.sign_in(&desk.server.password.clone()).well();
        desk
    }

    fn sign_in(&self, password: &str) -> Said {
        let url = format!("http://{}", self.server.url);
        self.with_input(&["login", "--url", &url, "--user", "admin", "--password-stdin"], password)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = binary();
        command.args(args).current_dir(self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env_remove("COLUMNS").env_remove("NO_COLOR");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn tally(&self, args: &[&str]) -> Said {
        said(self.command(args).spawn().unwrap())
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.tally(args).well()).unwrap()
    }

    fn with_input(&self, args: &[&str], input: &str) -> Said {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes()).unwrap();
        said(child)
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("config").join("tally").join("config.toml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn send(&self, events: &Value) {
        let (status, reply) = self.server.send(events).expect("a reply");
        assert_eq!(status, 201, "{reply}");
    }
}

fn said(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Waits for something to be so.
fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "it does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_sign_in_is_kept_for_its_user_alone_until_they_sign_out() {
    let desk = Desk::new();
    let wrong = desk.sign_in("wrong").fails(1);
    assert!(wrong.contains("password is wrong"), "{wrong}");
    assert!(!desk.settings().exists(), "nothing is kept of it");
    let password = desk.server.password.clone();
    let said = desk.sign_in(&password);
    assert!(said.err.contains("Signed in") && said.err.contains("`default`"), "{said:?}");
    assert!(said.well().is_empty(), "standard output is for answers");
    let kept = fs::read_to_string(desk.settings()).unwrap();
    assert!(!kept.contains(&password), "the password is not kept: {kept}");
    assert!(desk.tally(&["apps"]).well().contains("demo"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&desk.settings()), mode(desk.settings().parent().unwrap())), (0o600, 0o700));
        fs::set_permissions(desk.settings(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(desk.tally(&["apps"]).fails(1).contains("chmod 600"));
        fs::set_permissions(desk.settings(), fs::Permissions::from_mode(0o600)).unwrap();
    }
    // As if somebody had signed it out elsewhere.
    fs::write(desk.settings(), kept.replace("token = \"", "token = \"x")).unwrap();
    assert!(desk.tally(&["apps"]).fails(1).contains("the session has ended: run `tally login`"));
    fs::write(desk.settings(), &kept).unwrap();
    desk.tally(&["logout"]).well();
    assert!(!fs::read_to_string(desk.settings()).unwrap().contains("token"));
    assert!(desk.tally(&["apps"]).fails(1).contains("tally login"));
    fs::write(desk.settings(), kept).unwrap();
    assert!(desk.tally(&["apps"]).fails(1).contains("has ended"), "the server knows of it too");
}

#[test]
fn a_session_that_the_server_does_not_renew_yet_stays_as_it_is() {
    let desk = Desk::signed_in();
    let kept = fs::read_to_string(desk.settings()).unwrap();
    let line = |kept: &str, name: &str| kept.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let early = kept.replace(&line(&kept, "renew_at"), "renew_at = \"2026-01-01T00:00:00Z\"");
    fs::write(desk.settings(), early).unwrap();
    desk.tally(&["apps"]).well();
    // The server renews once half of the time is over by its own clock: until then the session stays as it is.
    assert_eq!(line(&fs::read_to_string(desk.settings()).unwrap(), "token"), line(&kept, "token"));
}

#[test]
fn a_key_is_sent_to_the_tally_that_it_is_of() {
    let desk = Desk::new();
    let url = format!("http://{}", desk.server.url);
    let read_key = desk.server.read_key.clone();
    let report =
        desk.command(&["report", "demo", "--json", "--url", &url]).env("TALLY_KEY", &read_key).spawn().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&said(report).well()).unwrap()["total"], 0);
    let by_variables = desk.command(&["status"]).env("TALLY_KEY", &read_key).env("TALLY_URL", &url).spawn().unwrap();
    assert!(said(by_variables).well().contains("key of the app `demo`: read"));
    assert!(desk.tally(&["apps", "--url", &url]).fails(1).contains("tally login"));
    // Health is everybody's business: what looks after a container has no key.
    let bare = desk.tally(&["status", "--url", &url]).well();
    assert!(bare.contains("health: ok") && bare.contains("no key and no session"), "{bare}");
    let refused = desk.tally(&["apps", "--url", &url, "--key", &read_key]).fails(1);
    assert!(!refused.contains(&read_key), "{refused}");
    assert!(desk.tally(&["query", "demo", "--url", "http://tally.example", "--key", "k"]).fails(2).contains("https"));
    assert!(desk.tally(&["query", "demo", "--profile", "nope"]).fails(2).contains("no profile `nope`"));
    assert!(desk.tally(&["query", "demo", "--key", "k"]).fails(2).contains("--url"));
    assert!(desk.tally(&["query", "demo"]).fails(1).contains("no Tally runs here"));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = desk.tally(&["apps", "--url", &format!("http://{nobody}"), "--key", "k"]).fails(1);
    assert!(nowhere.contains("cannot reach"), "{nowhere}");
    // A profile keeps a key too.
    let kept = desk.with_input(&["login", "--url", &url, "--key", "-", "--profile", "ci"], &read_key);
    assert!(kept.err.contains("key of the app `demo`"), "{kept:?}");
    assert!(desk.tally(&["query", "demo", "--profile", "ci"]).err.contains("No events match"));
    let import = desk.path("a.ndjson");
    fs::write(&import, "{\"name\":\"x\"}\n").unwrap();
    let ingest_key = desk.server.ingest_key.clone();
    desk.with_input(&["login", "--url", &url, "--key", "-", "--profile", "in"], &ingest_key).well();
    let sent = desk.tally(&["import", "a.ndjson", "--app", "demo", "--profile", "in"]);
    assert!(sent.out.contains("1 line: 1 stored"), "{sent:?}");
}

#[test]
fn the_tally_of_this_machine_needs_no_sign_in() {
    let desk = Desk::new();
    desk.send(&json!({"name": "served", "message": "hello"}));
    let served = desk.tally(&["status", "--data", "data"]).well();
    assert!(served.contains("http://localhost:") && served.contains("up to date"), "{served}");
    assert!(desk.tally(&["query", "demo", "--data", "data"]).well().contains("hello"));
    let Desk { folder, server } = desk;
    server.kill();
    // The functions are in the program: they answer without a server as well.
    let mut command = binary();
    command.args(["query", "demo"]).env("TALLY_DATA", folder.path().join("data")).env("XDG_CONFIG_HOME", folder.path());
    let output = command.output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("hello"), "{:?}", String::from_utf8(output.stderr));
}

#[test]
fn apps_and_keys_are_made_and_taken_away() {
    let desk = Desk::signed_in();
    let made = desk.tally(&["apps", "create", "My Shop", "retention_days=90"]);
    assert!(made.err.contains("`my-shop`"), "{made:?}");
    let first = made.well();
    assert!(first.starts_with("tly_in_") && first.lines().count() == 1, "the key alone: {first}");
    assert!(desk.tally(&["apps", "create", "My Shop"]).fails(1).contains("exists"));
    let apps = desk.tally(&["apps"]).well();
    assert!(apps.contains("my-shop  My Shop") && apps.contains("90 days"), "{apps}");
    desk.tally(&["apps", "set", "my-shop", "issue_level=WARN", "events_per_minute=100"]).well();
    assert_eq!(desk.json(&["apps", "show", "my-shop", "--json"])["issue_level"], "WARN");
    assert!(desk.tally(&["apps", "set", "my-shop", "issue_level=LOUD"]).fails(1).contains("issue_level"));

    let made = desk.tally(&["keys", "my-shop", "create", "--scope", "read", "--label", "for CI", "--quiet"]);
    assert!(made.err.is_empty(), "{made:?}");
    let key = made.well().trim().to_owned();
    let url = format!("http://{}", desk.server.url);
    desk.tally(&["query", "my-shop", "--url", &url, "--key", &key]).well();
    assert!(desk.tally(&["keys", "my-shop"]).well().contains("for CI"));
    let keys = desk.json(&["keys", "my-shop", "--json"]);
    let id = keys["items"].as_array().unwrap().iter().find(|key| key["label"] == "for CI").unwrap()["id"].clone();
    let id = id.as_str().unwrap();
    assert!(desk.tally(&["keys", "my-shop", "revoke", id]).fails(2).contains("--yes"));
    desk.tally(&["keys", "my-shop", "revoke", id, "--yes"]).well();
    assert!(!desk.tally(&["keys", "my-shop"]).well().contains("for CI"));

    assert!(desk.tally(&["apps", "delete", "my-shop"]).fails(2).contains("--yes"));
    assert!(desk.tally(&["apps", "delete", "nope", "--yes"]).fails(1).contains("no such app"));
    desk.tally(&["apps", "delete", "my-shop", "--yes"]).well();
}

#[test]
fn events_are_shown_and_counted_and_cannot_command_the_terminal() {
    let desk = Desk::signed_in();
    let nasty = "\u{1b}[2Jgone\u{9b}31m\u{202e}\nnext";
    desk.send(&json!([
        {"name": "paid", "level": "INFO", "user_id": "ann", "data": {"plan": "pro", "amount": 12_345_678_901_234_567_890_u64}},
        {"name": "paid", "level": "INFO", "data": {"plan": "free"}, "count": 3},
        {"name": "payment failed", "level": "ERROR", "message": nasty, "user_id": "bob"},
    ]));
    let table = desk.tally(&["query", "demo"]).well();
    assert!(!table.contains(['\u{1b}', '\u{9b}', '\u{202e}']) && table.contains("\\x1b[2Jgone"), "{table}");
    assert_eq!(table.lines().count(), 4, "a head, and a line for each: {table}");
    let coloured = desk.tally(&["query", "demo", "--color", "always"]).well();
    assert!(coloured.contains("\u{1b}[31mERROR") && !coloured.contains("\u{1b}[2J"), "{coloured}");

    let json = desk.tally(&["query", "demo", "--json"]).well();
    assert!(!json.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{json}");
    assert!(json.contains("12345678901234567890"), "all digits: {json}");
    let events: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (events.len(), &events.iter().find(|event| event["level"] == "ERROR").unwrap()["message"]),
        (3, &json!(nasty))
    );
    let csv = desk.tally(&["query", "demo", "--csv", "-w", "attr.plan=pro"]).well();
    assert!(csv.starts_with("id,timestamp,name,") && csv.lines().count() == 2, "{csv}");
    let found = |args: &[&str]| desk.tally(&[&["query", "demo", "--json"], args].concat()).well().lines().count();
    assert_eq!(found(&["--level", "error,fatal"]), 1);
    assert_eq!(found(&["-w", "name!=paid"]), 1);
    assert_eq!(found(&["-w", "attr.plan[contains]=PR", "--user", "ann"]), 1);
    assert_eq!(found(&["-n", "2"]), 2);
    assert_eq!(found(&["--until", "2020-01-01"]), 0);

    let day = desk.tally(&["report", "demo", "day"]).well();
    assert!(day.contains("5 events") && day.contains('█') && day.contains("payment failed"), "{day}");
    assert_eq!(desk.json(&["report", "demo", "day", "--json"])["total"], 5);
    assert_eq!(desk.tally(&["report", "demo", "day", "--csv"]).well().lines().count(), 25);
    assert_eq!(
        desk.tally(&["report", "demo", "--by", "level", "--csv"]).well(),
        "level,count\r\nINFO,4\r\nERROR,1\r\n"
    );
    let plans = desk.tally(&["report", "demo", "--by", "attr.plan", "--csv"]).well();
    assert!(plans.contains("free,3\r\n") && plans.contains("pro,1\r\n"), "{plans}");
    let overview = desk.tally(&["report", "demo", "--since", "1h"]).well();
    assert!(overview.contains("5 events, 1 error, 2 names") && !overview.contains('\u{1b}'), "{overview}");
    let ascii = said(desk.command(&["report", "demo", "day"]).env("LC_ALL", "C").spawn().unwrap()).well();
    assert!(ascii.is_ascii() && ascii.contains("####"), "{ascii}");
    for columns in ["60", "80"] {
        let narrow = said(desk.command(&["query", "demo"]).env("COLUMNS", columns).spawn().unwrap()).well();
        assert!(narrow.lines().all(|line| line.chars().count() <= columns.parse().unwrap()), "{narrow}");
    }

    let status = desk.json(&["status", "--json"]);
    assert_eq!(
        (&status["healthy"], &status["apps"][0]["events"], &status["apps"][0]["errors"]),
        (&json!(true), &json!(5), &json!(1))
    );
    assert!(desk.tally(&["audit", "--app", "demo", "--profile", "default"]).well().contains("every counter is right"));
}

#[test]
fn what_goes_wrong_is_said_in_one_line_with_a_code() {
    let desk = Desk::signed_in();
    assert!(desk.tally(&["query", "nope"]).fails(1).contains("no such app"));
    assert!(desk.tally(&["query", "demo", "--level", "LOUD"]).fails(1).contains("level"));
    assert!(desk.tally(&["query", "demo", "-w", "lvel=ERROR"]).fails(1).contains("lvel"));
    assert!(desk.tally(&["tail", "nope"]).fails(1).contains("no such app"));
    assert!(desk.tally(&["report", "demo", "day", "--since", "1h"]).fails(2).contains("--since"));
    assert!(desk.tally(&["report", "demo", "--tz", "Mars"]).fails(2).contains("--tz"));
    assert!(desk.tally(&["alerts", "demo", "show", "nope"]).fails(1).contains("no rule"));
    assert!(desk.tally(&["issues", "demo", "resolve", "abcdef"]).fails(1).contains("no issue"));
    assert_eq!(desk.tally(&["query", "demo", "--no-such-option"]).code, Some(2));
    assert_eq!(desk.tally(&["query"]).code, Some(2));
    for shell in ["bash", "zsh", "fish"] {
        assert!(desk.tally(&["completions", shell]).well().contains("tally"));
    }
}

#[test]
fn events_come_as_they_happen_until_ctrl_c() {
    let desk = Desk::signed_in();
    desk.send(&json!([{"name": "first", "level": "INFO"}, {"name": "noise", "level": "DEBUG"}]));
    let args = ["tail", "demo", "-n", "1", "--level", "INFO,ERROR"];
    let mut tail = desk.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let first = next();
    assert!(first.contains("INFO   first") && first.starts_with("20"), "{first}");
    let late = (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(20)).to_string();
    desk.send(&json!([
        {"name": "late", "level": "ERROR", "timestamp": late, "message": "\u{1b}]0;title\u{7}", "user_id": "ann"},
        {"name": "noise", "level": "DEBUG"},
    ]));
    let second = next();
    assert!(second.contains("ERROR  late   \\x1b]0;title\\x07  ann"), "what happened earlier comes too: {second}");
    desk.send(&json!({"name": "third", "level": "INFO"}));
    assert!(next().contains("third"), "and nothing comes twice");
    Command::new("kill").args(["-INT", &tail.id().to_string()]).status().unwrap();
    assert_eq!(tail.wait().unwrap().code(), Some(130));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let desk = Desk::signed_in();
    let events: Value =
        (0..1_000).map(|n| json!({"name": "ping", "message": format!("{n} {}", "x".repeat(200))})).collect();
    desk.send(&events);
    let mut query = desk.command(&["query", "demo", "-n", "1000", "--json"]).spawn().unwrap();
    let mut first = [0; 1];
    query.stdout.take().unwrap().read_exact(&mut first).unwrap();
    // Its end is closed; far more than a pipe holds is left.
    let mut said = String::new();
    query.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((query.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

/// Sends events of a hundred seconds each.
fn send_many(desk: &Desk, batches: usize) {
    for batch in 0..batches {
        let event = |n: usize| {
            json!({"name": "measured", "id": format!("{batch}-{n}"), "message": format!("\"quoted\",\nline {n}"),
                "timestamp": format!("2026-10-{:02}T{:02}:{:02}:00Z", batch + 1, n / 60, n % 60), "data": {"n": n}})
        };
        desk.send(&(0..200).map(event).collect());
    }
}

#[test]
fn an_export_that_was_killed_goes_on_and_gives_the_same_file() {
    let desk = Desk::signed_in();
    send_many(&desk, 3);
    let whole = desk.tally(&["export", "demo", "-o", "whole.ndjson"]);
    assert!(whole.err.contains("600 events from 2026-10-01 00:00:00 to 2026-10-03 03:19:00"), "{whole:?}");
    let whole = fs::read(desk.path("whole.ndjson")).unwrap();
    assert_eq!(String::from_utf8_lossy(&whole).lines().count(), 600);
    assert_eq!(desk.tally(&["export", "demo"]).well().as_bytes(), whole, "standard output has the same");

    for round in 0..2 {
        // A request for each event, so that it takes a while.
        let mut killed = desk.command(&["export", "demo", "-o", "parts.ndjson", "--page", "1"]).spawn().unwrap();
        let note = desk.path("parts.ndjson.part.json");
        let events = || -> u64 {
            let note = fs::read(&note).ok().and_then(|note| serde_json::from_slice::<Value>(&note).ok());
            note.and_then(|note| note["events"].as_u64()).unwrap_or_default()
        };
        until(|| events() > 20 * (round + 1));
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert!(!desk.path("parts.ndjson").exists(), "the file is there only when it is complete");
        assert!(events() < 600);
    }
    // What a process wrote last may be half a line.
    fs::OpenOptions::new()
        .append(true)
        .open(desk.path("parts.ndjson.part"))
        .unwrap()
        .write_all(b"{\"id\":\"01")
        .unwrap();
    let other = desk.tally(&["export", "demo", "-o", "parts.ndjson", "--level", "ERROR"]).fails(2);
    assert!(other.contains("another export"), "{other}");
    let resumed = desk.tally(&["export", "demo", "-o", "parts.ndjson"]);
    assert!(resumed.err.contains("Going on after") && resumed.err.contains("600 events"), "{resumed:?}");
    resumed.well();
    assert!(fs::read(desk.path("parts.ndjson")).unwrap() == whole, "byte for byte");
    assert!(!desk.path("parts.ndjson.part").exists() && !desk.path("parts.ndjson.part.json").exists());
    assert!(desk.tally(&["export", "demo", "-o", "parts.ndjson"]).fails(2).contains("--force"));
    desk.tally(&["export", "demo", "-o", "parts.ndjson", "--force", "--since", "2026-10-02", "--quiet"]).well();
    assert_eq!(fs::read_to_string(desk.path("parts.ndjson")).unwrap().lines().count(), 400);

    desk.tally(&["export", "demo", "-o", "whole.ndjson.gz", "--page", "250"]).well();
    let mut text = Vec::new();
    let gz = fs::File::open(desk.path("whole.ndjson.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(gz).read_to_end(&mut text).unwrap();
    assert!(text == whole, "pages that were compressed one by one are one file");
    let csv = desk.tally(&[
        "export",
        "demo",
        "-o",
        "all.csv",
        "--format",
        "csv",
        "--page",
        "250",
        "--fields",
        "message,timestamp",
    ]);
    assert!(csv.err.contains("600 events from 2026-10-01 00:00:00 to"), "{csv:?}");
    assert!(fs::read_to_string(desk.path("all.csv")).unwrap().starts_with("message,timestamp\r\n"));

    // Elsewhere these are the same events.
    let other = Desk::new();
    for file in ["whole.ndjson", "whole.ndjson.gz"] {
        let file = desk.path(file);
        let imported = other.tally(&["import", file.to_str().unwrap(), "--app", "demo", "--data", "data"]);
        assert!(imported.out.contains("600 lines: "), "{imported:?}");
    }
    let again = other.tally(&["export", "demo", "--data", "data"]).well();
    assert!(again.as_bytes() == whole, "with their ids and times of receipt");
}

#[test]
fn issues_and_alert_rules_are_looked_after() {
    let desk = Desk::signed_in();
    desk.send(&json!({"name": "TypeError", "level": "ERROR", "message": "x is undefined"}));
    until(|| desk.tally(&["issues", "demo"]).out.contains("x is undefined"));
    let issue = desk.json(&["issues", "demo", "--json"])["items"][0].clone();
    let id = issue["id"].as_str().unwrap();
    let shown = desk.tally(&["issues", "demo", "show", &id[..6]]).well();
    assert!(shown.contains("x is undefined") && shown.contains("1 event"), "{shown}");
    desk.tally(&["issues", "demo", "resolve", &id[..6]]).well();
    assert!(desk.tally(&["issues", "demo"]).err.contains("no open issues"));
    assert!(desk.tally(&["issues", "demo", "list", "--state", "all"]).well().contains("resolved"));
    desk.tally(&["issues", "demo", "ignore", id, "--until", "5"]).well();
    assert_eq!(desk.json(&["issues", "demo", "list", "--state", "ignored", "--json"])["items"][0]["ignored_for"], 5);
    desk.tally(&["issues", "demo", "reopen", id]).well();
    assert!(desk.tally(&["issues", "demo", "resolve", "ab"]).fails(2).contains("too short"));

    let rules = desk.json(&["alerts", "demo", "--json"]);
    let rule = rules["items"][0]["id"].as_str().unwrap();
    let name = rules["items"][0]["name"].as_str().unwrap();
    desk.tally(&["alerts", "demo", "disable", name]).well();
    assert!(desk.tally(&["alerts", "demo"]).well().lines().any(|line| line.contains(rule) && line.contains("off")));
    desk.tally(&["alerts", "demo", "enable", rule]).well();
    desk.tally(&["alerts", "demo", "snooze", rule, "1h"]).well();
    assert!(desk.tally(&["alerts", "demo", "show", rule]).well().contains("snoozed"));
    assert!(desk.tally(&["alerts", "demo", "test", rule]).err.contains("no channels"));
    assert!(desk.tally(&["alerts", "demo", "delete", rule]).fails(2).contains("--yes"));
    desk.tally(&["alerts", "demo", "delete", rule, "--yes"]).well();
    assert!(desk.tally(&["alerts", "demo", "show", rule]).fails(1).contains("no rule"));
}
