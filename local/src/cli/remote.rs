//! The Tally that a command asks: a deployed one or the one of this machine over HTTP, or its functions in this process.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tally_core::app::role::Role;
use tally_core::time::DAY;
use tower::ServiceExt;

use super::error::CliError;
use super::place::{Credential, Origin, Place};
use super::profile::{Profiles, Session};
use super::text::harmless;
use crate::exchange::{HttpClient, Reply, client, exchange};
use crate::first_start::ADMIN;
use crate::server::{DATA, Missing, StartError, config, open, page, place_maps, service_with};

/// Attempts for a request that only reads.
const TRIES: u32 = 6;
/// The first wait between attempts. It doubles each time, unless the reply sets a wait.
const WAIT: Duration = Duration::from_millis(250);
/// Maximum bytes of a reply of a function in this process.
const MAX_REPLY: usize = 8 * 1024 * 1024;
/// Characters of a reply that is no problem document that are shown.
const SHOWN: usize = 200;
/// What a segment of a path may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The parameters of a query.
pub(super) type Query = Vec<(String, String)>;

/// A Tally to ask.
pub(crate) struct Tally {
    target: Target,
    /// The milliseconds that the server's clock is ahead of this one's, as its last reply told.
    ahead: Cell<i64>,
    answered: Cell<bool>,
}

enum Target {
    /// The functions themselves, over the data of this machine, with a token of its admin.
    Here { router: Router, token: String, folder: PathBuf },
    /// Over HTTP.
    There(Box<There>),
}

struct There {
    client: HttpClient,
    url: String,
    credential: RefCell<Credential>,
    origin: Origin,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    detail: String,
    /// What API Gateway itself says.
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Renewed {
    token: Option<String>,
    expires_at: Option<String>,
}

impl There {
    fn target(url: String, credential: Credential, origin: Origin) -> Result<Target, CliError> {
        let client = client().map_err(CliError::Certificates)?;
        Ok(Target::There(Box::new(Self { client, url, credential: credential.into(), origin })))
    }
}

/// A segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

impl Tally {
    /// The Tally at a place.
    pub(super) async fn at(place: Place) -> Result<Self, CliError> {
        let target = match place {
            Place::Remote { url, credential, origin } => There::target(url, credential, origin)?,
            Place::Local(folder) => here(folder.as_deref()).await?,
        };
        Ok(Self { target, ahead: Cell::new(0), answered: Cell::new(false) })
    }

    /// The Tally whose data is in a folder.
    pub(crate) async fn in_folder(folder: &Path) -> Result<Self, CliError> {
        Self::at(Place::Local(Some(folder.to_owned()))).await
    }

    /// Where it is, for people.
    pub(super) fn name(&self) -> String {
        match &self.target {
            Target::Here { folder, .. } => format!("the data in {}", folder.display()),
            Target::There(there) => there.url.clone(),
        }
    }

    /// Whether a server runs that counts what is sent.
    pub(super) fn is_served(&self) -> bool {
        matches!(self.target, Target::There(_))
    }

    /// Now, by the server's clock.
    pub(super) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(jiff::SignedDuration::from_millis(self.ahead.get())).unwrap_or(now)
    }

