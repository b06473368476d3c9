//! Where a node may listen: not where another member is, nor where others look for another port.

use super::*;

/// A listener at a member's address is a fault that names both, whichever listener it is.
#[test]
fn listeners_at_members_addresses_are_named() {
    let cases: &[(&str, &str, &str)] = &[
        ("listen = \"127.0.0.2:7420\"", "f:5: listen = ", "the client address of member 2"),
        ("listen = \"127.0.0.3:7421\"", "f:5: listen = ", "the peer address of member 3"),
        ("listen_peer = \"127.0.0.2:7421\"", "f:5: listen_peer = ", "peer address of member 2"),
        ("listen_peer = \"127.0.0.2:7420\"", "f:5: listen_peer = ", "client address of member 2"),
        ("listen_admin = \"127.0.0.3:7420\"", "f:5: listen_admin = ", "address of member 3"),
        (
            "listen_admin = \"127.0.0.1:7420\"\nlisten = \"127.0.0.1:9000\"",
            "f:5: listen_admin = ",
            "the client address of member 1, which is this node",
        ),
        (
            "listen_admin = \"127.0.0.1:7421\"\nlisten_peer = \"127.0.0.1:9000\"",
            "f:5: listen_admin = ",
            "the peer address of member 1, which is this node",
        ),
        (
            "listen = \"127.0.0.1:7421\"\nlisten_peer = \"127.0.0.1:9000\"",
            "f:5: listen = ",
            "the peer address of member 1, which is this node",
        ),
    ];
    for (line, begins, holds) in cases {
        one_fault(&with(line, 3), begins, holds);
    }
}

/// Listening for clients where peers come, and the other way round, is two faults.
#[test]
fn swapped_listeners_are_named() {
    let line = "listen = \"127.0.0.1:7421\"\nlisten_peer = \"127.0.0.1:7420\"";
    let found = faults(&with(line, 3));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("f:5: listen = ") && found[0].contains("the peer address of"));
    assert!(found[1].starts_with("f:6: listen_peer = "), "{found:#?}");
    assert!(found[1].contains("the client address of"), "{found:#?}");
}

/// Members on hosts of their own, this node behind every interface.
fn hosts(line: &str) -> String {
    let text = with(&format!("insecure_listen = true\n{line}"), 3);
    (1..=3).fold(text, |text, i| text.replace(&format!("127.0.0.{i}:"), &format!("10.0.0.{i}:")))
}

/// A wildcard takes the addresses of this host alone: those of other hosts stay theirs.
#[test]
fn wildcards_cover_this_host_only() {
    good(&hosts("listen = \"0.0.0.0:7420\"\nlisten_peer = \"0.0.0.0:7421\""));
    good(&hosts("listen = \"[::]:7420\"\nlisten_peer = \"[::]:7421\""));
    good(&hosts("listen = \"0.0.0.0:7420\"\nlisten_admin = \"0.0.0.0:7422\""));
    let own = "the peer address of member 1, which is this node";
    let moved = "listen_peer = \"10.0.0.1:9000\"";
    one_fault(&hosts(&format!("listen = \"0.0.0.0:7421\"\n{moved}")), "f:6: listen = ", own);
    one_fault(&hosts(&format!("listen_admin = \"[::]:7421\"\n{moved}")), "f:6: listen_admin", own);
    // Another member on this host, at another port.
    let same_host = |line| hosts(line).replace("10.0.0.2:7420", "10.0.0.1:8420");
    good(&same_host("listen = \"0.0.0.0:7420\""));
    let covers = "the client address of member 2";
    one_fault(&same_host("listen = \"0.0.0.0:8420\""), "f:6: listen = ", covers);
    one_fault(&same_host("listen_admin = \"0.0.0.0:8420\""), "f:6: listen_admin = ", covers);
    let loopback = |line| hosts(line).replace("10.0.0.2:", "127.0.0.2:");
    one_fault(&loopback("listen = \"0.0.0.0:7420\""), "f:6: listen = ", covers);
    // Of the other family.
    let six = |line| hosts(line).replace("10.0.0.2:", "[::1]:");
    good(&six("listen = \"0.0.0.0:7420\""));
    one_fault(&six("listen = \"[::]:7420\""), "f:6: listen = ", covers);
}

