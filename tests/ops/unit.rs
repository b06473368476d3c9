//! `scripts/systemd/paxosd.service`: what it says agrees with the program, and shuts in no node
//! that behaves.

use crate::rig::node::clean_command;
use crate::rig::poll;
use crate::rig::{Cluster, Plan};
use crate::{root, run};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Child;

fn unit() -> String {
    fs::read_to_string(root().join("scripts/systemd/paxosd.service")).unwrap()
}

/// The values of a setting, in order.
fn settings(unit: &str, name: &str) -> Vec<String> {
    let values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.map(str::to_string).collect()
}

fn setting(unit: &str, name: &str) -> String {
    let values = settings(unit, name);
    assert_eq!(values.len(), 1, "{name} is set {} times", values.len());
    values[0].clone()
}

/// What a restart cannot help ends the service, all else starts it again; and the time that a clean
/// stop may take is less than what systemd allows.
#[test]
fn restarts_follow_the_exit_codes() {
    use paxosd::daemon::exit::NodeExit;
    let unit = unit();
    let helpless =
        [NodeExit::Usage, NodeExit::Data, NodeExit::Config].map(|exit| exit.code().to_string());
    assert_eq!(setting(&unit, "RestartPreventExitStatus"), helpless.join(" "));
    assert_eq!(setting(&unit, "Restart"), "on-failure");
    assert_eq!(setting(&unit, "Type"), "notify");
    assert_eq!(setting(&unit, "StartLimitIntervalSec"), "0");
    let seconds = |name| setting(&unit, name).trim_end_matches('s').parse::<u64>().unwrap();
    assert!(seconds("TimeoutStopSec") * 1000 > paxosd::limits::STOP_MS_MAX);
    assert!(seconds("WatchdogSec") >= 10, "a busy machine must not look like a stuck node");
}

/// The service's files agree with each other, and with the default of `--config`.
#[test]
fn paths_and_names_agree() {
    let unit = unit();
    let user = setting(&unit, "User");
    let sysusers = fs::read_to_string(root().join("scripts/systemd/paxosd.sysusers.conf")).unwrap();
    let home = format!("/var/lib/{}", setting(&unit, "StateDirectory"));
    let line = sysusers.lines().find(|line| line.starts_with("u ")).unwrap();
    assert!(line.starts_with(&format!("u {user} ")) && line.ends_with(&home), "{line}");
    let help = run(clean_command(env!("CARGO_BIN_EXE_paxosd")).args(["run", "--help"])).expect(0);
    let config = format!("/etc/{}/paxosd.toml", setting(&unit, "ConfigurationDirectory"));
    assert!(help.out.contains(&format!("[default: {config}]")), "{}", help.out);
    assert!(setting(&unit, "ExecStart").ends_with(&format!("paxosd run --config {config}")));
    assert!(setting(&unit, "ExecReload").contains("-HUP"));
    // Descriptors enough for the default of connections_max.
    let files: u64 = setting(&unit, "LimitNOFILE").parse().unwrap();
    assert!(files >= 10_000 + 512, "LimitNOFILE={files}");
}

/// The system calls that the unit's filter allows, as systemd itself takes the groups apart.
fn allowed(unit: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    // Always allowed where calls are listed, not forbidden (systemd.exec(5)).
    add(&mut allowed, "@default");
    for line in settings(unit, "SystemCallFilter") {
        let (forbid, words) = match line.strip_prefix('~') {
            Some(words) => (true, words),
            None => (false, line.as_str()),
        };
        let mut group = BTreeSet::new();
        words.split_whitespace().for_each(|word| add(&mut group, word));
        match forbid {
            true => allowed = allowed.difference(&group).cloned().collect(),
            false => allowed.extend(group),
        }
    }
    allowed
}

fn add(set: &mut BTreeSet<String>, word: &str) {
    if !word.starts_with('@') {
        set.insert(word.to_string());
        return;
    }
    let listing =
        run(clean_command("systemd-analyze").args(["--no-pager", "syscall-filter", word]));
    let listing = listing.expect(0).out;
    let members = listing.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let members: Vec<&str> = members.filter(|line| !line.is_empty() && *line != word).collect();
    assert!(!members.is_empty(), "systemd-analyze knows nothing of {word}");
    members.into_iter().for_each(|member| add(set, member));
}

/// A node under strace; killed when the test lets go of it.
struct Traced(Child);

impl Traced {
    /// Starts the node. strace is its grandchild (`-D`), so that the process is the node itself.
    fn start(config: &Path, trace: &Path) -> Traced {
        let mut command = clean_command("strace");
        command.args(["-D", "-f", "-q", "-o"]).arg(trace);
        command.args([env!("CARGO_BIN_EXE_paxosd"), "run", "--config"]).arg(config);
        Traced(command.spawn().unwrap())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // It has ended at worst.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node that starts with pinned shards, serves, is asked to read its log level again and stops
/// makes no system call that the service forbids.
#[test]
#[ignore = "needs root: strace and systemd-analyze, which .ci/run installs"]
fn no_call_of_a_node_is_forbidden() {
    let allowed = allowed(&unit());
    assert!(allowed.contains("sched_setaffinity") && !allowed.contains("ptrace"));
    let mut cluster = Cluster::laid_out(Plan::small(3).shards(2).key("pin", true));
    let trace = cluster.folder().join("trace");
    cluster.node_mut(2).start();
    cluster.node_mut(3).start();
    let mut traced = Traced::start(&cluster.node(1).config(), &trace);
    cluster.wait_ready();
    for log in ["a", "b", "c", "d"] {
        cluster.ctl(["append", log, "x", "--create"]).expect(0);
        cluster.ctl(["read", log]).expect(0);
    }
    kill_process(Pid::from_child(&traced.0), Signal::TERM).unwrap();
    let ended = poll::until("the traced node has ended", || traced.0.try_wait().unwrap());
    assert!(ended.success(), "{ended}");

    let text = poll::until("the trace is written to its end", || {
        let text = fs::read_to_string(&trace).ok()?;
        text.contains("+++ exited with 0 +++").then_some(text)
    });
    let mut used = BTreeSet::new();
    for line in text.lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        match call.split_once('(') {
            // A thread that the end of the process caught before strace could read its call's number.
            Some(("???", _)) => assert!(line.ends_with("<unfinished ...>"), "{line}"),
            Some((name, _)) => drop(used.insert(name.to_string())),
            None => {}
        }
    }
    assert!(used.contains("sched_setaffinity") && used.contains("fdatasync"), "{used:?}");
    // The service manager makes this one before the filter stands.
    used.remove("execve");
    let forbidden: Vec<&String> = used.difference(&allowed).collect();
    assert!(forbidden.is_empty(), "the service forbids what a node does: {forbidden:?}");
    // A call that another thread interrupts stands on two lines.
    let pinned = text.lines().any(|l| l.contains("sched_setaffinity") && l.ends_with("= 0"));
    assert!(pinned, "no thread was pinned");
}
