//! What a peer may say without harm to the shard: numbers that nobody can have counted, and requests
//! that no peer makes.

use crate::fates_rig::Trio;
use crate::node::{append, create, first};
use paxosd::api::Request;
use paxosd::shard::Input;
use paxosd::types::{NodeId, Slot};
use paxosd::wire::peer::{Learn, Message};

/// R37: a peer that asks for slot 0, which holds nothing, or for no slot at all, gets no answer and does
/// no harm: nothing is taken for lost, by whoever is asked or by those whom that one would ask.
#[test]
fn r37_a_request_for_slot_0_damages_nothing() {
    let mut trio = Trio::new();
    trio.ask(create("a"));
    for (from, upto) in [(0, 0), (0, 5), (3, 2)] {
        let learn = Learn { from: Slot(from), upto: Slot(upto) };
        for node in [1, 2] {
            trio.input(
                node,
                Input::Peer { node: NodeId(3), message: Message::Learn(learn.clone()) },
            );
            assert_eq!(trio.absent_slots(node), 0, "slots {from} to {upto}");
        }
        trio.pass(500_000);
        assert_eq!([1, 2, 3].map(|node| trio.replica(node).damaged_slots()), [0; 3]);
    }
    assert_eq!(first(Some(trio.ask(Request::Append(append("a", "x"))))), 0);
}
