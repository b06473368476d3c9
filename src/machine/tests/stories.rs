//! What commands do, one story each.

use super::{Rig, by_name, entries_of, value_of};
use crate::api::entries::Entries;
use crate::api::{LogRef, Retention};
use crate::machine::invariants::check_state;
use crate::machine::{CutCommand, LogCommand, LogOutcome, LookupError, Machine, ValueBuilder};
use crate::types::{Ballot, Index, LogId, NodeId, ShardId, Slot, Value};

const LOG_1: LogId = LogId(1);

// A log is created once; its name and its id lead to the same data.
#[test]
fn a_log_is_created_once_and_found_by_name_and_id() {
    let mut rig = Rig::new();
    let create = LogCommand::Create {
        name: "orders",
        created_ms: 1_700_000_000_000,
        retention: Retention::default(),
    };
    assert_eq!(
        rig.apply(&[create, create]),
        [LogOutcome::Created(LOG_1), LogOutcome::Exists(LOG_1)]
    );
    rig.append(LOG_1, None, &["first", "", "third!"]);

    let stat = rig.machine.logs().stat(&by_name("orders")).unwrap();
    assert_eq!((stat.name.as_str(), stat.id), ("orders", LOG_1));
    assert_eq!((stat.next_index, stat.bytes), (Index(3), 11), "bytes count payload only");
    assert_eq!(stat.created_ms, 1_700_000_000_000);
    assert_eq!(rig.machine.logs().stat(&LogRef::Id(LOG_1)), Ok(stat));
    assert_eq!(rig.machine.logs().count(), 1);
}

// Indexes are dense across appends of any size, and `expect` decides on the next one.
#[test]
fn appends_get_dense_indexes_and_expect_is_checked_when_applied() {
    let mut rig = Rig::new();
    let log = rig.create("a");
    let appended = |first, count| LogOutcome::Appended { log, first: Index(first), count };
    let mismatch = |next| LogOutcome::ExpectMismatch { log: Some(log), next: Index(next) };
    assert_eq!(rig.append(log, Some(0), &["0", "1"]), appended(0, 2));
    assert_eq!(rig.append(log, Some(0), &["again"]), mismatch(2));
    assert_eq!(rig.append(log, Some(3), &["ahead"]), mismatch(2));
    assert_eq!(rig.append(log, None, &["2"]), appended(2, 1));
    assert_eq!(rig.append(log, Some(3), &["3", "4", "5"]), appended(3, 3));
    assert_eq!(rig.read(log, 0, 0, 0).concat(), b"012345");
}

// Two appends with the same expectation race in one value: exactly the first one wins, whole.
#[test]
fn an_append_is_all_or_nothing_within_a_value() {
    let mut rig = Rig::new();
    let log = rig.create("a");
    let (ours, theirs) = (entries_of(&["x", "y"]), entries_of(&["p", "q", "r"]));
    let expect = Some(Index(0));
    let outcomes = rig.apply(&[
        LogCommand::Append { log, expect, entries: ours.as_ref() },
        LogCommand::Append { log, expect, entries: theirs.as_ref() },
        LogCommand::Append { log, expect: Some(Index(2)), entries: theirs.as_ref() },
    ]);
    assert_eq!(outcomes[0], LogOutcome::Appended { log, first: Index(0), count: 2 });
    assert_eq!(outcomes[1], LogOutcome::ExpectMismatch { log: Some(log), next: Index(2) });
    assert_eq!(outcomes[2], LogOutcome::Appended { log, first: Index(2), count: 3 });
    assert_eq!(rig.read(log, 0, 0, 0).concat(), b"xypqr");
}

