//! Visitors without cookies: an id for each address, browser and site, which lasts for a UTC day.
//!
//! The id is an HMAC with the salt of the day. Once the salt is deleted, nobody can find the address, not even by trying all
//! of them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ring::hmac::{HMAC_SHA256, Key, sign};

use crate::app::AppId;
use crate::app::key::hex;

/// The bytes of a salt.
pub const SALT_LENGTH: usize = 32;
/// The bytes of an id, and of a signature.
const TAG_LENGTH: usize = 16;

/// The salt of a UTC day.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; SALT_LENGTH]);

/// An id of a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VisitorId(pub [u8; TAG_LENGTH]);

/// Who visits, as a request tells it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The app.
    pub app: &'a AppId,
    /// The site, where the client tells several apart; otherwise empty.
    pub site: &'a str,
    /// The address of the visitor. Of IPv6 only the network counts, since browsers change the rest at will.
    pub address: Option<IpAddr>,
    /// The `User-Agent` of the browser.
    pub user_agent: &'a str,
}

impl Salt {
    /// A new salt.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// A salt of these bytes.
    pub const fn of(bytes: [u8; SALT_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; SALT_LENGTH] {
        &self.0
    }

    /// The id of a visitor.
    pub fn visitor(&self, seen: Seen<'_>) -> VisitorId {
        let address = match seen.address.map(|address| address.to_canonical()) {
            None => vec![],
            Some(IpAddr::V4(address)) => address.octets().to_vec(),
            Some(IpAddr::V6(address)) => network(address),
        };
        VisitorId(self.tag(&[
            b"visitor",
            &address,
            seen.user_agent.as_bytes(),
            seen.app.as_str().as_bytes(),
            seen.site.as_bytes(),
        ]))
    }

    /// A signature of a text for a purpose. It is also a number that nobody can guess without the salt.
    pub fn sign(&self, purpose: &str, text: &[u8]) -> [u8; TAG_LENGTH] {
        self.tag(&[b"signature", purpose.as_bytes(), text])
    }

    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG_LENGTH] {
        let mut text = Vec::new();
        for part in parts {
            // With its length, so that the border between two parts counts.
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        let whole = sign(&Key::new(HMAC_SHA256, &self.0), &text);
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(&whole.as_ref()[..TAG_LENGTH]);
        tag
    }
}

/// The network of an address: whoever has one has 2^64 of them.
fn network(address: Ipv6Addr) -> Vec<u8> {
    address.octets()[..8].to_vec()
}

impl VisitorId {
    /// The session of a visitor without a session of their own: `v` and 32 hexadecimal digits.
    pub fn session_id(self) -> String {
        format!("v{}", hex(&self.0))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::layout::Layout;
    use crate::app::{App, EventClock};
    use crate::time::Timestamp;

    fn app(name: &str) -> AppId {
        App::new(name, EventClock::Event, Layout::new(1, None), Timestamp::EPOCH).expect("a name").id
    }

    #[test]
    fn a_visitor_is_an_address_with_a_browser_on_a_site_on_a_day() {
        let (shop, blog) = (app("shop"), app("blog"));
        let (today, tomorrow) = (Salt::of([1; SALT_LENGTH]), Salt::of([2; SALT_LENGTH]));
        let seen = |app, site, address: &str, user_agent| {
            today.visitor(Seen { app, site, address: address.parse().ok(), user_agent }).session_id()
        };
        let one = seen(&shop, "", "192.0.2.1", "Firefox");
        assert!(one.starts_with('v') && one.len() == 33, "{one}");
        assert_eq!(one, seen(&shop, "", "::ffff:192.0.2.1", "Firefox"));
        for other in [
            seen(&shop, "", "192.0.2.2", "Firefox"),
            seen(&shop, "", "192.0.2.1", "Chrome"),
            seen(&shop, "shop.example", "192.0.2.1", "Firefox"),
            seen(&blog, "", "192.0.2.1", "Firefox"),
            seen(&shop, "", "unknown", "Firefox"),
            tomorrow
                .visitor(Seen { app: &shop, site: "", address: "192.0.2.1".parse().ok(), user_agent: "Firefox" })
                .session_id(),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(seen(&shop, "", "2001:db8:1:2:3::4", "Firefox"), seen(&shop, "", "2001:db8:1:2:ffff::1", "Firefox"));
        assert_ne!(seen(&shop, "", "2001:db8:1:2::1", "Firefox"), seen(&shop, "", "2001:db8:1:3::1", "Firefox"));
    }

    #[test]
    fn borders_between_parts_count() {
        let salt = Salt::of([1; SALT_LENGTH]);
        assert_ne!(salt.sign("ab", b"c"), salt.sign("a", b"bc"));
    }

    #[test]
    fn a_salt_does_not_show() {
        assert_eq!(format!("{:?}", Salt::random()), "Salt(…)");
    }
}
