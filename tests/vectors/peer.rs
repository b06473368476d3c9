//! The vectors of the peer protocol: one of every message.

use crate::client::CLUSTER;
use crate::model::{Message, Vector, vector};
use paxosd::types::{
    Ballot, Configuration, ConfigurationNumber, Damage, FormatLevel, Incarnation, Index, Life,
    LifeId, LogId, Lsn, NodeId, ShardId, Slot, Tick, Value, Witness,
};
use paxosd::wire::peer::hello::{
    PeerHello, PeerHelloReply, PeerRefusal, PeerRefusalCode, PeerWelcome, SharedConfiguration,
    SharedLimits, members_digest,
};
use paxosd::wire::peer::{
    Accept, Accepted, Announce, Canvass, CanvassAnswer, ChosenUpto, Digest, Eligibility, Fetch,
    FetchOutcome, Fetched, Grant, HandOver, Heartbeat, Learn, Learned, LeaseRefusal, LossAnswer,
    LossAsk, LossVerdict, Message as Peer, Nack, Prepare, Promise, Release, Report, Resend,
};

const BALLOT: Ballot = Ballot { round: 5, node: NodeId(2) };
const LOWER: Ballot = Ballot { round: 3, node: NodeId(1) };

pub fn vectors() -> Vec<Vector> {
    [greetings(), meeting(), phase_1(), phase_2(), leadership(), agreement()]
        .into_iter()
        .flatten()
        .collect()
}

fn greetings() -> Vec<Vector> {
    let hello = PeerHello {
        version_min: 1,
        version_max: 1,
        cluster: CLUSTER,
        node: NodeId(2),
        target: NodeId(1),
        incarnation: Incarnation(0x1111_2222_3333_4444),
        shard: ShardId(0),
        features: 0,
        shared: SharedLimits {
            entry_bytes_max: 1 << 20,
            append_bytes_max: 4 << 20,
            value_bytes_max: 5 << 20,
            shards: 2,
            window_slots: 256,
            configuration: SharedConfiguration {
                number: ConfigurationNumber(7),
                prepare_quorum: 2,
                accept_quorum: 2,
                members: members_digest([NodeId(1), NodeId(2), NodeId(3)]),
            },
        },
    };
    let welcome = PeerWelcome {
        version: 1,
        node: NodeId(1),
        incarnation: Incarnation(0x5555_6666_7777_8888),
        features: 0,
    };
    let text = "shards is 2 on node 2 and 4 on node 1";
    vec![
        vector(
            "peer-hello",
            "PeerHello of node 2 to node 1 for shard 0.",
            Message::PeerHello(hello),
        ),
        vector(
            "peer-hello-accepted",
            "PeerHelloReply: welcome, version 1.",
            Message::PeerHelloReply(PeerHelloReply::Accepted(welcome)),
        ),
        vector(
            "peer-hello-refused",
            "PeerHelloReply: the limits differ.",
            Message::PeerHelloReply(PeerHelloReply::Refused(PeerRefusal::new(
                PeerRefusalCode::Limits,
                text,
            ))),
        ),
    ]
}

fn peer(name: &'static str, message: Peer) -> Vector {
    vector(name, "", Message::Peer(message))
}

const LIFE: LifeId = LifeId { boots: 1, nonce: 0x1234 };
const LATER: LifeId = LifeId { boots: 2, nonce: 0xabcd };
const DIGEST: Digest = Digest { slot: Slot(41), state: 0xdead_beef };

fn meeting() -> Vec<Vector> {
    let incarnations = [(NodeId(1), Incarnation(0x55)), (NodeId(2), Incarnation(0x11))];
    vec![
        peer(
            "announce",
            Peer::Announce(Announce {
                incarnation: Incarnation(0x11),
                known: incarnations.to_vec(),
                formed: true,
                configuration: Configuration {
                    number: ConfigurationNumber(7),
                    members: [NodeId(1), NodeId(2)].into(),
                    prepare: 2,
                    accept: 1,
                    window_slots: 256,
                },
                lives: vec![
                    Life { id: LIFE, start: Lsn(0), accounted: Lsn(0) },
                    Life { id: LATER, start: Lsn(80), accounted: Lsn(84) },
                ],
                durable: Witness { life: LATER, durable: Lsn(90) },
                witness: vec![
                    (NodeId(1), Witness { life: LIFE, durable: Lsn(80) }),
                    (NodeId(3), Witness { life: LATER, durable: Lsn(7) }),
                ],
                digest: Some(DIGEST),
                known_level: FormatLevel(3),
            }),
        ),
        peer("canvass", Peer::Canvass(Canvass { attempt: 6, chosen_upto: Slot(41) })),
        peer(
            "canvass-answer",
            Peer::CanvassAnswer(CanvassAnswer {
                attempt: 6,
                yes: true,
                promised: LOWER,
                chosen_upto: Slot(40),
            }),
        ),
    ]
}

