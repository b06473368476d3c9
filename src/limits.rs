//! Every bound in one place, related to each other at compile time.

/// A log's name: 1 to this many bytes of UTF-8 without control characters.
pub const NAME_BYTES_MAX: usize = 255;

/// The largest `entry_bytes_max` a cluster can be configured with.
pub const ENTRY_BYTES_CEILING: usize = 4 << 20;
/// Default of `entry_bytes_max`: large enough for records, small enough not to hold up a pipeline.
pub const ENTRY_BYTES_DEFAULT: usize = 1 << 20;
/// Most entries of one append: bounds the work of applying one command.
pub const APPEND_ENTRIES_MAX: usize = 16_384;
/// Most bytes of one append's entries, their prefixes included: 4 MiB of data, be it one entry or
/// as many as one append can hold.
pub const APPEND_BYTES_MAX: usize = (4 << 20) + ENTRY_PREFIX_BYTES * APPEND_ENTRIES_MAX;
/// Bytes in front of every entry, on the wire and on disk: its length and its CRC-32C.
pub const ENTRY_PREFIX_BYTES: usize = 8;

/// The highest format level that this program knows (C32c).
pub const FORMAT_LEVEL_KNOWN: u16 = 2;

/// Most ranges of entries of one shard that are declared lost: neighbours count as one, and the state has all of
/// them in every checkpoint.
pub const LOST_RANGES_MAX: usize = 1024;
/// Most rows of the index that one request may declare lost: each member reads the value of each of them.
pub const LOST_ROWS_MAX: usize = 1024;
/// So long a leader waits for what the members say of entries that are to be declared lost.
pub const LOST_ANSWER_US: u64 = 5_000_000;

/// The longest `clock_skew_max_ms`: what goes by ages of days is an hour off at most.
pub const CLOCK_SKEW_MS_MAX: u64 = 3_600_000;
/// Default of `clock_skew_max_ms`: clocks that are kept by a daemon stay far within it, and a leap second
/// is no jump.
pub const CLOCK_SKEW_MS_DEFAULT: u64 = 5_000;

/// A leader closes a batch of commands when it reaches this size.
pub const VALUE_BYTES_TARGET: usize = 512 << 10;
/// Most bytes of a value: a full batch and one more append of the largest size.
pub const VALUE_BYTES_MAX: usize = VALUE_BYTES_TARGET + APPEND_BYTES_MAX + 64 * 1024;
/// Most commands in one value: bounds the work of applying one slot.
pub const VALUE_COMMANDS_MAX: usize = 16_384;

/// Where a disk is full, trims and deletions are taken in while so many values of this size fit …
pub const FREEING_VALUES: u64 = 4;
/// … which is the most that they may come to in a turn.
pub const FREEING_BYTES_MAX: u64 = 16 << 10;
/// Space that these values take.
pub const FREEING_ROOM_BYTES: u64 = FREEING_VALUES * value_room_bytes(FREEING_BYTES_MAX as usize);

/// Most bytes of one record of a snapshot of the state: a log with the longest name, three times over.
pub const SNAPSHOT_RECORD_BYTES_MAX: usize = 1024;

/// Most bytes of one piece of a checkpoint: what is encoded in one go, in a turn of the shard's loop.
pub const CHECKPOINT_PIECE_BYTES: usize = 64 << 10;
/// Most bytes of a piece that is read: a piece, and one record that did not fit any more.
pub const CHECKPOINT_PIECE_BYTES_MAX: usize = CHECKPOINT_PIECE_BYTES + SNAPSHOT_RECORD_BYTES_MAX;
/// A checkpoint is synced each time so many bytes were written, so that it never queues up in front of
/// a batch's sync on the same disk.
pub const CHECKPOINT_SYNC_BYTES: u64 = 4 << 20;
/// Bytes of a state that a checkpoint writes in a second, at most: a large one leaves disk and cores to appends.
pub const CHECKPOINT_BYTES_PER_SECOND: u64 = 32 << 20;
/// Bytes of memory for logs that changed before a checkpoint had written them (C24); above that it pauses no more.
pub const CHECKPOINT_OVERLAY_BYTES: usize = 16 << 20;
/// Most cuts at which a node remembers the digest of its state, the last ones, of 16 bytes each. A peer that catches up
/// can have its checkpoints at these confirmed (C26).
pub const CUT_DIGESTS_KEPT: usize = 4096;
/// Checkpoints that are kept: the newer one may be damaged.
pub const CHECKPOINTS_KEPT: usize = 2;

