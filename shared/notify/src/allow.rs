//! The targets that may be private or plain http.

use std::str::FromStr;

use url::Url;

/// The targets that a channel may reach although they are private or speak plain http, for development. Empty by
/// default. Read from a comma-separated list of `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<(String, u16)>);

/// An entry of an allow list is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not host:port: write a comma-separated list such as `localhost:9000,[::1]:9001`")]
pub struct AllowError(String);

impl AllowList {
    /// Whether the list names the host and the port of `url`. A port that the URL leaves out is that of its scheme.
    pub fn contains(&self, url: &Url) -> bool {
        let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) else { return false };
        self.0.iter().any(|(allowed, its_port)| allowed == host && *its_port == port)
    }
}

impl FromStr for AllowList {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(entry).collect::<Result<_, _>>().map(Self)
    }
}

/// Reads `host:port` as a URL would, so that both write a host in the same way.
fn entry(text: &str) -> Result<(String, u16), AllowError> {
    let read = || {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
        let url = Url::parse(&format!("http://{host}/")).ok()?;
        let bare = url.path() == "/" && url.port().is_none() && url.username().is_empty() && url.query().is_none();
        let host = url.host_str().filter(|_| bare && !host.contains('@'))?;
        Some((host.to_owned(), port))
    };
    read().ok_or_else(|| AllowError(text.chars().take(100).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, url: &str) -> bool {
        list.parse::<AllowList>().expect("a list").contains(&Url::parse(url).expect("a URL"))
    }

    #[test]
    fn a_list_allows_its_hosts_at_their_ports_alone() {
        assert!(allows("localhost:9000", "http://localhost:9000/hook"));
        assert!(allows(" LocalHost:9000 , [::1]:80,", "http://[0:0::1]/hook"));
        assert!(allows("127.0.0.1:443", "https://127.1/hook"), "a port of the scheme, an address in another form");
        assert!(!allows("localhost:9000", "http://localhost:9001/hook"));
        assert!(!allows("localhost:9000", "http://localhost.:9000/hook"));
        assert!(!allows("", "http://localhost:9000/hook"));
    }

    #[test]
    fn an_entry_that_is_no_host_and_port_is_named() {
        for wrong in [
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:99999",
            ":80",
            "http://a:80",
            "a@b:80",
            "a/b:80",
            "::1:x",
        ] {
            let error = format!("good:1,{wrong}").parse::<AllowList>().expect_err(wrong);
            assert_eq!(error, AllowError(wrong.to_owned()));
        }
    }
}
