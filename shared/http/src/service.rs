//! How handlers become a service: each behind the guard of its route, with one way to read paths and one log line per
//! request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, any, on};
use axum::{Router, middleware};
use http::header::LOCATION;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tally_service::config::Config;
use tally_service::context::Context;
use tally_service::metrics;
use tower::ServiceExt;

use crate::cors;
use crate::families::{FAMILY_PATHS, KEY_PREFIX};
use crate::gateway::ByFunctionUrl;
use crate::guard::{Guard, guard, guard_public, not_allowed};
use crate::path::{decoded, encoded, read_path};
use crate::problem::Problem;
use crate::request_log::finish_and_log;
use crate::routes::{self, Access, Function, ROUTES, Route};

/// The context, in a handler's signature.
pub type Shared = State<Arc<Context>>;

/// Builds the router of one function.
pub struct Routes {
    function: Function,
    context: Arc<Context>,
    router: Router<Arc<Context>>,
    served: Vec<&'static Route>,
}

impl Routes {
    /// A router without routes.
    pub fn of(function: Function, context: Arc<Context>) -> Self {
        Self { function, context, router: Router::new(), served: vec![] }
    }

    /// Binds a handler to a route, behind the guard of the route.
    ///
    /// # Panics
    /// Where the table gives the route to another function.
    #[must_use]
    pub fn serve<H, T>(mut self, route: &'static Route, handler: H) -> Self
    where
        H: Handler<T, Arc<Context>>,
        T: 'static,
    {
        self.served.push(route);
        self.bind(route, route.path, false, handler)
    }

    /// Binds a handler to a route that takes no other credential than `Authorization: Bearer`: no cookie, no header or query
    /// parameter of Tally's own. A page that calls must be of this server, or of an origin that may read.
    ///
    /// # Panics
    /// Where the table gives the route to another function.
    #[must_use]
    pub fn serve_bearers<H, T>(mut self, route: &'static Route, handler: H) -> Self
    where
        H: Handler<T, Arc<Context>>,
        T: 'static,
    {
        self.served.push(route);
        self.bind(route, route.path, true, handler)
    }

    /// Binds a handler of a route to those of its paths that `other`, a route of another method, has a narrower pattern for. A
    /// router looks for the path before it looks at the method: where all functions are one service, it would find only
    /// `other` there. API Gateway looks at both together.
    ///
    /// # Panics
    /// Where the table gives the route to another function, or both routes have the same method.
    #[must_use]
    pub fn serve_beside<H, T>(self, other: &'static Route, route: &'static Route, handler: H) -> Self
    where
        H: Handler<T, Arc<Context>>,
        T: 'static,
    {
        assert_ne!(other.method, route.method, "{} would be served twice", other.path);
        self.bind(route, other.path, false, handler)
    }

    #[allow(clippy::panic)]
    fn bind<H, T>(mut self, route: &'static Route, path: &'static str, bearers: bool, handler: H) -> Self
    where
        H: Handler<T, Arc<Context>>,
        T: 'static,
    {
        let Route { method, function, access, .. } = route;
        assert_eq!(*function, self.function, "{method} {path} is the route of another function");
        let Ok(filter) = MethodFilter::try_from(method.clone()) else {
            panic!("{path}: axum does not route {method}");
        };
        let guarded = Guard { context: Arc::clone(&self.context), route, bearers };
        let handler = on(filter, handler).layer(middleware::from_fn_with_state(guarded, guard));
        let is_of_client = *function == Function::Ingest || *access == Access::Upload;
        if is_of_client && !path.contains("{*") {
            // Where events and files come in nothing is redirected: not every client follows, and a beacon may not.
            self.router = self.router.route(&format!("{path}/"), handler.clone());
        }
        self.router = self.router.route(path, handler);
        self
    }

    /// Binds one handler to all paths of client libraries, with every method but `OPTIONS`, which is answered here. No
    /// guard stands before it: a key may be anywhere in the request.
    ///
    /// # Panics
    /// In another function than the one that accepts events.
    #[must_use]
    pub fn serve_families<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, Arc<Context>>,
        T: 'static,
    {
        assert_eq!(self.function, Function::Ingest, "client libraries send events");
        let context = Arc::clone(&self.context);
        let handler = any(handler).layer(middleware::from_fn_with_state(context, answer_options));
        for known in FAMILY_PATHS {
            self.router = self.router.route(known.path, handler.clone());
            self.router = self.router.route(&format!("{KEY_PREFIX}{{key}}{}", known.path), handler.clone());
        }
        self
    }

    /// The router of the function, without what [`serve`] adds.
    ///
    /// # Panics
    /// Where a route of the function has no handler.
    pub fn finish(self) -> Router {
        all_served(self.function, &self.served);
        self.router.with_state(self.context)
    }
}

/// Builds the router of a function that reaches no table, whose routes are public. It needs no context, so such a function
/// links nothing of the store.
pub struct PublicRoutes {
    function: Function,
    config: Arc<Config>,
    router: Router,
    served: Vec<&'static Route>,
}

impl PublicRoutes {
    /// A router without routes.
    pub fn of(function: Function, config: Arc<Config>) -> Self {
        Self { function, config, router: Router::new(), served: vec![] }
    }

    /// Binds a handler to a route.
    ///
    /// # Panics
    /// Where the table gives the route to another function, or does not open it to everybody.
    #[must_use]
    #[allow(clippy::panic)]
    pub fn serve<H, T>(mut self, route: &'static Route, handler: H) -> Self
    where
        H: Handler<T, ()>,
        T: 'static,
    {
        let Route { method, path, function, access, .. } = route;
        assert_eq!(*function, self.function, "{method} {path} is the route of another function");
        assert_eq!(*access, Access::Public, "{method} {path} is not open to everybody");
        let Ok(filter) = MethodFilter::try_from(method.clone()) else {
            panic!("{path}: axum does not route {method}");
        };
        let state = (Arc::clone(&self.config), route);
        let handler = on(filter, handler).layer(middleware::from_fn_with_state(state, guard_public));
        self.router = self.router.route(path, handler);
        self.served.push(route);
        self
    }

    /// The router of the function, without what [`serve`] adds.
    ///
    /// # Panics
    /// Where a route of the function has no handler.
    pub fn finish(self) -> Router {
        all_served(self.function, &self.served);
        self.router
    }
}

fn all_served(function: Function, served: &[&'static Route]) {
    for route in ROUTES.iter().filter(|route| route.function == function) {
        assert!(served.contains(route), "nothing serves {} {}", route.method, route.path);
    }
}

/// Makes a service of the routers of one function, or of all of them: it reads paths, answers what no route matches, and
/// logs requests.
#[allow(clippy::needless_pass_by_value)] // as the routers take it
pub fn serve(context: Arc<Context>, routers: impl IntoIterator<Item = Router>) -> Router {
    serve_with(Arc::new(context.config.clone()), routers)
}

/// The same, for routers that need no context.
pub fn serve_with(config: Arc<Config>, routers: impl IntoIterator<Item = Router>) -> Router {
    let all = routers.into_iter().fold(Router::new(), Router::merge);
    let inner = all
        .method_not_allowed_fallback(no_route)
        .fallback(no_route)
        .with_state(())
        .layer(axum::Extension(config))
        .layer(middleware::from_fn(finish_and_log));
    // Paths must be read before they are routed, so the routes are inside.
    Router::new().fallback_service(inner.map_request(|request: Request| read_path(request)))
}

/// Answers `OPTIONS` on a path of client libraries, and lets pages read every reply.
async fn answer_options(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let asked = request.headers().clone();
    let mut reply = match *request.method() {
        Method::OPTIONS => cors::library_options(&decoded(request.uri().path()), &asked),
        _ => next.run(request).await,
    };
    cors::permit_library(&context.config, &asked, reply.headers_mut());
    reply
}

/// Answers what no route matches: preflights, 405, 308 to the path without its trailing slash, 404.
async fn no_route(axum::Extension(config): axum::Extension<Arc<Config>>, request: Request) -> Response {
    let path = decoded(request.uri().path());
    if cors::is_preflight(request.method(), request.headers()) {
        return cors::preflight(&config, &path, request.headers());
    }
    let mut reply = stray(&path, &request);
    cors::permit_stray(&config, &path, request.method(), request.headers(), reply.headers_mut());
    reply
}

fn stray(path: &str, request: &Request) -> Response {
    let plain = routes::without_slash(path);
    if request.extensions().get::<ByFunctionUrl>().is_some() {
        let text =
            "this address only accepts events: send other requests to the address of the API (`ApiUrl` of the stack)";
        return Problem::NotFound(text.to_owned()).into_response();
    }
    let mut routes = routes::at(plain).peekable();
    if routes.peek().is_some() && (plain == path || !routes.any(|route| route.answers(request.method()))) {
        return not_allowed(plain).into_response();
    }
    if plain != path {
        let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
        let target = format!("{}{query}", encoded(plain));
        if let Ok(target) = HeaderValue::from_str(&target) {
            return (StatusCode::PERMANENT_REDIRECT, [(LOCATION, target)]).into_response();
        }
    }
    Problem::NotFound("no such path: GET /openapi.json describes the API".to_owned()).into_response()
}

/// The header with which a reverse proxy says which prefix it removed from the path. API Gateway removes nothing, so on
/// Lambda the header comes from the client and is ignored.
pub const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The address at which the caller reached us, as the beginning of an absolute URL, e.g. `https://tally.example`. It is only
/// the beginning of a path if the request does not say.
pub fn origin(headers: &HeaderMap, config: &Config) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = header("x-forwarded-proto").filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = scheme.unwrap_or(if config.secure_cookies { "https" } else { "http" });
    let host = header("host").filter(|host| host.parse::<Authority>().is_ok());
    let prefix = header(FORWARDED_PREFIX.as_str()).filter(|_| !metrics::on_lambda()).unwrap_or_default();
    host.map_or_else(|| prefix.to_owned(), |host| format!("{scheme}://{host}{prefix}"))
}