/// Blocks of rows that are read of a span at a time: bounds what one turn looks up of them.
pub const SPAN_READ_BLOCKS: u64 = 2;

/// Spans of which one turn looks whether an entry is still live.
pub const SPANS_LOOKED_AT: usize = 1024;

/// Bytes of a run for each extent, about; more than most take.
pub const EXTENT_RUN_BYTES: u64 = 32;
/// Default of `catchup_bytes`: of what a node need not keep, so much stays for nodes that were away.
pub const CATCHUP_BYTES_DEFAULT: u64 = 1 << 30;

/// No append joins an extent of so many bytes of entries: a reader of one entry reads about as many, and
/// the index has a row for as many.
pub const EXTENT_BYTES: u64 = 8 << 10;
/// Bytes of blocks of runs and of files of places that a shard keeps in memory.
pub const BLOCK_CACHE_BYTES: usize = 32 << 20;
/// Most extents that one lookup on disk brings.
pub const LOOKUP_EXTENTS_MAX: usize = 256;

/// Bytes of values between two cuts, or [`CUT_STATE_MULTIPLE`] times those of the state, where that is more.
pub const CUT_BYTES: u64 = 64 << 20;
/// So many times the bytes of the state come between two cuts, at least: each checkpoint writes all of it.
pub const CUT_STATE_MULTIPLE: u64 = 4;
/// Where as many bytes of entries were trimmed as may lie between two cuts, the next one comes after this, in
/// microseconds, so that the disk shrinks soon, and all that is trimmed meanwhile is in it.
pub const CUT_TRIMMED_US: u64 = 10_000_000;
/// Slots between two cuts.
pub const CUT_SLOTS: u64 = 1 << 18;
/// Extents between two cuts, or half as many as there are logs, where that is more: they take memory until they are in
/// a run.
pub const CUT_EXTENTS: u64 = 1 << 18;
/// Most extents between two cuts, however many logs there are.
pub const CUT_EXTENTS_MAX: u64 = 1 << 20;
/// Least time between two cuts, in microseconds.
pub const CUT_GAP_US: u64 = 1_000_000;
/// Time between two cuts, in microseconds, where anything was applied.
pub const CUT_IDLE_US: u64 = 300_000_000;

/// Most slots proposed beyond the contiguous chosen prefix (α).
pub const WINDOW_SLOTS: u64 = 256;
/// Most bytes of values in open slots.
pub const WINDOW_BYTES_MAX: usize = 16 << 20;
/// Most slot reports in one page of a promise.
pub const PROMISE_PAGE_SLOTS: usize = 1024;

/// Most bytes of one answer to a request for chosen values.
pub const LEARN_BYTES_MAX: usize = 1 << 20;
/// Most slots of one answer to a request for chosen values.
pub const LEARN_SLOTS_MAX: u64 = 1024;

