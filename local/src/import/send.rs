//! Sends events to the Tally in this folder through its router, or to a remote Tally over HTTP.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use tally_core::app::App;
use tally_core::event::id::EventId;
use tally_core::time::Timestamp;
use tally_service::context::Context;
use tower::ServiceExt;

use crate::exchange::{HttpClient, Reply, client, exchange};

/// Attempts for a batch that the store could not accept.
const TRIES: u32 = 8;
/// The first wait between attempts. It doubles each time, unless the reply sets a wait.
const WAIT: Duration = Duration::from_millis(100);
/// Maximum pages of events that are read to find which events of a batch already exist.
const PAGES: usize = 10;
/// Events in a page.
const PAGE: usize = 1_000;

/// Why an import cannot continue.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The whole request was refused.
    #[error("the events were refused: {0}")]
    Refused(String),
    /// The server does not respond.
    #[error("cannot reach {0}: {1}")]
    Unreachable(String, String),
    /// The store did not accept the events after several attempts.
    #[error("the store takes no more at present")]
    Unavailable,
    /// The URL.
    #[error("--url: {0}")]
    Url(String),
    /// A file of this import.
    #[error("cannot remember this import: {0}")]
    Memory(String),
    /// TLS cannot be used.
    #[error("cannot read the certificates that this system trusts: {0}")]
    Tls(std::io::Error),
}

/// An event to send.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    /// As JSON on one line.
    pub json: String,
    /// The identity of the event.
    pub id: EventId,
}

/// The outcome of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Stored. Says whether it is new, if known.
    Stored(Option<bool>),
    /// Not stored.
    Refused(String),
}

/// Where events go.
pub(super) enum Target {
    /// The data of this machine.
    Local {
        /// The real router of ingest and the other functions.
        router: Router,
        /// What they share.
        context: Arc<Context>,
        /// The app.
        app: Box<App>,
        /// A token of an admin.
        token: String,
    },
    /// A remote Tally.
    Remote(Box<Remote>),
}

/// A remote Tally.
pub(super) struct Remote {
    client: HttpClient,
    /// `https://tally.example/apps/shop/events`
    events: String,
    key: String,
    /// Whether the key may also read events, as far as is known.
    reads: bool,
    /// Whether the server has ever responded.
    answered: AtomicBool,
}

#[derive(Deserialize)]
struct Accepted {
    #[serde(default)]
    ids: Vec<Option<EventId>>,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Rejected {
    index: usize,
    detail: String,
    retry: bool,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<RefusedField>,
}

#[derive(Deserialize)]
struct RefusedField {
    field: String,
    detail: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    id: EventId,
}

impl Remote {
    /// A Tally at a URL, for an app.
    pub(super) fn new(url: &str, app: &str, key: String) -> Result<Self, SendError> {
        let events = format!("{}/apps/{app}/events", url.trim_end_matches('/'));
        let uri: http::Uri = events.parse().map_err(|_| SendError::Url(format!("{url} is no URL")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(SendError::Url(format!("{url} must begin with https:// or http://")));
        }
        let client = client().map_err(SendError::Tls)?;
        Ok(Self { client, events, key, reads: true, answered: AtomicBool::new(false) })
    }

    async fn request(&self, method: Method, query: &str, body: Option<&str>) -> Result<Reply, SendError> {
        let failed = |e: String| SendError::Unreachable(self.events.clone(), e);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{query}", self.events))
            .header(AUTHORIZATION, format!("Bearer {}", self.key));
        let mut sent = Bytes::new();
        if let Some(body) = body {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(body.as_bytes()).map_err(|e| failed(e.to_string()))?;
            sent = gzip.finish().map_err(|e| failed(e.to_string()))?.into();
            request = request.header(CONTENT_TYPE, "application/x-ndjson").header(CONTENT_ENCODING, "gzip");
        }
        let request = request.body(Full::new(sent)).map_err(|e| SendError::Refused(e.to_string()))?;
        let reply = exchange(&self.client, request).await.map_err(failed);
        self.answered.fetch_or(reply.is_ok(), Ordering::Relaxed);
        reply
    }

    /// Which of these events are stored, if known. Reads the events at their times, if the key may read and there are
    /// not too many.
    async fn stored(&mut self, ids: &[EventId]) -> Option<HashSet<EventId>> {
        let (first, last) = (ids.iter().min()?, ids.iter().max()?);
        let until = Timestamp::from_millis(last.at().millis() + 1);
        let mut query = format!("?since={}&until={until}&limit={PAGE}&order=asc&consistent=true", first.at());
        let mut stored = HashSet::new();
        for _ in 0..PAGES {
            if !self.reads {
                return None;
            }
            let reply = self.request(Method::GET, &query, None).await.ok()?;
            self.reads = !matches!(reply.status, 401 | 403);
            if reply.status != 200 {
                return None;
            }
            let page: Page = serde_json::from_slice(&reply.body).ok()?;
            stored.extend(page.items.into_iter().map(|item| item.id));
            match page.next {
                None => return Some(stored),
                Some(next) => query = format!("?cursor={next}&limit={PAGE}"),
            }
        }
        None
    }
}

impl Target {
    /// Which of these events are stored, if known.
    async fn stored(&mut self, ids: &[EventId]) -> Option<HashSet<EventId>> {
        match self {
            Self::Local { context, app, .. } => context.store.stored_ids(app, ids).await.ok(),
            Self::Remote(remote) => remote.stored(ids).await,
        }
    }

