//! Which Tally a command asks, by its options, the environment and the file of profiles.

use std::net::IpAddr;
use std::path::PathBuf;

use super::error::CliError;
use super::profile::{Profiles, Session};

/// Which Tally to ask.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which Tally")]
pub(crate) struct Which {
    /// The Tally at this URL [env: `TALLY_URL`]
    #[arg(long, global = true, value_name = "URL", conflicts_with_all = ["profile", "folder"])]
    pub(super) url: Option<String>,
    /// A key of an app or an access token for the URL, better in the variable `TALLY_KEY`: other users of this machine may
    /// see options
    #[arg(long, global = true, value_name = "KEY", conflicts_with = "folder")]
    pub(super) key: Option<String>,
    /// The Tally of this profile, which `tally login` made [env: `TALLY_PROFILE`]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "folder")]
    pub(super) profile: Option<String>,
    /// The Tally on this machine that keeps its data in this folder, by default `.tally` [env: `TALLY_DATA`]
    // An id of its own: that of the server's option has a default, which clap would hand down.
    #[arg(id = "folder", long = "data", global = true, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Sends keys over plain HTTP to another machine, where everybody on the way can read them
    #[arg(long, global = true)]
    pub(super) insecure_http: bool,
}

/// What says who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// Nothing.
    None,
    /// A key, or a token of unknown origin.
    Key(String),
    /// The session of a profile.
    Session(Session),
}

impl Credential {
    /// What is sent.
    pub(super) fn secret(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Key(key) => Some(key),
            Self::Session(session) => Some(&session.token),
        }
    }
}

/// Where a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Options or the environment.
    Given,
    /// A profile.
    Profile(String),
    /// The data of this machine.
    Local,
}

/// The Tally to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The one on this machine with its data in a folder.
    Local(Option<PathBuf>),
    /// One at a URL.
    Remote {
        /// The beginning of all addresses, without a slash at its end.
        url: String,
        /// Who asks.
        credential: Credential,
        /// Where that comes from.
        origin: Origin,
    },
}

impl Which {
    /// The Tally of a profile.
    pub(crate) fn of_profile(name: &str) -> Self {
        Self { profile: Some(name.to_owned()), ..Self::default() }
    }

    /// Whether options name another Tally than the one on this machine.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.url.is_some() || self.profile.is_some()
    }

    /// The Tally to ask: options first, then the environment, then the profile by default, and else this machine's.
    pub(super) fn place(
        &self,
        variable: impl Fn(&str) -> Option<String>,
        profiles: impl FnOnce() -> Result<Profiles, CliError>,
    ) -> Result<Place, CliError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if self.data.is_some() {
            return Ok(Place::Local(self.data.clone()));
        }
        let url = self.url.clone().or_else(|| if self.profile.is_some() { None } else { variable("TALLY_URL") });
        if let Some(url) = url {
            let url = self.checked(&url)?;
            if let Some(key) = self.key.clone().or_else(|| variable("TALLY_KEY")) {
                return Ok(Place::Remote { url, credential: Credential::Key(key), origin: Origin::Given });
            }
            // Who has signed in to this URL need not say it again.
            let known = profiles()?.profile.into_iter().find(|(_, profile)| profile.url == url);
            return Ok(match known {
                Some((name, profile)) => {
                    Place::Remote { url, credential: of(profile.key, profile.session), origin: Origin::Profile(name) }
                }
                None => Place::Remote { url, credential: Credential::None, origin: Origin::Given },
            });
        }
        let profiles = profiles()?;
        let named = self.profile.clone().or_else(|| variable("TALLY_PROFILE"));
        let Some(name) = named.or_else(|| profiles.default_name().map(str::to_owned)) else {
            return match &self.key {
                Some(_) => {
                    Err(CliError::Usage("--key needs the Tally that it is of: --url URL, or --profile NAME".to_owned()))
                }
                None => Ok(Place::Local(variable("TALLY_DATA").map(PathBuf::from))),
            };
        };
        let Some(profile) = profiles.profile.get(&name) else {
            let known = profiles.profile.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are {known}") };
            return Err(CliError::Usage(format!(
                "there is no profile `{name}` ({known}): `tally login --profile {name} --url URL` makes it"
            )));
        };
        let url = self.checked(&profile.url)?;
        Ok(match &self.key {
            Some(key) => Place::Remote { url, credential: Credential::Key(key.clone()), origin: Origin::Given },
            None => Place::Remote {
                url,
                credential: of(profile.key.clone(), profile.session.clone()),
                origin: Origin::Profile(name),
            },
        })
    }

    /// A URL as it is kept. Keys go over plain HTTP to this machine alone, unless somebody asks for it.
    pub(super) fn checked(&self, url: &str) -> Result<String, CliError> {
        let no_url = || CliError::Usage(format!("{url:?} is no URL such as https://tally.example"));
        let uri: http::Uri = url.parse().map_err(|_| no_url())?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(no_url());
        };
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(no_url());
        }
        let host = uri.host().unwrap_or_default();
        if scheme == "http" && !is_this_machine(host) && !self.insecure_http {
            return Err(CliError::Usage(format!(
                "http://{host} would send keys in the clear: use https, or add --insecure-http if you trust the whole way"
            )));
        }
        Ok(url.trim_end_matches('/').to_owned())
    }
}