// A deleted log's name is free, its id never comes back, and its entries do not show in a namesake.
#[test]
fn a_deleted_logs_id_is_never_used_again() {
    let mut rig = Rig::new();
    let old = rig.create("a");
    rig.append(old, None, &["old"]);
    let delete = LogCommand::Delete { log: old };
    assert_eq!(rig.apply(&[delete, delete]), [LogOutcome::Deleted(old), LogOutcome::UnknownLog]);

    assert_eq!(rig.append(old, None, &["late"]), LogOutcome::UnknownLog);
    assert_eq!(rig.machine.logs().stat(&LogRef::Id(old)), Err(LookupError::UnknownLog));
    assert_eq!(rig.machine.logs().stat(&by_name("a")), Err(LookupError::UnknownLog));
    assert_eq!(rig.machine.logs().next_index(old), None);
    assert!(rig.machine.reading(old, Index(0), 0, 0).is_none());
    assert_eq!(rig.machine.logs().retained(old), None);

    let new = rig.create("a");
    assert!(new > old, "{new} is not new beside {old}");
    assert_eq!(rig.machine.logs().next_index(new), Some(Index(0)));
    assert_eq!(rig.append(old, None, &["later"]), LogOutcome::UnknownLog);
    assert_eq!(rig.read(new, 0, 0, 0), Vec::<Vec<u8>>::new());
}

// Append-or-create makes a log on its first use and appends to it from then on.
#[test]
fn append_create_makes_the_log_once() {
    let mut rig = Rig::new();
    let entries = entries_of(&["e"]);
    let put = |expect: Option<u64>| LogCommand::AppendCreate {
        name: "fresh",
        created_ms: 5,
        expect: expect.map(Index),
        entries: entries.as_ref(),
    };
    let appended = |first| LogOutcome::Appended { log: LOG_1, first: Index(first), count: 1 };
    assert_eq!(rig.apply(&[put(Some(0)), put(None)]), [appended(0), appended(1)]);
    let mismatch = LogOutcome::ExpectMismatch { log: Some(LOG_1), next: Index(2) };
    assert_eq!(rig.apply(&[put(Some(0)), put(Some(2))]), [mismatch, appended(2)]);
    assert_eq!(rig.machine.logs().stat(&by_name("fresh")).unwrap().created_ms, 5);
    assert_eq!(rig.read(LOG_1, 0, 0, 0).len(), 3);
}

// Append-or-create is one atomic command: where the append is refused, no log appears either.
#[test]
fn a_refused_append_create_leaves_no_trace() {
    let mut rig = Rig::new();
    let entries = entries_of(&["e"]);
    let put = LogCommand::AppendCreate {
        name: "a",
        created_ms: 5,
        expect: Some(Index(4)),
        entries: entries.as_ref(),
    };
    let refused = LogOutcome::ExpectMismatch { log: None, next: Index(0) };
    assert_eq!(rig.apply(&[put]), [refused]);
    assert_eq!(rig.machine.logs().resolve("a"), None);
    let mut other = Rig::new();
    other.apply(&[LogCommand::Delete { log: LogId(77) }]);
    assert_eq!(rig.machine, other.machine, "as if another command had been refused");
}

// C22: a shard checks that a name hashes to it, and an id of another shard is distinguished from an
// unknown one.
#[test]
fn c22_names_and_ids_of_other_shards_are_refused() {
    let shards = 4;
    let name_of = |shard: u16| {
        (0..).map(|i| format!("log-{i}")).find(|n| ShardId::of_name(n, shards).0 == shard).unwrap()
    };
    let (ours, theirs) = (name_of(2), name_of(3));
    let mut rig = Rig::of(ShardId(2), shards);
    let id = rig.create(&ours);
    assert_eq!(id, LogId::new(ShardId(2), 1));
    let entries = entries_of(&["e"]);
    let entries = entries.as_ref();
    let foreign = LogId::new(ShardId(3), 1);
    let outcomes = rig.apply(&[
        LogCommand::Create { name: &theirs, created_ms: 0, retention: Retention::default() },
        LogCommand::AppendCreate { name: &theirs, created_ms: 0, expect: None, entries },
        LogCommand::AppendCreate { name: &theirs, created_ms: 0, expect: Some(Index(9)), entries },
        LogCommand::Append { log: foreign, expect: None, entries },
        LogCommand::Delete { log: foreign },
        LogCommand::Delete { log: LogId::new(ShardId(2), 2) },
    ]);
    assert_eq!(outcomes[..5], [LogOutcome::WrongShard; 5]);
    assert_eq!(outcomes[5], LogOutcome::UnknownLog);
    assert_eq!(rig.machine.logs().stat(&by_name(&theirs)), Err(LookupError::WrongShard));
    assert_eq!(rig.machine.logs().stat(&LogRef::Id(foreign)), Err(LookupError::WrongShard));
    assert_eq!(rig.machine.logs().count(), 1);
}

