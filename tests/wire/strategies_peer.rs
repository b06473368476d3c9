//! Every message between replicas, at random.

use crate::strategies::{ballot, text};
use paxosd::limits::LEASE_MS_MAX;
use paxosd::types::{
    ClusterId, Configuration, ConfigurationNumber, Damage, FormatLevel, Incarnation, Index, Life,
    LifeId, LogId, Lsn, NodeId, ShardId, Slot, Tick, Value, Witness,
};
use paxosd::wire::peer::hello::{
    PeerHello, PeerHelloReply, PeerRefusal, PeerRefusalCode, PeerWelcome, SharedConfiguration,
    SharedLimits,
};
use paxosd::wire::peer::*;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// Small ones, too, which a shard may have reached.
fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![0..8u64, 0..=1u64 << 62, Just(1 << 62)].prop_map(Slot).boxed()
}

/// A lease, or what is left of one, in microseconds.
fn lease() -> impl Strategy<Value = u64> {
    0..=LEASE_MS_MAX * 1000
}

fn lsn() -> impl Strategy<Value = Lsn> {
    any::<u64>().prop_map(Lsn)
}

fn node() -> impl Strategy<Value = NodeId> {
    prop_oneof![1..4u16, any::<u16>()].prop_map(NodeId).boxed()
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    any::<u64>().prop_map(Incarnation)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::noop()), vec(any::<u8>(), 1..200).prop_map(Value::new)]
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        ballot().prop_map(Report::Accepted),
        ballot().prop_map(Report::ValueDamaged),
        ballot().prop_map(Report::Damaged),
        ballot().prop_map(Report::Suspect),
    ]
}

fn damage() -> impl Strategy<Value = Option<Damage>> {
    let damage = (ballot(), slot(), any::<bool>()).prop_map(|(ballot_max, upto, suspect)| Damage {
        ballot_max,
        upto,
        suspect,
    });
    prop_oneof![Just(None), damage.prop_map(Some)]
}

fn promise() -> impl Strategy<Value = Message> {
    let head = (ballot(), any::<u32>(), any::<bool>(), slot(), slot());
    (head, damage(), vec((slot(), report()), 0..6), lsn()).prop_map(
        |((ballot, page, last, chosen_upto, released_upto), damage, reports, durable)| {
            Message::Promise(Promise {
                ballot,
                page,
                last,
                chosen_upto,
                released_upto,
                damage,
                reports,
                durable,
            })
        },
    )
}

fn fetched() -> impl Strategy<Value = Message> {
    let outcome = prop_oneof![
        value().prop_map(FetchOutcome::Held),
        Just(FetchOutcome::Damaged),
        Just(FetchOutcome::NotHeld),
        Just(FetchOutcome::Chosen),
    ];
    (ballot(), slot(), ballot(), outcome).prop_map(|(ballot, slot, of, outcome)| {
        Message::Fetched(Fetched { ballot, slot, of, outcome })
    })
}

fn learned() -> impl Strategy<Value = Message> {
    let damaged = prop_oneof![Just(None), ballot().prop_map(Some)];
    let released = prop_oneof![Just(None), (1..=1u64 << 62).prop_map(|slot| Some(Slot(slot)))];
    (slot(), slot(), vec((slot(), ballot(), value()), 0..5), damaged, released).prop_map(
        |(from, chosen_upto, values, damaged, released)| {
            Message::Learned(Learned { from, chosen_upto, values, damaged, released })
        },
    )
}

fn witness() -> impl Strategy<Value = Witness> {
    (life_id(), lsn()).prop_map(|(life, durable)| Witness { life, durable })
}

fn life_id() -> impl Strategy<Value = LifeId> {
    (any::<u64>(), any::<u64>()).prop_map(|(boots, nonce)| LifeId { boots, nonce })
}

fn life() -> impl Strategy<Value = Life> {
    (life_id(), lsn(), lsn()).prop_map(|(id, start, accounted)| Life { id, start, accounted })
}