fn of(key: Option<String>, session: Option<Session>) -> Credential {
    let of_session = || session.map_or(Credential::None, Credential::Session);
    key.map_or_else(of_session, Credential::Key)
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::profile::Profile;
    use super::*;

    fn profiles() -> Profiles {
        let prod = Profile { url: "https://prod.example".to_owned(), key: Some("prod key".to_owned()), session: None };
        let test = Profile { url: "http://127.0.0.1:3000".to_owned(), key: None, session: None };
        let profile = [("prod".to_owned(), prod), ("test".to_owned(), test)].into();
        Profiles { default: Some("test".to_owned()), profile }
    }

    fn place(which: &Which, set: &[(&str, &str)], profiles: Profiles) -> Result<Place, CliError> {
        let variable = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        which.place(variable, || Ok(profiles))
    }

    fn remote(url: &str, credential: Credential, origin: Origin) -> Place {
        Place::Remote { url: url.to_owned(), credential, origin }
    }

    #[test]
    fn options_come_first_then_variables_then_the_default_profile_then_this_machine() {
        let key = |key: &str| Credential::Key(key.to_owned());
        let of_profile = |name: &str| Origin::Profile(name.to_owned());
        let text = |text: &str| Some(text.to_owned());
        let environment = [("TALLY_URL", "https://env.example/"), ("TALLY_KEY", "env key"), ("TALLY_PROFILE", "prod")];
        for (which, set, expected) in [
            (Which { data: Some("d".into()), ..Which::default() }, &environment[..], Place::Local(Some("d".into()))),
            (
                Which { url: text("https://a.example/tally/"), key: text("k"), ..Which::default() },
                &environment[..],
                remote("https://a.example/tally", key("k"), Origin::Given),
            ),
            (
                Which { profile: text("prod"), ..Which::default() },
                &environment[..],
                remote("https://prod.example", key("prod key"), of_profile("prod")),
            ),
            (
                Which { profile: text("prod"), key: text("k"), ..Which::default() },
                &[][..],
                remote("https://prod.example", key("k"), Origin::Given),
            ),
            (Which::default(), &environment[..], remote("https://env.example", key("env key"), Origin::Given)),
            (Which::default(), &environment[2..], remote("https://prod.example", key("prod key"), of_profile("prod"))),
            (Which::default(), &[][..], remote("http://127.0.0.1:3000", Credential::None, of_profile("test"))),
            (
                Which { url: text("https://prod.example/"), ..Which::default() },
                &[][..],
                remote("https://prod.example", key("prod key"), of_profile("prod")),
            ),
            // A key of the environment goes to no Tally but the one that was named with it.
            (
                Which { profile: text("test"), ..Which::default() },
                &environment[1..2],
                remote("http://127.0.0.1:3000", Credential::None, of_profile("test")),
            ),
        ] {
            assert_eq!(place(&which, set, profiles()).expect("a place"), expected, "{which:?} {set:?}");
        }
        let here = place(&Which::default(), &[("TALLY_DATA", "d")], Profiles::default());
        assert_eq!(here.expect("a place"), Place::Local(Some("d".into())));
        let unknown = Which { profile: text("nope"), ..Which::default() };
        let said = place(&unknown, &[], profiles()).expect_err("unknown").to_string();
        assert!(said.contains("`prod`, `test`"), "{said}");
    }

    #[test]
    fn keys_stay_off_open_networks() {
        let which = Which::default();
        for url in ["https://tally.example", "http://localhost:3000", "http://127.1.2.3", "http://[::1]:80/tally"] {
            assert_eq!(which.checked(url).expect(url), url);
        }
        for url in
            ["http://tally.example", "http://10.0.0.1", "ftp://a.example", "tally.example", "https://a@b.example", ""]
        {
            assert!(which.checked(url).is_err(), "{url}");
        }
        let insecure = Which { insecure_http: true, ..Which::default() };
        assert!(insecure.checked("http://tally.example").is_ok());
    }
}
