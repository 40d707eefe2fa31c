//! What reverse proxies report about a request. Only proxies that the operator names are trusted, because anyone can
//! send a header.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::header::{FORWARDED, HOST, LOCATION};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use ipnet::IpNet;
use tally_http::service::FORWARDED_PREFIX;
use tally_http::source::{Claimed, Source};
use tower::Layer;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Maximum length of a path prefix.
const MAX_PREFIX: usize = 200;

/// The proxies in front of the server.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Networks whose hosts are trusted.
    pub trusted: Vec<IpNet>,
    /// The path prefix in front of the proxy, e.g. `/tally`, or empty.
    pub base_path: BasePath,
}

/// A path prefix: empty, or `/` and more, without a trailing `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl std::str::FromStr for BasePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.trim_end_matches('/');
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
        // Two leading slashes would make a link to another host.
        let is_path = path.is_empty() || (path.starts_with('/') && !path.contains("//"));
        if !is_path || path.len() > MAX_PREFIX || !path.bytes().all(is_plain) {
            return Err(format!("`{text}` is no path such as /tally"));
        }
        Ok(Self(path.to_owned()))
    }
}

/// A request as it looked in front of all proxies.
#[derive(Debug, Default, PartialEq, Eq)]
struct Front {
    client: Option<IpAddr>,
    scheme: Option<String>,
    host: Option<String>,
}

impl Proxies {
    /// Gives requests of a service the source, host and path that they have in front of the proxies, and adds the
    /// prefix to redirects.
    pub fn before(self, service: Router) -> Router {
        let proxies = Arc::new(self);
        let layer = from_fn(move |request, next| {
            let proxies = Arc::clone(&proxies);
            async move { proxies.pass(request, next).await }
        });
        // The path must be complete before routing.
        Router::new().fallback_service(layer.layer(service))
    }

    async fn pass(&self, mut request: Request, next: Next) -> Response {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(from)| from.ip());
        let headers = request.headers_mut();
        let sent = [&FORWARDED, &FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED_HOST, &FORWARDED_PREFIX]
            .map(|name| headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(","));
        for name in [&FORWARDED, &FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED_HOST, &FORWARDED_PREFIX] {
            headers.remove(name);
        }
        let [forwarded, addresses, scheme, host, prefix] = sent;
        let claimed = Claimed::read(&addresses);
        let mut source = peer;
        let mut prefix_of_proxy = BasePath::default();
        if let Some(peer) = peer.filter(|peer| self.trusts(peer)) {
            let front = if forwarded.is_empty() {
                let first =
                    |list: &str| list.split(',').next().map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
                let client = self.client(peer, addresses.split(',').map(str::trim));
                Front { client: Some(client), scheme: first(&scheme), host: first(&host) }
            } else {
                self.read_forwarded(peer, &forwarded)
            };
            source = front.client;
            put(headers, FORWARDED_PROTO, front.scheme.filter(|scheme| matches!(scheme.as_str(), "http" | "https")));
            put(headers, HOST, front.host.filter(|host| host.parse::<Authority>().is_ok()));
            prefix_of_proxy = prefix.parse().unwrap_or_default();
        }
        let prefix = if self.base_path.0.is_empty() { &prefix_of_proxy.0 } else { &self.base_path.0 }.clone();
        if !prefix.is_empty() {
            put(headers, FORWARDED_PREFIX, Some(prefix.clone()));
            // Some proxies leave the prefix in the path.
            strip(request.uri_mut(), &prefix);
        }
        request.extensions_mut().insert(Source(source));
        request.extensions_mut().insert(claimed);
        let mut response = next.run(request).await;
        if let Some(to) = response.headers().get(LOCATION).and_then(|to| to.to_str().ok())
            && !prefix.is_empty()
            && to.starts_with('/')
            && let Ok(to) = HeaderValue::from_str(&format!("{prefix}{to}"))
        {
            response.headers_mut().insert(LOCATION, to);
        }
        response
    }

    fn trusts(&self, address: &IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// The client: the last address in the list that is not a trusted proxy. Anyone may have written the entries before
    /// it.
    fn client<'a>(&self, peer: IpAddr, addresses: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut last = peer;
        for address in addresses.rev() {
            let Some(address) = read_address(address) else { return last };
            last = address;
            if !self.trusts(&address) {
                break;
            }
        }
        last
    }

    /// Reads `Forwarded` (RFC 7239). Each proxy adds an element.
    fn read_forwarded(&self, peer: IpAddr, header: &str) -> Front {
        let field = |element: &str, name: &str| {
            element.split(';').find_map(|pair| {
                let (key, value) = pair.trim().split_once('=')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
            })
        };
        let clients: Vec<String> = header.split(',').map(|element| field(element, "for").unwrap_or_default()).collect();
        let first = header.split(',').next().unwrap_or_default();
        Front {
            client: Some(self.client(peer, clients.iter().map(String::as_str))),
            scheme: field(first, "proto"),
            host: field(first, "host"),
        }
    }
}

