//! Tables as Markdown has them, in columns that line up.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// An empty table. Its first `words` columns hold words, and are aligned to the left; the others hold numbers.
pub fn table(header: &[&str], words: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(header);
    for (n, column) in table.column_iter_mut().enumerate() {
        if n >= words {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
