//! `cargo run -- import`: the lines of a log, of any shape, as events through the real ingest router.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use flate2::read::MultiGzDecoder;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::BodyExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use tally_core::app::AppSlug;
use tally_core::app::role::Role;
use tally_core::event::MAX_DEPTH;
use tally_core::event::draft::names_a_time;
use tally_core::event::id::EventId;
use tally_core::event::json::{self, Json, Number};
use tally_core::time::{HOUR, Timestamp};
use tally_service::apps::create::NewAppError;
use tally_service::config::Config;
use tally_service::context::Context;
use tower::ServiceExt;

use crate::server::{open, service};

/// Lines in one request.
const BATCH: usize = 500;
/// Tries of a batch that the store could not take.
const TRIES: u32 = 8;
/// The first wait between them; doubled with each.
const WAIT: Duration = Duration::from_millis(100);
/// Rejected lines that are shown.
const SHOWN: usize = 50;
/// Fields of an event that are texts.
const TEXTS: [&str; 9] = ["id", "name", "slug", "category", "level", "message", "session_id", "user_id", "event"];
/// Fields of an event that are not.
const OTHERS: [&str; 6] = ["timestamp", "occurred_at", "count", "data", "tags", "stack"];

/// What to import.
#[derive(clap::Args)]
pub struct Import {
    /// A file of one JSON object a line (or plain text, each line a message); gzip is understood, `-` is standard input.
    /// A line without a time is given that at which the file was last written, or for standard input that of the import.
    file: PathBuf,
    /// The app to send to; made where it does not exist.
    #[arg(long)]
    app: String,
    /// Takes a field of the event from a dotted path in the line, e.g. `--map name=event.type`. What is mapped nowhere,
    /// and is no field of an event by its own name, goes to `data`.
    #[arg(long, value_name = "FIELD=PATH", num_args = 1.., value_parser = parse_mapping)]
    map: Vec<Mapping>,
    /// The folder that keeps the data. Where a Tally runs on it, events go to that one.
    #[arg(long, value_name = "DIR", default_value = ".tally")]
    data: PathBuf,
}

/// A field of the event and where its value lies in a line.
#[derive(Clone, Debug)]
struct Mapping {
    field: String,
    path: Vec<String>,
}

fn parse_mapping(text: &str) -> Result<Mapping, String> {
    let (field, path) = text.split_once('=').ok_or("must be FIELD=PATH, e.g. name=event.type")?;
    if !TEXTS.contains(&field) && !OTHERS.contains(&field) {
        return Err(format!("`{field}` is no field of an event: {} or {}", TEXTS.join(", "), OTHERS.join(", ")));
    }
    Ok(Mapping { field: field.to_owned(), path: path.split('.').map(str::to_owned).collect() })
}

/// What became of a file.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Events that were taken.
    pub sent: usize,
    /// Lines that were not, and why.
    pub rejected: Vec<(usize, String)>,
}

/// Why an import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error("cannot read {0}: {1}")]
    File(String, std::io::Error),
    /// The whole request was refused.
    #[error("the events were refused: {0}")]
    Refused(String),
    /// The store did not take them in several tries.
    #[error("the store takes no more: {0} events were sent; run the same import again, it counts each once")]
    Unavailable(usize),
}

/// Runs an import and says what became of it.
pub async fn run(import: Import) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let config = Config::from_env()?;
    let slug = AppSlug::of_name(&import.app).map_err(|e| format!("--app: {e}"))?;
    let (context, poller) = open(&import.data, config).await?;
    make_app(&context, &import.app).await?;
    let key = tally_service::auth::token::signing_key(&context.store).await?;
    let (token, _) = key.sign("import", Role::Admin, context.clock.now(), 24 * HOUR)?;
    let lines = Lines::open(&import.file).map_err(|e| ImportError::File(import.file.display().to_string(), e))?;
    let sender =
        Sender { router: service(&context), path: format!("/apps/{slug}/events"), token, mappings: import.map };
    let outcome = sender.send_all(lines).await?;
    if let Some(mut poller) = poller {
        poller.drain().await?;
    }
    println!("{} events sent to `{slug}`.", outcome.sent);
    for (line, reason) in outcome.rejected.iter().take(SHOWN) {
        println!("line {line}: {reason}");
    }
    if outcome.rejected.len() > SHOWN {
        println!("… and {} more lines", outcome.rejected.len() - SHOWN);
    }
    Ok(if outcome.rejected.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn make_app(context: &Context, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let new = admin::NewApp { name: name.to_owned(), ..admin::NewApp::default() };
    match admin::create_app(&context.apps, new, &[]).await {
        Ok(_) | Err(NewAppError::Taken(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The lines of a file, and how far it is read.
struct Lines {
    reader: Box<dyn BufRead>,
    progress: ProgressBar,
    /// Names the file in the ids of its events.
    name: String,
    /// The time of lines that have none: when the file was last written, so that it is the same the next time.
    time: Timestamp,
}

impl Lines {
    fn open(file: &Path) -> std::io::Result<Self> {
        let now = tally_core::time::clock::Clock::System.now();
        if file == Path::new("-") {
            let progress = ProgressBar::new_spinner();
            let reader = undo_gzip(progress.wrap_read(std::io::stdin()))?;
            return Ok(Self { reader, progress, name: "-".to_owned(), time: now });
        }
        let open = File::open(file)?;
        let about = open.metadata()?;
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg} {eta}");
        let progress = ProgressBar::new(about.len());
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let written = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(Self {
            reader: undo_gzip(progress.wrap_read(open))?,
            progress,
            name: file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            time: written.map_or(now, |since| Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(0))),
        })
    }
}

/// Reads gzip where the first bytes say that it is.
fn undo_gzip(read: impl Read + 'static) -> std::io::Result<Box<dyn BufRead>> {
    let mut buffered = BufReader::new(read);
    if buffered.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(buffered))))
    } else {
        Ok(Box::new(buffered))
    }
}