/// Bytes of one answer to a node that installs a checkpoint, about.
pub const INSTALL_CHUNK_BYTES: usize = 256 << 10;
/// Most bytes of such an answer that is read: one that is full, and one piece of a checkpoint.
pub const INSTALL_CHUNK_BYTES_MAX: usize = INSTALL_CHUNK_BYTES + CHECKPOINT_PIECE_BYTES_MAX;
/// A node that installs a checkpoint asks another peer after so many election timeouts without an answer.
pub const INSTALL_ASK_TIMEOUTS: u64 = 4;
/// After an install failed, the next attempt begins no sooner, in microseconds.
pub const INSTALL_RETRY_US: u64 = 1_000_000;
/// While clients append, a node that takes over a checkpoint, or fetches absent values, does so for this share
/// of the time, in percent; else without a pause.
pub const INSTALL_SHARE_PERCENT: u64 = 50;
/// Most answers with absent values, of `LEARN_BYTES_MAX` each, that wait for the disk while clients append: as many
/// bytes as a checkpoint writes between two syncs, for they lie in front of a batch's sync as well.
pub const INSTALL_UNSYNCED_ANSWERS: usize = CHECKPOINT_SYNC_BYTES as usize / LEARN_BYTES_MAX;
const _: () = assert!(INSTALL_UNSYNCED_ANSWERS > 1);
/// Clients are active for this long after a slot was chosen, in microseconds.
pub const INSTALL_ACTIVE_US: u64 = 1_000_000;
/// The longest pause for that, in microseconds.
pub const INSTALL_REST_US_MAX: u64 = 500_000;
// A tenth at least: whoever is behind is to catch up.
const _: () = assert!(10 <= INSTALL_SHARE_PERCENT && INSTALL_SHARE_PERCENT <= 100);
/// A node that is behind and has had no space for what it lacks for so long installs a peer's checkpoint, in
/// microseconds.
pub const RELIEF_AFTER_US: u64 = 5_000_000;
/// Ranges of slots that a checkpoint names, at most, of absent ones and of installed ones; with more it names
/// some slots too many.
pub const SLOT_RANGES_MAX: usize = 1024;
/// Lives of a process in which a node whose state is another than that of the others may try to install a
/// peer's checkpoint (C32).
pub const HEAL_INSTALLS_MAX: u32 = 3;
/// Values that no peer could give are asked for again after this, in microseconds.
pub const ABSENT_RETRY_US: u64 = 2_000_000;
/// Slots that peers answered for and whose rows are looked for at a time: all logs of the index are gone through
/// for that.
pub const EXAMINED_SLOTS_MAX: usize = 16_384;
/// Rows that the values of such slots may have before they are looked for; each takes 16 bytes of memory.
pub const EXAMINED_ROWS_MAX: usize = 1 << 20;
/// Looking for rows takes at most one part in so many of the time.
pub const EXAMINE_TIME_PARTS: u64 = 10;
/// Where the disk is behind, or full, no absent value is asked for so long, in microseconds.
pub const ABSENT_REST_US: u64 = 200_000;
/// A checkpoint that a peer installs is kept so long after it asked last, in microseconds.
pub const INSTALL_KEEP_US: u64 = 600_000_000;
/// Where the disk is short of space, only so long: nothing goes of what was live at it.
pub const INSTALL_KEEP_SHORT_US: u64 = 10_000_000;
const _: () = assert!(INSTALL_KEEP_SHORT_US < INSTALL_KEEP_US);

/// Bytes of a frame's header on every connection.
pub const FRAME_HEADER_BYTES: usize = 24;
/// Largest body of a frame once a connection has said Hello.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// Largest body of a frame before Hello was accepted.
pub const FRAME_BYTES_BEFORE_HELLO: usize = 4 << 10;

