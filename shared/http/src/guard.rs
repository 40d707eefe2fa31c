//! Lets a request through to its handler if its caller may call the route.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, OptionalFromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ORIGIN, REFERER};
use http::request::Parts;
use http::{HeaderMap, Uri};
use tally_core::app::key::{KeyId, PresentedKey, Scope};
use tally_core::app::role::Role;
use tally_core::app::{App, AppSlug};
use tally_core::event::filter::EventFilter;
use tally_core::invalid::Invalid;
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;
use tally_service::auth::token::Claims;
use tally_service::config::{Config, Origins};
use tally_service::context::Context;
use tally_store::{Deadline, Store};

use crate::cors;
use crate::credentials::{Credential, Sender, SignedLink, bearer, credential, sent_twice, signed_link};
use crate::gateway::CutPath;
use crate::limits::{Limits, Restriction};
use crate::parameters::{FromQuery, Params, Sent};
use crate::path::NotUtf8;
use crate::problem::Problem;
use crate::routes::{self, Access, Route};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Anybody, on a public route.
    Anybody,
    /// A key of the app that the route concerns.
    Key(KeyId),
    /// A signed-in user.
    User {
        /// The user name.
        name: String,
        /// The role, which decides what the user may do.
        role: Role,
    },
}

impl fmt::Display for Caller {
    /// `key 0123456789ab`, `user ann`, or nothing: for the log, which never holds a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => Ok(()),
            Self::Key(id) => write!(f, "key {}", id.as_str()),
            Self::User { name, .. } => write!(f, "user {name}"),
        }
    }
}

/// The session of a user's token, in a handler's signature. Only routes for users have one.
#[derive(Clone)]
pub struct Session {
    /// What the token says.
    pub claims: Claims,
    /// Whether the token came in a header, so that the caller can read it.
    pub in_header: bool,
    /// Whether the reply may set a new cookie: the token came as the cookie or in a header, and if a browser sent it, from
    /// a page that may change things.
    pub may_renew: bool,
}

impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Problem;

    /// None where a key calls.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let session = parts.extensions.get::<Self>().cloned();
        session.ok_or_else(|| Problem::Internal("the handler asks for a session, but keys may call it".to_owned()))
    }
}

/// Who was let in, and to what.
struct Admitted {
    caller: Caller,
    app: Option<Arc<App>>,
    session: Option<Session>,
    /// What the key may not read; none of a user.
    limits: Option<Arc<Limits>>,
}

/// The caller, in the extensions of a reply: for the request log.
#[derive(Clone)]
pub(crate) struct CallerName(pub(crate) String);

/// The app that a route concerns, in a handler's signature.
pub struct Target(pub Arc<App>);

impl<S: Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let app = parts.extensions.get::<Arc<App>>().cloned();
        app.map(Self)
            .ok_or_else(|| Problem::Internal("the handler asks for an app, but the route concerns none".to_owned()))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Target {
    type Rejection = Problem;

    /// None on a route whose app may be absent, where it is.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(parts.extensions.get::<Arc<App>>().cloned().map(Self))
    }
}

/// What the deadline grows by for each KB of events: half a second for a MB.
const PER_KILOBYTE: Duration = Duration::from_micros(500);

/// The time for an answer that is left after the credentials were checked, in a handler's signature. A body may take
/// longer to arrive, so the clock runs again only once a handler has read it.
#[derive(Clone, Copy)]
pub struct TimeLeft(Duration);

impl TimeLeft {
    /// All the time that an answer may take.
    pub fn all(store: &Store) -> Self {
        Self(store.deadline().left())
    }

    /// The deadline of the answer; the clock runs from now.
    pub fn deadline(self) -> Deadline {
        Deadline::after(self.0)
    }

    /// The deadline of an answer that sends so many bytes to the store. Each takes its time on the small share of a
    /// processor that a function has, however quickly the store answers.
    pub fn deadline_for(self, bytes: usize) -> Deadline {
        Deadline::after(self.0 + PER_KILOBYTE * u32::try_from(bytes / 1024).unwrap_or(u32::MAX))
    }
}

impl<S: Sync> FromRequestParts<S> for TimeLeft {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let left = parts.extensions.get::<Self>().copied();
        left.ok_or_else(|| Problem::Internal("the handler was called without its guard".to_owned()))
    }
}

