//! The vectors of the client protocol.

use crate::model::{Message, Vector, vector};
use paxosd::api::entries::Entries;
use paxosd::api::error::{Detail, ErrorCode, Leader, RequestError};
use paxosd::api::name::LogName;
use paxosd::api::*;
use paxosd::types::{
    Ballot, ClusterId, FormatLevel, Index, LogId, LostRange, NodeId, ShardId, Slot,
};
use paxosd::wire::client::hello::{Hello, HelloReply, Limits};

/// The cluster of the examples.
pub const CLUSTER: ClusterId = ClusterId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
/// The log of the examples: "orders", the first log of shard 0.
const LOG: LogId = LogId(1);

/// Entries that are lost in the examples.
const LOST: LostRange = LostRange { from: Index(1), before: Index(3) };

/// Node 2 leads shard 0 in its fifth round and has applied 41 slots.
const HEADER: ReplyHeader = ReplyHeader {
    shard: ShardId(0),
    epoch: Ballot { round: 5, node: NodeId(2) },
    applied_upto: Slot(41),
};

/// The same behind a slot that the request took.
const APPLIED: ReplyHeader =
    ReplyHeader { shard: HEADER.shard, epoch: HEADER.epoch, applied_upto: Slot(42) };

fn name(text: &str) -> LogName {
    LogName::new(text).expect("a valid name")
}

fn by_name() -> LogRef {
    LogRef::Name(name("orders"))
}

fn entries(data: &[&str]) -> Entries {
    Entries::from_slices(data).expect("small entries")
}

fn request(correlation: u64, request: Request) -> Message {
    Message::Request(correlation, request)
}

fn reply(correlation: u64, reply: Reply) -> Message {
    Message::Reply(correlation, HEADER, reply)
}

/// The reply to a request that took slot 42.
fn applied(correlation: u64, reply: Reply) -> Message {
    Message::Reply(correlation, APPLIED, reply)
}

fn error(correlation: u64, error: RequestError) -> Message {
    Message::Reply(correlation, HEADER, Reply::Error(error))
}

