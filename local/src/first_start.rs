//! What the first start creates: an admin of this machine, an app `demo`, and example commands for them.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tally_core::app::key::{Scope, hex};
use tally_service::apps::create::NewAppError;
use tally_service::auth::user::Users;
use tally_service::context::Context;

use crate::embedded::private;

/// The file with the generated secrets, readable only by its owner.
const FILE: &str = "this-machine.json";
/// The user with all permissions on this machine.
pub(crate) const ADMIN: &str = "admin";
/// The app for first experiments.
const DEMO: &str = "demo";

/// The secrets of this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The password of the user `admin`.
    pub password: String,
    /// bcrypt hash of the password, stored so that a start need not compute it.
    password_hash: String,
    /// The key that sends events to the app `demo`.
    pub demo_ingest_key: Option<String>,
    /// The key that reads the app `demo`.
    pub demo_read_key: Option<String>,
    /// The path of the file, or `None` without a data folder.
    #[serde(skip)]
    file: Option<PathBuf>,
    /// Whether the secrets were created at this start.
    #[serde(skip)]
    is_new: bool,
}

/// Why the secrets of this machine cannot be created or stored.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The file.
    #[error("cannot keep this machine's keys in {0}: {1}")]
    File(String, std::io::Error),
    /// The password's hash.
    #[error("cannot hash the password: {0}")]
    Hash(#[from] bcrypt::BcryptError),
    /// The app `demo`.
    #[error("cannot make the app `demo`: {0}")]
    Demo(NewAppError),
}

impl Machine {
    /// Loads the secrets from the data folder, or creates them if they do not exist yet.
    pub fn load_or_make(folder: Option<&Path>) -> Result<Self, MachineError> {
        let file = folder.map(|folder| folder.join(FILE));
        let kept = file.as_ref().and_then(|file| std::fs::read(file).ok());
        if let Some(machine) = kept.and_then(|kept| serde_json::from_slice::<Self>(&kept).ok()) {
            return Ok(Self { file, ..machine });
        }
        let password = hex(&rand::random::<[u8; 10]>());
        let machine = Self {
            password_hash: bcrypt::hash(&password, tally_service::auth::user::COST)?,
            password,
            demo_ingest_key: None,
            demo_read_key: None,
            file,
            is_new: true,
        };
        machine.keep()?;
        Ok(machine)
    }

    /// The only user of this machine.
    pub fn users(&self) -> Users {
        let list = serde_json::json!([{"user": ADMIN, "password_hash": self.password_hash, "role": "admin"}]);
        // Its own shape.
        Users::parse(&list.to_string()).unwrap_or_default()
    }

    /// Creates the app `demo`, unless it already exists or another app has that name.
    pub async fn make_demo(&mut self, context: &Context) -> Result<(), MachineError> {
        if self.demo_ingest_key.is_some() {
            return Ok(());
        }
        let new = admin::NewApp { name: DEMO.to_owned(), ..admin::NewApp::default() };
        let (_, keys) = match admin::create_app(&context.apps, new, &[&[Scope::Ingest], &[Scope::Read]]).await {
            Ok(made) => made,
            Err(NewAppError::Taken(_)) => return Ok(()),
            Err(error) => return Err(MachineError::Demo(error)),
        };
        let mut keys = keys.into_iter();
        (self.demo_ingest_key, self.demo_read_key) = (keys.next(), keys.next());
        self.keep()
    }

    fn keep(&self) -> Result<(), MachineError> {
        let Some(file) = &self.file else { return Ok(()) };
        let failed = |e| MachineError::File(file.display().to_string(), e);
        let mut options = private();
        options.write(true).create(true).truncate(true);
        let json = serde_json::to_vec_pretty(self).map_err(|e| failed(e.into()))?;
        options.open(file).and_then(|mut open| open.write_all(&json)).map_err(failed)
    }

    /// What a start prints: example commands with the secrets at the first start, and the location of the secrets
    /// later.
    pub fn welcome(&self, url: &str, own_admin: bool) -> String {
        let sign_in = if own_admin {
            self.sign_in_line(url)
        } else {
            format!("Sign in with POST {url}/auth as one of TALLY_USERS.\n")
        };
        match &self.file {
            Some(file) if !self.is_new => {
                let what = if own_admin { "The password of `admin` and the keys" } else { "The keys" };
                format!("{what} of the app `{DEMO}` are in {}, which only you may read.\n", file.display())
            }
            _ => format!("{}\n{sign_in}", self.try_lines(url)),
        }
    }

    /// The commands to try the app `demo`.
    fn try_lines(&self, url: &str) -> String {
        match (&self.demo_ingest_key, &self.demo_read_key) {
            (Some(ingest), Some(read)) => format!(
                "Send an event:\n  curl -X POST {url}/apps/{DEMO}/events -H 'X-Ingest-Key: {ingest}' \
                 -d '{{\"name\":\"application started\"}}'\n\n\
                 Or from a program with Sentry or OpenTelemetry; docs/clients.md has more:\n  {}\n  {}\n\n\
                 See the day's report:\n  curl '{url}/apps/{DEMO}/reports/day?date=today' -H 'X-Read-Key: {read}'\n",
                sentry_line(url, ingest),
                otlp_line(url, ingest)
            ),
            _ => String::new(),
        }
    }

    /// The command to sign in.
    fn sign_in_line(&self, url: &str) -> String {
        format!(
            "Sign in as admin of this machine:\n  curl -X POST {url}/auth \
             -d '{{\"username\":\"{ADMIN}\",\"password\":\"{}\"}}'\n",
            self.password
        )
    }
}

/// The setting that the SDKs of Sentry read.
fn sentry_line(url: &str, ingest_key: &str) -> String {
    let (scheme, host) = url.split_once("://").unwrap_or(("http", url));
    format!("SENTRY_DSN={scheme}://{ingest_key}@{host}/1")
}

/// The settings that the SDKs of OpenTelemetry read.
fn otlp_line(url: &str, ingest_key: &str) -> String {
    format!(
        "OTEL_EXPORTER_OTLP_ENDPOINT={url} OTEL_EXPORTER_OTLP_HEADERS=x-ingest-key={ingest_key} \
         OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    )
}
