//! A database of addresses in `MaxMind`'s format, which tells the countries of visitors.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, PathElement, Reader};
use tally_core::web::country::Country;
use tally_service::countries::Countries;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoIpError {
    /// It cannot be read.
    #[error(
        "TALLY_GEOIP: {}: {error}. Name a database in MaxMind's format that has countries, such as GeoLite2-Country.mmdb, or leave it out",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: MaxMindDbError,
    },
    /// It is about something else.
    #[error(
        "TALLY_GEOIP: {}: a database of the type {kind:?} has no countries. Name one that has, such as GeoLite2-Country.mmdb",
        path.display()
    )]
    NoCountries {
        /// The file.
        path: PathBuf,
        /// What it says that it is.
        kind: String,
    },
}

/// Reads the database of a file into memory.
///
/// # Errors
/// Where it cannot be read or has no countries.
pub fn read(path: &Path) -> Result<Box<dyn Countries>, GeoIpError> {
    let reader =
        Reader::open_readfile(path).map_err(|error| GeoIpError::Unreadable { path: path.to_owned(), error })?;
    let kind = reader.metadata().database_type.clone();
    let has_countries = ["country", "city", "enterprise", "location"];
    if !has_countries.iter().any(|word| kind.to_ascii_lowercase().contains(word)) {
        return Err(GeoIpError::NoCountries { path: path.to_owned(), kind });
    }
    Ok(Box::new(GeoIp(reader)))
}

struct GeoIp(Reader<Vec<u8>>);

impl Countries for GeoIp {
    fn of(&self, address: IpAddr) -> Option<Country> {
        let found = self.0.lookup(address).ok()?;
        // That of MaxMind and DB-IP, then those of others.
        let places: [&[PathElement<'_>]; 3] = [
            &[PathElement::Key("country"), PathElement::Key("iso_code")],
            &[PathElement::Key("country_code")],
            &[PathElement::Key("country")],
        ];
        places.iter().find_map(|place| Country::parse(found.decode_path::<&str>(place).ok()??))
    }
}
