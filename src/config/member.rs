//! A member of the cluster: as checked, and as far as it is known.

use super::Address;
use super::fault::ConfigPlace;
use crate::types::NodeId;

/// A member of the cluster, with the addresses at which the others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberConfig {
    /// The member's number, by which the others know it.
    pub id: NodeId,
    /// Where clients reach it; sent to clients as typed, resolved by them.
    pub client: Address,
    /// Where peers reach it.
    pub peer: Address,
}

/// What is known of a member: what has a fault is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMember {
    /// Where it begins.
    pub place: ConfigPlace,
    /// Its number, where that has no fault.
    pub id: Option<NodeId>,
    /// Where clients reach it.
    pub client: Option<Address>,
    /// Where peers reach it.
    pub peer: Option<Address>,
}

impl KnownMember {
    /// The member, where nothing of it has a fault.
    pub fn whole(&self) -> Option<MemberConfig> {
        let (client, peer) = (self.client.clone()?, self.peer.clone()?);
        Some(MemberConfig { id: self.id?, client, peer })
    }
}

impl From<&MemberConfig> for KnownMember {
    fn from(member: &MemberConfig) -> KnownMember {
        let (client, peer) = (Some(member.client.clone()), Some(member.peer.clone()));
        KnownMember { place: ConfigPlace::Absent, id: Some(member.id), client, peer }
    }
}
