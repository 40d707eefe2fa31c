//! How a function becomes a service: its routes behind their guards, one way of reading paths, one log line a request.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use lambda_http::RequestExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tally_core::app::AppSlug;
use tally_core::time::clock::Clock;
use tally_service::config::Config;
use tally_service::context::Context;
use tally_service::log;
use tally_service::metrics::{self, Metric};
use tally_store::Connection;
use tower::ServiceExt;

use crate::compat::Compat;
use crate::cors;
use crate::guard::{CallerName, Guard, guard, not_allowed};
use crate::problem::Problem;
use crate::routes::{self, Function, Route};

/// The routes of one function, being put together.
pub struct Routes {
    function: Function,
    context: Arc<Context>,
    router: Router<Arc<Context>>,
    served: Vec<&'static Route>,
}

impl Routes {
    /// None yet.
    pub fn of(function: Function, context: Arc<Context>) -> Self {
        Self { function, context, router: Router::new(), served: vec![] }
    }

    /// Serves a route.
    ///
    /// # Panics
    /// Where [`routes::ROUTES`] does not give the function that route: a route without a rule does not start.
    #[must_use]
    #[allow(clippy::panic)]
    pub fn on<H, T>(mut self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Context>>,
        T: 'static,
    {
        let Some(route) = Route::find(self.function, &method, path) else {
            panic!("{:?} may not serve {method} {path}: it is not in ROUTES", self.function);
        };
        let Ok(filter) = MethodFilter::try_from(method) else {
            panic!("{path}: routes are of the common methods");
        };
        let guarded = Guard { context: Arc::clone(&self.context), route };
        let handler = on(filter, handler).layer(middleware::from_fn_with_state(guarded, guard));
        self.router = self.router.route(path, handler);
        self.served.push(route);
        self
    }

    /// The router of the function, without what [`serve`] adds.
    ///
    /// # Panics
    /// Where a route of the function has no handler.
    pub fn finish(self) -> Router {
        for route in routes::ROUTES.iter().filter(|route| route.function == self.function) {
            assert!(self.served.contains(&route), "nothing serves {} {}", route.method, route.path);
        }
        self.router.with_state(self.context)
    }
}

/// Makes a service of the routers of one function, or of all of them: paths are read, strays answered, requests logged.
pub fn serve(context: Arc<Context>, routers: impl IntoIterator<Item = Router>) -> Router {
    let all = routers.into_iter().fold(Router::new(), Router::merge);
    let inner = all
        .method_not_allowed_fallback(stray)
        .fallback(stray)
        .with_state(())
        .layer(axum::Extension(context))
        .layer(middleware::from_fn(finish_and_log));
    // Paths must be read before they are routed, so the routes lie within.
    Router::new().fallback_service(inner.map_request(|request: Request| read_path(request)))
}

/// What may stand in a path as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// HTTP API hands paths over percent-decoded; a laptop's client sends them encoded. Both are brought to one encoding,
/// so that both route alike, and a handler's path parameters are what the client meant.
fn read_path(mut request: Request) -> Request {
    let (decoded, query) = match request.raw_http_path() {
        "" => {
            let decoded = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
            (decoded, request.uri().query().unwrap_or_default().to_owned())
        }
        // The URI that lambda_http made of a decoded path is cut where that holds a `?` or `#`.
        raw => (raw.to_owned(), request.query_string_parameters().to_query_string()),
    };
    let mut path = decoded.as_str();
    if let Some(stripped) = path.strip_suffix('/')
        && (is_admins(request.method(), stripped) || Compat::of_path(stripped).is_some())
    {
        path = stripped;
    }
    let mut encoded = utf8_percent_encode(path, PATH).to_string();
    if !query.is_empty() {
        encoded.push('?');
        encoded.push_str(&query);
    }
    if let Ok(path) = encoded.parse::<PathAndQuery>() {
        *request.uri_mut() = Uri::from(path);
    }
    request
}

/// Whether `admin` serves a path: all methods that it has, or this one.
fn is_admins(method: &Method, path: &str) -> bool {
    let mut routes = routes::at(path).peekable();
    routes.peek().is_some()
        && (routes::at(path).any(|route| route.function == Function::Admin && route.method == *method)
            || routes.all(|route| route.function == Function::Admin))
}

/// Answers what no route takes: preflights, 405, 308 to the path without its trailing slash, 404.
async fn stray(axum::Extension(context): axum::Extension<Arc<Context>>, request: Request) -> Response {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
    if cors::is_preflight(request.method(), request.headers()) {
        return cors::preflight(&context.config, &path, request.headers());
    }
    if routes::at(&path).next().is_some() {
        return not_allowed(&path).into_response();
    }
    if let Some(stripped) = path.strip_suffix('/')
        && routes::at(stripped).next().is_some()
    {
        let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
        let target = format!("{}{query}", utf8_percent_encode(stripped, PATH));
        if let Ok(target) = HeaderValue::from_str(&target) {
            return (StatusCode::PERMANENT_REDIRECT, [(LOCATION, target)]).into_response();
        }
    }
    Problem::NotFound("there is nothing at this path: see GET /".to_owned()).into_response()
}

/// Sets what every reply carries and writes the log line.
async fn finish_and_log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    // A raw path may hold a key, so the route is logged instead.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let path = request.uri().path();
    let compat = Compat::of_path(path).map(|compat| (compat, path.to_owned()));
    let request_id = request.lambda_context_ref().map(|context| context.request_id.clone());
    let request_id = request_id.unwrap_or_else(|| ulid::Ulid::generate().to_string());
    let mut response = match within_limits(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if let Some((compat, path)) = compat
        && let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>()
    {
        response = compat.put(&problem, (&method, &path), response);
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let line = Line {
        app: response.extensions().get::<AppSlug>().map_or("", AppSlug::as_str),
        caller: response.extensions().get::<CallerName>().map_or("", |caller| &caller.0),
        figures: response.extensions().get::<Figures>().copied(),
        route: route.as_deref().unwrap_or("$default"),
        status: response.status().as_u16(),
        ms: started.elapsed().as_secs_f64() * 1000.0,
        request_id: &request_id,
        method: &method,
    };
    line.write();
    response
}

/// What every reply tells a browser: to take it for what it says it is, to come back by https alone (ignored on plain http),
/// to name this address to nobody, and, of a picture that is looked at by itself, to run and load nothing.
const SECURITY_HEADERS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
];

/// Most bytes of a path with its query.
const MAX_PATH_AND_QUERY: usize = 8 * 1024;
/// Most bytes of all headers. HTTP API takes 10,240 with the request line (AWS: "HTTP API quotas"), and adds some of its own.
const MAX_HEADERS: usize = 16 * 1024;

fn within_limits(request: &Request) -> Result<(), Problem> {
    let path_and_query = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if path_and_query > MAX_PATH_AND_QUERY {
        return Err(Problem::field("", format!("the path with its query is longer than {MAX_PATH_AND_QUERY} bytes")));
    }
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers > MAX_HEADERS {
        return Err(Problem::field("", format!("the headers are longer than {MAX_HEADERS} bytes")));
    }
    Ok(())
}

/// Names a request in its reply and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How many events a request brought; a handler puts it into its reply's extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Events that were accepted.
    pub accepted: usize,
    /// Events that were not.
    pub rejected: usize,
    /// Events that were written: of those accepted as the same one, the last.
    pub stored: usize,
}

