//! Where a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::FromRequestParts;
use http::Extensions;
use http::request::Parts;

/// The address that a request comes from: by API Gateway in the cloud, by the connection on a laptop. `X-Forwarded-For`
/// is ignored, since a client can send any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Source(pub Option<IpAddr>);

impl Source {
    /// The source of a request.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().copied().unwrap_or_default()
    }

    /// The name under which attempts are counted. Of an IPv6 address only the network counts, since whoever has one address
    /// has 2^64 of them.
    pub fn subject(self) -> String {
        match self.0 {
            None => "unknown".to_owned(),
            Some(IpAddr::V4(ip)) => ip.to_string(),
            Some(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
                Some(ip) => ip.to_string(),
                None => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).to_string(),
            },
        }
    }
}

/// The address that a visitor has by what servers in front of Tally say: the first public one of `X-Forwarded-For`.
///
/// Anyone may have written it. So it only tells visitors apart and names their country, which a sender may also do by another
/// `User-Agent`; it never limits or permits anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Claimed(pub Option<IpAddr>);

impl Claimed {
    /// Reads a list of addresses, that of the visitor first. Addresses of private networks are passed over, since a proxy may
    /// have written them.
    pub fn read(list: &str) -> Self {
        Self(list.split(',').filter_map(address).find(is_public))
    }

    /// What a request claims. A server that takes `X-Forwarded-For` away puts it into the extensions before.
    pub fn of(parts: &Parts) -> Self {
        let of_header = || {
            let values = parts.headers.get_all("x-forwarded-for").iter();
            Self::read(&values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(","))
        };
        parts.extensions.get::<Self>().copied().unwrap_or_else(of_header)
    }
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|at: SocketAddr| at.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_of_provider = a == 100 && (64..128).contains(&b);
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || is_of_provider)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}

/// The source, in a handler's signature.
impl<S: Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let subject = |ip: &str| Source(ip.parse().ok()).subject();
        assert_eq!(subject("2001:db8:1:2:3::4"), subject("2001:db8:1:2:ffff::1"));
        assert_ne!(subject("2001:db8:1:2::1"), subject("2001:db8:1:3::1"));
        assert_eq!(subject("::ffff:192.0.2.1"), subject("192.0.2.1"));
        assert_ne!(subject("192.0.2.1"), subject("192.0.2.2"));
    }

    #[test]
    fn the_first_public_address_is_the_visitors() {
        for (list, claimed) in [
            ("203.0.113.7, 198.51.100.1", Some("203.0.113.7")),
            ("10.1.2.3, 192.168.0.1, 203.0.113.7", Some("203.0.113.7")),
            ("203.0.113.7:52114", Some("203.0.113.7")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("unknown, fd00::1, ::1, 100.64.0.1", None),
            ("", None),
        ] {
            assert_eq!(Claimed::read(list).0, claimed.map(|text| text.parse().expect("an address")), "{list}");
        }
    }
}