/// Slot 0 on the wire says that there is none.
fn digest() -> impl Strategy<Value = Option<Digest>> {
    (slot(), any::<u64>())
        .prop_map(|(slot, state)| (slot > Slot(0)).then_some(Digest { slot, state }))
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let number = (0..=1_u64 << 62).prop_map(ConfigurationNumber);
    (number, btree_set(node(), 0..6), any::<(u16, u16)>(), any::<u64>()).prop_map(
        |(number, members, (prepare, accept), window_slots)| Configuration {
            number,
            members,
            prepare,
            accept,
            window_slots,
        },
    )
}

fn meeting() -> impl Strategy<Value = Message> {
    prop_oneof![
        (
            (incarnation(), vec((node(), incarnation()), 0..6), any::<bool>()),
            configuration(),
            vec(life(), 0..6),
            (witness(), vec((node(), witness()), 0..6)),
            (digest(), any::<u16>().prop_map(FormatLevel))
        )
            .prop_map(
                |(
                    (incarnation, known, formed),
                    configuration,
                    lives,
                    seen,
                    (digest, known_level),
                )| {
                    Message::Announce(Announce {
                        incarnation,
                        known,
                        formed,
                        configuration,
                        lives,
                        durable: seen.0,
                        witness: seen.1,
                        digest,
                        known_level,
                    })
                }
            ),
        (any::<u64>(), slot())
            .prop_map(|(attempt, chosen_upto)| Message::Canvass(Canvass { attempt, chosen_upto })),
        (any::<u64>(), any::<bool>(), ballot(), slot()).prop_map(
            |(attempt, yes, promised, chosen_upto)| Message::CanvassAnswer(CanvassAnswer {
                attempt,
                yes,
                promised,
                chosen_upto
            })
        ),
    ]
}

fn phases() -> impl Strategy<Value = Message> {
    prop_oneof![
        (ballot(), slot(), ballot()).prop_map(|(ballot, chosen_upto, released)| {
            Message::Prepare(Prepare { ballot, chosen_upto, released })
        }),
        promise(),
        (ballot(), lease())
            .prop_map(|(ballot, wait_us)| Message::LeaseRefusal(LeaseRefusal { ballot, wait_us })),
        (ballot(), ballot())
            .prop_map(|(ballot, promised)| Message::Nack(Nack { ballot, promised })),
        (ballot(), slot(), ballot()).prop_map(|(ballot, slot, of)| Message::Fetch(Fetch {
            ballot,
            slot,
            of
        })),
        fetched(),
        (ballot(), slot(), slot(), slot(), slot(), value()).prop_map(
            |(ballot, slot, first, serving_from, chosen_upto, value)| Message::Accept(Accept {
                ballot,
                slot,
                first,
                serving_from,
                chosen_upto,
                value
            })
        ),
        (ballot(), slot(), slot(), lsn(), any::<bool>()).prop_map(
            |(ballot, upto, chosen_upto, durable, has_room)| {
                Message::Accepted(Accepted { ballot, upto, chosen_upto, durable, has_room })
            }
        ),
    ]
}

fn leadership() -> impl Strategy<Value = Message> {
    prop_oneof![
        heartbeat(),
        grant(),
        (ballot(), slot()).prop_map(|(ballot, chosen_upto)| Message::ChosenUpto(ChosenUpto {
            ballot,
            chosen_upto
        })),
        (ballot(), slot(), slot()).prop_map(|(ballot, from, chosen_upto)| {
            Message::Resend(Resend { ballot, from, chosen_upto })
        }),
        (slot(), slot()).prop_map(|(from, upto)| Message::Learn(Learn { from, upto })),
        learned(),
        (ballot(), slot()).prop_map(|(ballot, chosen_upto)| {
            Message::HandOver(HandOver { ballot, chosen_upto })
        }),
        ballot().prop_map(|ballot| Message::Release(Release { ballot })),
        (any::<[bool; 3]>(), any::<u16>()).prop_map(|([leaving, ready, lacks_entries], linked)| {
            Message::Eligibility(Eligibility { leaving, ready, linked, lacks_entries })
        }),
    ]
}

