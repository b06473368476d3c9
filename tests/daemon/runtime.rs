//! A daemon among its keepers: the service manager, the one who edits its configuration, and whoever
//! should read its log.

use crate::config::Site;
use crate::injected::Injected;
use crate::poll;
use crate::rig::{Daemon, PATIENCE, Raw, append, said};
use crate::service::Service;
use paxosd::api::Reply;
use paxosd::api::error::ErrorCode;
use rustix::process::Signal;
use signal_hook::consts::SIGTERM;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

/// Connections that come and go, each of which gets a line: more than a pipe and the queue before it
/// hold.
const VISITS: usize = 4000;
/// With every line.
const LOUD: [(&str, &str); 1] = [("PAXOSD_LOG_LEVEL", "debug")];

/// Started means replayed and listening, though none of its peers is there; stopping is reported
/// too.
#[test]
fn started_means_replayed_and_listening() {
    let mut service = Service::start(Site::new(3), &[]);
    let first = service.next_message();
    assert!(first.starts_with("EXTEND_TIMEOUT_USEC="), "{first}");
    assert!(first.contains("STATUS=replaying the journal"), "{first}");
    service.wait_for("READY=1");
    TcpStream::connect(&service.site.client).unwrap();
    // Until the shard has said so, it only leads nothing.
    let status = service.wait_for("STATUS=shard 0: the cluster has not formed");
    assert!(status.contains("it waits for nodes 2 and 3"), "{status}");
    service.signal(Signal::TERM);
    service.wait_for("STOPPING=1");
    assert_eq!(service.ended(), Some(0));
    let log = service.log();
    let replayed = log.lines().filter(|line| line.contains("shard 0: replayed ")).count();
    assert_eq!(replayed, 1, "{log}");
    assert!(log.contains("torn 0, suspect 0, damaged 0, one copy lost 0, mended 0"), "{log}");
}

/// The status follows what the node does.
#[test]
fn the_status_says_who_leads() {
    let service = Service::start(Site::new(1), &[]);
    let status = service.wait_for("STATUS=leads 1");
    assert!(status.contains("every shard has a leader"), "{status}");
}

/// Writes the configuration anew and hangs up; returns the log when the node has read it.
fn hang_up(service: &Service, text: &str) -> String {
    fs::write(service.site.file(), text).unwrap();
    service.signal(Signal::HUP);
    let begun = service.wait_for("RELOADING=1");
    assert!(begun.contains("MONOTONIC_USEC="), "{begun}");
    service.wait_for("READY=1");
    service.log()
}

/// SIGHUP takes the log level over; keys that a running node cannot take over are named, a broken
/// file is refused, and the node goes on with what it has.
#[test]
fn sighup_takes_over_what_it_can() {
    let mut service = Service::start(Site::new(1), &[]);
    service.wait_for("READY=1");
    let text = service.site.text().to_string();
    let hang_up = |text: &str| hang_up(&service, text);

    let log = hang_up(&format!("log_level = \"debug\"\n{text}"));
    assert!(log.contains("log_level was info and is debug now"), "{log}");
    assert!(!log.contains("only a restart takes it over"), "{log}");

    let log = hang_up(&format!("log_level = \"debug\"\non_dispute = \"append\"\n{text}"));
    assert!(log.contains("on_dispute was stop and is append now"), "{log}");
    assert!(!log.contains("only a restart takes it over"), "{log}");

    let log = hang_up(&format!("log_level = \"warn\"\nlease_ms = 700\npin = true\n{text}"));
    assert!(log.contains("log_level was debug and is warn now"), "{log}");
    assert!(log.contains("lease_ms, pin changed and only a restart takes it over"), "{log}");

    let log = hang_up(&format!("log_level = \"loud\"\nlease_ms = true\n{text}"));
    assert!(log.contains("cannot be used, nothing changes, log_level stays at warn"), "{log}");
    assert!(log.contains(":1: log_level") && log.contains(":2: lease_ms"), "{log}");

    let (mut raw, _) = Raw::open(&service.site.client, 0);
    let reply = raw.ask_leader(&append("orders", b"still here"));
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
    service.signal(Signal::TERM);
    assert_eq!(service.ended(), Some(0));
}

