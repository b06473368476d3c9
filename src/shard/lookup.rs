//! Which log a request means, and what is said where there is none.

use crate::api::LogRef;
use crate::api::error::{ErrorCode, RequestError};
use crate::api::name::LogName;
use crate::machine::{LookupError, Machine};
use crate::types::{LogId, ShardId};

/// The log that is meant, in a cluster of so many shards.
pub fn find(machine: &Machine, log: &LogRef, shards: u16) -> Result<LogId, RequestError> {
    machine.logs().lookup(log).map_err(|error| match error {
        LookupError::UnknownLog => unknown_log(log),
        LookupError::WrongShard => misplaced(log, shards),
    })
}

/// Checks that a name belongs to this shard.
pub fn check_owner(machine: &Machine, name: &LogName, shards: u16) -> Result<(), RequestError> {
    if machine.logs().owns(name.as_str()) {
        return Ok(());
    }
    Err(RequestError::wrong_shard(ShardId::of_name(name.as_str(), shards)))
}

/// There is no such log.
pub fn unknown_log(log: &LogRef) -> RequestError {
    let text = match log {
        LogRef::Name(name) => format!("there is no log {:?}", name.as_str()),
        LogRef::Id(id) => format!("there is no log of id {id}, or no longer"),
    };
    RequestError::new(ErrorCode::UnknownLog, text)
}

/// The log is none of this shard: of another one, or of one that the cluster does not have.
fn misplaced(log: &LogRef, shards: u16) -> RequestError {
    let shard = log.shard(shards);
    match log {
        LogRef::Id(id) if shard.0 >= shards => {
            let plural = if shards == 1 { "" } else { "s" };
            let text = format!(
                "there is no log of id {id}: it would be in shard {shard}, and the cluster has \
                 {shards} shard{plural}"
            );
            RequestError::new(ErrorCode::UnknownLog, text)
        }
        LogRef::Id(_) | LogRef::Name(_) => RequestError::wrong_shard(shard),
    }
}
