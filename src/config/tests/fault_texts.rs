//! How faults are worded: which key is to blame, and how it and its value are shown.

use super::*;

/// An unknown key shows its value, and says what was meant or where it belongs.
#[test]
fn unknown_keys_are_reported_with_what_was_meant() {
    let cases: &[(&str, &str, &str)] = &[
        ("lease_msec = 300", "f:5: lease_msec = 300: ", "did you mean lease_ms?"),
        ("LEASE_MS = 300", "f:5: LEASE_MS = 300: ", "did you mean lease_ms?"),
        ("lease-ms = 300", "f:5: lease-ms = 300: ", "did you mean lease_ms?"),
        ("speed = \"fast\"", "f:5: speed = \"fast\": ", "is not a key"),
        ("client = \"127.0.0.9\"", "f:5: client = ", "belongs below a [[member]]"),
        ("tls = { cert = \"a\" }", "f:5: tls = { cert = \"a\" }: ", "is not a key"),
        ("tls.cert = \"a\"", "f:5: tls: ", "is not a key"),
        ("\"\\u001b[31mred\" = 1", "f:5: \"\\u001b[31mred\" = 1: ", "is not a key"),
        ("\"a b\" = 1", "f:5: \"a b\" = 1: ", "is not a key"),
        ("\"\" = 1", "f:5: \"\" = 1: ", "is not a key"),
        ("\"x\\u202ey\" = 1", "f:5: \"x\\u202ey\" = 1: ", "is not a key"),
    ];
    for (line, begins, holds) in cases {
        one_fault(&with(line, 3), begins, holds);
    }
    let far = "x".repeat(400);
    let found = faults(&with(&format!("{far} = 1"), 3));
    assert!(!found[0].contains("did you mean") && found[0].len() < 200, "{found:#?}");
    let below = |line: &str| format!("{}{line}\n", shortest(3));
    let above = "belongs above the first [[member]]";
    one_fault(&below("log_level = \"info\""), "f:17: member[3].log_level = \"info\": ", above);
    one_fault(&below("log_levle = 1"), "f:17: member[3].log_levle = 1: ", "log_level");
    one_fault(&below("\"\\u0007\" = 1"), "f:17: member[3].\"\\u0007\" = 1: ", "is not a key");
    one_fault(&below("[tls]\ncert = 1"), "f:17: tls: ", "is not a key");
}

/// A value that is not TOML, or of another type, gets the rule of its key.
#[test]
fn a_known_key_has_its_own_rule() {
    let cases: &[(&str, &str)] = &[
        ("leases = yes", "leases = yes: must be true or false"),
        ("pin = True # soon", "pin = True # soon: must be true or false"),
        ("lease_ms = 300ms", "lease_ms = 300ms: must be a whole number from 50 to 60000"),
        ("lease_ms = -1", "lease_ms = -1: must be a whole number from 50 to 60000"),
        ("lease_ms = 1.5", "lease_ms = 1.5: must be a whole number from 50 to 60000"),
        ("pin = 5", "pin = 5: must be true or false"),
        ("log_level = debug", "log_level = debug: must be a text in quotes"),
        (
            "lease_ms = \"300\"",
            "lease_ms = \"300\": must be a whole number from 50 to 60000, without quotes",
        ),
    ];
    for (line, wanted) in cases {
        assert_eq!(faults(&with(line, 3)), [format!("f:5: {wanted}")]);
    }
}

/// A head that is meant as that of members is one fault, and no member is missed besides.
#[test]
fn members_under_another_name_are_one_fault() {
    for name in ["members", "Member", "membr"] {
        let text = shortest(3).replace("[[member]]", &format!("[[{name}]]"));
        let begins = format!("f:5: {name}: ");
        one_fault(&text, &begins, "is not a key; did you mean [[member]]?");
    }
}

/// Nothing of what was typed can write to the terminal of whoever reads the fault.
#[test]
fn control_characters_are_shown_as_text() {
    let texts = [
        with("\"\\u001b[31mred\" = 1", 1),
        with("pin = \"\u{1b}[31m\"", 1),
        with("pin \u{7}\u{1b}[2J", 1),
        with("pin = \"\"\"\n\u{9b}31m\"\"\"", 1),
        with("# \u{8}\u{202e}", 1),
        format!("{}\"\\u001b\" = 1\n", shortest(1)),
    ];
    for text in texts {
        for fault in faults(&text) {
            assert!(!fault.contains(char::is_control), "{fault:?}");
            assert!(!fault.contains('\u{202e}'), "{fault:?}");
        }
    }
    let (_, config) = overridden(&shortest(1), &[("PAXOSD_LOG_LEVEL", "\u{1b}[31m\nred")]);
    let line = config.expect_err("no level")[0].line("f");
    assert!(!line.contains(char::is_control) && line.contains("\\u001b[31m"), "{line:?}");
}

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

/// Numbers of the environment are digits and nothing else.
#[test]
fn sloppy_numbers_are_refused() {
    for (variable, value) in [
        ("PAXOSD_NODE_ID", "+1"),
        ("PAXOSD_NODE_ID", "01"),
        ("PAXOSD_SHARDS", "1_0"),
        ("PAXOSD_SHARDS", " 1"),
        ("PAXOSD_LISTEN", "127.0.0.1:+7422"),
        ("PAXOSD_LISTEN", "127.0.0.1:07422"),
        ("PAXOSD_LISTEN", "127.0.0.1:"),
        ("PAXOSD_CLUSTER_ID", "+ca1ab1e0ddba115ea5eca5e0b5e55ed"),
    ] {
        let (_, config) = overridden(&with("listen_admin = \"off\"", 3), &[(variable, value)]);
        let found = config.expect_err(value);
        assert_eq!(found.len(), 1, "{value}: {found:#?}");
        let line = found[0].line("f");
        assert!(line.starts_with(&format!("environment {variable}: ")), "{line}");
        assert!(line.contains(value), "{line}");
    }
}
