//! Tables without lines, for people: aligned columns that fit a terminal.

use super::text::{Look, cut, pad, width};

/// The spaces between two columns.
const GAP: usize = 2;
/// Columns of a terminal that a text keeps, however narrow the terminal is.
const LEAST: usize = 8;

/// A column.
pub(super) struct Column {
    head: &'static str,
    /// Numbers are aligned to the right.
    number: bool,
    /// The width to which a text of any length is cut where there is no room; columns that are wider are cut first.
    cut: Option<usize>,
}

impl Column {
    /// A column of words that are never cut.
    pub(super) const fn word(head: &'static str) -> Self {
        Self { head, number: false, cut: None }
    }

    /// A column of numbers.
    pub(super) const fn number(head: &'static str) -> Self {
        Self { head, number: true, cut: None }
    }

    /// A column of texts that may be long.
    pub(super) const fn text(head: &'static str) -> Self {
        Self { head, number: false, cut: Some(usize::MAX) }
    }

    /// A column of texts of which the first so many columns say enough, if there is no room for all.
    pub(super) const fn brief(head: &'static str, enough: usize) -> Self {
        Self { head, number: false, cut: Some(enough) }
    }
}

/// A table.
pub(super) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Look)>>,
}

impl Grid {
    /// An empty table.
    pub(super) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column. The cells must be harmless.
    pub(super) fn row(&mut self, cells: impl Into<Vec<(String, Look)>>) {
        self.rows.push(cells.into());
    }

    /// The lines of the table, in at most so many columns of a terminal if that is possible.
    pub(super) fn lines(&self, room: Option<usize>, color: bool, unicode: bool) -> Vec<String> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| width(column.head)).collect();
        for row in &self.rows {
            for (widest, (cell, _)) in widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        if let Some(room) = room {
            self.fit(&mut widths, room);
        }
        let heads = self.columns.iter().map(|column| (column.head.to_owned(), Look::Dim)).collect::<Vec<_>>();
        std::iter::once(&heads).chain(&self.rows).map(|row| self.line(row, &widths, color, unicode)).collect()
    }

    /// Takes what is too much from the texts of which less is enough, and then from the widest.
    fn fit(&self, widths: &mut [usize], room: usize) {
        let gaps = GAP * self.columns.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
        for (column, width) in self.columns.iter().zip(widths.iter_mut()) {
            let spare = column.cut.map_or(0, |enough| width.saturating_sub(enough)).min(excess);
            *width -= spare;
            excess -= spare;
        }
        while excess > 0 {
            let texts = self.columns.iter().zip(widths.iter_mut()).filter(|(column, _)| column.cut.is_some());
            let Some((_, widest)) = texts.max_by_key(|(_, width)| **width).filter(|(_, width)| **width > LEAST) else {
                return;
            };
            *widest -= 1;
            excess -= 1;
        }
    }

    fn line(&self, row: &[(String, Look)], widths: &[usize], color: bool, unicode: bool) -> String {
        let mut line = String::new();
        for (n, ((column, (cell, look)), columns)) in self.columns.iter().zip(row).zip(widths).enumerate() {
            let shown = cut(cell, *columns, unicode);
            // Nothing is behind the last cell, so that lines do not end with spaces.
            let is_last = n + 1 == row.len();
            let padded =
                if is_last && !column.number { shown.into_owned() } else { pad(&shown, *columns, column.number) };
            line.push_str(&look.paint(&padded, color));
            if !is_last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new([Column::word("NAME"), Column::number("COUNT"), Column::text("MESSAGE")]);
        for (name, count, message) in
            [("ping", "7", "short"), ("日本", "1,234", "a message that is longer than the others")]
        {
            grid.row([
                (name.to_owned(), Look::Bold),
                (count.to_owned(), Look::Plain),
                (message.to_owned(), Look::Plain),
            ]);
        }
        grid
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            grid().lines(None, false, true),
            ["NAME  COUNT  MESSAGE", "ping      7  short", "日本  1,234  a message that is longer than the others"]
        );
    }

    #[test]
    fn texts_give_way_to_a_narrow_terminal() {
        let lines = grid().lines(Some(30), false, true);
        assert_eq!(lines[2], "日本  1,234  a message that i…");
        assert!(lines.iter().all(|line| width(line) <= 30), "{lines:?}");
        let narrow = grid().lines(Some(5), false, false);
        assert_eq!(narrow[2], "日本  1,234  a mes...", "some of a text remains");
    }

    #[test]
    fn the_end_of_a_place_goes_before_that_of_a_message() {
        let mut grid = Grid::new([Column::text("MESSAGE"), Column::brief("PLACE", 10)]);
        grid.row([
            ("a message of 23 columns".to_owned(), Look::Plain),
            ("shop/payments.py:120".to_owned(), Look::Plain),
        ]);
        assert_eq!(grid.lines(Some(37), false, true)[1], "a message of 23 columns  shop/paymen…");
        assert_eq!(grid.lines(Some(30), false, true)[1], "a message of 23 c…  shop/paym…");
    }

    #[test]
    fn colours_take_no_room() {
        let lines = grid().lines(Some(30), true, true);
        assert!(lines[1].starts_with("\x1b[1mping\x1b[0m  "), "{lines:?}");
        assert!(lines.iter().all(|line| width(line) <= 30), "{lines:?}");
    }
}