pub fn vectors() -> Vec<Vector> {
    [
        greetings(),
        node_requests(),
        log_requests(),
        retention(),
        lost(),
        appends(),
        reads(),
        errors(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn greetings() -> Vec<Vector> {
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        cluster: ClusterId(0),
        shard: ShardId(0),
        features: 0,
        credential_kind: 0,
        credential: Vec::new(),
        client: "example 1.0".to_string(),
    };
    let anywhere =
        Hello { cluster: CLUSTER, shard: NO_SHARD, client: String::new(), ..hello.clone() };
    let welcome = HelloReply {
        version: 1,
        cluster: CLUSTER,
        node: NodeId(2),
        shards: 2,
        features: 0,
        limits: Limits {
            frame_bytes_max: 8 << 20,
            entry_bytes_max: 1 << 20,
            append_bytes_max: (4 << 20) + 8 * 16_384,
            append_entries_max: 16_384,
            read_bytes_max: 4 << 20,
            read_entries_max: 65_536,
            requests_max: 1024,
            read_wait_ms_max: 60_000,
        },
        server: "paxosd 0.1.0".to_string(),
    };
    let versions = RequestError::new(
        ErrorCode::VersionMismatch,
        "the client speaks versions 2 to 3, this node 1 to 1",
    )
    .with_detail(Detail::Versions { min: 1, max: 1 });
    vec![
        vector(
            "hello",
            "Hello, correlation 1: versions 1 to 1, any cluster, shard 0, client \"example 1.0\".",
            Message::Hello(1, hello),
        ),
        vector(
            "hello-any-shard",
            "Hello, correlation 1: cluster 00112233445566778899aabbccddeeff, no shard, no client name.",
            Message::Hello(1, anywhere),
        ),
        vector(
            "hello-reply",
            "HelloReply from node 2: version 1, 2 shards, limits 8388608 (frame), 1048576 (entry),\n\
             4325376 and 16384 (append), 4194304 and 65536 (read), 1024 requests, 60000 ms,\n\
             server \"paxosd 0.1.0\". Header, as in all replies below: shard 0, epoch 5.2, applied 41; or 42\n\
             where the request took slot 42: Created, Deleted, Appended, ExpectMismatch.",
            Message::HelloReply(1, HEADER, welcome),
        ),
        vector(
            "hello-refused",
            "Error VersionMismatch from no shard, detail versions 1 to 1; the node closes.",
            Message::Reply(1, ReplyHeader::NOBODY, Reply::Error(versions)),
        ),
    ]
}

fn status() -> StatusReply {
    StatusReply {
        node: NodeId(2),
        cluster: CLUSTER,
        version: "0.1.0".to_string(),
        uptime_ms: 60_000,
        disk: DiskSpace { free_bytes: 40 << 30, total_bytes: 100 << 30, min_free_bytes: 256 << 20 },
        shard: ShardStatus {
            shard: ShardId(0),
            role: Role::Leader,
            leader: Some(NodeId(2)),
            epoch: HEADER.epoch,
            promised: HEADER.epoch,
            durable_upto: 90,
            chosen_upto: Slot(41),
            applied_upto: Slot(41),
            trimmed_upto: Slot(0),
            digest: 0x0123_4567_89ab_cdef,
            level: FormatLevel(1),
            known_level: FormatLevel(2),
            logs: 1,
            damaged_slots: 0,
            segments: 2,
            disk_bytes: 128 << 20,
            dead_bytes: 64 << 20,
            reserve_bytes: 1 << 20,
            kept_for: "it has live entries".to_string(),
            has_room: true,
            caught_up: true,
            syncs: 50,
            sync_us: 12_500,
            formed: true,
            unmet: Vec::new(),
            peers: vec![
                peer(1, true, Some((40, 1)), ""),
                peer(3, false, None, "127.0.0.3:7421: Connection refused"),
            ],
            installing: Some(InstallProgress {
                source: NodeId(3),
                slot: Slot(32),
                phase: InstallPhase::Extents,
                bytes: 112,
                part_bytes: 560,
            }),
            absent_slots: 6,
            fetched_values: 2,
        },
    }
}

fn peer(node: u16, connected: bool, progress: Option<(u64, u64)>, trouble: &str) -> PeerStatus {
    let (node, trouble) = (NodeId(node), trouble.to_string());
    let progress = progress.map(|(upto, lag)| Progress { chosen_upto: Slot(upto), lag });
    PeerStatus { node, connected, progress, trouble }
}

fn map() -> ClusterMap {
    let member = |node, address: &str| Member { node: NodeId(node), address: address.to_string() };
    ClusterMap {
        cluster: CLUSTER,
        shards: 2,
        members: vec![
            member(1, "10.0.0.1:7420"),
            member(2, "10.0.0.2:7420"),
            member(3, "node3.example:7420"),
        ],
        leaders: vec![
            ShardLeader { shard: ShardId(0), epoch: HEADER.epoch, node: Some(NodeId(2)) },
            ShardLeader { shard: ShardId(1), epoch: Ballot::new(4, NodeId(3)), node: None },
        ],
    }
}

fn node_requests() -> Vec<Vector> {
    vec![
        vector("ping", "Ping, correlation 2.", request(2, Request::Ping)),
        vector("pong", "Pong.", reply(2, Reply::Pong)),
        vector("status", "Status, correlation 3.", request(3, Request::Status)),
        vector(
            "status-reply",
            "StatusReply: node 2, version \"0.1.0\", up 60000 ms, shard 0, leader itself in epoch 5.2,\n\
             durable 90, chosen and applied 41, trimmed 0, digest 0123456789abcdef, 1 log, nothing damaged,\n\
             2 segments of 134217728 bytes in all, 67108864 of them dead, 1048576 reserved, the oldest kept\n\
             because \"it has live entries\", room, caught up, 50 syncs in 12500 us, formed,\n\
             peer 1 connected at 40 (lag 1), peer 3 gone and how far it is not known.\n\
             40 GiB of 100 are free, 256 MiB are the least.",
            reply(3, Reply::Status(Box::new(status()))),
        ),
        vector("map", "Map, correlation 4.", request(4, Request::Map)),
        vector(
            "map-reply",
            "MapReply: 2 shards; 1 at 10.0.0.1:7420, 2 at 10.0.0.2:7420, 3 at node3.example:7420;\n\
             shard 0 led by 2 in epoch 5.2, shard 1 by nobody known since epoch 4.3.",
            reply(4, Reply::Map(map())),
        ),
    ]
}

fn stat_of_orders() -> LogStat {
    LogStat {
        name: name("orders"),
        id: LOG,
        first_index: Index(1),
        next_index: Index(4),
        bytes: 16,
        created_ms: 1_700_000_000_000,
        attributes: LogAttributes {
            version: 2,
            retention: Retention { bytes: 1 << 30, entries: 3, age_ms: 604_800_000 },
            sealed: true,
        },
    }
}

fn log_requests() -> Vec<Vector> {
    let list = List {
        prefix: "or".to_string(),
        after: "oranges".to_string(),
        limit: 100,
        consistency: Consistency::Local,
    };
    let stat = Stat { log: by_name(), consistency: Consistency::Linearizable };
    let keeping = Retention { bytes: 1 << 30, entries: 3, age_ms: 604_800_000 };
    let all = Retention::default();
    vec![
        vector(
            "create",
            "Create \"orders\", correlation 5.",
            request(5, Request::Create(Create { name: name("orders"), retention: all })),
        ),
        vector("created", "Created: log id 1.", applied(5, Reply::Created(Created { id: LOG }))),
        vector(
            "create-unicode",
            "Create \"größe/✓\": 11 bytes of UTF-8, correlation 6.",
            request(6, Request::Create(Create { name: name("größe/✓"), retention: all })),
        ),
        vector(
            "create-retaining",
            "Create \"orders\", correlation 23: keeps 1 GiB, keeps 3 entries, keeps 604800000 ms.",
            request(23, Request::Create(Create { name: name("orders"), retention: keeping })),
        ),
        vector(
            "delete",
            "Delete log id 1, correlation 7.",
            request(7, Request::Delete(Delete { log: LogRef::Id(LOG) })),
        ),
        vector("deleted", "Deleted.", applied(7, Reply::Deleted)),
        vector(
            "list",
            "List, correlation 8: prefix \"or\", behind \"oranges\", at most 100, local.",
            request(8, Request::List(list)),
        ),
        vector(
            "listed",
            "Listed: \"orders\" (id 1, first index 1, next index 4, 16 bytes, created at 1700000000000 ms;\n\
             attributes of version 2: keeps 1 GiB, keeps 3 entries, keeps 604800000 ms, sealed), more.",
            reply(8, Reply::Listed(Listed { logs: vec![stat_of_orders()], more: true })),
        ),
        vector(
            "stat",
            "Stat \"orders\", correlation 9, linearizable.",
            request(9, Request::Stat(stat)),
        ),
        vector(
            "stated",
            "Stated: as in the list above.",
            reply(9, Reply::Stated(stat_of_orders())),
        ),
    ]
}

/// What no member has any more.
fn lost() -> Vec<Vector> {
    let declare = DeclareLost { log: LogRef::Id(LOG), from: LOST.from, before: LOST.before };
    let list = ListLost { log: by_name(), consistency: Consistency::Linearizable };
    let ranges = vec![LOST, LostRange { from: Index(9), before: Index(10) }];
    vec![
        vector(
            "declare-lost",
            "DeclareLost of log id 1, correlation 23: the entries from 1 up to 3.",
            request(23, Request::DeclareLost(declare)),
        ),
        vector(
            "declared-lost",
            "DeclaredLost: of log id 1 the entries from 1 up to 3.",
            applied(23, Reply::DeclaredLost(DeclaredLost { id: LOG, range: LOST })),
        ),
        vector(
            "list-lost",
            "ListLost of \"orders\", correlation 24, linearizable.",
            request(24, Request::ListLost(list)),
        ),
        vector(
            "listed-lost",
            "ListedLost: of log id 1 the entries from 1 up to 3, and entry 9.",
            reply(24, Reply::ListedLost(ListedLost { id: LOG, ranges })),
        ),
        vector(
            "error-lost",
            "Error: Lost, of log id 1 the entries from 1 up to 3.",
            error(24, RequestError::lost(LOG, LOST)),
        ),
    ]
}

/// What a log keeps.
fn retention() -> Vec<Vector> {
    let changes =
        AttributeChanges { retain_entries: Some(3), seal: true, ..AttributeChanges::default() };
    vec![
        vector(
            "trim",
            "Trim \"orders\", correlation 21: all before index 1.",
            request(21, Request::Trim(Trim { log: by_name(), before: Index(1) })),
        ),
        vector(
            "trimmed",
            "Trimmed: log id 1, first index 1, next index 4.",
            applied(21, Reply::Trimmed(Trimmed { id: LOG, first: Index(1), next: Index(4) })),
        ),
        vector(
            "set-attributes",
            "SetAttributes of log id 1, correlation 22: keeps 3 entries, and is sealed; what it keeps in\n\
             bytes does not change.",
            request(22, Request::SetAttributes(SetAttributes { log: LogRef::Id(LOG), changes })),
        ),
        vector("attributes-set", "AttributesSet.", applied(22, Reply::AttributesSet)),
    ]
}

fn appends() -> Vec<Vector> {
    let plain = Append {
        log: by_name(),
        expect: None,
        chain: 0,
        create: false,
        entries: entries(&["hello"]),
    };
    let created = Append { create: true, ..plain.clone() };
    let chained = Append {
        log: LogRef::Id(LOG),
        expect: Some(Index(1)),
        chain: 7,
        create: false,
        entries: entries(&["second", "", "third"]),
    };
    vec![
        vector(
            "append",
            "Append to \"orders\", correlation 10: one entry \"hello\", no condition, no chain.",
            request(10, Request::Append(plain)),
        ),
        vector(
            "appended-first",
            "Appended to log id 1: first index 0, 1 entry.",
            applied(10, Reply::Appended(Appended { id: LOG, first: Index(0), count: 1 })),
        ),
        vector(
            "append-create",
            "The same with the option to create the log, correlation 11.",
            request(11, Request::Append(created)),
        ),
        vector(
            "append-chain",
            "Append to log id 1, correlation 12: chain 7, only at next index 1, three entries\n\
             \"second\", \"\" and \"third\".",
            request(12, Request::Append(chained)),
        ),
        vector(
            "appended",
            "Appended to log id 1: first index 1, 3 entries.",
            applied(12, Reply::Appended(Appended { id: LOG, first: Index(1), count: 3 })),
        ),
    ]
}

fn reads() -> Vec<Vector> {
    let read = Read {
        log: by_name(),
        from: Index(0),
        max_entries: 10,
        max_bytes: 65_536,
        wait_ms: 1500,
        consistency: Consistency::Linearizable,
    };
    let local = Read {
        log: LogRef::Id(LOG),
        from: Index(5),
        max_entries: 0,
        max_bytes: 0,
        wait_ms: 0,
        consistency: Consistency::Local,
    };
    let done = |from, next, data: &[&str]| {
        let (from, first, next) = (Index(from), Index(0), Index(next));
        Reply::ReadDone(ReadDone { id: LOG, from, first, next, entries: entries(data) })
    };
    vec![
        vector(
            "read",
            "Read \"orders\" from 0, correlation 13: at most 10 entries and 65536 bytes, wait 1500 ms,\n\
             linearizable.",
            request(13, Request::Read(read)),
        ),
        vector(
            "read-done",
            "ReadDone: log id 1 from 0, first index 0, next index 4, entries \"hello\", \"second\".",
            reply(13, done(0, 4, &["hello", "second"])),
        ),
        vector(
            "read-local",
            "Read log id 1 from 5, correlation 14: as much as the node allows, no wait, local.",
            request(14, Request::Read(local)),
        ),
        vector(
            "read-empty",
            "ReadDone past the end: log id 1 from 5, first index 0, next index 4, no entries.",
            reply(14, done(5, 4, &[])),
        ),
    ]
}

fn errors() -> Vec<Vector> {
    let leader = Leader { node: NodeId(2), address: "10.0.0.2:7420".to_string() };
    let future = RequestError {
        detail: Detail::None,
        ..RequestError::new(ErrorCode::from_number(9999), "an error of a later version")
    };
    let unformed = RequestError::new(ErrorCode::NoQuorum, "it waits for node 3")
        .with_detail(Detail::Unformed(vec![NodeId(3)]));
    vec![
        vector(
            "not-leader",
            "Error NotLeader: node 2 at 10.0.0.2:7420 leads.",
            error(10, RequestError::not_leader(Some(leader))),
        ),
        vector(
            "not-leader-unknown",
            "Error NotLeader: nobody is known to lead.",
            error(10, RequestError::not_leader(None)),
        ),
        vector(
            "unformed",
            "Error NoQuorum: the cluster has not formed, node 3 is missing.",
            error(10, unformed),
        ),
        vector(
            "expect-mismatch",
            "Error ExpectMismatch: log id 1 has next index 4.",
            applied(12, Reply::Error(RequestError::expect_mismatch(LOG, Index(1), Index(4)))),
        ),
        vector(
            "log-exists",
            "Error LogExists: the name belongs to log id 1.",
            error(5, RequestError::log_exists(LOG)),
        ),
        vector(
            "wrong-shard",
            "Error WrongShard: the log lives in shard 1.",
            error(9, RequestError::wrong_shard(ShardId(1))),
        ),
        vector(
            "leadership-lost",
            "Error LeadershipLost: outcome unknown.",
            error(10, RequestError::new(ErrorCode::LeadershipLost, "leadership was lost")),
        ),
        vector(
            "unrecognised-error",
            "An error of number 9999, which no version 1 has: go by its outcome and retry hint.",
            error(10, future),
        ),
    ]
}
