//! Puts a board on a screen of any size: what there is no room for is left out, the least
//! important first.

use super::super::calendar;
use super::super::health::NodeStanding;
use super::board::{Board, NodeRow, Rates, ShardRow};
use super::tables::{NODES, SHARDS, count, draw_table, volume};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, Wrap};
use std::time::Duration;

/// Lines of the curve, where the screen is high enough for it.
const CURVE_LINES: u16 = 4;
/// The curve is left out where fewer lines than this would remain for the tables.
const TABLES_LINES_MIN: u16 = 16;

/// What the screen says beside the board.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// Time between two looks.
    pub interval: Duration,
    /// Time since the last look; none before the first.
    pub age: Option<Duration>,
    /// Shards that are scrolled out of sight above.
    pub scrolled: usize,
    /// Keys are read: it is drawn more than once.
    pub live: bool,
}

/// Draws the board.
pub fn draw(frame: &mut Frame<'_>, board: &Board, around: &Around) {
    let area = frame.area();
    let problems = problem_lines(board);
    let lines = problems.len() as u16;
    let nodes = board.nodes.len() as u16 + 1;
    let fixed = 2 + lines + nodes + 2;
    let shards = board.shards.len() as u16 + 1;
    let curve = if area.height > fixed + shards.min(TABLES_LINES_MIN) + CURVE_LINES {
        CURVE_LINES + 1
    } else {
        0
    };
    let [head, trouble, top, upper, _, lower] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(lines),
        Constraint::Length(curve),
        Constraint::Length(nodes),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(heading(board, around, area.width)), head);
    frame.render_widget(Paragraph::new(problems).wrap(Wrap { trim: false }), trouble);
    if curve > 0 {
        draw_curve(frame, board, top);
    }
    let style = |node: &NodeRow| match &node.state {
        Err(_) => alarm(),
        Ok(state) if !state.has_room || state.damaged > 0 => alarm(),
        Ok(_) if node.standing != NodeStanding::Up => alarm(),
        Ok(_) => Style::new(),
    };
    draw_table(frame, upper, NODES, &board.nodes, style);
    let style = |shard: &ShardRow| match shard.leader {
        None => alarm(),
        Some(_) => Style::new(),
    };
    let seen = &board.shards[around.scrolled.min(board.shards.len())..];
    draw_table(frame, lower, SHARDS, seen, style);
}

/// Lines that a board needs to be seen whole.
#[must_use]
pub fn height(board: &Board) -> u16 {
    let rows = problem_lines(board).len() + board.nodes.len() + board.shards.len();
    u16::try_from(rows + 5).unwrap_or(u16::MAX)
}

fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

/// Two lines: what this is, and how much it does.
fn heading(board: &Board, around: &Around, width: u16) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let age = match around.age {
        None => "looking for the first time".to_string(),
        Some(age) if age > around.interval * 2 => {
            format!("{} old", calendar::duration(age.as_millis() as u64))
        }
        Some(_) => format!("every {} s", around.interval.as_secs_f64()),
    };
    let keys = if around.live { "  q quits" } else { "" };
    let first = vec![
        Span::styled(format!("paxosd {}", board.cluster), bold),
        Span::raw(format!("  {age}{keys}")),
    ];
    let narrow = vec![Span::styled("paxosd", bold), Span::raw(format!("  {age}{keys}"))];
    let fits = Line::from(first.clone()).width() <= usize::from(width);
    let Rates { slots, entries, bytes } = board.total;
    let (entries, bytes, slots) = (count(entries), volume(bytes), count(slots));
    let total = format!("{entries} entries/s  {bytes}/s  {slots} slots/s");
    vec![Line::from(if fits { first } else { narrow }), Line::from(total)]
}

/// What is wrong, a line each; a healthy cluster says so.
fn problem_lines(board: &Board) -> Vec<Line<'static>> {
    const SHOWN_MAX: usize = 4;
    let mut lines: Vec<Line<'static>> = Vec::new();
    lines.extend(board.trouble.iter().map(|text| Line::styled(text.clone(), alarm())));
    let shown = board.problems.iter().take(SHOWN_MAX);
    lines.extend(shown.map(|text| Line::styled(text.clone(), alarm())));
    if board.problems.len() > SHOWN_MAX {
        let more = format!("and {} more: paxosctl status", board.problems.len() - SHOWN_MAX);
        lines.push(Line::styled(more, alarm()));
    }
    if lines.is_empty() && !board.nodes.is_empty() {
        lines.push(Line::styled("healthy", Style::new().fg(Color::Green)));
    }
    let under_way = board.catching_up.iter().take(SHOWN_MAX);
    lines.extend(under_way.map(|text| Line::from(text.clone())));
    lines
}

fn draw_curve(frame: &mut Frame<'_>, board: &Board, area: Rect) {
    let area = Rect { height: area.height.saturating_sub(1), ..area };
    let spare = board.history.len().saturating_sub(usize::from(area.width));
    let seen: Vec<u64> = board.history.iter().skip(spare).copied().collect();
    let curve = Sparkline::default().data(&seen).style(Style::new().fg(Color::Cyan));
    frame.render_widget(curve, area);
}

#[cfg(test)]
mod tests {
    use super::super::super::health::tests::{kill, shard};
    use super::super::board::tests::sample;
    use super::super::text;
    use super::*;

    const AROUND: Around = Around {
        interval: Duration::from_secs(2),
        age: Some(Duration::ZERO),
        scrolled: 0,
        live: true,
    };

