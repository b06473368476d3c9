//! Aligned columns for people: two spaces between them, nothing at a line's end.

use std::io::{self, Write};

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
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these column heads.
    #[must_use]
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
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
            line.push_str("  ");
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
        let mut table = Table::new(&[("NAME", Align::Left), ("NEXT", Align::Right)]);
        table.row(vec!["orders".into(), "7".into()]);
        table.row(vec!["ä".into(), "12345".into()]);
        let mut out = Vec::new();
        table.write(&mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "NAME     NEXT\norders      7\nä       12345\n");
    }
}
