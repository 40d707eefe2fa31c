//! `cargo run -- import`: reads log lines in common formats and sends them as events through the real ingest router or
//! over HTTP.

mod first_seen;
mod format;
mod identity;
mod importer;
mod join;
mod json;
mod level;
mod oddity;
mod read;
mod send;
mod shape;
mod source;
mod summary;
mod time;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use format::{FORMATS, Format};
use importer::{Importer, Options, Ready, Step, shown};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use oddity::Warned;
use read::{Piece, Reading};
use send::{Outgoing, Remote, SendError, Target, Verdict};
use shape::{Constant, FIELDS, Mapping};
use summary::{At, Refusal, Summary, thousands};
use tally_core::app::role::Role;
use tally_core::app::{AppSlug, EventClock};
use tally_core::event::MAX_COUNT;
use tally_core::time::HOUR;
use tally_core::time::clock::Clock;
use tally_service::apps::create::NewAppError;
use tally_service::context::Context;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backlog::Backlog;
use crate::server::{Missing, config, open, service};

/// Events in one request.
const BATCH: usize = 500;
/// Maximum bytes of a request and its lines, which are kept until the response arrives. Ingest accepts 4 MB.
const BATCH_BYTES: usize = 3 * 1024 * 1024;
/// How long a line waits for its request to fill.
const LINGER: Duration = Duration::from_millis(200);
/// Pieces that are read ahead: 32 MB if every line has the maximum length.
const AHEAD: usize = 32;
/// How long the last events may take after Ctrl-C.
const LAST: Duration = Duration::from_secs(5);
/// Events that a dry run shows.
const SHOWN: usize = 10;
/// Kinds of refusals that are shown.
const KINDS_SHOWN: usize = 20;
/// How often counters are checked while waiting for them.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait for counters that make no progress.
const STANDSTILL: Duration = Duration::from_secs(30);
/// How often waiting for counters is reported when the output is not a terminal.
const SAY: Duration = Duration::from_secs(5);
/// The exit code of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// What to import.
#[derive(clap::Args)]
#[command(after_long_help = IDENTITY)]
pub struct Import {
    /// Files, or patterns of files; `-` is standard input. gzip, zstd and xz are understood, and UTF-16 with a byte order
    /// mark. A line without a time gets that of the line before; at the beginning of a file, the time at which it was first
    /// imported, which is remembered in the data folder (with `--url`, where this system keeps state of programs), so
    /// that it is the same the next time.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The app to send to; made where it does not exist, unless it is that of a `--url`.
    #[arg(long)]
    app: String,
    /// What the lines come from. Equal lines of different sources are different events; a line of the same source that is
    /// imported again, from whatever file, counts once. By default this host and the path of the file without what rotation
    /// adds (`.1`, `.2.gz`, `-20261126`).
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Reads every line in this format instead of detecting it.
    #[arg(long, value_name = "NAME", value_parser = parse_format)]
    format: Option<&'static Format>,
    /// Takes a field of the event from a dotted path in the line, e.g. `--map name=event.type`. `id` and `count` are taken
    /// in no other way. What is mapped nowhere, and is no field of an event, goes to `data`.
    #[arg(long, value_name = "FIELD=PATH", num_args = 1.., value_parser = parse_mapping)]
    map: Vec<Mapping>,
    /// Sets a field of every event, or a path in its `data`: `--set category=web data.env=prod`.
    #[arg(long, value_name = "FIELD=VALUE", num_args = 1.., value_parser = parse_constant)]
    set: Vec<Constant>,
    /// The time zone of times that name none, e.g. `Europe/Stockholm`.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_zone)]
    tz: TimeZone,
    /// Keeps reading as the files grow, also when they are rotated, until Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// Shows what the first lines become, and sends nothing.
    #[arg(long)]
    dry_run: bool,
    /// Writes rejected lines to a file, as JSON with file, number, reason and text.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// The folder that keeps the data, by default `.tally`. If a Tally is running on it, events go to that Tally.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Sends to the Tally at this URL instead.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The ingest key for `--url`; better in the variable `TALLY_KEY`, since other users of this machine may see options.
    #[arg(long, requires = "url")]
    key: Option<String>,
}

