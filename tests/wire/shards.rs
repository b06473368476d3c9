//! What peers may say, given to a shard: whatever the codec lets through neither panics nor ends it, but
//! for testimony that it must end for.

use crate::roundtrip::frame;
use crate::strategies_peer::message;
use paxosd::api::entries::EntriesLimit;
use paxosd::checkpoint;
use paxosd::journal::{Identity, JournalOptions, format};
use paxosd::limits;
use paxosd::paxos::{Config, Stop};
use paxosd::shard::invariants::check_state;
use paxosd::shard::{CutOptions, Fatal, Input, Output, Shard, ShardOptions, execute};
use paxosd::storage::MemStorage;
use paxosd::types::{
    Ballot, ClusterId, FormatLevel, Incarnation, LifeId, Lsn, NodeId, ShardId, Slot, Tick, Value,
    Witness,
};
use paxosd::wire::peer::{
    Accept, Accepted, Announce, CanvassAnswer, Grant, Heartbeat, Message, Nack, Prepare, Promise,
    read_message, write_message,
};
use proptest::collection::vec;
use proptest::prelude::*;

const ME: NodeId = NodeId(1);
const PEERS: [NodeId; 2] = [NodeId(2), NodeId(3)];
const SEGMENT: JournalOptions = JournalOptions { segment_bytes: 1 << 20, min_free_bytes: 0 };

fn incarnation(node: NodeId) -> Incarnation {
    Incarnation(100 + u64::from(node.0))
}

fn config() -> Config {
    Config::new(ME, incarnation(ME), [ME, PEERS[0], PEERS[1]].into())
}

/// Node 1 of three. The other two are what a test makes them say.
struct Node {
    shard: Shard,
    storage: MemStorage,
    now: Tick,
    said: Vec<(NodeId, Message)>,
    fatal: Option<Fatal>,
}

impl Node {
    fn new() -> Node {
        let storage = MemStorage::new();
        format(&storage, &identity(), ShardId(0), &SEGMENT).expect("a fresh disk");
        Node::start(storage)
    }

    /// A start over what the disk holds, with a word from each peer.
    fn start(storage: MemStorage) -> Node {
        let start =
            checkpoint::start(&storage, &identity(), (ShardId(0), 1), FormatLevel::KNOWN, &SEGMENT)
                .expect("the journal recovers");
        let options = ShardOptions {
            shard: ShardId(0),
            shards: 1,
            cluster: ClusterId(7),
            paxos: config(),
            addresses: [].into(),
            append: EntriesLimit {
                entries_max: limits::APPEND_ENTRIES_MAX as u32,
                entry_bytes_max: 4096,
                bytes_max: 65_536,
            },
            stop_timeout_ms: 5_000,
            cuts: CutOptions::default(),
            catchup_bytes: 0,
            version: "test".to_string(),
        };
        let (now, mut out) = (Tick(1_000_000), Vec::new());
        let shard = Shard::start(options, start, now, &mut out);
        let mut node = Node { shard, storage, now, said: Vec::new(), fatal: None };
        node.carry_out(out);
        for peer in PEERS {
            node.input(Input::PeerUp { node: peer, incarnation: incarnation(peer) });
            node.hear(peer, &Message::Announce(announce(peer)));
        }
        node
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        for input in [input, Input::Tick] {
            self.shard.step(self.now, input, &mut out);
            check_state(&self.shard);
        }
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Peer { node, message } => self.said.push((node, message)),
                Output::Job(job) => {
                    let done = execute(&self.storage, job).expect("the disk does not fail here");
                    self.input(Input::Disk(done));
                }
                Output::Fatal(fatal) => self.fatal = Some(fatal),
                Output::Client { .. } | Output::Stopped => {}
            }
        }
    }

    /// A message arrives as bytes do.
    fn hear(&mut self, from: NodeId, message: &Message) {
        let mut bytes = Vec::new();
        write_message(&mut bytes, message);
        let message = read_message(&frame(&bytes)).expect("what the codec lets through");
        self.input(Input::Peer { node: from, message });
    }

    fn pass(&mut self, micros: u64) {
        let until = self.now.after(micros);
        while self.now < until {
            self.now = self.shard.next_deadline(self.now).min(until).max(self.now.after(1));
            self.input(Input::Tick);
        }
    }

    /// The peers do as peers do, until the node serves.
    fn lead(&mut self) {
        for _ in 0..200 {
            for (peer, message) in std::mem::take(&mut self.said) {
                if let Some(answer) = answer(&message) {
                    self.hear(peer, &answer);
                }
            }
            if self.shard.replica().serving().is_some() {
                return;
            }
            self.pass(10_000);
        }
        panic!("node 1 cannot be elected");
    }

    /// Node 2 leads, and two of its three slots are known to be chosen.
    fn follow(&mut self) {
        for slot in 1..=3 {
            self.hear(PEERS[0], &accept(slot, slot - 1));
        }
        self.hear(PEERS[0], &Message::Heartbeat(heartbeat()));
    }
}