// Names are checked again when they are applied: a leader that forgot to is not obeyed.
#[test]
fn a_bad_name_is_refused_when_applied() {
    let mut rig = Rig::new();
    let entries = entries_of(&["e"]);
    for name in ["", "a\nb", "del\u{7f}"] {
        let create = LogCommand::Create { name, created_ms: 0, retention: Retention::default() };
        let entries = entries.as_ref();
        let put = LogCommand::AppendCreate { name, created_ms: 0, expect: None, entries };
        assert_eq!(rig.apply(&[create, put]), [LogOutcome::BadName; 2], "{name:?}");
    }
    assert_eq!(rig.machine.logs().count(), 0);
}

// Lists are pages in the order of the names' bytes, and `more` says whether another follows.
#[test]
fn lists_are_paged_by_prefix() {
    let mut rig = Rig::new();
    for name in ["b", "a/2", "a", "a/10", "é", "a/1", "a0"] {
        rig.create(name);
    }
    let list = |prefix, after, limit| {
        let (logs, more) = rig.machine.logs().list(prefix, after, limit);
        (logs.iter().map(|log| log.name.to_string()).collect::<Vec<_>>().join(" "), more)
    };
    let page = |names: &str, more| (names.to_string(), more);
    assert_eq!(list("", "", 100), page("a a/1 a/10 a/2 a0 b é", false));
    assert_eq!(list("a/", "", 2), page("a/1 a/10", true));
    assert_eq!(list("a/", "a/10", 2), page("a/2", false));
    assert_eq!(list("a/", "a/2", 2), page("", false));
    assert_eq!(list("a/", "a/15", 2), page("a/2", false), "`after` need not exist");
    assert_eq!(list("a/", "", 3), page("a/1 a/10 a/2", false), "full, and nothing behind");
    assert_eq!(list("b", "a", 9), page("b", false), "`after` before the prefix");
    assert_eq!(list("a", "b", 9), page("", false), "`after` behind the prefix");
    assert_eq!(list("", "", 0), page("", true));
}

// R18: slots are applied in order, no-ops included; one out of order is never applied.
#[test]
fn r18_the_watermark_moves_one_slot_at_a_time() {
    let mut rig = Rig::new();
    assert_eq!(rig.apply(&[]), []);
    rig.create("a");
    assert_eq!(rig.machine.applied_upto(), Slot(2));
    for slot in [Slot(1), Slot(2), Slot(4)] {
        let mut machine = rig.machine.clone();
        let applied = std::panic::catch_unwind(move || machine.apply(slot, &Value::noop()));
        assert!(applied.is_err(), "slot {slot} was applied behind slot 2");
    }
}

// R18: a value that cannot be understood to its end changes nothing, not even its first commands.
#[test]
fn r18_a_value_is_applied_whole_or_not_at_all() {
    let create = LogCommand::Create { name: "a", created_ms: 0, retention: Retention::default() };
    let good = value_of(&[create, LogCommand::Delete { log: LOG_1 }]);
    for end in 1..good.len() {
        let mut machine = Machine::new(ShardId(0), 1);
        let cut = Value::new(&good.bytes()[..end]);
        let error = machine.apply(Slot(1), &cut).unwrap_err();
        assert_eq!(error.slot, Slot(1));
        assert_eq!(machine, Machine::new(ShardId(0), 1), "cut at {end}");
    }
}

// C3: what a leadership proposed takes effect only behind all that it proposed before; else what was
// sent later on a connection would without what was sent earlier. (Found by the simulator: a second
// leader put its own values where a third found none of the first one's, but found those behind.)
#[test]
fn c03_a_leaderships_values_take_effect_in_an_unbroken_run_only() {
    let (b1, b2) = (Ballot::new(1, NodeId(1)), Ballot::new(2, NodeId(2)));
    let create = |name, leadership, first| {
        let mut builder = ValueBuilder::new();
        builder.push(LogCommand::Create { name, created_ms: 0, retention: Retention::default() });
        builder.build(leadership, first, 0)
    };
    let names_after = |values: &[Value]| {
        let mut machine = Machine::new(ShardId(0), 1);
        for (slot, value) in (1..).map(Slot).zip(values) {
            machine.apply(slot, value).unwrap();
        }
        let (logs, _) = machine.logs().list("", "", 9);
        logs.iter().map(|log| log.name.to_string()).collect::<String>()
    };
    let (a, b, c) = (create("a", b1, true), create("b", b1, false), create("c", b1, false));
    let (x, noop) = (create("x", b2, true), Value::noop());
    assert_eq!(names_after(&[a.clone(), b.clone(), c.clone()]), "abc");
    assert_eq!(names_after(&[a.clone(), noop.clone(), c.clone()]), "a");
    assert_eq!(names_after(&[noop, b.clone(), c.clone()]), "");
    assert_eq!(names_after(&[a.clone(), b.clone(), x.clone()]), "abx");
    assert_eq!(names_after(&[a.clone(), x.clone(), c.clone()]), "ax");
    assert_eq!(names_after(&[a, x, c.clone(), create("y", b2, false), c]), "ax");
}

