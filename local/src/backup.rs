//! `tally backup` and `tally restore`: the data of this machine in one file, also while a Tally has it open.
//!
//! A backup is a tar archive, compressed by zstd, so that other programs can open it too. Its last entry is a manifest with the
//! SHA-256 of each other entry: an archive that was cut off has none.

mod archive;
mod make;
mod restore;

pub use make::Backup;
pub use restore::Restore;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

/// Why there is no backup, or why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The database cannot be read or written.
    #[error("cannot read the database {0}: {1}")]
    Database(PathBuf, rusqlite::Error),
    /// The database is damaged.
    #[error("the database {0} is damaged: {1}; nothing was made of it")]
    Damaged(PathBuf, String),
    /// The file of the backup exists.
    #[error("{0} exists: name another file, or send --force to replace it")]
    Exists(PathBuf),
    /// The folder that is restored to holds data.
    #[error("{0} holds {1} already: move it away, or name another folder with --data DIR")]
    HasData(PathBuf, String),
    /// What is restored is no backup, or not a whole one.
    #[error("{0} is no whole backup of Tally: {1}; nothing was restored")]
    NotWhole(PathBuf, String),
    /// A newer program made the backup.
    #[error(
        "Tally {made_by} made {file} in a newer format: restore it with that version or a later one; nothing was restored"
    )]
    Newer {
        /// The backup.
        file: PathBuf,
        /// The version of the program that made it.
        made_by: String,
    },
    /// It is restored, and counters differ from events.
    #[error("restored, but {0}")]
    Differs(String),
}

fn of_file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.into();
    move |error| BackupError::File(path, error)
}

/// Progress in bytes, shown on a terminal alone.
fn progress(bytes: u64, what: &'static str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // The template is right: a test draws it.
    let style = ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style).with_message(what)
}

const STYLE: &str = "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left";

/// A number of bytes for people.
fn told(bytes: u64) -> impl std::fmt::Display {
    indicatif::HumanBytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_can_be_drawn() {
        assert!(ProgressStyle::with_template(STYLE).is_ok());
    }
}