fn phase_1() -> Vec<Vector> {
    let reports = vec![
        (Slot(42), Report::Accepted(LOWER)),
        (Slot(43), Report::ValueDamaged(LOWER)),
        (Slot(44), Report::Damaged(BALLOT)),
        (Slot(45), Report::Suspect(BALLOT)),
    ];
    let damage = Some(Damage { ballot_max: BALLOT, upto: Slot(600), suspect: false });
    let held = FetchOutcome::Held(Value::new(*b"value"));
    let fetched =
        |outcome| Peer::Fetched(Fetched { ballot: BALLOT, slot: Slot(42), of: LOWER, outcome });
    vec![
        peer(
            "prepare",
            Peer::Prepare(Prepare { ballot: BALLOT, chosen_upto: Slot(41), released: LOWER }),
        ),
        peer(
            "promise",
            Peer::Promise(Promise {
                ballot: BALLOT,
                page: 0,
                last: true,
                chosen_upto: Slot(41),
                released_upto: Slot(7),
                damage,
                reports,
                durable: Lsn(90),
            }),
        ),
        peer(
            "promise-of-nothing",
            Peer::Promise(Promise {
                ballot: BALLOT,
                page: 3,
                last: false,
                chosen_upto: Slot(41),
                released_upto: Slot(0),
                damage: None,
                reports: Vec::new(),
                durable: Lsn(0),
            }),
        ),
        peer(
            "lease-refusal",
            Peer::LeaseRefusal(LeaseRefusal { ballot: BALLOT, wait_us: 250_000 }),
        ),
        peer("nack", Peer::Nack(Nack { ballot: LOWER, promised: BALLOT })),
        peer("fetch", Peer::Fetch(Fetch { ballot: BALLOT, slot: Slot(42), of: LOWER })),
        peer("fetched", fetched(held)),
        peer("fetched-damaged", fetched(FetchOutcome::Damaged)),
        peer("fetched-not-held", fetched(FetchOutcome::NotHeld)),
        peer("fetched-chosen", fetched(FetchOutcome::Chosen)),
    ]
}

fn phase_2() -> Vec<Vector> {
    let (slot, first, chosen_upto) = (Slot(43), Slot(42), Slot(41));
    let serving_from = Slot(42);
    let accept = |value| {
        Peer::Accept(Accept { ballot: BALLOT, slot, first, serving_from, chosen_upto, value })
    };
    vec![
        peer("accept", accept(Value::new(*b"value"))),
        peer("accept-noop", accept(Value::noop())),
        peer(
            "accepted",
            Peer::Accepted(Accepted {
                ballot: BALLOT,
                upto: slot,
                chosen_upto,
                durable: Lsn(91),
                has_room: true,
            }),
        ),
    ]
}

fn leadership() -> Vec<Vector> {
    let (first, chosen_upto) = (Slot(42), Slot(41));
    let learned =
        |values, damaged| Learned { from: Slot(40), chosen_upto, values, damaged, released: None };
    vec![
        peer(
            "heartbeat",
            Peer::Heartbeat(Heartbeat {
                ballot: BALLOT,
                sent_at: Tick(7_000_000),
                lease_us: 1_000_000,
                first,
                chosen_upto,
                has_room: true,
                witness: vec![
                    (NodeId(1), Witness { life: LATER, durable: Lsn(88) }),
                    (NodeId(3), Witness { life: LIFE, durable: Lsn(12) }),
                ],
                digest: None,
                agreeing: vec![NodeId(1), NodeId(3)],
                wall_ms: 1_700_000_000_000,
            }),
        ),
        peer(
            "grant",
            Peer::Grant(Grant {
                ballot: BALLOT,
                sent_at: Tick(7_000_000),
                lease_us: 1_000_000,
                chosen_upto,
                accepted_upto: Slot(44),
                durable: Lsn(91),
                has_room: false,
                digest: Some(DIGEST),
                wall_ms: 1_700_000_000_250,
            }),
        ),
        peer("learn", Peer::Learn(Learn { from: Slot(40), upto: Slot(41) })),
        peer(
            "learned",
            Peer::Learned(learned(vec![(Slot(40), LOWER, Value::new(*b"value"))], None)),
        ),
        peer("learned-damaged", Peer::Learned(learned(Vec::new(), Some(LOWER)))),
        peer(
            "learned-released",
            Peer::Learned(Learned { released: Some(Slot(41)), ..learned(Vec::new(), None) }),
        ),
        peer("hand-over", Peer::HandOver(HandOver { ballot: BALLOT, chosen_upto })),
        peer("release", Peer::Release(Release { ballot: BALLOT })),
        peer(
            "eligibility",
            Peer::Eligibility(Eligibility {
                leaving: false,
                ready: true,
                linked: 2,
                lacks_entries: true,
            }),
        ),
    ]
}

fn agreement() -> Vec<Vector> {
    let chosen_upto = Slot(41);
    vec![
        peer(
            "loss-ask",
            Peer::LossAsk(LossAsk {
                attempt: 7,
                log: LogId(1),
                from: Index(20),
                before: Index(30),
                slots: vec![(Slot(3), Slot(5))],
            }),
        ),
        peer(
            "loss-answer",
            Peer::LossAnswer(LossAnswer { attempt: 7, verdict: LossVerdict::Held(Slot(4)) }),
        ),
        peer("chosen", Peer::ChosenUpto(ChosenUpto { ballot: BALLOT, chosen_upto })),
        peer("resend", Peer::Resend(Resend { ballot: BALLOT, from: Slot(41), chosen_upto })),
    ]
}
