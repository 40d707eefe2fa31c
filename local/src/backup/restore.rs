//! `tally restore`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::ProgressBar;
use rusqlite::Connection;
use tar::{Archive, EntryType};
use tempfile::TempDir;
use zstd::stream::read::Decoder;

use super::archive::{BESIDE, FORMAT, Hashing, MANIFEST, MAX_MANIFEST, Manifest, known};
use super::make::check;
use super::{BackupError, of_file, progress};
use crate::audit::{Checked, check_all_apps};
use crate::embedded::{FILE, POSITION, make_private_folder, private};
use crate::server::DATA;

/// What to restore.
#[derive(clap::Args)]
pub struct Restore {
    /// A file that `tally backup` made.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder to restore to, by default `.tally`. It is made if it is missing, and must not hold data of a Tally.
    #[arg(long, env = "TALLY_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Does not compare the counters with the events afterwards, which takes as long as reading all events.
    #[arg(long)]
    no_audit: bool,
    /// Prints errors alone.
    #[arg(long, short)]
    quiet: bool,
}

impl Restore {
    /// Restores, and audits.
    ///
    /// # Errors
    /// Where the file is no whole backup, or the folder has data: nothing is restored then. Where a counter differs from the events:
    /// all is restored then.
    pub async fn run(self) -> Result<ExitCode, Box<dyn std::error::Error>> {
        let Self { no_audit, quiet, .. } = self;
        let data = self.data.clone().unwrap_or_else(|| PathBuf::from(DATA));
        let manifest = tokio::task::spawn_blocking(move || self.restore()).await??;
        let Manifest { tally, at, files, .. } = manifest;
        if !quiet {
            println!("{} files in {}, as they were at {at} (Tally {tally}).", files.len(), data.display());
        }
        if no_audit {
            return Ok(ExitCode::SUCCESS);
        }
        let Checked { apps, events, differing } = check_all_apps(&data).await?;
        if let Some(first) = differing.first() {
            let count = differing.len();
            let text =
                format!("the counters of {count} of {apps} apps differ: `tally recount --app {first}` repairs them");
            return Err(BackupError::Differs(text).into());
        }
        if !quiet {
            println!("{apps} apps with {events} events: every counter is right.");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn restore(&self) -> Result<Manifest, BackupError> {
        let data = self.data.as_deref().unwrap_or(Path::new(DATA));
        for name in [FILE, POSITION].iter().chain(&BESIDE) {
            if data.join(name).exists() {
                return Err(BackupError::HasData(data.to_owned(), (*name).to_owned()));
            }
        }
        let file = File::open(&self.file).map_err(of_file(&self.file))?;
        let bar = progress(file.metadata().map_or(0, |found| found.len()), "restoring", self.quiet);
        make_private_folder(data).map_err(of_file(data))?;
        // In the folder itself, so that what was checked is only renamed. Deleted if anything fails.
        let fresh = TempDir::with_prefix_in(".restoring-", data).map_err(of_file(data))?;
        let manifest = unpack(&self.file, bar.wrap_read(file), fresh.path())?;
        bar.finish_and_clear();
        let database = fresh.path().join(FILE);
        {
            let connection = Connection::open(&database).map_err(|e| BackupError::Database(database.clone(), e))?;
            check(&connection, &self.file)?;
        }
        // The database comes last: without it a start makes a new one, and does not serve half of the old one.
        for name in BESIDE.iter().chain(&[FILE]) {
            let from = fresh.path().join(name);
            if from.exists() {
                std::fs::rename(&from, data.join(name)).map_err(of_file(data.join(name)))?;
            }
        }
        #[cfg(unix)]
        File::open(data).and_then(|folder| folder.sync_all()).map_err(of_file(data))?;
        Ok(manifest)
    }
}

/// Writes the entries of an archive into a folder, and compares them with its manifest.
fn unpack(name: &Path, file: impl Read, folder: &Path) -> Result<Manifest, BackupError> {
    let not_whole = |why: String| BackupError::NotWhole(name.to_owned(), why);
    let unreadable = |error: std::io::Error| not_whole(error.to_string());
    let mut archive = Archive::new(Decoder::with_buffer(BufReader::new(file)).map_err(unreadable)?);
    let mut found = BTreeMap::new();
    let mut manifest = None;
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let is_file = entry.header().entry_type() == EntryType::Regular;
        let Some(known) = known(&path).filter(|_| is_file) else {
            return Err(not_whole(format!("it has an entry {}", path.display())));
        };
        if manifest.is_some() || found.contains_key(&known) {
            return Err(not_whole(format!("the entry {known} is not where it belongs")));
        }
        if known == MANIFEST {
            let mut text = Vec::new();
            entry.by_ref().take(MAX_MANIFEST).read_to_end(&mut text).map_err(unreadable)?;
            manifest = Some(read_manifest(name, &text)?);
            continue;
        }
        let target = folder.join(&known);
        if let Some(parent) = target.parent() {
            make_private_folder(parent).map_err(of_file(parent))?;
        }
        let mut written = private().write(true).create_new(true).open(&target).map_err(of_file(&target))?;
        let hidden = ProgressBar::hidden();
        let mut reader = Hashing::new(entry, &hidden);
        std::io::copy(&mut reader, &mut written).map_err(of_file(&target))?;
        written.sync_all().map_err(of_file(&target))?;
        found.insert(known, reader.entry());
    }
    let manifest = manifest.ok_or_else(|| not_whole("it ends early".to_owned()))?;
    if let Some((path, _)) = manifest.files.iter().find(|(path, entry)| found.get(*path) != Some(*entry)) {
        return Err(not_whole(format!("{path} is missing, or was changed")));
    }
    if let Some(path) = found.keys().find(|path| !manifest.files.contains_key(*path)) {
        return Err(not_whole(format!("its manifest does not know {path}")));
    }
    if !found.contains_key(FILE) {
        return Err(not_whole(format!("it has no {FILE}")));
    }
    Ok(manifest)
}

fn read_manifest(name: &Path, text: &[u8]) -> Result<Manifest, BackupError> {
    /// What every format has.
    #[derive(serde::Deserialize)]
    struct Any {
        format: u32,
        tally: String,
    }
    let not_whole = |error: serde_json::Error| BackupError::NotWhole(name.to_owned(), format!("{MANIFEST}: {error}"));
    let Any { format, tally } = serde_json::from_slice(text).map_err(not_whole)?;
    if format > FORMAT {
        return Err(BackupError::Newer { file: name.to_owned(), made_by: tally });
    }
    serde_json::from_slice(text).map_err(not_whole)
}
