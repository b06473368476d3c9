//! Which connection leads to which peer, and when to dial again. No socket is touched here.
//!
//! Of two nodes the one with the higher id dials, so that no pair ever builds two connections that
//! each side would close in favour of the other.

use crate::daemon::net::resolve::ResolvedName;
use crate::limits::RACE_STAGGER_MS;
use crate::types::{NodeId, Race, Random, Tick};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// First pause after a failed attempt, in microseconds.
const PAUSE_FIRST_US: u64 = 20_000;
/// Longest pause between two attempts. Short, because a node that comes back is needed at once.
const PAUSE_LONGEST_US: u64 = 500_000;

/// Pause after a refusal: it takes an operator to mend what it names.
const PAUSE_REFUSED_US: u64 = 5_000_000;

/// A connection's place in the table of connections.
pub type TableIndex = usize;

/// The links of one shard to its peers.
#[derive(Clone, Debug)]
pub struct Links {
    links: BTreeMap<NodeId, Link>,
    random: Random,
}

#[derive(Clone, Debug)]
struct Link {
    /// This side dials.
    dials: bool,
    state: State,
    /// Calls that failed since the link last stood.
    failures: u32,
    /// Why the last call failed, so that the same reason is logged once.
    reason: String,
    /// Why one side refused the other last, kept for the same reason; empty once the peer sent a message.
    refusal: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is under way; `at` is when to dial, where this side dials.
    Down { at: Tick },
    /// The peer's name is being looked up.
    Resolving { begun: Tick, meanwhile: Option<Meanwhile> },
    /// Its addresses are being tried.
    Dialling { begun: Tick, race: Race<SocketAddr>, trouble: Trouble },
    /// The link stands.
    Up { index: TableIndex },
}

/// What is dialled should the name not be looked up by then.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Meanwhile {
    at: Tick,
    addresses: Vec<SocketAddr>,
}

/// What went wrong in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    /// With the name.
    name: String,
    /// With each address.
    attempts: Vec<String>,
}

impl Trouble {
    /// All of it, in an order that does not depend on which attempt failed first: the same failure
    /// must not look like news.
    fn text(&self) -> String {
        let mut attempts = self.attempts.clone();
        attempts.sort();
        attempts.dedup();
        let name = match self.name.as_str() {
            "" => String::new(),
            trouble => format!(" (the last known address: {trouble})"),
        };
        attempts.join("; ") + &name
    }
}

impl Links {
    /// Links from `own` to the other members, all down, to be dialled at once.
    #[must_use]
    pub fn new(own: NodeId, members: impl IntoIterator<Item = NodeId>, seed: u64) -> Links {
        let others = members.into_iter().filter(|node| *node != own);
        let link = |node| Link {
            dials: own > node,
            state: State::Down { at: Tick(0) },
            failures: 0,
            reason: String::new(),
            refusal: String::new(),
        };
        let links = others.map(|node| (node, link(node))).collect();
        Links { links, random: Random::new(seed) }
    }

    /// The peers to call now: their addresses are to be found, and [`call`](Links::call)ed.
    pub fn due(&mut self, now: Tick) -> Vec<NodeId> {
        let mut due = Vec::new();
        for (node, link) in &mut self.links {
            if link.dials && matches!(link.state, State::Down { at } if at <= now) {
                link.state = State::Resolving { begun: now, meanwhile: None };
                due.push(*node);
            }
        }
        due
    }

    /// What a peer's name was last known to be: called if the lookup takes long.
    pub fn meanwhile(&mut self, node: NodeId, addresses: Vec<SocketAddr>, now: Tick) {
        let Some(link) = self.links.get_mut(&node) else { return };
        if let State::Resolving { meanwhile, .. } = &mut link.state
            && !addresses.is_empty()
        {
            *meanwhile = Some(Meanwhile { at: now.after(RACE_STAGGER_MS * 1000), addresses });
        }
    }

