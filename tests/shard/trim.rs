//! Stories about trimming, sealing and retention.

use crate::node::{Node, append, code, create, log, read, texts};
use crate::trio_rig::Trio;
use paxosd::api::error::{Detail, ErrorCode};
use paxosd::api::name::LogName;
use paxosd::api::{AttributeChanges, LogStat, Reply, Request, SetAttributes, Stat, Trim, Trimmed};
use paxosd::api::{Consistency, Create, ReadDone, Retention};
use paxosd::paxos::Timing;
use paxosd::shard::CutOptions;
use paxosd::types::{Index, LogId};

fn trim(name: &str, before: u64) -> Request {
    Request::Trim(Trim { log: log(name), before: Index(before) })
}

fn set(name: &str, changes: AttributeChanges) -> Request {
    Request::SetAttributes(SetAttributes { log: log(name), changes })
}

fn keep_entries(entries: u64) -> AttributeChanges {
    AttributeChanges { retain_entries: Some(entries), ..AttributeChanges::default() }
}

fn stat(node: &mut Node, name: &str) -> LogStat {
    let asked = Stat { log: log(name), consistency: Consistency::Linearizable };
    match node.ask(Request::Stat(asked)) {
        Reply::Stated(stat) => stat,
        other => panic!("{other:?}"),
    }
}

/// A log of so many entries, each in a slot of its own.
fn with_entries(count: u64) -> Node {
    let mut node = Node::new();
    node.ask(create("a"));
    for nth in 0..count {
        node.ask(Request::Append(append("a", &format!("{nth}"))));
    }
    node
}

#[track_caller]
fn is_trimmed(reply: &Reply, first: u64) {
    let Reply::Error(error) = reply else { panic!("{reply:?}") };
    let detail = Detail::First { log: LogId(1), first: Index(first) };
    assert_eq!((error.code, &error.detail), (ErrorCode::Trimmed, &detail), "{error}");
}

/// C28: what is trimmed is gone for every reader at once, whoever asks says so with the first index that
/// is left, and no index moves.
#[test]
fn c28_a_trimmed_entry_is_gone_and_no_index_moves() {
    let mut node = with_entries(5);
    let trimmed = Trimmed { id: LogId(1), first: Index(3), next: Index(5) };
    assert_eq!(node.ask(trim("a", 3)), Reply::Trimmed(trimmed));
    for from in 0..3 {
        is_trimmed(&node.ask(read("a", from, 0)), 3);
    }
    let Reply::ReadDone(done) = node.ask(read("a", 3, 0)) else { panic!("3 is left") };
    let ReadDone { first, next, .. } = done;
    assert_eq!((first, next, done.entries.count()), (Index(3), Index(5), 2));
    match node.ask(Request::Append(append("a", "next"))) {
        Reply::Appended(appended) => assert_eq!(appended.first, Index(5)),
        other => panic!("{other:?}"),
    }
    // Less than was trimmed before trims nothing; more than there is, is refused whole.
    let trimmed = Trimmed { id: LogId(1), first: Index(3), next: Index(6) };
    assert_eq!(node.ask(trim("a", 1)), Reply::Trimmed(trimmed));
    assert_eq!(code(&node.ask(trim("a", 7))), Some(ErrorCode::PastEnd));
    // A log may be trimmed to nothing; it goes on where it was.
    node.ask(trim("a", 6));
    let Reply::ReadDone(done) = node.ask(read("a", 6, 0)) else { panic!("the end is no error") };
    assert_eq!((done.first, done.next, done.entries.count()), (Index(6), Index(6), 0));
}

/// C28: so it stays over a restart.
#[test]
fn c28_what_was_trimmed_stays_trimmed_after_a_restart() {
    let mut node = with_entries(5);
    node.ask(trim("a", 4));
    node.ask(set("a", AttributeChanges { seal: true, ..keep_entries(9) }));
    let before = stat(&mut node, "a");
    let mut node = Node::open(node.storage.duplicate());
    is_trimmed(&node.ask(read("a", 0, 0)), 4);
    assert_eq!(stat(&mut node, "a"), before);
}