fn identity() -> Identity {
    Identity { cluster: ClusterId(7), node: ME, incarnation: incarnation(ME), shards: 1 }
}

fn announce(node: NodeId) -> Announce {
    let known = [ME, PEERS[0], PEERS[1]].map(|node| (node, incarnation(node)));
    Announce {
        incarnation: incarnation(node),
        known: known.to_vec(),
        formed: true,
        configuration: config().configuration(),
        lives: Vec::new(),
        durable: Witness { life: LifeId { boots: 1, nonce: 1 }, durable: Lsn(0) },
        witness: Vec::new(),
        digest: None,
        known_level: FormatLevel::KNOWN,
    }
}

fn accept(slot: u64, chosen_upto: u64) -> Message {
    Message::Accept(Accept {
        ballot: Ballot::new(1, PEERS[0]),
        slot: Slot(slot),
        first: Slot(1),
        serving_from: Slot(1),
        chosen_upto: Slot(chosen_upto),
        value: Value::noop(),
    })
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        ballot: Ballot::new(1, PEERS[0]),
        sent_at: Tick(1),
        lease_us: 300_000,
        first: Slot(1),
        chosen_upto: Slot(2),
        has_room: true,
        witness: Vec::new(),
        digest: None,
        agreeing: Vec::new(),
        wall_ms: 0,
    }
}

/// What a fresh peer says to a message.
fn answer(message: &Message) -> Option<Message> {
    let (chosen_upto, durable, has_room) = (Slot(0), Lsn(0), true);
    Some(match message {
        Message::Canvass(canvass) => {
            let (attempt, promised) = (canvass.attempt, Ballot::ZERO);
            Message::CanvassAnswer(CanvassAnswer { attempt, yes: true, promised, chosen_upto })
        }
        Message::Prepare(prepare) => Message::Promise(Promise {
            ballot: prepare.ballot,
            page: 0,
            last: true,
            chosen_upto,
            released_upto: Slot(0),
            damage: None,
            reports: Vec::new(),
            durable,
        }),
        Message::Heartbeat(heartbeat) => Message::Grant(Grant {
            ballot: heartbeat.ballot,
            sent_at: heartbeat.sent_at,
            lease_us: heartbeat.lease_us,
            chosen_upto,
            accepted_upto: Slot(0),
            durable,
            has_room,
            digest: None,
            wall_ms: 0,
        }),
        Message::Accept(accept) => {
            let (ballot, upto) = (accept.ballot, accept.slot);
            Message::Accepted(Accepted { ballot, upto, chosen_upto, durable, has_room })
        }
        _ => return None,
    })
}

