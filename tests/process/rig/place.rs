//! A cluster's own addresses, claimed so that no other test on this machine takes them.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where nodes listen for clients, each on an address of its own.
pub const CLIENT_PORT: u16 = 7420;
/// Where nodes listen for peers.
pub const PEER_PORT: u16 = 7421;
/// Held by the test while its cluster lives; no node listens there.
const CLAIM_PORT: u16 = 7419;
/// Addresses of one cluster: more than it can have nodes.
const ADDRESSES: u32 = 16;
/// Clusters that have addresses at a time; the first ones are left to people and scripts.
const PLACES: std::ops::Range<u32> = 0x1000..0xF_F000;

static CLAIMS: AtomicU32 = AtomicU32::new(0);

/// The right to a few loopback addresses; given back when dropped.
#[derive(Debug)]
pub struct Place {
    base: u32,
    _claim: TcpListener,
}

impl Place {
    /// Claims addresses that nobody else has.
    pub fn claim() -> Place {
        let count = PLACES.end - PLACES.start;
        loop {
            let turn = CLAIMS.fetch_add(1, Ordering::Relaxed);
            assert!(turn < count, "no address of 127.0.0.0/8 is left");
            let spread = std::process::id().wrapping_mul(2_654_435_761) >> 8;
            let place = PLACES.start + spread.wrapping_add(turn) % count;
            let base = u32::from(Ipv4Addr::new(127, 0, 0, 0)) + place * ADDRESSES;
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::from(base), CLAIM_PORT)) {
                return Place { base, _claim: claim };
            }
        }
    }

    /// The address of a node, which is 1 to 15.
    pub fn address(&self, node: u16) -> Ipv4Addr {
        assert!((1..16).contains(&node), "node {node} has no address");
        Ipv4Addr::from(self.base + u32::from(node))
    }

    /// Where a node listens for clients.
    pub fn endpoint(&self, node: u16) -> String {
        format!("{}:{CLIENT_PORT}", self.address(node))
    }
}