/// An address in the forms that proxies use: alone, in brackets, or with a port.
fn read_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
        headers.insert(name, value);
    }
}

/// Removes a prefix from the path, if it is present.
fn strip(uri: &mut Uri, prefix: &str) {
    let Some(whole) = uri.path_and_query().map(PathAndQuery::as_str) else { return };
    let Some(rest) = whole.strip_prefix(prefix) else { return };
    let rest = match rest.bytes().next() {
        Some(b'/') => rest.to_owned(),
        None | Some(b'?') => format!("/{rest}"),
        // A different path with the same beginning.
        Some(_) => return,
    };
    if let Ok(rest) = rest.parse::<PathAndQuery>() {
        *uri = Uri::from(rest);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::IntoResponse;
    use http::StatusCode;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// How a request from `peer` with these headers appears behind the proxies: source, scheme, host, prefix, path, and
    /// redirect target.
    async fn seen(proxies: Proxies, peer: &str, path: &str, headers: &[(&str, &str)]) -> (String, String) {
        let service = Router::new().fallback(async |request: Request| {
            let header =
                |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
            let source = Source::of(request.extensions()).subject();
            let names = ["x-forwarded-proto", "host", "x-forwarded-prefix", "x-forwarded-for", "forwarded"];
            let text = format!("{source} {} {}", names.map(header).join(" "), request.uri());
            (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "/elsewhere")], text).into_response()
        });
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).expect("a request");
        let peer: IpAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 1)));
        let Ok(reply) = proxies.before(service).oneshot(request).await;
        let location = reply.headers()["location"].to_str().expect("text").to_owned();
        let body = reply.into_body().collect().await.expect("a body").to_bytes();
        (String::from_utf8(body.to_vec()).expect("UTF-8"), location)
    }

    fn trusting() -> Proxies {
        Proxies { trusted: vec!["10.0.0.0/8".parse().expect("a network")], base_path: BasePath::default() }
    }

    #[tokio::test]
    async fn nobody_else_is_believed() {
        let lies = [
            ("host", "tally.example"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-prefix", "/evil"),
            ("forwarded", "for=192.0.2.1;host=evil.example"),
        ];
        let told = ("198.51.100.7 - tally.example - - - /p?q".to_owned(), "/elsewhere".to_owned());
        assert_eq!(seen(Proxies::default(), "198.51.100.7", "/p?q", &lies).await, told);
        assert_eq!(seen(trusting(), "198.51.100.7", "/p?q", &lies).await, told);
    }

    #[tokio::test]
    async fn a_trusted_proxy_says_who_asks_and_where() {
        let told = [
            ("host", "inside"),
            ("x-forwarded-for", "203.0.113.9, 192.0.2.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "tally.example"),
            ("x-forwarded-prefix", "/tally/"),
        ];
        let (request, to) = seen(trusting(), PROXY, "/p", &told).await;
        assert_eq!(
            request, "192.0.2.1 https tally.example /tally - - /p",
            "what the client itself wrote is not believed"
        );
        assert_eq!(to, "/tally/elsewhere");
        let told = [
            ("host", "inside"),
            ("forwarded", r#"for="[2001:db8::1]:4711";proto=https;host=tally.example, For=10.0.0.2"#),
        ];
        let (request, to) = seen(trusting(), "::ffff:10.0.0.1", "/p", &told).await;
        assert_eq!(request, "2001:db8:: https tally.example - - - /p");
        assert_eq!(to, "/elsewhere");
        let (request, _) =
            seen(trusting(), PROXY, "/p", &[("x-forwarded-for", "nonsense, 10.0.0.3"), ("host", "a")]).await;
        assert!(request.starts_with("10.0.0.3 "), "{request}");
        let (request, _) =
            seen(trusting(), PROXY, "/p", &[("x-forwarded-prefix", "//evil.example"), ("host", "a")]).await;
        assert!(request.starts_with("10.0.0.1 - a - "), "{request}");
    }

    #[tokio::test]
    async fn a_base_path_is_taken_off_and_put_back() {
        let proxies = || Proxies { base_path: "/tally".parse().expect("a path"), ..Proxies::default() };
        for (path, inside) in [
            ("/tally/apps?a=b", "/apps?a=b"),
            ("/tally", "/"),
            ("/tally?x", "/?x"),
            ("/apps", "/apps"),
            ("/tallyman", "/tallyman"),
        ] {
            let (request, to) = seen(proxies(), PROXY, path, &[("host", "a")]).await;
            assert_eq!(request, format!("10.0.0.1 - a /tally - - {inside}"));
            assert_eq!(to, "/tally/elsewhere");
        }
        for wrong in ["tally", "/a b", "//a", "/a//b", "/ä", "/a?b", "https://a"] {
            assert!(wrong.parse::<BasePath>().is_err(), "{wrong}");
        }
    }
}