/// A faulty member hides no fault of a listener.
#[test]
fn listeners_are_looked_at_beside_faulty_members() {
    let text = with("listen = \"127.0.0.2:7420\"", 3).replace("127.0.0.1:7421", "127.0.0.1:0");
    let found = faults(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("the client address of member 2"), "{found:#?}");
    assert!(found[1].contains("member[1].peer"), "{found:#?}");
}

/// What was meant is said where "off" is not spelt so, and where an IPv6 address has no brackets.
#[test]
fn misspelt_listeners_are_explained() {
    let cases: &[(&str, &str, &str)] = &[
        ("listen_admin = \"OFF\"", "f:5: listen_admin = \"OFF\": ", "lower case"),
        (
            "insecure_listen = true\nlisten_admin = \"Off\"",
            "f:6: listen_admin = \"Off\": ",
            "lower case",
        ),
        ("listen = \"off\"", "f:5: listen = \"off\": ", "only listen_admin"),
        ("listen = \"::1:7421\"", "f:5: listen = \"::1:7421\": ", "[::1]:7421"),
        ("listen = \"::1:7421\"", "f:5: listen = \"::1:7421\": ", "brackets"),
        ("listen = \"::1:17421\"", "f:5: listen = \"::1:17421\": ", "brackets"),
        (
            "listen = \"[::ffff:127.77.1.1]:7421\"",
            "f:5: listen = \"[::ffff:127.77.1.1]:7421\": ",
            "127.77.1.1:7421",
        ),
        ("listen = \"[fe80::1]:7420\"", "f:5: listen = ", "link-local"),
        ("listen = \"127.0.0.1:+7430\"", "f:5: listen = ", "port must be"),
        ("listen = \"127.0.0.1:07430\"", "f:5: listen = ", "port must be"),
    ];
    for (line, begins, holds) in cases {
        one_fault(&with(line, 3), begins, holds);
    }
    assert_eq!(good(&with("listen = \"[::1]\"", 3)).listen.to_string(), "[::1]:7420");
    assert_eq!(
        good(
            &with("listen = \"[::1:7421]:9\"", 3)
                .replace("node_id", "insecure_listen = true\nnode_id")
        )
        .listen
        .port,
        9
    );
}

/// A listener without a port is at that of its own member, where the others look for it.
#[test]
fn a_listener_without_a_port_stays_at_its_members() {
    let moved = |line| with(line, 3).replace("127.0.0.1:7420", "127.0.0.1:8620");
    let moved = |line| moved(line).replace("127.0.0.1:7421", "127.0.0.1:8621");
    let config = good(&moved("listen = \"127.0.0.1\"\nlisten_peer = \"[::1]\""));
    assert_eq!(config.listen.to_string(), "127.0.0.1:8620");
    assert_eq!(config.listen_peer.to_string(), "[::1]:8621");
    let elsewhere = good(&moved("listen = \"127.0.0.1:9000\"\nlisten_admin = \"127.0.0.1\""));
    assert_eq!(elsewhere.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(elsewhere.listen_admin.map(|admin| admin.port), Some(7422));
}

/// Who reaches the admin pages may read, and nothing else.
#[test]
fn exposure_is_reported_as_it_is() {
    let admin = &faults(&with("listen_admin = \"0.0.0.0\"", 3))[0];
    assert!(admin.contains("insecure_listen = true") && admin.contains("read metrics"), "{admin}");
    assert!(!admin.contains("write"), "{admin}");
    let listen = &faults(&with("listen = \"10.0.0.1\"", 3))[0];
    assert!(listen.contains("read, write and delete"), "{listen}");
}