/// Most bytes of entries in one answer to a read.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// Most entries in one answer to a read.
pub const READ_ENTRIES_MAX: usize = 65_536;
/// Most bytes of a file that one read of it brings; a record that is larger is read alone.
pub const READ_EXTENT_BYTES_MAX: usize = 1 << 20;
/// Most bytes of files that one read of the journal goes through, gaps between records included: a
/// tenth of a second of a slow disk.
pub const READ_SPAN_BYTES_MAX: usize = 16 << 20;
/// A value of no more bytes is read as a whole, whatever is wanted of it.
pub const WHOLE_VALUE_BYTES: usize = 16 << 10;
/// So much of a larger remnant is read to find the extents in it: as many rows as a block of a file holds.
pub const REMNANT_FRONT_BYTES: u32 = 4 << 10;
const _: () = assert!((REMNANT_FRONT_BYTES as usize) < WHOLE_VALUE_BYTES / 2);
/// Memory that a read of old entries takes for each entry that it asks for, while nothing is known of
/// their size: what is larger waits for as much as it needs.
pub const COLD_ENTRY_BYTES: usize = 64 << 10;
/// Past this many bytes of files no more is read for one answer. A log that shares its slots with
/// others gets a shorter answer instead of one that keeps the disk from the others.
pub const COLD_READ_BYTES_MAX: usize = 32 << 20;
/// So many bytes behind what a client reads in order are read into the page cache ahead of it, once it has
/// gone on where it ended …
pub const READ_AHEAD_BYTES_MIN: usize = 128 << 10;
/// … and twice as many each time that it does so again, up to this.
pub const READ_AHEAD_BYTES_MAX: usize = 4 << 20;
/// Threads of a node that read what is not in memory, for each core that it may use.
pub const READERS_PER_CORE: usize = 4;
/// Most of these threads.
pub const READERS_MAX: usize = 32;
/// Reads of old entries of one shard that are at the disk at once; more wait.
pub const COLD_READS_MAX: usize = 256;
/// Longest long poll at the tail.
pub const READ_WAIT_MS_MAX: u32 = 60_000;
/// Most names in one answer to a list.
pub const LIST_NAMES_MAX: usize = 1024;

/// Most requests of one connection that wait for their answers.
pub const CONN_REQUESTS_MAX: usize = 1024;
/// Most bytes of replies queued for one connection before it is no longer read from.
pub const CONN_OUTPUT_BYTES_MAX: usize = 16 << 20;
/// Most bytes queued for one peer; past it the connection is dropped and catch-up takes over.
pub const PEER_OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Most bytes of client commands that wait in a shard to be proposed.
pub const QUEUE_BYTES_MAX: usize = 16 << 20;

// What memory may take, account by account: see docs/METRICS.md, "Memory".

/// Bytes of memory that name and facts of a log take beside the name's text: the log, its share of two maps, and
/// what the allocator adds.
pub const LOG_MEMORY_BYTES: usize = 168;
/// Most bytes of memory of a log in all, in the mean of names of 24 bytes.
pub const LOG_MEMORY_BYTES_MAX: usize = 250;
/// Bytes of memory of a place: where the value of one record lies.
pub const PLACE_MEMORY_BYTES: usize = 24;
/// Most bytes of memory of a connection that carries nothing.
pub const CONN_MEMORY_BYTES_MAX: usize = 1024;

/// Most bytes of memory that the places of an open segment of so many bytes take: each record has a header
/// there and a copy of it.
#[must_use]
pub const fn segment_memory_bytes(segment_bytes: u64) -> u64 {
    segment_bytes / 256 * PLACE_MEMORY_BYTES as u64
}

/// Bytes of chosen values kept in memory for tail reads and for peers slightly behind.
pub const CACHE_BYTES_MAX: usize = 32 << 20;

/// Default size of a write-ahead log segment.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// Smallest segment that can be configured; tests use it.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// Jobs of one shard that can be under way at once on the thread that writes checkpoints: a file of places, a removal,
/// a step of a checkpoint, a span, a step of a heal, and of installs a step, values of peers, values of this node's
/// own journal, and rows.
pub const CHECKPOINT_JOBS_MAX: usize = 9;
/// Largest segment that may be set, in bytes.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Ranges of released segments that a journal names, at most: segments that stay lie between them. A
/// record names all of them.
pub const RELEASED_RANGES_MAX: usize = 1024;
/// Ranges of slots by which memory knows of a segment which slots it has, at most: copies of older values lie
/// far before the others.
pub const PLACES_RANGES_MAX: usize = 16;
/// Bytes of a file of places that are written at a time.
pub const PLACES_WRITE_BYTES: usize = 1 << 20;
/// A write of so many bytes is bulk: it goes past the page cache. While the batches of a journal are so
/// large in the mean, its new segments are allocated and not written.
pub const BULK_BYTES: usize = 128 << 10;
/// A write past the page cache is made in pieces of this size, each copied to memory that begins at a
/// block. A thread that made one keeps so much.
pub const DIRECT_PIECE_BYTES: usize = 1 << 20;
/// The unit of write placement: each batch starts on a fresh block.
pub const BLOCK_BYTES: usize = 4096;
/// The unit that a disk writes or loses as a whole.
pub const SECTOR_BYTES: usize = 512;