fn losses() -> impl Strategy<Value = Message> {
    let verdict = prop_oneof![
        Just(LossVerdict::Absent),
        slot().prop_map(LossVerdict::Held),
        slot().prop_map(LossVerdict::Unclear),
        Just(LossVerdict::InDoubt),
    ];
    prop_oneof![
        (any::<[u64; 4]>(), vec((slot(), slot()), 0..5)).prop_map(
            |([attempt, log, from, before], slots)| Message::LossAsk(LossAsk {
                attempt,
                log: LogId(log),
                from: Index(from),
                before: Index(before),
                slots
            })
        ),
        (any::<u64>(), verdict)
            .prop_map(|(attempt, verdict)| Message::LossAnswer(LossAnswer { attempt, verdict })),
    ]
}

fn heartbeat() -> impl Strategy<Value = Message> {
    let witness = vec((node(), witness()), 0..6);
    let clocks = (any::<u64>(), any::<u64>());
    (ballot(), clocks, (lease(), any::<bool>()), (slot(), slot()), witness, digest()).prop_map(
        |(ballot, clocks, (lease_us, has_room), (first, chosen_upto), witness, digest)| {
            Message::Heartbeat(Heartbeat {
                ballot,
                sent_at: Tick(clocks.0),
                lease_us,
                first,
                chosen_upto,
                has_room,
                agreeing: witness.iter().map(|row| row.0).collect(),
                witness,
                digest,
                wall_ms: clocks.1,
            })
        },
    )
}

fn grant() -> impl Strategy<Value = Message> {
    let clocks = (any::<u64>(), any::<u64>());
    (ballot(), clocks, (lease(), any::<bool>()), (slot(), slot()), lsn(), digest()).prop_map(
        |(ballot, clocks, (lease_us, has_room), (chosen_upto, accepted_upto), durable, digest)| {
            Message::Grant(Grant {
                ballot,
                sent_at: Tick(clocks.0),
                lease_us,
                chosen_upto,
                accepted_upto,
                durable,
                has_room,
                digest,
                wall_ms: clocks.1,
            })
        },
    )
}

pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![meeting().boxed(), phases().boxed(), leadership().boxed(), losses().boxed()]
}

pub fn peer_hello() -> impl Strategy<Value = PeerHello> {
    let head = (any::<(u16, u16)>(), any::<u128>(), node(), node(), incarnation());
    (head, any::<u16>(), any::<u64>(), any::<([u32; 3], [u16; 3], u64)>()).prop_map(
        |((versions, cluster, node, target, incarnation), shard, features, (n, m, members))| {
            PeerHello {
                version_min: versions.0,
                version_max: versions.1,
                cluster: ClusterId(cluster),
                node,
                target,
                incarnation,
                shard: ShardId(shard),
                features,
                shared: SharedLimits {
                    entry_bytes_max: n[0],
                    append_bytes_max: n[1],
                    value_bytes_max: n[2],
                    window_slots: n[0] ^ n[1],
                    shards: m[0],
                    configuration: SharedConfiguration {
                        number: ConfigurationNumber(u64::from(n[2])),
                        prepare_quorum: m[1],
                        accept_quorum: m[2],
                        members,
                    },
                },
            }
        },
    )
}

pub fn peer_hello_reply() -> impl Strategy<Value = PeerHelloReply> {
    let code = proptest::sample::select(vec![
        PeerRefusalCode::Version,
        PeerRefusalCode::Cluster,
        PeerRefusalCode::NotAMember,
        PeerRefusalCode::WrongTarget,
        PeerRefusalCode::Incarnation,
        PeerRefusalCode::Limits,
        PeerRefusalCode::Shard,
        PeerRefusalCode::NotNow,
    ]);
    prop_oneof![
        (any::<u16>(), node(), incarnation(), any::<u64>()).prop_map(
            |(version, node, incarnation, features)| PeerHelloReply::Accepted(PeerWelcome {
                version,
                node,
                incarnation,
                features
            })
        ),
        (code, text()).prop_map(|(code, text)| PeerHelloReply::Refused(PeerRefusal { code, text })),
    ]
}
