//! R37 over sockets: frames with something wrong, a hundred thousand at each port. Every one is
//! answered or its connection closed, all are counted, and nobody else notices.

use crate::host::{Pair, call};
use crate::mutator::{Mutator, kind_of, vectors};
use crate::oracle::{ClientOracle, End, PeerOracle, Reason, Spared};
use crate::random::Random;
use crate::raw_callers::{Call, Ending, Heard, exchange};
use crate::rig::{Daemon, Raw};
use crate::watched::{Refusals, Watched};
use crate::well_behaved::{LOG, WellBehaved};
use paxosd::api::name::LogName;
use paxosd::api::{Reply, Request};
use paxosd::types::NodeId;
use paxosd::wire::client::hello::{HelloAnswer, read_hello_answer, write_hello};
use paxosd::wire::client::{read_reply, write_request};
use paxosd::wire::kind::{GreetingKind, REPLY};
use paxosd::wire::peer::hello::{
    Host, PeerHello, PeerHelloReply, read_peer_hello_reply, write_peer_hello,
};
use paxosd::wire::peer::read_message;
use std::net::SocketAddr;

/// Mutants of a story; `MUTANTS` is another number, `MUTANTS_SEED` another seed.
const MUTANTS: u64 = 100_000;
/// Connections at a time: few enough for none to be in another's way.
const BATCH: usize = 32;
/// Batches between two good greetings at the peers' port.
const GREETS_EVERY: u64 = 16;
/// Most mutants of a connection that is not closed by one.
const MUTANTS_OF_ONE: usize = 8;
/// What a node may grow by, for whatever its allocator keeps: so little that 320 bytes kept of every
/// connection would be too much.
const GROWTH_MAX: usize = 16 << 20;
/// The correlation of the request that shows that a connection goes on; no mutant has it.
const LAST: u64 = 0x1A57_1A57_1A57_1A57;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What a story has come to.
pub struct Story {
    pub seed: u64,
    wanted: u64,
    sent: u64,
    calls: u64,
    /// What the node must have counted.
    pub expected: Refusals,
    memory: usize,
    peak: usize,
}

impl Story {
    /// One that begins with a node that holds so much memory.
    pub fn new(memory: usize) -> Story {
        let seed = from_environment("MUTANTS_SEED", 20_260_301);
        let wanted = from_environment("MUTANTS", MUTANTS);
        let expected = Refusals::default();
        Story { seed, wanted, sent: 0, calls: 0, expected, memory, peak: memory }
    }

    /// True until enough mutants were sent.
    pub fn goes_on(&mut self, daemon: &Daemon) -> bool {
        self.peak = self.peak.max(daemon.memory());
        self.sent < self.wanted
    }

    /// Counts a connection's mutants.
    pub fn sent(&mut self, mutants: usize) {
        self.sent += mutants as u64;
    }

    /// A connection of its own number.
    pub fn call(&mut self, bytes: Vec<u8>, first: usize) -> Call {
        let (number, seed) = (self.calls, self.seed);
        self.calls += 1;
        Call { number, seed, bytes, first, awaits: false, ending: Ending::Hasty }
    }

    /// A connection ends like this.
    fn expect(&mut self, end: Option<&End>) {
        match end {
            Some(End::Refused(_)) => self.expected.refused += 1,
            Some(End::Garbage(_)) => self.expected.garbage += 1,
            None => {}
        }
    }

