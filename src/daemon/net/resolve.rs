//! Names become addresses away from the loops. Each name has a thread of its own, because a lookup
//! may take half a minute and must hold up no other; and each lookup serves all shards. What a name
//! was last known to be is kept for when a lookup takes long or fails: the resolver is often as cut
//! off as the peers are.

use crate::config::Address;
use crate::daemon::clock;
use crate::limits::RACE_STAGGER_MS;
use crate::types::{NodeId, Tick};
use crossbeam::channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

/// What a lookup gave serves for this long, in microseconds, whether it found something or not: a
/// node that is down is dialled by every shard, twice a second.
const FRESH_US: u64 = 1_000_000;
/// A lookup that goes on for this long is not waited for where an earlier one gave something.
const OVERDUE_US: u64 = RACE_STAGGER_MS * 1000;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedName {
    /// Its addresses, at least one, the best first.
    pub addresses: Vec<SocketAddr>,
    /// Why they are only the last known ones; empty where they are not.
    pub trouble: String,
}

/// What a resolver answers: where a name leads, or why that is not known.
pub type Lookup = Result<ResolvedName, String>;

/// What a question to the resolver brings at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupStart {
    /// The answer is known already: an address needs no lookup, and a name may be known.
    Now(Lookup),
    /// Only what the name was last known to be, if anything; the answer follows.
    Later(Vec<SocketAddr>),
}

/// Asks the system, or a test in its place. Blocks.
pub type LookupFn = dyn Fn(&str) -> Result<Vec<IpAddr>, String> + Send + Sync;

type Reply = Box<dyn FnOnce(Lookup) + Send>;

/// One name, and what is known of it.
struct Name {
    known: Mutex<Known>,
    /// Wakes its thread.
    wake: Sender<()>,
}

#[derive(Default)]
struct Known {
    addresses: Vec<IpAddr>,
    /// How the last lookup ended, and when; the reason is empty where it found something.
    last: Option<(Tick, String)>,
    /// Since when a lookup is under way.
    since: Option<Tick>,
    /// Who waits for it, and with which port: at most one question of each shard and peer.
    waiting: Vec<(u16, Reply)>,
}

/// The way to the threads that look names up.
#[derive(Clone)]
pub struct Resolver(Arc<BTreeMap<String, Arc<Name>>>);

impl Resolver {
    /// Starts a thread for each name among the addresses.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start<'a>(
        addresses: impl IntoIterator<Item = &'a Address>,
        lookup: Arc<LookupFn>,
    ) -> io::Result<Resolver> {
        let mut names: BTreeMap<String, Arc<Name>> = BTreeMap::new();
        for address in addresses {
            if address.ip().is_some() || names.contains_key(&address.host) {
                continue;
            }
            let (wake, woken) = bounded(1);
            let name = Arc::new(Name { known: Mutex::default(), wake });
            names.insert(address.host.clone(), Arc::clone(&name));
            let (host, lookup) = (address.host.clone(), Arc::clone(&lookup));
            // Weak, so that the thread ends when the last way to it is gone.
            let name = Arc::downgrade(&name);
            std::thread::Builder::new()
                .name("resolver".to_string())
                .spawn(move || look_up(&host, &*lookup, &woken, &|| name.upgrade()))?;
        }
        Ok(Resolver(Arc::new(names)))
    }

    /// Where a peer is. An IP address, and what was looked up a moment ago, is answered at once;
    /// otherwise `reply` is called when the lookup ends. A lookup that takes long is answered by
    /// what was known before.
    ///
    /// # Panics
    /// When the name was not among those that the resolver was started for.
    pub fn ask(
        &self,
        node: NodeId,
        address: &Address,
        now: Tick,
        reply: impl FnOnce(Lookup) + Send + 'static,
    ) -> LookupStart {
        if let Some(ip) = address.ip() {
            let addresses = vec![SocketAddr::new(ip, address.port)];
            return LookupStart::Now(Ok(ResolvedName { addresses, trouble: String::new() }));
        }
        let name = self.0.get(&address.host);
        let name = name.unwrap_or_else(|| panic!("the name of node {node} has no thread"));
        let mut known = name.known.lock();
        if known.last.as_ref().is_some_and(|(at, _)| now.since(*at) < FRESH_US) {
            return LookupStart::Now(known.answer(address.port));
        }
        let since = *known.since.get_or_insert_with(|| {
            // One that is full has been woken already.
            let _ = name.wake.try_send(());
            now
        });
        if !known.addresses.is_empty() && now.since(since) >= OVERDUE_US {
            let trouble = format!("{} takes long to resolve", address.host);
            let addresses = known.sockets(address.port);
            return LookupStart::Now(Ok(ResolvedName { addresses, trouble }));
        }
        known.waiting.push((address.port, Box::new(reply)));
        LookupStart::Later(known.sockets(address.port))
    }
}

