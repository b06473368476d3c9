//! How many clients may be connected, in all and from one address (R39).

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Counts the connections of clients. Touched when one opens or closes, never by a request.
#[derive(Debug)]
pub struct Admission {
    in_all_max: usize,
    per_address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    in_all: usize,
    per_address: BTreeMap<IpAddr, usize>,
}

/// The right to be connected; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many in all.
    #[error(
        "this node has {0} client connections, as many as it takes (connections_max, or what its \
         limit of open files allows for)"
    )]
    InAll(usize),
    /// Too many from one address.
    #[error(
        "{1} has {0} client connections, as many as one address may have \
         (connections_per_address_max)"
    )]
    FromAddress(usize, IpAddr),
}

impl Admission {
    /// Admits up to these many connections.
    #[must_use]
    pub fn new(in_all_max: usize, per_address_max: usize) -> Arc<Admission> {
        Arc::new(Admission { in_all_max, per_address_max, counts: Mutex::default() })
    }

    /// Counts one more connection from `address`.
    ///
    /// # Errors
    /// The cap that it would pass.
    pub fn admit(self: &Arc<Admission>, address: IpAddr) -> Result<Permit, Full> {
        let address = address.to_canonical();
        let mut counts = self.counts.lock();
        if counts.in_all >= self.in_all_max {
            return Err(Full::InAll(counts.in_all));
        }
        let from_address = counts.per_address.get(&address).copied().unwrap_or(0);
        if from_address >= self.per_address_max {
            return Err(Full::FromAddress(from_address, address));
        }
        counts.in_all += 1;
        counts.per_address.insert(address, from_address + 1);
        Ok(Permit { admission: Arc::clone(self), address })
    }

    /// Connections now.
    #[must_use]
    pub fn in_all(&self) -> usize {
        self.counts.lock().in_all
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.lock();
        counts.in_all -= 1;
        let left = counts.per_address.get(&self.address).map_or(0, |count| count - 1);
        match left {
            0 => counts.per_address.remove(&self.address),
            left => counts.per_address.insert(self.address, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R39: caps hold in all and per address, and a closed connection makes room again.
    #[test]
    fn r39_caps_hold_and_are_given_back() {
        let admission = Admission::new(3, 2);
        let a: IpAddr = "10.0.0.1".parse().expect("address");
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().expect("address");
        let b: IpAddr = "10.0.0.2".parse().expect("address");
        let first = admission.admit(a).expect("first");
        let _second = admission.admit(mapped).expect("second, the same address in another form");
        assert_eq!(admission.admit(a).expect_err("third of one address"), Full::FromAddress(2, a));
        let _third = admission.admit(b).expect("another address");
        assert_eq!(admission.admit(b).expect_err("fourth in all"), Full::InAll(3));
        drop(first);
        assert_eq!(admission.in_all(), 2);
        let _again = admission.admit(a).expect("room again");
        assert_eq!(admission.in_all(), 3);
    }
}