// C28: what is trimmed counts as trimmed, as far as the leader found, never twice, and never more than
// was appended.
#[test]
fn c28_trimmed_bytes_are_no_part_of_a_logs_bytes() {
    let mut rig = Rig::new();
    let log = rig.create("a");
    let bytes = |rig: &Rig| rig.machine.logs().stat(&LogRef::Id(log)).unwrap().bytes;
    for entry in ["abc", "de", "f"] {
        rig.append(log, None, &[entry]);
    }
    let trim = |before, bytes_before| LogCommand::Trim { log, before: Index(before), bytes_before };
    rig.apply(&[trim(2, 5), trim(1, 3)]);
    assert_eq!(bytes(&rig), 1, "the second one trims nothing");
    rig.apply(&[LogCommand::Retain { log, version: 0, before: Index(2), bytes_before: 6 }]);
    assert_eq!(bytes(&rig), 1, "nothing more is trimmed");
    rig.apply(&[trim(3, u64::MAX)]);
    assert_eq!(bytes(&rig), 0);
}

// C28: a leader whose index is damaged does not know how many bytes a trim lets go, and says none. The count of the
// log's bytes is too high then, until the next trim of which it is known: what is found counts from the log's beginning.
#[test]
fn c28_the_next_trim_makes_up_for_one_of_unknown_bytes() {
    let mut rig = Rig::new();
    let log = rig.create("a");
    let bytes = |rig: &Rig| rig.machine.logs().stat(&LogRef::Id(log)).unwrap().bytes;
    for entry in ["abc", "de", "f", "ghij"] {
        rig.append(log, None, &[entry]);
    }
    let trim = |before, bytes_before| LogCommand::Trim { log, before: Index(before), bytes_before };
    rig.apply(&[trim(2, 0)]);
    assert_eq!(bytes(&rig), 10, "as if nothing had been trimmed");
    rig.apply(&[trim(3, 6)]);
    assert_eq!(bytes(&rig), 4, "all that was trimmed counts");
}

// C28: the stamp of the state is the highest of the values that took effect; extents carry it.
#[test]
fn c28_a_clock_that_is_set_back_moves_no_stamp_back() {
    let mut machine = Machine::new(ShardId(0), 1);
    let entries = entries_of(&["x"]);
    let mut stamps = Vec::new();
    for (slot, stamp_ms) in [(1, 500), (2, 400), (3, 600)] {
        let mut builder = ValueBuilder::new();
        let (created_ms, expect, entries) = (0, None, entries.as_ref());
        builder.push(LogCommand::AppendCreate { name: "a", created_ms, expect, entries });
        let value = builder.build(Ballot::ZERO, true, stamp_ms);
        let applied = machine.apply(Slot(slot), &value).unwrap();
        stamps.push((machine.stamp_ms(), applied.extents[0].1.stamp_ms));
    }
    assert_eq!(stamps, [(500, 500), (500, 500), (600, 600)]);
}

