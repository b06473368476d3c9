//! Files that were changed behind a stopped node's back: the node repairs, or refuses to start and
//! names the place. It never serves what was not appended, and never forgets what was.

use crate::dev::{self, Dev};
use crate::rig::history::{History, Stopwatch};
use crate::rig::node::files;
use crate::rig::verdict::judge;
use crate::rig::writer::{Load, RunLog, contents};
use crate::rig::{Cluster, Plan, poll};
use paxosd::client::{Client, Consistency};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// A place in a file where bits are turned.
#[derive(Clone, Debug)]
struct Flip {
    file: PathBuf,
    offset: u64,
}

impl Flip {
    /// Turns the bits; once more, and they are as they were.
    fn turn(&self) {
        let mut bytes = fs::read(&self.file).unwrap();
        bytes[usize::try_from(self.offset).unwrap()] ^= 0x55;
        fs::write(&self.file, bytes).unwrap();
    }
}

/// Where that text stands in the journal for the first time.
#[track_caller]
fn find(journal: &Path, text: &[u8]) -> Flip {
    for file in files(journal, "segment-") {
        let bytes = fs::read(&file).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            return Flip { file, offset: at as u64 };
        }
    }
    panic!("{:?} is nowhere in {}", String::from_utf8_lossy(text), journal.display());
}

/// The same place, so many bytes further on, or back.
fn beside(flip: &Flip, by: i64) -> Flip {
    Flip { offset: flip.offset.checked_add_signed(by).unwrap(), ..flip.clone() }
}

/// The log as the node itself has it, once it has as many entries as wanted; or how the node ended.
fn served(cluster: &mut Cluster, id: u16, wanted: usize) -> Result<(), ExitStatus> {
    let mut client: Option<Client> = None;
    poll::until(&format!("node {id} serves {wanted} entries, or ends"), || {
        if let Some(status) = cluster.node_mut(id).ended() {
            return Some(Err(status));
        }
        if client.is_none() {
            let listens = cluster.node(id).log().contains("listening for clients");
            client = listens.then(|| Client::connect(cluster.options_of(id)).ok()).flatten();
        }
        let read = contents(client.as_mut()?, "orders", Consistency::Local).ok()?;
        // What it serves, it serves right; `judge` looks at all of it at the end.
        assert!(read.iter().all(Option::is_some), "node {id} serves bytes that nobody appended");
        (read.len() >= wanted).then_some(Ok(()))
    })
}

/// A follower with turned bits in values, record headers, descriptors and hard state either comes
/// back whole or exits 65 naming file and offset; the cluster does not mind.
#[test]
fn a_damaged_follower_repairs_or_refuses() {
    let mut cluster = Cluster::up(Plan::small(3));
    let log = RunLog { number: 0, name: "orders".to_string() };
    let mut history = History::default();
    let watch = Stopwatch::start();
    let mut last = 0;
    for round in 0..2 {
        let load = Load::start(&cluster, round, log.clone(), watch);
        load.wait_more(100);
        history.add(load.finish());
        cluster.wait_ready();
        last = round;
    }
    let follower = cluster.follower(0);
    assert_eq!(cluster.node_mut(follower).stop().code(), Some(0));
    let journal = cluster.node(follower).journal(0);
    let (early, late) =
        (find(&journal, b"w0-20;"), find(&journal, format!("w{last}-60;").as_bytes()));
    let descriptor = Flip { offset: (1 << 20) - 4096 + 16, ..early.clone() };
    let hard = files(&journal, "hard-state");
    let hard = Flip { file: hard[0].clone(), offset: 24 };
    let places = [early.clone(), beside(&early, -40), late, descriptor, hard];
    let (acknowledged, _, _) = history.outcomes();
    for place in &places {
        place.turn();
        cluster.node_mut(follower).start();
        match served(&mut cluster, follower, acknowledged) {
            Ok(()) => {
                cluster.node_mut(follower).stop();
            }
            Err(status) => {
                let log = cluster.node(follower).log_tail();
                assert_eq!(status.code(), Some(65), "{place:?}:\n{log}");
                let name = place.file.file_name().unwrap().to_str().unwrap();
                assert!(log.contains(name) && log.contains("offset"), "{place:?}:\n{log}");
            }
        }
        place.turn();
    }
    cluster.node_mut(follower).start();
    cluster.wait_ready();
    assert_eq!(judge(&history, &[cluster.outcome("orders")]), Vec::<String>::new());
}

/// What a follower fetched again from its peers is no damage any more: its later starts and `verify`
/// say that it is mended, which is a note.
#[test]
fn what_was_fetched_again_is_mended() {
    let mut cluster = Cluster::up(Plan::small(3));
    cluster.ctl(["append", "orders", "an entry of some length", "--create"]).expect(0);
    cluster.ctl(["append", "orders", "another"]).expect(0);
    cluster.wait_ready();
    let follower = cluster.follower(0);
    cluster.node_mut(follower).stop();
    let data = cluster.node(follower).data();
    find(&cluster.node(follower).journal(0), b"an entry of some length").turn();
    let verify = || crate::rig::ctl::paxosctl(["verify", data.to_str().unwrap()]);
    verify().expect(11).says("damaged");
    cluster.node_mut(follower).start();
    poll::until("the damaged slot is settled", || {
        cluster.node(follower).log().contains("0 damaged slots left").then_some(())
    });
    cluster.node_mut(follower).stop();
    verify().expect(0).says("mended");
    cluster.node_mut(follower).start();
    cluster.wait_ready();
    let log = cluster.node(follower).log();
    let last = log.lines().rfind(|line| line.contains("replayed ")).unwrap();
    assert!(last.contains("damaged 0") && last.contains("mended 1"), "{last}");
}

/// A node without peers has nobody to mend it: a value that does not verify ends its start with 65,
/// file and offset, and nothing in its directory is changed. Of a header there is a second copy.
#[test]
fn a_damaged_single_node_refuses() {
    let folder = tempfile::TempDir::new().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&data);
    dev.ctl(&["create", "diary"]);
    let days: String = (0..20).map(|day| format!("day {day}: nothing happened\n")).collect();
    for day in days.lines() {
        dev.ctl(&["append", "diary", day]);
    }
    assert_eq!(dev.stop(), Some(0));
    let place = find(&data.join("shard-000"), b"day 3: nothing");
    place.turn();
    let before = fs::read(&place.file).unwrap();
    let name = place.file.file_name().unwrap().to_str().unwrap();
    dev::refused(&data).expect(65).says(name).says("offset");
    assert!(fs::read(&place.file).unwrap() == before, "the damaged file was changed");
    place.turn();
    beside(&place, -60).turn();
    let dev = Dev::start(&data);
    assert_eq!(dev.ctl(&["read", "diary"]), days);
}
