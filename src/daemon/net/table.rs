//! The connections of one shard's thread, by their place in the poll.

use crate::api::{Request, RequestKind};
use crate::daemon::net::admission::Permit;
use crate::daemon::net::asked::timed;
use crate::daemon::net::conn::Conn;
use crate::daemon::net::links::TableIndex;
use crate::limits::{CONN_MEMORY_BYTES_MAX, CONN_OUTPUT_BYTES_MAX, CONN_REQUESTS_MAX};
use crate::types::{ConnId, NodeId, Tick};
use mio::Token;
use std::collections::VecDeque;

/// Tokens below this belong to the loop itself.
const FIRST_TOKEN: usize = 16;
/// Bits of a [`ConnId`] that hold the place in the table; the rest distinguishes connections that
/// had the same place one after the other.
const INDEX_BITS: u32 = 24;

/// Requests under way for which an idle client keeps room, so that one that asks for little at a
/// time costs no allocation, and one that once asked for a lot no memory.
const ROOM_KEPT: usize = 16;

/// What a connection is for.
#[derive(Debug)]
pub enum ConnectionRole {
    /// A client that was greeted.
    Client(ClientSide),
    /// A peer that was greeted, on either side.
    Peer(NodeId),
    /// Our call to a peer, not yet connected.
    Connecting(NodeId),
    /// Our call to a peer, connected; its welcome is awaited.
    Calling(NodeId),
    /// Refused: it may still read why, what it sends is thrown away.
    Lingering,
}

/// The daemon's side of a client: what it owes and may still be sent.
#[derive(Debug, Default)]
pub struct ClientSide {
    /// Keeps the connection counted.
    pub permit: Option<Permit>,
    /// For Status, Map and Ping only.
    pub node_level: bool,
    /// Requests that the shard has not answered.
    pub waiting: usize,
    /// Requests that are answered as soon as can be: when they came in, and what they are.
    asked: VecDeque<(u64, Tick, RequestKind)>,
}

impl ClientSide {
    /// A client that came in.
    #[must_use]
    pub fn new(permit: Option<Permit>, node_level: bool) -> ClientSide {
        ClientSide { permit, node_level, ..ClientSide::default() }
    }

    /// A request goes to the shard.
    pub fn asked(&mut self, now: Tick, correlation: u64, request: &Request) {
        self.waiting += 1;
        if let Some(asked) = timed(request) {
            self.asked.push_back((correlation, now, asked));
        }
    }

    /// The shard answered: what was asked, and when, unless it waited on purpose.
    pub fn answered(&mut self, correlation: u64) -> Option<(Tick, RequestKind)> {
        self.waiting = self.waiting.saturating_sub(1);
        // The first in nearly all cases: answers come in the order of the requests.
        let at = self.asked.iter().position(|(asked, ..)| *asked == correlation)?;
        let asked = self.asked.remove(at).map(|(_, since, asked)| (since, asked));
        if self.asked.is_empty() {
            self.asked.shrink_to(ROOM_KEPT);
        }
        asked
    }

    /// No more requests are taken while this holds: too many unanswered, or too many bytes of
    /// answers queued or, as the shard knows of its reads, to be expected.
    #[must_use]
    pub fn is_full(&self, answer_bytes: usize) -> bool {
        self.waiting >= CONN_REQUESTS_MAX || answer_bytes >= CONN_OUTPUT_BYTES_MAX
    }
}

/// A connection with its role.
#[derive(Debug)]
pub struct TableEntry {
    /// Distinguishes it from those that had its place before.
    pub id: ConnId,
    /// The connection.
    pub conn: Conn,
    /// What it is for.
    pub role: ConnectionRole,
    /// It must be greeted, or have read why it is refused, by then.
    pub deadline: Option<Tick>,
    /// It stands in the list of those with output.
    pub dirty: bool,
    /// It stands in the list of those that may be read from.
    pub ready: bool,
    /// It has an entry among the deadlines.
    pub watched: bool,
    /// The shard knows that it takes no more answers to reads for now.
    pub output_full: bool,
    /// What it adds to the thread's count of bytes that arrived and are not a frame yet.
    pub counted_in: usize,
    /// What it adds to the thread's count of memory for what waits to leave for clients.
    pub counted_out: usize,
}

/// All connections of a thread.
#[derive(Debug, Default)]
pub struct ConnectionTable {
    entries: Vec<Option<TableEntry>>,
    free: Vec<TableIndex>,
    serial: u64,
    count: usize,
}

// A connection that carries nothing holds no buffer.
const _: () = assert!(size_of::<Option<TableEntry>>() <= CONN_MEMORY_BYTES_MAX);

