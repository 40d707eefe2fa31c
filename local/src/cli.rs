//! The commands that ask a Tally: the one on this machine, or a deployed one over HTTP.

mod alerts;
mod apps;
mod ask_person;
mod common;
mod error;
mod events;
mod export;
mod filters;
mod grid;
mod issues;
mod keys;
mod login;
mod out;
mod parts;
mod place;
mod profile;
mod query;
mod remote;
mod report;
mod status;
mod tail;
mod text;
mod zone;

use std::process::ExitCode;

pub(crate) use common::named;
use error::CliError;
pub(crate) use place::Which;
pub(crate) use remote::Tally;

/// The exit code of a wrong use, as of a wrong option.
const USAGE: u8 = 2;
/// The exit code of a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// A question, or an order.
#[derive(clap::Subcommand)]
pub enum Ask {
    /// Signs in to a deployed Tally, and keeps that in a profile.
    Login(login::Login),
    /// Signs out, and forgets what signed in.
    Logout(login::Logout),
    /// Shows events as they come.
    Tail(tail::Tail),
    /// Shows events, the newest first.
    Query(query::QueryEvents),
    /// Counts events: by time, name, level, message or any property.
    Report(report::Report),
    /// Writes all events of an app to a file, as NDJSON or CSV. Goes on where an earlier run was stopped.
    Export(export::Export),
    /// Lists, makes, changes and deletes apps.
    Apps(apps::Apps),
    /// Lists, makes and revokes the keys of an app.
    Keys(keys::Keys),
    /// Lists, switches, tries and deletes alert rules.
    Alerts(alerts::Alerts),
    /// Lists, resolves and ignores issues.
    Issues(issues::Issues),
    /// Tells whether a Tally is well, and what its apps have.
    Status(status::Status),
}

/// Does what was asked.
pub async fn run(ask: Ask) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let stopped = ask.when_stopped();
    let done = tokio::select! {
        biased;
        () = crate::server::end() => {
            if let Some(hint) = stopped {
                eprintln!("\ntally: {hint}");
            }
            // Whatever is under way can be killed at any moment, and a question to a person cannot be taken back.
            std::process::exit(INTERRUPTED);
        }
        done = ask.dispatch() => done,
    };
    end(done)
}

/// What the process ends with.
fn end(done: Result<ExitCode, CliError>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match done {
        Ok(code) => Ok(code),
        // Who closed the pipe has what they want.
        Err(error) if error.is_closed_pipe() => Ok(ExitCode::SUCCESS),
        Err(error @ CliError::Usage(_)) => {
            eprintln!("tally: {error}");
            Ok(ExitCode::from(USAGE))
        }
        Err(error) => Err(error.into()),
    }
}

impl Ask {
    async fn dispatch(self) -> Result<ExitCode, CliError> {
        match self {
            Self::Login(login) => login.run().await,
            Self::Logout(logout) => logout.run().await,
            Self::Tail(tail) => tail.run().await,
            Self::Query(query) => query.run().await,
            Self::Report(report) => report.run().await,
            Self::Export(export) => export.run().await,
            Self::Apps(apps) => apps.run().await,
            Self::Keys(keys) => keys.run().await,
            Self::Alerts(alerts) => alerts.run().await,
            Self::Issues(issues) => issues.run().await,
            Self::Status(status) => status.run().await,
        }
    }

    /// What to say when Ctrl-C stops it.
    fn when_stopped(&self) -> Option<&'static str> {
        match self {
            Self::Export(export) => export.when_stopped(),
            _ => None,
        }
    }
}
