//! Every route: method, path, the function that serves it, and who may call it. Nothing else states them: a function
//! binds a handler to a route by its name here, and the description of the API takes method and path from it. A function
//! cannot serve a route that is not in this table, so no route is open by oversight. `admin`, which answers for
//! `$default`, uses the table to tell 404 from 405.

use http::Method;

use crate::limits::Restriction;

/// A function behind the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// Accepts events.
    Ingest,
    /// Reads events.
    Query,
    /// Answers from counters.
    Reports,
    /// Draws pictures of counts.
    Charts,
    /// Tells what people did.
    People,
    /// Alert rules.
    Alerts,
    /// Apps, keys, sign-in, and everything that no other function serves.
    Admin,
    /// Takes source maps, and shows stacks with them.
    SourceMaps,
    /// Tools for language models, which ask the others.
    Mcp,
    /// The page. It reaches no table, so all its routes are public.
    Web,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everybody.
    Public,
    /// Keys of the app with the scope `ingest`, and admins.
    Ingest,
    /// Keys of the app with the scope `read`, and every user.
    Read,
    /// Keys with the scope `upload`, and admins. The route names no app: the key is of one, or the body names it.
    Upload,
    /// Every user, and every key whatever its scopes.
    Known,
    /// Every user. The route concerns no app.
    Users,
    /// Every user. The route concerns an app that is in use.
    AppUsers,
    /// Admins. The route concerns no app, or one that may not be in use.
    Admins,
    /// Admins. The route concerns an app that is in use.
    AppAdmins,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path. `{app}` is one segment, `{*name}` all that follow. `{key}` is a key that is both the credential and the
    /// choice of the app.
    pub path: &'static str,
    /// The function that serves it.
    pub function: Function,
    /// Who may call it.
    pub access: Access,
    /// Whether a user may call it for an app that does not exist; the handler decides what that means.
    pub app_may_be_absent: bool,
    /// What its handler enforces of the bounds of keys. A key that is bounded in another way may not call it: so a new route
    /// is closed to bounded keys until it declares what it does about them.
    pub enforces: &'static [Restriction],
}

/// Makes a static of each line, and `ROUTES` of all.
macro_rules! routes {
    ($($name:ident = $method:ident $path:literal => $function:ident, $access:ident $(($absent:ident))?
        $([$($restriction:ident),*])?;)*) => {
        $(
            #[doc = concat!("`", stringify!($method), " ", $path, "`")]
            pub static $name: Route = Route {
                method: Method::$method,
                path: $path,
                function: Function::$function,
                access: Access::$access,
                app_may_be_absent: routes!(@absent $($absent)?),
                enforces: &[$($(Restriction::$restriction),*)?],
            };
        )*

        /// All routes.
        pub static ROUTES: &[&Route] = &[$(&$name),*];
    };
    (@absent) => { false };
    (@absent app_may_be_absent) => { true };
}