/// What the log tells of a request: no key, token, password, body or raw path.
struct Line<'a> {
    request_id: &'a str,
    app: &'a str,
    /// The id of a key, or the name of a user.
    caller: &'a str,
    method: &'a Method,
    route: &'a str,
    status: u16,
    ms: f64,
    figures: Option<Figures>,
}

impl Line<'_> {
    fn write(&self) {
        let Self { request_id, app, caller, method, route, status, ms, figures } = self;
        let Figures { accepted, rejected, stored } = figures.unwrap_or_default();
        if !metrics::on_lambda() {
            tracing::info!(request_id, app, caller, %method, route, status, ms, accepted, rejected, stored, "request");
            return;
        }
        let mut all = vec![(Metric::Latency, *ms), (Metric::ColdStart, metrics::cold_start())];
        if figures.is_some() {
            #[allow(clippy::cast_precision_loss)] // at most 1,000
            let count = |n: usize| n as f64;
            all.extend([
                (Metric::Accepted, count(accepted)),
                (Metric::Rejected, count(rejected)),
                (Metric::Stored, count(stored)),
            ]);
        }
        let properties = serde_json::json!({
            "requestId": request_id, "app": app, "caller": caller, "method": method.as_str(), "route": route, "status": status,
        });
        metrics::emit(&all, properties);
    }
}

