//! What tells the country of an address.

use std::net::IpAddr;

use tally_core::web::country::Country;

/// Tells countries, as a database of addresses does.
pub trait Countries: Send + Sync {
    /// The country of an address, if it is known. The address is not kept.
    fn of(&self, address: IpAddr) -> Option<Country>;
}
