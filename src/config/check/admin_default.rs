//! The default address of a node's admin pages: at a port that nothing else of the cluster uses on that
//! machine. Every node computes the same one from the list of members, so that it can be predicted.

use crate::config::member::KnownMember;
use crate::config::{ADMIN_PORT, Address, CLIENT_PORT};
use std::collections::BTreeSet;

/// Ports between a member's client port and its admin port, where nothing is in the way.
const ADMIN_PORT_AFTER_CLIENT: u16 = ADMIN_PORT - CLIENT_PORT;

/// On loopback, two ports above the clients' one, or the next above that which no member on the
/// same machine has, nor the admin pages of a member with a lower id by this rule, nor `listened`,
/// the other ports that this node listens at. None where no port is left.
pub(super) fn admin_default(
    own: &KnownMember,
    client: &Address,
    listened: &[u16],
    members: &[KnownMember],
) -> Option<Address> {
    let here = |member: &&KnownMember| {
        let other = member.client.as_ref();
        other.is_some_and(|other| other.host.eq_ignore_ascii_case(&client.host))
    };
    let mut here: Vec<&KnownMember> = members.iter().filter(here).collect();
    here.sort_by_key(|member| member.id);
    let addresses = here.iter().flat_map(|member| [&member.client, &member.peer]);
    let mut taken: BTreeSet<u16> = addresses.flatten().map(|address| address.port).collect();
    for member in here {
        let is_own = member.id == own.id;
        if is_own {
            taken.extend(listened);
        }
        let first = member.client.as_ref()?.port.checked_add(ADMIN_PORT_AFTER_CLIENT);
        let port = first.and_then(|first| (first..=u16::MAX).find(|port| !taken.contains(port)));
        if is_own {
            let loopback = client.is_loopback();
            let host = if loopback { client.host.clone() } else { "127.0.0.1".to_string() };
            return Some(Address { host, port: port? });
        }
        taken.extend(port);
    }
    None
}
