//! `top`: the cluster, live, on a terminal.

pub mod args;
mod board;
mod draw;
mod sample;
mod tables;

use super::TIMEOUT;
use super::args::Global;
use super::connect::connect_silently;
use super::exit::CommandFailure;
use crate::client::{Client, ClientError};
use args::Top;
use board::Board;
use draw::{Around, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use sample::{Sample, look, watch};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// How long a key is waited for before the screen is drawn anew.
const TURN: Duration = Duration::from_millis(100);
/// How long a look may search for a node that answers, unless `--timeout` says otherwise.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Width of what `--once` prints.
const ONCE_WIDTH: u16 = 160;

/// Shows the cluster until `q` is pressed, or once.
pub fn top(global: &Global, top: &Top, out: &mut dyn Write) -> Result<(), CommandFailure> {
    if !top.once && !io::stdout().is_terminal() {
        let text = "top needs a terminal on standard output; next: paxosctl top --once for one \
                    look, or paxosctl status";
        return Err(CommandFailure::Usage(text.to_string()));
    }
    let mut client = connect_silently(global, TIMEOUT)?;
    client.set_timeout(global.timeout.unwrap_or(LOOK_TIMEOUT));
    let board = Board::new(client.cluster().to_string());
    if top.once { once(&mut client, board, top, out) } else { live(client, board, top) }
}

/// Looks twice and prints.
fn once(
    client: &mut Client,
    mut board: Board,
    top: &Top,
    out: &mut dyn Write,
) -> Result<(), CommandFailure> {
    let start = Instant::now();
    let first = look(client, start)?;
    std::thread::sleep(top.interval);
    let second = look(client, start)?;
    board.update(Some(&first), &second);
    let around =
        Around { interval: top.interval, age: Some(Duration::ZERO), scrolled: 0, live: false };
    let lines =
        text(&board, &around, ONCE_WIDTH, draw::height(&board)).map_err(CommandFailure::Output)?;
    for line in lines {
        writeln!(out, "{line}").map_err(CommandFailure::Output)?;
    }
    Ok(())
}

/// A screen of this size as lines of text.
fn text(board: &Board, around: &Around, width: u16, height: u16) -> io::Result<Vec<String>> {
    let backend = TestBackend::new(width, height);
    let mut terminal = Terminal::new(backend).map_err(io::Error::other)?;
    terminal.draw(|frame| draw(frame, board, around)).map_err(io::Error::other)?;
    let cells = terminal.backend().buffer();
    let line = |y| {
        let line: String = (0..width).map(|x| cells[(x, y)].symbol()).collect();
        line.trim_end().to_string()
    };
    Ok((0..height).map(line).collect())
}

/// Gives the terminal back, however `top` ends; ratatui's panic hook does when it panics.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the cluster until the user, a signal or a broken terminal ends it.
fn live(client: Client, mut board: Board, top: &Top) -> Result<(), CommandFailure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&stop)).map_err(CommandFailure::Output)?;
    }
    let news = watch(client, top.interval);
    let mut terminal = ratatui::try_init().map_err(CommandFailure::Output)?;
    let _restore = Restore;
    let mut last: Option<(Sample, Instant)> = None;
    let mut scrolled = 0;
    while !stop.load(Ordering::Relaxed) {
        take_news(&news, &mut board, &mut last)?;
        let age = last.as_ref().map(|(_, at)| at.elapsed());
        let around = Around { interval: top.interval, age, scrolled, live: true };
        terminal.draw(|frame| draw(frame, &board, &around)).map_err(CommandFailure::Output)?;
        if !event::poll(TURN).or_else(interrupted).map_err(CommandFailure::Output)? {
            continue;
        }
        let Event::Key(key) = event::read().map_err(CommandFailure::Input)? else { continue };
        match asked(key) {
            Asked::Quit => break,
            Asked::Scroll(lines) => {
                let last = board.shards.len().saturating_sub(1);
                scrolled = scrolled.saturating_add_signed(lines).min(last);
            }
            Asked::Nothing => {}
        }
    }
    Ok(())
}

/// A signal ends a wait for keys early: the loop looks what it was.
fn interrupted(error: io::Error) -> io::Result<bool> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}

/// Takes the looks that have come since the last time.
fn take_news(
    news: &Receiver<Result<Sample, ClientError>>,
    board: &mut Board,
    last: &mut Option<(Sample, Instant)>,
) -> Result<(), CommandFailure> {
    loop {
        match news.try_recv() {
            Ok(Ok(sample)) => {
                board.update(last.as_ref().map(|(sample, _)| sample), &sample);
                *last = Some((sample, Instant::now()));
            }
            Ok(Err(error)) => board.lose(error.to_string()),
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => {
                let text = "the thread that looks at the cluster ended; its message stands above";
                return Err(CommandFailure::Other(text.to_string()));
            }
        }
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Quit,
    /// Lines, downwards.
    Scroll(isize),
    Nothing,
}

fn asked(key: KeyEvent) -> Asked {
    if key.kind == KeyEventKind::Release {
        return Asked::Nothing;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if control => Asked::Quit,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Asked::Quit,
        KeyCode::Down | KeyCode::Char('j') => Asked::Scroll(1),
        KeyCode::Up | KeyCode::Char('k') => Asked::Scroll(-1),
        KeyCode::PageDown => Asked::Scroll(10),
        KeyCode::PageUp => Asked::Scroll(-10),
        KeyCode::Home => Asked::Scroll(isize::MIN),
        _ => Asked::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that the manual names do what it says.
    #[test]
    fn keys_quit_and_scroll() {
        let plain = |code| asked(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('q')), Asked::Quit);
        assert_eq!(plain(KeyCode::Esc), Asked::Quit);
        assert_eq!(plain(KeyCode::Char('c')), Asked::Nothing);
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(asked(control), Asked::Quit);
        assert_eq!(
            (plain(KeyCode::Down), plain(KeyCode::Up)),
            (Asked::Scroll(1), Asked::Scroll(-1))
        );
    }
}
