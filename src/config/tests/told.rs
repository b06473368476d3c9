//! How faults are told: which key is to blame, and how its value is shown.

use super::*;

/// Between two keys of which one has its default, the one that was written is named.
#[test]
fn defaults_are_not_blamed() {
    let cases: &[(&str, &str, &str)] = &[
        ("lease_ms = 100", "f:5: lease_ms = 100: ", "heartbeat_ms = 60, the default"),
        ("heartbeat_ms = 101", "f:5: heartbeat_ms = 101: ", "lease_ms = 300, the default"),
        (
            "append_bytes_max = 1024",
            "f:5: append_bytes_max = 1024: ",
            "entry_bytes_max = 1048576, the default",
        ),
        (
            "segment_bytes = 1048576",
            "f:5: segment_bytes = 1048576: ",
            "append_bytes_max = 4325376, the default",
        ),
        (
            "window_bytes = 1048576",
            "f:5: window_bytes = 1048576: ",
            "append_bytes_max = 4325376, the default",
        ),
        ("quorum_prepare = 1", "f:5: quorum_prepare = 1: ", "accept 2, the default"),
        ("quorum_accept = 1", "f:5: quorum_accept = 1: ", "prepare 2, the default"),
    ];
    for (line, begins, holds) in cases {
        one_fault(&with(line, 3), begins, holds);
    }
    let both = &faults(&with("lease_ms = 100\nheartbeat_ms = 60", 3))[0];
    assert!(both.starts_with("f:6: heartbeat_ms") && !both.contains("default"), "{both}");
}

/// A variable that breaks a rule together with what the file says is to blame, not the file.
#[test]
fn variables_are_blamed_before_the_file() {
    let blamed = |text: &str, variable: &str, value: &str| {
        let (_, config) = overridden(text, &[(variable, value)]);
        let found = config.expect_err("a fault");
        assert_eq!(found.len(), 1, "{found:#?}");
        let line = found[0].line("f");
        assert!(line.starts_with(&format!("environment {variable}: ")), "{line}");
    };
    let small = with("segment_bytes = 1048576\nappend_bytes_max = 65536\nentry_bytes_max = 1", 3);
    blamed(&small, "PAXOSD_APPEND_BYTES_MAX", "4325376");
    let small = with("window_bytes = 1048576\nappend_bytes_max = 65536\nentry_bytes_max = 1", 3);
    blamed(&small, "PAXOSD_APPEND_BYTES_MAX", "4325376");
    blamed(&with("quorum_prepare = 2", 3), "PAXOSD_QUORUM_ACCEPT", "1");
    blamed(&with("quorum_accept = 2", 3), "PAXOSD_QUORUM_PREPARE", "1");
    blamed(&with("listen_peer = \"127.0.0.1:9\"", 3), "PAXOSD_LISTEN", "127.0.0.1:9");
    blamed(&with("listen_admin = \"127.0.0.1:9\"", 3), "PAXOSD_LISTEN", "127.0.0.1:9");
}
