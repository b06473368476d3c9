//! The wall clocks of three nodes, and what a leader stamps its values with.

use crate::node::{append, create};
use crate::trio_rig::Trio;
use paxosd::api::{Reply, Request};
use paxosd::limits::CLOCK_SKEW_MS_DEFAULT;
use paxosd::paxos::Timing;

const TODAY: u64 = 1_800_000_000_000;
const YEAR: u64 = 365 * 86_400_000;
const IN_2099: u64 = 4_070_908_800_000;

/// What the clocks of the nodes show from now on; long enough for each to hear of the others.
fn set_clocks(trio: &mut Trio, clocks: [u64; 3]) {
    for (member, clock) in trio.members.iter_mut().zip(clocks) {
        member.shard.set_wall_ms(clock);
    }
    trio.pass(200_000);
}

/// The stamp of a value that is built now, on all nodes.
#[track_caller]
fn stamp(trio: &mut Trio, leader: usize) -> u64 {
    let reply = trio.ask(leader, Request::Append(append("a", "x")));
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
    trio.pass(200_000);
    let stamps: Vec<u64> = trio.members.iter().map(|m| m.shard.machine().stamp_ms()).collect();
    assert_eq!(stamps, [stamps[0]; 3], "a stamp is a fact of the sequence");
    stamps[0]
}

/// Three nodes whose clocks are right, and the one that leads.
fn three() -> (Trio, usize) {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    set_clocks(&mut trio, [TODAY; 3]);
    trio.ask(leader, create("a"));
    assert_eq!(stamp(&mut trio, leader), TODAY);
    (trio, leader)
}

/// C28, one second in 2099: a leader's clock is wrong for a moment. Its values are stamped by the clocks of
/// its peers, and once it is right again nothing is left of it.
#[test]
fn c28_one_second_in_2099_stamps_no_value_there() {
    let (mut trio, leader) = three();
    let mut clocks = [TODAY; 3];
    clocks[leader] = IN_2099;
    set_clocks(&mut trio, clocks);
    let wrong = stamp(&mut trio, leader);
    assert!((TODAY..TODAY + CLOCK_SKEW_MS_DEFAULT + 1_000).contains(&wrong), "{wrong}");
    assert!(trio.members[leader].shard.clock_is_held_back());
    set_clocks(&mut trio, [TODAY + 60_000; 3]);
    assert_eq!(stamp(&mut trio, leader), TODAY + 60_000);
    assert!(!trio.members[leader].shard.clock_is_held_back());
}

/// C28: a leader's clock is a year behind. Its values are stamped by the clocks of its peers, so that what
/// is to go by its age goes.
#[test]
fn c28_a_leader_that_is_a_year_behind_stamps_by_its_peers() {
    let (mut trio, leader) = three();
    let mut clocks = [TODAY + 60_000; 3];
    clocks[leader] = TODAY - YEAR;
    set_clocks(&mut trio, clocks);
    let behind = stamp(&mut trio, leader);
    assert!(behind >= TODAY + 60_000 - CLOCK_SKEW_MS_DEFAULT, "{behind}");
}

/// C28: a peer's clock is wrong, to whichever side: the leader stamps by its own.
#[test]
fn c28_a_wrong_peer_moves_no_stamp() {
    for wrong in [1, TODAY - YEAR, IN_2099, u64::MAX] {
        let (mut trio, leader) = three();
        let mut clocks = [TODAY + 1_000; 3];
        clocks[(leader + 1) % 3] = wrong;
        set_clocks(&mut trio, clocks);
        assert_eq!(stamp(&mut trio, leader), TODAY + 1_000, "beside {wrong}");
        assert!(!trio.members[leader].shard.clock_is_held_back());
    }
}
