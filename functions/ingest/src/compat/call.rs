//! A request of a client library, and what a family may do with it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method};
use tally_core::app::App;
use tally_core::app::key::{KeyId, PresentedKey};
use tally_core::event::draft::Draft;
use tally_core::event::id::EventId;
use tally_core::rejected::{MAX_SAMPLE, Reason, Refusal};
use tally_core::time::Timestamp;
use tally_http::body::read;
use tally_http::credentials::ingest_keys;
use tally_http::families::Family;
use tally_http::guard::TimeLeft;
use tally_http::problem::Problem;
use tally_http::source::{Claimed, Source};
use tally_http::{Figures, families, guard};
use tally_service::context::Context;
use tally_service::ingest::accept::Intake;
use tally_service::ingest::rejection::Rejection;
use tally_store::{Deadline, StoreError};

use crate::accept::intake;
use crate::body::{unpack, unpack_stated};
use crate::compat::records::{self, Made, Records};

/// Most bytes of a request as it is sent: what a Lambda function can be called with.
pub const MAX_SENT: usize = 6 * 1024 * 1024;

/// A request of a client library.
pub struct Call {
    /// The method; never `OPTIONS`.
    pub method: Method,
    /// The path as the library means it: decoded, without `/k/{key}` in front and without a slash at its end.
    pub path: String,
    /// The query parameters, in the order sent; any may be there, and more than once.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed by its `Content-Encoding` or, without one, by its first bytes. At most 16 MiB.
    pub body: Bytes,
    pub(super) family: Family,
    pub(super) context: Arc<Context>,
    /// The server's time, for all that the request brings.
    now: Timestamp,
    /// Where the visitor is, by what servers in front say, else by the connection. It is never stored or logged.
    pub(super) address: Option<IpAddr>,
    raw_query: Option<String>,
    key: Option<String>,
    deadline: Deadline,
    log: Mutex<Log>,
}

/// What the log line of the request says.
#[derive(Default)]
struct Log {
    sender: Option<Sender>,
    figures: Figures,
}

/// Who sends: a key that may send to its app.
#[derive(Clone)]
pub struct Sender {
    /// The app.
    pub app: Arc<App>,
    /// The key.
    pub key: KeyId,
}

/// What became of one record of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It is stored under this id.
    Stored(EventId),
    /// It is bad for good, and is one of the app's rejected events now.
    Rejected(Refusal),
    /// It could not be stored; the same record may be sent again.
    Failed(StoreError),
}

/// What became of the records of a request, in the order given.
#[derive(Debug)]
pub struct Stored(pub Vec<Verdict>);