/// The state of the guard of one route.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) context: Arc<Context>,
    pub(crate) route: &'static Route,
    /// Whether `Authorization: Bearer` is the only credential.
    pub(crate) bearers: bool,
}

/// The guard, as a middleware.
pub(crate) async fn guard(
    State(guard): State<Guard>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let Guard { context, route, bearers } = guard;
    let asked = request.headers().clone();
    let (mut slug, mut who) = (None, None);
    let reply = async {
        well_sent(route, &request)?;
        let param = |wanted| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let app = param("app").map(str::to_owned);
        let deadline = context.store.deadline();
        let Admitted { caller, app, session, limits } = if let Some(key) = param("key") {
            deadline.hold(by_key_in_path(&context, route, key, &asked)).await?
        } else if bearers {
            let asks = authorize_bearer(&context, route, app, &asked);
            deadline.hold(asks).await?
        } else {
            let asks = authorize(&context, route, app, &asked, request.uri());
            deadline.hold(asks).await?
        };
        who = Some(CallerName(caller.to_string()));
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(TimeLeft(deadline.left()));
        if let Some(session) = session {
            request.extensions_mut().insert(session);
        }
        if let Some(limits) = &limits {
            request.extensions_mut().insert(Arc::clone(limits));
        }
        if let Some(app) = app {
            slug = Some(app.slug.clone());
            request.extensions_mut().insert(app);
        }
        let reply = next.run(request).await;
        if limits.is_some_and(|limits| limits.was_forgotten()) && reply.status().is_success() {
            return Err(Problem::Internal(format!("{}: the handler does not apply the filter of a key", route.path)));
        }
        Ok::<_, Problem>(reply)
    };
    let mut reply = reply.await.unwrap_or_else(IntoResponse::into_response);
    cors::permit(&context.config, route.access, &asked, reply.headers_mut());
    // For the request log.
    if let Some(slug) = slug {
        reply.extensions_mut().insert(slug);
    }
    if let Some(who) = who {
        reply.extensions_mut().insert(who);
    }
    reply
}