/// Space that a record with a value of so many bytes takes in a segment, at most: the value, its
/// descriptors, and what is left of its blocks where it is alone in its batch.
#[must_use]
pub const fn value_room_bytes(bytes: usize) -> u64 {
    (bytes + bytes / 32 + 3 * BLOCK_BYTES) as u64
}

/// Bytes that a record takes beside its value where it shares a batch with others: header and descriptor.
pub const RECORD_OVERHEAD_BYTES: u64 = 264;

/// A segment is compacted when one part in so many of it, or less, is records with live entries.
pub const COMPACTION_LIVE_SHARE: u64 = 2;
/// Of a value so large a part may live, or less, for what is left of it to be kept alone; else it is kept whole: a
/// whole one is of use to nodes that are behind, too.
pub const REMNANT_SHARE: (u64, u64) = (7, 8);
/// Bytes that one step of a compaction reads, but for its last value.
pub const COMPACTION_READ_BYTES: usize = 1 << 20;
/// Slots that one step of a compaction lists.
pub const COMPACTION_SLOTS_LISTED: usize = 1024;
/// Most records of one slot that are read where every one is asked for. A slot has more only where leaders changed again
/// and again before it was chosen, and those of low ballots count least.
pub const SLOT_RECORDS_MAX: usize = 8;
/// Ranges of slots in which a segment's live values are remembered between the two walks over it; where they
/// are more scattered, all are read again.
pub const COMPACTION_LIVE_RANGES: usize = 4096;
/// Most bytes a second that a compaction reads while the disk is not short of space …
pub const COMPACTION_BYTES_PER_S: u64 = 4 << 20;
/// … and, added to that, one part in so many of what is applied.
pub const COMPACTION_SHARE: u64 = 5;
/// While records of so many bytes wait for their batch, a compaction adds none.
pub const COMPACTION_PENDING_BYTES: usize = 1 << 20;
/// A compaction goes on so long after it found live traffic …
pub const COMPACTION_WAIT_US: u64 = 20_000;
/// … or no space for a copy, or nothing that says where values lie.
pub const COMPACTION_NO_ROOM_US: u64 = 1_000_000;
/// A compaction waits so long for values from peers before it leaves the segment as it is.
pub const COMPACTION_MEND_US: u64 = 60_000_000;
/// When all segments were looked at, the next round begins after this at the latest …
pub const COMPACTION_REST_US: u64 = 3_600_000_000;
/// … and while the disk is short of space.
pub const COMPACTION_REST_SHORT_US: u64 = 300_000_000;

/// Most bytes that one write adds to a run of the index, and that one read of a whole run brings.
pub const RUN_CHUNK_BYTES: usize = 256 << 10;
/// A run is synced each time so many bytes were written, so that it never queues up in front of a
/// batch's sync on the same disk.
pub const RUN_SYNC_BYTES: u64 = 4 << 20;
/// Bytes that a merge reads ahead in each of the runs that it merges.
pub const RUN_AHEAD_BYTES: usize = 64 << 10;
/// Bits of a run's filter for each log: a run that lacks a log is asked for it once in a hundred times.
pub const RUN_FILTER_BITS: u64 = 10;
/// Runs of one shard's index; when there are more, some are merged.
pub const RUNS_MAX: usize = 8;
/// The unit in which merges are planned, in bytes: the smallest run.
pub const RUN_UNIT_BYTES: u64 = 3 * BLOCK_BYTES as u64;

/// Starts of a shard that its hard state remembers, so that peers can hold what they saw against
/// it (C13). Testimony of a life older than these is judged by the oldest of them.
pub const LIVES_MAX: usize = 256;
/// Tails that were cut and that no peer has spoken of yet, as the hard state remembers them (C11).
pub const CUTS_MAX: usize = 8;
/// State digests of the last slots that a replica keeps to compare with its peers' (R23).
pub const DIGESTS_KEPT: usize = 4096;