/// The explanation of identity in `--help`.
const IDENTITY: &str = "Which lines are the same: a line that has a time, by its source, its time, its text, and its place among \
the lines of the same millisecond; one that has none, by its source, the first line of its file, its offset in the decompressed \
file, and its text. So a file may be appended to, touched, renamed within its source, rotated and compressed, and be imported \
again. Files of one source that begin with the same line are one file for lines without a time. A file whose beginning was cut \
off counts the lines of its first millisecond twice (of its first second, where its times are in seconds), and a last line that \
was imported before it was written to its end counts again.";

fn parse_format(text: &str) -> Result<&'static Format, String> {
    let names = FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ");
    Format::of_name(text).ok_or_else(|| format!("the formats are {names}"))
}

fn parse_mapping(text: &str) -> Result<Mapping, String> {
    let (field, path) = text.split_once('=').ok_or("must be FIELD=PATH, e.g. name=event.type")?;
    if !FIELDS.contains(&field) && field != "occurred_at" {
        return Err(format!("`{field}` is no field of an event: {}", FIELDS.join(", ")));
    }
    Ok(Mapping { field: field.to_owned(), path: path.to_owned() })
}

fn parse_constant(text: &str) -> Result<Constant, String> {
    let (field, value) = text.split_once('=').ok_or("must be FIELD=VALUE, e.g. category=web")?;
    let in_data = field.strip_prefix("data.").is_some_and(|key| !key.is_empty());
    if field == "id" {
        return Err("`id` cannot be the same in every event".to_owned());
    }
    if !FIELDS.contains(&field) && !in_data {
        return Err(format!("`{field}` is no field of an event: {} or data.KEY", FIELDS[1..].join(", ")));
    }
    let good = match field {
        "level" => level::of_name(value).is_some(),
        "timestamp" => time::of_text(value, &mut time::Clock::new(TimeZone::UTC)).is_some(),
        "count" => value.parse().is_ok_and(|count: u64| (1..=MAX_COUNT).contains(&count)),
        _ => true,
    };
    if !good {
        return Err(format!("`{value}` is no {field}"));
    }
    Ok(Constant { field: field.to_owned(), value: value.to_owned() })
}

fn parse_zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| "must be a name of the IANA, e.g. Europe/Stockholm".to_owned())
}

