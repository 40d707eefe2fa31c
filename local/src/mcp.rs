//! `tally mcp`: the Model Context Protocol over standard input and output, for programs that start a server themselves. Each line is
//! posted to the `/mcp` of a Tally, so what answers is the same in both ways.

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::MINUTE;
use tally_service::auth::token::signing_key;
use tally_service::context::Context;
use tally_store::{Connection, connect};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

use crate::embedded::{Embedded, OpenError};
use crate::first_start::ADMIN;
use crate::server::{DATA, StartError, config, context};

/// Longest line that is read, in bytes.
const MAX_LINE: usize = 1024 * 1024;
/// Messages that are answered at the same time.
const AT_ONCE: usize = 8;
/// Most bytes of a reply.
const MAX_REPLY: usize = 4 * 1024 * 1024;
/// How long a reply may take: a function has half of it.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What JSON-RPC calls a fault of the server.
const INTERNAL: i32 = -32603;
/// … and a message that is none.
const INVALID: i32 = -32600;

/// Which Tally answers, and by which key.
#[derive(clap::Args)]
pub struct Mcp {
    /// The address of a Tally, such as <https://tally.example>; by default the one that runs on this machine.
    #[arg(long, env = "TALLY_URL", value_name = "URL")]
    url: Option<String>,
    /// A key that reads, or an access token. By default a Tally on this machine lets read all of its apps.
    #[arg(long, env = "TALLY_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    /// The folder that keeps the data of the Tally that runs, by default `.tally`.
    #[arg(long, env = "TALLY_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Why nothing is answered.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// No key for another Tally.
    #[error("--url needs a key that reads: --key KEY, or the variable TALLY_KEY")]
    NoKey,
    /// Not an address.
    #[error("--url: {0} is no address such as https://tally.example")]
    Url(String),
    /// TLS cannot be used.
    #[error("cannot read the certificates that this system trusts: {0}")]
    Tls(std::io::Error),
    /// Nothing is served.
    #[error("no Tally serves the data in {0}: start one with `cargo run`, or name another with --url and --key")]
    NotServed(PathBuf),
    /// It has users of its own.
    #[error(
        "the Tally that has the data in {0} open serves no page, or has users of its own (TALLY_USERS): send --url and --key"
    )]
    NotOurs(PathBuf),
}

/// What messages are sent with.
enum Credential {
    Text(String),
    /// A token that reads everything on this machine, made for each message. Whoever may read the folder may read all of it anyway.
    OfThisMachine(Arc<Context>),
}

struct Bridge {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Uri,
    credential: Credential,
}

/// Answers until the end of standard input.
pub async fn run(mcp: Mcp) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (server, credential) = match (given(mcp.url), given(mcp.key)) {
        (Some(url), Some(key)) => (url, Credential::Text(key)),
        (Some(_), None) => return Err(McpError::NoKey.into()),
        (None, key) => {
            let (server, context) = of_this_machine(mcp.data.as_deref())?;
            (server, key.map_or(Credential::OfThisMachine(context), Credential::Text))
        }
    };
    let bridge = Arc::new(Bridge::new(&server, credential)?);
    let mut lines = lines();
    let (free, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    while let Some(line) = lines.recv().await {
        // It is never closed.
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { break };
        let bridge = Arc::clone(&bridge);
        running.spawn(async move {
            let answer = match line {
                Line::Whole(line) => bridge.answer(&line).await,
                Line::TooLong => {
                    Some(error(&Value::Null, INVALID, &format!("a line is longer than {MAX_LINE} bytes: send less")))
                }
            };
            drop(permit);
            answer.is_none_or(|answer| tell(&answer))
        });
        // What has ended is forgotten; where nobody reads what is told, nothing is left to do.
        while let Some(ended) = running.try_join_next() {
            if matches!(ended, Ok(false)) {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    running.join_all().await;
    Ok(ExitCode::SUCCESS)
}

/// The address of the Tally that runs on a folder, and its data.
fn of_this_machine(data: Option<&Path>) -> Result<(String, Arc<Context>), Box<dyn std::error::Error>> {
    let folder = data.unwrap_or(Path::new(DATA));
    if !Embedded::is_in(folder) {
        return Err(StartError::NoData(folder.to_owned(), data.is_some()).into());
    }
    let door = match Embedded::open(folder) {
        Ok(_) => return Err(McpError::NotServed(folder.to_owned()).into()),
        Err(OpenError::InUse { door, .. }) => door,
        Err(error) => return Err(error.into()),
    };
    let not_ours = || McpError::NotOurs(folder.to_owned());
    let door = door.ok_or_else(not_ours)?;
    let server = door.page.clone().ok_or_else(not_ours)?;
    let config = config()?;
    let store = connect(Connection::Embedded(door.client()), config.tables.clone());
    Ok((server, context(store, config)))
}

enum Line {
    Whole(String),
    TooLong,
}

/// The lines of standard input that are not empty, read as far ahead as messages are answered at the same time.
fn lines() -> Receiver<Line> {
    let (to, lines) = channel(AT_ONCE);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while let Ok(Some(line)) = read_line(&mut input) {
            if matches!(&line, Line::Whole(line) if line.trim().is_empty()) {
                continue;
            }
            if to.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// The next line. Of one that is too long no more is kept than may be.
fn read_line(input: &mut impl BufRead) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    let most = MAX_LINE as u64 + 1;
    if input.take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() <= MAX_LINE || line.ends_with(b"\n") {
        return Ok(Some(Line::Whole(String::from_utf8_lossy(&line).into_owned())));
    }
    loop {
        line.clear();
        if input.take(most).read_until(b'\n', &mut line)? == 0 || line.ends_with(b"\n") {
            return Ok(Some(Line::TooLong));
        }
    }
}

/// Writes a line; whether that went well.
fn tell(answer: &Value) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}").and_then(|()| out.flush()).is_ok()
}

fn error(id: &Value, code: i32, detail: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": detail}})
}

/// What the protocol wants in the headers of a message.
fn headers(message: &Value) -> HeaderMap {
    let params = &message["params"];
    let all = [
        ("mcp-protocol-version", &params["_meta"]["io.modelcontextprotocol/protocolVersion"]),
        ("mcp-method", &message["method"]),
        ("mcp-name", &params["name"]),
    ];
    let header = |(name, value): (&'static str, &Value)| {
        let text = value.as_str()?;
        // As the protocol says for what a header cannot hold.
        let plain = text.bytes().all(|b| b.is_ascii_graphic()) && !text.is_empty() && !text.starts_with("=?base64?");
        let text = if plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) };
        Some((HeaderName::from_static(name), HeaderValue::from_str(&text).ok()?))
    };
    all.into_iter().filter_map(header).collect()
}