/// A round that lies further above all that a replica has seen is not believed at once: more campaigns
/// than there are in days without a leader, one after each election timeout (R37).
pub const ROUND_JUMP_MAX: u64 = 1 << 20;
/// Longest lease that can be set, in milliseconds. No leader asks for a longer one, and no grantor of an
/// earlier life waits for longer (R37).
pub const LEASE_MS_MAX: u64 = 60_000;

/// Most members of a cluster.
pub const MEMBERS_MAX: usize = 15;
/// Most shards of a cluster: each is a thread, a journal and a directory on every node.
pub const SHARDS_MAX: u16 = 256;

// Whatever a leader accepts fits one frame to every peer, with space for the message around it.
const _: () = assert!(VALUE_BYTES_MAX + 4096 <= FRAME_BYTES_MAX);
// An answer to a read fits one frame, with the largest entry on top of a full answer.
const _: () = assert!(READ_BYTES_MAX + 64 * 1024 <= FRAME_BYTES_MAX);
// A single largest entry can always be read.
const _: () = assert!(ENTRY_BYTES_CEILING + 64 <= FRAME_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_DEFAULT <= ENTRY_BYTES_CEILING);
// A single largest entry can always be appended.
const _: () = assert!(ENTRY_BYTES_CEILING + ENTRY_PREFIX_BYTES <= APPEND_BYTES_MAX);
// The largest value fits the window, or it could never be proposed.
const _: () = assert!(VALUE_BYTES_MAX <= WINDOW_BYTES_MAX);
// One promise needs few pages: an acceptor holds at most 2α open slots (C4).
const _: () = assert!(2 * WINDOW_SLOTS as usize <= PROMISE_PAGE_SLOTS);

// A write past the page cache names whole blocks (A4).
const _: () = assert!(DIRECT_PIECE_BYTES.is_multiple_of(BLOCK_BYTES));
// Runs are read and written in whole blocks.
const _: () = assert!(RUN_CHUNK_BYTES.is_multiple_of(BLOCK_BYTES));
const _: () = assert!(RUN_AHEAD_BYTES.is_multiple_of(BLOCK_BYTES));

