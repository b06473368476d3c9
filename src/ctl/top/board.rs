//! What the screen shows, made from two looks at the cluster. It draws nothing.

use super::super::calendar::duration;
use super::super::health::{self, NodeStanding};
use super::super::status::catching_up;
use super::sample::{Sample, SampleExtent};
use crate::client::{ClusterStatus, DiskSpace, NodeReport, ShardStatus};
use crate::types::{LogId, NodeId, ShardId};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Rates that are remembered for the curve: as many as a wide screen has columns.
const HISTORY_MAX: usize = 400;

/// Everything on the screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// The cluster's identity.
    pub cluster: String,
    /// One row a node, by rising id.
    pub nodes: Vec<NodeRow>,
    /// One row a shard, by rising number.
    pub shards: Vec<ShardRow>,
    /// The sum of all shards.
    pub total: Rates,
    /// What is wrong; nothing for a healthy cluster.
    pub problems: Vec<String>,
    /// What nodes take over from others, and how far they are.
    pub catching_up: Vec<String>,
    /// Why the cluster could not be looked at the last time; what is shown is older then.
    pub trouble: Option<String>,
    /// Entries a second, or slots where entries are not known, oldest first.
    pub history: VecDeque<u64>,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    /// The node.
    pub node: NodeId,
    /// Where its clients connect.
    pub address: String,
    /// What it reports about itself; why it does not, if it does not answer.
    pub state: Result<NodeState, String>,
    /// How it stands.
    pub standing: NodeStanding,
    /// The shards that it leads.
    pub leads: Vec<u16>,
}

/// What a node reports about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    /// Its program's version.
    pub version: String,
    /// Since when it runs, as `3d 4h`.
    pub uptime: String,
    /// Slots by which it is behind, in the shard where that is most.
    pub lag: u64,
    /// Slots that it applied a second, all shards together.
    pub applied: Option<f64>,
    /// How long a batch's write and sync took, in the mean since the look before; none where there
    /// was no batch.
    pub sync: Option<Duration>,
    /// Bytes of its write-ahead logs.
    pub disk_bytes: u64,
    /// The space on its disk.
    pub disk: DiskSpace,
    /// False when it refuses appends for want of space.
    pub has_room: bool,
    /// Slots that are damaged there.
    pub damaged: u64,
}

/// One shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardRow {
    /// The shard.
    pub shard: u16,
    /// Who leads it.
    pub leader: Option<NodeId>,
    /// Its leadership.
    pub epoch: Option<String>,
    /// Slots known chosen.
    pub chosen: u64,
    /// What it does.
    pub rates: Rates,
    /// Slots by which the furthest behind of its replicas is behind.
    pub lag: u64,
    /// Replicas that answer and take part, of how many.
    pub replicas: (usize, usize),
    /// Its logs.
    pub logs: u64,
}

/// Rates since the look before; none where one of the two looks has no number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Slots chosen a second: batches of appends.
    pub slots: Option<f64>,
    /// Entries appended a second.
    pub entries: Option<f64>,
    /// Bytes of these.
    pub bytes: Option<f64>,
}

impl Board {
    /// A board of a cluster that was not looked at yet.
    #[must_use]
    pub fn new(cluster: String) -> Board {
        Board { cluster, ..Board::default() }
    }

    /// Shows a new look; rates are against the one before.
    pub fn update(&mut self, before: Option<&Sample>, now: &Sample) {
        let status = &now.status;
        self.trouble = None;
        self.nodes = status.nodes.iter().map(|node| node_row(before, now, node)).collect();
        self.shards = (0..status.shards).map(|shard| shard_row(before, now, shard)).collect();
        let rates = || self.shards.iter().map(|shard| shard.rates);
        self.total = Rates {
            slots: sum(rates().map(|rates| rates.slots)),
            entries: sum(rates().map(|rates| rates.entries)),
            bytes: sum(rates().map(|rates| rates.bytes)),
        };
        let problems = health::problems(status);
        // What passes by itself stands in the columns: a busy cluster always lags by a slot.
        let lasting = problems.iter().filter(|problem| !problem.is_passing());
        self.problems = lasting.map(ToString::to_string).collect();
        self.catching_up = progress_lines(status);
        if let Some(rate) = self.total.entries.or(self.total.slots) {
            self.history.push_back(rate.round() as u64);
            let spare = self.history.len().saturating_sub(HISTORY_MAX);
            self.history.drain(..spare);
        }
    }

