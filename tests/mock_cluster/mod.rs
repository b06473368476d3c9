//! A scripted cluster that speaks the client protocol over real sockets and keeps its logs in
//! memory. It does as nodes do unless a script says otherwise, and remembers all it was asked.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests, each of which uses a part")]

use paxosd::api::entries::{Entries, EntriesLimit};
use paxosd::api::error::{ErrorCode, Leader, RequestError};
use paxosd::api::*;
use paxosd::limits;
use paxosd::types::{Ballot, ClusterId, FormatLevel, Index, LogId, NodeId, ShardId, Slot};
use paxosd::wire::client::hello::{Hello, HelloReply, Limits, read_hello, write_hello_reply};
use paxosd::wire::client::{read_request, write_reply};
use paxosd::wire::frame::FrameBuffer;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

pub const CLUSTER: ClusterId = ClusterId(0xC0FFEE);

/// A request as a node saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The node, from 1.
    pub node: u16,
    /// The connection, from 1, over all nodes.
    pub conn: u64,
    /// The shard of its Hello.
    pub shard: ShardId,
    pub request: Request,
    /// How many requests of this kind were seen before, over all nodes.
    pub nth: usize,
}

/// What a node does with a request.
#[derive(Debug)]
pub enum Act {
    /// What nodes do.
    Usual,
    /// What nodes do, but the answer is lost with the connection.
    UsualThenClose,
    /// Answers with this error.
    Refuse(RequestError),
    /// Closes the connection.
    Close,
    /// Never answers.
    Silence,
    /// What nodes do, but the answer leaves only in front of the connection's next one.
    UsualLate,
    /// Answers garbage.
    Garbage,
}

type Script = Box<dyn FnMut(&Seen, &mut State) -> Act + Send>;

/// What all nodes share.
pub struct State {
    pub shards: u16,
    pub addresses: Vec<String>,
    pub epoch: u64,
    /// The leader of every shard, from 1; 0 for none.
    pub leader: u16,
    /// What followers say of the leader, when it is not the truth.
    pub hint: Option<u16>,
    pub logs: BTreeMap<String, (LogId, Vec<Vec<u8>>)>,
    /// The first index of each log that was trimmed.
    pub firsts: BTreeMap<LogId, u64>,
    /// Logs that were ever created: an id is never used again.
    created: u64,
    pub seen: Vec<Seen>,
    pub hellos: Vec<(u16, Hello)>,
    pub refuse_hello: Option<RequestError>,
    pub damaged_slots: u64,
    pub lag: u64,
    /// The cluster that the nodes are of; they refuse those who ask for another one.
    pub cluster: ClusterId,
    /// The most connections that stood at once.
    pub most_open: usize,
    sockets: Vec<(u16, TcpStream)>,
    down: BTreeSet<u16>,
}

impl State {
    /// Connections that stand now. The system is asked: it knows of an end before a thread has read it.
    pub fn open(&self) -> usize {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let stands = |socket: &TcpStream| match recv(socket, &mut [0; 1], flags) {
            Ok((_, received)) => received > 0,
            Err(error) => error == Errno::WOULDBLOCK,
        };
        self.sockets.iter().filter(|(_, socket)| stands(socket)).count()
    }
}

pub struct MockCluster {
    state: Arc<Mutex<State>>,
    script: Arc<Mutex<Script>>,
    threads: Vec<JoinHandle<()>>,
}

