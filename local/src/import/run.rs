//! A running import: takes lines, sends events in batches, and sums up.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

use super::importer::{Importer, Ready, Step, shown};
use super::interrupt::{End, told_to_end};
use super::oddity::{Oddity, Warned};
use super::read::Piece;
use super::send::{Outgoing, SendError, Target, Verdict};
use super::summary::{At, Refusal, Summary};
use crate::numbers::thousands;

/// Events in one request.
const BATCH: usize = 500;
/// Maximum bytes of a request and its lines, which are kept until the response arrives. Ingest accepts 4 MB.
const BATCH_BYTES: usize = 3 * 1024 * 1024;
/// How long a line waits for its request to fill.
const LINGER: Duration = Duration::from_millis(200);
/// How long the last events may take after Ctrl-C.
const LAST: Duration = Duration::from_secs(5);
/// Events that a dry run shows.
const SHOWN: usize = 10;

/// A running import.
pub(super) struct Run {
    pub(super) importer: Importer,
    pub(super) files: Vec<PathBuf>,
    pub(super) progress: ProgressBar,
    /// Events that wait to be sent.
    pub(super) batch: Vec<Ready>,
    /// The size of the waiting events in bytes.
    pub(super) bytes: usize,
    pub(super) summary: Summary,
    pub(super) warned: Warned,
    /// The last line whose event was stored or refused.
    pub(super) reached: Option<At>,
    /// Files that could not be read to their end.
    pub(super) problems: usize,
}

impl Run {
    /// Sends everything. Returns whether it was interrupted.
    pub(super) async fn all(
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
    pub(super) async fn dry(&mut self, pieces: &mut Receiver<Piece>) {
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

    fn warn(&mut self, file: usize, number: u64, oddity: &Oddity) {
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
    pub(super) fn stopped(&self) -> String {
        let at = match &self.reached {
            Some(At { file: Some(file), number }) => format!("stopped after line {} of {file}", thousands(*number)),
            Some(At { file: None, number }) => format!("stopped after line {}", thousands(*number)),
            None => "stopped before the first line was stored".to_owned(),
        };
        format!("{at}: the same command continues, and counts each line once.")
    }
}