impl Stored {
    /// How many were stored and how many rejected, for protocols that take a request as a whole.
    ///
    /// # Errors
    /// 503 where one could not be stored: the library sends all again, and ids make those that are stored already count
    /// once.
    pub fn complete(&self) -> Result<(usize, usize), Problem> {
        let failed = self.0.iter().find_map(|verdict| match verdict {
            Verdict::Failed(error) => Some(error.clone()),
            _ => None,
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        let stored = self.0.iter().filter(|verdict| matches!(verdict, Verdict::Stored(_))).count();
        Ok((stored, self.0.len() - stored))
    }
}

impl Call {
    /// Reads a request whose decoded path is given. A body that cannot be had is empty, and the second value says why.
    pub(crate) async fn read(
        context: Arc<Context>,
        family: Family,
        path: &str,
        request: Request,
    ) -> (Self, Result<(), Problem>) {
        let (parts, body) = request.into_parts();
        let address = Claimed::of(&parts).0.or(Source::of(&parts.extensions).0);
        let (key, path) = families::split_key(path);
        let query = parts.uri.query().map(str::to_owned);
        let unpack = if family == Family::Loki { unpack_stated } else { unpack };
        let (body, problem) = match read(body, MAX_SENT).await.and_then(|sent| unpack(&parts.headers, sent)) {
            Ok(body) => (body, Ok(())),
            Err(problem) => (Bytes::new(), Err(problem)),
        };
        let call = Self {
            method: parts.method,
            path: path.to_owned(),
            query: form_urlencoded::parse(query.as_deref().unwrap_or("").as_bytes()).into_owned().collect(),
            headers: parts.headers,
            body,
            // The clock runs once the body is there.
            deadline: context.store.deadline(),
            now: context.clock.now(),
            address,
            family,
            context,
            raw_query: query,
            key: key.map(str::to_owned),
            log: Mutex::default(),
        };
        (call, problem)
    }

    /// The first value of a query parameter that is not empty.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(sent, value)| sent == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The address at which the library reached Tally, e.g. `https://tally.example`.
    pub fn origin(&self) -> String {
        tally_http::service::origin(&self.headers, &self.context.config)
    }

    /// The server's time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How long the store may take for what is asked before anything is stored.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Who sends. The key in the path (`/k/{key}`) comes first, then those in `own`, the places of the protocol in their
    /// order, then Tally's own places. A text that has not the form of a key is passed over.
    ///
    /// # Errors
    /// 401 without a key or for an unknown one, 403 for one that may not send, or not from the page that sent this.
    pub fn sender(&self, own: &[Option<&str>]) -> impl Future<Output = Result<Sender, Problem>> + Send + use<'_> {
        // Not held while the store is asked, so that a family may borrow them from anywhere.
        let mut texts = self.key.as_deref().into_iter().chain(own.iter().copied().flatten());
        let key = texts.find_map(PresentedKey::parse);
        let key = key.or_else(|| ingest_keys(&self.headers, self.raw_query.as_deref()).into_iter().next());
        async move {
            let Some(key) = key else {
                return Err(Problem::Unauthorized(
                    "no ingest key: use one of the app where the client library wants its key, token or DSN".to_owned(),
                ));
            };
            let sender = self.sender_by(&key).await?;
            self.log().sender = Some(sender.clone());
            Ok(sender)
        }
    }

    /// Who a key belongs to, for protocols that carry one with each record: compare the apps.
    pub async fn sender_by(&self, key: &PresentedKey) -> Result<Sender, Problem> {
        let (app, key) =
            self.deadline.hold(guard::sender(&self.context, key, &self.headers, self.family.name())).await?;
        Ok(Sender { app, key })
    }

    /// Stores drafts as [`Call::store_each`] does, for protocols that bring few at once. `sample` is what to show of the one
    /// at a position.
    ///
    /// # Errors
    /// Those of [`Call::store_each`].
    pub async fn store(
        &self,
        sender: &Sender,
        drafts: Vec<Result<Draft, Refusal>>,
        sample: &(dyn Fn(usize) -> String + Sync),
    ) -> Result<Stored, Problem> {
        self.store_each(sender, &Made { drafts: &drafts, sample }).await
    }

    /// Stores records as native events are stored, however many. A record that is refused, here or by the family, becomes
    /// one of the app's rejected events.
    ///
    /// # Errors
    /// 413 where they are too many JSON values or bytes together, 429 where a quota has no room for all; then none is
    /// stored.
    pub async fn store_each(&self, sender: &Sender, records: &dyn Records) -> Result<Stored, Problem> {
        records::check(records)?;
        let records = records::Stored(records);
        // The clock runs again, now that the records are read.
        let deadline = |bytes| TimeLeft::all(&self.context.store).deadline_for(bytes);
        let verdicts = self.intake(sender).accept_each(&records, deadline).await?.into_iter();
        let verdicts = verdicts.map(|verdict| match verdict {
            Ok(id) => Verdict::Stored(id),
            Err(Rejection::Store(error)) => Verdict::Failed(error),
            Err(Rejection::Invalid(invalid)) => Verdict::Rejected(invalid.into()),
            Err(Rejection::Refused(refusal)) => Verdict::Rejected(refusal),
        });
        let stored = Stored(verdicts.collect());
        let accepted = stored.0.iter().filter(|verdict| matches!(verdict, Verdict::Stored(_))).count();
        let figures = &mut self.log().figures;
        figures.accepted += accepted;
        figures.stored += accepted;
        figures.rejected += stored.0.len() - accepted;
        Ok(stored)
    }

    /// Makes rejected events of what never became records, such as what the library says that it dropped. Of several with
    /// one reason, `refusal` and `sample` of the first within 10 seconds are shown.
    pub fn reject(&self, sender: &Sender, refusal: &Refusal, count: u64, sample: impl FnOnce() -> String) {
        self.intake(sender).reject(refusal, count, sample);
    }

    /// Makes rejected events of what a bot has sent. Its name is what is shown of them.
    pub(super) fn reject_bot(&self, sender: &Sender, count: usize, user_agent: &str) {
        let refusal = Refusal::new(Reason::Bot, "a bot by its `User-Agent`: nobody looked at the page");
        self.reject(sender, &refusal, count as u64, || user_agent.to_owned());
        self.log().figures.rejected += count;
    }

    /// Makes a rejected event of a request that is refused as a whole since it is too large: the library may drop it then.
    pub(super) fn note_refused(&self, problem: &Problem) {
        let sender = self.log().sender.clone();
        if let (Problem::TooLarge(detail), Some(sender)) = (problem, sender) {
            // Umami's may name the address of a visitor, which nothing keeps.
            let shown = if self.family == Family::Umami { &[][..] } else { &self.body };
            let start = shown.get(..MAX_SAMPLE).unwrap_or(shown);
            let refusal = Refusal::new(Reason::TooLarge, detail.clone());
            self.reject(&sender, &refusal, 1, || String::from_utf8_lossy(start).into_owned());
        }
    }

    fn intake<'a>(&'a self, sender: &'a Sender) -> Intake<'a> {
        Intake { now: self.now, ..intake(&self.context, &sender.app, Some(&sender.key), self.family.name()) }
    }

    /// Adds to a reply what the log line says.
    pub(crate) fn finish(self, reply: &mut Response) {
        let Log { sender, figures } = self.log.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(Sender { app, key }) = sender {
            guard::name_in_log(reply, &app, &key);
            reply.extensions_mut().insert(figures);
        }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
