//! What values are held against: the rows of the index, and what the state says of their logs.

use crate::checkpoint::install::{KeptPart, LogEnd, RecordsBeside, VerifyValues};
use crate::machine::appended_logs;
use crate::shard::core::Core;
use crate::types::{Ballot, LogId, NodeId, Slot, Value};
use std::collections::BTreeMap;

/// These values are to be held against the index.
pub(super) fn against_index(
    core: &Core,
    from: NodeId,
    values: Vec<(Slot, Ballot, Value)>,
    beside: RecordsBeside,
) -> VerifyValues {
    let all = values.iter().map(|(_, _, value)| value);
    let logs = log_ends(core, all.chain(beside.values().flatten().map(|(_, value)| value)));
    let runs = core.index.runs().clone();
    let wanted = KeptPart::Whole;
    VerifyValues { from, values, beside, among: None, wanted, runs, logs }
}

/// What the state says of the logs that these values append to.
pub(in crate::shard) fn log_ends<'a>(
    core: &Core,
    values: impl Iterator<Item = &'a Value>,
) -> BTreeMap<LogId, LogEnd> {
    let logs = core.machine.logs();
    let mut ends = BTreeMap::new();
    for value in values {
        let Ok((ids, names)) = appended_logs(value) else { continue };
        let named = names.iter().filter_map(|name| logs.resolve(name));
        for log in ids.iter().copied().chain(named) {
            let (Some(name), Some(first), Some(chain)) =
                (logs.name(log), logs.first_index(log), logs.chain(log))
            else {
                continue;
            };
            let chain = core.index.chain_behind_runs(log).unwrap_or(chain);
            let lost = core.machine.lost().of(log).cloned().unwrap_or_default();
            ends.insert(log, LogEnd { name: name.clone(), first, lost, chain });
        }
    }
    ends
}
