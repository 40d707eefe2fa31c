//! `cargo run -- import`: reads log lines in common formats and sends them as events through the real ingest router or
//! over HTTP.

mod first_seen;
mod format;
mod identity;
mod importer;
mod interrupt;
mod join;
mod json;
mod local;
mod oddity;
mod options;
mod read;
mod run;
mod send;
mod shape;
mod source;
mod summary;
mod time;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use format::Format;
use importer::{Importer, Options};
use indicatif::{ProgressBar, ProgressStyle};
use local::local;
use oddity::Warned;
pub use options::Import;
use read::Reading;
use run::Run;
use send::{Remote, Target};
use summary::Summary;
use tally_core::app::AppSlug;
use tally_core::time::clock::Clock;
use tokio::sync::mpsc::channel;
use tokio::sync::watch;

use crate::cli;

/// Pieces that are read ahead: 32 MB if every line has the maximum length.
const AHEAD: usize = 32;
/// Kinds of refusals that are shown.
const KINDS_SHOWN: usize = 20;
/// The exit code of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs an import and prints the result.
pub async fn run(import: Import) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let slug = AppSlug::of_name(&import.app).map_err(|e| format!("--app: {e}"))?;
    let files = source::files(&import.files)?;
    if import.follow && files.iter().any(|file| file == Path::new("-")) {
        return Err("--follow is for files: standard input is followed by itself".into());
    }
    let key = import.key.clone().or_else(|| std::env::var("TALLY_KEY").ok().filter(|key| !key.is_empty()));
    let (url, key) = match &import.profile {
        Some(profile) => {
            let (url, kept) = cli::named(&cli::Which::of_profile(profile))?;
            (
                Some(url),
                Some(kept.ok_or_else(|| {
                    format!("the profile `{profile}` is signed out: run `tally login --profile {profile}`")
                })?),
            )
        }
        None => (import.url.clone(), key),
    };
    let (mut target, local) = if import.dry_run {
        (None, None)
    } else if let Some(url) = &url {
        let key = key.ok_or("--url needs a key that sends events: --key KEY, or the variable TALLY_KEY")?;
        (Some(Target::Remote(Box::new(Remote::new(url, slug.as_str(), key)?))), None)
    } else {
        let (target, local) = local(&import, &slug).await?;
        (Some(target), Some(local))
    };
    let memory = match (&import.data, &local) {
        _ if import.dry_run => None,
        (_, Some(local)) => Some(local.folder.join("imports")),
        (Some(data), None) => Some(data.join("imports")),
        (None, None) => first_seen::state_folder(),
    };
    let names = files.iter().map(|file| import.source.clone().unwrap_or_else(|| source::of_file(file))).collect();
    let documents = import.format.is_none_or(Format::is_json);
    let options =
        Options { format: import.format, mappings: import.map, constants: import.set, zone: import.tz, memory };
    let progress = progress(&files, import.follow);
    let (to, mut pieces) = channel(AHEAD);
    let stop = Arc::new(AtomicBool::new(false));
    let reading = Reading { follow: import.follow, documents, stop: Arc::clone(&stop), progress: progress.clone(), to };
    read::start(files.clone(), &reading);
    drop(reading);
    let mut run = Run {
        importer: Importer::new(options, names, Box::new(|| Clock::System.now())),
        files,
        progress,
        batch: Vec::new(),
        bytes: 0,
        summary: Summary::new(import.rejects.as_deref()).map_err(|e| format!("cannot write the refused lines: {e}"))?,
        warned: Warned::default(),
        reached: None,
        problems: 0,
    };
    let Some(target) = &mut target else {
        run.dry(&mut pieces).await;
        stop.store(true, Ordering::Relaxed);
        return Ok(ExitCode::SUCCESS);
    };
    let (told, mut end) = watch::channel(false);
    tokio::spawn(async move {
        crate::server::end().await;
        // The receiver is gone once the import is over.
        let _ = told.send(true);
    });
    let ended = run.all(&mut pieces, target, &mut end).await;
    stop.store(true, Ordering::Relaxed);
    run.progress.finish_and_clear();
    run.summary.flush()?;
    println!("{}: {}.", slug, run.summary.numbers());
    let refusals = run.summary.refusals();
    refusals.iter().take(KINDS_SHOWN).for_each(|line| println!("{line}"));
    if refusals.len() > KINDS_SHOWN {
        println!("… and {} kinds more: --rejects FILE has all", refusals.len() - KINDS_SHOWN);
    }
    let interrupted = match ended {
        Ok(interrupted) => interrupted,
        Err(error) => {
            return Err(format!("{error}; {}", run.stopped()).into());
        }
    };
    if interrupted && !import.follow {
        println!("{}", capitalized(&run.stopped()));
    }
    if let Some(local) = &local {
        local.wait(&mut end).await;
    }
    Ok(match () {
        () if interrupted && !import.follow => ExitCode::from(INTERRUPTED),
        () if run.summary.refused > 0 || run.problems > 0 => ExitCode::FAILURE,
        () => ExitCode::SUCCESS,
    })
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn progress(files: &[PathBuf], follow: bool) -> ProgressBar {
    let sizes = files.iter().map(|file| std::fs::metadata(file).map(|about| about.len()));
    let total: Option<u64> = sizes.collect::<Result<Vec<_>, _>>().ok().map(|sizes| sizes.iter().sum());
    match total.filter(|_| !follow) {
        Some(total) => {
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg} {eta}");
            let bar = ProgressBar::new(total);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        }
        None => ProgressBar::new_spinner(),
    }
}