/// Runs an HTTP function on Lambda.
pub async fn run(router: impl FnOnce(Arc<Context>) -> Router) -> Result<(), lambda_http::Error> {
    log::start();
    let config = Config::from_env()?;
    let store = tally_store::connect(Connection::Environment, config.tables.clone());
    let context = Context::new(store, Clock::System, config);
    // While a function starts, Lambda gives it a whole processor, and a share by its memory from then on: this opens the
    // connection to the store, most of whose time is cryptography, and reads what the first access token would ask for.
    if let Err(error) = context.tokens.read(&context.store, context.clock.now()).await {
        tracing::warn!(%error, "could not read the public keys at the start");
    }
    let router = router(Arc::clone(&context));
    lambda_http::run(serve(context, [router])).await
}

/// The header with which a reverse proxy says what it took off the path. API Gateway takes off nothing, so that on Lambda
/// a client wrote it.
pub const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Where the caller reached us, as the beginning of an absolute address, e.g. `https://tally.example`; only a path's
/// beginning where the request does not say, so that what begins with it is a path at least.
pub fn origin(headers: &HeaderMap, config: &Config) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = header("x-forwarded-proto").filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = scheme.unwrap_or(if config.secure_cookies { "https" } else { "http" });
    let host = header("host").filter(|host| host.parse::<Authority>().is_ok());
    let prefix = header(FORWARDED_PREFIX.as_str()).filter(|_| !metrics::on_lambda()).unwrap_or_default();
    host.map_or_else(|| prefix.to_owned(), |host| format!("{scheme}://{host}{prefix}"))
}

/// The context, in a handler's signature.
pub type Shared = State<Arc<Context>>;

#[cfg(test)]
mod tests {
    use super::*;

    /// A request as `lambda_http` makes it of an event of the HTTP API.
    fn of_lambda(path: &str, query: &str) -> Request {
        let event = serde_json::json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
            "headers": {"host": "tally.example"}, "isBase64Encoded": false,
            "requestContext": {"http": {"method": "GET", "path": path}, "stage": "$default"},
        });
        let request = lambda_http::request::from_str(&event.to_string()).expect("an event");
        request.map(|_| axum::body::Body::empty())
    }

    #[test]
    fn a_path_reads_alike_on_lambda_and_on_a_laptop() {
        for (decoded, encoded) in
            [("/apps/a/count/what?x#y", "/apps/a/count/what%3Fx%23y"), ("/a b/é%", "/a%20b/%C3%A9%25")]
        {
            let expected = format!("{encoded}?k=v+w&n=1");
            let laptop = Request::builder().uri(&expected).body(axum::body::Body::empty()).expect("a request");
            assert_eq!(read_path(laptop).uri().to_string(), expected);
            let lambda = read_path(of_lambda(decoded, "k=v%20w&n=1"));
            assert_eq!(lambda.uri().path(), encoded);
            let query = lambda.uri().query().expect("a query");
            assert!(query.contains("k=v+w") && query.contains("n=1"), "{query}");
        }
    }

    #[test]
    fn a_slash_at_the_end_of_a_dialects_path_says_nothing() {
        for (sent, read) in [
            ("/the-eye/k/api/event/", "/the-eye/k/api/event"),
            ("/event-tracker/k/api/events/resource/209/", "/event-tracker/k/api/events/resource/209"),
            ("/apps/a/count/name/", "/apps/a/count/name/"),
        ] {
            let laptop = Request::builder().uri(sent).body(axum::body::Body::empty()).expect("a request");
            assert_eq!(read_path(laptop).uri().path(), read);
            assert_eq!(read_path(of_lambda(sent, "n=1")).uri().path(), read);
        }
    }
}
