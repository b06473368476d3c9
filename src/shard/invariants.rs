//! What must hold of a shard after every step, beside what must hold of its replica and its machine.
//! Run after every step in tests and in the simulator: nobody who waits is forgotten, nothing that is set
//! aside is lost, and nothing is kept that should have left.

use super::budget::answer_bytes;
use super::core::Core;
use super::events::RequestId;
use super::interface::Shard;
use super::journal_reads::JournalRead;
use super::requests::Requests;
use super::router::Router;
use crate::types::{ConnId, Slot};
use std::collections::BTreeMap;

/// Checks the state of a shard between two steps; its work grows with what waits.
///
/// # Panics
/// When a rule is broken, with the numbers.
pub fn check_state(shard: &Shard) {
    let (core, router) = (&shard.core, &shard.router);
    if core.failed {
        return; // It stopped within a step, and does nothing any more.
    }
    check_applied(core, router);
    core.index.check(core.machine.applied_upto(), |log| core.machine.logs().next_index(log));
    check_released(core, router);
    router.since_cut.check(core.machine.applied_upto(), core.machine.cuts().last());
    check_votes(core, router);
    check_journal_reads(core, router);
    check_held(core);
    check_fates(core, &router.requests);
    router.requests.writes.check(core);
    router.requests.reads.check();
    check_connections(core, &router.requests);
    check_memory(core, &router.requests);
    check_waits(core, &router.requests);
}

/// What is chosen is applied, or on its way from the journal or from a peer (R18).
fn check_applied(core: &Core, router: &Router) {
    let (applied, chosen) = (core.machine.applied_upto(), core.replica.chosen_upto());
    assert!(applied <= chosen, "applied past chosen: applied_upto={applied} chosen_upto={chosen}");
    let damaged = core.replica.holes().contains_key(&applied.next());
    assert!(
        applied == chosen || router.applier.is_replaying() || damaged,
        "nothing is under way to apply: applied_upto={applied} chosen_upto={chosen}"
    );
}

/// What was released lies below every checkpoint that a start may begin from, and so do spans that are
/// forgotten; no segment goes before a checkpoint stands for it (C25, C26).
fn check_released(core: &Core, router: &Router) {
    let released = core.journal.last_released().upto();
    let oldest = router.checkpoints.kept().first().map_or(Slot(0), |kept| kept.slot);
    assert!(
        released <= oldest,
        "slots up to {released} are released, a start may begin at {oldest}"
    );
    core.spans.check(core.machine.applied_upto());
}

/// Votes wait only for records that are not durable (R02).
fn check_votes(core: &Core, router: &Router) {
    let durable = core.journal.durable_upto();
    let due = router.outbox.first().filter(|first| *first <= durable);
    assert!(
        due.is_none() || core.replica.is_ending(),
        "a vote waits for {due:?}, and all up to {durable} is durable"
    );
}

/// Each read of the journal has somebody who waits for it, and the other way round.
fn check_journal_reads(core: &Core, router: &Router) {
    let wanted = [
        (JournalRead::Replay, usize::from(router.applier.is_replaying())),
        (JournalRead::Serve, router.catch_up.len()),
        (JournalRead::Values, router.values.len()),
        (JournalRead::Absent, usize::from(core.absent.is_reading())),
        (JournalRead::Client, router.requests.reads.cold().count()),
        (JournalRead::Trim, router.requests.trims.len()),
        (JournalRead::Retention, router.requests.retention.lookups()),
        (JournalRead::Loss, router.holdings.len()),
    ];
    for (purpose, wanted) in wanted {
        let under_way = core.journal_reads.count(purpose);
        assert!(
            under_way == wanted,
            "reads of the journal ({purpose:?}): {under_way} under way, {wanted} waited for"
        );
    }
}

