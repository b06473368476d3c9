//! Every message of the client protocol, at random.

use paxosd::api::entries::Entries;
use paxosd::api::error::{Detail, ErrorCode, Leader, Outcome, RequestError, Retry};
use paxosd::api::name::LogName;
use paxosd::api::*;
use paxosd::types::{
    Ballot, ClusterId, FormatLevel, Index, LogId, LostRange, NodeId, ShardId, Slot,
};
use paxosd::wire::client::hello::{Hello, HelloReply, Limits};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub fn ballot() -> impl Strategy<Value = Ballot> {
    let round = prop_oneof![0..8u64, 0..=1u64 << 62, Just(1 << 62)];
    let node = prop_oneof![1..4u16, any::<u16>()];
    (round, node).prop_map(|(round, node)| Ballot::new(round, NodeId(node))).boxed()
}

pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), ".{0,40}", "[a-z0-9.:-]{1,60}"]
}

pub fn name() -> impl Strategy<Value = LogName> {
    "\\PC{1,60}".prop_filter_map("control character", |text| LogName::new(&text).ok())
}

fn prefix() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), name().prop_map(|name| name.to_string())]
}

fn log() -> impl Strategy<Value = LogRef> {
    prop_oneof![name().prop_map(LogRef::Name), any::<u64>().prop_map(|id| LogRef::Id(LogId(id)))]
}

fn consistency() -> impl Strategy<Value = Consistency> {
    prop_oneof![Just(Consistency::Linearizable), Just(Consistency::Local)]
}

fn entries(least: usize) -> impl Strategy<Value = Entries> {
    vec(vec(any::<u8>(), 0..80), least..8)
        .prop_map(|entries| Entries::from_slices(entries).expect("small entries"))
}

fn append() -> impl Strategy<Value = Append> {
    (log(), any::<Option<u64>>(), any::<u32>(), any::<bool>(), entries(1)).prop_map(
        |(log, expect, chain, create, entries)| Append {
            create: create && matches!(log, LogRef::Name(_)),
            log,
            expect: expect.map(Index),
            chain,
            entries,
        },
    )
}

fn read() -> impl Strategy<Value = Read> {
    (log(), any::<u64>(), any::<(u32, u32, u32)>(), consistency()).prop_map(
        |(log, from, (max_entries, max_bytes, wait_ms), consistency)| Read {
            log,
            from: Index(from),
            max_entries,
            max_bytes,
            wait_ms,
            consistency,
        },
    )
}

pub fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (name(), retention())
            .prop_map(|(name, retention)| Request::Create(Create { name, retention })),
        log().prop_map(|log| Request::Delete(Delete { log })),
        (prefix(), prefix(), any::<u32>(), consistency()).prop_map(
            |(prefix, after, limit, consistency)| Request::List(List {
                prefix,
                after,
                limit,
                consistency
            })
        ),
        (log(), consistency())
            .prop_map(|(log, consistency)| Request::Stat(Stat { log, consistency })),
        append().prop_map(Request::Append),
        (log(), any::<u64>())
            .prop_map(|(log, before)| Request::Trim(Trim { log, before: Index(before) })),
        (log(), changes())
            .prop_map(|(log, changes)| Request::SetAttributes(SetAttributes { log, changes })),
        (log(), any::<(u64, u64)>()).prop_map(|(log, (from, before))| {
            let (from, before) = (Index(from), Index(before));
            Request::DeclareLost(DeclareLost { log, from, before })
        }),
        (log(), consistency())
            .prop_map(|(log, consistency)| Request::ListLost(ListLost { log, consistency })),
        read().prop_map(Request::Read),
        Just(Request::Status),
        Just(Request::Map),
        Just(Request::Ping),
    ]
}

fn changes() -> impl Strategy<Value = AttributeChanges> {
    let limit = any::<Option<u64>>;
    (limit(), limit(), limit(), any::<bool>()).prop_map(
        |(retain_bytes, retain_entries, retain_age_ms, seal)| AttributeChanges {
            retain_bytes,
            retain_entries,
            retain_age_ms,
            seal,
        },
    )
}

fn attributes() -> impl Strategy<Value = LogAttributes> {
    (any::<u64>(), retention(), any::<bool>())
        .prop_map(|(version, retention, sealed)| LogAttributes { version, retention, sealed })
}

fn retention() -> impl Strategy<Value = Retention> {
    any::<(u64, u64, u64)>().prop_map(|(bytes, entries, age_ms)| Retention {
        bytes,
        entries,
        age_ms,
    })
}