/// Time for a connection to send its whole Hello, in milliseconds (R39).
pub const HANDSHAKE_MS: u64 = 5_000;
/// Addresses of one name that are tried, or listened at.
pub const ADDRESSES_MAX: usize = 8;
/// An address of a name that has not answered for this long, in milliseconds, is no longer waited
/// for alone: the next one is tried beside it (RFC 8305, section 5).
pub const RACE_STAGGER_MS: u64 = 250;
/// Bounds of the time, in milliseconds, after which a link between nodes that carries nothing is
/// dialled anew, and of one attempt at that: two leases, but no shorter than two retransmissions
/// take, and no longer than this.
pub const LINK_SILENCE_MS_MIN: u64 = 500;
/// The upper one of these bounds, in milliseconds.
pub const LINK_SILENCE_MS_MAX: u64 = 3_000;
/// Time for one frame to arrive as a whole once it has begun, in milliseconds (R39).
pub const FRAME_MS: u64 = 20_000;
/// Time that a refused connection has to read why, in milliseconds.
pub const LINGER_MS: u64 = 1_000;
/// Connections of one port that have not said Hello; past it the oldest is closed (R39).
pub const GREETINGS_MAX: usize = 256;
/// Bytes taken from one connection before the others have their turn.
pub const READ_TURN_BYTES: usize = 256 << 10;
/// Connections accepted from one port before other work has its turn.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Past this many bytes of answers that a client does not read, its connection is closed.
pub const CONN_OUTPUT_BYTES_CEILING: usize = 32 << 20;
/// Memory of one shard for answers to reads: what waits on connections, what is being made, and what
/// is being read from disk for it. A read that does not fit waits.
pub const SHARD_ANSWER_BYTES_MAX: usize = 64 << 20;
/// The part of that memory that only small reads get, so that they pass large ones that wait.
pub const SMALL_READS_BYTES: usize = 16 << 20;
/// A read that takes at most this much memory is small.
pub const SMALL_READ_BYTES: usize = 256 << 10;
/// Reads of one shard that wait for memory or for the disk; more are refused.
pub const READS_WAITING_MAX: usize = 16_384;
/// Longest time, in milliseconds, that a read waits before it is refused: half of what the client
/// library gives a request, so that there is time to ask again.
pub const READ_WAITING_MS: u64 = 5_000;
/// Bytes of answers that one turn of a shard's loop makes before peers and disk have theirs again.
pub const TURN_ANSWER_BYTES_MAX: usize = 4 << 20;
/// Bytes that one turn of a shard's loop gives to the sockets of clients before peers and disk have
/// theirs again.
pub const TURN_OUTPUT_BYTES_MAX: usize = 8 << 20;
/// Bytes given to one socket before the others have their turn.
pub const WRITE_TURN_BYTES: usize = 512 << 10;
/// Bytes of output queued by one shard for all its clients; past it no client is read from.
pub const SHARD_OUTPUT_BYTES_MAX: usize = 96 << 20;
/// Past this many of them, clients that owe are not read from, and those that take nothing are closed.
pub const SHARD_OUTPUT_BYTES_TIGHT: usize = 64 << 20;
/// Time for a client to take [`UNREAD_BYTES_MIN`] of its answers, or all of them, in milliseconds (R39).
pub const UNREAD_MS: u64 = 20_000;
/// Least bytes of answers that a client takes in that time; slower ones are closed.
pub const UNREAD_BYTES_MIN: u64 = 256 << 10;
/// Longest time, in milliseconds, in which a client takes nothing, where answers of others wait too.
pub const UNREAD_TIGHT_MS: u64 = 1_000;
/// Longest time, in milliseconds, in which a client takes nothing, where no client can be read from
/// before some of the output is gone.
pub const UNREAD_FULL_MS: u64 = 100;
/// Bytes of incomplete frames held by one shard; past it, connections that add to them are closed.
pub const SHARD_INPUT_BYTES_MAX: usize = 256 << 20;
/// Reads of the journal of one shard under way, before clients are no longer read.
pub const HELPER_JOBS_MAX: usize = 1024;
/// Requests that a shard takes in before it proposes and answers: bounds what one turn can queue.
pub const TURN_REQUESTS_MAX: usize = 4096;
/// Most bytes of the head of a request to the admin port (R37).
pub const ADMIN_HEAD_BYTES_MAX: usize = 8 << 10;
/// Most header lines of a request to the admin port.
pub const ADMIN_HEADERS_MAX: usize = 64;
/// Connections to the admin port; past it the one that was idle for longest is closed (R39).
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Requests of one admin connection that are answered before other work has its turn.
pub const ADMIN_REQUESTS_PER_TURN: usize = 8;
/// Time between two requests of one admin connection, in milliseconds: longer than the minute that
/// many scrapers leave between two.
pub const ADMIN_IDLE_MS: u64 = 75_000;
/// Time for an answer of the admin port to be read, in milliseconds.
pub const ADMIN_WRITE_MS: u64 = 10_000;
/// Bytes of answers that wait on all admin connections; past it requests are turned away.
pub const ADMIN_OUTPUT_BYTES_MAX: usize = 16 << 20;
/// Largest configuration file: a hundred times the sample, which explains every key.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// An event loop turns at least this often, in milliseconds, though nothing happens.
pub const LOOP_WAKE_MS: u64 = 1_000;
/// Most files that one shard keeps open for readers alone. A read takes two of a segment, the segment itself and its
/// file of places: so reads all over 8 GiB of segments open none anew.
pub const READ_FILES_MAX: usize = 256;
/// An event loop that has not turned for this long, in milliseconds, is stuck.
pub const LOOP_STUCK_MS: u64 = 10_000;
/// Log lines that wait to be written; what comes on top is dropped and counted.
pub const LOG_LINES_MAX: usize = 1024;
/// Longest log line, in bytes; what is longer is cut.
pub const LOG_LINE_BYTES_MAX: usize = 16 << 10;
/// Longest wait, in milliseconds, for the last log lines of a process that ends.
pub const LOG_EXIT_MS: u64 = 2_000;
/// Warnings of one kind, of one shard, come no more often than this, in milliseconds.
pub const SLOW_LINE_MS: u64 = 1_000;
/// A sync that goes on is logged after this, and every so often, in milliseconds.
pub const SYNC_OVERDUE_MS: u64 = 10_000;
/// A shard's thread puts its numbers on the status board no more often than this, in milliseconds.
pub const BOARD_MS: u64 = 100;
/// Shortest wait for a clean stop that may be set, in milliseconds.
pub const STOP_MS_MIN: u64 = 2_000;
/// Longest wait for a clean stop that may be set, in milliseconds.
pub const STOP_MS_MAX: u64 = 60_000;
/// So long before the end of that wait the answers to clients have left, or are not waited for, in
/// milliseconds.
pub const STOP_DRAIN_MS: u64 = 500;
/// So long before its end every shard has handed over and answered its clients, in milliseconds.
pub const STOP_ANSWER_MS: u64 = 1_000;

