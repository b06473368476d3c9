//! What is said of a cluster that has not formed: for whom it waits, now and then while it does, and
//! that it has formed in the end.

use crate::daemon::watch::status_board::StatusBoard;
use crate::types::{Shards, Tick};
use std::collections::BTreeMap;

/// Nothing is said for so long after the start, in milliseconds: hosts that start together meet.
const FIRST_MS: u64 = 3_000;
/// The same is said again after so long, in milliseconds.
const REPEAT_MS: u64 = 60_000;
/// Pause between two looks, in microseconds.
const LOOK_EVERY_US: u64 = 1_000_000;

/// Why the shards of a node serve nothing though nothing is wrong with it: one text for all that
/// wait for the same nodes.
#[must_use]
pub fn reasons(board: &StatusBoard) -> Vec<String> {
    let mut waiting: BTreeMap<String, Shards> = BTreeMap::new();
    for (shard, board) in board.shards() {
        let Some(why) = board.numbers().and_then(|numbers| numbers.unformed.clone()) else {
            continue;
        };
        waiting.entry(why).or_default().push(shard);
    }
    waiting.into_iter().map(|(why, shards)| format!("{shards}: {why}")).collect()
}

/// What is logged, and when.
#[derive(Debug)]
pub struct UnformedLines {
    said: Option<(String, Tick)>,
    look_at: Tick,
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Waits(String),
    Formed,
}

impl UnformedLines {
    /// Nothing is said before a cluster whose hosts start together has had the time to form.
    #[must_use]
    pub fn new(now: Tick) -> UnformedLines {
        UnformedLines { said: None, look_at: now.after(FIRST_MS * 1000) }
    }

    /// Looks at the board now and then, and logs what is news.
    pub fn log_news(&mut self, now: Tick, board: &StatusBoard) {
        if now < self.look_at {
            return;
        }
        self.look_at = now.after(LOOK_EVERY_US);
        match self.note(now, reasons(board).join("; ")) {
            Some(Line::Waits(reasons)) => log::warn!("nothing is served yet: {reasons}"),
            Some(Line::Formed) => log::info!("the cluster has formed: its members have all met"),
            None => {}
        }
    }

    /// What is news: a reason that was not said for long, or that there is none any more.
    fn note(&mut self, now: Tick, reasons: String) -> Option<Line> {
        let lately = |at: &Tick| now.since(*at) < REPEAT_MS * 1000;
        match &self.said {
            Some(_) if reasons.is_empty() => {
                self.said = None;
                Some(Line::Formed)
            }
            Some((said, at)) if *said == reasons && lately(at) => None,
            _ if reasons.is_empty() => None,
            _ => {
                self.said = Some((reasons.clone(), now));
                Some(Line::Waits(reasons))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reason is said once, again when it changes, and once a while; then that it is over.
    #[test]
    fn the_reason_is_said_when_it_is_news() {
        let mut lines = UnformedLines::new(Tick(0));
        let mut said = Vec::new();
        for second in 0..100 {
            let reason = match second {
                0..5 => "2 and 3",
                5..90 => "3",
                _ => "",
            };
            let line = lines.note(Tick(second * 1_000_000), reason.to_string());
            said.extend(line.map(|line| (second, line)));
        }
        let waits = |second, reason: &str| (second, Line::Waits(reason.to_string()));
        let repeat = REPEAT_MS / 1000;
        let wanted =
            [waits(0, "2 and 3"), waits(5, "3"), waits(5 + repeat, "3"), (90, Line::Formed)];
        assert_eq!(said, wanted);
    }
}
