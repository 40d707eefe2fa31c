//! Questions to the person at the terminal.

use std::io::{IsTerminal, Read, Write};

use console::Term;

use super::error::CliError;

/// Maximum bytes of a secret on standard input.
const MAX_SECRET: u64 = 16 * 1024;

/// Asks before something that cannot be undone. Where nobody can be asked, `--yes` must have been said.
pub(super) async fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !is_there() {
        return Err(CliError::Usage(format!("{question} Nobody can be asked here: add --yes")));
    }
    let answer = line(&format!("{question} [y/N] ")).await?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(CliError::Declined) }
}

/// Whether somebody can be asked.
pub(super) fn is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a line.
pub(super) async fn line(prompt: &str) -> Result<String, CliError> {
    ask(prompt, false).await
}

/// Asks for a line that is not shown.
pub(super) async fn secret(prompt: &str) -> Result<String, CliError> {
    let echo = Echo;
    let answer = ask(prompt, true).await;
    std::mem::forget(echo);
    answer
}

/// The first line of standard input.
pub(super) async fn secret_of_stdin() -> Result<String, CliError> {
    let read = blocking(|| {
        let mut text = String::new();
        std::io::stdin().take(MAX_SECRET).read_to_string(&mut text).map(|_| text)
    });
    let text = read.await?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() { Err(CliError::Usage("standard input is empty".to_owned())) } else { Ok(line.to_owned()) }
}

async fn ask(prompt: &str, hidden: bool) -> Result<String, CliError> {
    let mut to = std::io::stderr();
    write!(to, "{prompt}")?;
    to.flush()?;
    blocking(move || if hidden { Term::stderr().read_secure_line() } else { Term::stderr().read_line() }).await
}

async fn blocking(read: impl FnOnce() -> std::io::Result<String> + Send + 'static) -> Result<String, CliError> {
    let read = tokio::task::spawn_blocking(read).await;
    Ok(read.map_err(|error| CliError::Local(error.to_string()))??)
}

/// Shows again what is typed, if Ctrl-C came while it was hidden: the terminal keeps that beyond the process.
struct Echo;

impl Drop for Echo {
    fn drop(&mut self) {
        eprintln!();
        if cfg!(unix) {
            // Where there is no `stty`, there is nothing else to try.
            let _ = std::process::Command::new("stty").arg("echo").status();
        }
    }
}
