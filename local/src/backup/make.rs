//! `tally backup`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;
use rusqlite::backup::{Backup as Pages, StepResult};
use rusqlite::{Connection, OpenFlags};
use tally_core::time::clock::Clock;
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;
use zstd::stream::write::Encoder;

use super::archive::{BESIDE, Entry, FORMAT, Hashing, MANIFEST, Manifest};
use super::{BackupError, of_file, progress, told};
use crate::embedded::{Embedded, FILE};
use crate::pages::BUSY;
use crate::server::{DATA, StartError};

/// Pages that are copied at once.
const STEP: std::ffi::c_int = 1_000;
/// What zstd recommends, and the fastest that still gives most of the gain.
const LEVEL: i32 = 3;

/// What to back up.
#[derive(clap::Args)]
pub struct Backup {
    /// The file to write, e.g. tally-2026-11-28.tar.zst. It holds all events and this machine's secrets, so only its owner may
    /// read it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder that keeps the data, by default `.tally`. A Tally may be running on it.
    #[arg(long, env = "TALLY_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Replaces the file, if it exists.
    #[arg(long)]
    force: bool,
    /// Prints errors alone.
    #[arg(long, short)]
    quiet: bool,
}

impl Backup {
    /// Makes the backup.
    ///
    /// # Errors
    /// Where a file cannot be read or written, or the database is damaged. No file is left then.
    pub async fn run(self) -> Result<ExitCode, Box<dyn std::error::Error>> {
        let quiet = self.quiet;
        let file = self.file.clone();
        let (entries, bytes) = tokio::task::spawn_blocking(move || self.make()).await??;
        if !quiet {
            println!("{} files in {}, {}.", entries, file.display(), told(bytes));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The number of entries, and the bytes of the file.
    fn make(&self) -> Result<(usize, u64), StartOrBackup> {
        let data = self.data.as_deref().unwrap_or(Path::new(DATA));
        if !Embedded::is_in(data) {
            return Err(StartError::NoData(data.to_owned(), self.data.is_some()).into());
        }
        if !self.force && self.file.exists() {
            return Err(BackupError::Exists(self.file.clone()).into());
        }
        let beside = self.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Beside the file, where there must be room. Both are deleted if anything fails.
        let copy = NamedTempFile::with_prefix_in(".tally-backup-", beside).map_err(of_file(beside))?;
        let archive = NamedTempFile::with_prefix_in(".tally-backup-", beside).map_err(of_file(beside))?;
        let at = Clock::System.now();
        copy_database(&data.join(FILE), copy.path(), self.quiet)?;

        let mut files = vec![(FILE.to_owned(), copy.path().to_owned())];
        for name in BESIDE {
            // After the database: a source map that the database knows was written before.
            list(&data.join(name), name, &mut files).map_err(of_file(data.join(name)))?;
        }
        let sizes = files.iter().map(|(_, path)| path.metadata().map_or(0, |found| found.len()));
        let bar = progress(sizes.sum(), "compressing", self.quiet);
        let failed = || of_file(&self.file);
        let mut encoder = Encoder::new(archive.as_file(), LEVEL).map_err(failed())?;
        encoder.include_checksum(true).map_err(failed())?;
        let mut tar = Builder::new(encoder);
        let mut entries = BTreeMap::new();
        for (name, path) in &files {
            let entry = append(&mut tar, name, path, &bar).map_err(of_file(path))?;
            entries.extend(entry.map(|entry| (name.clone(), entry)));
        }
        let count = entries.len();
        let tally = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = serde_json::to_vec_pretty(&Manifest { format: FORMAT, tally, at, files: entries });
        let manifest = manifest.map_err(|e| failed()(e.into()))?;
        let mut header = header(manifest.len() as u64);
        tar.append_data(&mut header, MANIFEST, &*manifest).map_err(failed())?;
        let mut file = tar.into_inner().and_then(Encoder::finish).map_err(failed())?;
        file.flush().and_then(|()| file.sync_all()).map_err(failed())?;
        let bytes = file.metadata().map_err(failed())?.len();
        let kept = if self.force { archive.persist(&self.file) } else { archive.persist_noclobber(&self.file) };
        kept.map_err(|e| failed()(e.error))?;
        // So that the name lasts too.
        #[cfg(unix)]
        File::open(beside).and_then(|folder| folder.sync_all()).map_err(of_file(beside))?;
        bar.finish_and_clear();
        Ok((count, bytes))
    }
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
enum StartOrBackup {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Copies the database as it is at one moment, while others read and write it.
fn copy_database(from: &Path, to: &Path, quiet: bool) -> Result<(), BackupError> {
    let failed = |error| BackupError::Database(from.to_owned(), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(failed)?;
    source.busy_timeout(BUSY).map_err(failed)?;
    // A read transaction, which sees one state to its end. Without it the copy would begin again with each write of another.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    let mut copy = Connection::open(to).map_err(failed)?;
    let bar = progress(0, "copying", quiet);
    let page: u32 = source.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(failed)?;
    let bytes = |pages: std::ffi::c_int| u64::from(pages.unsigned_abs()) * u64::from(page);
    {
        let pages = Pages::new(&source, &mut copy).map_err(failed)?;
        loop {
            let step = pages.step(STEP).map_err(failed)?;
            let done = pages.progress();
            bar.set_length(bytes(done.pagecount));
            bar.set_position(bytes(done.pagecount - done.remaining));
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Somebody moves the log into the database.
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
    bar.finish_and_clear();
    // One file, without a log beside it.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(failed)?;
    check(&copy, from)
}

/// Whether SQLite finds no damage.
pub(super) fn check(connection: &Connection, name: &Path) -> Result<(), BackupError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| BackupError::Database(name.to_owned(), error))?;
    if found == "ok" { Ok(()) } else { Err(BackupError::Damaged(name.to_owned(), found)) }
}

/// The files at a path, if it is there: itself, or all below it.
fn list(path: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    let Ok(found) = path.symlink_metadata() else { return Ok(()) };
    if found.is_file() {
        files.push((name.to_owned(), path.to_owned()));
    } else if found.is_dir() {
        for entry in path.read_dir()? {
            let entry = entry?;
            // Tally writes no other names.
            if let Some(part) = entry.file_name().to_str() {
                list(&entry.path(), &format!("{name}/{part}"), files)?;
            }
        }
    }
    Ok(())
}

/// Adds a file. None if it is gone meanwhile.
fn append<W: Write>(
    tar: &mut Builder<W>,
    name: &str,
    path: &Path,
    bar: &ProgressBar,
) -> std::io::Result<Option<Entry>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = file.metadata()?.len();
    let mut reader = Hashing::new(std::io::Read::take(file, bytes), bar);
    tar.append_data(&mut header(bytes), name, &mut reader)?;
    let entry = reader.entry();
    if entry.bytes != bytes {
        return Err(std::io::Error::other("the file became shorter while it was read"));
    }
    Ok(Some(entry))
}

fn header(bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_entry_type(EntryType::Regular);
    let seconds = Clock::System.now().micros() / 1_000_000;
    header.set_mtime(seconds.unsigned_abs());
    header
}
