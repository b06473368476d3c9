//! Every metric by name. A name that was released never means anything else.

use super::Moment;
use super::page::Metric;
use crate::api::status::PeerStatus;
use crate::daemon::watch::status_board::ShardNumbers;

/// A metric and where its value comes from.
type Of<T, V> = (Metric, fn(&T) -> V);

/// A metric of the whole node.
type OfNode = (Metric, fn(&Moment<'_>) -> f64);

const fn counter<T, V>(
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> V,
) -> (Metric, fn(&T) -> V) {
    (Metric::counter(name, help), value)
}

const fn gauge<T, V>(
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> V,
) -> (Metric, fn(&T) -> V) {
    (Metric::gauge(name, help), value)
}

/// Who the node is.
pub const INFO: Metric = Metric::gauge("paxosd_info", "Version, cluster and id of the node; 1.");
/// How long each loop has not turned.
pub const LOOP_SILENCE: Metric =
    Metric::gauge("paxosd_loop_silence_seconds", "Time since the event loop turned last.");
/// Connections now.
pub const CONNECTIONS: Metric =
    Metric::gauge("paxosd_connections", "Connections that stand, by port.");
/// Connections that are no more.
pub const REFUSED: Metric = Metric::counter(
    "paxosd_connections_refused_total",
    "Connections turned away or closed by this node, by port and reason.",
);
/// What shards keep in memory.
pub const MEMORY: Metric =
    Metric::gauge("paxosd_memory_bytes", "Memory of a shard by account, as it is counted.");
/// Whether there is a leader.
pub const LEADER_HEARD: Metric = Metric::gauge(
    "paxosd_leader_heard",
    "1 while a leader is known that was heard, or was confirmed by a quorum, within a lease.",
);
/// The states of a replica.
pub const ROLE: Metric =
    Metric::gauge("paxosd_role", "1 for the role that the replica has now, 0 for the others.");
/// Requests that failed.
pub const ERRORS: Metric = Metric::counter(
    "paxosd_request_errors_total",
    "Requests answered with an error, by the name of its code.",
);
/// Bytes of batches.
pub const SYNCED_BYTES: Metric = Metric::counter(
    "paxosd_synced_bytes_total",
    "Bytes written to the write-ahead log and synced, filled blocks included.",
);
/// Time of batches.
pub const SYNC_SECONDS: Metric = Metric::histogram(
    "paxosd_sync_seconds",
    "Time to write and sync one batch of the write-ahead log.",
);

/// Time of turns.
pub const TURN_SECONDS: Metric = Metric::histogram(
    "paxosd_loop_turn_seconds",
    "Time that one turn of a shard's loop took, without what it waited for its own disk.",
);

/// Time of requests.
pub const REQUEST_SECONDS: Metric = Metric::histogram(
    "paxosd_request_seconds",
    "Time from a request's arrival to its answer, by operation and outcome.",
);

/// The node and its process.
pub const NODE: &[OfNode] = &[
    (Metric::gauge("paxosd_live", "1 while every event loop turns, as /livez says."), |m| {
        f64::from(u8::from(m.live))
    }),
    (
        Metric::gauge(
            "paxosd_ready",
            "1 while every shard has a leader and a write would be chosen, as /readyz says.",
        ),
        |m| f64::from(u8::from(m.ready)),
    ),
    (Metric::gauge("paxosd_uptime_seconds", "Time since the node began to serve."), |m| {
        m.now.since(m.context.board.started) as f64 / 1e6
    }),
    (Metric::gauge("paxosd_disk_free_bytes", "Free space on the file system of data_dir."), |m| {
        m.process.disk_free_bytes as f64
    }),
    (Metric::gauge("paxosd_disk_total_bytes", "Size of the file system of data_dir."), |m| {
        m.process.disk_total_bytes as f64
    }),
    (
        Metric::gauge(
            "paxosd_disk_min_free_bytes",
            "Free space below which no segment is prepared: min_free_bytes.",
        ),
        |m| m.context.live.min_free_bytes() as f64,
    ),
    (Metric::gauge("process_resident_memory_bytes", "Memory that the process holds."), |m| {
        m.process.resident_bytes as f64
    }),
    (Metric::gauge("process_virtual_memory_bytes", "Address space of the process."), |m| {
        m.process.virtual_bytes as f64
    }),
    (Metric::gauge("process_threads", "Threads of the process."), |m| m.process.threads as f64),
    (Metric::gauge("process_open_fds", "Descriptors that the process has open."), |m| {
        m.process.open_fds as f64
    }),
    (Metric::gauge("process_max_fds", "Descriptors that the process may have open."), |m| {
        m.process.max_fds as f64
    }),
    (
        Metric::counter(
            "process_cpu_seconds_total",
            "Time that the process has used on all cores.",
        ),
        |m| m.process.cpu_seconds,
    ),
];

/// Another member, as a shard sees it.
pub const PEER: &[Of<PeerStatus, u64>] =
    &[gauge("paxosd_peer_connected", "1 while a connection to the peer stands.", |p| {
        u64::from(p.connected)
    })];

/// How far a peer is behind. Shown by the leader alone, and only for peers that answer it: a value
/// that nobody refreshes would stay for ever.
pub const PEER_LAG: Metric = Metric::gauge(
    "paxosd_peer_lag_slots",
    "Slots by which a peer that answers is behind this node, which leads; no other node tells it.",
);

/// A shard.
pub const SHARD: &[Of<ShardNumbers, u64>] = &[
    gauge("paxosd_leader", "The leader that the replica knows, by its id; 0 for none.", |s| {
        s.status.leader.map_or(0, |node| u64::from(node.0))
    }),
    gauge("paxosd_epoch_round", "Round of the ballot of the leadership known last.", |s| {
        s.status.epoch.round
    }),
    gauge("paxosd_epoch_node", "Node of the ballot of the leadership known last.", |s| {
        u64::from(s.status.epoch.node.0)
    }),
    counter("paxosd_elections_won_total", "Campaigns that this node has won.", |s| {
        s.tally.elections
    }),
    counter("paxosd_leader_changes_total", "Leaderships that this node has seen begin.", |s| {
        s.served.leader_changes
    }),
    gauge("paxosd_durable_upto", "Records of the journal up to this LSN are durable.", |s| {
        s.status.durable_upto
    }),
    gauge("paxosd_chosen_upto", "Slots up to this one are known to be chosen.", |s| {
        s.status.chosen_upto.0
    }),
    gauge("paxosd_applied_upto", "Slots up to this one are applied.", |s| s.status.applied_upto.0),
    gauge("paxosd_format_level", "The format level: what all members may write.", |s| {
        u64::from(s.status.level.0)
    }),
    gauge(
        "paxosd_known_format_level",
        "The highest format level that this node's program knows.",
        |s| u64::from(s.status.known_level.0),
    ),
    gauge("paxosd_trimmed_upto", "Slots up to this one are gone from the disk.", |s| {
        s.status.trimmed_upto.0
    }),
    counter(
        "paxosd_checkpoints_total",
        "Checkpoints that were written, read back and noted in the journal.",
        |s| s.tally.checkpoints.taken,
    ),
    counter(
        "paxosd_checkpoints_left_total",
        "Checkpoints that were begun and left: no space, or not read back as written.",
        |s| s.tally.checkpoints.abandoned,
    ),
    counter(
        "paxosd_checkpoints_passed_over_total",
        "Cuts at which no checkpoint was begun, because one was under way.",
        |s| s.tally.checkpoints.passed_over,
    ),
    counter("paxosd_index_merges_total", "Merges of runs of the index.", |s| {
        s.tally.checkpoints.merges
    }),
    gauge(
        "paxosd_slots_behind_checkpoint",
        "Slots applied behind the newest checkpoint: what a start replays, at least.",
        |s| s.backlog.slots_behind_checkpoint,
    ),
    gauge(
        "paxosd_index_extents_in_memory",
        "Extents of the index that are in memory, those of the newest run included.",
        |s| s.backlog.extents_in_memory,
    ),
    gauge(
        "paxosd_places_in_memory",
        "Records of the journal whose places are in memory, and not yet in a file of their own.",
        |s| s.backlog.places_in_memory,
    ),
    gauge(
        "paxosd_index_memory_bytes",
        "Memory that the index takes: fences and filters of its runs, and extents in memory.",
        |s| s.backlog.index_bytes,
    ),
    gauge(
        "paxosd_block_cache_bytes",
        "Memory for blocks of the index and of files of places that were read.",
        |s| s.backlog.block_cache.bytes,
    ),
    counter(
        "paxosd_block_cache_hits_total",
        "Blocks of these files that a read needed and memory had.",
        |s| s.backlog.block_cache.hits,
    ),
    counter(
        "paxosd_block_cache_misses_total",
        "Blocks of these files that a read needed and memory had not.",
        |s| s.backlog.block_cache.misses,
    ),
    counter(
        "paxosd_trimmed_entries_total",
        "Entries that were trimmed in slots that this node applied since its start.",
        |s| s.tally.trimmed_entries,
    ),
    counter(
        "paxosd_trimmed_bytes_total",
        "Bytes of these entries, as far as all that were chosen in the same slot went.",
        |s| s.tally.trimmed_bytes,
    ),
    counter(
        "paxosd_retention_trims_total",
        "Trims that this node proposed, as leader, because of what a log is to keep.",
        |s| s.tally.retentions,
    ),
    gauge(
        "paxosd_logs_over_retention",
        "Logs that have more than they are to keep, on their leader, which trims them; 0 on others.",
        |s| s.backlog.logs_over_retention,
    ),
    gauge(
        "paxosd_clock_held_back",
        "1 while this node's clock is too far from its peers', or jumped, and stamps go by theirs.",
        |s| u64::from(s.clock_held_back),
    ),
    gauge(
        "paxosd_catch_up_slots",
        "Slots that a peer knows to be chosen and this replica does not yet.",
        |s| s.backlog.catch_up_slots,
    ),
    gauge(
        "paxosd_slots_in_flight",
        "Slots that the leader has proposed and not seen chosen.",
        |s| s.backlog.slots_in_flight,
    ),
    gauge("paxosd_queue_bytes", "Clients' commands that wait to be proposed.", |s| {
        s.backlog.queue_bytes
    }),
    gauge("paxosd_journal_queue_bytes", "Records that wait for the next batch.", |s| {
        s.backlog.journal_bytes
    }),
    gauge("paxosd_cold_reads", "Reads of the journal that are under way.", |s| {
        s.backlog.cold_reads
    }),
    gauge("paxosd_waiting_reads", "Reads that wait for memory or for the disk.", |s| {
        s.backlog.waiting_reads
    }),
    gauge(
        "paxosd_answer_bytes",
        "Memory for answers: those that wait to leave, and reads that are under way.",
        |s| s.backlog.answer_bytes,
    ),
    gauge("paxosd_input_bytes", "Incomplete frames of all connections.", |s| s.input_bytes),
    gauge("paxosd_output_bytes", "Memory for answers that wait to leave for clients.", |s| {
        s.output_bytes
    }),
    gauge("paxosd_shard_connections", "Connections of the shard's thread, peers' included.", |s| {
        s.connections
    }),
    counter("paxosd_appends_total", "Appends that this node, leading, has acknowledged.", |s| {
        s.tally.appends
    }),
    counter("paxosd_appended_entries_total", "Entries of the appends acknowledged.", |s| {
        s.tally.entries
    }),
    counter("paxosd_appended_bytes_total", "Bytes of the entries of these appends.", |s| {
        s.tally.entry_bytes
    }),
    counter("paxosd_reads_total", "Reads that this node has answered.", |s| s.served.reads),
    counter("paxosd_read_entries_total", "Entries in the answers to reads.", |s| s.served.entries),
    counter("paxosd_read_bytes_total", "Bytes of the entries in these answers.", |s| {
        s.served.entry_bytes
    }),
    gauge("paxosd_logs", "Logs in the shard.", |s| s.status.logs),
    gauge("paxosd_damaged_slots", "Slots whose value is damaged here and not repaired.", |s| {
        s.status.damaged_slots
    }),
    gauge("paxosd_segments", "Segments of the write-ahead log.", |s| s.status.segments),
    gauge("paxosd_journal_bytes", "Bytes of the write-ahead log on disk.", |s| s.status.disk_bytes),
    gauge(
        "paxosd_journal_live_bytes",
        "Bytes of the write-ahead log in files that hold live entries, or whose turn has not come.",
        |s| s.status.disk_bytes.saturating_sub(s.status.dead_bytes),
    ),
    gauge(
        "paxosd_journal_dead_bytes",
        "Bytes of the write-ahead log in full files without a live entry, which are to go.",
        |s| s.status.dead_bytes,
    ),
    gauge(
        "paxosd_journal_reserve_bytes",
        "Free space that the write-ahead log leaves for checkpoints, beside min_free_bytes.",
        |s| s.status.reserve_bytes,
    ),
    counter(
        "paxosd_installs_total",
        "Checkpoints of peers that were installed, because their journals no longer had what was missing.",
        |s| s.tally.installs.0,
    ),
    counter("paxosd_install_bytes_total", "Bytes of peers' checkpoints that arrived.", |s| {
        s.tally.installs.1
    }),
    counter(
        "paxosd_heals_total",
        "Times that a node whose state was another than that of the majority came by theirs again.",
        |s| s.tally.heals,
    ),
    gauge("paxosd_installing", "1 while a peer's checkpoint is being installed.", |s| {
        s.backlog.installing
    }),
    gauge(
        "paxosd_install_received_bytes",
        "Bytes that have arrived of the part of a peer's checkpoint that arrives now, the state or the extents.",
        |s| s.status.installing.map_or(0, |installing| installing.bytes),
    ),
    gauge(
        "paxosd_install_part_bytes",
        "About how many bytes that part has in all, as the peer says.",
        |s| s.status.installing.map_or(0, |installing| installing.part_bytes),
    ),
    gauge(
        "paxosd_absent_slots",
        "Applied slots whose values may be missing on this disk, and are fetched from peers.",
        |s| s.backlog.absent_slots,
    ),
    counter(
        "paxosd_absent_values_fetched_total",
        "Absent values that were fetched from peers.",
        |s| s.tally.fetched_values,
    ),
    counter(
        "paxosd_released_segments_total",
        "Segments of the write-ahead log that held nothing live any more, and were removed.",
        |s| s.tally.released_segments,
    ),
    gauge(
        "paxosd_compacting",
        "1 while live values of a mostly dead segment are being copied.",
        |s| s.backlog.compacting,
    ),
    counter(
        "paxosd_compaction_segments_total",
        "Mostly dead segments of which every live value was copied, so that they can go.",
        |s| s.tally.compaction.segments,
    ),
    counter(
        "paxosd_compaction_bytes_total",
        "Bytes of the values that were copied for that.",
        |s| s.tally.compaction.bytes,
    ),
    gauge(
        "paxosd_formed",
        "0 while the shard of a new cluster waits for members that it has not met yet.",
        |s| u64::from(s.status.formed),
    ),
    gauge(
        "paxosd_state_differs",
        "1 while the state of this node's replica differs from another's after the same slot.",
        |s| u64::from(s.doubt.is_some()),
    ),
    gauge("paxosd_has_room", "0 while this node's disk has no space for another segment.", |s| {
        u64::from(s.status.has_room)
    }),
];
