//! What the state of the machine takes in memory.

#[path = "wire/counting.rs"]
mod counting;

use counting::peak_of;
use paxosd::api::Retention;
use paxosd::machine::{LogCommand, Machine, Restore, SnapshotStep, ValueBuilder};
use paxosd::types::{Ballot, FormatLevel, ShardId, Slot};

/// Enough for nodes of maps to be what they are on the average; ten times as many take the same each.
const LOGS: u64 = 100_000;
/// Most bytes of a log with a name of 24 bytes, allocator included.
const LOG_BYTES_MAX: u64 = 250;

/// A machine with logs of these names.
fn machine_of(name: impl Fn(u64) -> String) -> Machine {
    let mut machine = Machine::new(ShardId(0), 1);
    for slot in 1..=LOGS / 100 {
        let mut builder = ValueBuilder::new();
        for nth in 0..100 {
            let name = name(slot * 100 + nth);
            assert_eq!(name.len(), 24);
            builder.push(LogCommand::Create {
                name: &name,
                created_ms: 1,
                retention: Retention::default(),
            });
        }
        let value = builder.build(Ballot::ZERO, true, 0);
        machine.apply(Slot(slot), &value).expect("values of this node are understood");
    }
    machine
}

// Names and facts of a log take 250 bytes at most, in whatever order the names came, and no more in a machine
// that was made of a snapshot. Making one takes no more than twice that: the lists that maps are built of.
#[test]
fn a_log_takes_250_bytes() {
    let rising = |nth: u64| format!("orders/{nth:017}");
    let mixed = |nth: u64| format!("orders/{:017}", nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8);
    for (machine, taken) in [peak_of(|| machine_of(rising)), peak_of(|| machine_of(mixed))] {
        let each = taken as u64 / LOGS;
        assert!(each <= LOG_BYTES_MAX, "{each} bytes a log");
        let mut machine = machine;
        let mut bytes = Vec::new();
        machine.begin_snapshot();
        while machine.snapshot_step(1 << 20, &mut bytes) == SnapshotStep::More {}
        let (copy, peak) = peak_of(|| {
            let mut restore = Restore::new(ShardId(0), 1, FormatLevel::KNOWN);
            restore.take(&bytes).expect("what a machine wrote is understood");
            restore.finish().expect("what a machine wrote is whole")
        });
        assert_eq!(copy.logs().count() as u64, LOGS);
        let each = peak as u64 / LOGS;
        assert!(each <= 2 * LOG_BYTES_MAX, "{each} bytes a log while it is restored");
        let ((again, _), held) = peak_of(|| (copy.clone(), ()));
        assert_eq!(again.digest(), machine.digest());
        let each = held as u64 / LOGS;
        assert!(each <= LOG_BYTES_MAX, "{each} bytes a log once it is restored");
    }
}
