//! Who calls, and whether they may: the one place that reads credentials.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, OptionalFromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, Uri};
use tally_core::app::key::{KeyId, PresentedKey, Scope};
use tally_core::app::role::Role;
use tally_core::app::{App, AppSlug};
use tally_service::config::Origins;
use tally_service::context::Context;
use tally_store::Deadline;

use crate::cors;
use crate::problem::Problem;
use crate::routes::{Access, Route};

/// The cookie that carries an access token.
pub const COOKIE_NAME: &str = "token";

/// Whoever calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular, on a public route.
    Anybody,
    /// A key of the app that the route is about.
    Key(KeyId),
    /// A signed-in user.
    User {
        /// Their name.
        name: String,
        /// What they may do.
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

/// A caller in the extensions of a reply.
#[derive(Clone)]
pub(super) struct CallerName(pub(super) String);

/// The app that a route is about, in a handler's signature.
pub struct Target(pub Arc<App>);

impl<S: Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let app = parts.extensions.get::<Arc<App>>().cloned();
        app.map(Self)
            .ok_or_else(|| Problem::Internal("a handler asked for the app of a route that is about none".to_owned()))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Target {
    type Rejection = Problem;

    /// None on a route that may be called about an app that is not there, where it is not.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(parts.extensions.get::<Arc<App>>().cloned().map(Self))
    }
}

/// What letting the caller in has left of the time for an answer, in a handler's signature. A body may take longer to
/// come, so the time goes on only where a handler has read it.
#[derive(Clone, Copy)]
pub struct TimeLeft(Duration);

impl TimeLeft {
    /// The deadline of the answer, whose time goes on from now.
    pub fn deadline(self) -> Deadline {
        Deadline::after(self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for TimeLeft {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let left = parts.extensions.get::<Self>().copied();
        left.ok_or_else(|| Problem::Internal("a handler is reached past its guard".to_owned()))
    }
}

/// What the guard of one route needs.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) context: Arc<Context>,
    pub(super) route: &'static Route,
}

/// Lets a request through to its handler if its caller may call it.
pub(super) async fn guard(
    State(guard): State<Guard>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let Guard { context, route } = guard;
    let asked = request.headers().clone();
    let (mut slug, mut who) = (None, None);
    let reply = async {
        if request.method() != route.method {
            // axum lets GET answer HEAD; in the cloud HEAD goes to `$default`.
            return Err(not_allowed(request.uri().path()));
        }
        let param = |wanted| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let app = param("app").map(str::to_owned);
        let deadline = context.store.deadline();
        let (caller, app) = if let Some(key) = param("key") {
            deadline.hold(by_key_in_path(&context, route.access, key)).await?
        } else {
            let asks = authorize(&context, route, app, &asked, request.uri());
            deadline.hold(asks).await?
        };
        who = Some(CallerName(caller.to_string()));
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(TimeLeft(deadline.left()));
        if let Some(app) = app {
            slug = Some(app.slug.clone());
            request.extensions_mut().insert(app);
        }
        Ok(next.run(request).await)
    };
    let mut reply = reply.await.unwrap_or_else(axum::response::IntoResponse::into_response);
    cors::permit(&context.config, route.access, &asked, reply.headers_mut());
    // For the log.
    if let Some(slug) = slug {
        reply.extensions_mut().insert(slug);
    }
    if let Some(who) = who {
        reply.extensions_mut().insert(who);
    }
    reply
}

/// The 405 of a path, with the methods that it has.
pub(super) fn not_allowed(path: &str) -> Problem {
    let mut methods: Vec<_> = super::routes::at(path).map(|route| route.method.as_str()).collect();
    methods.sort_unstable();
    Problem::MethodNotAllowed(methods.join(", "))
}

/// Who decided to send a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Whoever made the request.
    ByTheCaller,
    /// The browser, with whatever page's request: a cookie.
    ByTheBrowser,
}

enum Credential {
    Key(PresentedKey),
    Token(String),
}

