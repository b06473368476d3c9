//! Stories of three shards: what a leader may say when it no longer knows whether it leads.

use crate::node::{append, code, create, first, read, texts};
use crate::trio_rig::Trio;
use paxosd::api::error::{ErrorCode, Outcome};
use paxosd::api::{Append, Reply, Request};
use paxosd::paxos::Timing;

/// Time in which a leader that is cut off loses its lease and still believes to lead.
const LEASE_GONE_US: u64 = 350_000;
/// Time in which it gives up, whatever it was doing.
const DEPOSED_US: u64 = 3_000_000;

fn without_leases() -> Timing {
    Timing { lease_us: 0, ..Timing::default() }
}

fn outcome(reply: Option<Reply>) -> Option<Outcome> {
    match reply {
        Some(Reply::Error(error)) => Some(error.outcome),
        Some(other) => panic!("not an error: {other:?}"),
        None => None,
    }
}

/// R02: a follower's acknowledgement leaves behind its record, and a leader alone acknowledges nothing.
#[test]
fn r02_no_vote_before_its_record() {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    trio.ask(leader, create("a"));
    for follower in (0..3).filter(|at| *at != leader) {
        trio.members[follower].hold = true;
    }
    let id = trio.send(leader, Request::Append(append("a", "x")));
    trio.pass(100_000);
    assert!(trio.take(leader, id).is_none(), "acknowledged with one durable record of three");
    trio.release((leader + 1) % 3);
    assert_eq!(first(trio.take(leader, id)), 0);
}

/// R02: nor does a leader count its own record before it is durable.
#[test]
fn r02_a_leader_counts_itself_when_it_is_durable() {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    trio.ask(leader, create("a"));
    for holds in [leader, (leader + 1) % 3] {
        trio.members[holds].hold = true;
    }
    let id = trio.send(leader, Request::Append(append("a", "x")));
    trio.pass(100_000);
    assert!(trio.take(leader, id).is_none(), "acknowledged with one durable record of three");
    trio.release(leader);
    assert_eq!(first(trio.take(leader, id)), 0);
}

/// C19: a read that waits for the disk is answered under the lease that is valid when it comes back, not
/// under the one that was valid when it arrived.
#[test]
fn c19_the_lease_is_looked_at_after_the_read() {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    trio.members[leader].shard.set_cache_bytes(0);
    trio.ask(leader, create("a"));
    trio.ask(leader, Request::Append(append("a", "x")));
    trio.pass(100_000);
    trio.members[leader].hold_reads = true;
    trio.cut_off(leader);
    let id = trio.send(leader, read("a", 0, 0));
    assert!(trio.take(leader, id).is_none(), "the entry is on disk only");
    trio.pass(LEASE_GONE_US);
    assert!(trio.members[leader].shard.replica().serving().is_some(), "it still believes to lead");
    trio.release(leader);
    assert!(trio.take(leader, id).is_none(), "answered without a lease");
    trio.pass(DEPOSED_US);
    assert_eq!(outcome(trio.take(leader, id)), Some(Outcome::NotExecuted));
}

/// C19: what two followers made durable is chosen, though the leader's own disk is behind: its entries are
/// read from memory until the journal has them, however little memory there is for such values.
#[test]
fn c19_what_is_not_durable_here_is_read_from_memory() {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    trio.members[leader].shard.set_cache_bytes(0);
    trio.ask(leader, create("a"));
    trio.members[leader].hold = true;
    let appended = trio.ask(leader, Request::Append(append("a", "x")));
    assert_eq!(first(Some(appended)), 0);
    trio.pass(10_000);
    assert_eq!(texts(Some(trio.ask(leader, read("a", 0, 0)))), ["x"]);
}

/// C19: without leases a read needs a confirmation that left after it came. A leader that is cut off was
/// confirmed a moment ago, which proves nothing.
#[test]
fn c19_an_old_confirmation_proves_nothing() {
    let mut trio = Trio::new(without_leases());
    let leader = trio.leader();
    trio.ask(leader, create("a"));
    trio.ask(leader, Request::Append(append("a", "x")));
    trio.pass(200_000);
    let proven = trio.send(leader, read("a", 0, 0));
    assert_eq!(texts(trio.take(leader, proven)), ["x"], "confirmed at once");
    trio.cut_off(leader);
    let id = trio.send(leader, read("a", 0, 0));
    trio.pass(100_000);
    assert!(trio.take(leader, id).is_none(), "answered without a confirmation");
    trio.pass(DEPOSED_US);
    assert_eq!(outcome(trio.take(leader, id)), Some(Outcome::NotExecuted));
}

/// C19: the answer of a long poll is computed when its time is over, so its proof is younger than that.
#[test]
fn c19_a_long_poll_is_proven_anew() {
    let mut trio = Trio::new(without_leases());
    let leader = trio.leader();
    trio.ask(leader, create("a"));
    let id = trio.send(leader, read("a", 0, 400));
    trio.pass(200_000); // Heartbeats were answered since it came.
    trio.cut_off(leader);
    trio.pass(300_000);
    assert!(trio.members[leader].shard.replica().serving().is_some(), "it still believes to lead");
    assert!(trio.take(leader, id).is_none(), "answered by a confirmation older than the answer");
    trio.pass(DEPOSED_US);
    assert_eq!(outcome(trio.take(leader, id)), Some(Outcome::NotExecuted));
}

/// R19: a read that waits for the disk dies with the leadership in which it arrived, though its node leads
/// again when the disk comes back.
#[test]
fn r19_a_read_dies_with_its_leadership() {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    trio.members[leader].shard.set_cache_bytes(0);
    trio.ask(leader, create("a"));
    trio.ask(leader, Request::Append(append("a", "x")));
    trio.pass(100_000);
    trio.members[leader].hold_reads = true;
    let id = trio.send(leader, read("a", 0, 0));
    trio.cut_off(leader);
    trio.pass(DEPOSED_US);
    trio.heal(leader);
    trio.pass(500_000);
    trio.lead_again(leader);
    trio.release(leader);
    assert_eq!(outcome(trio.take(leader, id)), Some(Outcome::NotExecuted));
}

/// R21: an append that was proposed when the leadership was lost may take effect or not: its client
/// learns that nobody knows, never that it did not.
#[test]
fn r21_what_was_in_flight_is_unknown() {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    trio.ask(leader, create("a"));
    trio.cut_off(leader);
    let id = trio.send(leader, Request::Append(append("a", "x")));
    trio.pass(20_000_000);
    assert_eq!(outcome(trio.take(leader, id)), Some(Outcome::Unknown));
}

/// A chain that broke with a leadership stays broken when the same node leads again: the append that was
/// sent behind a lost one does not slip through.
#[test]
fn r21_a_chain_does_not_outlive_its_leadership() {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    trio.ask(leader, create("a"));
    trio.cut_off(leader);
    let of = |text| Request::Append(Append { chain: 3, ..append("a", text) });
    let lost = trio.send(leader, of("lost"));
    trio.pass(20_000_000);
    assert_eq!(outcome(trio.take(leader, lost)), Some(Outcome::Unknown));
    trio.heal(leader);
    trio.pass(500_000);
    trio.lead_again(leader);
    let behind = trio.ask(leader, of("behind"));
    assert_eq!(code(&behind), Some(ErrorCode::PriorFailed));
}