routes! {
    ROOT                = GET    "/"                                            => Web, Public;
    ASSET               = GET    "/assets/{version}/{*path}"                    => Web, Public;
    SCRIPT              = GET    "/tally.js"                                    => Web, Public;
    // The same where Umami's and Plausible's are.
    UMAMI_SCRIPT        = GET    "/script.js"                                   => Web, Public;
    SCRIPT_FILE         = GET    "/js/{file}"                                   => Web, Public;
    HEALTH              = GET    "/health"                                      => Admin, Public;
    DESCRIPTION         = GET    "/openapi.json"                                => Admin, Public;
    SIGN_IN             = POST   "/auth"                                        => Admin, Public;
    READ_SESSION        = GET    "/auth"                                        => Admin, Known [Cells, Fields, People, Data, Statistics, Chart];
    SIGN_OUT            = DELETE "/auth"                                        => Admin, Users;
    LIST_APPS           = GET    "/apps"                                        => Admin, Users;
    CREATE_APP          = POST   "/apps"                                        => Admin, Admins;
    READ_APP            = GET    "/apps/{app}"                                  => Admin, Read [Cells, Fields, People, Data, Statistics];
    CREATE_NAMED_APP    = POST   "/apps/{app}"                                  => Admin, Admins;
    CHANGE_APP          = PATCH  "/apps/{app}"                                  => Admin, AppAdmins;
    ERASE_APP           = DELETE "/apps/{app}"                                  => Admin, Admins;
    ERASE_EVENTS        = DELETE "/apps/{app}/events"                           => Admin, AppAdmins;
    ERASE_EVENT         = DELETE "/apps/{app}/events/{id}"                      => Admin, AppAdmins;
    LIST_KEYS           = GET    "/apps/{app}/keys"                             => Admin, AppAdmins;
    CREATE_KEY          = POST   "/apps/{app}/keys"                             => Admin, AppAdmins;
    REVOKE_KEY          = DELETE "/apps/{app}/keys/{key_id}"                    => Admin, AppAdmins;
    ROTATE_SIGNING_KEY  = POST   "/signing-keys"                                => Admin, Admins;
    AUDIT               = POST   "/apps/{app}/audit"                            => Admin, AppAdmins;
    RECOUNT             = POST   "/apps/{app}/recount"                          => Admin, AppAdmins;
    LIST_DEAD_LETTERS   = GET    "/apps/{app}/dead-letters"                     => Admin, AppAdmins;
    LIST_REJECTED       = GET    "/apps/{app}/rejected"                         => Admin, Read;
    LIST_ISSUES         = GET    "/apps/{app}/issues"                           => Query, Read;
    READ_ISSUE          = GET    "/apps/{app}/issues/{id}"                      => Query, Read;
    CHANGE_ISSUE        = PATCH  "/apps/{app}/issues/{id}"                      => Admin, AppAdmins;
    APP_USAGE           = GET    "/apps/{app}/usage"                            => Query, AppAdmins;
    USAGE               = GET    "/usage"                                       => Query, Admins;
    LIST_VIEWS          = GET    "/apps/{app}/views"                            => Admin, Read;
    SAVE_VIEW           = PUT    "/apps/{app}/views/{name}"                     => Admin, AppUsers;
    DELETE_VIEW         = DELETE "/apps/{app}/views/{name}"                     => Admin, AppUsers;
    LIST_ALERTS         = GET    "/apps/{app}/alerts"                           => Alerts, AppUsers;
    CREATE_ALERT        = POST   "/apps/{app}/alerts"                           => Alerts, AppAdmins;
    PREVIEW_ALERT       = POST   "/apps/{app}/alerts/preview"                   => Alerts, AppUsers;
    READ_ALERT          = GET    "/apps/{app}/alerts/{id}"                      => Alerts, AppUsers;
    CHANGE_ALERT        = PATCH  "/apps/{app}/alerts/{id}"                      => Alerts, AppAdmins;
    DELETE_ALERT        = DELETE "/apps/{app}/alerts/{id}"                      => Alerts, AppAdmins;
    TEST_ALERT          = POST   "/apps/{app}/alerts/{id}/test"                 => Alerts, AppAdmins;
    ROTATE_ALERT_SECRET = POST   "/apps/{app}/alerts/{id}/channels/{channel}/secret" => Alerts, AppAdmins;
    SEND_EVENTS         = POST   "/apps/{app}/events"                           => Ingest, Ingest;
    COUNT               = POST   "/apps/{app}/count"                            => Ingest, Ingest;
    COUNT_NAME          = POST   "/apps/{app}/count/{*name}"                    => Ingest, Ingest;
    LIST_EVENTS         = GET    "/apps/{app}/events"                           => Query, Read [Cells, Fields, People, Data];
    READ_EVENT          = GET    "/apps/{app}/events/{id}"                      => Query, Read [Cells, Fields, People, Data];
    METRICS             = GET    "/apps/{app}/metrics"                          => Reports, Read [Cells, Fields, People, Data, Statistics];
    // A key that may not read all may not take it all along.
    EXPORT              = GET    "/apps/{app}/export"                           => Query, Read;
    // A key that hides data may not: a stack is a part of what it hides.
    READ_STACK          = GET    "/apps/{app}/events/{id}/stack"                => SourceMaps, Read [Cells, Fields, People];
    LIST_SOURCE_MAPS    = GET    "/apps/{app}/source-maps"                      => SourceMaps, AppUsers;
    DELETE_SOURCE_MAP   = DELETE "/apps/{app}/source-maps/{debug_id}"           => SourceMaps, AppAdmins;
    // The paths that sentry-cli calls.
    UPLOAD_SETTINGS     = GET    "/api/0/organizations/{organization}/chunk-upload" => SourceMaps, Upload;
    UPLOAD_CHUNKS       = POST   "/api/0/organizations/{organization}/chunk-upload" => SourceMaps, Upload;
    ASSEMBLE_BUNDLE     = POST   "/api/0/organizations/{organization}/artifactbundle/assemble" => SourceMaps, Upload;
    LIST_ATTRIBUTES     = GET    "/apps/{app}/attributes"                       => Query, Read [Cells, Fields, People];
    REPORT              = GET    "/apps/{app}/reports/{report}"                 => Reports, Read [Cells, Fields, People, Data, Statistics];
    LIST_SESSIONS       = GET    "/apps/{app}/sessions"                         => People, Read [Cells, Fields, Data];
    FUNNEL              = POST   "/apps/{app}/funnels"                          => People, Read [Cells, Fields, People, Data, Statistics];
    // A key that may not read all may not list people.
    FUNNEL_PEOPLE       = POST   "/apps/{app}/funnels/people"                   => People, Read;
    PERSON              = GET    "/apps/{app}/people/{*user_id}"               => People, Read;
    WEB_STATISTICS      = GET    "/apps/{app}/stats/web"                        => People, Read [Cells, Fields, People];
    SESSION_STATISTICS  = GET    "/apps/{app}/stats/sessions"                   => People, Read [Cells, Fields, People, Data, Statistics];
    RETENTION           = GET    "/apps/{app}/stats/retention"                  => People, Read [Cells, Fields, People, Data, Statistics];
    WHAT_NEXT           = GET    "/apps/{app}/stats/next"                       => People, Read [Cells, Fields, People, Data, Statistics];
    // It needs an attribute.
    NUMBERS             = GET    "/apps/{app}/stats/numbers"                    => People, Read [Cells, Fields, People];
    // Each statistic declares what of it it enforces.
    STATISTIC           = GET    "/apps/{app}/stats/{stat}"                     => Reports, Read [Cells, Fields, People, Data, Statistics];
    HISTOGRAM           = GET    "/apps/{app}/histogram"                        => Charts, Read [Cells, People, Data, Statistics];
    HISTOGRAM_FILE      = GET    "/apps/{app}/histogram/{*path}"                => Charts, Read [Cells, People, Data, Statistics];
    CHART_SVG           = GET    "/apps/{app}/chart.svg"                        => Charts, Read [Cells, Fields, People, Data, Statistics, Chart];
    CHART_PNG           = GET    "/apps/{app}/chart.png"                        => Charts, Read [Cells, Fields, People, Data, Statistics, Chart];
    // Its tools ask the other routes by the same key, so each of those enforces what it declares.
    MCP                 = POST   "/mcp"                                         => Mcp, Known [Cells, Fields, People, Data, Statistics];
    SEISMO_SIGN_IN      = POST   "/seismo/auth"                                 => Admin, Public;
    SEISMO_SEND         = POST   "/seismo/api/events/{app}"                     => Ingest, Ingest (app_may_be_absent);
    SEISMO_LIST         = GET    "/seismo/api/events/{app}"                     => Query, Read (app_may_be_absent);
    SEISMO_REPORT       = GET    "/seismo/api/reports/{report}/{app}"           => Reports, Read (app_may_be_absent);
    THE_EYE_SEND        = POST   "/the-eye/{key}/api/event"                     => Ingest, Ingest;
    THE_EYE_LIST        = GET    "/the-eye/{key}/api/event"                     => Query, Read;
    EVENT_TRACKER_COUNT = POST   "/event-tracker/{key}/api/events/{*path}"      => Ingest, Ingest;
    EVENT_TRACKER_LIST  = GET    "/event-tracker/{key}/api/events"              => Reports, Read;
    EVENT_TRACKER_HISTOGRAM = GET "/event-tracker/{key}/api/events/histogram/{*path}" => Charts, Read;
    EVENT_TRACKER_PATH  = GET    "/event-tracker/{key}/api/events/{*path}"      => Reports, Read;
}