    fn board() -> Board {
        let mut board = Board::new("00112233445566778899aabbccddeeff".to_string());
        let looks = [sample(0, 1000), sample(2000, 4000)];
        board.update(None, &looks[0]);
        board.update(Some(&looks[0]), &looks[1]);
        board
    }

    fn screen(board: &Board, width: u16, height: u16) -> Vec<String> {
        text(board, &AROUND, width, height).expect("a screen in memory takes everything")
    }

    /// On a usual terminal everything important is seen, aligned under its head.
    #[test]
    fn a_usual_terminal_shows_nodes_shards_and_rates() {
        let lines = screen(&board(), 80, 24);
        let text = lines.join("\n");
        assert!(
            lines[0].starts_with("paxosd 00112233445566778899aabbccddeeff  every 2 s"),
            "{text}"
        );
        assert_eq!(lines[1], "1500 entries/s  14.6 KiB/s  1500 slots/s");
        assert_eq!(lines[2], "healthy");
        let find = |start: &str| {
            let found = lines.iter().position(|line| line.trim_start().starts_with(start));
            found.unwrap_or_else(|| panic!("no line begins with {start:?}:\n{text}"))
        };
        let nodes = find("NODE");
        for (head, wanted) in [("STATE", "up"), ("LEADS", "shard 0"), ("ADDRESS", "n1:7420")] {
            let at = lines[nodes].find(head).unwrap_or_else(|| panic!("no {head}:\n{text}"));
            assert!(lines[nodes + 1][at..].starts_with(wanted), "{head} of node 1:\n{text}");
        }
        assert!(
            lines[nodes + 1].contains("64.0 MiB") && lines[nodes + 1].contains("1m 5s"),
            "{text}"
        );
        for (line, sync) in lines[nodes + 1..].iter().zip(["0.25 ms", "0.50 ms", "0.75 ms"]) {
            assert!(line.contains(sync), "{text}");
        }
        let row = &lines[find("SHARD") + 1];
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[..5], ["0", "1", "1500", "14.6", "KiB"], "{text}");
        assert!(row.contains("3/3"), "{text}");
    }

    /// A dead node and a shard without a leader stand out at every size, as far as there is room.
    #[test]
    fn what_is_wrong_is_seen_at_every_size() {
        let mut board = board();
        let (first, mut second) = (sample(0, 0), sample(1000, 0));
        kill(&mut second.status, 0);
        board.update(Some(&first), &second);
        for (width, height) in [(80, 24), (40, 10), (200, 60)] {
            let text = screen(&board, width, height).join("\n");
            for part in ["DEAD", "shard 0 has no leader", "node 1 at n1:7420 does not answer"] {
                assert!(text.contains(part), "no {part:?} at {width}x{height}:\n{text}");
            }
        }
        assert!(screen(&board, 200, 60).join("\n").contains("connect: it closed the connection"));
    }

    /// What a node takes over stands below what is wrong, and is no alarm.
    #[test]
    fn c29_progress_is_seen() {
        let (mut board, mut look) = (board(), sample(4000, 5000));
        shard(&mut look.status, 1).absent_slots = 12;
        board.update(None, &look);
        let lines = screen(&board, 80, 24);
        assert_eq!(lines[2], "healthy");
        let wanted = "node 2, shard 0: fetches values of 12 absent slots, has fetched 0";
        assert_eq!(lines[3], wanted);
        board.lose("status: not executed: no node answers".to_string());
        assert!(screen(&board, 80, 24).iter().all(|line| !line.contains("absent")));
    }

    /// A small screen leaves out columns, not rows; a large one has all of them, and the curve.
    #[test]
    fn columns_follow_the_width() {
        let board = board();
        let small = screen(&board, 40, 10);
        let text = small.join("\n");
        assert!(small.iter().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("ENTRIES/s") && !text.contains("EPOCH"), "{text}");
        assert!(small[0].contains("q quits"), "{text}");
        let rows = small.iter().filter(|line| line.contains("up")).count();
        assert_eq!(rows, 3, "{text}");
        let large = screen(&board, 200, 60).join("\n");
        for part in ["EPOCH", "CHOSEN", "VERSION", "UPTIME", "0.1.0", "█"] {
            assert!(large.contains(part), "no {part:?}:\n{large}");
        }
    }

    /// No size breaks it, nor a board that is still empty, nor more shards than lines.
    #[test]
    fn no_size_breaks_it() {
        let mut many = board();
        many.trouble = Some("no node answers".to_string());
        many.shards = (0..300).map(|n| ShardRow { shard: n, ..many.shards[0].clone() }).collect();
        for board in [&board(), &Board::new("c".to_string()), &many] {
            for (width, height) in [(1, 1), (1, 60), (5, 2), (10, 10), (200, 3), (250, 80)] {
                assert_eq!(screen(board, width, height).len(), usize::from(height));
            }
        }
        let scrolled = Around { scrolled: 299, ..AROUND };
        let lines = text(&many, &scrolled, 80, 24).expect("a screen in memory takes everything");
        assert!(lines.iter().any(|line| line.trim_start().starts_with("299 ")), "{lines:?}");
        assert!(lines.iter().any(|line| line == "no node answers"), "{lines:?}");
        let past = Around { scrolled: 999, ..AROUND };
        assert!(text(&many, &past, 80, 24).is_ok());
    }

    /// Everything fits into the height that is asked for.
    #[test]
    fn the_height_is_enough() {
        let board = board();
        let lines = screen(&board, 120, height(&board));
        assert!(lines.last().is_some_and(|line| line.trim_start().starts_with("0 ")), "{lines:?}");
    }
}