    /// Where the peer is: its addresses are tried from now on. An answer that comes too late
    /// changes nothing; the next call goes by it.
    pub fn call(&mut self, node: NodeId, found: ResolvedName, now: Tick) {
        let Some(link) = self.links.get_mut(&node) else { return };
        if let State::Resolving { begun, .. } = link.state {
            let race = Race::new(&found.addresses, SocketAddr::is_ipv6, now);
            let trouble = Trouble { name: found.trouble, attempts: Vec::new() };
            link.state = State::Dialling { begun, race, trouble };
        }
    }

    /// The next address to try now.
    pub fn attempt(&mut self, now: Tick) -> Option<(NodeId, SocketAddr)> {
        let mut overdue = Vec::new();
        for (node, link) in &self.links {
            if let State::Resolving { meanwhile: Some(Meanwhile { at, addresses }), .. } =
                &link.state
                && *at <= now
            {
                overdue.push((*node, addresses.clone()));
            }
        }
        for (node, addresses) in overdue {
            let trouble = "its name takes long to resolve".to_string();
            self.call(node, ResolvedName { addresses, trouble }, now);
        }
        self.links.iter_mut().find_map(|(node, link)| match &mut link.state {
            State::Dialling { race, .. } => Some((*node, race.due(now)?)),
            State::Down { .. } | State::Resolving { .. } | State::Up { .. } => None,
        })
    }