impl Bridge {
    fn new(server: &str, credential: Credential) -> Result<Self, McpError> {
        let wrong = || McpError::Url(server.to_owned());
        let endpoint: Uri = format!("{}/mcp", server.trim_end_matches('/')).parse().map_err(|_| wrong())?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) {
            return Err(wrong());
        }
        let roots = HttpsConnectorBuilder::new().with_native_roots().map_err(McpError::Tls)?;
        let connector = roots.https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), endpoint, credential })
    }

    /// The answer to a line, if it wants one.
    async fn answer(&self, line: &str) -> Option<Value> {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        let sent = tokio::time::timeout(TIMEOUT, self.send(line, &message)).await;
        let sent = sent.unwrap_or_else(|_| Err(format!("no answer in {} s", TIMEOUT.as_secs())));
        match sent {
            Ok(answer) => answer,
            // A notification has no answer, not even that.
            Err(_) if message.is_object() && message.get("id").is_none() => None,
            Err(detail) => Some(error(&message["id"], INTERNAL, &detail)),
        }
    }

    async fn send(&self, line: &str, message: &Value) -> Result<Option<Value>, String> {
        let credential = match &self.credential {
            Credential::Text(text) => text.clone(),
            Credential::OfThisMachine(context) => token(context).await?,
        };
        let request = Request::post(&self.endpoint)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header(AUTHORIZATION, format!("Bearer {credential}"))
            .body(Full::new(Bytes::from(line.to_owned())));
        let mut request = request.map_err(|_| "the key is none that can be sent".to_owned())?;
        request.headers_mut().extend(headers(message));
        let unreachable = |e: &dyn std::error::Error| format!("cannot reach {}: {}", self.endpoint, innermost(e));
        let reply = self.client.request(request).await.map_err(|e| unreachable(&e))?;
        let status = reply.status();
        let body = Limited::new(reply.into_body(), MAX_REPLY).collect().await;
        let body = body.map_err(|e| format!("the answer was cut: {e}"))?.to_bytes();
        if body.is_empty() && status.is_success() {
            return Ok(None);
        }
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        if json["jsonrpc"] == "2.0" {
            return Ok(Some(json));
        }
        // A problem document, or the page of something in between.
        Err(json["detail"].as_str().map_or_else(|| format!("{} answered {status}", self.endpoint), str::to_owned))
    }
}

/// A token that may read all apps of this machine, and no more.
async fn token(context: &Context) -> Result<String, String> {
    let key = signing_key(&context.store).await.map_err(|e| e.to_string())?;
    let signed = key.sign(ADMIN, Role::Reader, context.clock.now(), MINUTE);
    signed.map(|(token, _)| token).map_err(|e| e.to_string())
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_and_not_beyond_their_limit() {
        let long = "x".repeat(3 * MAX_LINE);
        let input = format!("one\n{long}\n\ntwo");
        let mut input = input.as_bytes();
        let mut read = Vec::new();
        while let Some(line) = read_line(&mut input).expect("a line") {
            read.push(match line {
                Line::Whole(line) => line,
                Line::TooLong => "too long".to_owned(),
            });
        }
        assert_eq!(read, ["one\n", "too long", "\n", "two"]);
    }

    #[test]
    fn headers_say_what_the_message_says() {
        let said = |message: &Value| {
            headers(message)
                .iter()
                .map(|(name, value)| format!("{name}={}", value.to_str().expect("text")))
                .collect::<Vec<_>>()
        };
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        let call = json!({"method": "tools/call", "params": {"name": "apps", "_meta": meta}});
        assert_eq!(said(&call), ["mcp-protocol-version=2026-07-28", "mcp-method=tools/call", "mcp-name=apps"]);
        assert_eq!(said(&json!({"method": "ping"})), ["mcp-method=ping"]);
        assert_eq!(said(&json!({"method": "pi\nng é"})), ["mcp-method==?base64?cGkKbmcgw6k=?="]);
        assert_eq!(said(&Value::Null), Vec::<String>::new());
    }
}
