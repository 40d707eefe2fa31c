//! What was measured: rows of a table, kept in a file to be compared with.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use local::table::table;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// The unit of its values.
    pub(crate) unit: String,
    /// By column: one value under no name, or percentiles.
    pub(crate) values: BTreeMap<String, f64>,
}

/// All rows of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Whether it was a quick run; its figures are of less data.
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Figure>,
}

impl Figures {
    /// Adds a row of one value.
    pub(crate) fn add(&mut self, what: impl Into<String>, unit: &str, value: f64) {
        let values = BTreeMap::from([(String::new(), value)]);
        self.rows.push(Figure { what: what.into(), unit: unit.to_owned(), values });
    }

    /// Adds a row of how long something took, in milliseconds.
    pub(crate) fn add_times(&mut self, what: impl Into<String>, mut times: Vec<Duration>) {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
        let values = [50, 95, 99].map(|percent| (format!("p{percent}"), at(percent)));
        self.rows.push(Figure { what: what.into(), unit: "ms".to_owned(), values: values.into() });
    }

    /// Reads what an earlier run kept.
    pub(crate) fn read(file: &Path) -> Result<Self, Box<dyn Error>> {
        let text = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
        Ok(serde_json::from_slice(&text).map_err(|e| format!("{} holds no figures: {e}", file.display()))?)
    }

    /// Keeps them.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let text = serde_json::to_vec_pretty(self)?;
        Ok(std::fs::write(file, text).map_err(|e| format!("cannot write {}: {e}", file.display()))?)
    }

    /// The table, with what was before and by how much it changed where there is a before.
    pub(crate) fn table(&self, before: Option<&Self>) -> String {
        let header = ["what", "", "unit", "value", "before", "change"];
        let columns = if before.is_some() { header.len() } else { 4 };
        let mut table = table(&header[..columns], 3);
        for row in &self.rows {
            let same = |old: &&Figure| (&old.what, &old.unit) == (&row.what, &row.unit);
            let old = before.and_then(|before| before.rows.iter().find(same));
            for (column, value) in &row.values {
                let mut cells = vec![row.what.clone(), column.clone(), row.unit.clone(), show(*value)];
                if before.is_some() {
                    cells.extend(match old.and_then(|old| old.values.get(column)) {
                        Some(old) => [show(*old), change(*old, *value)],
                        None => ["-".to_owned(), "new".to_owned()],
                    });
                }
                table.add_row(cells);
            }
        }
        table.to_string()
    }
}

/// Three digits and more.
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
        assert!(row("events accepted").ends_with("| 11000 |  10000 | +10.0 % |"), "{table}");
        assert!(row("p99").contains("|  99.0 |"), "{table}");
        assert_eq!(figures(1.0).table(None).lines().count(), 2 + 1 + 3);
    }

    #[test]
    fn figures_are_kept_and_read_again() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        figures(3.0).write(file.path()).expect("written");
        assert_eq!(Figures::read(file.path()).expect("read"), figures(3.0));
        assert!(Figures::read(Path::new("/nowhere")).is_err());
    }
}