    /// Asks something. Waits and asks again where the server is busy.
    pub(super) async fn get(&self, path: &str, query: &[(String, String)]) -> Result<Reply, CliError> {
        self.renew_if_due().await;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let reply = self.send(Method::GET, path, query, None).await;
            let wait = match &reply {
                Ok(reply) if matches!(reply.status, 429 | 502..=504) => reply.retry_after(),
                // What never answered is a wrong URL; what did may come back.
                Err(CliError::Unreachable(..)) if self.answered.get() => None,
                _ => return self.checked(reply?, true),
            };
            if attempt == TRIES {
                return self.checked(reply?, true);
            }
            tokio::time::sleep(wait.unwrap_or(WAIT * 2u32.pow(attempt - 1))).await;
        }
    }

    /// The same, read as JSON.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> Result<T, CliError> {
        self.parsed(&self.get(path, query).await?)
    }

    /// Changes something, once.
    pub(crate) async fn change(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, CliError> {
        self.change_with(method, path, &[], body).await
    }

    /// The same with parameters.
    pub(super) async fn change_with(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
    ) -> Result<Reply, CliError> {
        self.renew_if_due().await;
        let reply = self.send(method, path, query, body.map(Value::to_string)).await?;
        self.checked(reply, false)
    }

    /// A reply as JSON.
    pub(crate) fn parsed<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, CliError> {
        serde_json::from_slice(&reply.body).map_err(|_| CliError::NoTally(self.name()))
    }

    fn checked(&self, reply: Reply, is_question: bool) -> Result<Reply, CliError> {
        if (200..300).contains(&reply.status) {
            return Ok(reply);
        }
        if let (401, Target::There(there)) = (reply.status, &self.target) {
            match (&*there.credential.borrow(), &there.origin) {
                (Credential::Session(_), Origin::Profile(name)) => return Err(CliError::SessionEnded(name.clone())),
                (Credential::None, _) if is_question => return Err(CliError::NoCredential),
                _ => {}
            }
        }
        let refusal: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = if refusal.detail.is_empty() { refusal.message } else { refusal.detail };
        let said = if said.is_empty() {
            let text = String::from_utf8_lossy(&reply.body);
            format!("the server answered {} {}", reply.status, text.chars().take(SHOWN).collect::<String>())
        } else {
            said
        };
        Err(CliError::Refused { status: reply.status, detail: harmless(said.trim()).into_owned() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        body: Option<String>,
    ) -> Result<Reply, CliError> {
        let mut address = path.to_owned();
        if !query.is_empty() {
            address.push('?');
            address.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish());
        }
        let mut request = Request::builder().method(method).header(ACCEPT, "*/*");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let reply = match &self.target {
            Target::Here { router, token, .. } => {
                let request = request.uri(address).header(AUTHORIZATION, format!("Bearer {token}"));
                // A router's error type has no values.
                let Ok(reply) = router.clone().oneshot(request.body(Body::from(body.unwrap_or_default()))?).await;
                let (head, body) = reply.into_parts();
                let body = Limited::new(body, MAX_REPLY).collect().await;
                let body = body.map_err(|error| CliError::Unreachable(self.name(), error.to_string()))?.to_bytes();
                Reply { status: head.status.as_u16(), headers: head.headers, body }
            }
            Target::There(there) => {
                let There { client, url, credential, .. } = &**there;
                if let Some(secret) = credential.borrow().secret() {
                    request = request.header(AUTHORIZATION, format!("Bearer {secret}"));
                }
                let request =
                    request.uri(format!("{url}{address}")).body(Full::new(Bytes::from(body.unwrap_or_default())))?;
                exchange(client, request).await.map_err(|why| CliError::Unreachable(url.clone(), why))?
            }
        };
        self.answered.set(true);
        let date = reply.headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(theirs) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            // A date has whole seconds: the middle of its second is the best guess.
            self.ahead.set(theirs.timestamp().as_millisecond() + 500 - Timestamp::now().as_millisecond());
        }
        Ok(reply)
    }

    /// Renews the session of a profile once it is half over, and keeps it. Where that fails the session is used until it ends.
    async fn renew_if_due(&self) {
        let Target::There(there) = &self.target else { return };
        let There { credential, origin: Origin::Profile(name), .. } = &**there else { return };
        let Credential::Session(session) = credential.borrow().clone() else { return };
        let now = Timestamp::now();
        if now < session.renew_at || now >= session.expires_at {
            return;
        }
        let Ok(reply) = self.send(Method::GET, "/auth", &[], None).await else { return };
        let Ok(renewed) = serde_json::from_slice::<Renewed>(&reply.body) else { return };
        let expires_at = renewed.expires_at.and_then(|at| at.parse().ok());
        let (Some(token), Some(expires_at)) = (renewed.token, expires_at) else { return };
        let session = Session::new(session.user, token, now, expires_at);
        if let Err(error) = keep(name, &session) {
            tracing::warn!(%error, "cannot keep the renewed session");
        }
        *credential.borrow_mut() = Credential::Session(session);
    }
}

fn keep(name: &str, session: &Session) -> Result<(), CliError> {
    let file = super::profile::file(|name| std::env::var(name).ok())?;
    let mut profiles = Profiles::read(&file)?;
    if let Some(profile) = profiles.profile.get_mut(name) {
        profile.session = Some(session.clone());
        profiles.write(&file)?;
    }
    Ok(())
}

/// The Tally of this machine: over HTTP where one runs that tells its address, else its functions in this process, which
/// also count what is not counted yet.
async fn here(named: Option<&Path>) -> Result<Target, CliError> {
    let local = |error: Box<dyn std::error::Error>| CliError::Local(error.to_string());
    let folder = named.unwrap_or(Path::new(DATA));
    let mut config = config().map_err(|e| local(e.into()))?;
    place_maps(Some(folder), &mut config);
    let (context, poller) = match open(named, Missing::Refuse, config).await {
        Err(StartError::NoData(folder, false)) => return Err(CliError::Nowhere(folder)),
        opened => opened.map_err(|e| local(e.into()))?,
    };
    let key = tally_service::auth::token::signing_key(&context.store).await.map_err(|e| local(e.into()))?;
    let (token, _) = key.sign(ADMIN, Role::Admin, context.clock.now(), 365 * DAY).map_err(|e| local(e.into()))?;
    let served_at = if poller.is_none() { page(folder) } else { None };
    if let Some(url) = served_at {
        return There::target(url, Credential::Key(token), Origin::Local);
    }
    if let Some(poller) = poller {
        tokio::spawn(poller.run(|_| {}));
    }
    let sender = alerts::sender().map_err(|e| local(e.into()))?;
    let router = service_with(&context, sender, web::router);
    Ok(Target::Here { router, token, folder: folder.to_owned() })
}