/// Answers wait for proof only of the leadership that serves (R19).
fn check_held(core: &Core) {
    let serving = core.replica.serving();
    for held in core.held.iter() {
        let (ballot, bytes) = (held.proof.ballot, answer_bytes(&held.reply));
        assert!(serving == Some(ballot), "held for ballot {ballot}, served is {serving:?}");
        assert!(held.bytes == bytes, "{} bytes set aside for {bytes}", held.bytes);
    }
}

/// A fate is open only while its slot is not applied, and of a leadership that is over (R32).
fn check_fates(core: &Core, requests: &Requests) {
    let (applied, serving) = (core.machine.applied_upto(), core.replica.serving());
    for (slot, ballot, waiters) in requests.fates.iter() {
        assert!(slot > applied, "the fate of slot {slot} is known: applied_upto={applied}");
        assert!(serving != Some(ballot), "the leadership of {ballot} is not over: {serving:?}");
        assert!(!waiters.is_empty(), "nobody waits for the fate of slot {slot}");
    }
}

/// Every request of a connection waits in exactly one place until it is answered, and what a
/// connection's reads are counted with is what they wait for and use (R39).
fn check_connections(core: &Core, requests: &Requests) {
    let mut waits: BTreeMap<ConnId, (usize, usize)> = BTreeMap::new();
    let mut count = |asked: RequestId, bytes: usize| {
        let of_conn = waits.entry(asked.conn).or_default();
        *of_conn = (of_conn.0 + 1, of_conn.1 + bytes);
    };
    requests.writes.waiting().for_each(|asked| count(asked, 0));
    requests.trims.iter().for_each(|queued| count(queued.asked, 0));
    requests.declarations.waiting().into_iter().for_each(|asked| count(asked, 0));
    let fates = requests.fates.iter().flat_map(|(_, _, waiters)| waiters);
    let fates = fates.filter_map(|waiter| waiter.write.as_ref());
    fates.for_each(|write| count(write.asked, 0));
    requests.reads.parked().for_each(|task| count(task.asked, 0));
    requests.reads.in_line().for_each(|waiting| count(waiting.task.asked, waiting.need.bytes));
    requests.reads.cold().for_each(|(task, reserved)| count(task.asked, reserved));
    core.held.iter().for_each(|held| count(held.asked, 0));
    // What is left of a connection that is gone waits in vain, and is nobody's.
    for (conn, open, counted, held_back) in core.conns.iter() {
        let (waiting, bytes) = waits.get(&conn).copied().unwrap_or_default();
        assert!(
            open == waiting + held_back,
            "connection {conn}: {open} requests open, {waiting} wait, {held_back} held back"
        );
        assert!(
            counted == bytes,
            "connection {conn}: {counted} bytes counted, its reads have {bytes}"
        );
    }
}

/// What is set aside is what answers in the making use, and what those that are held take (R39).
fn check_memory(core: &Core, requests: &Requests) {
    let held: usize = core.held.iter().map(|held| held.bytes).sum();
    let cold: usize = requests.reads.cold().map(|(_, reserved)| reserved).sum();
    let reserved = core.budget.reserved();
    assert!(reserved == held + cold, "reserved {reserved} bytes, in use are {held} and {cold}");
}

/// Who waits at a tail waits for an entry that is not there, of a log that is; and nobody waits for an
/// answer from a state that may be wrong (R23).
fn check_waits(core: &Core, requests: &Requests) {
    for task in requests.reads.parked() {
        let (log, from) = (task.reading.log(), task.reading.from());
        let next = core.machine.logs().next_index(log);
        assert!(
            next.is_some_and(|next| next <= from),
            "a read waits for entry {from} of log {log}, whose next one is {next:?}"
        );
    }
    let (parked, in_line) = (requests.reads.parked().count(), requests.reads.in_line().count());
    assert!(
        !core.replica.is_doubtful() || parked + in_line == 0,
        "{parked} reads at tails and {in_line} in line wait for a state in doubt"
    );
}