impl MockCluster {
    /// `nodes` nodes on 127.0.0.1, node 1 leads.
    pub fn start(nodes: u16, shards: u16) -> MockCluster {
        let bind = |_| TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners: Vec<TcpListener> = (0..nodes).map(bind).collect();
        let addresses = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
        let state = Arc::new(Mutex::new(State {
            shards,
            addresses,
            epoch: 1,
            leader: 1,
            hint: None,
            logs: BTreeMap::new(),
            firsts: BTreeMap::new(),
            created: 0,
            seen: Vec::new(),
            hellos: Vec::new(),
            refuse_hello: None,
            damaged_slots: 0,
            lag: 0,
            cluster: CLUSTER,
            most_open: 0,
            sockets: Vec::new(),
            down: BTreeSet::new(),
        }));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(|_, _| Act::Usual)));
        let threads = (1..).zip(listeners).map(|(node, listener)| {
            let (state, script) = (Arc::clone(&state), Arc::clone(&script));
            std::thread::spawn(move || accept(node, &listener, &state, &script))
        });
        let threads = threads.collect();
        MockCluster { state, script, threads }
    }

    /// From now on the script decides.
    pub fn script(&self, script: impl FnMut(&Seen, &mut State) -> Act + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.state().addresses.clone()
    }

    /// Node `node` leads from now on, in a new epoch.
    pub fn lead(&self, node: u16) {
        let mut state = self.state();
        state.leader = node;
        state.epoch += 1;
    }

    /// The node's connections end, and new ones too, as soon as they are there.
    pub fn kill(&self, node: u16) {
        let mut state = self.state();
        state.down.insert(node);
        state.sockets.retain(|(of, socket)| {
            let mine = *of == node;
            if mine {
                let _already_closed = socket.shutdown(Shutdown::Both);
            }
            !mine
        });
    }

    /// Appends that nodes saw, as their first entries.
    pub fn appends_seen(&self) -> Vec<String> {
        let seen = self.state().seen.clone();
        let text = |append: &Append| {
            String::from_utf8_lossy(append.entries.iter().next().unwrap().data).into_owned()
        };
        seen.iter()
            .filter_map(|seen| match &seen.request {
                Request::Append(append) => Some(text(append)),
                _ => None,
            })
            .collect()
    }

    /// The entries of a log, as text.
    pub fn log(&self, name: &str) -> Vec<String> {
        let state = self.state();
        let entries = state.logs.get(name).map(|(_, entries)| entries.clone()).unwrap_or_default();
        entries.iter().map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
    }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        let addresses = self.endpoints();
        for node in 1..=addresses.len() as u16 {
            self.kill(node);
        }
        self.state().shards = 0; // Ends the accepting threads at their next connection.
        for (address, thread) in addresses.iter().zip(self.threads.drain(..)) {
            let _wakes_it = TcpStream::connect(address);
            thread.join().unwrap();
        }
    }
}

fn accept(
    node: u16,
    listener: &TcpListener,
    state: &Arc<Mutex<State>>,
    script: &Arc<Mutex<Script>>,
) {
    for socket in listener.incoming() {
        let socket = socket.unwrap();
        let mut shared = state.lock().unwrap();
        if shared.shards == 0 {
            return;
        }
        if shared.down.contains(&node) {
            continue;
        }
        shared.sockets.push((node, socket.try_clone().unwrap()));
        let conn = shared.sockets.len() as u64 + shared.seen.len() as u64 * 1000;
        shared.most_open = shared.most_open.max(shared.open());
        drop(shared);
        let (state, script) = (Arc::clone(state), Arc::clone(script));
        std::thread::spawn(move || {
            let mut shutdown = socket.try_clone().unwrap();
            let _ended = Conn {
                node,
                conn,
                socket,
                state,
                script,
                broken: BTreeSet::new(),
                late: Vec::new(),
            }
            .serve();
            let _flushed = shutdown.flush();
            let _closed = shutdown.shutdown(Shutdown::Both);
        });
    }
}

struct Conn {
    node: u16,
    conn: u64,
    socket: TcpStream,
    state: Arc<Mutex<State>>,
    script: Arc<Mutex<Script>>,
    /// Chains of this connection in which an append failed.
    broken: BTreeSet<u32>,
    /// Answers that leave in front of the next one.
    late: Vec<u8>,
}