/// R11: in an emergency `min_free_bytes` is lowered, and the node, which refuses appends for want of
/// space, takes them again without a restart.
#[test]
fn r11_sighup_takes_over_min_free_bytes() {
    let mut service = Service::start(Site::new(1), &[]);
    service.wait_for("STATUS=leads 1");
    let text = service.site.text().to_string();
    let all = text.replace("min_free_bytes = 0", "min_free_bytes = 1125899906842624");
    let log = hang_up(&service, &all);
    assert!(log.contains("min_free_bytes was 0 and is 1125899906842624 now"), "{log}");
    assert!(!log.contains("only a restart takes it over"), "{log}");

    let (mut raw, _) = Raw::open(&service.site.client, 0);
    let mebibyte = append("orders", &vec![b'x'; 1 << 20]);
    let mut answers = (1..60).map(|correlation| raw.ask(correlation, &mebibyte));
    let refused = answers.find(|reply| !matches!(reply, Reply::Appended(_)));
    match refused {
        Some(Reply::Error(error)) => assert_eq!(error.code, ErrorCode::DiskFull, "{error}"),
        other => panic!("a disk of which nothing may be used took 60 MiB: {other:?}"),
    }

    let log = hang_up(&service, &text);
    assert!(log.contains("min_free_bytes was 1125899906842624 and is 0 now"), "{log}");
    poll::until("appends are taken again", || {
        matches!(raw.ask(100, &mebibyte), Reply::Appended(_)).then_some(())
    });
    service.signal(Signal::TERM);
    assert_eq!(service.ended(), Some(0));
}

/// What the environment says is stronger than the file, and SIGHUP says so.
#[test]
fn sighup_does_not_override_the_environment() {
    let service = Service::start(Site::new(1), &[("PAXOSD_LOG_LEVEL", "info")]);
    service.wait_for("READY=1");
    let text = format!("log_level = \"debug\"\n{}", service.site.text());
    fs::write(service.site.file(), text).unwrap();
    service.signal(Signal::HUP);
    service.wait_for("RELOADING=1");
    service.wait_for("READY=1");
    let log = service.log();
    assert!(log.contains("log_level stays at info: PAXOSD_LOG_LEVEL in the environment"), "{log}");
}

/// The watchdog is fed again and again while the loops turn.
#[test]
fn the_watchdog_is_fed() {
    let service = Service::start(Site::new(1), &[("WATCHDOG_USEC", "400000")]);
    service.wait_for("READY=1");
    for _ in 0..10 {
        service.wait_for("WATCHDOG=1");
    }
}

/// A stalled disk does not stop the feeding: a restart would not make the disk any faster. What it
/// made wait is logged.
#[test]
#[ignore = "needs root: strace stalls the syncs of a running process"]
fn the_watchdog_is_fed_while_the_disk_stalls() {
    let mut service = Service::start(Site::new(1), &[("WATCHDOG_USEC", "400000")]);
    service.wait_for("STATUS=leads 1");
    let (mut raw, _) = Raw::open(&service.site.client, 0);
    let reply = raw.ask_leader(&append("orders", b"before"));
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
    let stalled = Injected::stalled(service.pid());
    let mut bytes = Vec::new();
    paxosd::wire::client::write_request(&mut bytes, 7, &append("orders", b"into the stall"));
    raw.send(&bytes);
    for _ in 0..100 {
        service.wait_for("WATCHDOG=1");
    }
    raw.stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let waiting = raw.stream.peek(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(waiting, Err(ErrorKind::WouldBlock), "answered, so that the disk did not stall");
    drop(stalled);
    raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (_, reply) = raw.reply().expect("an answer");
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
    service.signal(Signal::TERM);
    assert_eq!(service.ended(), Some(0));
    let log = service.log();
    let warns = |what: &str, key: &str| {
        log.lines().any(|line| line.contains(what) && line.contains(key) && line.contains(" took "))
    };
    assert!(warns("a write and sync in", "slow_sync_ms"), "{log}");
    assert!(warns("shard 0: an append of", "slow_request_ms"), "{log}");
}

/// Log lines that nobody reads hold nothing up: the node serves, and says later how many are lost.
#[test]
fn an_unread_log_holds_nothing_up() {
    let daemon = Daemon::start(&LOUD);
    visit_often(&daemon);
    let (mut raw, _) = Raw::open(&daemon.address, 0);
    let reply = raw.ask_leader(&append("orders", b"served all the same"));
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
    drop(raw);
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0));
    let lost = log.lines().find(|line| line.contains("log lines were dropped"));
    let lost = lost.unwrap_or_else(|| panic!("no line says what is lost:\n{log}"));
    let count = lost.split(' ').find_map(|word| word.parse::<usize>().ok());
    assert!(count.is_some_and(|count| count > 0 && count < VISITS), "{lost}");
}

/// A process whose log nobody reads still ends when it is asked to.
#[test]
fn an_unread_log_does_not_keep_a_process() {
    let daemon = Daemon::start(&LOUD);
    visit_often(&daemon);
    daemon.signal(SIGTERM);
    assert_eq!(daemon.ended_unread(), Some(0));
}

/// A failure is out on standard error before the process is gone, whatever the log level.
#[test]
fn the_last_words_come_out() {
    let site = Site::new(1);
    let environment = [("PAXOSD_LOG_LEVEL", "error")];
    let output = crate::rig::run(&["run", "--config", site.file()], &environment);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(said(&output).contains("paxosd init"), "{output:?}");
}

/// Connections that come and go, each with a line in the log.
fn visit_often(daemon: &Daemon) {
    for _ in 0..VISITS {
        drop(Raw::open(&daemon.address, 0));
    }
}