impl Route {
    /// Whether it answers a method: its own, or `HEAD` if that is `GET`.
    pub fn answers(&self, method: &Method) -> bool {
        self.method == *method || (*method == Method::HEAD && self.method == Method::GET)
    }

    /// Whether the end of its pattern is a parameter of one segment.
    fn ends_with_parameter(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|last| last.starts_with('{') && !last.starts_with("{*"))
    }

    /// Whether the end of its pattern is a word.
    fn ends_with_word(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|last| !last.starts_with('{'))
    }

    /// Whether a decoded path matches the pattern.
    pub fn matches(&self, path: &str) -> bool {
        matches(self.path, path)
    }
}

/// Whether a decoded path matches a pattern.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let mut pattern = pattern.split('/');
    let mut segments = path.split('/');
    loop {
        match (pattern.next(), segments.next()) {
            (None, None) => return true,
            (Some(part), Some(segment)) if part.starts_with("{*") => {
                return !segment.is_empty() || segments.next().is_some();
            }
            (Some(part), Some(segment)) if part.starts_with('{') => {
                if segment.is_empty() {
                    return false;
                }
            }
            (Some(part), Some(segment)) if part == segment => {}
            _ => return false,
        }
    }
}

/// The methods that a decoded path has, in order: of its routes, and `HEAD` where there is `GET`.
pub fn methods_at(path: &str) -> Vec<&'static str> {
    let mut methods: Vec<_> = at(path).map(|route| route.method.as_str()).collect();
    if methods.contains(&Method::GET.as_str()) {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods
}