    /// Nobody answered the last look: no node is shown as up on the strength of an older one, nor a
    /// leader or a rate.
    pub fn lose(&mut self, why: String) {
        for node in &mut self.nodes {
            node.state = Err("no answer".to_string());
            node.standing = NodeStanding::Dead;
            node.leads.clear();
        }
        for shard in &mut self.shards {
            (shard.leader, shard.epoch, shard.rates) = (None, None, Rates::default());
            shard.replicas.0 = 0;
        }
        (self.total, self.problems) = (Rates::default(), Vec::new());
        self.catching_up.clear();
        self.trouble = Some(why);
    }
}

/// A line for each shard of a node that catches up.
fn progress_lines(status: &ClusterStatus) -> Vec<String> {
    let mut lines = Vec::new();
    for report in &status.nodes {
        for state in report.state.iter().flat_map(|state| &state.shards) {
            let (node, shard) = (report.member.node, state.shard);
            let text = catching_up(state);
            lines.extend(text.map(|text| format!("node {node}, shard {shard}: {text}")));
        }
    }
    lines
}

/// The sum of what is known; none when nothing is.
fn sum(rates: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    rates.flatten().reduce(|a, b| a + b)
}

/// What was added a second between two looks. Less than before is no rate: another node answered,
/// which is behind.
fn rate(before: u64, now: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| now.saturating_sub(before) as f64 / seconds)
}

fn seconds(before: &Sample, now: &Sample) -> f64 {
    now.at.saturating_sub(before.at).as_secs_f64()
}

fn node_row(before: Option<&Sample>, now: &Sample, report: &NodeReport) -> NodeRow {
    let status = &now.status;
    let node = report.member.node;
    let state = report.state.as_ref().map_err(|error| format!("{}: {}", error.stage, error.cause));
    let state = state.map(|state| NodeState {
        version: state.version.clone(),
        uptime: duration(state.uptime_ms),
        lag: state.shards.iter().map(|shard| health::lag(status, shard)).max().unwrap_or(0),
        applied: before.and_then(|before| {
            let then = applied(&before.status, node)?;
            rate(then, applied(status, node)?, seconds(before, now))
        }),
        sync: before.and_then(|before| mean_sync(&before.status, status, node)),
        disk: state.disk,
        disk_bytes: state.shards.iter().map(|shard| shard.disk_bytes).sum(),
        has_room: state.shards.iter().all(|shard| shard.has_room),
        damaged: state.shards.iter().map(|shard| shard.damaged_slots).sum(),
    });
    let leads = |shard: &u16| {
        health::leader(status, ShardId(*shard)).is_some_and(|(leader, _)| leader == node)
    };
    NodeRow {
        node,
        address: report.member.address.clone(),
        standing: NodeStanding::of(status, node),
        state,
        leads: (0..status.shards).filter(leads).collect(),
    }
}

/// A node's shards, if it answers.
fn shards_of(status: &ClusterStatus, node: NodeId) -> Option<&[ShardStatus]> {
    let report = status.nodes.iter().find(|report| report.member.node == node)?;
    Some(&report.state.as_ref().ok()?.shards)
}

/// Slots that a node has applied, all shards together.
fn applied(status: &ClusterStatus, node: NodeId) -> Option<u64> {
    Some(shards_of(status, node)?.iter().map(|shard| shard.applied_upto.0).sum())
}

/// The mean of a node's syncs between two looks. A node that has started anew in between counts from
/// nothing, and what it counted before is not known any more.
fn mean_sync(before: &ClusterStatus, now: &ClusterStatus, node: NodeId) -> Option<Duration> {
    let sums = |status| {
        let shards = shards_of(status, node)?.iter();
        Some(shards.fold((0, 0), |(syncs, us), at| (syncs + at.syncs, us + at.sync_us)))
    };
    let ((syncs_before, us_before), (syncs, us)) = (sums(before)?, sums(now)?);
    let took_us = us.checked_sub(us_before)?;
    let mean_us = took_us.checked_div(syncs.checked_sub(syncs_before)?)?;
    Some(Duration::from_micros(mean_us))
}

