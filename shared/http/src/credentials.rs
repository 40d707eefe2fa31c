//! The credentials of a request: where they may stand, and which one counts.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue, Uri};
use tally_core::app::key::PresentedKey;
use tally_service::chart_link::{SIGNATURE, UNTIL, canonical};

/// The cookie that carries an access token.
pub const COOKIE_NAME: &str = "token";

/// The query parameters that carry a credential.
pub(crate) const IN_QUERY: [&str; 3] = ["ingest_key", "read_key", "access_token"];

/// The query parameter that carries a credential: its name and value.
pub fn in_query(query: Option<&str>) -> Option<(String, String)> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes()).into_owned();
    pairs.find(|(name, value)| IN_QUERY.contains(&name.as_str()) && !value.is_empty())
}

/// A signed link to a chart: what it shows, until when it is valid, and its signature.
pub(crate) struct SignedLink {
    /// The query without the signature, in the form that is signed.
    pub(crate) query: String,
    /// In Unix seconds.
    pub(crate) until: i64,
    pub(crate) signature: String,
}

/// The signed link that a query is, if it has a signature.
pub(crate) fn signed_link(query: Option<&str>) -> Option<SignedLink> {
    let mut params: Vec<_> = form_urlencoded::parse(query?.as_bytes()).into_owned().collect();
    let mut take = |wanted: &str| {
        let at = params.iter().position(|(name, _)| name == wanted)?;
        Some(params.remove(at).1)
    };
    let signature = take(SIGNATURE)?;
    // A time that is none was signed by nobody.
    let until = take(UNTIL).and_then(|until| until.parse().ok()).unwrap_or(i64::MIN);
    Some(SignedLink { query: canonical(params), until, signature })
}

/// The headers that carry a credential, in the order in which they count.
const IN_HEADERS: [&str; 3] = ["x-ingest-key", "x-read-key", "x-access-token"];

/// The header or query parameter that says who calls for a second time, so that nobody could tell which one counts: a header
/// that is sent twice, or a second parameter that carries a credential. Of different headers one counts by their order, since a
/// proxy may add or need one of its own; a header counts before the query.
pub(crate) fn sent_twice(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let names = IN_HEADERS.into_iter().chain([AUTHORIZATION.as_str()]);
    let header = names.into_iter().find(|name| headers.get_all(*name).iter().nth(1).is_some());
    let in_query = || {
        let names = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).map(|(name, _)| name);
        names.filter(|name| IN_QUERY.contains(&&**name)).nth(1).map(Cow::into_owned)
    };
    header.map(str::to_owned).or_else(in_query)
}

/// Who decided to send a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The caller, who set a header.
    Header,
    /// The caller, who put it into the address.
    Query,
    /// The browser, which adds its cookies to the requests of any page.
    Browser,
}

/// A credential as it was sent, not checked yet.
pub(crate) enum Credential {
    /// A key of an app.
    Key(PresentedKey),
    /// The access token of a user.
    Token(String),
}

/// The credential of a request. A header takes precedence over the query, and the query over the cookie.
pub(crate) fn credential(headers: &HeaderMap, uri: &Uri) -> Option<(Credential, Sender)> {
    let header = |name: &str| {
        let value = lenient(headers.get(name)?);
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let (text, sender) = IN_HEADERS
        .into_iter()
        .find_map(header)
        .or_else(|| authorization(&lenient(headers.get(AUTHORIZATION)?)))
        .map(|text| (text, Sender::Header))
        .or_else(|| in_query(uri.query()).map(|(_, value)| (value, Sender::Query)))
        .or_else(|| {
            let token = headers.get_all(COOKIE).iter().find_map(|value| {
                let value = lenient(value);
                let mut cookies = cookie::Cookie::split_parse(&*value).flatten();
                let token = cookies.find(|cookie| cookie.name() == COOKIE_NAME)?;
                Some(token.value().to_owned())
            })?;
            Some((token, Sender::Browser))
        })?;
    let credential = match PresentedKey::parse(&text) {
        Some(key) => Credential::Key(key),
        None => Credential::Token(text),
    };
    Some((credential, sender))
}

/// The ingest keys that a client library may have sent in the places of Tally's own, in the order in which they count:
/// header, user name or password of HTTP Basic, query. Never a cookie.
pub fn ingest_keys(headers: &HeaderMap, query: Option<&str>) -> Vec<PresentedKey> {
    let header = headers.get("x-ingest-key").map(|value| lenient(value).trim().to_owned());
    let mut texts: Vec<String> = header.into_iter().collect();
    if let Some((scheme, rest)) = headers.get(AUTHORIZATION).map(lenient).as_deref().and_then(|v| v.split_once(' ')) {
        let rest = rest.trim();
        if !scheme.eq_ignore_ascii_case("basic") {
            texts.push(rest.to_owned());
        } else if let Some((user, password)) = basic(rest) {
            texts.extend([user, password]);
        }
    }
    texts.extend(in_query(query).map(|(_, value)| value));
    texts.iter().filter_map(|text| PresentedKey::parse(text)).collect()
}

/// User name and password of HTTP Basic.
fn basic(encoded: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// The text of a header. Other cookies in it may hold any bytes, and a damaged credential is wrong rather than absent.
fn lenient(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// Of all headers those that carry a bearer's token or key.
pub(crate) fn bearer(headers: &HeaderMap) -> HeaderMap {
    let all = headers.get_all(AUTHORIZATION).iter();
    let is_bearer = |value: &&HeaderValue| {
        lenient(value)
            .split_once(' ')
            .is_some_and(|(scheme, rest)| scheme.eq_ignore_ascii_case("bearer") && !rest.trim().is_empty())
    };
    all.filter(is_bearer).map(|value| (AUTHORIZATION, value.clone())).collect()
}

/// The value of `Authorization`: a bearer's token or key, or a key as the user name of HTTP Basic.
fn authorization(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let (user, _) = basic(rest.trim())?;
        return (!user.is_empty()).then_some(user);
    }
    None
}
