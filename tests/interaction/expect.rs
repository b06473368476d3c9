//! What a scenario claims, whatever its trace looks like.
//!
//! ```text
//! expect slot 5 "x" on 1 2 3       chosen there
//! expect slot 5 unknown on 1       not known as chosen there
//! expect leader 2 | expect leader none
//! expect lease 2  | expect lease none
//! expect chosen 7 on 1 2           the watermark
//! expect promised 3.2 on 1
//! expect open 5 "x" on 1           accepted, not known chosen: as a promise would report it
//! expect read waits | expect read answered | expect read void
//! expect stopped 1 | expect runs 1
//! expect succeeded 1 | expect unsucceeded 1  what the new leader found is known to be chosen
//! expect refused 1 | expect startable 1     a node that is down, as the cluster is configured now
//! expect formed 1 2 | expect unformed 3
//! expect doubt fenced|disputed|others|none on 1
//! expect install 1 2 on 3 | expect install none on 3   whose checkpoints stand for what it lacks
//! ```

use crate::cluster::Cluster;
use crate::script::{node, number, value};
use paxosd::paxos::Role;
use paxosd::types::{Ballot, NodeId, Slot};

pub fn ballot(text: &str) -> Ballot {
    let (round, of) = text.split_once('.').unwrap_or_else(|| panic!("not a ballot: {text:?}"));
    Ballot::new(number(round), node(of))
}

pub fn check(cluster: &Cluster, text: &str) {
    let (claim, on) = text.split_once(" on ").unwrap_or((text, ""));
    let words: Vec<&str> = claim.splitn(3, ' ').collect();
    let on: Vec<NodeId> = on.split_whitespace().map(node).collect();
    match words[..] {
        ["slot", slot, what] => on.iter().for_each(|id| chosen(cluster, *id, slot, what)),
        ["chosen", upto] => on.iter().for_each(|id| {
            let known = cluster.replica(*id).expect("it runs").chosen_upto();
            assert_eq!(known, Slot(number(upto)), "expect {text}: node {id}");
        }),
        ["promised", of] => on.iter().for_each(|id| {
            let promised = cluster.replica(*id).expect("it runs").promised();
            assert_eq!(promised, ballot(of), "expect {text}: node {id}");
        }),
        ["install", ..] => on.iter().for_each(|id| install(cluster, *id, claim)),
        ["leader", who] => {
            let leads = |id: &NodeId| {
                cluster
                    .replica(*id)
                    .is_some_and(|replica| matches!(replica.role(), Role::Leader(_)))
            };
            assert_eq!(those_who(cluster, leads), who, "expect {text}");
        }
        ["lease", who] => {
            let holds = |id: &NodeId| {
                cluster.replica(*id).is_some_and(|replica| replica.lease_valid(cluster.local(*id)))
            };
            assert_eq!(those_who(cluster, holds), who, "expect {text}");
        }
        ["serving", who] => {
            let serves = |id: &NodeId| cluster.replica(*id).is_some_and(|r| r.serving().is_some());
            assert_eq!(those_who(cluster, serves), who, "expect {text}");
        }
        ["read", fate] => {
            let found = cluster.read.as_ref().expect("a read has arrived").fate(cluster);
            assert_eq!(format!("{found:?}").to_lowercase(), fate, "expect {text}");
        }
        ["stopped", who] => assert!(cluster.node(node(who)).stopped.is_some(), "expect {text}"),
        ["doubt", what] => on.iter().for_each(|id| {
            let doubt = cluster.replica(*id).expect("it runs").doubt();
            let found = doubt.map_or("none".to_string(), |doubt| format!("{doubt:?}"));
            assert_eq!(found.to_lowercase(), *what, "expect {text}");
        }),
        [what @ ("refused" | "startable"), who] => {
            assert_eq!(cluster.refuses_to_start(node(who)), what == "refused", "expect {text}");
        }
        ["damaged", who] => {
            let slots = cluster.replica(node(who)).expect("it runs").damaged_slots();
            assert!(slots > 0, "expect {text}");
        }
        [what @ ("succeeded" | "unsucceeded"), who] => {
            let succeeded = cluster.replica(node(who)).expect("it runs").is_succeeded();
            assert_eq!(succeeded, what == "succeeded", "expect {text}");
        }
        ["runs", who] => assert!(cluster.node(node(who)).stopped.is_none(), "expect {text}"),
        ["formed" | "unformed", ..] => {
            for id in claim.split_whitespace().skip(1) {
                let formed = cluster.replica(node(id)).expect("it runs").hard().formed;
                assert_eq!(formed, words[0] == "formed", "expect {text}");
            }
        }
        _ => panic!("no such claim: {text:?}"),
    }
}

/// Whose checkpoints stand for what a node lacks.
fn install(cluster: &Cluster, id: NodeId, claim: &str) {
    let offers = cluster.replica(id).expect("it runs").install_offers();
    let from: Vec<String> = offers.iter().map(|(node, _)| node.to_string()).collect();
    let found = if from.is_empty() { "none".to_string() } else { from.join(" ") };
    assert_eq!(claim, format!("install {found}"), "node {id}");
}

/// The nodes of which something holds, `none` for no node.
fn those_who(cluster: &Cluster, holds: impl Fn(&NodeId) -> bool) -> String {
    let found: Vec<String> =
        cluster.ids().into_iter().filter(holds).map(|id| id.to_string()).collect();
    if found.is_empty() { "none".to_string() } else { found.join(" ") }
}

fn chosen(cluster: &Cluster, id: NodeId, slot: &str, what: &str) {
    let found = cluster.node(id).chosen.get(&Slot(number(slot))).map(|held| held.1.clone());
    let wanted = (what != "unknown").then(|| value(what));
    assert_eq!(found, wanted, "expect slot {slot} {what} on node {id}");
}
