//! A file that is not complete yet: `FILE.part`, and beside it `FILE.part.json`, which says how far it is.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::error::CliError;

/// How far an export is. What it says is on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// What is exported: the Tally, the app and the parameters.
    pub(super) question: String,
    /// The cursor of the next page.
    pub(super) next: Option<String>,
    /// Whether there is none.
    pub(super) done: bool,
    /// Bytes that are written.
    pub(super) bytes: u64,
    /// Events that are written.
    pub(super) events: u64,
    /// The time of the first of them.
    pub(super) first: Option<String>,
    /// The time of the last of them.
    pub(super) last: Option<String>,
    /// The head of a file of CSV.
    pub(super) fields: Option<Vec<String>>,
}

/// A file under way.
pub(super) struct Part {
    /// How far it is.
    pub(super) state: State,
    /// The place of the whole file.
    file: PathBuf,
    path: PathBuf,
    note: PathBuf,
    open: File,
}

impl Part {
    /// Begins a file, or goes on with what an earlier export of the same left. With `force` it begins anew, whatever is there.
    pub(super) fn open(file: &Path, question: &str, force: bool) -> Result<Self, CliError> {
        let (part, note) = (beside(file, ".part"), beside(file, ".part.json"));
        let failed = |path: &Path| {
            let file = path.to_owned();
            move |error| CliError::File { file, error }
        };
        if file.exists() && !force {
            return Err(CliError::Usage(format!("{} is there already: --force replaces it", file.display())));
        }
        let mut options = private();
        let mut open =
            options.create(true).truncate(false).read(true).write(true).open(&part).map_err(failed(&part))?;
        match open.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(CliError::Local(format!("another export writes {} at present", part.display())));
            }
            // Some file systems know no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let kept = if force { None } else { read(&note).map_err(failed(&note))? };
        let length = open.metadata().map_err(failed(&part))?.len();
        let state = match kept {
            None => State::default(),
            Some(kept) if kept.question != question => {
                return Err(CliError::Usage(format!(
                    "{} is part of another export ({}): --force begins anew",
                    part.display(),
                    kept.question
                )));
            }
            Some(kept) if length < kept.bytes => {
                return Err(CliError::Usage(format!(
                    "{} has lost some of what was written to it: --force begins anew",
                    part.display()
                )));
            }
            Some(kept) => kept,
        };
        let state = State { question: question.to_owned(), ..state };
        open.set_len(state.bytes).map_err(failed(&part))?;
        open.seek(SeekFrom::Start(state.bytes)).map_err(failed(&part))?;
        if state.bytes == 0 {
            remove(&note).map_err(failed(&note))?;
        }
        Ok(Self { state, file: file.to_owned(), path: part, note, open })
    }

    /// Adds a page. The note is written once the page is on the disk: it never says more than there is.
    pub(super) fn add(&mut self, page: &[u8], state: &State) -> Result<(), CliError> {
        let failed = |error| CliError::File { file: self.path.clone(), error };
        self.open.write_all(page).map_err(failed)?;
        self.open.sync_data().map_err(failed)?;
        write(&self.note, state).map_err(|error| CliError::File { file: self.note.clone(), error })?;
        self.state = state.clone();
        Ok(())
    }

    /// Puts the file in its place.
    pub(super) fn finish(self) -> Result<(), CliError> {
        let failed = |error| CliError::File { file: self.file.clone(), error };
        self.open.sync_all().map_err(failed)?;
        drop(self.open);
        fs::rename(&self.path, &self.file).map_err(failed)?;
        remove(&self.note).map_err(failed)?;
        #[cfg(unix)]
        if let Ok(folder) =
            File::open(self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
        {
            // The file is complete; only its name may be lost with the power.
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

/// Events are nobody else's to read.
fn private() -> fs::OpenOptions {
    #[allow(unused_mut)] // on Windows
    let mut options = File::options();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The note; none where there is none, or one that was never complete.
fn read(note: &Path) -> io::Result<Option<State>> {
    match fs::read(note) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the note, so that it is the old one or the new one at each moment.
fn write(note: &Path, state: &State) -> io::Result<()> {
    let folder = note.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(&serde_json::to_vec(state)?)?;
    temporary.as_file().sync_all()?;
    temporary.persist(note).map_err(|error| error.error)?;
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(question: &str, bytes: u64) -> State {
        State { question: question.to_owned(), next: Some("c".to_owned()), bytes, events: 1, ..State::default() }
    }

    #[test]
    fn what_was_written_after_the_note_is_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.ndjson");
        let mut part = Part::open(&file, "q", false).expect("a part");
        assert!(matches!(Part::open(&file, "q", false), Err(CliError::Local(_))), "it is locked");
        part.add(b"one\n", &state("q", 4)).expect("added");
        // As a process that is killed between the page and its note.
        part.open.write_all(b"tw").expect("written");
        drop(part);
        let mut part = Part::open(&file, "q", false).expect("goes on");
        assert_eq!(part.state, state("q", 4));
        part.add(b"two\n", &State { done: true, next: None, ..state("q", 8) }).expect("added");
        drop(part);
        let part = Part::open(&file, "q", false).expect("goes on");
        assert!(part.state.done, "nothing but its place is missing");
        part.finish().expect("in its place");
        assert_eq!(fs::read(&file).expect("the file"), b"one\ntwo\n");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing is left beside it");
        assert!(matches!(Part::open(&file, "q", false), Err(CliError::Usage(_))), "it is not replaced");
        assert_eq!(
            Part::open(&file, "q", true).expect("forced").state,
            State { question: "q".to_owned(), ..State::default() }
        );
        assert_eq!(fs::read(&file).expect("the file"), b"one\ntwo\n", "and stays until the new one is complete");
    }

    #[test]
    fn only_the_same_export_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.ndjson");
        Part::open(&file, "q", false).expect("a part").add(b"one\n", &state("q", 4)).expect("added");
        let other = Part::open(&file, "another", false).err().expect("refused").to_string();
        assert!(other.contains("another export") && other.contains("--force"), "{other}");
        File::options().write(true).open(beside(&file, ".part")).expect("there").set_len(2).expect("cut");
        let cut = Part::open(&file, "q", false).err().expect("refused").to_string();
        assert!(cut.contains("lost"), "{cut}");
        assert_eq!(Part::open(&file, "q", true).expect("forced").state.bytes, 0);
    }
}