/// Another value for a chosen slot, or testimony that the disk was set back, are to end a node.
fn must_end(fatal: &Fatal) -> bool {
    match fatal {
        Fatal::Stopped { stop: Stop::Contradicted { .. } | Stop::RolledBack(_), .. } => true,
        Fatal::Stopped { stop: Stop::Unrepairable { .. }, .. } | Fatal::NotApplied { .. } => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    // R37: any messages of peers, between a leader and its followers and over the next start: no panic,
    // and no end but by testimony.
    #[test]
    fn r37_any_messages_of_peers_end_no_node(
        leads in any::<bool>(),
        messages in vec((0..2usize, message(), 0..400_000u64), 1..12),
    ) {
        let mut node = Node::new();
        if leads { node.lead() } else { node.follow() }
        for (peer, message, micros) in messages {
            node.hear(PEERS[peer], &message);
            node.pass(micros);
        }
        node.pass(2_000_000);
        if node.fatal.is_none() {
            node = Node::start(node.storage.duplicate());
            node.pass(2_000_000);
        }
        prop_assert!(node.fatal.as_ref().is_none_or(must_end), "{:?}", node.fatal);
    }
}

/// R37: a round that nobody can have reached is not promised, and does not keep a node from being elected:
/// its next campaign is in a round that its peers take.
#[test]
fn r37_a_round_out_of_reach_leaves_room_for_campaigns() {
    let ballot = Ballot::new(1 << 62, PEERS[0]);
    let own = Ballot::new(0, ME);
    let said = [
        Message::Nack(Nack { ballot: own, promised: ballot }),
        Message::Prepare(Prepare { ballot, chosen_upto: Slot(0), released: Ballot::ZERO }),
        Message::CanvassAnswer(CanvassAnswer {
            attempt: 0,
            yes: false,
            promised: ballot,
            chosen_upto: Slot(0),
        }),
        Message::Heartbeat(Heartbeat { ballot, ..heartbeat() }),
    ];
    let mut node = Node::new();
    for message in &said {
        node.hear(PEERS[0], message);
    }
    node.lead();
    let promised = node.shard.replica().promised();
    assert!(promised.round <= 1 + 4 * limits::ROUND_JUMP_MAX, "promised {promised}");
    for (_, message) in std::mem::take(&mut node.said) {
        let mut bytes = Vec::new();
        write_message(&mut bytes, &message);
        assert!(read_message(&frame(&bytes)).is_ok(), "peers refuse {message:?}");
    }
}

/// R37: what has truly gone by is reached when it is said again and again, as leaders do.
#[test]
fn r37_a_round_far_above_is_reached_in_a_few_steps() {
    let ballot = Ballot::new(3 * limits::ROUND_JUMP_MAX, PEERS[0]);
    let mut node = Node::new();
    for _ in 0..2 {
        node.hear(PEERS[0], &Message::Heartbeat(Heartbeat { ballot, ..heartbeat() }));
        assert_eq!(node.shard.replica().leader(), None);
    }
    node.hear(PEERS[0], &Message::Heartbeat(Heartbeat { ballot, ..heartbeat() }));
    assert_eq!(node.shard.replica().leader(), Some(PEERS[0]));
}

/// R37, C16: a leader whose follower says that it accepted a value in an unheard-of slot settles no more
/// slots than an acceptor can hold, however often that is said.
#[test]
fn r37_leftovers_have_a_bound() {
    let mut node = Node::new();
    node.lead();
    let (first, window) = (node.shard.replica().chosen_upto(), config().window_slots);
    for _ in 0..10 {
        node.pass(60_000);
        for (peer, message) in std::mem::take(&mut node.said) {
            match answer(&message) {
                Some(Message::Grant(grant)) => {
                    let chosen_upto = node.shard.replica().chosen_upto();
                    let grant = Grant { chosen_upto, accepted_upto: Slot(1 << 62), ..grant };
                    node.hear(peer, &Message::Grant(grant));
                }
                Some(other) => node.hear(peer, &other),
                None => {}
            }
        }
    }
    let next = node.shard.replica().next_slot().expect("it leads");
    assert!(next <= first.plus(2 * window + 1), "proposed up to {next}, from {first} on");
}

/// C14, R37: a grant that answers no heartbeat is none: a stamp of the future would prolong the lease of a
/// leader that nobody hears.
#[test]
fn c14_a_grant_from_the_future_is_none() {
    let mut node = Node::new();
    node.lead();
    let replica = node.shard.replica();
    let ballot = replica.serving().expect("it leads");
    for sent_at in [Tick(node.now.0 + 10_000_000), Tick(u64::MAX)] {
        let grant = Grant {
            ballot,
            sent_at,
            lease_us: 300_000,
            chosen_upto: Slot(0),
            accepted_upto: Slot(0),
            durable: Lsn(0),
            has_room: true,
            digest: None,
            wall_ms: 0,
        };
        node.hear(PEERS[0], &Message::Grant(grant));
    }
    node.pass(400_000);
    assert!(!node.shard.replica().lease_valid(node.now), "a lease that nobody granted");
}
