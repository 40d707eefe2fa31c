//! Standard output: what was asked for. Everything else goes to standard error.

use std::io::{BufWriter, IsTerminal, Stdout, Write};

use console::Term;

use super::error::CliError;
use super::grid::Grid;
use super::text::{Look, harmless_json};

/// How to print.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Prints nothing but what was asked for, and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Whether to print in colours: on a terminal, unless `NO_COLOR` is set; always; or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: When,
}

/// When to use colours.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Standard output, and what it can show.
#[allow(clippy::struct_excessive_bools)] // each is a property of its own
pub(super) struct Out {
    to: BufWriter<Stdout>,
    /// Whether notes are left out.
    pub(super) quiet: bool,
    /// Whether it shows colours.
    pub(super) color: bool,
    /// Whether it shows more than ASCII.
    pub(super) unicode: bool,
    /// The columns of the terminal; none where lines may have any length.
    pub(super) room: Option<usize>,
    /// Whether a person looks at it.
    pub(super) is_terminal: bool,
}

impl Out {
    /// The output of this process.
    pub(super) fn new(output: &Output) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_terminal = std::io::stdout().is_terminal();
        let columns = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns)).filter(|_| is_terminal);
        Self {
            to: BufWriter::new(std::io::stdout()),
            quiet: output.quiet,
            color: match output.color {
                When::Auto => is_terminal && set("NO_COLOR").is_none() && !console::is_dumb(),
                When::Always => true,
                When::Never => false,
            },
            unicode: cfg!(windows) || is_utf8(set),
            room: columns.or_else(|| set("COLUMNS")?.parse().ok()).filter(|columns| *columns > 0),
            is_terminal,
        }
    }

    /// Prints a line.
    pub(super) fn line(&mut self, text: &str) -> Result<(), CliError> {
        Ok(writeln!(self.to, "{text}")?)
    }

    /// Prints a table.
    pub(super) fn grid(&mut self, grid: &Grid) -> Result<(), CliError> {
        grid.lines(self.room, self.color, self.unicode).iter().try_for_each(|line| self.line(line))
    }

    /// Prints JSON as it came, on a line.
    pub(super) fn json(&mut self, json: &str) -> Result<(), CliError> {
        self.line(&harmless_json(json.trim_end()))
    }

    /// Prints a reply of JSON as it came.
    pub(super) fn reply(&mut self, body: &[u8]) -> Result<(), CliError> {
        self.json(&String::from_utf8_lossy(body))
    }

    /// Prints bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.to.write_all(bytes)?)
    }

    /// Shows what was printed so far.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        Ok(self.to.flush()?)
    }

    /// The text in a look.
    pub(super) fn paint(&self, look: Look, text: &str) -> String {
        look.paint(text, self.color)
    }

    /// Tells people something that is no part of the answer.
    pub(super) fn note(&mut self, text: &str) -> Result<(), CliError> {
        self.flush()?;
        if !self.quiet {
            // Where nobody can be told, the answer still stands.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        Ok(())
    }
}

fn is_utf8(set: impl Fn(&str) -> Option<String>) -> bool {
    // The first that is set decides, as in POSIX.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A cell of CSV (RFC 4180), as the API writes it: one that a spreadsheet would run gets an apostrophe.
pub(super) fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// A line of CSV, with the end that the API gives it.
pub(super) fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut row = cells.into_iter().map(cell).collect::<Vec<_>>().join(",");
    row.push_str("\r\n");
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_csv_are_data_alone() {
        assert_eq!(
            row(["a", "b,c", "say \"x\"", "=1+1", "-5", "two\nlines"]),
            "a,\"b,c\",\"say \"\"x\"\"\",'=1+1,-5,\"two\nlines\"\r\n"
        );
    }

    #[test]
    fn the_locale_tells_whether_bars_are_blocks() {
        let with = |set: &[(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(with(&[("LANG", "de_AT.UTF-8")]) && with(&[("LC_ALL", "C.utf8"), ("LANG", "C")]));
        assert!(!with(&[]) && !with(&[("LC_ALL", "C"), ("LANG", "de_AT.UTF-8")]));
    }
}
