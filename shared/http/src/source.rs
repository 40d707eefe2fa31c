//! Where a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};

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
}
