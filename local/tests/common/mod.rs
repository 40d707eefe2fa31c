//! A server as a process, for tests that go through its ports alone.

// Not every test uses all of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TALLY_")) {
        command.env_remove(name);
    }
    command.env("RUST_LOG", "warn");
    command
}

/// How long something may take that takes no time.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A running server.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) ingest_key: String,
    pub(crate) read_key: String,
    pub(crate) password: String,
    /// What it printed before it was ready.
    pub(crate) banner: String,
    /// What it prints after that.
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts one on free ports and reads what it prints.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(&mut binary(), data)
    }

    pub(crate) fn start_with(command: &mut Command, data: &Path) -> Self {
        Self::started(command.args(["serve", "--port", "0", "--data"]).arg(data), data)
    }

    /// Starts one by a whole command, and reads what it prints. Its secrets are in `data`.
    pub(crate) fn started(command: &mut Command, data: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        while !printed.contains("Ctrl-C ends it") {
            printed.push_str(&lines.next().expect("it prints all of its banner").unwrap());
            printed.push('\n');
        }
        let url = printed.split_once("://").expect("its address").1;
        let url = url.split_whitespace().next().unwrap().to_owned();
        let machine: Value = match std::fs::read(data.join("this-machine.json")) {
            Ok(kept) => serde_json::from_slice(&kept).unwrap(),
            Err(_) => Value::Null,
        };
        let secret = |name: &str| machine[name].as_str().unwrap_or_default().to_owned();
        Self {
            url,
            ingest_key: secret("demo_ingest_key"),
            read_key: secret("demo_read_key"),
            password: secret("password"),
            banner: printed,
            child,
            lines,
        }
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended by itself; returns how, and what else it printed.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        (status, self.lines.by_ref().map_while(Result::ok).collect::<Vec<_>>().join("\n"))
    }

    pub(crate) fn kill(mut self) {
        // SIGKILL
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// One request over a connection of its own; none where the server went away meanwhile.
    pub(crate) fn request(&self, method: &str, path: &str, header: (&str, &str), body: &str) -> Option<(u16, Value)> {
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

    pub(crate) fn send(&self, events: &Value) -> Option<(u16, Value)> {
        self.request("POST", "/apps/demo/events", ("x-ingest-key", &self.ingest_key), &events.to_string())
    }

    pub(crate) fn report(&self, path: &str) -> Value {
        let (status, reply) =
            self.request("GET", &format!("/apps/demo/{path}"), ("x-read-key", &self.read_key), "").expect("a reply");
        assert_eq!(status, 200, "{reply}");
        reply
    }

    /// The total of a day, once the counters have followed what was sent.
    pub(crate) fn counted(&self, day: &str, expected: i64) -> i64 {
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

pub(crate) fn fails(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.stdin(Stdio::null()).output().unwrap();
    assert!(!status.success());
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(said.trim().lines().count(), 1, "one clear line: {said}");
    said
}
