//! `paxosctl disk-check`: what it measures, what it warns of, and that its file is gone afterwards,
//! however it ends.

use crate::rig::ctl::{Ran, paxosctl};
use crate::rig::mounted::Mounted;
use crate::rig::node::clean_command;
use crate::rig::poll;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

/// A short check of a directory, as JSON.
fn check(dir: &Path, arguments: &[&str]) -> Ran {
    let dir = dir.to_str().unwrap();
    let short = ["disk-check", dir, "--seconds", "0.2", "--bytes", "1MiB"];
    paxosctl([&short[..], arguments].concat())
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

/// The numbers hang together, the table shows them, and the file is gone.
#[test]
fn a_disk_is_measured_and_left_as_it_was() {
    let folder = TempDir::new().unwrap();
    let ran = check(folder.path(), &["-o", "json"]).expect(0);
    let reported: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let sync = |name: &str| reported["sync_us"][name].as_u64().unwrap();
    let order = ["min", "p50", "p90", "p99", "p99_9", "max"].map(sync);
    assert!(order.is_sorted(), "{reported}");
    // Each batch has at least a block of data and one of descriptors.
    let (syncs, bytes) = (reported["syncs"].as_u64().unwrap(), reported["bytes"].as_u64().unwrap());
    assert!(syncs > 0 && bytes >= syncs * 8192 && reported["file_bytes"] == 1 << 20, "{reported}");
    assert!(reported["seconds"].as_f64().unwrap() >= 0.2, "{reported}");
    let system = &reported["file_system"];
    assert!(
        system["free_bytes"].as_u64().unwrap() > 0 && system["read_only"] == false,
        "{reported}"
    );
    assert!(folder.path().starts_with(system["mount_point"].as_str().unwrap()), "{reported}");
    check(folder.path(), &[]).expect(0).says("syncs/s").says("p99.9").says("free, writable");
    assert_eq!(check(folder.path(), &["-o", "raw"]).expect(0).out.split(' ').count(), 2);
    assert!(is_empty(folder.path()), "a file stayed behind");
}

/// Stopped in the middle, it dies of the signal as a shell expects, and its file is gone.
#[test]
fn an_interrupted_check_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = TempDir::new().unwrap();
        let mut command = clean_command(env!("CARGO_BIN_EXE_paxosctl"));
        command.arg("disk-check").arg(folder.path()).args(["--seconds", "600"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        poll::until("the file is there", || (!is_empty(folder.path())).then_some(()));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let ended = poll::until("it has ended", || child.try_wait().unwrap());
        assert_eq!(ended.signal(), Some(signal.as_raw()), "{ended:?}");
        assert!(is_empty(folder.path()), "a file stayed behind");
    }
}

/// What cannot be measured is said to be so, each with its exit code.
#[test]
fn what_cannot_be_measured_says_why() {
    let folder = TempDir::new().unwrap();
    check(&folder.path().join("gone"), &[]).expect(3).says("does not exist");
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    check(&file, &[]).expect(2).says("is a file");
    paxosctl(["disk-check", folder.path().to_str().unwrap(), "--bytes", "7"]).expect(2);
}

/// Memory is warned of, with advice; a file that does not fit is not begun; and what is mounted
/// read-only is said to be so.
#[test]
#[ignore = "needs root: mounts tmpfs"]
fn memory_small_and_read_only_file_systems_are_reported() {
    let memory = Mounted::new(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
    let dir = memory.path();
    let ran = check(dir, &["-o", "json"]).expect(0);
    let reported: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(reported["file_system"]["kind"], "tmpfs");
    let warning = &reported["warnings"][0];
    assert!(warning["what"].as_str().unwrap().contains("memory"), "{reported}");
    assert!(warning["advice"].as_str().unwrap().contains("local disk"), "{reported}");
    check(dir, &[]).expect(0).says("warning: tmpfs is memory").says("what to do:");
    let text = dir.to_str().unwrap();
    paxosctl(["disk-check", text, "--bytes", "64MiB"]).expect(6).says("4 MiB free");
    let locked = Mounted::new(&["-t", "tmpfs", "-o", "ro", "tmpfs"]);
    check(locked.path(), &[]).expect(1).says("mounted read-only").says("remount");
}
