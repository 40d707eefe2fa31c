//! The options that all commands have, and what they lead to.

use super::error::CliError;
use super::out::{Out, Output};
use super::place::{Place, Which};
use super::profile::{Profiles, file};
use super::remote::Tally;

/// How every command is asked.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Common {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
}

impl Common {
    /// The Tally that is asked.
    pub(super) async fn tally(&self) -> Result<Tally, CliError> {
        open(&self.which).await
    }

    /// Standard output, as the options want it.
    pub(super) fn out(&self) -> Out {
        Out::new(&self.output)
    }
}

/// A variable of the environment.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn place(which: &Which) -> Result<Place, CliError> {
    which.place(variable, || Ok(Profiles::read(&file(variable)?)?))
}

/// The Tally that options, environment and profiles name.
async fn open(which: &Which) -> Result<Tally, CliError> {
    Tally::at(place(which)?).await
}

impl Tally {
    /// The Tally that options name; without them the one of this machine, whatever the profiles say.
    pub(crate) async fn named(which: &Which) -> Result<Self, CliError> {
        if which.is_elsewhere() {
            return open(which).await;
        }
        let folder =
            which.data.clone().or_else(|| variable("TALLY_DATA").filter(|data| !data.is_empty()).map(Into::into));
        Self::at(Place::Local(folder)).await
    }
}

/// The URL and the credential that options name for an import.
pub(crate) fn named(which: &Which) -> Result<(String, Option<String>), Box<dyn std::error::Error>> {
    match place(which)? {
        Place::Remote { url, credential, .. } => Ok((url, credential.secret().map(str::to_owned))),
        Place::Local(_) => Err("--url or --profile names another Tally".into()),
    }
}
