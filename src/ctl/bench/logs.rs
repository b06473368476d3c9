//! The logs that are measured: named so that they lie evenly on the shards, and made if missing.

use super::super::exit::CommandFailure;
use crate::client::{Client, ErrorCode};
use crate::types::ShardId;

/// Entries of one append while a log is filled.
const FILL_ENTRIES: u64 = 256;
/// Bytes of one append while a log is filled, unless a single entry is larger.
const FILL_BYTES: u64 = 64 << 10;

/// One of the logs. It is asked for by its name, as a failure names what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchLog {
    /// Its name.
    pub name: String,
    /// Its shard.
    pub shard: ShardId,
    /// How many entries it holds.
    pub entries: u64,
}

/// Names for `count` logs, `prefix-0` and so on: the first ones that fall on the shards in turn, so
/// that the same ones are found again.
#[must_use]
pub fn names(prefix: &str, count: u16, shards: u16) -> Vec<(String, ShardId)> {
    let mut names: Vec<Option<(String, ShardId)>> = vec![None; usize::from(count)];
    for number in 0u64.. {
        let name = format!("{prefix}-{number}");
        let shard = ShardId::of_name(&name, shards);
        let mine = (usize::from(shard.0)..names.len()).step_by(usize::from(shards));
        if let Some(free) = mine.into_iter().find(|at| names[*at].is_none()) {
            names[free] = Some((name, shard));
        }
        if names.iter().all(Option::is_some) {
            break;
        }
    }
    names.into_iter().flatten().collect()
}

/// Finds the logs, or creates them; returns also the names of those created.
pub fn prepare(
    client: &mut Client,
    prefix: &str,
    count: u16,
) -> Result<(Vec<BenchLog>, Vec<String>), CommandFailure> {
    let (mut logs, mut created) = (Vec::new(), Vec::new());
    for (name, shard) in names(prefix, count, client.shards()) {
        let entries = match client.stat(name.as_str()) {
            Ok(stat) => stat.next_index.0,
            Err(error) if error.code() == Some(ErrorCode::UnknownLog) => {
                match client.create(&name) {
                    Ok(_) => created.push(name.clone()),
                    // Another run made it meanwhile.
                    Err(error) if error.code() == Some(ErrorCode::LogExists) => {}
                    Err(error) => return Err(error.into()),
                }
                0
            }
            Err(error) => return Err(error.into()),
        };
        logs.push(BenchLog { name, shard, entries });
    }
    Ok((logs, created))
}

/// Appends entries to a log until it holds `wanted`; returns how many that were.
pub fn fill(
    client: &mut Client,
    log: &mut BenchLog,
    wanted: u64,
    mut entry: impl FnMut() -> Vec<u8>,
) -> Result<u64, CommandFailure> {
    let before = log.entries;
    while log.entries < wanted {
        let first = entry();
        let fit = FILL_BYTES / (first.len() as u64).max(1);
        let most = u64::from(client.limits().append_entries_max).min(FILL_ENTRIES);
        let count = (wanted - log.entries).min(fit).min(most).max(1);
        let entries = std::iter::once(first).chain((1..count).map(|_| entry()));
        let appended = client.append(&log.name, entries)?;
        log.entries = appended.first.0 + u64::from(appended.count);
    }
    Ok(log.entries - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logs lie evenly on the shards, whatever their names hash to, and are the same every time.
    #[test]
    fn logs_lie_evenly_on_the_shards() {
        for (count, shards) in [(1, 1), (1, 4), (4, 4), (7, 3), (64, 16)] {
            let named = names("bench", count, shards);
            assert_eq!(named.len(), usize::from(count));
            for (at, (name, shard)) in named.iter().enumerate() {
                assert_eq!(usize::from(shard.0), at % usize::from(shards), "{name}");
                assert_eq!(*shard, ShardId::of_name(name, shards));
            }
            let mut unique: Vec<_> = named.iter().map(|(name, _)| name).collect();
            unique.sort();
            unique.dedup();
            assert_eq!((unique.len(), &named), (named.len(), &names("bench", count, shards)));
        }
    }
}