pub fn header() -> impl Strategy<Value = ReplyHeader> {
    (any::<u16>(), ballot(), any::<u64>()).prop_map(|(shard, epoch, applied_upto)| ReplyHeader {
        shard: ShardId(shard),
        epoch,
        applied_upto: Slot(applied_upto),
    })
}

fn log_stat() -> impl Strategy<Value = LogStat> {
    (name(), any::<[u64; 5]>(), attributes()).prop_map(
        |(name, [id, first, next, bytes, created_ms], attributes)| LogStat {
            name,
            id: LogId(id),
            first_index: Index(first),
            next_index: Index(next),
            bytes,
            created_ms,
            attributes,
        },
    )
}

fn node_or_none() -> impl Strategy<Value = Option<NodeId>> {
    prop_oneof![Just(None), (1..=u16::MAX).prop_map(|node| Some(NodeId(node)))]
}

fn peer_status() -> impl Strategy<Value = PeerStatus> {
    let progress = (any::<u64>(), any::<u64>())
        .prop_map(|(upto, lag)| Progress { chosen_upto: Slot(upto), lag });
    (any::<u16>(), any::<bool>(), option::of(progress), any::<String>()).prop_map(
        |(node, connected, progress, trouble)| PeerStatus {
            trouble,
            node: NodeId(node),
            connected,
            progress,
        },
    )
}

fn shard_status() -> impl Strategy<Value = ShardStatus> {
    let role = prop_oneof![Just(Role::Follower), Just(Role::Candidate), Just(Role::Leader)];
    (
        (any::<u16>(), role, node_or_none(), ballot(), ballot()),
        any::<[u64; 11]>(),
        any::<(bool, bool)>(),
        any::<[u16; 2]>().prop_map(|levels| levels.map(FormatLevel)),
        (any::<bool>(), vec(any::<u16>().prop_map(NodeId), 0..5), any::<String>()),
        vec(peer_status(), 0..5),
    )
        .prop_map(|((shard, role, leader, epoch, promised), n, flags, levels, met, peers)| {
            ShardStatus {
                shard: ShardId(shard),
                role,
                leader,
                epoch,
                promised,
                durable_upto: n[0],
                chosen_upto: Slot(n[1]),
                applied_upto: Slot(n[2]),
                trimmed_upto: Slot(n[3]),
                digest: n[4],
                level: levels[0],
                known_level: levels[1],
                logs: n[5],
                damaged_slots: n[6],
                segments: n[7],
                disk_bytes: n[8],
                dead_bytes: n[8] / 2,
                reserve_bytes: n[8] / 3,
                kept_for: met.2,
                has_room: flags.0,
                caught_up: flags.1,
                syncs: n[9],
                sync_us: n[10],
                formed: met.0,
                unmet: met.1,
                peers,
                installing: flags.1.then_some(InstallProgress {
                    source: NodeId(shard),
                    slot: Slot(n[0]),
                    phase: if flags.0 { InstallPhase::Making } else { InstallPhase::State },
                    bytes: n[1],
                    part_bytes: n[2],
                }),
                absent_slots: n[3],
                fetched_values: n[4],
            }
        })
}

fn status() -> impl Strategy<Value = StatusReply> {
    (any::<u16>(), any::<u128>(), text(), any::<[u64; 4]>(), shard_status()).prop_map(
        |(node, cluster, version, [uptime_ms, free, total, min_free], shard)| StatusReply {
            node: NodeId(node),
            cluster: ClusterId(cluster),
            version,
            uptime_ms,
            disk: DiskSpace { free_bytes: free, total_bytes: total, min_free_bytes: min_free },
            shard,
        },
    )
}

fn map() -> impl Strategy<Value = ClusterMap> {
    let member =
        (any::<u16>(), text()).prop_map(|(node, address)| Member { node: NodeId(node), address });
    let leader = (any::<u16>(), ballot(), node_or_none())
        .prop_map(|(shard, epoch, node)| ShardLeader { shard: ShardId(shard), epoch, node });
    (any::<u128>(), any::<u16>(), vec(member, 0..6), vec(leader, 0..6)).prop_map(
        |(cluster, shards, members, leaders)| ClusterMap {
            cluster: ClusterId(cluster),
            shards,
            members,
            leaders,
        },
    )
}

