//! Aligned columns for people: two spaces between them, nothing at a line's end.

use super::screen;
use std::io::{self, Write};

/// Spaces between two columns.
const GAP: usize = 2;
/// No cell is cut to less.
const CELL_MIN: usize = 16;

/// Which side of its column a cell clings to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table that is collected first, so that its columns can be aligned.
#[derive(Clone, Debug)]
pub struct TextTable {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// An empty table with these column heads.
    #[must_use]
    pub fn new(columns: &[(&'static str, Align)]) -> TextTable {
        TextTable { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds one line.
    ///
    /// # Panics
    /// When the row has another number of cells than the table has columns.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "cells of a row against columns");
        self.rows.push(cells);
    }

    /// Writes head and rows.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width(at)).collect();
        let heads: Vec<&str> = self.columns.iter().map(|(head, _)| *head).collect();
        self.write_row(out, &heads, &widths)?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            self.write_row(out, &cells, &widths)?;
        }
        Ok(())
    }

    /// Writes head and rows on lines of at most so many characters, if a limit is given: the first
    /// column is cut, down to [`CELL_MIN`], and where it was a hint follows.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_within(mut self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let Some(width) = width else { return self.write(out) };
        let others: usize = (1..self.columns.len()).map(|at| self.width(at) + GAP).sum();
        let most = width.saturating_sub(others).max(CELL_MIN);
        let mut was_cut = false;
        for cell in self.rows.iter_mut().filter_map(|row| row.first_mut()) {
            let (kept, is_cut) = screen::cut(cell, most);
            *cell = kept;
            was_cut |= is_cut;
        }
        self.write(out)?;
        if was_cut { writeln!(out, "{}", screen::HINT) } else { Ok(()) }
    }

    /// Width of a column in characters.
    fn width(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[at].chars().count());
        cells.chain([self.columns[at].0.chars().count()]).max().unwrap_or(0)
    }

    fn write_row(&self, out: &mut dyn Write, cells: &[&str], widths: &[usize]) -> io::Result<()> {
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            let space = widths[at] - cell.chars().count();
            match self.columns[at].1 {
                Align::Left => line.extend([cell, " ".repeat(space).as_str()]),
                Align::Right => line.extend([" ".repeat(space).as_str(), cell]),
            }
            line.push_str(&" ".repeat(GAP));
        }
        writeln!(out, "{}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words cling to the left, numbers to the right, and no line ends in spaces.
    #[test]
    fn columns_are_aligned() {
        let mut table = TextTable::new(&[("NAME", Align::Left), ("NEXT", Align::Right)]);
        table.row(vec!["orders".into(), "7".into()]);
        table.row(vec!["ä".into(), "12345".into()]);
        let mut out = Vec::new();
        table.write(&mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "NAME     NEXT\norders      7\nä       12345\n");
    }

    /// On a terminal a long name is cut so that its line fits, with a hint; elsewhere it is whole.
    #[test]
    fn a_long_cell_is_cut_to_fit() {
        let written = |width| {
            let mut table = TextTable::new(&[("NAME", Align::Left), ("NEXT", Align::Right)]);
            table.row(vec!["n".repeat(255), "7".into()]);
            table.row(vec!["short".into(), "7".into()]);
            let mut out = Vec::new();
            table.write_within(&mut out, width).expect("a vector takes everything");
            String::from_utf8(out).expect("text")
        };
        let cut = written(Some(40));
        let lines: Vec<&str> = cut.lines().collect();
        assert_eq!(lines[1], format!("{}…     7", "n".repeat(33)));
        assert_eq!((lines[1].chars().count(), lines[3]), (40, screen::HINT));
        assert!(written(None).contains(&"n".repeat(255)));
        assert!(!written(Some(400)).contains('…'));
    }
}