async fn authorize(
    context: &Context,
    route: &Route,
    app: Option<String>,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<(Caller, Option<Arc<App>>), Problem> {
    let access = route.access;
    if access == Access::Public {
        return Ok((Caller::Anybody, None));
    }
    let Some((credential, sent)) = credential(headers, uri) else {
        return Err(Problem::Unauthorized(match access {
            Access::Ingest => "no credentials: send the app's ingest key as `X-Ingest-Key`".to_owned(),
            Access::Read => {
                "no credentials: send a read key as `X-Read-Key`, or an access token as `Authorization: Bearer`"
                    .to_owned()
            }
            _ => "no credentials: sign in with POST /auth and send the token as `Authorization: Bearer`".to_owned(),
        }));
    };
    if sent == Sent::ByTheBrowser && !route.method.is_safe() && !is_of_our_pages(context, headers) {
        return Err(Problem::Forbidden(
            "a page of another origin sent the cookie: send the token as `Authorization: Bearer`".to_owned(),
        ));
    }
    // A name that cannot be an app's is the name of none.
    let slug = app.and_then(|name| AppSlug::of_name(&name).ok());
    match credential {
        Credential::Key(key) => by_key(context, access, slug, &key).await,
        Credential::Token(token) => {
            let claims = context.tokens.verify(&token, &context.store, context.clock.now()).await?;
            if matches!(access, Access::Ingest | Access::Admins | Access::AppAdmins) && claims.role != Role::Admin {
                return Err(Problem::Forbidden("this takes the role `admin`".to_owned()));
            }
            let app = match access {
                Access::Ingest | Access::Read | Access::AppAdmins => {
                    let app = in_use(context, slug).await?;
                    if app.is_none() && !route.absent_app {
                        return Err(Problem::NotFound("there is no such app: GET /apps lists them".to_owned()));
                    }
                    app
                }
                Access::Public | Access::Users | Access::Admins => None,
            };
            let caller = Caller::User { name: claims.sub, role: claims.role };
            Ok((caller, app))
        }
    }
}

/// Whether a request that a browser sent comes from a page of ours, or of an origin that may read.
fn is_of_our_pages(context: &Context, headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = header("origin");
    if let (Some(origin), Origins::Only(list)) = (origin, &context.config.read_origins)
        && list.iter().any(|allowed| allowed == origin)
    {
        return true;
    }
    match header("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        // An older browser, or none at all.
        None => origin.is_none_or(|origin| origin.split_once("://").map(|(_, host)| host) == header("host")),
    }
}

async fn in_use(context: &Context, slug: Option<AppSlug>) -> Result<Option<Arc<App>>, Problem> {
    match slug {
        Some(slug) => Ok(context.apps.get(&slug).await?),
        None => Ok(None),
    }
}

/// A caller whose key stands in the path, which says no app: the one that the key is of.
async fn by_key_in_path(context: &Context, access: Access, key: &str) -> Result<(Caller, Option<Arc<App>>), Problem> {
    let Some(key) = PresentedKey::parse(key) else { return Err(unknown_key()) };
    let slug = context.keys.app_of(&key.id).await?;
    by_key(context, access, slug, &key).await
}

fn unknown_key() -> Problem {
    Problem::Unauthorized("this key is not known, or was revoked".to_owned())
}

async fn by_key(
    context: &Context,
    access: Access,
    slug: Option<AppSlug>,
    key: &PresentedKey,
) -> Result<(Caller, Option<Arc<App>>), Problem> {
    let scope = match access {
        Access::Ingest => Scope::Ingest,
        Access::Read => Scope::Read,
        Access::Public | Access::Users | Access::Admins | Access::AppAdmins => {
            return Err(Problem::Forbidden("this takes a signed-in user: a key does not do".to_owned()));
        }
    };
    let has = |app: &Arc<App>| app.keys.iter().any(|known| known.id == key.id);
    let remembered = match &slug {
        Some(slug) => context.apps.get(slug).await?.filter(has),
        None => None,
    };
    let app = match remembered {
        Some(app) => Some(app),
        // Of another app, or newer than what is remembered. Any other text finds no app, and costs one read.
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
    if slug.as_ref() != Some(&app.slug) {
        return Err(Problem::Forbidden("this key is of another app".to_owned()));
    }
    if !known.scopes.contains(&scope) {
        return Err(Problem::Forbidden(match scope {
            Scope::Ingest => "this key has not the scope `ingest`".to_owned(),
            Scope::Read => "this key has not the scope `read`".to_owned(),
        }));
    }
    Ok((Caller::Key(key.id.clone()), Some(app)))
}

/// The credential of a request: a header beats the query, the query beats the cookie.
fn credential(headers: &HeaderMap, uri: &Uri) -> Option<(Credential, Sent)> {
    let header = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let (text, sent) = ["x-ingest-key", "x-read-key", "x-access-token"]
        .into_iter()
        .find_map(header)
        .or_else(|| headers.get(AUTHORIZATION)?.to_str().ok().and_then(authorization))
        .or_else(|| crate::parameters::credential(uri.query()).map(|(_, value)| value))
        .map(|text| (text, Sent::ByTheCaller))
        .or_else(|| {
            let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
            let mut cookies = cookies.flat_map(|value| cookie::Cookie::split_parse(value).flatten());
            let token = cookies.find(|cookie| cookie.name() == COOKIE_NAME)?;
            Some((token.value().to_owned(), Sent::ByTheBrowser))
        })?;
    let credential = match PresentedKey::parse(&text) {
        Some(key) => Credential::Key(key),
        None => Credential::Token(text),
    };
    Some((credential, sent))
}

/// What `Authorization` carries: a bearer's token or key, or a key as the user name of HTTP Basic.
fn authorization(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (user, _) = decoded.split_once(':')?;
        return (!user.is_empty()).then(|| user.to_owned());
    }
    None
}
