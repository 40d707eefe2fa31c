//! Measured figures: rows of a table, kept in a file for a later comparison.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tally::table::table;

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// The unit of its values.
    pub(crate) unit: String,
    /// The value, or the median of several.
    pub(crate) value: f64,
    /// The 95th and 99th percentile of several values.
    pub(crate) high: Option<[f64; 2]>,
}

/// All rows of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Whether it was a quick run, over less data.
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Figure>,
}

impl Figures {
    /// Adds a row with one value.
    pub(crate) fn add(&mut self, what: impl Into<String>, unit: &str, value: f64) {
        self.rows.push(Figure { what: what.into(), unit: unit.to_owned(), value, high: None });
    }

    /// Adds a row with the percentiles of durations, in milliseconds.
    pub(crate) fn add_times(&mut self, what: impl Into<String>, times: Vec<Duration>) {
        let [value, p95, p99] = percentiles(times, [50, 95, 99]);
        self.rows.push(Figure { what: what.into(), unit: "ms".to_owned(), value, high: Some([p95, p99]) });
    }

    /// Reads the figures of an earlier run.
    pub(crate) fn read(file: &Path) -> Result<Self, Box<dyn Error>> {
        let text = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
        Ok(serde_json::from_slice(&text).map_err(|e| format!("{} holds no figures: {e}", file.display()))?)
    }

    /// Writes the figures to a file.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let text = serde_json::to_vec_pretty(self)?;
        Ok(std::fs::write(file, text).map_err(|e| format!("cannot write {}: {e}", file.display()))?)
    }

    /// The table, with the earlier values and their change in percent if there are any.
    pub(crate) fn table(&self, before: Option<&Self>) -> String {
        let header = ["what", "unit", "value, p50", "p95", "p99", "before", "change"];
        let columns = if before.is_some() { header.len() } else { 5 };
        let mut table = table(&header[..columns], 2);
        for row in &self.rows {
            let high = row.high.map_or([String::new(), String::new()], |high| high.map(show));
            let mut cells = vec![row.what.clone(), row.unit.clone(), show(row.value)];
            cells.extend(high);
            if let Some(before) = before {
                let old = before.rows.iter().find(|old| (&old.what, &old.unit) == (&row.what, &row.unit));
                cells.extend(
                    old.map_or(["-".to_owned(), "new".to_owned()], |old| {
                        [show(old.value), change(old.value, row.value)]
                    }),
                );
            }
            table.add_row(cells);
        }
        table.to_string()
    }
}

/// Percentiles of durations in milliseconds (nearest lower rank); zeros if there are no durations.
pub(crate) fn percentiles<const N: usize>(mut times: Vec<Duration>, percents: [usize; N]) -> [f64; N] {
    times.sort_unstable();
    let rank = |percent| times.len().saturating_sub(1) * percent / 100;
    percents.map(|percent| times.get(rank(percent)).map_or(0.0, |time| time.as_secs_f64() * 1_000.0))
}

/// Formats with three significant digits or more.
fn show(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn change(old: f64, new: f64) -> String {
    if old == 0.0 { "-".to_owned() } else { format!("{:+.1} %", (new / old - 1.0) * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(value: f64) -> Figures {
        let mut figures = Figures::default();
        figures.add("events accepted", "events/s", value);
        figures.add_times("page", (1..=100).map(Duration::from_millis).collect());
        figures
    }

    #[test]
    fn a_table_shows_percentiles_and_what_changed() {
        let table = figures(11_000.0).table(Some(&figures(10_000.0)));
        let row = |what: &str| table.lines().find(|line| line.contains(what)).unwrap_or_default().to_owned();
        let cells = |what: &str| row(what).split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(cells("events accepted")[2..], ["events/s", "11000", "", "", "10000", "+10.0 %", ""]);
        assert_eq!(cells("page")[2..], ["ms", "50.0", "95.0", "99.0", "50.0", "+0.0 %", ""]);
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times = vec![Duration::from_millis(3), Duration::from_millis(1), Duration::from_millis(2)];
        assert_eq!(percentiles(times, [0, 50, 99, 100]).map(show), ["1.00", "2.00", "2.00", "3.00"]);
        assert_eq!(percentiles(vec![], [50]).map(show), ["0.000"]);
    }

    #[test]
    fn what_was_not_measured_before_is_new() {
        let table = figures(1.0).table(Some(&Figures::default()));
        assert!(table.lines().skip(2).all(|line| line.contains("new")), "{table}");
        assert_eq!(figures(1.0).table(None).lines().count(), 2 + 2);
    }

    #[test]
    fn figures_are_kept_and_read_again() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        figures(3.0).write(file.path()).expect("written");
        assert_eq!(Figures::read(file.path()).expect("read"), figures(3.0));
        assert!(Figures::read(Path::new("/nowhere")).is_err());
    }
}