// C23: a cut is noted with its slot; one in a void value is none, and two in one slot are one.
#[test]
fn c23_a_cut_is_noted_where_it_takes_effect() {
    let cut = |round, is_first| {
        let mut builder = ValueBuilder::new();
        builder.push(CutCommand);
        builder.push(CutCommand);
        builder.build(Ballot::new(round, NodeId(1)), is_first, 0)
    };
    let mut machine = Machine::new(ShardId(0), 1);
    let mut cuts = Vec::new();
    let values = [cut(1, true), Value::noop(), cut(1, false), cut(2, true), cut(2, false)];
    for (slot, value) in (1..).zip(&values) {
        let outcomes = machine.apply(Slot(slot), value).unwrap().outcomes.len();
        check_state(&machine);
        cuts.push((machine.cuts().last(), machine.cuts().count(), outcomes));
    }
    let slot = Slot;
    let expected =
        [(slot(1), 1, 2), (slot(1), 1, 0), (slot(1), 1, 0), (slot(4), 2, 2), (slot(5), 3, 2)];
    assert_eq!(cuts, expected);
}

// R22, R23: replicas that applied the same values have equal states and digests, slot by slot.
#[test]
fn r23_replicas_that_applied_the_same_agree() {
    let (mut one, mut two) = (Rig::new(), Rig::new());
    for rig in [&mut one, &mut two] {
        let log = rig.create("a");
        rig.append(log, None, &["x", "y"]);
        rig.append(log, Some(7), &["refused"]);
        rig.create("b");
    }
    assert_eq!(one.machine, two.machine);
    assert_eq!(one.machine.digest(), two.machine.digest());
}

// R23: a digest differs for every difference that a state can have.
#[test]
fn r23_the_digest_sees_every_difference() {
    let story = |name: &str, created_ms, entries: &[&str], extra: &[LogCommand<'_>], slots| {
        let mut rig = Rig::new();
        rig.apply(&[LogCommand::Create { name, created_ms, retention: Retention::default() }]);
        rig.append(LOG_1, None, entries);
        rig.apply(extra);
        (0..slots).for_each(|_| drop(rig.apply(&[])));
        rig.machine.digest()
    };
    let create_b = LogCommand::Create { name: "b", created_ms: 7, retention: Retention::default() };
    let delete_b = LogCommand::Delete { log: LogId(2) };
    let digests = [
        story("a", 7, &["xy", "z"], &[], 0),
        story("A", 7, &["xy", "z"], &[], 0),
        story("a", 8, &["xy", "z"], &[], 0),
        story("a", 7, &["xY", "z"], &[], 0),
        story("a", 7, &["x", "yz"], &[], 0),
        story("a", 7, &["z", "xy"], &[], 0),
        story("a", 7, &["xyz"], &[], 0),
        story("a", 7, &["xy", "z", ""], &[], 0),
        story("a", 7, &["xy", "z"], &[create_b], 0),
        story("a", 7, &["xy", "z"], &[create_b, delete_b], 0),
        story("a", 7, &["xy", "z"], &[LogCommand::Delete { log: LOG_1 }], 0),
        story("a", 7, &["xy", "z"], &[], 1),
        Machine::new(ShardId(0), 1).digest(),
        Machine::new(ShardId(0), 2).digest(),
        Machine::new(ShardId(1), 2).digest(),
    ];
    let distinct: std::collections::BTreeSet<u64> = digests.into_iter().collect();
    assert_eq!(distinct.len(), digests.len(), "two states share a digest: {digests:x?}");
}

fn append(log: LogId, entries: &Entries) -> LogCommand<'_> {
    LogCommand::Append { log, expect: None, entries: entries.as_ref() }
}

// R23: the digest is that of the state, not of the way there: grouping and order between logs of
// appends do not show in it.
#[test]
fn r23_equal_states_have_equal_digests_whatever_built_them() {
    let (a, b) = (LogId(1), LogId(2));
    let mut one = Rig::new();
    one.create("a");
    one.create("b");
    let mut two = one.clone();
    one.append(a, None, &["1", "2"]);
    one.append(b, None, &["x"]);
    let (first, x, second) = (entries_of(&["1"]), entries_of(&["x"]), entries_of(&["2"]));
    two.apply(&[append(b, &x), append(a, &first)]);
    assert_ne!(one.machine.digest(), two.machine.digest());
    two.apply(&[append(a, &second)]);
    assert_eq!(one.machine.digest(), two.machine.digest());
}

// The digest is part of what nodes of different builds compare: its value must not drift.
#[test]
fn r23_the_digest_of_a_known_state_is_fixed() {
    let mut rig = Rig::new();
    rig.create("a");
    rig.append(LOG_1, None, &["x", "y"]);
    assert_eq!(rig.machine.digest(), 14_436_205_639_553_815_798);
}