impl Known {
    fn sockets(&self, port: u16) -> Vec<SocketAddr> {
        self.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
    }

    /// What the last lookup says, and those before it where it says nothing.
    fn answer(&self, port: u16) -> Lookup {
        let trouble = self.last.as_ref().map(|(_, trouble)| trouble.clone()).unwrap_or_default();
        match self.addresses.is_empty() {
            true => Err(trouble),
            false => Ok(ResolvedName { addresses: self.sockets(port), trouble }),
        }
    }
}

/// The thread of one name.
fn look_up(
    host: &str,
    lookup: &LookupFn,
    woken: &Receiver<()>,
    name: &dyn Fn() -> Option<Arc<Name>>,
) {
    for () in woken {
        let found = lookup(host);
        let Some(name) = name() else { return };
        let mut known = name.known.lock();
        let trouble = match found {
            Ok(addresses) => {
                known.addresses = addresses;
                String::new()
            }
            Err(trouble) => trouble,
        };
        known.last = Some((clock::now(), trouble));
        known.since = None;
        let waiting = std::mem::take(&mut known.waiting);
        let answers: Vec<(Lookup, Reply)> =
            waiting.into_iter().map(|(port, reply)| (known.answer(port), reply)).collect();
        drop(known);
        for (answer, reply) in answers {
            reply(answer);
        }
    }
}

/// Looks a host's name up as the system is configured. Blocks.
///
/// # Errors
/// What the system's resolver says, or that the name has no address.
pub fn system_lookup(host: &str) -> Result<Vec<IpAddr>, String> {
    match (host, 0).to_socket_addrs() {
        Ok(found) => {
            let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            match found.is_empty() {
                true => Err(format!("{host} has no address")),
                false => Ok(found),
            }
        }
        Err(error) => Err(format!("{host} cannot be resolved: {error}")),
    }
}

