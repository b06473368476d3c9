//! What the state of the machine takes in memory.

#[path = "wire/counting.rs"]
mod counting;

use counting::peak_of;
use paxosd::api::Retention;
use paxosd::limits::LOG_MEMORY_BYTES_MAX;
use paxosd::machine::{LogCommand, Machine, Restore, SnapshotStep, ValueBuilder};
use paxosd::types::{Ballot, FormatLevel, ShardId, Slot};

/// As many as a node is to hold; an ignored test makes them.
const MANY: u64 = 1_000_000;
/// Enough for nodes of maps to be what they are on the average; ten times as many take the same each.
const LOGS: u64 = 100_000;

/// A machine with logs of these names.
fn machine_of(logs: u64, name: impl Fn(u64) -> String) -> Machine {
    let mut machine = Machine::new(ShardId(0), 1);
    for slot in 1..=logs / 100 {
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

/// What the machine says that its logs take is what they take, but for a tenth.
fn check_account(machine: &Machine, taken: u64) {
    let said = machine.logs().memory_bytes() as u64;
    assert!(said.abs_diff(taken) <= taken / 10, "{said} bytes are said, {taken} are taken");
}

/// A node's resident memory in bytes, as the system says.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("it is read");
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    4096 * pages.expect("the second number is that of resident pages")
}

// A million logs take at most 250 bytes each of what the system gives the process, and what is said is near it:
// `cargo test --release --test machine_memory -- --ignored --nocapture`.
#[test]
#[ignore = "it takes a quarter of a gigabyte, and a while without optimisation"]
fn a_million_logs_take_250_bytes_each() {
    let before = resident();
    let mixed = |nth: u64| format!("orders/{:017}", nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8);
    let machine = machine_of(MANY, mixed);
    let taken = resident() - before;
    let said = machine.logs().memory_bytes() as u64;
    eprintln!("{} bytes a log, {} are said", taken / MANY, said / MANY);
    assert_eq!(machine.logs().count() as u64, MANY);
    assert!(taken / MANY <= LOG_MEMORY_BYTES_MAX as u64, "{} bytes a log", taken / MANY);
    check_account(&machine, taken);
}

// Names and facts of a log take 250 bytes at most, in whatever order the names came, and no more in a machine
// that was made of a snapshot. Making one takes no more than twice that: the lists that maps are built of. To read a
// checkpoint back for its digest alone takes a small part.
#[test]
fn a_log_takes_250_bytes() {
    let rising = |nth: u64| format!("orders/{nth:017}");
    let mixed = |nth: u64| format!("orders/{:017}", nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8);
    for (machine, taken) in
        [peak_of(|| machine_of(LOGS, rising)), peak_of(|| machine_of(LOGS, mixed))]
    {
        let each = taken as u64 / LOGS;
        assert!(each <= LOG_MEMORY_BYTES_MAX as u64, "{each} bytes a log");
        check_account(&machine, taken as u64);
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
        assert!(each <= 2 * LOG_MEMORY_BYTES_MAX as u64, "{each} bytes a log while it is restored");
        let (survey, peak) = peak_of(|| {
            let mut restore = Restore::survey_only(ShardId(0), 1, FormatLevel::KNOWN);
            restore.take(&bytes).expect("what a machine wrote is understood");
            restore.survey().expect("what a machine wrote is whole")
        });
        assert_eq!(survey.first_indexes.len() as u64, LOGS);
        let each = peak as u64 / LOGS;
        assert!(each <= LOG_MEMORY_BYTES_MAX as u64 / 4, "{each} bytes a log of a survey");
        let ((again, _), held) = peak_of(|| (copy.clone(), ()));
        assert_eq!(again.digest(), machine.digest());
        let each = held as u64 / LOGS;
        assert!(each <= LOG_MEMORY_BYTES_MAX as u64, "{each} bytes a log once it is restored");
    }
}