/// C28: a read that began before entries were trimmed does not answer them: it would be the only one
/// that still could.
#[test]
fn c28_a_read_under_way_answers_nothing_that_was_trimmed_meanwhile() {
    let node = with_entries(5);
    let mut node = Node::open(node.storage.duplicate());
    node.hold_reads = true;
    let asked = node.send(1, read("a", 1, 0));
    node.tick();
    assert!(node.take(1, asked).is_none(), "its value is on disk");
    node.ask(trim("a", 2));
    node.release();
    is_trimmed(&node.take(1, asked).expect("answered"), 2);
}

/// C28: a trim of entries that are on their way waits for them, and lets go what they bring: none of its
/// bytes count, and who waited for them was answered before.
#[test]
fn c28_a_trim_waits_for_entries_on_their_way() {
    let mut node = with_entries(1);
    let waits = node.send(1, read("a", 1, 60_000));
    node.tick();
    assert!(node.take(1, waits).is_none());
    node.hold = true;
    node.send(2, Request::Append(append("a", "on its way")));
    let trims = node.send(2, trim("a", 2));
    node.tick();
    assert!(node.take(2, trims).is_none(), "nothing is durable");
    node.release();
    node.tick();
    assert_eq!(texts(node.take(1, waits)), ["on its way"]);
    let trimmed = Trimmed { id: LogId(1), first: Index(2), next: Index(2) };
    assert_eq!(node.take(2, trims), Some(Reply::Trimmed(trimmed)));
    assert_eq!(stat(&mut node, "a").bytes, 0);
}

/// C28: a sealed log takes no more entries, whatever the append is about, and is read as ever. A seal is
/// set once and stays.
#[test]
fn c28_a_sealed_log_takes_no_more() {
    let mut node = with_entries(2);
    let seal = AttributeChanges { seal: true, ..AttributeChanges::default() };
    assert_eq!(node.ask(set("a", seal)), Reply::AttributesSet);
    let refused = node.ask(Request::Append(append("a", "x")));
    let Reply::Error(error) = refused else { panic!("{refused:?}") };
    let detail = Detail::Next { log: LogId(1), next: Index(2) };
    assert_eq!((error.code, error.detail), (ErrorCode::Sealed, detail));
    node.ask(set("a", keep_entries(7)));
    assert_eq!(code(&node.ask(Request::Append(append("a", "x")))), Some(ErrorCode::Sealed));
    let answered = node.ask(read("a", 0, 0));
    assert_eq!(texts(Some(answered)), ["0", "1"]);
}

/// C28: an append behind a seal that is still under way is refused; one before it is not.
#[test]
fn c28_appends_behind_a_seal_are_refused() {
    let mut node = with_entries(1);
    let seal = AttributeChanges { seal: true, ..AttributeChanges::default() };
    let before = node.send(1, Request::Append(append("a", "before")));
    let sealed = node.send(1, set("a", seal));
    let behind = node.send(1, Request::Append(append("a", "behind")));
    node.tick();
    node.tick();
    assert!(matches!(node.take(1, before), Some(Reply::Appended(_))));
    assert_eq!(node.take(1, sealed), Some(Reply::AttributesSet));
    assert_eq!(code(&node.take(1, behind).expect("answered")), Some(ErrorCode::Sealed));
}

/// C28: with a retention a log trims itself, entry by entry and whatever comes, but for its last entry.
#[test]
fn c28_retention_trims_what_need_not_be_kept() {
    let mut node = with_entries(10);
    node.ask(set("a", keep_entries(3)));
    node.pass(3_000_000);
    assert_eq!(stat(&mut node, "a").first_index, Index(7));
    node.ask(Request::Append(append("a", "10")));
    node.pass(3_000_000);
    assert_eq!(stat(&mut node, "a").first_index, Index(8));
    // Every entry has one or two bytes: fewer than there are behind the last one.
    let bytes = AttributeChanges { retain_bytes: Some(1), ..AttributeChanges::default() };
    node.ask(set("a", bytes));
    node.pass(3_000_000);
    let stat = stat(&mut node, "a");
    assert_eq!((stat.first_index, stat.next_index), (Index(10), Index(11)));
    assert_eq!(texts(Some(node.ask(read("a", 10, 0)))), ["10"]);
}