fn shard_row(before: Option<&Sample>, now: &Sample, shard: u16) -> ShardRow {
    let (status, id) = (&now.status, ShardId(shard));
    let leader = health::leader(status, id);
    let most = |status: &ClusterStatus| {
        health::shards(status, id).map(|(_, state)| state.chosen_upto.0).max()
    };
    let rates = before.map_or_else(Rates::default, |before| {
        let seconds = seconds(before, now);
        let slots = most(&before.status).zip(most(status));
        let grown = before.logs.get(&id).zip(now.logs.get(&id)).map(|(a, b)| growth(a, b));
        Rates {
            slots: slots.and_then(|(then, now)| rate(then, now, seconds)),
            entries: grown.and_then(|grown| rate(0, grown.entries, seconds)),
            bytes: grown.and_then(|grown| rate(0, grown.bytes, seconds)),
        }
    });
    let nodes = status.nodes.iter().map(|report| report.member.node);
    let parts = nodes.map(|node| health::takes_part(status, id, node));
    ShardRow {
        shard,
        leader: leader.map(|(node, _)| node),
        epoch: leader.map(|(_, state)| state.epoch.to_string()),
        chosen: most(status).unwrap_or(0),
        rates,
        lag: health::shards(status, id)
            .map(|(_, state)| health::lag(status, state))
            .max()
            .unwrap_or(0),
        replicas: (parts.filter(|node| *node).count(), status.nodes.len()),
        logs: health::shards(status, id).map(|(_, state)| state.logs).max().unwrap_or(0),
    }
}

/// What was appended to the logs between two looks; a log that is new counts whole.
fn growth(
    before: &BTreeMap<LogId, SampleExtent>,
    now: &BTreeMap<LogId, SampleExtent>,
) -> SampleExtent {
    let grown = now.iter().map(|(id, now)| {
        let then = before.get(id).copied().unwrap_or_default();
        SampleExtent {
            entries: now.entries.saturating_sub(then.entries),
            bytes: now.bytes.saturating_sub(then.bytes),
        }
    });
    grown.fold(SampleExtent::default(), |sum, one| SampleExtent {
        entries: sum.entries + one.entries,
        bytes: sum.bytes + one.bytes,
    })
}

#[cfg(test)]
pub mod tests {
    use super::super::super::health::tests::{healthy, kill, refused, shard};
    use super::*;
    use crate::types::Slot;

    /// The healthy cluster of `health` at a moment, with one log of so many entries of 10 bytes,
    /// one a slot.
    pub fn sample(at_ms: u64, entries: u64) -> Sample {
        let mut status = healthy();
        for node in 0..status.nodes.len() {
            let state = shard(&mut status, node);
            (state.chosen_upto, state.applied_upto) = (Slot(entries), Slot(entries));
            (state.syncs, state.sync_us) = (entries, entries * 250 * (node as u64 + 1));
        }
        let extent = SampleExtent { entries, bytes: entries * 10 };
        let id = LogId::new(ShardId(0), 1);
        let logs = BTreeMap::from([(ShardId(0), BTreeMap::from([(id, extent)]))]);
        Sample { at: Duration::from_millis(at_ms), status, logs }
    }

    /// Rates are differences of two looks over the time between them.
    #[test]
    fn rates_are_differences() {
        let mut board = Board::new("c".to_string());
        let (first, second) = (sample(0, 1000), sample(2000, 4000));
        board.update(None, &first);
        assert_eq!((board.total, board.history.len()), (Rates::default(), 0));
        board.update(Some(&first), &second);
        let wanted = Rates { slots: Some(1500.0), entries: Some(1500.0), bytes: Some(15_000.0) };
        assert_eq!((board.total, board.shards[0].rates), (wanted, wanted));
        assert_eq!(board.history, [1500]);
        let applied: Vec<_> =
            board.nodes.iter().map(|node| node.state.as_ref().ok()?.applied).collect();
        assert!(applied.iter().all(|rate| *rate == Some(1500.0)), "{applied:?}");
        // Without the logs slots are still known; they make the curve then.
        let mut third = sample(3000, 5000);
        third.logs.clear();
        board.update(Some(&second), &third);
        let total = board.total;
        assert_eq!((total.slots, total.entries, total.bytes), (Some(1000.0), None, None));
        assert_eq!(board.history, [1500, 1000]);
    }

