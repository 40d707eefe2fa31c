//! What ends a command, as one line for people.

use std::io;
use std::path::PathBuf;

use super::profile::{DEFAULT, ProfileError};

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The options do not go together, or something is missing that only the user knows.
    #[error("{0}")]
    Usage(String),
    /// There is no Tally to ask.
    #[error(
        "no Tally runs here, and there is no data in {}: start one with `tally serve`, name the folder of its data with --data \
         DIR, or ask a deployed one (`tally login --url URL`)",
        .0.display()
    )]
    Nowhere(PathBuf),
    /// The data of this machine.
    #[error("{0}")]
    Local(String),
    /// Nobody answers.
    #[error("cannot reach {0}: {1}")]
    Unreachable(String, String),
    /// Somebody else answers.
    #[error("{0} does not answer as a Tally does: is its address right?")]
    NoTally(String),
    /// The server said no.
    #[error("{detail}")]
    Refused {
        /// The status.
        status: u16,
        /// What to change.
        detail: String,
    },
    /// A session of a profile is over.
    #[error("the session has ended: run `tally login{}`", of_profile(.0))]
    SessionEnded(String),
    /// Nothing was sent that says who asks.
    #[error("the server wants to know who asks: run `tally login`, or set TALLY_KEY")]
    NoCredential,
    /// The file of profiles.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// TLS cannot be used.
    #[error("cannot read the certificates that this system trusts: {0}")]
    Certificates(io::Error),
    /// The URL or a header cannot be sent.
    #[error("cannot ask that: {0}")]
    Request(#[from] http::Error),
    /// Standard output or a file.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A file.
    #[error("cannot use {}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// A person said no.
    #[error("nothing was changed")]
    Declined,
}

fn of_profile(name: &str) -> String {
    if name == DEFAULT { String::new() } else { format!(" --profile {name}") }
}

impl CliError {
    /// Whether only the reader of the output went away, as `head` does.
    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether the same question may be answered later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(..) => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502..=504),
            _ => false,
        }
    }
}
