//! The tables of nodes and shards: their columns, and how many of them a screen has room for.

use super::super::health::{NodeStanding, leads_text};
use super::super::status::free;
use super::super::units::bytes;
use super::board::{NodeRow, NodeState, ShardRow};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table};
use std::time::Duration;

/// Columns of space between two columns of a table.
const GAP: u16 = 2;

/// One column of a table.
pub struct Column<R> {
    head: &'static str,
    /// Columns with the highest numbers are left out first.
    rank: u8,
    right: bool,
    text: fn(&R) -> String,
}

/// The columns of the nodes.
pub const NODES: &[Column<NodeRow>] = &[
    Column { head: "NODE", rank: 0, right: true, text: |row| row.node.to_string() },
    Column { head: "STATE", rank: 0, right: false, text: node_state },
    Column { head: "LEADS", rank: 1, right: false, text: leads },
    Column { head: "LAG", rank: 1, right: true, text: |row| of_state(row, |s| s.lag.to_string()) },
    Column {
        head: "SLOTS/s",
        rank: 3,
        right: true,
        text: |row| of_state(row, |state| count(state.applied)),
    },
    Column {
        head: "SYNC",
        rank: 2,
        right: true,
        text: |row| of_state(row, |state| latency(state.sync)),
    },
    Column {
        head: "DISK",
        rank: 3,
        right: true,
        text: |row| of_state(row, |state| bytes(state.disk_bytes)),
    },
    Column { head: "FREE", rank: 2, right: true, text: |row| of_state(row, |s| free(&s.disk)) },
    Column {
        head: "UPTIME",
        rank: 4,
        right: true,
        text: |row| of_state(row, |s| s.uptime.clone()),
    },
    Column { head: "ADDRESS", rank: 2, right: false, text: |row| row.address.clone() },
    Column {
        head: "VERSION",
        rank: 5,
        right: false,
        text: |row| of_state(row, |s| s.version.clone()),
    },
    Column { head: "", rank: 6, right: false, text: node_notes },
];

/// The columns of the shards.
pub const SHARDS: &[Column<ShardRow>] = &[
    Column { head: "SHARD", rank: 0, right: true, text: |row| row.shard.to_string() },
    Column {
        head: "LEADER",
        rank: 0,
        right: true,
        text: |row| row.leader.map_or_else(|| "NONE".to_string(), |node| node.to_string()),
    },
    Column { head: "ENTRIES/s", rank: 1, right: true, text: |row| count(row.rates.entries) },
    Column { head: "BYTES/s", rank: 3, right: true, text: |row| volume(row.rates.bytes) },
    Column { head: "SLOTS/s", rank: 2, right: true, text: |row| count(row.rates.slots) },
    Column { head: "LAG", rank: 1, right: true, text: |row| row.lag.to_string() },
    Column {
        head: "REPLICAS",
        rank: 2,
        right: true,
        text: |row| format!("{}/{}", row.replicas.0, row.replicas.1),
    },
    Column { head: "LOGS", rank: 4, right: true, text: |row| row.logs.to_string() },
    Column { head: "CHOSEN", rank: 5, right: true, text: |row| row.chosen.to_string() },
    Column {
        head: "EPOCH",
        rank: 6,
        right: true,
        text: |row| row.epoch.clone().unwrap_or_else(|| "-".to_string()),
    },
];

fn node_state(row: &NodeRow) -> String {
    row.standing.text().to_string()
}

fn leads(row: &NodeRow) -> String {
    match row.standing {
        NodeStanding::Dead => "-".to_string(),
        NodeStanding::Up | NodeStanding::CutOff => leads_text(row.leads.iter().copied()),
    }
}

fn of_state(row: &NodeRow, text: fn(&NodeState) -> String) -> String {
    row.state.as_ref().map_or_else(|_| "-".to_string(), text)
}

fn node_notes(row: &NodeRow) -> String {
    match &row.state {
        Err(why) => why.clone(),
        Ok(state) => {
            let damaged = (state.damaged > 0).then(|| format!("{} DAMAGED slots", state.damaged));
            let full = (!state.has_room).then(|| "disk full".to_string());
            damaged.into_iter().chain(full).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Draws a table with as many of its columns as there is room for.
pub fn draw_table<R>(
    frame: &mut Frame<'_>,
    area: Rect,
    columns: &[Column<R>],
    rows: &[R],
    style: impl Fn(&R) -> Style,
) {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| (column.text)(row)).collect()).collect();
    let widths: Vec<u16> =
        (0..columns.len()).map(|at| width(columns[at].head, at, &cells)).collect();
    let shown = fitting(columns, &widths, area.width);
    let aligned = |at: usize, text: &str| {
        let line = Line::from(text.to_string());
        Cell::from(if columns[at].right { line.right_aligned() } else { line })
    };
    let heads = shown.iter().map(|at| aligned(*at, columns[*at].head));
    let heads = Row::new(heads).style(Style::new().add_modifier(Modifier::UNDERLINED));
    let lines = rows.iter().zip(&cells).map(|(row, cells)| {
        Row::new(shown.iter().map(|at| aligned(*at, &cells[*at]))).style(style(row))
    });
    let constraints = shown.iter().map(|at| Constraint::Length(widths[*at]));
    let table = Table::new(lines, constraints).header(heads).column_spacing(GAP);
    frame.render_widget(table, area);
}

/// Width of a column in characters.
fn width(head: &str, at: usize, cells: &[Vec<String>]) -> u16 {
    let widest = cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    u16::try_from(widest.max(head.len())).unwrap_or(u16::MAX)
}

/// The columns that fit, the most important ones first, in their usual order.
fn fitting<R>(columns: &[Column<R>], widths: &[u16], room: u16) -> Vec<usize> {
    let mut by_rank: Vec<usize> = (0..columns.len()).collect();
    by_rank.sort_by_key(|at| columns[*at].rank);
    let (mut shown, mut used) = (Vec::new(), 0u16);
    for at in by_rank {
        let needed = used.saturating_add(widths[at]).saturating_add(GAP);
        if needed.saturating_sub(GAP) > room {
            break;
        }
        used = needed;
        shown.push(at);
    }
    shown.sort_unstable();
    shown
}

/// A rate as people read it.
pub fn count(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_string(),
        Some(rate) if rate < 10.0 && rate > 0.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// A latency as people read it.
fn latency(took: Option<Duration>) -> String {
    let Some(took) = took else { return "-".to_string() };
    let ms = took.as_secs_f64() * 1e3;
    let decimals = if ms < 10.0 { 2 } else { usize::from(ms < 100.0) };
    format!("{ms:.decimals$} ms")
}

/// Bytes a second as people read them.
pub fn volume(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_string(), |rate| bytes(rate.round() as u64))
}