/// The guard of a public route in a function that reaches no table, as a middleware.
pub(crate) async fn guard_public(
    State((config, route)): State<(Arc<Config>, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let asked = request.headers().clone();
    let mut reply = match well_sent(route, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    cors::permit(&config, route.access, &asked, reply.headers_mut());
    reply
}

/// Whether the method and the path of a request are those of its route, as the client meant them.
fn well_sent(route: &Route, request: &Request) -> Result<(), Problem> {
    if !route.answers(request.method()) {
        return Err(not_allowed(request.uri().path()));
    }
    if request.extensions().get::<NotUtf8>().is_some() {
        return Err(Problem::field("path", "not UTF-8: percent-encode its bytes in UTF-8"));
    }
    if request.extensions().get::<CutPath>().is_some() {
        return Err(Problem::field("path", "it was cut at a `?` on its way: send the name in the query, as `name=`"));
    }
    Ok(())
}

/// The 405 of a path, with the methods that it allows.
pub(crate) fn not_allowed(path: &str) -> Problem {
    Problem::MethodNotAllowed(routes::methods_at(path).join(", "))
}

/// Lets in by `Authorization: Bearer` alone, and no page of an origin that may not read: that header is nothing a browser adds by itself,
/// but a name that leads to this machine may stand for a page's server.
async fn authorize_bearer(
    context: &Context,
    route: &Route,
    app: Option<String>,
    headers: &HeaderMap,
) -> Result<Admitted, Problem> {
    if !is_of_known_origin(&context.config, headers) {
        return Err(Problem::Forbidden(
            "pages of this origin may not ask here: the setting TALLY_READ_ORIGINS lists those that may".to_owned(),
        ));
    }
    let bearer = bearer(headers);
    if bearer.is_empty() {
        return Err(Problem::Unauthorized(
            "no credentials: send a read key, or an access token, as `Authorization: Bearer`; no cookie, other header or query \
             counts here"
                .to_owned(),
        ));
    }
    authorize(context, route, app, &bearer, &Uri::from_static("/")).await
}

/// Whether a request names no origin, that of this server, or one that may read.
fn is_of_known_origin(config: &Config, headers: &HeaderMap) -> bool {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    headers.get_all(ORIGIN).iter().all(|origin| {
        let Ok(origin) = origin.to_str() else { return false };
        let is_listed = matches!(&config.read_origins, Origins::Only(list) if list.iter().any(|known| known == origin));
        let is_own = || origin.split_once("://").zip(host).is_some_and(|((_, of), host)| of.eq_ignore_ascii_case(host));
        is_listed || is_own()
    })
}

async fn authorize(
    context: &Context,
    route: &Route,
    app: Option<String>,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Admitted, Problem> {
    let access = route.access;
    if access == Access::Public {
        return Ok(Admitted { caller: Caller::Anybody, app: None, session: None, limits: None });
    }
    if let Some(name) = sent_twice(headers, uri.query()) {
        return Err(Problem::field(&name, "sent twice: send one credential, once"));
    }
    if route.enforces.contains(&Restriction::Chart)
        && let Some(link) = signed_link(uri.query())
    {
        if credential(headers, uri).is_some_and(|(_, sender)| sender != Sender::Browser) {
            return Err(Problem::field("signature", "sent with another credential: send one, once"));
        }
        return by_signature(context, app, link).await;
    }
    let Some((credential, sender)) = credential(headers, uri) else {
        return Err(Problem::Unauthorized(match access {
            Access::Ingest => "no credentials: send the app's ingest key as `X-Ingest-Key`".to_owned(),
            Access::Upload => {
                "no credentials: send a key with the scope `upload` as `Authorization: Bearer` (SENTRY_AUTH_TOKEN)"
                    .to_owned()
            }
            Access::Read | Access::Known => {
                "no credentials: send a read key as `X-Read-Key`, or an access token as `Authorization: Bearer`"
                    .to_owned()
            }
            _ => "no credentials: sign in with POST /auth and send the token as `Authorization: Bearer`".to_owned(),
        }));
    };
    let may_change = sender != Sender::Browser || is_from_allowed_page(context, headers);
    if !may_change && !route.method.is_safe() {
        return Err(Problem::Forbidden(
            "a page of another origin sent the cookie: send the token as `Authorization: Bearer`".to_owned(),
        ));
    }
    // A name that no app can have names no app.
    let slug = app.and_then(|name| AppSlug::of_name(&name).ok());
    match credential {
        Credential::Key(key) => by_key(context, (access, route.enforces), slug, &key, (headers, EVENTS)).await,
        Credential::Token(text) if sender != Sender::Browser && !is_like_a_token(&text) => {
            Err(Problem::Unauthorized(neither(&text, access)))
        }
        Credential::Token(token) => {
            let claims = context.tokens.verify(&token, &context.store, context.clock.now()).await?;
            if matches!(access, Access::Ingest | Access::Upload | Access::Admins | Access::AppAdmins)
                && claims.role != Role::Admin
            {
                return Err(Problem::Forbidden("this needs the role `admin`".to_owned()));
            }
            let app = match access {
                Access::Ingest | Access::Read | Access::AppUsers | Access::AppAdmins => {
                    let app = in_use(context, slug).await?;
                    if app.is_none() && !route.app_may_be_absent {
                        return Err(Problem::NotFound("no such app: GET /apps lists the apps".to_owned()));
                    }
                    app
                }
                Access::Public | Access::Upload | Access::Known | Access::Users | Access::Admins => None,
            };
            let caller = Caller::User { name: claims.sub.clone(), role: claims.role };
            let in_header = sender == Sender::Header;
            let may_renew = may_change && sender != Sender::Query;
            Ok(Admitted { caller, app, session: Some(Session { claims, in_header, may_renew }), limits: None })
        }
    }
}

/// Whether a text has the form of an access token: a JWT of three parts.
fn is_like_a_token(text: &str) -> bool {
    text.split('.').count() == 3
}

/// What to say of a text that is neither a key nor a token. It is not repeated: it may be most of a secret.
fn neither(text: &str, access: Access) -> String {
    if text.starts_with(tally_core::app::key::PREFIX) {
        return "this is not a whole key, or it has more than a key: send it as it was shown when it was made"
            .to_owned();
    }
    match access {
        Access::Ingest | Access::Read | Access::Upload | Access::Known => {
            "this is not a key: keys begin with `tly_`; nor is it an access token, as POST /auth gives it".to_owned()
        }
        _ => "this is not an access token: sign in with POST /auth".to_owned(),
    }
}

/// Whether a request with a cookie comes from a page of this server, or of an origin that may read.
fn is_from_allowed_page(context: &Context, headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = header("origin");
    // `null` stands for any sandboxed page, and nothing is known to be of this server without its name.
    let Some(host) = header("host").filter(|host| !host.is_empty() && origin != Some("null")) else {
        return false;
    };
    if let (Some(origin), Origins::Only(list)) = (origin, &context.config.read_origins)
        && list.iter().any(|allowed| allowed == origin)
    {
        return true;
    }
    match header("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        // An older browser, or none at all.
        None => origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, of)| of == host)),
    }
}

