//! Each shard's thread on a core of its own (`pin = true`).

use crate::types::ShardId;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Pins the calling thread to the core that is the shard's: the shard's number, counted round the
/// cores that the process may use. A node without that right goes on unpinned, and says so.
pub fn pin_current(shard: ShardId) {
    match pinned(shard) {
        Ok(core) => log::info!("pinned to core {core}"),
        Err(error) => log::warn!("cannot be pinned to a core: {error}"),
    }
}

fn pinned(shard: ShardId) -> rustix::io::Result<usize> {
    let allowed = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let core = core_of(shard, &cores).ok_or(rustix::io::Errno::INVAL)?;
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only)?;
    Ok(core)
}

fn core_of(shard: ShardId, cores: &[usize]) -> Option<usize> {
    cores.get(usize::from(shard.0).checked_rem(cores.len())?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shards go round the cores that the process may use, and only those.
    #[test]
    fn shards_go_round_the_allowed_cores() {
        let cores = [2, 3, 7];
        let chosen: Vec<_> = (0..5).map(|shard| core_of(ShardId(shard), &cores)).collect();
        assert_eq!(chosen, [2, 3, 7, 2, 3].map(Some));
        assert_eq!(core_of(ShardId(0), &[]), None);
    }

    /// A pinned thread may run on one core only.
    #[test]
    fn pinning_holds() {
        let pinned = std::thread::spawn(|| {
            let core = pinned(ShardId(0)).expect("may be pinned to a core of its own set");
            let set = sched_getaffinity(None).expect("affinity");
            (core, set.count(), set.is_set(core))
        });
        let (_, count, holds) = pinned.join().expect("no panic");
        assert_eq!((count, holds), (1, true));
    }
}
