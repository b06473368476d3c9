//! Disks made by hand, for nodes that are down.
//!
//! ```text
//! disk 1 promised 2.1                 a hard state of a formed cluster, with this promise
//! disk 1 lease 10000                  … with this longest lease granted, in milliseconds
//! disk 1 accepted 5 2.1 "x" [chosen=4]
//! disk 1 learned 5 2.1 "x"
//! disk 1 damaged 5 hi=2.1             the slot's records no longer verify, their ballot is lost
//! disk 1 suspect 5 hi=2.1             … and were never known durable
//! disk 1 value-damaged 5              … but the ballot is known
//! disk 1 lost hi=2.1 upto=9           a record of unknown slot is damaged
//! disk 1 released 5                   the values of slots up to 5 were released: a checkpoint stands for them
//! disk 1 cut [2]                      a torn tail was cut, of so many records
//! disk 1 back 3                       the last 3 records are gone: the disk is older than its node
//! disk 1 before "x"                   … and so are the record that accepted "x" and all behind it
//! disk 1 journal-before "x"           … likewise, but the file of the hard state is as it was
//! disk 1 unnoted                      … but only those that say what it saw of others
//! disk 1 unmet 3                      … and so are the record that names member 3 and all behind it
//! disk 1 wiped                        a new, empty disk of another incarnation
//! ```

use crate::cluster::Cluster;
use crate::disk::Disk;
use crate::expect::ballot;
use crate::script::{node, number, value};
use paxosd::types::{Damage, Incarnation, NodeId, Record, Slot};
use paxosd::wire::peer::Report;

fn option<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

pub fn disk(cluster: &mut Cluster, id: NodeId, text: &str) {
    assert!(cluster.replica(id).is_none(), "node {id} runs: its disk cannot be crafted");
    let words: Vec<&str> = text.split_whitespace().collect();
    let slot = || Slot(number(words[1]));
    let hi = || ballot(option(&words, "hi").expect("damage has a bound"));
    match words[0] {
        "promised" | "lease" => {
            let mut hard = cluster.node(id).disk.recover().0.hard;
            hard.formed = true;
            hard.incarnations =
                cluster.ids().iter().map(|n| (*n, cluster.node(*n).incarnation)).collect();
            if words[0] == "promised" {
                hard.promised = ballot(words[1]);
            } else {
                hard.lease_longest_us = number(words[1]) * 1000;
            }
            add(cluster, id, Record::HardState(Box::new(hard)));
        }
        "accepted" => {
            let of = ballot(words[2]);
            raise(cluster, id, of);
            let chosen_upto = Slot(option(&words, "chosen").map_or(0, number));
            let record =
                Record::Accepted { slot: slot(), ballot: of, chosen_upto, value: value(words[3]) };
            add(cluster, id, record);
        }
        "learned" => {
            let record =
                Record::Learned { slot: slot(), ballot: ballot(words[2]), value: value(words[3]) };
            add(cluster, id, record);
        }
        "damaged" => cluster.node_mut(id).disk.lose(slot(), Report::Damaged(hi())),
        "suspect" => cluster.node_mut(id).disk.lose(slot(), Report::Suspect(hi())),
        "value-damaged" => {
            let of = cluster.node(id).disk.ballot_of(slot()).expect("the slot has a record");
            cluster.node_mut(id).disk.lose(slot(), Report::ValueDamaged(of));
        }
        "lost" => {
            let upto = Slot(number(option(&words, "upto").expect("damage has an end")));
            cluster.node_mut(id).disk.damage =
                Some(Damage { ballot_max: hi(), upto, suspect: false });
        }
        "released" => cluster.node_mut(id).disk.released = slot(),
        "cut" => {
            let lost = words.get(1).map_or(1, |word| number(word));
            cluster.node_mut(id).disk.cut_tail(lost);
        }
        "back" | "before" | "journal-before" | "unnoted" | "unmet" => set_back(cluster, id, &words),
        "wiped" => {
            let node = cluster.node_mut(id);
            node.disk = Disk::default();
            node.incarnation = Incarnation(node.incarnation.0 + 100);
        }
        other => panic!("a disk has no {other:?}"),
    }
}

/// The disk lacks its last records: it is older than its node.
fn set_back(cluster: &mut Cluster, id: NodeId, words: &[&str]) {
    match words[0] {
        "back" => cluster.node_mut(id).disk.roll_back(number(words[1]) as usize),
        "before" => back_before(cluster, id, &accepts(words[1])),
        "journal-before" => {
            let node = cluster.node_mut(id);
            node.disk.hard_file = node.disk.recover().0.hard;
            back_before(cluster, id, &accepts(words[1]));
        }
        "unnoted" => {
            let disk = &mut cluster.node_mut(id).disk;
            assert!(disk.last_is_note(), "the last record says something else");
            while disk.last_is_note() {
                disk.roll_back(1);
            }
        }
        "unmet" => {
            let member = node(words[1]);
            let names = |record: &Record| match record {
                Record::HardState(hard) => hard.incarnations.contains_key(&member),
                _ => false,
            };
            back_before(cluster, id, &names);
        }
        other => panic!("a disk is not set back {other:?}"),
    }
}

/// The disk is as it was before the first such record.
fn back_before(cluster: &mut Cluster, id: NodeId, fits: &dyn Fn(&Record) -> bool) {
    let disk = &mut cluster.node_mut(id).disk;
    let last = disk.last().0 as usize;
    let at = disk.position(fits).expect("the disk has such a record");
    disk.roll_back(last - at);
}

fn accepts(text: &str) -> impl Fn(&Record) -> bool + use<> {
    let wanted = value(text);
    move |record| matches!(record, Record::Accepted { value, .. } if *value == wanted)
}

/// The promised ballot is never below an accepted one (C2).
fn raise(cluster: &mut Cluster, id: NodeId, of: paxosd::types::Ballot) {
    let hard = cluster.node(id).disk.recover().0.hard;
    if hard.promised < of {
        disk(cluster, id, &format!("promised {of}"));
    }
}

fn add(cluster: &mut Cluster, id: NodeId, record: Record) {
    let hard = matches!(&record, Record::HardState(_));
    let disk = &mut cluster.node_mut(id).disk;
    let lsn = disk.last().next();
    disk.append(lsn, record.clone());
    disk.sync(lsn);
    if !hard {
        cluster.checker.persisted(id, &record);
        cluster.checker.durable(id, &record);
    }
}