impl Conn {
    /// Serves until the connection ends, from whichever side.
    fn serve(mut self) -> Option<()> {
        let mut frames = FrameBuffer::new();
        let mut bytes = vec![0; 1 << 16];
        let mut shard = None;
        loop {
            let read = self.socket.read(&mut bytes).ok().filter(|read| *read > 0)?;
            let mut taken = 0;
            loop {
                let mut rest = &bytes[taken..read];
                let Some(frame) = frames.next(&mut rest).ok()? else { break };
                taken = read - rest.len();
                let correlation = frame.correlation;
                let Some(shard) = shard else {
                    let hello = read_hello(&frame).ok()?;
                    shard = Some(hello.shard);
                    self.welcome(correlation, hello)?;
                    frames.set_limit(limits::FRAME_BYTES_MAX);
                    continue;
                };
                let limit = EntriesLimit {
                    entries_max: 1000,
                    entry_bytes_max: 1 << 20,
                    bytes_max: 2 << 20,
                };
                let request = read_request(&frame, &limit).ok()?;
                self.request(shard, correlation, request)?;
            }
        }
    }

    fn welcome(&mut self, correlation: u64, hello: Hello) -> Option<()> {
        let mut state = self.state.lock().unwrap();
        state.hellos.push((self.node, hello.clone()));
        let mut out = Vec::new();
        let other = hello.cluster != ClusterId(0) && hello.cluster != state.cluster;
        let wrong = other.then(|| RequestError::new(ErrorCode::WrongCluster, "of another cluster"));
        if let Some(error) = state.refuse_hello.clone().or(wrong) {
            write_reply(&mut out, correlation, &ReplyHeader::NOBODY, &Reply::Error(error));
            drop(state);
            self.socket.write_all(&out).ok()?;
            return None;
        }
        let reply = HelloReply {
            version: 1,
            cluster: state.cluster,
            node: NodeId(self.node),
            shards: state.shards,
            features: 0,
            limits: Limits {
                frame_bytes_max: limits::FRAME_BYTES_MAX as u32,
                entry_bytes_max: 1 << 20,
                append_bytes_max: 2 << 20,
                append_entries_max: 1000,
                read_bytes_max: 1 << 20,
                read_entries_max: 3,
                requests_max: 64,
                read_wait_ms_max: 60_000,
            },
            server: "mock".to_string(),
        };
        write_hello_reply(&mut out, correlation, &ReplyHeader::NOBODY, &reply);
        drop(state);
        self.socket.write_all(&out).ok()
    }

    fn request(&mut self, shard: ShardId, correlation: u64, request: Request) -> Option<()> {
        let state = Arc::clone(&self.state);
        let mut state = state.lock().unwrap();
        let kind = request.kind();
        let nth = state.seen.iter().filter(|seen| seen.request.kind() == kind).count();
        let seen = Seen { node: self.node, conn: self.conn, shard, request, nth };
        state.seen.push(seen.clone());
        let act = (self.script.lock().unwrap())(&seen, &mut state);
        let is_late = matches!(act, Act::UsualLate);
        let reply = match act {
            Act::Usual | Act::UsualLate => self.usual(&seen, &mut state),
            Act::UsualThenClose => {
                self.usual(&seen, &mut state);
                return None;
            }
            Act::Refuse(error) => Reply::Error(error),
            Act::Close => return None,
            Act::Silence => return Some(()),
            Act::Garbage => {
                drop(state);
                return self.socket.write_all(&[0xAB; 64]).ok();
            }
        };
        if let (Reply::Error(_), Request::Append(append)) = (&reply, &seen.request) {
            self.broken.insert(append.chain);
        }
        let header = ReplyHeader {
            shard,
            epoch: Ballot::new(state.epoch, NodeId(state.leader)),
            applied_upto: Slot(1),
        };
        drop(state);
        let mut out = std::mem::take(&mut self.late);
        write_reply(&mut out, correlation, &header, &reply);
        if is_late {
            self.late = out;
            return Some(());
        }
        self.socket.write_all(&out).ok()
    }