impl ConnectionTable {
    /// Puts a connection in; its place stays the same until it is removed.
    pub fn insert(&mut self, conn: Conn, role: ConnectionRole) -> TableIndex {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        assert!(index < 1 << INDEX_BITS, "more connections than the caps allow: {index}");
        self.serial += 1;
        let id = ConnId(self.serial << INDEX_BITS | index as u64);
        let entry = TableEntry {
            id,
            conn,
            role,
            deadline: None,
            dirty: false,
            ready: false,
            watched: false,
            output_full: false,
            counted_in: 0,
            counted_out: 0,
        };
        self.entries[index] = Some(entry);
        self.count += 1;
        index
    }

    /// Takes a connection out.
    pub fn remove(&mut self, index: TableIndex) -> Option<TableEntry> {
        let entry = self.entries.get_mut(index)?.take()?;
        self.free.push(index);
        self.count -= 1;
        Some(entry)
    }

    /// The connection at a place, to look at.
    #[must_use]
    pub fn get(&self, index: TableIndex) -> Option<&TableEntry> {
        self.entries.get(index)?.as_ref()
    }

    /// The connection at a place.
    pub fn get_mut(&mut self, index: TableIndex) -> Option<&mut TableEntry> {
        self.entries.get_mut(index)?.as_mut()
    }

    /// The place of a connection, if it is still there.
    #[must_use]
    pub fn find(&self, id: ConnId) -> Option<TableIndex> {
        let index = (id.0 & ((1 << INDEX_BITS) - 1)) as TableIndex;
        let entry = self.entries.get(index)?.as_ref()?;
        (entry.id == id).then_some(index)
    }

    /// Places in use.
    pub fn indexes(&self) -> impl Iterator<Item = TableIndex> {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.is_some()).map(|(i, _)| i)
    }

    /// Bytes of memory that the table takes, beside what connections hold for what arrives and what leaves.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Option<TableEntry>>()
    }

    /// Connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// True without connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The token of a place.
#[must_use]
pub fn token(index: TableIndex) -> Token {
    Token(FIRST_TOKEN + index)
}

/// The place of a token; none for the loop's own.
#[must_use]
pub fn index(token: Token) -> Option<TableIndex> {
    token.0.checked_sub(FIRST_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Consistency, LogRef, Read};
    use crate::types::Index as EntryIndex;
    use crate::types::LogId;

    fn conn() -> Conn {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let stream = std::net::TcpStream::connect(address).expect("connect");
        Conn::new(mio::net::TcpStream::from_std(stream), address)
    }

    /// A place that is used again belongs to another connection: an old answer finds nobody.
    #[test]
    fn places_are_reused_identities_are_not() {
        let mut table = ConnectionTable::default();
        let first = table.insert(conn(), ConnectionRole::Lingering);
        let id = table.get_mut(first).expect("there").id;
        assert_eq!(table.find(id), Some(first));
        table.remove(first).expect("there");
        assert_eq!(table.find(id), None);
        let second = table.insert(conn(), ConnectionRole::Lingering);
        assert_eq!(second, first);
        assert_eq!(table.find(id), None, "the answer of a closed connection reached another one");
        assert_eq!(table.len(), 1);
        assert_eq!(index(token(second)), Some(second));
        assert_eq!(index(Token(1)), None);
    }

    fn read(max_bytes: u32, wait_ms: u32) -> Request {
        let (log, from) = (LogRef::Id(LogId(1)), EntryIndex(0));
        let consistency = Consistency::Local;
        Request::Read(Read { log, from, max_entries: 0, max_bytes, wait_ms, consistency })
    }

    /// R39: a client is paused while too many of its requests or too many bytes of answers wait.
    #[test]
    fn r39_a_client_has_a_bound() {
        let mut side = ClientSide::default();
        side.asked(Tick(7), 1, &read(0, 0));
        assert!(!side.is_full(CONN_OUTPUT_BYTES_MAX - 1) && side.is_full(CONN_OUTPUT_BYTES_MAX));
        assert_eq!(side.answered(1), Some((Tick(7), RequestKind::Read)));
        for correlation in 0..CONN_REQUESTS_MAX as u64 {
            assert!(!side.is_full(0), "there is room for {CONN_REQUESTS_MAX}");
            side.asked(Tick(0), correlation, &read(0, 1000));
        }
        assert!(side.is_full(0), "but there is a bound on how many");
        assert_eq!(side.answered(77), None, "a read that waits is not slow");
        assert!(!side.is_full(0));
    }
}
