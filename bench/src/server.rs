//! A local server in its own process, with free ports and its own data folder.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// A running server. Dropping it stops the process and deletes its data.
pub(crate) struct Server {
    child: std::sync::Mutex<Child>,
    address: SocketAddr,
    /// Sends events to the app `demo`.
    pub(crate) ingest_key: String,
    /// Reads it.
    pub(crate) read_key: String,
    /// Idle connections.
    idle: Mutex<Vec<SendRequest<Body>>>,
    data: TempDir,
}

impl Server {
    /// Starts the program `tally` next to this one.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        Self::start_program(None)
    }

    /// Starts a program, and reads its address and keys from its output.
    pub(crate) fn start_program(program: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let program = match program {
            Some(program) => program.to_owned(),
            None => std::env::current_exe()?.with_file_name(format!("tally{}", std::env::consts::EXE_SUFFIX)),
        };
        let data = TempDir::with_prefix("tally-load-")?;
        let mut child = Command::new(&program)
            .args(["--port", "0", "--dynamodb-port", "0", "--data"])
            .arg(data.path())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| {
                format!("cannot start {}: {e}; build it first: cargo build --profile fast -p tally", program.display())
            })?;
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.take().ok_or("a child without output")?).lines() {
            printed.push_str(&line?);
            printed.push('\n');
            if printed.contains("Ctrl-C ends it") {
                break;
            }
        }
        let after = |checkpoint: &str| {
            let rest =
                printed.split_once(checkpoint).map(|(_, rest)| rest).and_then(|rest| rest.split(['\'', '\n']).next());
            rest.ok_or_else(|| format!("the server did not print {checkpoint:?}"))
        };
        Ok(Self {
            address: after("http://")?.parse()?,
            ingest_key: after("X-Ingest-Key: ")?.to_owned(),
            read_key: after("X-Read-Key: ")?.to_owned(),
            child: std::sync::Mutex::new(child),
            idle: Mutex::default(),
            data,
        })
    }

    /// Sends a request and reads its reply, over an idle connection or a new one.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
        let mut connection = loop {
            let free = self.idle.lock().await.pop();
            let Some(mut free) = free else { break self.connect().await? };
            // The server ends connections that are idle for long.
            if free.ready().await.is_ok() {
                break free;
            }
        };
        connection.ready().await?;
        let reply = connection.send_request(request).await?;
        let status = reply.status();
        let body = reply.into_body().collect().await?.to_bytes();
        self.idle.lock().await.push(connection);
        Ok((status, body))
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A request to the app `demo`.
    pub(crate) fn request(&self, path: &str) -> http::request::Builder {
        Request::builder().uri(format!("/apps/demo/{path}")).header("host", self.address.to_string())
    }

    /// Sends a query that must succeed.
    pub(crate) async fn ask(&self, path: &str) -> Result<Value, Box<dyn Error>> {
        let request = self.request(path).header("x-read-key", &self.read_key).body(Body::empty())?;
        let (status, body) = self.send(request).await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }

    fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// The processor time that it has used, where the system reports it.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        /// Clock ticks of Linux in a second.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).ok()?;
        // The name of the program, in brackets, may have spaces.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        Some(Duration::from_secs_f64(ticks / TICKS))
    }

    /// Ends it as Ctrl-C does. Returns the size of its database, where the system can ask a process to end.
    pub(crate) fn end(&self) -> Result<Option<u64>, Box<dyn Error>> {
        if !Command::new("kill").arg(self.id().to_string()).status().is_ok_and(|done| done.success()) {
            return Ok(None);
        }
        self.child.lock().unwrap_or_else(PoisonError::into_inner).wait()?;
        Ok(Some(std::fs::metadata(self.data.path().join("tally.db"))?.len()))
    }

    /// Its current and peak resident memory, where the system reports it.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let megabytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
        };
        Some(Memory { now: megabytes("VmRSS:")?, highest: megabytes("VmHWM:")? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Where it has ended already there is nothing to do.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Resident memory in MB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) highest: u64,
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MB now, {} MB at most", self.now, self.highest)
    }
}