/// Runs an import and prints the result.
pub async fn run(import: Import) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let slug = AppSlug::of_name(&import.app).map_err(|e| format!("--app: {e}"))?;
    let files = source::files(&import.files)?;
    if import.follow && files.iter().any(|file| file == Path::new("-")) {
        return Err("--follow is for files: standard input is followed by itself".into());
    }
    let key = import.key.clone().or_else(|| std::env::var("TALLY_KEY").ok().filter(|key| !key.is_empty()));
    let (mut target, local) = if import.dry_run {
        (None, None)
    } else if let Some(url) = &import.url {
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

/// The data of this machine.
struct Local {
    folder: PathBuf,
    backlog: Backlog,
    /// Whether another process does the counting.
    served: bool,
}

async fn local(import: &Import, slug: &AppSlug) -> Result<(Target, Local), Box<dyn std::error::Error>> {
    let mut config = config()?;
    config.secure_cookies = false;
    let events = config.tables.events.clone();
    let (context, poller) = open(import.data.as_deref(), Missing::MakeWhereNamed, config).await?;
    make_app(&context, &import.app).await?;
    let app = context.store.get_app(slug).await?.ok_or("the app is gone")?;
    if app.clock == EventClock::Received {
        eprintln!("warning: `{slug}` goes by the time of receipt, so that a second import counts everything again");
    }
    let key = tally_service::auth::token::signing_key(&context.store).await?;
    let (token, _) = key.sign("import", Role::Admin, context.clock.now(), 365 * 24 * HOUR)?;
    let folder = import.data.clone().unwrap_or_else(|| PathBuf::from(crate::server::DATA));
    let served = poller.is_none();
    if let Some(poller) = poller {
        tokio::spawn(poller.run(|_| {}));
    }
    let local = Local { backlog: Backlog::new(&folder, events), folder, served };
    let target = Target::Local { router: service(&context), context, app: Box::new(app), token };
    Ok((target, local))
}

async fn make_app(context: &Context, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let new = admin::NewApp { name: name.to_owned(), ..admin::NewApp::default() };
    match admin::create_app(&context.apps, new, &[]).await {
        Ok(_) | Err(NewAppError::Taken(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Local {
    /// Waits until everything is counted. If that does not happen, or waiting is disabled, prints what is left.
    async fn wait(&self, end: &mut End) {
        // Without a stream to read there is nothing to report.
        let Ok(newest) = self.backlog.newest() else { return };
        let spinner = ProgressBar::new_spinner();
        let (mut least, mut moved, mut said) = (u64::MAX, Instant::now(), Instant::now());
        loop {
            let Ok(left) = self.backlog.left(newest) else { return };
            if left == 0 {
                spinner.finish_and_clear();
                return;
            }
            if left < least {
                (least, moved) = (left, Instant::now());
            }
            let text = format!("counting: {} left", thousands(left));
            spinner.set_message(text.clone());
            spinner.tick();
            let interrupted = tokio::select! {
                biased;
                () = told_to_end(end) => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            if interrupted || moved.elapsed() > STANDSTILL {
                spinner.finish_and_clear();
                let who = if self.served { "the Tally that runs goes on" } else { "the next start goes on" };
                println!("{text}; {who}.");
                return;
            }
            if spinner.is_hidden() && said.elapsed() > SAY {
                eprintln!("{text}");
                said = Instant::now();
            }
        }
    }
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

/// Whether Ctrl-C was pressed.
type End = watch::Receiver<bool>;

/// Waits for Ctrl-C. Returns at once if it was pressed before.
async fn told_to_end(end: &mut End) {
    if end.wait_for(|told| *told).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A running import.
struct Run {
    importer: Importer,
    files: Vec<PathBuf>,
    progress: ProgressBar,
    /// Events that wait to be sent.
    batch: Vec<Ready>,
    /// The size of the waiting events in bytes.
    bytes: usize,
    summary: Summary,
    warned: Warned,
    /// The last line whose event was stored or refused.
    reached: Option<At>,
    /// Files that could not be read to their end.
    problems: usize,
}

impl Run {
    /// Sends everything. Returns whether it was interrupted.
    async fn all(
        &mut self,
        pieces: &mut Receiver<Piece>,
        target: &mut Target,
        end: &mut End,
    ) -> Result<bool, Box<dyn std::error::Error>> {
        let mut due: Option<Instant> = None;
        loop {
            let piece = tokio::select! {
                biased;
                () = told_to_end(end) => {
                    // Lines already read may still be sent, if that is quick.
                    return match tokio::time::timeout(LAST, self.last(target)).await {
                        Ok(sent) => sent.map(|()| true),
                        Err(_) => Ok(true),
                    };
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => None,
                piece = pieces.recv() => match piece {
                    Some(piece) => Some(piece),
                    None => {
                        return tokio::select! {
                            biased;
                            () = told_to_end(end) => Ok(true),
                            sent = self.last(target) => sent.map(|()| false),
                        };
                    }
                },
            };
            let full = if let Some(piece) = piece {
                self.take(piece)?;
                due = due.or_else(|| Some(Instant::now() + LINGER));
                self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES
            } else {
                due = None;
                let mut steps = Vec::new();
                self.importer.flush(&mut steps);
                self.steps(steps)?;
                true
            };
            if full {
                let interrupted = tokio::select! {
                    biased;
                    () = told_to_end(end) => true,
                    sent = self.send(target) => { sent?; false }
                };
                if interrupted {
                    return Ok(true);
                }
            }
        }
    }

    /// Sends what is left.
    async fn last(&mut self, target: &mut Target) -> Result<(), Box<dyn std::error::Error>> {
        let mut steps = Vec::new();
        self.importer.flush(&mut steps);
        self.steps(steps)?;
        Ok(self.send(target).await?)
    }

    /// Shows what the first lines become.
    async fn dry(&mut self, pieces: &mut Receiver<Piece>) {
        let mut shown_lines = 0;
        while shown_lines < SHOWN {
            let mut steps = Vec::new();
            match pieces.recv().await {
                Some(piece) => {
                    self.problem(&piece);
                    self.importer.take(piece, &mut steps);
                }
                None => break,
            }
            for step in steps {
                let line = match step {
                    Step::Ready(ready) => shown(&ready),
                    Step::Refused { number, refusal, .. } => format!("line {number}: {}", refusal.reason()),
                    Step::Odd { file, number, oddity } => {
                        self.warn(file, number, &oddity);
                        continue;
                    }
                    Step::Joined => continue,
                };
                shown_lines += 1;
                if shown_lines <= SHOWN {
                    println!("{line}");
                }
            }
        }
        self.progress.finish_and_clear();
    }

    fn take(&mut self, piece: Piece) -> std::io::Result<()> {
        self.problem(&piece);
        let mut steps = Vec::new();
        self.importer.take(piece, &mut steps);
        self.steps(steps)
    }

    /// Reports why a file ends early, if it does.
    fn problem(&mut self, piece: &Piece) {
        if let Piece::Close { file, problem: Some(problem) } = piece {
            self.problems += 1;
            let file = self.files[*file].display();
            self.progress
                .suspend(|| eprintln!("{file} cannot be read to its end: {problem}; the lines before are stored"));
        }
    }

    fn steps(&mut self, steps: Vec<Step>) -> std::io::Result<()> {
        for step in steps {
            match step {
                Step::Ready(ready) => {
                    self.bytes += ready.event.json.len() + ready.text.len();
                    self.batch.push(*ready);
                }
                Step::Refused { file, number, text, refusal } => {
                    let at = self.at(file, number);
                    self.summary.refuse(at, &text, refusal)?;
                }
                Step::Joined => self.summary.joined += 1,
                Step::Odd { file, number, oddity } => self.warn(file, number, &oddity),
            }
        }
        Ok(())
    }

    fn warn(&mut self, file: usize, number: u64, oddity: &oddity::Oddity) {
        if self.warned.first(oddity) {
            let at = self.at(file, number).line();
            self.progress.suspend(|| eprintln!("warning: {at}: {oddity}"));
        }
    }

    fn at(&self, file: usize, number: u64) -> At {
        let name = (self.files.len() > 1).then(|| self.files[file].display().to_string());
        At { file: name, number }
    }

    /// Sends the events that wait.
    async fn send(&mut self, target: &mut Target) -> Result<(), SendError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.importer.keep().map_err(|e| SendError::Memory(e.to_string()))?;
        let events: Vec<Outgoing> = self.batch.iter().map(|ready| ready.event.clone()).collect();
        let verdicts = target.send(&events).await?;
        self.bytes = 0;
        for (ready, verdict) in std::mem::take(&mut self.batch).into_iter().zip(verdicts) {
            let at = self.at(ready.file, ready.number);
            self.reached = Some(at.clone());
            if ready.again {
                // A continuation of the same line.
                continue;
            }
            match verdict {
                Verdict::Stored(Some(true)) => self.summary.new += 1,
                Verdict::Stored(Some(false)) => self.summary.known += 1,
                Verdict::Stored(None) => self.summary.untold += 1,
                Verdict::Refused(reason) => {
                    let kept = self.summary.refuse(at, &ready.text, Refusal::Refused(reason));
                    kept.map_err(|e| SendError::Memory(e.to_string()))?;
                }
            }
        }
        self.progress.set_message(format!("{} events", thousands(self.summary.stored())));
        Ok(())
    }

    /// Where the import ended, and how to continue.
    fn stopped(&self) -> String {
        let at = match &self.reached {
            Some(At { file: Some(file), number }) => format!("stopped after line {} of {file}", thousands(*number)),
            Some(At { file: None, number }) => format!("stopped after line {}", thousands(*number)),
            None => "stopped before the first line was stored".to_owned(),
        };
        format!("{at}: the same command continues, and counts each line once.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_fields_of_events() {
        assert!(
            parse_mapping("name=event.type")
                .is_ok_and(|m| (m.field.as_str(), m.path.as_str()) == ("name", "event.type"))
        );
        assert!(parse_mapping("nme=x").is_err_and(|e| e.contains("no field")));
        assert!(parse_mapping("name").is_err());
        assert!(parse_constant("data.env=prod").is_ok() && parse_constant("category=a=b").is_ok());
        assert!(
            parse_constant("data.=x").is_err()
                && parse_constant("env=prod").is_err()
                && parse_constant("id=1").is_err()
        );
        assert!(
            parse_format("nginx").is_ok_and(|f| f.name == "access")
                && parse_format("x").is_err_and(|e| e.contains("journald"))
        );
        assert!(parse_zone("Europe/Stockholm").is_ok() && parse_zone("Mars").is_err());
    }
}