    /// What a node does.
    fn usual(&mut self, seen: &Seen, state: &mut State) -> Reply {
        match &seen.request {
            Request::Ping => return Reply::Pong,
            Request::Map => return Reply::Map(state.map()),
            Request::Status => return Reply::Status(Box::new(state.status(seen))),
            _ => {}
        }
        if let Request::Append(append) = &seen.request
            && append.chain != 0
            && self.broken.contains(&append.chain)
        {
            return Reply::Error(RequestError::new(
                ErrorCode::PriorFailed,
                "an earlier one failed",
            ));
        }
        let local = matches!(&seen.request,
            Request::Read(read) if read.consistency == Consistency::Local);
        if state.leader != self.node && !local {
            let leader = match state.hint.unwrap_or(state.leader) {
                0 => None,
                node => Some(Leader {
                    node: NodeId(node),
                    address: state.addresses[usize::from(node) - 1].clone(),
                }),
            };
            return Reply::Error(RequestError::not_leader(leader));
        }
        state.execute(seen)
    }
}

impl State {
    fn map(&self) -> ClusterMap {
        let members = (1..)
            .zip(&self.addresses)
            .map(|(node, address)| Member { node: NodeId(node), address: address.clone() });
        let named = self.hint.unwrap_or(self.leader);
        let leaders = (0..self.shards).map(|shard| ShardLeader {
            shard: ShardId(shard),
            epoch: Ballot::new(self.epoch, NodeId(self.leader)),
            node: (named != 0).then_some(NodeId(named)),
        });
        ClusterMap {
            cluster: self.cluster,
            shards: self.shards,
            members: members.collect(),
            leaders: leaders.collect(),
        }
    }

    fn status(&self, seen: &Seen) -> StatusReply {
        let follows = seen.node != self.leader;
        StatusReply {
            node: NodeId(seen.node),
            cluster: self.cluster,
            version: "0.0.0-mock".to_string(),
            uptime_ms: 1234,
            disk: DiskSpace::default(),
            shard: ShardStatus {
                shard: seen.shard,
                role: if follows { Role::Follower } else { Role::Leader },
                leader: (self.leader != 0).then_some(NodeId(self.leader)),
                epoch: Ballot::new(self.epoch, NodeId(self.leader)),
                promised: Ballot::new(self.epoch, NodeId(self.leader)),
                durable_upto: 20,
                chosen_upto: Slot(10),
                applied_upto: Slot(if follows { 10 - self.lag } else { 10 }),
                trimmed_upto: Slot(0),
                digest: 7,
                level: FormatLevel::FIRST,
                known_level: FormatLevel::FIRST,
                logs: self.logs.len() as u64,
                damaged_slots: self.damaged_slots,
                segments: 1,
                disk_bytes: 64 << 20,
                dead_bytes: 0,
                reserve_bytes: 0,
                installing: None,
                absent_slots: 0,
                fetched_values: 0,
                kept_for: "it has live entries".to_string(),
                has_room: true,
                caught_up: true,
                syncs: self.seen.len() as u64,
                sync_us: self.seen.len() as u64 * 2_500,
                formed: true,
                unmet: Vec::new(),
                peers: Vec::new(),
            },
        }
    }

    fn name(&self, log: &LogRef) -> Option<String> {
        match log {
            LogRef::Name(name) => self.logs.contains_key(name.as_str()).then(|| name.to_string()),
            LogRef::Id(id) => {
                self.logs.iter().find(|(_, (of, _))| of == id).map(|(name, _)| name.clone())
            }
        }
    }

    fn create(&mut self, name: &str) -> LogId {
        let shard = ShardId::of_name(name, self.shards);
        self.created += 1;
        let id = LogId::new(shard, self.created);
        self.logs.insert(name.to_string(), (id, Vec::new()));
        id
    }

    fn stat(&self, name: &str) -> LogStat {
        let (id, entries) = &self.logs[name];
        LogStat {
            name: name.parse().unwrap(),
            id: *id,
            first_index: self.first(*id),
            next_index: Index(entries.len() as u64),
            bytes: entries.iter().map(Vec::len).sum::<usize>() as u64,
            created_ms: 1_700_000_000_000,
            attributes: LogAttributes::default(),
        }
    }

