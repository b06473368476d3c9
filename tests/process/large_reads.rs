//! Large reads (R39): whatever clients ask for and do not take, the leader's memory stays within
//! bounds, it goes on acknowledging appends, and it keeps its leadership.

use crate::rig::raw::{self, Raw};
use crate::rig::{Cluster, Plan, poll};
use crate::web::{get, sample};
use paxosd::api::Reply;
use paxosd::api::error::ErrorCode;
use paxosd::client::Client;
use paxosd::limits::{ENTRY_PREFIX_BYTES, READ_BYTES_MAX, SHARD_ANSWER_BYTES_MAX};
use paxosd::types::Ballot;
use std::fs;
use std::thread;

/// Entries of which four fill an answer.
const ENTRY_BYTES: usize = READ_BYTES_MAX / 4 - ENTRY_PREFIX_BYTES;
/// So many that the first ones are no longer in memory.
const ENTRIES: u64 = 48;
/// Entries of the last answer, which are.
const HOT: u64 = ENTRIES - 4;
/// What the leader's memory may grow by: what answers may take, as much again for what is being
/// copied or was given back and is not used yet, and some for all else.
const GROWTH_MAX: usize = 3 * SHARD_ANSWER_BYTES_MAX;
/// Leases of the cluster, in milliseconds.
const LEASE_MS: u64 = 2000;
/// Clients that are closed for taking nothing, before a test has seen enough.
const CLOSED: f64 = 12.0;

/// A cluster with a log of large entries, and who leads it.
struct Served {
    cluster: Cluster,
    leader: u16,
    epoch: Ballot,
    good: Client,
}

impl Served {
    fn start() -> Served {
        // The lease outlives what tests beside this one do to the machine, not a leader that makes
        // answers while it should send heartbeats.
        let cluster = Cluster::up(Plan::of(3).key("lease_ms", LEASE_MS));
        cluster.ctl(["create", "large"]).expect(0);
        cluster.ctl(["create", "small"]).expect(0);
        let leader = cluster.leader(0);
        let mut writer = Raw::open(&cluster.endpoint(leader), 0);
        for _ in 0..ENTRIES {
            writer.send(&raw::append("large", vec![7; ENTRY_BYTES])).unwrap();
            let reply = writer.answer();
            assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
        }
        Served::of(cluster)
    }

    fn of(cluster: Cluster) -> Served {
        let leader = cluster.leader(0);
        let good = cluster.client();
        let mut served = Served { cluster, leader, epoch: Ballot::ZERO, good };
        served.append();
        served.epoch = served.epoch_now();
        served
    }

    fn epoch_now(&self) -> Ballot {
        let states = self.cluster.shard_states(0);
        states.into_iter().map(|(_, state)| state.epoch).max().unwrap()
    }

    fn append(&mut self) {
        self.good.append("small", ["good"]).unwrap();
    }

    /// What the leader says of itself.
    fn sample(&self, name: &str) -> f64 {
        sample(&get(&self.cluster.admin(self.leader), "/metrics").body, name)
    }

    fn closed(&self) -> f64 {
        self.sample("paxosd_connections_refused_total{port=\"client\",reason=\"overflowed\"}")
    }

    /// Memory of the leader's process, as the system reports it.
    fn memory(&self, what: &str) -> usize {
        let status = fs::read_to_string(self.process("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    fn process(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.cluster.node(self.leader).pid())
    }

    /// Clients that ask for a whole answer so many times, and take nothing.
    fn crowd(&self, clients: usize, reads: usize, from: u64) -> Vec<Raw> {
        let endpoint = self.cluster.endpoint(self.leader);
        let ask = |_| {
            let mut client = Raw::open(&endpoint, 0);
            for _ in 0..reads {
                client.send(&raw::read("large", from, 0)).unwrap();
            }
            client
        };
        (0..clients).map(ask).collect()
    }

    /// The crowd asks, others append, until some of the crowd were closed. The leader's memory stays
    /// within its bound, and it keeps its leadership.
    #[track_caller]
    fn withstands(&mut self, clients: usize, reads: usize, from: u64) {
        fs::write(self.process("clear_refs"), "5").unwrap(); // The peak is measured anew.
        let before = self.memory("VmRSS:");
        let closed = self.closed();
        let crowd = self.crowd(clients, reads, from);
        poll::until("those who take nothing are closed", || {
            self.append();
            (self.closed() >= closed + CLOSED).then_some(())
        });
        let grown = self.memory("VmHWM:").saturating_sub(before);
        println!("{clients} clients, {reads} reads each from {from}: {} MiB more", grown >> 20);
        assert!(grown < GROWTH_MAX, "{} MiB more for answers that nobody takes", grown >> 20);
        drop(crowd);
        self.keeps_its_leadership();
    }

    #[track_caller]
    fn keeps_its_leadership(&self) {
        assert_eq!(self.epoch_now(), self.epoch, "leadership was lost");
    }
}

/// R39, R21: many clients that do not take large answers, out of memory and from disk, after a
/// start and before.
#[test]
fn r39_large_answers_that_nobody_takes() {
    let mut served = Served::start();
    served.withstands(100, 1, HOT);
    served.withstands(100, 1, 0);
    served.withstands(300, 20, HOT);
    let mut cluster = served.cluster;
    cluster.ids().for_each(|id| cluster.node_mut(id).kill());
    cluster.start_all();
    let mut served = Served::of(cluster);
    served.withstands(100, 1, 0);
    served.withstands(300, 20, 8);
}

/// R21, R39: a hundred clients that take large answers cost the leader nothing but time: each gets
/// its answer, or is asked to come again.
#[test]
fn r21_large_answers_do_not_cost_the_leadership() {
    let mut served = Served::start();
    for from in [HOT, 0] {
        // Each takes its answer from the moment on at which it asks.
        let taker = |_| {
            let mut client = served.crowd(1, 1, from).remove(0);
            thread::spawn(move || match client.receive(poll::PATIENCE) {
                Ok((_, Reply::ReadDone(done))) => usize::from(done.entries.count() == 4),
                Ok((_, Reply::Error(error))) if error.code == ErrorCode::Overloaded => 0,
                Ok((_, other)) => panic!("{other:?}"),
                // A thread that gets no processor for a second takes nothing, and may be closed.
                Err(_) => 0,
            })
        };
        let takers: Vec<_> = (0..100).map(taker).collect();
        while !takers.iter().all(thread::JoinHandle::is_finished) {
            served.append();
        }
        let taken: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        println!("{taken} of 100 clients took an answer from {from}");
        assert!(taken > 0, "nobody was answered");
        served.keeps_its_leadership();
    }
}
