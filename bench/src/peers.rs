//! What SQLite and PostgreSQL do with the same rows alone, beside Tally: without HTTP, checks, counters or a stream.

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use clap::Args;
use rusqlite::{Connection, params};
use tally_core::time::clock::Clock;
use tempfile::TempDir;

use crate::figures::Figures;
use crate::machine::event;

/// Rows of a transaction.
const BATCH: usize = 100;
/// Seconds for which PostgreSQL runs each script.
const SECONDS: &str = "5";
/// Concurrent clients of PostgreSQL.
const CLIENTS: &str = "16";

/// How many rows.
#[derive(Args)]
pub(crate) struct Peers {
    /// Rows that SQLite stores in transactions of 100; a tenth of them alone.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
}

/// Measures and prints.
#[allow(clippy::cast_precision_loss)] // figures to print
pub(crate) fn run(peers: &Peers) -> Result<(), Box<dyn Error>> {
    let mut figures = Figures::default();
    for (what, size) in [("SQLite alone, transactions of 100", BATCH), ("SQLite alone, singles", 1)] {
        let rows = if size == 1 { peers.rows / 10 } else { peers.rows };
        let (seconds, bytes) = sqlite(rows, size)?;
        figures.add(what, "rows/s", rows as f64 / seconds);
        figures.add(format!("{what}: disk"), "bytes a row", bytes as f64 / rows as f64);
    }
    match postgres() {
        Ok(rates) => {
            for (what, rate) in rates {
                figures.add(what, "rows/s", rate);
            }
        }
        Err(error) => eprintln!(
            "bench: PostgreSQL is left out: {error}. Name a server with PGHOST, PGUSER and PGDATABASE; `pgbench` is needed"
        ),
    }
    println!("{}", figures.table(None));
    Ok(())
}

const TABLE: &str =
    "CREATE TABLE tally_peer (id TEXT PRIMARY KEY, at TEXT NOT NULL, name TEXT NOT NULL, level TEXT NOT NULL,
    session TEXT NOT NULL, event TEXT NOT NULL)";
const INDEX: &str = "CREATE INDEX tally_peer_session ON tally_peer (session, at)";

/// Stores rows in SQLite. Returns the seconds, and the bytes of its file.
fn sqlite(rows: usize, size: usize) -> Result<(f64, u64), Box<dyn Error>> {
    let folder = TempDir::with_prefix("tally-peers-")?;
    let file = folder.path().join("peer.db");
    let mut connection = Connection::open(&file)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")?;
    connection.execute_batch(&format!("{TABLE}; {INDEX}"))?;
    let at = Clock::System.now();
    let events: Vec<_> = (0..rows).map(|n| event(n, at)).collect();
    let started = Instant::now();
    for batch in events.chunks(size) {
        let transaction = connection.transaction()?;
        let mut insert = transaction.prepare_cached("INSERT INTO tally_peer VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for event in batch {
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            let [id, at, name, level, session] = ["id", "timestamp", "name", "level", "session_id"].map(text);
            insert.execute(params![id, at, name, level, session, event.to_string()])?;
        }
        drop(insert);
        transaction.commit()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok((seconds, std::fs::metadata(&file)?.len()))
}

/// Has PostgreSQL store rows, as its own `pgbench` measures it.
#[allow(clippy::cast_precision_loss)]
fn postgres() -> Result<Vec<(String, f64)>, Box<dyn Error>> {
    let folder = TempDir::with_prefix("tally-peers-")?;
    psql(&format!("DROP TABLE IF EXISTS tally_peer; {TABLE}; {INDEX}"))?;
    let mut rates = vec![];
    for (what, size) in
        [("PostgreSQL alone, singles, 16 clients", 1), ("PostgreSQL alone, rows of 100, 16 clients", BATCH)]
    {
        let at = Clock::System.now();
        let rows: Vec<_> = (0..size)
            .map(|n| {
                let event = event(n, at);
                let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                let [at, name, level, session] = ["timestamp", "name", "level", "session_id"].map(text);
                // Quotes are doubled in SQL, and a colon begins a variable of `pgbench`.
                let event = event.to_string().replace('\'', "''").replace(':', "=");
                let at = at.replace(':', "-");
                format!("(:client_id || '-' || :number || '-{n}', '{at}', '{name}', '{level}', '{session}', '{event}')")
            })
            .collect();
        let script = folder.path().join(format!("{size}.sql"));
        let number = "\\set number random(1, 1000000000000)\n";
        std::fs::write(&script, format!("{number}INSERT INTO tally_peer VALUES {};\n", rows.join(", ")))?;
        let output = Command::new("pgbench")
            .args(["--no-vacuum", "--client", CLIENTS, "--time", SECONDS, "--file"])
            .arg(&script)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.split_once("tps = ").and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<f64>().ok());
        let rate = rate.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        rates.push((what.to_owned(), rate * size as f64));
    }
    psql("DROP TABLE tally_peer")?;
    Ok(rates)
}

fn psql(sql: &str) -> Result<(), Box<dyn Error>> {
    let output = Command::new("psql").args(["--quiet", "--no-psqlrc", "--command", sql]).output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().into()) }
}
