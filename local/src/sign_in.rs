//! Links that sign in the admin of this machine: a start prints one, and `tally sign-in` another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tally_service::auth::sign_in_code::{LIFETIME, make};
use tally_service::context::Context;
use tally_store::{Connection, StoreError, connect};

use crate::embedded::{Embedded, OpenError};
use crate::first_start::ADMIN;
use crate::server::{DATA, StartError, config, context};

/// Which Tally to sign in to.
#[derive(clap::Args)]
pub struct SignIn {
    /// The folder that keeps the data of the Tally that runs, by default `.tally`.
    #[arg(long, env = "TALLY_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Nothing is served.
    #[error("no Tally serves the data in {0}: start one with `cargo run`, which prints a link")]
    NotServed(PathBuf),
    /// Other users sign in, or nothing is served.
    #[error(
        "the Tally that has the data in {0} open serves no page, or has users of its own (TALLY_USERS), who sign in with \
         POST /auth"
    )]
    NotOurs(PathBuf),
}

/// The beginning of the links to a server. A browser reaches what listens on all addresses, or on those of this machine
/// alone, as `localhost`.
pub(crate) fn page(scheme: &str, address: SocketAddr) -> String {
    let is_here = address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) || address.ip().is_unspecified();
    if is_here { format!("{scheme}://localhost:{}", address.port()) } else { format!("{scheme}://{address}") }
}

/// Two lines with a new link to a path of a server, such as `/` or `/?app=shop`.
pub(crate) async fn link(context: &Context, server: &str, path: &str) -> Result<String, StoreError> {
    let code = make(&context.store, ADMIN, context.clock.now()).await?;
    let minutes = LIFETIME.as_seconds() / 60;
    let joint = if path.contains('?') { '&' } else { '?' };
    Ok(format!(
        "Open the page, signed in as {ADMIN} (once, within {minutes} minutes):\n  {server}{path}{joint}sign_in={code}\n"
    ))
}

/// Prints a link to the Tally that runs.
pub async fn run(sign_in: SignIn) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let folder = sign_in.data.as_deref().unwrap_or(Path::new(DATA));
    if !Embedded::is_in(folder) {
        return Err(StartError::NoData(folder.to_owned(), sign_in.data.is_some()).into());
    }
    let door = match Embedded::open(folder) {
        Ok(_) => return Err(SignInError::NotServed(folder.to_owned()).into()),
        Err(OpenError::InUse { door, .. }) => door,
        Err(error) => return Err(error.into()),
    };
    let not_ours = || SignInError::NotOurs(folder.to_owned());
    let door = door.ok_or_else(not_ours)?;
    let page = door.page.clone().ok_or_else(not_ours)?;
    let config = config()?;
    let store = connect(Connection::Embedded(door.client()), config.tables.clone());
    print!("{}", link(&context(store, config), &page, "/").await?);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_what_a_browser_reaches() {
        for (address, expected) in [
            ("127.0.0.1:3000", "http://localhost:3000"),
            ("0.0.0.0:80", "http://localhost:80"),
            ("[::]:80", "http://localhost:80"),
            ("127.0.0.2:80", "http://127.0.0.2:80"),
            ("[::1]:80", "http://[::1]:80"),
            ("10.0.0.1:80", "http://10.0.0.1:80"),
        ] {
            assert_eq!(page("http", address.parse().expect("an address")), expected);
        }
    }
}