    /// The time of a sync is the mean of those between two looks, and no number where there were
    /// none or where the node has started anew.
    #[test]
    fn syncs_are_means_between_two_looks() {
        let syncs = |first: &Sample, second: &Sample| {
            let mut board = Board::new("c".to_string());
            board.update(Some(first), second);
            let sync = |row: &NodeRow| row.state.as_ref().ok().and_then(|state| state.sync);
            board.nodes.iter().map(sync).collect::<Vec<_>>()
        };
        let us = |us| Some(Duration::from_micros(us));
        assert_eq!(syncs(&sample(0, 1000), &sample(2000, 4000)), [us(250), us(500), us(750)]);
        assert_eq!(syncs(&sample(0, 1000), &sample(2000, 1000)), [None; 3]);
        assert_eq!(syncs(&sample(0, 4000), &sample(2000, 1000)), [None; 3]);
        let mut second = sample(2000, 4000);
        kill(&mut second.status, 1);
        assert_eq!(syncs(&sample(0, 1000), &second), [us(250), None, us(750)]);
    }

    /// A node that dies is shown with the reason, and takes nothing of the others' rows away.
    #[test]
    fn a_dead_node_is_shown_with_its_reason() {
        let mut board = Board::new("c".to_string());
        let first = sample(0, 1000);
        let mut second = sample(1000, 1500);
        kill(&mut second.status, 1);
        board.update(Some(&first), &second);
        let why = board.nodes[1].state.as_ref().expect_err("it was killed");
        assert!(why.starts_with("connect: "), "{why}");
        assert!(board.nodes[0].state.is_ok());
        let row = &board.shards[0];
        assert_eq!((row.replicas.0 + 1, row.rates.slots), (row.replicas.1, Some(500.0)));
        assert!(board.problems.iter().any(|text| text.contains("does not answer")));
        // Its return counts from what it had applied then, not from nothing.
        let third = sample(2000, 2000);
        board.update(Some(&second), &third);
        let state = board.nodes[1].state.as_ref().expect("it is back");
        assert_eq!(state.applied, None);
        assert!(board.problems.is_empty(), "{:?}", board.problems);
    }

    /// When nobody answers any more, no node is shown as up, nor a leader or a rate of before; the
    /// next look that succeeds shows all again.
    #[test]
    fn nobody_is_up_when_nobody_answers() {
        let mut board = Board::new("c".to_string());
        let looks = [sample(0, 1000), sample(1000, 2000), sample(2000, 3000)];
        board.update(None, &looks[0]);
        board.update(Some(&looks[0]), &looks[1]);
        board.lose("status: not executed: no node answers".to_string());
        assert!(board.nodes.iter().all(|node| node.standing == NodeStanding::Dead));
        assert!(board.nodes.iter().all(|node| node.state.is_err() && node.leads.is_empty()));
        assert_eq!((board.shards[0].leader, board.shards[0].replicas), (None, (0, 3)));
        assert_eq!(board.total, Rates::default());
        assert!(board.trouble.is_some() && board.problems.is_empty());
        board.update(Some(&looks[1]), &looks[2]);
        assert!(board.nodes.iter().all(|node| node.standing == NodeStanding::Up));
        assert_eq!(board.trouble, None);
    }

    /// A node that answers and that its peers refuse is cut off, and counts for no replica.
    #[test]
    fn a_refused_node_counts_for_no_replica() {
        let mut board = Board::new("c".to_string());
        let mut look = sample(0, 1000);
        refused(&mut look.status, 3);
        board.update(None, &look);
        assert_eq!(board.nodes[2].standing, NodeStanding::CutOff);
        assert_eq!(board.shards[0].replicas, (2, 3));
        assert_eq!(board.problems.len(), 1, "{:?}", board.problems);
    }
}