    fn execute(&mut self, seen: &Seen) -> Reply {
        let unknown = || Reply::Error(RequestError::new(ErrorCode::UnknownLog, "no such log"));
        match &seen.request {
            Request::Create(create) => match self.logs.get(create.name.as_str()) {
                Some((id, _)) => Reply::Error(RequestError::log_exists(*id)),
                None => Reply::Created(Created { id: self.create(&create.name) }),
            },
            Request::Delete(delete) => match self.name(&delete.log) {
                Some(name) => {
                    self.logs.remove(&name);
                    Reply::Deleted
                }
                None => unknown(),
            },
            Request::List(list) => self.list(seen.shard, list),
            Request::Stat(stat) => match self.name(&stat.log) {
                Some(name) => Reply::Stated(self.stat(&name)),
                None => unknown(),
            },
            Request::Append(append) => self.append(append),
            Request::Read(read) => match self.name(&read.log) {
                Some(name) => self.read(&name, read),
                None => unknown(),
            },
            Request::Trim(trim) => match self.name(&trim.log) {
                Some(name) => self.trim(&name, trim.before),
                None => unknown(),
            },
            // It is of the version before there were lost entries.
            Request::ListLost(_) => Reply::Error(RequestError::new(
                ErrorCode::Unsupported,
                "it knows of no such request",
            )),
            other => unreachable!("nobody asks this cluster for {other:?} here"),
        }
    }

    fn append(&mut self, append: &Append) -> Reply {
        let name = match (self.name(&append.log), &append.log) {
            (Some(name), _) => name,
            (None, LogRef::Name(name)) if append.create => {
                self.create(name);
                name.to_string()
            }
            _ => return Reply::Error(RequestError::new(ErrorCode::UnknownLog, "no such log")),
        };
        let (id, entries) = self.logs.get_mut(&name).unwrap();
        let next = Index(entries.len() as u64);
        if let Some(expect) = append.expect.filter(|expect| *expect != next) {
            return Reply::Error(RequestError::expect_mismatch(*id, expect, next));
        }
        entries.extend(append.entries.iter().map(|entry| entry.data.to_vec()));
        Reply::Appended(Appended { id: *id, first: next, count: append.entries.count() })
    }

    fn first(&self, id: LogId) -> Index {
        Index(self.firsts.get(&id).copied().unwrap_or(0))
    }

    fn trim(&mut self, name: &str, before: Index) -> Reply {
        let (id, entries) = &self.logs[name];
        let (id, next) = (*id, Index(entries.len() as u64));
        if before > next {
            return Reply::Error(RequestError::past_end(id, next));
        }
        let first = self.first(id).max(before);
        self.firsts.insert(id, first.0);
        Reply::Trimmed(Trimmed { id, first, next })
    }

    /// At most three entries an answer, so that reading takes several.
    fn read(&self, name: &str, read: &Read) -> Reply {
        let (id, entries) = &self.logs[name];
        let most = if read.max_entries == 0 { 3 } else { read.max_entries.min(3) as usize };
        let first = self.first(*id);
        if read.from < first {
            return Reply::Error(RequestError::trimmed(*id, read.from, first));
        }
        let from = usize::try_from(read.from.0).unwrap().min(entries.len());
        let some = entries[from..].iter().take(most);
        Reply::ReadDone(ReadDone {
            id: *id,
            from: read.from,
            first,
            next: Index(entries.len() as u64),
            entries: Entries::from_slices(some).unwrap(),
        })
    }

    /// Two names a page, so that listing takes several.
    fn list(&self, shard: ShardId, list: &List) -> Reply {
        let here = |name: &&String| {
            ShardId::of_name(name, self.shards) == shard
                && name.starts_with(&list.prefix)
                && (list.after.is_empty() || **name > list.after)
        };
        let names: Vec<&String> = self.logs.keys().filter(here).collect();
        let logs = names.iter().take(2).map(|name| self.stat(name)).collect();
        Reply::Listed(Listed { logs, more: names.len() > 2 })
    }
}