/// C28: of a log that is over its limit nothing can go, for its last entry stays. The leader finds that out, and followers
/// do not say that anything waits.
#[test]
fn c28_followers_do_not_say_what_waits() {
    let mut trio = Trio::new(Timing::default());
    let leader = trio.leader();
    trio.ask(leader, create("a"));
    // They are chosen together, so that they go together.
    let appends = ["0", "1", "2"].map(|text| Request::Append(append("a", text)));
    trio.send_together(leader, appends.to_vec());
    let bytes = AttributeChanges { retain_bytes: Some(1), ..AttributeChanges::default() };
    trio.ask(leader, set("a", bytes));
    let waits = |trio: &Trio| {
        trio.members.iter().map(|it| it.shard.backlog().logs_over_retention).collect::<Vec<_>>()
    };
    assert_eq!(waits(&trio)[leader], 1, "nothing was to go");
    trio.pass(10_000_000);
    assert_eq!(waits(&trio), [0, 0, 0]);
}

/// C28: an age lets go what is too old by the stamps of values, on disk and in memory, but for the last
/// entry; and looks again when the next one is.
#[test]
fn c28_an_age_lets_go_what_is_too_old() {
    let cuts =
        CutOptions { bytes: 1 << 30, slots: 3, extents: 1 << 20, idle_us: 1 << 40, gap_us: 0 };
    let mut node = Node::with_cuts(cuts);
    let day = 86_400_000;
    let mut wall = 1_800_000_000_000;
    node.shard.set_wall_ms(wall);
    node.ask(create("a"));
    for nth in 0..20 {
        wall += 1000;
        node.pass(1_000_000);
        node.shard.set_wall_ms(wall);
        node.ask(Request::Append(append("a", &format!("{nth}"))));
    }
    let age = AttributeChanges { retain_age_ms: Some(5_500), ..AttributeChanges::default() };
    node.ask(set("a", age));
    node.pass(3_000_000);
    assert_eq!(stat(&mut node, "a").first_index, Index(14), "kept are those of 5.5 s");
    for (passes, first) in [(2_000, 16), (day, 19), (day, 19)] {
        wall += passes;
        node.pass(passes.min(10_000) * 1000);
        node.shard.set_wall_ms(wall);
        node.pass(3_000_000);
        assert_eq!(stat(&mut node, "a").first_index, Index(first), "{passes} ms later");
    }
    assert_eq!(texts(Some(node.ask(read("a", 19, 0)))), ["19"]);
}

/// C28: the owner doubles the retention while a trim under the old one is proposed: it is without effect.
#[test]
fn c28_a_trim_by_an_older_retention_is_without_effect() {
    let mut node = with_entries(10);
    node.ask(set("a", keep_entries(2)));
    // The change is ahead of the trim in the sequence: both are in the value of one turn.
    let changed = node.send(1, set("a", keep_entries(8)));
    node.now = node.now.after(2_000_000);
    node.tick();
    assert_eq!(node.take(1, changed), Some(Reply::AttributesSet));
    assert_eq!(stat(&mut node, "a").first_index, Index(0), "trimmed by what no longer holds");
    node.pass(3_000_000);
    assert_eq!(stat(&mut node, "a").first_index, Index(2));
}

/// C28: a log keeps from its first entry on what its creation says; its age limit goes along.
#[test]
fn c28_a_log_is_created_with_its_retention() {
    let mut node = Node::new();
    let retention = Retention { bytes: 0, entries: 2, age_ms: 604_800_000 };
    let name = LogName::new("a").expect("a name");
    node.ask(Request::Create(Create { name, retention }));
    for nth in 0..5 {
        node.ask(Request::Append(append("a", &format!("{nth}"))));
    }
    node.pass(3_000_000);
    let log = stat(&mut node, "a");
    assert_eq!((log.first_index, log.next_index), (Index(3), Index(5)));
    assert_eq!((log.attributes.version, log.attributes.retention), (0, retention));
    let aged = AttributeChanges { retain_age_ms: Some(500), ..AttributeChanges::default() };
    node.ask(set("a", aged));
    let attributes = stat(&mut node, "a").attributes;
    assert_eq!((attributes.version, attributes.retention.age_ms), (1, 500));
    assert_eq!(attributes.retention.entries, 2, "what is not named stays");
}