/// A decoded path without the slash at its end, if only that has routes.
pub fn without_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some(plain) if at(path).next().is_none() && at(plain).next().is_some() => plain,
        _ => path,
    }
}

/// The routes of a decoded path, one for each method that it has. Where two patterns with the same method match, the first in
/// the table is the route, so the table has the narrower one first. A path whose end is a word of a pattern, such as `alerts/preview`, is
/// none of a pattern with a parameter there.
pub fn at(path: &str) -> impl Iterator<Item = &'static Route> {
    let has_earlier = |place: usize, route: &Route| {
        ROUTES[..place].iter().any(|earlier| earlier.method == route.method && earlier.matches(path))
    };
    let is_word = ROUTES.iter().any(|route| route.ends_with_word() && route.matches(path));
    let is_other = move |route: &Route| is_word && route.ends_with_parameter();
    let routes = ROUTES.iter().copied().enumerate();
    let matching =
        routes.filter(move |(place, route)| route.matches(path) && !is_other(route) && !has_earlier(*place, route));
    matching.map(|(_, route)| route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_routes() {
        let methods = |path: &str| at(path).map(|r| format!("{} {}", r.method, r.path)).collect::<Vec<_>>();
        assert_eq!(methods("/apps/a/count/x/3"), ["POST /apps/{app}/count/{*name}"]);
        assert_eq!(
            methods("/apps/a/events"),
            ["DELETE /apps/{app}/events", "POST /apps/{app}/events", "GET /apps/{app}/events"]
        );
        assert_eq!(methods("/apps/a/alerts/preview"), ["POST /apps/{app}/alerts/preview"]);
        assert_eq!(methods("/apps/a/alerts/0123456789ab").len(), 3);
        // A narrow pattern goes before a wide one.
        assert_eq!(
            methods("/event-tracker/k/api/events/histogram/a/20261121"),
            ["POST /event-tracker/{key}/api/events/{*path}", "GET /event-tracker/{key}/api/events/histogram/{*path}",]
        );
        for plain in ["unique", "histogram", "histograms/a"] {
            assert_eq!(
                methods(&format!("/event-tracker/k/api/events/{plain}")),
                ["POST /event-tracker/{key}/api/events/{*path}", "GET /event-tracker/{key}/api/events/{*path}"]
            );
        }
        for nowhere in ["", "/apps/", "/apps//events", "/apps/a/count/", "/nothing", "/apps/a/events/x/y"] {
            assert!(methods(nowhere).is_empty(), "{nowhere}");
        }
    }
}