// A loop that sleeps as long as it may is not taken for stuck.
const _: () = assert!(5 * LOOP_WAKE_MS <= LOOP_STUCK_MS);
// A process that has a failure to report does not take longer to end than a clean stop.
const _: () = assert!(LOG_EXIT_MS <= STOP_MS_MIN);
// Answers given at the last moment still leave.
const _: () = assert!(STOP_DRAIN_MS < STOP_ANSWER_MS && STOP_ANSWER_MS < STOP_MS_MIN);
// A client that reads its answers is paused long before its connection is closed, whatever one turn
// makes for it.
const _: () = assert!(
    CONN_OUTPUT_BYTES_MAX + TURN_ANSWER_BYTES_MAX + FRAME_BYTES_MAX <= CONN_OUTPUT_BYTES_CEILING
);
// A single largest answer does not close its connection, nor silence a shard.
const _: () = assert!(CONN_OUTPUT_BYTES_CEILING <= SHARD_OUTPUT_BYTES_TIGHT);
const _: () = assert!(SHARD_OUTPUT_BYTES_TIGHT < SHARD_OUTPUT_BYTES_MAX);
// Answers to reads alone never keep a shard from reading other requests.
const _: () = assert!(
    SHARD_ANSWER_BYTES_MAX + TURN_ANSWER_BYTES_MAX + FRAME_BYTES_MAX < SHARD_OUTPUT_BYTES_MAX
);
// The largest read fits the memory for large ones several times: its answer, and as much again of
// values from the disk.
const _: () =
    assert!(4 * (READ_BYTES_MAX + VALUE_BYTES_MAX) <= SHARD_ANSWER_BYTES_MAX - SMALL_READS_BYTES);
const _: () = assert!(16 * SMALL_READ_BYTES <= SMALL_READS_BYTES);
// Clients' reads of the journal leave places for those of peers and of the shard itself.
const _: () = assert!(COLD_READS_MAX + 2 * MEMBERS_MAX <= HELPER_JOBS_MAX);
// What is read for one answer can bring a whole one, and is done in a few reads.
const _: () = assert!(READ_BYTES_MAX + VALUE_BYTES_MAX <= READ_SPAN_BYTES_MAX);
const _: () = assert!(READ_SPAN_BYTES_MAX <= COLD_READ_BYTES_MAX);
const _: () = assert!(16 * READ_EXTENT_BYTES_MAX <= READ_SPAN_BYTES_MAX);
// What a turn gives away is more than it makes: what waits gets less.
const _: () = assert!(TURN_ANSWER_BYTES_MAX < TURN_OUTPUT_BYTES_MAX);
// Reads wait for those who take nothing to be closed.
const _: () = assert!(UNREAD_TIGHT_MS < READ_WAITING_MS);
// One frame of the largest size can be under way on several connections at once.
const _: () = assert!(4 * FRAME_BYTES_MAX <= SHARD_INPUT_BYTES_MAX);
