//! Addresses of pages, as browsers tell them: whole, or relative to their host.

/// The host of an address in lower case, without a port and without `www.`; `None` of a relative one.
pub(super) fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    Some(without_www(host)).filter(|host| !host.is_empty())
}

/// A host in lower case without `www.`.
pub(super) fn without_www(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    host.strip_prefix("www.").map(str::to_owned).unwrap_or(host)
}

/// The path of an address, or of a relative one, without its query. What follows a `#` is a part of it: clients send it only
/// where it tells pages apart.
pub fn path_of(url: &str) -> Option<&str> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?', '#']).map_or("/", |at| &rest[at..]),
        None if url.starts_with('/') => url,
        None => return None,
    };
    if !path.starts_with('/') {
        // `https://shop.example?a=1` and `https://shop.example#/cart`.
        return Some(if path.starts_with('#') { path } else { "/" });
    }
    let before = path.split('#').next().unwrap_or(path);
    match before.find('?') {
        Some(at) => Some(&path[..at]),
        None => Some(path),
    }
}

/// The query of an address, without what follows a `#`.
pub(super) fn query_of(url: &str) -> &str {
    let before = url.split('#').next().unwrap_or(url);
    before.split_once('?').map_or("", |(_, query)| query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_an_address() {
        for (url, path) in [
            ("https://shop.example/cart?step=2", Some("/cart")),
            ("https://shop.example", Some("/")),
            ("https://shop.example?a=/b", Some("/")),
            ("https://shop.example/#/cart", Some("/#/cart")),
            ("/cart?x", Some("/cart")),
            ("cart", None),
            ("", None),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }

    #[test]
    fn a_host_is_told_without_port_user_and_www() {
        for (url, host) in [
            ("https://www.Shop.example:8443/cart", Some("shop.example")),
            ("http://a:b@shop.example?x", Some("shop.example")),
            ("android-app://com.google.android.gm/", Some("com.google.android.gm")),
            ("http://[2001:db8::1]:80/", Some("[2001:db8::1]")),
            ("https://", None),
            ("/cart", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }
}