/// Whether the reply may set or remove the cookie, in a handler's signature: for a page of this server or of an origin that
/// may read, and for who is no page. Else any page could sign its visitor in as somebody else, or out.
#[derive(Clone, Copy, Debug)]
pub struct OwnPage(pub bool);

impl FromRequestParts<Arc<Context>> for OwnPage {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, Self::Rejection> {
        // Browsers name the page of every request that may change something.
        let is_of_page = parts.headers.contains_key(ORIGIN) || parts.headers.contains_key("sec-fetch-site");
        Ok(Self(!is_of_page || is_from_allowed_page(context, &parts.headers)))
    }
}

async fn in_use(context: &Context, slug: Option<AppSlug>) -> Result<Option<Arc<App>>, Problem> {
    match slug {
        Some(slug) => Ok(context.apps.get(&slug).await?),
        None => Ok(None),
    }
}

/// The caller by the key in the path, and the app of that key.
async fn by_key_in_path(context: &Context, route: &Route, key: &str, headers: &HeaderMap) -> Result<Admitted, Problem> {
    let Some(key) = PresentedKey::parse(key) else { return Err(unknown_key()) };
    let slug = context.keys.app_of(&key.id).await?;
    by_key(context, (route.access, route.enforces), slug, &key, (headers, EVENTS)).await
}

/// The app of an ingest key, and the key in it: for requests whose key stands where the guard does not look. `source` is
/// what they come through.
///
/// # Errors
/// 401 for a key that is unknown or revoked, 403 for one that may not send, or not from the page that the headers name.
pub async fn sender(
    context: &Context,
    key: &PresentedKey,
    headers: &HeaderMap,
    source: &'static str,
) -> Result<(Arc<App>, KeyId), Problem> {
    let slug = context.keys.app_of(&key.id).await?;
    match by_key(context, (Access::Ingest, &[]), slug, key, (headers, source)).await? {
        Admitted { caller: Caller::Key(id), app: Some(app), .. } => Ok((app, id)),
        _ => Err(Problem::Internal("a key has neither an app nor an id".to_owned())),
    }
}

/// Names the app and the key of a request in its log line, where no guard has done so.
pub fn name_in_log(reply: &mut Response, app: &App, key: &KeyId) {
    reply.extensions_mut().insert(app.slug.clone());
    reply.extensions_mut().insert(CallerName(Caller::Key(key.clone()).to_string()));
}

fn unknown_key() -> Problem {
    Problem::Unauthorized("this key is unknown or revoked".to_owned())
}

/// Lets a signed link see its chart.
async fn by_signature(context: &Context, app: Option<String>, link: SignedLink) -> Result<Admitted, Problem> {
    let invalid = || {
        Problem::Unauthorized(
            "the signature of this link is not valid: it was changed or cut, or its app is another one; send a read key instead"
                .to_owned(),
        )
    };
    let app = in_use(context, app.and_then(|name| AppSlug::of_name(&name).ok())).await?.ok_or_else(invalid)?;
    let key = context.link_key.get(&context.store).await?.ok_or_else(invalid)?;
    if !key.has_signed(&app.id, &link.query, link.until, &link.signature) {
        return Err(invalid());
    }
    if link.until <= context.clock.now().seconds() {
        return Err(Problem::Unauthorized(
            "this signed link has expired: open the chart on the page, or send a read key".to_owned(),
        ));
    }
    let limits = Some(Arc::new(Limits::of_signed_link(link.query)));
    Ok(Admitted { caller: Caller::Anybody, app: Some(app), session: None, limits })
}

