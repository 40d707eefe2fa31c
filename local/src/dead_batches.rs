//! `tally dead-batches`: lists the days in stream batches that Lambda gave up on, and recounts them in a deployment.
//!
//! Batches are never replayed. Later batches have already moved the checkpoints past them, so a late replay would look
//! like a redelivery and count nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aggregate::DeadBatch;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tally_core::app::AppSlug;
use tally_core::time::{DAY, Timestamp};

/// Maximum bytes of a file: a batch has at most 6 MB, and quotes in it are escaped.
const MOST_BYTES: u64 = 32 * 1024 * 1024;
/// Maximum bytes of a response.
const MOST_ANSWER: usize = 16 * 1024 * 1024;
/// Timeout of a response: API Gateway gives up after 30 s.
const PATIENCE: Duration = Duration::from_mins(1);
/// Attempts for a request that the server answers with 429 or 5xx.
const TRIES: u32 = 5;
/// The wait before the second attempt; it doubles with each further attempt.
const BACK_OFF: Duration = Duration::from_secs(1);

/// What to read, and where to recount.
#[derive(clap::Args)]
pub struct DeadBatches {
    /// The folder with the objects of the bucket of dead batches, as `aws s3 sync` makes it.
    folder: PathBuf,
    /// The address of the deployment whose counters are recounted. Without it, the days are only listed.
    #[arg(long, value_name = "URL", requires = "token")]
    url: Option<String>,
    /// An admin's access token for the deployment.
    #[arg(long, env = "TALLY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Why a day could not be recounted.
#[derive(Debug, thiserror::Error)]
pub enum RecountFailure {
    /// The request could not be made.
    #[error("{0}")]
    Request(String),
    /// The server rejected the request.
    #[error("{0} {1}")]
    Refused(u16, String),
}

/// What the files of a folder contain.
#[derive(Debug, Default)]
struct Found {
    files: usize,
    /// The start times of the days, by app.
    days: BTreeMap<AppSlug, BTreeSet<Timestamp>>,
    /// Files whose days are unknown or incomplete, and why.
    unclear: Vec<(PathBuf, String)>,
}

#[derive(Deserialize)]
struct Recounted {
    differences: Vec<Value>,
    complete: bool,
    next: Option<String>,
}

/// Lists the days, and recounts them if a deployment is given. Fails if days remain or are unknown.
pub async fn run(args: DeadBatches) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut found = Found::default();
    read_folder(&args.folder, &mut found)?;
    println!("{} dead batches in {}", found.files, args.folder.display());
    for (file, why) in &found.unclear {
        eprintln!("{}: {why}", file.display());
    }
    let mut done = found.unclear.is_empty();
    for (app, days) in &found.days {
        for (since, until) in runs(days) {
            let named = format!("{app} {} to before {}", date(since), date(until));
            let (Some(url), Some(token)) = (&args.url, &args.token) else {
                println!("{named}");
                continue;
            };
            match recount(url, token, app, since, until).await {
                Ok((differences, complete)) => {
                    done &= complete;
                    let again = if complete { "" } else { "; some counters kept changing, run this again" };
                    println!("{named}: recounted, {differences} differences repaired{again}");
                }
                Err(error) => {
                    done = false;
                    println!("{named}: not recounted: {error}");
                }
            }
        }
    }
    if !found.unclear.is_empty() {
        eprintln!("Not all days are known: recount every app without bounds.");
    }
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads all files below a folder.
fn read_folder(folder: &Path, found: &mut Found) -> Result<(), Box<dyn std::error::Error>> {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut entries = fs::read_dir(folder).map_err(named)?.collect::<Result<Vec<_>, _>>().map_err(named)?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(named)?.is_dir() {
            read_folder(&path, found)?;
            continue;
        }
        found.files += 1;
        match read_file(&path) {
            Ok(batch) => {
                for ((_, slug), days) in batch.days {
                    found.days.entry(slug).or_default().extend(days);
                }
                if batch.unreadable > 0 {
                    found.unclear.push((path, format!("{} records name no app or no day", batch.unreadable)));
                }
            }
            Err(why) => found.unclear.push((path, why)),
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<DeadBatch, String> {
    let bytes = fs::metadata(path).map_err(|e| e.to_string())?.len();
    if bytes > MOST_BYTES {
        return Err(format!("{bytes} bytes are more than an invocation record has"));
    }
    DeadBatch::read(&fs::read(path).map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

/// Merges consecutive days into ranges.
fn runs(days: &BTreeSet<Timestamp>) -> Vec<(Timestamp, Timestamp)> {
    let mut runs: Vec<(Timestamp, Timestamp)> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some((_, until)) if *until == *day => *until = *day + DAY,
            _ => runs.push((*day, *day + DAY)),
        }
    }
    runs
}

fn date(day: Timestamp) -> String {
    day.to_string()[..10].to_owned()
}

/// Recounts days of an app. Returns how many counters differed, and whether all are correct now.
async fn recount(
    url: &str,
    token: &str,
    app: &AppSlug,
    since: Timestamp,
    until: Timestamp,
) -> Result<(usize, bool), RecountFailure> {
    let url = format!("{}/apps/{app}/recount", url.trim_end_matches('/'));
    let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
    let mut body = json!({"since": date(since), "until": date(until)});
    let mut differences = 0;
    loop {
        let text = post(&connector, &url, token, &body).await?;
        let reply: Recounted = serde_json::from_slice(&text).map_err(|e| RecountFailure::Request(e.to_string()))?;
        differences += reply.differences.len();
        match reply.next {
            Some(next) => body = json!({"next": next}),
            None => return Ok((differences, reply.complete)),
        }
    }
}

/// Sends a request until the server accepts it or rejects it permanently.
async fn post(connector: &Connector, url: &str, token: &str, body: &Value) -> Result<Vec<u8>, RecountFailure> {
    let failed = |e: String| RecountFailure::Request(e);
    let mut tries = 0;
    loop {
        tries += 1;
        let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
        request.set_uri(url).map_err(|e| failed(e.to_string()))?;
        request.set_method("POST").map_err(|e| failed(e.to_string()))?;
        let authorization = format!("Bearer {token}");
        for (name, value) in [("authorization", &*authorization), ("content-type", "application/json")] {
            request.headers_mut().try_insert(name, value.to_owned()).map_err(|e| failed(e.to_string()))?;
        }
        let reply = tokio::time::timeout(PATIENCE, async {
            let reply = connector.call(request).await.map_err(|e| failed(e.to_string()))?;
            let status = reply.status().as_u16();
            let body = Limited::new(reply.into_body(), MOST_ANSWER).collect().await;
            Ok((status, body.map_err(|e| failed(e.to_string()))?.to_bytes().to_vec()))
        });
        let (status, text) = reply.await.map_err(|e| failed(e.to_string()))??;
        match status {
            200 => return Ok(text),
            429 | 500.. if tries < TRIES => tokio::time::sleep(BACK_OFF * 2u32.pow(tries - 1)).await,
            _ => {
                let problem: Value = serde_json::from_slice(&text).unwrap_or_default();
                let detail = problem["detail"].as_str().unwrap_or("refused");
                return Err(RecountFailure::Refused(status, detail.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_follow_each_other_are_recounted_in_one() {
        let day = |n: i64| Timestamp::EPOCH + n * DAY;
        let days = [day(3), day(1), day(2), day(7)].into();
        assert_eq!(runs(&days), [(day(1), day(4)), (day(7), day(8))]);
        assert_eq!(date(day(7)), "1970-01-08");
    }
}