    /// When [`due`](Links::due) or [`attempt`](Links::attempt) next has something to say.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let at = |link: &Link| match &link.state {
            State::Down { at } if link.dials => Some(*at),
            State::Resolving { meanwhile: Some(meanwhile), .. } => Some(meanwhile.at),
            State::Dialling { race, .. } => race.next_deadline(),
            State::Down { .. } | State::Resolving { .. } | State::Up { .. } => None,
        };
        self.links.values().filter_map(at).min()
    }

    /// The peers that should call this side, have no link with it, and are refused by nobody.
    pub fn awaited(&self) -> impl Iterator<Item = NodeId> {
        let awaited = |link: &Link| {
            !link.dials && matches!(link.state, State::Down { .. }) && link.refusal.is_empty()
        };
        self.links.iter().filter(move |(_, link)| awaited(link)).map(|(node, _)| *node)
    }

    /// The connection that leads to a peer.
    #[must_use]
    pub fn index(&self, node: NodeId) -> Option<TableIndex> {
        match self.links.get(&node)?.state {
            State::Up { index } => Some(index),
            State::Down { .. } | State::Resolving { .. } | State::Dialling { .. } => None,
        }
    }

    /// An attempt got through to an address: it is the one that greets. The attempts on the
    /// addresses returned are to be given up.
    pub fn got_through(&mut self, node: NodeId, address: SocketAddr) -> Vec<SocketAddr> {
        match self.links.get_mut(&node).map(|link| &mut link.state) {
            Some(State::Dialling { race, .. }) => race.take(address),
            Some(State::Down { .. } | State::Resolving { .. } | State::Up { .. }) | None => {
                Vec::new()
            }
        }
    }

    /// True when other addresses are left to be tried should the one that got through not answer.
    #[must_use]
    pub fn has_more(&self, node: NodeId) -> bool {
        match self.links.get(&node).map(|link| &link.state) {
            Some(State::Dialling { race, .. }) => race.has_more(),
            Some(State::Down { .. } | State::Resolving { .. } | State::Up { .. }) | None => false,
        }
    }

    /// An attempt on an address came to nothing. True when it was the last one of the call, and
    /// the reason is news, and worth a line in the log.
    pub fn attempt_failed(
        &mut self,
        node: NodeId,
        address: SocketAddr,
        now: Tick,
        reason: &str,
    ) -> bool {
        let Some(link) = self.links.get_mut(&node) else { return false };
        let State::Dialling { race, trouble, .. } = &mut link.state else { return false };
        race.failed(address, now);
        trouble.attempts.push(reason.to_string());
        if !race.is_lost() {
            return false;
        }
        let reason = trouble.text();
        self.failed(node, now, &reason)
    }

    /// A call failed as a whole. True when its reason is news, and worth a line in the log.
    pub fn failed(&mut self, node: NodeId, now: Tick, reason: &str) -> bool {
        let failures = self.links.get(&node).map_or(0, |link| link.failures);
        let doubled = PAUSE_FIRST_US << failures.min(16);
        self.pause(node, now, doubled.min(PAUSE_LONGEST_US), reason)
    }

    fn pause(&mut self, node: NodeId, now: Tick, pause: u64, reason: &str) -> bool {
        let Some(link) = self.links.get_mut(&node) else { return false };
        let (State::Resolving { begun, .. } | State::Dialling { begun, .. }) = link.state else {
            return false;
        };
        // Half of the pause is random, so that peers of a node that came back do not march in step.
        let pause = pause / 2 + self.random.below(pause / 2 + 1);
        // Counted from the call's begin: one that waited in vain has paused for that time already,
        // and a network that heals must not be waited for twice.
        let soon = now.after(PAUSE_FIRST_US / 2 + self.random.below(PAUSE_FIRST_US / 2 + 1));
        link.state = State::Down { at: begun.after(pause).max(soon) };
        link.failures = link.failures.saturating_add(1);
        let news = link.reason != reason;
        link.reason = reason.to_string();
        news
    }

    /// The peer refused us, or we refused the peer, behind a greeting. True when the reason is news.
    /// A refused dialler asks again rarely, once it has asked at each address of the peer's name.
    pub fn refused(&mut self, node: NodeId, now: Tick, reason: &str) -> bool {
        if !self.has_more(node) {
            self.pause(node, now, PAUSE_REFUSED_US, reason);
        }
        let Some(link) = self.links.get_mut(&node) else { return true };
        let news = link.refusal != reason;
        link.refusal = reason.to_string();
        news
    }

    /// True from a refusal until the peer speaks as a peer: links that come and go are no news.
    #[must_use]
    pub fn is_refused(&self, node: NodeId) -> bool {
        self.links.get(&node).is_some_and(|link| !link.refusal.is_empty())
    }

    /// Why there is no link with a peer, or why one side keeps refusing the other.
    #[must_use]
    pub fn trouble(&self, node: NodeId) -> String {
        let Some(link) = self.links.get(&node) else { return String::new() };
        let up = matches!(link.state, State::Up { .. });
        match (link.refusal.as_str(), up) {
            ("", true) => String::new(),
            ("", false) => link.reason.clone(),
            (refusal, _) => refusal.to_string(),
        }
    }

    /// The peer spoke as a peer.
    pub fn heard(&mut self, node: NodeId) {
        if let Some(link) = self.links.get_mut(&node) {
            link.refusal.clear();
        }
    }

    /// A connection to a peer was greeted on both sides. Returns the one that it replaces: whoever
    /// dials takes the old one for dead.
    pub fn up(&mut self, node: NodeId, index: TableIndex) -> Option<TableIndex> {
        let link = self.links.get_mut(&node)?;
        let replaced = match link.state {
            State::Up { index } => Some(index),
            State::Down { .. } | State::Resolving { .. } | State::Dialling { .. } => None,
        };
        link.state = State::Up { index };
        link.failures = 0;
        link.reason.clear();
        replaced
    }

    /// A connection is gone. True when it was the one that led to the peer.
    pub fn down(&mut self, node: NodeId, index: TableIndex, now: Tick) -> bool {
        let Some(link) = self.links.get_mut(&node) else { return false };
        if link.state != (State::Up { index }) {
            return false;
        }
        link.state = State::Down { at: now.after(self.random.below(PAUSE_FIRST_US + 1)) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u16]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    /// Of each pair exactly one side dials: the higher id.
    #[test]
    fn one_side_of_a_pair_dials() {
        let members = nodes(&[1, 2, 3]);
        let dialled = |own| Links::new(NodeId(own), members.clone(), 1).due(Tick(0));
        assert_eq!(dialled(1), nodes(&[]));
        assert_eq!(dialled(2), nodes(&[1]));
        assert_eq!(dialled(3), nodes(&[1, 2]));
    }

    /// Failed attempts are further and further apart, up to a bound, and never in step.
    #[test]
    fn attempts_back_off_with_jitter() {
        let mut links = Links::new(NodeId(2), nodes(&[1, 2]), 7);
        let mut now = Tick(0);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            assert_eq!(links.due(now), nodes(&[1]));
            assert!(links.due(now).is_empty(), "dialled twice at once");
            links.failed(NodeId(1), now, "refused");
            let at = links.next_deadline().expect("another attempt is planned");
            assert!(links.due(Tick(at.0 - 1)).is_empty(), "dialled too early");
            pauses.push(at.since(now));
            now = at;
        }
        assert!((10_000..=20_000).contains(&pauses[0]), "{pauses:?}");
        assert!(pauses[8..].iter().all(|p| (250_000..=500_000).contains(p)), "{pauses:?}");
        let distinct: std::collections::BTreeSet<_> = pauses[8..].iter().collect();
        assert!(distinct.len() > 20, "pauses march in step: {pauses:?}");
    }

    /// A refusal is not asked for again at once: the other side logs each.
    #[test]
    fn refusals_are_not_repeated_at_once() {
        let mut links = Links::new(NodeId(2), nodes(&[1, 2]), 7);
        links.due(Tick(0));
        assert!(links.refused(NodeId(1), Tick(0), "wiped"));
        assert!(!links.failed(NodeId(1), Tick(0), "closed"), "its connection's end is no news");
        let at = links.next_deadline().expect("tries again");
        assert!(at >= Tick(PAUSE_REFUSED_US / 2), "{at}");
    }

    /// The same reason is logged once; a new one, and one after the link stood, again.
    #[test]
    fn reasons_are_news_once() {
        let mut links = Links::new(NodeId(2), nodes(&[1, 2]), 7);
        let mut now = Tick(0);
        let mut fail = |links: &mut Links, reason: &str| {
            now = now.after(PAUSE_REFUSED_US);
            assert_eq!(links.due(now), nodes(&[1]));
            links.failed(NodeId(1), now, reason)
        };
        assert!(fail(&mut links, "refused"));
        assert!(!fail(&mut links, "refused"));
        assert!(fail(&mut links, "no route"));
        links.up(NodeId(1), 9);
        links.down(NodeId(1), 9, Tick(0));
        assert!(fail(&mut links, "no route"));
    }

    /// A refusal is logged once, however often the link comes and goes, until the peer speaks.
    #[test]
    fn refusals_are_news_once() {
        let mut links = Links::new(NodeId(1), nodes(&[1, 2]), 7);
        for round in 0..3 {
            links.up(NodeId(2), round);
            assert_eq!(links.refused(NodeId(2), Tick(0), "another incarnation"), round == 0);
            assert!(links.is_refused(NodeId(2)));
            links.down(NodeId(2), round, Tick(0));
        }
        links.heard(NodeId(2));
        assert!(!links.is_refused(NodeId(2)));
        assert!(links.refused(NodeId(2), Tick(0), "another incarnation"));
    }

    /// A newer connection replaces the older one, whose end then changes nothing.
    #[test]
    fn newer_connection_replaces_the_older() {
        let mut links = Links::new(NodeId(1), nodes(&[1, 2]), 7);
        assert_eq!(links.up(NodeId(2), 4), None);
        assert_eq!(links.up(NodeId(2), 5), Some(4));
        assert!(!links.down(NodeId(2), 4, Tick(9)), "the old one was not the link");
        assert_eq!(links.index(NodeId(2)), Some(5));
        assert!(links.down(NodeId(2), 5, Tick(9)));
        assert_eq!(links.index(NodeId(2)), None);
        assert_eq!(links.next_deadline(), None, "the lower id waits to be dialled");
        assert_eq!(links.up(NodeId(9), 1), None, "a stranger has no link");
        assert_eq!(links.index(NodeId(9)), None);
    }

    /// A link that was lost is dialled again soon, not after the pause of earlier failures.
    #[test]
    fn lost_link_is_dialled_soon() {
        let mut links = Links::new(NodeId(2), nodes(&[1, 2]), 7);
        let mut now = Tick(0);
        for _ in 0..9 {
            now = now.after(PAUSE_LONGEST_US);
            assert_eq!(links.due(now), nodes(&[1]));
            links.failed(NodeId(1), now, "refused");
        }
        links.up(NodeId(1), 3);
        links.down(NodeId(1), 3, now);
        let at = links.next_deadline().expect("dials again");
        assert!(at.since(now) <= PAUSE_FIRST_US);
    }
}
