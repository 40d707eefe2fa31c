//! Every route there is: which function serves it, and who may call it. A function cannot serve a route that is not
//! here, so none is open by oversight; `admin`, which answers for `$default`, tells by it 404 from 405.

use http::Method;

/// A function behind the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// Takes events in.
    Ingest,
    /// Reads events.
    Query,
    /// Counts.
    Reports,
    /// Apps, keys, sign-in, and everything that no other function serves.
    Admin,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everybody.
    Public,
    /// Who may send events to the app: its keys of scope `ingest`, and admins.
    Ingest,
    /// Who may read the app: its keys of scope `read`, and every user.
    Read,
    /// Every user.
    Users,
    /// Admins; the route is about no app that is in use for sure.
    Admins,
    /// Admins; the route is about an app.
    AppAdmins,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path; `{app}` is one segment, `{*name}` all that follow. With `{key}` in it, a key there is the credential and
    /// says which app the route is about.
    pub path: &'static str,
    /// Who serves it.
    pub function: Function,
    /// Who may call it.
    pub access: Access,
    /// Whether a user may call it about an app that is not there, or not yet; its handler says what that means.
    pub absent_app: bool,
}

const fn route(method: Method, path: &'static str, function: Function, access: Access) -> Route {
    Route { method, path, function, access, absent_app: false }
}

const fn route_of_any_app(method: Method, path: &'static str, function: Function, access: Access) -> Route {
    Route { method, path, function, access, absent_app: true }
}

/// All routes.
pub const ROUTES: &[Route] = &[
    route(Method::GET, "/", Function::Admin, Access::Public),
    route(Method::GET, "/health", Function::Admin, Access::Public),
    route(Method::GET, "/openapi.json", Function::Admin, Access::Public),
    route(Method::POST, "/auth", Function::Admin, Access::Public),
    route(Method::GET, "/apps", Function::Admin, Access::Users),
    route(Method::POST, "/apps", Function::Admin, Access::Admins),
    route(Method::GET, "/apps/{app}", Function::Admin, Access::Read),
    route(Method::POST, "/apps/{app}", Function::Admin, Access::Admins),
    route(Method::PATCH, "/apps/{app}", Function::Admin, Access::AppAdmins),
    route(Method::DELETE, "/apps/{app}", Function::Admin, Access::Admins),
    route(Method::DELETE, "/apps/{app}/events", Function::Admin, Access::AppAdmins),
    route(Method::DELETE, "/apps/{app}/events/{id}", Function::Admin, Access::AppAdmins),
    route(Method::GET, "/apps/{app}/keys", Function::Admin, Access::AppAdmins),
    route(Method::POST, "/apps/{app}/keys", Function::Admin, Access::AppAdmins),
    route(Method::DELETE, "/apps/{app}/keys/{key_id}", Function::Admin, Access::AppAdmins),
    route(Method::POST, "/signing-keys", Function::Admin, Access::Admins),
    route(Method::POST, "/apps/{app}/audit", Function::Admin, Access::AppAdmins),
    route(Method::POST, "/apps/{app}/recount", Function::Admin, Access::AppAdmins),
    route(Method::GET, "/apps/{app}/dead-letters", Function::Admin, Access::AppAdmins),
    route(Method::POST, "/apps/{app}/events", Function::Ingest, Access::Ingest),
    route(Method::POST, "/apps/{app}/count", Function::Ingest, Access::Ingest),
    route(Method::POST, "/apps/{app}/count/{*name}", Function::Ingest, Access::Ingest),
    route(Method::GET, "/apps/{app}/events", Function::Query, Access::Read),
    route(Method::GET, "/apps/{app}/events/{id}", Function::Query, Access::Read),
    route(Method::GET, "/apps/{app}/reports/{report}", Function::Reports, Access::Read),
    route(Method::GET, "/apps/{app}/stats/{stat}", Function::Reports, Access::Read),
    route(Method::GET, "/apps/{app}/histogram", Function::Reports, Access::Read),
    route(Method::GET, "/apps/{app}/histogram/{*path}", Function::Reports, Access::Read),
    route(Method::POST, "/seismo/auth", Function::Admin, Access::Public),
    route_of_any_app(Method::POST, "/seismo/api/events/{app}", Function::Ingest, Access::Ingest),
    route_of_any_app(Method::GET, "/seismo/api/events/{app}", Function::Query, Access::Read),
    route_of_any_app(Method::GET, "/seismo/api/reports/{report}/{app}", Function::Reports, Access::Read),
    route(Method::POST, "/the-eye/{key}/api/event", Function::Ingest, Access::Ingest),
    route(Method::GET, "/the-eye/{key}/api/event", Function::Query, Access::Read),
    route(Method::POST, "/event-tracker/{key}/api/events/{*path}", Function::Ingest, Access::Ingest),
    route(Method::GET, "/event-tracker/{key}/api/events", Function::Reports, Access::Read),
    route(Method::GET, "/event-tracker/{key}/api/events/{*path}", Function::Reports, Access::Read),
];

impl Route {
    /// The route of a function.
    pub fn find(function: Function, method: &Method, path: &str) -> Option<&'static Self> {
        ROUTES.iter().find(|route| route.function == function && route.method == *method && route.path == path)
    }

    /// Whether a decoded path has this route's form.
    pub fn matches(&self, path: &str) -> bool {
        let mut pattern = self.path.split('/');
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
}

/// The routes that a decoded path has, whatever the method.
pub fn at(path: &str) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| route.matches(path))
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
        for nowhere in ["", "/apps/", "/apps//events", "/apps/a/count/", "/nothing", "/apps/a/events/x/y"] {
            assert!(methods(nowhere).is_empty(), "{nowhere}");
        }
    }
}
