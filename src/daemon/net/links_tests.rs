//! Calls to peers of several addresses, and to names that take long.

use crate::daemon::net::links::Links;
use crate::daemon::net::resolve::ResolvedName;
use crate::limits::RACE_STAGGER_MS;
use crate::types::{NodeId, Tick};
use std::net::SocketAddr;

fn nodes(ids: &[u16]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn found(addresses: &[&str]) -> ResolvedName {
    let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    ResolvedName { addresses, trouble: String::new() }
}

/// All attempts that are to be begun by then.
fn attempts(links: &mut Links, now: u64) -> Vec<String> {
    let next = |links: &mut Links| links.attempt(Tick(now)).map(|(_, at)| at.to_string());
    std::iter::from_fn(|| next(links)).collect()
}

/// Every address of a peer is tried before the call has failed, and the failure names them all,
/// in whatever order they failed.
#[test]
fn all_addresses_of_a_peer_are_tried() {
    let mut links = Links::new(NodeId(2), nodes(&[1, 2]), 7);
    let (first, second) = ("10.0.0.1:1", "10.0.0.2:1");
    let [one, two] = [first, second].map(|text| text.parse().expect("an address"));
    let fail = |links: &mut Links, at: SocketAddr, now| {
        links.attempt_failed(NodeId(1), at, Tick(now), &format!("{at}: no answer"))
    };
    links.due(Tick(0));
    links.call(NodeId(1), found(&[first, second]), Tick(0));
    assert_eq!(attempts(&mut links, 0), [first]);
    assert!(!fail(&mut links, one, 5), "the other may still answer");
    assert_eq!(attempts(&mut links, 5), [second], "at once");
    assert!(fail(&mut links, two, 9), "news, once all have failed");
    let trouble = links.trouble(NodeId(1));
    assert_eq!(trouble, "10.0.0.1:1: no answer; 10.0.0.2:1: no answer");

    let again = 10_000_000;
    links.due(Tick(again));
    links.call(NodeId(1), found(&[first, second]), Tick(again));
    let late = again + RACE_STAGGER_MS * 1000;
    assert_eq!(attempts(&mut links, again), [first]);
    assert_eq!(attempts(&mut links, late), [second], "beside the silent one");
    assert!(!fail(&mut links, two, late), "no news, though the order is another");
    assert!(!fail(&mut links, one, late));
}

/// A stranger at one address of a peer's name keeps nobody from the peer at another one.
#[test]
fn a_stranger_at_one_address_is_passed_by() {
    let mut links = Links::new(NodeId(2), nodes(&[1, 2]), 7);
    let [stranger, peer] = ["10.0.0.1:1", "10.0.0.2:1"].map(|text| text.parse().expect("one"));
    links.due(Tick(0));
    links.call(NodeId(1), found(&["10.0.0.1:1", "10.0.0.2:1"]), Tick(0));
    assert_eq!(attempts(&mut links, 0).len(), 1);
    assert_eq!(links.got_through(NodeId(1), stranger), []);
    assert!(links.has_more(NodeId(1)));
    assert!(links.refused(NodeId(1), Tick(3), "another cluster"));
    links.attempt_failed(NodeId(1), stranger, Tick(3), "another cluster");
    assert_eq!(attempts(&mut links, 3), ["10.0.0.2:1"]);
    assert_eq!(links.got_through(NodeId(1), peer), []);
    assert!(!links.has_more(NodeId(1)));
    links.up(NodeId(1), 4);
    assert_eq!(links.index(NodeId(1)), Some(4));
}

/// While a name is looked up for long, what it was last known to be is called; the answer that
/// comes late disturbs nothing.
#[test]
fn the_last_known_addresses_are_called_meanwhile() {
    let mut links = Links::new(NodeId(2), nodes(&[1, 2]), 7);
    links.due(Tick(0));
    assert_eq!(links.next_deadline(), None, "only the answer can help");
    links.meanwhile(NodeId(1), found(&["10.0.0.1:1"]).addresses, Tick(0));
    let at = RACE_STAGGER_MS * 1000;
    assert_eq!(links.next_deadline(), Some(Tick(at)));
    assert_eq!(attempts(&mut links, at - 1), [""; 0]);
    assert_eq!(attempts(&mut links, at), ["10.0.0.1:1"]);
    links.call(NodeId(1), found(&["10.0.0.2:1"]), Tick(at));
    assert_eq!(attempts(&mut links, 9 * at), [""; 0]);
    links.attempt_failed(NodeId(1), "10.0.0.1:1".parse().expect("one"), Tick(9 * at), "refused");
    assert!(links.trouble(NodeId(1)).contains("takes long to resolve"));
}

/// A call that waited in vain for as long as a pause is followed by the next at once: it may be
/// the one for which the network is whole again.
#[test]
fn a_call_in_vain_counts_as_a_pause() {
    let mut links = Links::new(NodeId(2), nodes(&[1, 2]), 7);
    let address: SocketAddr = "10.0.0.1:1".parse().expect("an address");
    let mut now = 0;
    for _ in 0..9 {
        assert_eq!(links.due(Tick(now)), nodes(&[1]));
        links.call(NodeId(1), found(&["10.0.0.1:1"]), Tick(now));
        assert_eq!(attempts(&mut links, now).len(), 1);
        now += 600_000;
        links.attempt_failed(NodeId(1), address, Tick(now), "no answer");
        let at = links.next_deadline().expect("another call is planned");
        assert!(at.since(Tick(now)) <= 20_000, "{at} after {now}");
        now = at.0;
    }
}