/// Every address of each of these, at least one, all names at once and each once. Blocks.
pub fn resolve_all(
    addresses: &[&Address],
    lookup: &LookupFn,
) -> Vec<Result<Vec<SocketAddr>, String>> {
    let mut names: Vec<&str> = addresses
        .iter()
        .filter(|address| address.ip().is_none())
        .map(|address| address.host.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let found: BTreeMap<&str, Result<Vec<IpAddr>, String>> = std::thread::scope(|scope| {
        let ask = |name| {
            let thread = std::thread::Builder::new().name("resolver".to_string());
            (name, thread.spawn_scoped(scope, move || lookup(name)))
        };
        let asked: Vec<_> = names.into_iter().map(ask).collect();
        let answer = |(name, thread): (_, io::Result<ScopedJoinHandle<'_, _>>)| {
            let answer = match thread.map(ScopedJoinHandle::join) {
                Ok(Ok(answer)) => answer,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(error) => Err(format!("{name} cannot be resolved: no thread: {error}")),
            };
            (name, answer)
        };
        asked.into_iter().map(answer).collect()
    });
    let of = |address: &&Address| {
        let ips = match address.ip() {
            Some(ip) => vec![ip],
            None => found[address.host.as_str()].clone()?,
        };
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, address.port)).collect())
    };
    addresses.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(30);
    const NODE: NodeId = NodeId(1);

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_string(), port }
    }

    fn found(addresses: &[&str]) -> ResolvedName {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        ResolvedName { addresses, trouble: String::new() }
    }

    /// A question whose answer arrives at the receiver.
    fn ask(resolver: &Resolver, address: &Address, now: u64) -> (LookupStart, Receiver<Lookup>) {
        let (send, answers) = bounded(1);
        let reply = move |answer| send.send(answer).expect("the test waits");
        (resolver.ask(NODE, address, Tick(now), reply), answers)
    }

    /// An IP address needs no thread; a name is answered by the system, one way or the other.
    #[test]
    fn names_are_resolved_by_the_system() {
        let (here, nowhere) = (address("localhost", 9), address("no-such-host.invalid", 9));
        let ip = address("127.0.0.1", 9);
        let resolver = Resolver::start([&here, &nowhere], Arc::new(system_lookup)).expect("starts");
        assert_eq!(ask(&resolver, &ip, 0).0, LookupStart::Now(Ok(found(&["127.0.0.1:9"]))));
        let (asked, answers) = ask(&resolver, &here, 0);
        assert_eq!(asked, LookupStart::Later(vec![]));
        let answer = answers.recv_timeout(PATIENCE).expect("answered").expect("has an address");
        assert!(answer.addresses[0].ip().is_loopback());
        let answer = ask(&resolver, &nowhere, 0).1.recv_timeout(PATIENCE).expect("answered");
        assert!(answer.expect_err("a reserved name").contains("no-such-host.invalid"));
    }

    /// A name that hangs holds up no other, and is looked up once for all who ask.
    #[test]
    fn a_name_that_hangs_holds_up_no_other() {
        let (hangs, works) = (address("hangs", 1), address("works", 2));
        let (release, held) = bounded::<()>(0);
        let lookups = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lookups);
        let lookup = move |host: &str| {
            if host == "hangs" {
                counted.fetch_add(1, Ordering::SeqCst);
                held.recv().expect("released in the end");
            }
            Ok(vec!["127.0.0.7".parse().expect("an address"), "::1".parse().expect("an address")])
        };
        let resolver = Resolver::start([&hangs, &works], Arc::new(lookup)).expect("starts");
        let waiting: Vec<_> = (0..64).map(|_| ask(&resolver, &hangs, 5)).collect();
        let (_, answers) = ask(&resolver, &works, 5);
        let answer = answers.recv_timeout(PATIENCE).expect("not held up");
        assert_eq!(answer, Ok(found(&["127.0.0.7:2", "[::1]:2"])), "every address of a name");
        release.send(()).expect("it hangs in its one lookup");
        for (asked, answers) in waiting {
            assert_eq!(asked, LookupStart::Later(vec![]));
            let answer = answers.recv_timeout(PATIENCE).expect("answered");
            assert_eq!(answer, Ok(found(&["127.0.0.7:1", "[::1]:1"])));
        }
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
    }

    /// What a name was last known to be serves while a lookup takes long, and after one that failed.
    #[test]
    fn the_last_known_addresses_serve_meanwhile() {
        let name = address("n1", 1);
        let (say, hear) = bounded::<Result<Vec<IpAddr>, String>>(0);
        let lookup = move |_: &str| hear.recv().expect("the test says what is found");
        let resolver = Resolver::start([&name], Arc::new(lookup)).expect("starts");
        let says = |text: &str| Ok(vec![text.parse().expect("an address")]);
        let (_, answers) = ask(&resolver, &name, 0);
        say.send(says("127.0.0.1")).expect("asked");
        assert_eq!(answers.recv_timeout(PATIENCE), Ok(Ok(found(&["127.0.0.1:1"]))));

        let now = clock::now().0;
        assert_eq!(
            ask(&resolver, &name, now).0,
            LookupStart::Now(Ok(found(&["127.0.0.1:1"]))),
            "fresh"
        );
        let now = now + FRESH_US;
        let (asked, answers) = ask(&resolver, &name, now);
        assert_eq!(asked, LookupStart::Later(found(&["127.0.0.1:1"]).addresses));
        match ask(&resolver, &name, now + OVERDUE_US).0 {
            LookupStart::Now(Ok(ResolvedName { addresses, trouble })) => {
                assert_eq!(addresses, found(&["127.0.0.1:1"]).addresses);
                assert!(trouble.contains("n1 takes long"), "{trouble}");
            }
            other => panic!("the last known address was to be taken: {other:?}"),
        }
        say.send(Err("n1 is unknown".to_string())).expect("asked");
        let answer = answers.recv_timeout(PATIENCE).expect("answered").expect("the last known");
        assert_eq!(answer.addresses, found(&["127.0.0.1:1"]).addresses);
        assert_eq!(answer.trouble, "n1 is unknown");

        let (_, answers) = ask(&resolver, &name, clock::now().0 + FRESH_US);
        say.send(says("127.0.0.2")).expect("asked");
        assert_eq!(answers.recv_timeout(PATIENCE), Ok(Ok(found(&["127.0.0.2:1"]))), "it moved");
    }

    /// A node's own names are looked up side by side, each once: a start takes as long as the
    /// slowest.
    #[test]
    fn all_names_are_looked_up_side_by_side() {
        let both = std::sync::Barrier::new(2);
        let lookup = move |host: &str| {
            // Passed only while the other one is looked up too.
            both.wait();
            match host {
                "a" => Ok(vec!["127.0.0.1".parse().expect("an address")]),
                _ => Err(format!("{host} is unknown")),
            }
        };
        let typed = [address("a", 1), address("b", 2), address("127.0.0.9", 3), address("a", 4)];
        let typed: Vec<&Address> = typed.iter().collect();
        let texts = |found: Vec<SocketAddr>| found.iter().map(ToString::to_string).collect();
        let resolved: Vec<Result<Vec<String>, String>> =
            resolve_all(&typed, &lookup).into_iter().map(|found| found.map(texts)).collect();
        let one = |text: &str| Ok(vec![text.to_string()]);
        let unknown = Err("b is unknown".to_string());
        assert_eq!(resolved, [one("127.0.0.1:1"), unknown, one("127.0.0.9:3"), one("127.0.0.1:4")]);
    }
}