async fn by_key(
    context: &Context,
    (access, enforced): (Access, &[Restriction]),
    slug: Option<AppSlug>,
    key: &PresentedKey,
    (headers, source): (&HeaderMap, &'static str),
) -> Result<Admitted, Problem> {
    let scope = match access {
        Access::Ingest => Some(Scope::Ingest),
        Access::Read => Some(Scope::Read),
        Access::Upload => Some(Scope::Upload),
        Access::Known => None,
        Access::Public | Access::Users | Access::AppUsers | Access::Admins | Access::AppAdmins => {
            return Err(Problem::Forbidden("this needs a signed-in user: a key is not enough".to_owned()));
        }
    };
    let has = |app: &Arc<App>| app.keys.iter().any(|known| known.id == key.id);
    let cached = match &slug {
        Some(slug) => context.apps.get(slug).await?.filter(has),
        None => None,
    };
    let app = match cached {
        Some(app) => Some(app),
        // The key is of another app, or newer than the cached app. An unknown key finds no app and costs one read.
        None => match context.keys.app_of(&key.id).await? {
            Some(owner) => match context.apps.get(&owner).await?.filter(has) {
                Some(app) => Some(app),
                None => context.apps.get_uncached(&owner).await?,
            },
            None => None,
        },
    };
    let app = app.ok_or_else(unknown_key)?;
    let Some(known) = app.keys.iter().find(|known| known.id == key.id && key.is(known)) else {
        return Err(unknown_key());
    };
    if let Some(expired) = known.expires_at.filter(|at| *at <= context.clock.now()) {
        return Err(Problem::ExpiredKey(expired));
    }
    // A route for every key, or for uploads, names no app.
    let names_app = !matches!(access, Access::Known | Access::Upload);
    if slug.as_ref() != Some(&app.slug) && names_app {
        return Err(Problem::Forbidden("this key belongs to another app".to_owned()));
    }
    if let Some(scope) = scope
        && !known.scopes.contains(&scope)
    {
        return Err(Problem::Forbidden(match scope {
            Scope::Ingest => "this key lacks the scope `ingest`".to_owned(),
            Scope::Read => "this key lacks the scope `read`".to_owned(),
            Scope::Upload => "this key lacks the scope `upload`: make one with that scope alone".to_owned(),
        }));
    }
    if scope == Some(Scope::Ingest)
        && let Some(origin) = origin_of_page(headers)
        && !known.limits.origins.is_empty()
        && !known.limits.origins.contains(&origin)
    {
        let refusal = Refusal::new(
            Reason::OriginNotAllowed,
            "pages of this origin may not send with this key: make a key with the origin in `origins`",
        );
        // Written by `ingest`, the only function whose routes need this scope: no other links the write.
        context.rejections.add(&app.id, source, &refusal, 1, context.clock.now(), || origin.clone());
        return Err(Problem::Forbidden(refusal.detail));
    }
    let limits = if known.reads.is_none() {
        None
    } else {
        let filter = stored_filter(&known.reads.filter);
        let filter = filter.map_err(|e| Problem::Internal(format!("the filter of key {}: {e}", key.id.as_str())))?;
        let limits = Limits::of(&known.reads, filter);
        limits.admit(enforced)?;
        Some(Arc::new(limits))
    };
    Ok(Admitted { caller: Caller::Key(key.id.clone()), app: Some(app), session: None, limits })
}

/// The filter of a key, from the parameters that are stored with it.
///
/// # Errors
/// Names each wrong parameter.
pub fn stored_filter(params: &BTreeMap<String, Vec<String>>) -> Result<EventFilter, Invalid> {
    let sent = |values: &Vec<String>| match values.as_slice() {
        [one] => Sent::Once(one.clone()),
        several => Sent::Often(several.to_vec()),
    };
    let mut params = Params::of(params.iter().map(|(name, values)| (name.clone(), sent(values))).collect());
    let filter = EventFilter::read(&mut params, Timestamp::EPOCH);
    params.finish()?;
    filter.ok_or_else(|| Invalid::field("", "not a filter"))
}

/// The origin of the page that sent a request: none where no browser did. A picture has no `Origin`, only a `Referer`.
fn origin_of_page(headers: &HeaderMap) -> Option<String> {
    let header = |name: http::HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if let Some(origin) = header(ORIGIN) {
        return Some(origin.into_owned());
    }
    let referer = header(REFERER)?;
    let (scheme, rest) = referer.split_once("://")?;
    Some(format!("{scheme}://{}", rest.split('/').next().unwrap_or_default()))
}

/// What the requests behind a guard come through, in rejected events.
const EVENTS: &str = "events";

/// Who calls, in a handler's signature.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::Internal("the handler was called without its guard".to_owned()))
    }
}
