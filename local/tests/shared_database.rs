//! Several servers over one DynamoDB: here the API that another Tally serves for tools.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{PATIENCE, Server, binary, fails};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server over tables of its own in the database at an address.
fn over(database: &str, data: &Path) -> Server {
    let mut command = binary();
    command.args(["serve", "--port", "0", "--dynamodb-endpoint", database, "--data"]).arg(data);
    for table in ["EVENTS", "COUNTERS", "APPS", "SALTS"] {
        // The tables of the default names are counted by the Tally that has the database.
        command.env(format!("TALLY_{table}_TABLE"), format!("shared-{table}"));
    }
    Server::started(&mut command, data)
}

/// A Tally whose database others use, and the address of that.
fn database(data: &Path) -> (Server, String) {
    let mut command = binary();
    command.args(["serve", "--port", "0", "--dynamodb-port", "0", "--data"]).arg(data);
    let server = Server::started(&mut command, data);
    let address = server.banner.split_once("DynamoDB API on ").unwrap().1.lines().next().unwrap().to_owned();
    (server, address)
}

fn event(n: usize) -> Value {
    json!({"name": "order", "id": format!("e{n}"), "timestamp": format!("2026-10-01T00:{:02}:{:02}Z", n / 60, n % 60)})
}

/// What a server counts of a day from counters alone: the newest minutes are long over.
fn counted(server: &Server, key: &str, expected: i64) -> i64 {
    let until = Instant::now() + PATIENCE;
    loop {
        let path = "/apps/demo/reports/day?date=2026-10-01";
        let (status, report) = server.request("GET", path, ("x-read-key", key), "").unwrap();
        assert_eq!(status, 200, "{report}");
        let total = report["total"].as_i64().unwrap();
        if total >= expected || Instant::now() > until {
            return total;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn servers_share_a_database_and_one_counts_after_the_other() {
    let folders: Vec<_> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    let (_database, address) = database(folders[0].path());
    let mut first = over(&address, folders[1].path());
    assert!(first.banner.contains(&format!("in the DynamoDB at {address}")), "{}", first.banner);
    let mut second = over(&address, folders[2].path());
    // The first one made the app, so its keys are in its folder alone.
    let (ingest, read) = (first.ingest_key.clone(), first.read_key.clone());
    assert_eq!(second.ingest_key, "");
    let send = |server: &Server, range: std::ops::Range<usize>| {
        let events: Value = range.map(event).collect();
        let sent = server.request("POST", "/apps/demo/events", ("x-ingest-key", &ingest), &events.to_string());
        assert_eq!(sent.unwrap().0, 201);
    };
    send(&first, 0..60);
    send(&second, 60..120);
    // A retry at the other one is the same event.
    send(&second, 0..60);
    assert_eq!((counted(&first, &read, 120), counted(&second, &read, 120)), (120, 120));

    // The one that counts gives its lease up. The other goes on where it was.
    first.signal("TERM");
    assert!(first.ended().0.success());
    send(&second, 120..200);
    assert_eq!(counted(&second, &read, 200), 200);
    // A third one finds all of it.
    let third = over(&address, folders[1].path());
    second.signal("TERM");
    assert!(second.ended().0.success());
    send(&third, 200..260);
    assert_eq!(counted(&third, &read, 260), 260);
}

#[test]
fn an_address_that_is_none_and_one_where_nothing_answers_are_refused() {
    let data = TempDir::new().unwrap();
    let serve = |more: &[&str]| {
        let mut command = binary();
        command.args(["serve", "--port", "0", "--data"]).arg(data.path()).args(more);
        command
    };
    let said = fails(&mut serve(&["--dynamodb-endpoint", "http://127.0.0.1:1"]));
    assert!(said.contains("cannot make the tables"), "{said}");
    let refused = serve(&["--dynamodb-endpoint", "localhost:8000"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("is no address such as http://127.0.0.1:8000"), "{said}");
}
