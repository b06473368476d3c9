//! What will happen when: the order of events is total, so that a seed has one history.

use crate::api::{Reply, ReplyHeader, Request};
use crate::types::ConnId;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that happens in a simulated world. Nodes and clients are counted from 0.
#[derive(Debug)]
pub(super) enum SimEvent {
    /// A node's event loop turns.
    Turn { node: usize, life: u64 },
    /// A node's deadline.
    Wake { node: usize, life: u64 },
    /// A node's disk finishes the job it works on.
    Disk { node: usize, life: u64, lane: usize, number: u64 },
    /// The oldest message of one direction of a connection arrives.
    Deliver { from: usize, to: usize, generation: u64 },
    /// Two nodes try to connect.
    Connect { a: usize, b: usize },
    /// One end sees the connection open.
    EndUp { node: usize, peer: usize, generation: u64 },
    /// One end notices that the connection is gone.
    EndDown { node: usize, peer: usize, generation: u64 },
    /// A connection that carried nothing for too long is given up.
    Break { a: usize, b: usize, generation: u64 },
    /// A request arrives at a node.
    Request { node: usize, life: u64, conn: ConnId, correlation: u64, request: Box<Request> },
    /// A node notices that a client is gone.
    Hangup { node: usize, life: u64, conn: ConnId },
    /// An answer arrives at a client.
    Answer { client: usize, conn: ConnId, correlation: u64, answer: Box<(ReplyHeader, Reply)> },
    /// A client notices that its connection is gone.
    Lost { client: usize, conn: ConnId },
    /// A client looks around.
    Client { client: usize },
    /// A node's process starts.
    Start { node: usize, life: u64 },
    /// A node's process, which has stopped in order, ends.
    End { node: usize, life: u64 },
    /// A paused node goes on.
    Resume { node: usize, life: u64 },
    /// A node's process is killed, or its machine loses power, while a job is under way.
    Crash { node: usize, life: u64, power: bool },
    /// Something goes wrong.
    Fault,
    /// Something that went wrong is over.
    Over(FaultEnd),
    /// The world looks whether the time has come for the next part of the run.
    Phase,
}

/// What ends by itself after a while.
#[derive(Clone, Debug)]
pub(super) enum FaultEnd {
    /// Cuts of directed links.
    Cuts(Vec<(usize, usize)>),
    /// Lateness of directed links.
    Lag(Vec<(usize, usize)>),
    /// The first part of a scene: what comes then is in `scenes`.
    Bystanders { leader: usize, cuts: Vec<(usize, usize)> },
    /// A slow disk.
    Slow { node: usize },
    /// A full disk.
    Full { node: usize },
    /// A node that is away.
    Away { node: usize },
}

#[derive(Debug)]
struct Due {
    at: u64,
    number: u64,
    event: SimEvent,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest, because the heap gives out the greatest.
    fn cmp(&self, other: &Due) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// Events by time; those of one time in the order in which they were put in.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Due>,
    number: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: u64, event: SimEvent) {
        self.number += 1;
        self.heap.push(Due { at, number: self.number, event });
    }

    pub(super) fn pop(&mut self) -> Option<(u64, SimEvent)> {
        self.heap.pop().map(|due| (due.at, due.event))
    }
}