    fn has_answered(&self) -> bool {
        match self {
            Self::Local { .. } => true,
            Self::Remote(remote) => remote.answered.load(Ordering::Relaxed),
        }
    }

    async fn post(&self, body: String) -> Result<Reply, SendError> {
        match self {
            Self::Local { router, app, token, .. } => {
                let request = Request::post(format!("/apps/{}/events", app.slug))
                    .header(CONTENT_TYPE, "application/x-ndjson")
                    .header(AUTHORIZATION, format!("Bearer {token}"))
                    .body(Body::from(body));
                let request = request.map_err(|e| SendError::Refused(e.to_string()))?;
                // A router's error type has no values.
                let Ok(reply) = router.clone().oneshot(request).await;
                let (head, body) = reply.into_parts();
                let body = body.collect().await.map_err(|e| SendError::Refused(e.to_string()))?.to_bytes();
                Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
            }
            Self::Remote(remote) => remote.request(Method::POST, "", Some(&body)).await,
        }
    }

    /// Sends events, and retries those that the store could not accept, until all are stored or rejected. Returns a
    /// verdict for each.
    pub(super) async fn send(&mut self, events: &[Outgoing]) -> Result<Vec<Verdict>, SendError> {
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        let mut stored = self.stored(&ids).await;
        let mut verdicts: Vec<Option<Verdict>> = vec![None; events.len()];
        self.send_some(events, &(0..events.len()).collect::<Vec<_>>(), &mut verdicts, &mut stored).await?;
        // `send_some` ends well only when each has one.
        Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Stored(None))).collect())
    }

    async fn send_some(
        &self,
        events: &[Outgoing],
        which: &[usize],
        verdicts: &mut [Option<Verdict>],
        stored: &mut Option<HashSet<EventId>>,
    ) -> Result<(), SendError> {
        let mut left = which.to_vec();
        let mut asked = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(asked.take().unwrap_or(WAIT * 2u32.pow(attempt - 1))).await;
            }
            let body = left.iter().map(|i| events[*i].json.as_str()).collect::<Vec<_>>().join("\n");
            let reply = match self.post(body).await {
                Ok(reply) => reply,
                // What never answered is a wrong URL; what did may come back.
                Err(SendError::Unreachable(..)) if attempt + 1 < TRIES && self.has_answered() => continue,
                Err(error) => return Err(error),
            };
            asked = reply.retry_after();
            match reply.status {
                201 | 207 => {
                    let accepted: Accepted =
                        serde_json::from_slice(&reply.body).map_err(|e| SendError::Refused(e.to_string()))?;
                    let rejected: HashMap<usize, Rejected> =
                        accepted.rejected.into_iter().map(|rejected| (rejected.index, rejected)).collect();
                    let mut again = Vec::new();
                    for (place, i) in left.iter().enumerate() {
                        match rejected.get(&place) {
                            Some(rejected) if rejected.retry => again.push(*i),
                            Some(rejected) => verdicts[*i] = Some(Verdict::Refused(rejected.detail.clone())),
                            None => {
                                // Another id means that the app goes by its own clock, and gives its own.
                                let id = accepted.ids.get(place).copied().flatten().unwrap_or(events[*i].id);
                                let new = stored.as_mut().map(|stored| stored.insert(id));
                                verdicts[*i] = Some(Verdict::Stored(new));
                            }
                        }
                    }
                    left = again;
                    if left.is_empty() {
                        return Ok(());
                    }
                }
                400 => {
                    let refusal: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
                    let reasons = reasons(&refusal);
                    if left.len() > 1 && reasons.len() < left.len() {
                        // A reply lists no more than so many: halves tell of all.
                        let (first, second) = left.split_at(left.len() / 2);
                        Box::pin(self.send_some(events, first, verdicts, stored)).await?;
                        return Box::pin(self.send_some(events, second, verdicts, stored)).await;
                    }
                    for (place, i) in left.iter().enumerate() {
                        let reason = reasons.get(&place).unwrap_or(&refusal.detail);
                        verdicts[*i] = Some(Verdict::Refused(reason.clone()));
                    }
                    return Ok(());
                }
                429 | 500 | 502 | 503 | 504 => {}
                413 if left.len() == 1 => {
                    verdicts[left[0]] = Some(Verdict::Refused("too large for an event".to_owned()));
                    return Ok(());
                }
                413 => {
                    let (first, second) = left.split_at(left.len() / 2);
                    Box::pin(self.send_some(events, first, verdicts, stored)).await?;
                    return Box::pin(self.send_some(events, second, verdicts, stored)).await;
                }
                status => {
                    let refusal: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
                    let detail = if refusal.detail.is_empty() {
                        String::from_utf8_lossy(&reply.body[..reply.body.len().min(200)]).into_owned()
                    } else {
                        refusal.detail
                    };
                    return Err(SendError::Refused(format!("{status} {detail}")));
                }
            }
        }
        Err(SendError::Unavailable)
    }
}

/// The reasons of a batch that was refused whole, by the index of the event; a field reads `[3].name`.
fn reasons(refusal: &Refusal) -> HashMap<usize, String> {
    let mut reasons: HashMap<usize, String> = HashMap::new();
    for error in &refusal.errors {
        let index = error.field.strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse().ok());
        let field = error.field.split_once("].").map_or("", |(_, field)| field);
        if let Some(index) = index {
            let reason = if field.is_empty() { error.detail.clone() } else { format!("`{field}`: {}", error.detail) };
            let all = reasons.entry(index).or_default();
            if !all.is_empty() {
                all.push_str("; ");
            }
            all.push_str(&reason);
        }
    }
    reasons
}