    /// Ends the story: what the node counted is what it closed, what it holds is bounded, and it
    /// stops in order, with a line in its log for everything that it closed.
    pub fn end(&self, counted: Refusals, good: WellBehaved, daemon: Daemon) -> String {
        let Story { seed, expected, memory, peak, calls, .. } = self;
        let served = good.finish();
        assert!(served > 0, "nothing was appended meanwhile, seed {seed}");
        // Mutants that announce more than they are end in the middle: how many, the callers' haste decides.
        let cut_short = counted.cut_short;
        assert!(cut_short > 0 && cut_short < *calls, "{cut_short} of {calls}, seed {seed}");
        assert_eq!(counted, Refusals { cut_short, ..*expected }, "seed {seed}");
        let closed = expected.garbage + expected.refused;
        assert!(expected.refused > 0 && expected.garbage > calls / 5, "too tame, seed {seed}");
        assert!(closed < *calls, "none of {calls} connections outlived its mutants, seed {seed}");
        let grown = peak - memory;
        assert!(grown < GROWTH_MAX, "grew from {memory} to {peak}, seed {seed}");
        let (exit, log) = daemon.stop();
        assert_eq!(exit, Some(0), "seed {seed}: {log}");
        assert!(!log.contains("panicked"), "seed {seed}: {log}");
        eprintln!("{calls} connections, {counted:?}, grew by {grown}, {served} good appends");
        log
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Lines of a log that hold one of these texts, and lines that were dropped on the way.
pub fn lines(log: &str, texts: &[&str]) -> (u64, u64) {
    let holds = |line: &&str| texts.iter().any(|text| line.contains(text));
    let dropped = log.lines().filter(|line| line.contains("log lines were dropped"));
    let number = |line: &str| line.split(' ').find_map(|word| word.parse::<u64>().ok());
    // Those that come too fast are counted in the next one, or in a line of their own.
    let suppressed = |line: &str| line.split("; before it ").nth(1).and_then(number).unwrap_or(0);
    let rest = |line: &str| line.strip_suffix(" more")?.rsplit(' ').next()?.parse::<u64>().ok();
    let said: u64 = log.lines().filter(holds).map(|line| 1 + suppressed(line)).sum();
    (said + log.lines().filter_map(rest).sum::<u64>(), dropped.filter_map(number).sum())
}

/// One line for each connection that was refused or closed, but for those that were dropped.
fn assert_logged(log: &str, texts: &[&str], expected: Refusals) {
    let ((seen, dropped), closed) = (lines(log, texts), expected.garbage + expected.refused);
    assert!(seen <= closed && closed <= seen + dropped, "{seen} lines of {closed}: {dropped} lost");
}

/// R37: 100,000 mutants of what clients send. What is wrong in one request is reported in one
/// answer and the connection goes on; what makes no sense is reported in a last frame and closed.
#[test]
fn r37_mutants_at_the_clients_port() {
    let mut node = Watched::start();
    node.daemon.read_log();
    let (_raw, welcome) = Raw::open(&node.daemon.address, 0);
    let good = WellBehaved::start(&[node.daemon.address.clone()]);
    let spared = Spared { name: LogName::new(LOG).unwrap(), id: good.id };
    let oracle = ClientOracle::new(welcome.cluster, spared);
    let mut story = Story::new(node.daemon.memory());
    let seeds = vectors().into_iter().filter(|frame| kind_of(frame) & REPLY == 0);
    let mut mutator = Mutator::new(Random::new(story.seed), seeds.collect());
    let address = address(&node.daemon.address);
    while story.goes_on(&node.daemon) {
        let calls: Vec<_> =
            (0..BATCH).map(|_| client_call(&mut story, &mut mutator, &oracle)).collect();
        let sent: Vec<Call> = calls.iter().map(|(call, _)| call.clone()).collect();
        for ((call, oracle), heard) in calls.iter().zip(exchange(address, &sent)) {
            check_client(call, oracle, &heard);
            story.expect(oracle.end.as_ref());
        }
    }
    let log = story.end(node.refusals("client"), good, node.daemon);
    assert_logged(&log, &["connection from"], story.expected);
}

/// A client's connection: mutants until one closes it, or so many.
fn client_call(
    story: &mut Story,
    mutator: &mut Mutator,
    fresh: &ClientOracle,
) -> (Call, ClientOracle) {
    let (mut oracle, mut bytes, mut mutants) = (fresh.clone(), Vec::new(), 0);
    if mutator.random.percent(60) {
        write_hello(&mut bytes, 1, &crate::rig::hello(0));
        oracle.take(&bytes);
    }
    let first = bytes.len();
    while oracle.end.is_none() && mutants < MUTANTS_OF_ONE {
        let mutant = mutator.frame();
        let mut next = oracle.clone();
        next.take(&mutant);
        if !next.harms {
            oracle = next;
            bytes.extend(mutant);
            mutants += 1;
        }
    }
    story.sent(mutants);
    let mut call = story.call(bytes, first);
    call.awaits = first > 0 && mutator.random.percent(50);
    if oracle.end.is_some() {
        call.ending = if mutator.random.percent(50) { Ending::Node } else { Ending::Hasty };
    } else if oracle.welcome && oracle.is_at_a_boundary() {
        write_request(&mut call.bytes, LAST, &Request::Ping);
        call.ending = Ending::Answered(LAST);
    }
    (call, oracle)
}

fn check_client(call: &Call, oracle: &ClientOracle, heard: &Heard) {
    assert!(!heard.reset, "closed over bytes that were not read: {call:?}");
    let answers = heard.frames(call, |frame| {
        if frame.kind == GreetingKind::HelloReply.number() {
            let answer = read_hello_answer(frame).unwrap();
            assert!(matches!(answer, HelloAnswer::Welcome(..)) && oracle.welcome, "{call:?}");
            return (frame.correlation, None);
        }
        match read_reply(frame).unwrap_or_else(|error| panic!("{error}: {call:?}")).1 {
            Reply::Error(error) => (frame.correlation, Some(error.code)),
            _ => (frame.correlation, None),
        }
    });
    if let Some(End::Refused(reason) | End::Garbage(reason)) = &oracle.end {
        let seen = match answers.last() {
            Some((correlation, Some(code))) => Some(Reason::Error(*correlation, *code)),
            Some((_, None)) | None => None,
        };
        assert_eq!(seen.as_ref(), Some(reason), "the last frame of {call:?}");
    }
    if let Ending::Answered(_) = call.ending {
        for refused in &oracle.refused {
            let seen = (refused.0, Some(refused.1));
            assert!(answers.contains(&seen), "no answer {seen:?} in {answers:?}: {call:?}");
        }
    }
    for (correlation, _) in answers {
        let asked = oracle.asked.contains(&correlation) || correlation == LAST;
        assert!(asked || oracle.end.is_some(), "an answer to nobody, {correlation}: {call:?}");
    }
}

/// R37: 100,000 mutants of what peers send. Peers are sent the reason why they may not come in, and
/// nothing else; whatever makes no sense closes the connection.
#[test]
fn r37_mutants_at_the_peers_port() {
    let mut pair = Pair::start();
    pair.host.daemon.read_log();
    pair.other.read_log();
    let good = WellBehaved::start(&[pair.host.daemon.address.clone(), pair.other.address.clone()]);
    let known = (pair.greeting.node, pair.greeting.incarnation);
    let PeerHello { cluster, target, shared, .. } = pair.greeting;
    let host = Host { cluster, node: target, members: [1, 2, 3].map(NodeId).to_vec(), shared };
    let oracle = PeerOracle::new(host, known);
    let mut story = Story::new(pair.host.daemon.memory());
    let greeting = GreetingKind::PeerHello.number();
    let mut seeds: Vec<_> =
        vectors().into_iter().filter(|frame| kind_of(frame) & 0x1000 != 0).collect();
    // One greeting in the corpus is of another cluster; these are almost welcome.
    let mut almost = Vec::new();
    write_peer_hello(&mut almost, &pair.greeting);
    seeds.retain(|frame| kind_of(frame) != greeting);
    seeds.extend(std::iter::repeat_n(almost, seeds.len() / 3));
    let mut mutator = Mutator::new(Random::new(story.seed), seeds);
    let address = address(&pair.host.site.peer);
    let mut batches = 0_u64;
    while story.goes_on(&pair.host.daemon) {
        let calls = peer_calls(&mut story, &mut mutator, &oracle, &pair.greeting);
        let sent: Vec<Call> = calls.iter().map(|(call, _)| call.clone()).collect();
        for ((call, oracle), heard) in calls.iter().zip(exchange(address, &sent)) {
            check_peer(call, oracle, &heard);
            story.expect(oracle.end.as_ref());
        }
        batches += 1;
        if batches.is_multiple_of(GREETS_EVERY) {
            let (_raw, reply) = call(&pair.host.site.peer, &pair.greeting);
            assert!(matches!(reply, PeerHelloReply::Accepted(_)), "{reply:?}, seed {}", story.seed);
        }
    }
    let counted = pair.host.refusals("peer");
    let log = story.end(counted, good, pair.host.daemon);
    let (seen, dropped) = lines(&log, &["peer connection from", "sent what makes no sense"]);
    assert!(seen + dropped >= story.expected.garbage, "{seen} lines, {dropped} lost");
    let (exit, log) = pair.other.stop();
    assert_eq!(exit, Some(0), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

/// Connections at a time: of those that come in only one, because the next one of the same peer
/// takes its place.
fn peer_calls(
    story: &mut Story,
    mutator: &mut Mutator,
    fresh: &PeerOracle,
    greeting: &PeerHello,
) -> Vec<(Call, PeerOracle)> {
    let mut calls = Vec::new();
    while calls.len() < BATCH {
        let (call, oracle) = peer_call(story, mutator, fresh, greeting);
        let last = oracle.welcome;
        calls.push((call, oracle));
        if last {
            break;
        }
    }
    calls
}

/// A peer's connection. A mutant that can still be read as a message is left out: peers are
/// believed, and what it says would be taken for true.
fn peer_call(
    story: &mut Story,
    mutator: &mut Mutator,
    fresh: &PeerOracle,
    greeting: &PeerHello,
) -> (Call, PeerOracle) {
    let (mut oracle, mut bytes, mut mutants) = (fresh.clone(), Vec::new(), 0);
    if mutator.random.percent(20) {
        write_peer_hello(&mut bytes, greeting);
        oracle.take(&bytes);
    }
    let first = bytes.len();
    while oracle.end.is_none() && mutants < MUTANTS_OF_ONE {
        let mutant = mutator.frame();
        let mut next = oracle.clone();
        next.take(&mutant);
        if !next.harms {
            oracle = next;
            bytes.extend(mutant);
            mutants += 1;
        }
    }
    story.sent(mutants);
    let mut call = story.call(bytes, first);
    call.awaits = first > 0 && mutator.random.percent(50);
    if oracle.end.is_some() && mutator.random.percent(50) {
        call.ending = Ending::Node;
    }
    (call, oracle)
}

fn check_peer(call: &Call, oracle: &PeerOracle, heard: &Heard) {
    let said = heard.frames(call, |frame| {
        if let Ok(reply) = read_peer_hello_reply(frame) {
            return match reply {
                PeerHelloReply::Refused(refusal) => Some(Reason::Peer(refusal.code)),
                PeerHelloReply::Accepted(_) => None,
            };
        }
        if let Ok((_, Reply::Error(error))) = read_reply(frame) {
            return Some(Reason::Error(frame.correlation, error.code));
        }
        assert!(oracle.welcome && read_message(frame).is_ok(), "kind {}: {call:?}", frame.kind);
        None
    });
    let reasons: Vec<&Reason> = said.iter().flatten().collect();
    match &oracle.end {
        Some(End::Refused(reason) | End::Garbage(reason)) if *reason != Reason::Silence => {
            assert_eq!(reasons, [reason], "{call:?}");
            assert!(!heard.reset, "the reason may be lost: {call:?}");
        }
        Some(_) | None => assert_eq!(reasons, [] as [&Reason; 0], "{call:?}"),
    }
    assert!(!call.awaits || !said.is_empty(), "no welcome: {call:?}");
}
