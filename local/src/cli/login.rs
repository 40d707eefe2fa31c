//! `tally login` and `tally logout`.

use std::process::ExitCode;

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask_person::{is_there, line, secret, secret_of_stdin};
use super::common::variable;
use super::error::CliError;
use super::out::{Out, Output};
use super::parts::text;
use super::place::Which;
use super::place::{Credential, Origin, Place};
use super::profile::{DEFAULT, Profile, Profiles, Session, file};
use super::remote::Tally;
use super::text::harmless;
use super::zone::Zone;

/// Where to sign in, and as whom.
#[derive(clap::Args)]
#[allow(clippy::struct_excessive_bools)] // options
pub struct Login {
    /// The address of the Tally; needed the first time [env: `TALLY_URL`]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The name under which it is kept; `default` without one [env: `TALLY_PROFILE`]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Takes this profile where none is named; the first one is taken anyway
    #[arg(long)]
    default: bool,
    /// The user; asked for without it
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Reads the password, or the token of GitHub, from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Signs in with a personal token of GitHub in place of a password
    #[arg(long, conflicts_with = "user")]
    github: bool,
    /// Keeps a key of an app in place of a session; `-` reads it from standard input, so that other users of this machine do not see it
    #[arg(long, value_name = "KEY", conflicts_with_all = ["user", "password_stdin", "github"])]
    key: Option<String>,
    /// Signs in over plain HTTP to another machine, where everybody on the way can read the password
    #[arg(long)]
    insecure_http: bool,
    #[command(flatten)]
    output: Output,
}

/// What to forget.
#[derive(clap::Args)]
pub struct Logout {
    /// The profile, by default that which is taken where none is named [env: `TALLY_PROFILE`]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Deserialize)]
struct SignedIn {
    token: String,
    user: String,
    role: String,
    expires_at: String,
}

impl Login {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let path = file(variable)?;
        let mut profiles = Profiles::read(&path)?;
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let name = self.profile.clone().or_else(|| set("TALLY_PROFILE"));
        let name = name.unwrap_or_else(|| {
            // Without an address the session of the usual profile is made anew.
            let usual = if self.url.is_none() { profiles.default_name() } else { None };
            usual.unwrap_or(DEFAULT).to_owned()
        });
        let known = profiles.profile.get(&name).map(|profile| profile.url.clone());
        let url = self.url.clone().or(known).or_else(|| set("TALLY_URL"));
        let url = url.ok_or_else(|| {
            CliError::Usage(format!("there is no profile `{name}` yet: --url URL says where its Tally is"))
        })?;
        let url = Which { insecure_http: self.insecure_http, ..Which::default() }.checked(&url)?;
        let mut out = Out::new(&self.output);
        let profile = match &self.key {
            Some(key) => with_key(&url, key, &mut out).await?,
            None => self.with_session(&url, &mut out).await?,
        };
        profiles.profile.insert(name.clone(), profile);
        if self.default || profiles.default_name().is_none() {
            profiles.default = Some(name.clone());
        }
        profiles.write(&path)?;
        let usual = if profiles.default_name() == Some(&*name) { "" } else { "; --profile names it" };
        out.note(&format!("Kept as the profile `{name}` in {}{usual}.", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn with_session(&self, url: &str, out: &mut Out) -> Result<Profile, CliError> {
        if !self.password_stdin && !is_there() {
            let what = "there is no terminal to ask for a password: --password-stdin reads it from standard input";
            return Err(CliError::Usage(what.to_owned()));
        }
        let user = match &self.user {
            _ if self.github => None,
            Some(user) => Some(user.clone()),
            None if self.password_stdin => {
                return Err(CliError::Usage("--password-stdin needs --user NAME".to_owned()));
            }
            None => Some(line("User: ").await?.trim().to_owned()),
        };
        let password = if self.password_stdin {
            secret_of_stdin().await?
        } else {
            secret(if self.github { "Token of GitHub: " } else { "Password: " }).await?
        };
        let body = match user {
            Some(user) => json!({"username": user, "password": password}),
            None => json!({"token": password.trim()}),
        };
        let tally = at(url, Credential::None).await?;
        let reply = tally.change(Method::POST, "/auth", Some(&body)).await?;
        let signed_in: SignedIn = tally.parsed(&reply)?;
        let expires_at: Timestamp = signed_in.expires_at.parse().map_err(|_| CliError::NoTally(url.to_owned()))?;
        out.note(&format!(
            "Signed in to {url} as {} ({}) until {}, and for up to 12 hours while it is used.",
            harmless(&signed_in.user),
            harmless(&signed_in.role),
            Zone::of(None)?.show_at(expires_at, "%H:%M")
        ))?;
        let session = Session::new(signed_in.user, signed_in.token, tally.now(), expires_at);
        Ok(Profile { url: url.to_owned(), key: None, session: Some(session) })
    }
}

/// Checks a key, and makes a profile of it.
async fn with_key(url: &str, key: &str, out: &mut Out) -> Result<Profile, CliError> {
    let key = if key == "-" { secret_of_stdin().await? } else { key.to_owned() };
    let key = key.trim().to_owned();
    let tally = at(url, Credential::Key(key.clone())).await?;
    let who: Value = tally.read("/auth", &[]).await?;
    let scopes = who["scopes"].as_array().map(|scopes| scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    match scopes {
        Some(scopes) => {
            out.note(&format!("A key of the app `{}` of {url}: {}.", text(&who, "app"), harmless(&scopes.join(", "))))?;
        }
        None => out.note(&format!("A token of {} ({}) of {url}.", text(&who, "user"), text(&who, "role")))?,
    }
    Ok(Profile { url: url.to_owned(), key: Some(key), session: None })
}

async fn at(url: &str, credential: Credential) -> Result<Tally, CliError> {
    Tally::at(Place::Remote { url: url.to_owned(), credential, origin: Origin::Given }).await
}

impl Logout {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let path = file(variable)?;
        let mut profiles = Profiles::read(&path)?;
        let named = self.profile.clone().or_else(|| variable("TALLY_PROFILE").filter(|name| !name.is_empty()));
        let name = named.or_else(|| profiles.default_name().map(str::to_owned)).unwrap_or_else(|| DEFAULT.to_owned());
        let Some(profile) = profiles.profile.remove(&name) else {
            return Err(CliError::Usage(format!("there is no profile `{name}`")));
        };
        let mut out = Out::new(&self.output);
        // Forgotten first: whatever the server says, this machine no longer has it.
        let kept = Profile { url: profile.url.clone(), key: None, session: None };
        profiles.profile.insert(name.clone(), kept);
        profiles.write(&path)?;
        if let Some(session) = profile.session {
            let tally = at(&profile.url, Credential::Session(session)).await?;
            match tally.change(Method::DELETE, "/auth", None).await {
                // A session that has ended needs no end.
                Ok(_) | Err(CliError::Refused { status: 401, .. }) => {}
                Err(error) => {
                    return Err(CliError::Local(format!(
                        "the session is forgotten here, but {error}: it ends by itself within 12 hours"
                    )));
                }
            }
        }
        out.note(&format!("Signed out of {} (the profile `{name}`).", profile.url))?;
        Ok(ExitCode::SUCCESS)
    }
}