struct Sender {
    router: Router,
    path: String,
    token: String,
    mappings: Vec<Mapping>,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: usize,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Rejected {
    index: usize,
    detail: String,
    retry: bool,
}

#[derive(Deserialize)]
struct Refusal {
    detail: String,
    #[serde(default)]
    errors: Vec<RefusedField>,
}

#[derive(Deserialize)]
struct RefusedField {
    field: String,
    detail: String,
}

impl Sender {
    async fn send_all(&self, mut lines: Lines) -> Result<Outcome, ImportError> {
        let mut outcome = Outcome::default();
        let mut batch: Vec<(usize, String)> = Vec::with_capacity(BATCH);
        let mut number = 0;
        loop {
            let mut line = Vec::new();
            let read = lines.reader.read_until(b'\n', &mut line);
            let read = read.map_err(|e| ImportError::File(lines.name.clone(), e))?;
            number += 1;
            let line = line.trim_ascii();
            if !line.is_empty() {
                match self.event_of(line, &lines, number) {
                    Ok(event) => batch.push((number, event)),
                    Err(reason) => outcome.rejected.push((number, reason)),
                }
            }
            if batch.len() == BATCH || (read == 0 && !batch.is_empty()) {
                self.send_batch(std::mem::take(&mut batch), &mut outcome).await?;
                lines.progress.set_message(format!("{} events", outcome.sent));
            }
            if read == 0 {
                lines.progress.finish_and_clear();
                outcome.rejected.sort();
                return Ok(outcome);
            }
        }
    }