fn detail() -> impl Strategy<Value = Detail> {
    prop_oneof![
        Just(Detail::None),
        Just(Detail::Leader(None)),
        (1..=u16::MAX, text()).prop_map(|(node, address)| {
            Detail::Leader(Some(Leader { node: NodeId(node), address }))
        }),
        any::<(u64, u64)>()
            .prop_map(|(log, next)| Detail::Next { log: LogId(log), next: Index(next) }),
        any::<(u64, u64)>()
            .prop_map(|(log, first)| Detail::First { log: LogId(log), first: Index(first) }),
        (any::<u64>().prop_map(LogId), lost_range())
            .prop_map(|(log, range)| Detail::Lost { log, range }),
        any::<u64>().prop_map(|log| Detail::Log(LogId(log))),
        any::<u16>().prop_map(|shard| Detail::Shard(ShardId(shard))),
        any::<u64>().prop_map(Detail::Limit),
        any::<(u16, u16)>().prop_map(|(min, max)| Detail::Versions { min, max }),
        proptest::collection::vec(any::<u16>().prop_map(NodeId), 0..5).prop_map(Detail::Unformed),
    ]
}

pub fn error() -> impl Strategy<Value = RequestError> {
    let code = prop_oneof![
        proptest::sample::select(ErrorCode::ALL),
        any::<u16>().prop_map(ErrorCode::from_number)
    ];
    let outcome =
        prop_oneof![Just(Outcome::NotExecuted), Just(Outcome::Executed), Just(Outcome::Unknown)];
    let retry = prop_oneof![Just(Retry::No), Just(Retry::Here), Just(Retry::Elsewhere)];
    (code, outcome, retry, any::<u32>(), detail(), text()).prop_map(
        |(code, outcome, retry, retry_after_ms, detail, text)| RequestError {
            code,
            outcome,
            retry,
            retry_after_ms,
            detail,
            text,
        },
    )
}

pub fn reply() -> impl Strategy<Value = Reply> {
    let id = || any::<u64>().prop_map(LogId);
    let index = || any::<u64>().prop_map(Index);
    prop_oneof![
        id().prop_map(|id| Reply::Created(Created { id })),
        Just(Reply::Deleted),
        (vec(log_stat(), 0..6), any::<bool>())
            .prop_map(|(logs, more)| Reply::Listed(Listed { logs, more })),
        log_stat().prop_map(Reply::Stated),
        (id(), index(), any::<u32>()).prop_map(|(id, first, count)| Reply::Appended(Appended {
            id,
            first,
            count
        })),
        (id(), index(), index(), index(), entries(0)).prop_map(
            |(id, from, first, next, entries)| {
                Reply::ReadDone(ReadDone { id, from, first, next, entries })
            }
        ),
        (id(), lost_range())
            .prop_map(|(id, range)| Reply::DeclaredLost(DeclaredLost { id, range })),
        (id(), vec(lost_range(), 0..4))
            .prop_map(|(id, ranges)| Reply::ListedLost(ListedLost { id, ranges })),
        (id(), index(), index()).prop_map(|(id, first, next)| Reply::Trimmed(Trimmed {
            id,
            first,
            next
        })),
        Just(Reply::AttributesSet),
        status().prop_map(|status| Reply::Status(Box::new(status))),
        map().prop_map(Reply::Map),
        Just(Reply::Pong),
        error().prop_map(Reply::Error),
    ]
}

pub fn hello() -> impl Strategy<Value = Hello> {
    let numbers = (any::<(u16, u16)>(), any::<u128>(), any::<u16>(), any::<u64>(), any::<u8>());
    (numbers, vec(any::<u8>(), 0..50), text()).prop_map(
        |((versions, cluster, shard, features, credential_kind), credential, client)| Hello {
            version_min: versions.0,
            version_max: versions.1,
            cluster: ClusterId(cluster),
            shard: ShardId(shard),
            features,
            credential_kind,
            credential,
            client,
        },
    )
}

fn lost_range() -> impl Strategy<Value = LostRange> {
    let indexes = any::<(u64, u64)>();
    indexes.prop_map(|(from, before)| LostRange { from: Index(from), before: Index(before) })
}

pub fn hello_reply() -> impl Strategy<Value = HelloReply> {
    let numbers = (any::<u16>(), any::<u128>(), any::<u16>(), any::<u16>(), any::<u64>());
    (numbers, any::<[u32; 8]>(), text()).prop_map(
        |((version, cluster, node, shards, features), n, server)| HelloReply {
            version,
            cluster: ClusterId(cluster),
            node: NodeId(node),
            shards,
            features,
            limits: Limits {
                frame_bytes_max: n[0],
                entry_bytes_max: n[1],
                append_bytes_max: n[2],
                append_entries_max: n[3],
                read_bytes_max: n[4],
                read_entries_max: n[5],
                requests_max: n[6],
                read_wait_ms_max: n[7],
            },
            server,
        },
    )
}