    /// Sends a batch, and again what the store could not take, until all of it is taken or refused.
    async fn send_batch(&self, batch: Vec<(usize, String)>, outcome: &mut Outcome) -> Result<(), ImportError> {
        let mut left = batch;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(WAIT * 2u32.pow(attempt - 1)).await;
            }
            let body = left.iter().map(|(_, event)| event.as_str()).collect::<Vec<_>>().join("\n");
            let request = Request::post(&self.path)
                .header(CONTENT_TYPE, "application/x-ndjson")
                .header(AUTHORIZATION, format!("Bearer {}", self.token))
                .body(Body::from(body));
            let request = request.map_err(|e| ImportError::Refused(e.to_string()))?;
            // A router's error type has no values.
            let Ok(reply) = self.router.clone().oneshot(request).await;
            let status = reply.status().as_u16();
            let body = reply.into_body().collect().await.map_err(|e| ImportError::Refused(e.to_string()))?.to_bytes();
            match status {
                201 | 207 => {
                    let accepted: Accepted =
                        serde_json::from_slice(&body).map_err(|e| ImportError::Refused(e.to_string()))?;
                    outcome.sent += accepted.accepted;
                    let retry: HashMap<usize, bool> = accepted.rejected.iter().map(|r| (r.index, r.retry)).collect();
                    for rejected in accepted.rejected.into_iter().filter(|rejected| !rejected.retry) {
                        outcome.rejected.push((left[rejected.index].0, rejected.detail));
                    }
                    left = left
                        .into_iter()
                        .enumerate()
                        .filter_map(|(i, line)| retry.get(&i).is_some_and(|retry| *retry).then_some(line))
                        .collect();
                    if left.is_empty() {
                        return Ok(());
                    }
                }
                400 => {
                    let refusal: Refusal =
                        serde_json::from_slice(&body).map_err(|e| ImportError::Refused(e.to_string()))?;
                    let reasons = Self::reasons(&refusal);
                    for (i, (number, _)) in left.iter().enumerate() {
                        let reason = reasons.get(&i).cloned().unwrap_or_else(|| refusal.detail.clone());
                        outcome.rejected.push((*number, reason));
                    }
                    return Ok(());
                }
                503 | 429 => {}
                413 if left.len() == 1 => {
                    outcome.rejected.push((left[0].0, "the line is too large for an event".to_owned()));
                    return Ok(());
                }
                413 => {
                    // Long lines: half of them fit, or half of that.
                    let second = left.split_off(left.len() / 2);
                    Box::pin(self.send_batch(left, outcome)).await?;
                    return Box::pin(self.send_batch(second, outcome)).await;
                }
                _ => return Err(ImportError::Refused(format!("{status} {}", String::from_utf8_lossy(&body)))),
            }
        }
        Err(ImportError::Unavailable(outcome.sent))
    }

    /// The reasons of a batch that was refused whole, by the index of the event; a field reads `[3].name`.
    fn reasons(refusal: &Refusal) -> HashMap<usize, String> {
        let mut reasons: HashMap<usize, String> = HashMap::new();
        for error in &refusal.errors {
            let index = error.field.strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse().ok());
            let field = error.field.split_once("].").map_or("", |(_, field)| field);
            if let Some(index) = index {
                let reason =
                    if field.is_empty() { error.detail.clone() } else { format!("`{field}`: {}", error.detail) };
                let all = reasons.entry(index).or_default();
                if !all.is_empty() {
                    all.push_str("; ");
                }
                all.push_str(&reason);
            }
        }
        reasons
    }

    /// A line as an event, on one line.
    fn event_of(&self, line: &[u8], lines: &Lines, number: usize) -> Result<String, String> {
        let mut event = if line.starts_with(b"{") {
            // The fields of an event, and `data` around what is none of them, are levels of their own.
            let object = json::document(line).and_then(|raw| json::value(raw, MAX_DEPTH + 1));
            match object.map_err(|e| e.to_string())? {
                Json::Object(object) => self.map(object),
                _ => return Err("not a JSON object".to_owned()),
            }
        } else {
            let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
            BTreeMap::from([("message".to_owned(), Json::String(text.to_owned()))])
        };
        event.retain(|_, value| *value != Json::Null);
        if !event.contains_key("id") {
            let about = format!("{} {number} {}", lines.name, String::from_utf8_lossy(line));
            let hash = &EventId::of_client_id(Timestamp::EPOCH, &about).to_string()[10..];
            let name: String = lines.name.chars().take(40).collect();
            event.insert("id".to_owned(), Json::String(format!("{name}:{number}:{hash}")));
        }
        let timed = event.contains_key("timestamp") || event.contains_key("occurred_at");
        let tells = matches!(event.get("id"), Some(Json::String(id)) if names_a_time(id));
        if !timed && !tells {
            event.insert("timestamp".to_owned(), Json::String(lines.time.to_string()));
        }
        serde_json::to_string(&Json::Object(event)).map_err(|e| e.to_string())
    }

    /// Takes the mapped fields out of a line, then those of an event's own names; the rest is its `data`.
    fn map(&self, mut object: BTreeMap<String, Json>) -> BTreeMap<String, Json> {
        let mut event = BTreeMap::new();
        for mapping in &self.mappings {
            if let Some(value) = take(&mut object, &mapping.path) {
                event.insert(mapping.field.clone(), value);
            }
        }
        for field in TEXTS.iter().chain(&OTHERS) {
            if !event.contains_key(*field)
                && let Some(value) = object.remove(*field)
            {
                event.insert((*field).to_owned(), value);
            }
        }
        for field in TEXTS {
            if let Some(value) = event.get_mut(field) {
                as_text(field, value);
            }
        }
        if object.is_empty() {
            return event;
        }
        if let Some(Json::Object(data)) = event.get_mut("data") {
            for (key, value) in object {
                data.entry(key).or_insert(value);
            }
        } else {
            if let Some(data) = event.remove("data") {
                object.insert("data".to_owned(), data);
            }
            event.insert("data".to_owned(), Json::Object(object));
        }
        event
    }
}

/// Takes a value out of nested objects.
fn take(object: &mut BTreeMap<String, Json>, path: &[String]) -> Option<Json> {
    let (first, rest) = path.split_first()?;
    if rest.is_empty() {
        return object.remove(first);
    }
    match object.get_mut(first)? {
        Json::Object(inner) => take(inner, rest),
        _ => None,
    }
}

/// Numbers and truths where an event has a text; the numbers that pino and bunyan give levels by their names.
fn as_text(field: &str, value: &mut Json) {
    let text = match &*value {
        Json::Number(number) if field == "level" => level_of(number).unwrap_or(number.as_str()).to_owned(),
        Json::Number(number) => number.as_str().to_owned(),
        Json::Bool(value) => value.to_string(),
        _ => return,
    };
    *value = Json::String(text);
}

fn level_of(number: &Number) -> Option<&'static str> {
    Some(match number.as_str() {
        "10" => "TRACE",
        "20" => "DEBUG",
        "30" => "INFO",
        "40" => "WARN",
        "50" => "ERROR",
        "60" => "FATAL",
        _ => return None,
    })
}
