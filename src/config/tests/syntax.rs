//! What is not TOML: each line that is broken is a fault, and hides none of the others.

use super::*;

/// All faults of a text, compared by how each begins.
#[track_caller]
fn begin(text: &str, wanted: &[&str]) -> Vec<String> {
    let found = faults(text);
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found:?} should begin with {wanted:?}");
    }
    found
}

/// Every broken line is named, with key and value where it has them, whatever came before it.
#[test]
fn every_broken_line_is_named() {
    let lines = "lease_ms = = 3\nheartbeat_ms 60\npin = tru\nlisten = \"127.0.0.1\nshards: 3\n= 4\n\
                 leases = yes no\n\"x y\" = [\nlog_level = 'info";
    let wanted = [
        "f:5: lease_ms = = 3: is not valid TOML: ",
        "f:6: heartbeat_ms 60: is not valid TOML: ",
        "f:7: pin = tru: must be true or false",
        "f:8: listen = \"127.0.0.1: is not valid TOML: ",
        "f:9: shards: 3: is not valid TOML: ",
        "f:10: = 4: is not valid TOML: ",
        "f:11: leases = yes no: is not valid TOML: ",
        "f:12: \"x y\" = [: is not valid TOML: ",
        "f:13: log_level = 'info: is not valid TOML: ",
    ];
    begin(&with(lines, 3), &wanted);
}

/// Beside a broken line everything else is checked: unknown keys, members, quorums, rules.
#[test]
fn a_broken_line_hides_nothing() {
    let text = with("pin = = 1\nspeed = 3\nquorum_accept = 1\nlisten = \"10.0.0.1\"", 3)
        .replace("node_id = 1", "node_id = 9")
        .replace("id = 3\n", "id = 2\nport = 1\n");
    let wanted = [
        "f:3: node_id = 9: is not the id of any",
        "f:5: pin = = 1: is not valid TOML",
        "f:6: speed = 3: is not a key",
        "f:7: quorum_accept = 1: quorums do not intersect",
        "f:8: listen = \"10.0.0.1\": is not a loopback",
        "f:18: member[3].id = 2: ",
        "f:19: member[3].port = 1: is not a key",
    ];
    begin(&text, &wanted);
}

/// A key that is set twice is named with both lines, and the rest is checked all the same.
#[test]
fn duplicates_are_named_with_both_lines() {
    let text = with("shards = 2\nspeed = 1\nshards = 3\n\"speed\" = 2\npin = 5", 2)
        .replace("id = 2\n", "id = 2\nid = 4\n");
    let wanted = [
        "f:6: speed = 1: is not a key",
        "f:7: shards = 3: is a duplicate key: line 5 sets it already",
        "f:8: speed = 2: is a duplicate key: line 6 sets it already",
        "f:9: pin = 5: must be true or false",
        "f:16: member[2].id = 4: is a duplicate key: line 15 sets it already",
    ];
    begin(&text, &wanted);
}

/// What only follows from an unreadable line is no fault: what seems missing, what has its default, which
/// members there are.
#[test]
fn unreadable_lines_have_no_consequences() {
    for (line, unreadable) in [
        ("node_id = 1", "node_id = = 1"),
        ("cluster_id = \"5ca1ab1e0ddba115ea5eca5e0b5e55ed\"", "cluster_id = \"5ca1"),
        ("data_dir = \"/var/lib/paxosd\"", "data_dir: /var/lib"),
        ("id = 1\nclient", "id = = 1\nclient"),
        ("[[member]]\nid = 2", "[[member]\nid = 2"),
        ("[[member]]\nid = 2", "[member]]\nid = 2"),
        ("[[member]]\nid = 2", "[[membr\nid = 2"),
        ("client = \"127.0.0.1:7420\"", "client = 127.0.0.1:7420"),
        ("peer = \"127.0.0.2:7421\"", "peer \"127.0.0.2:7421\""),
    ] {
        let text = shortest(3);
        assert!(text.contains(line), "{line}");
        let found = faults(&text.replacen(line, unreadable, 1));
        assert_eq!(found.len(), 1, "{unreadable}: {found:#?}");
        let is_bare = unreadable == "client = 127.0.0.1:7420";
        let rule = if is_bare { "must be a text in quotes" } else { "is not valid TOML" };
        assert!(found[0].contains(rule), "{found:#?}");
    }
    // With its default, 300, these would break rules.
    one_fault(&with("lease_ms = = 900\nheartbeat_ms = 200", 3), "f:5: lease_ms", "TOML");
    one_fault(&with("lease_ms 900\nheartbeat_ms = 200", 3), "f:5: lease_ms", "TOML");
    one_fault(&with("insecure_listen = tru\nlisten = \"10.0.0.1\"", 3), "f:5: insecure", "true or");
    one_fault(&with("append_bytes_max = = 65536\nentry_bytes_max = 4194304", 3), "f:5: a", "TOML");
    one_fault(&with("quorum_prepare = = 3\nquorum_accept = 1", 3), "f:5: quorum_prepare", "TOML");
    one_fault(&with("listen = = 1\nlisten_peer = \"127.0.0.1:9000\"", 3), "f:5: listen", "TOML");
}

/// What stands on several lines is one value; a broken line of it is that line's fault.
#[test]
fn values_of_several_lines() {
    let inline = "member = [\n  { id = 1, client = \"127.0.0.1\", peer = \"127.0.0.1\" },\n]\n";
    good(&format!("{SHORTEST}{inline}"));
    let shards = format!("{SHORTEST}shards = 0\n{inline}pin = = 1\n");
    begin(&shards, &["f:5: shards = 0", "f:9: pin = = 1: is not valid TOML"]);
    let broken = inline.replace("id = 1", "id = = 1");
    one_fault(&format!("{SHORTEST}{broken}"), "f:6: ", "is not valid TOML");
    let text = format!("{SHORTEST}pin = = 1\nlisten = \"\"\"\n127.0.0.1\"\"\"\nspeed = 1\n");
    let wanted = ["f:5: pin", "f:8: speed = 1", "f: member: is missing"];
    begin(&text, &wanted);
    // One that is never closed swallows nothing.
    let open = with("log_level = \"\"\"info\nshards = 0\npin = [\nspeed = 1", 3);
    begin(&open, &["f:5: log_level", "f:6: shards = 0", "f:7: pin = [", "f:8: speed = 1"]);
}

/// `[member]` is one fault for each, and what stands below it is looked at.
#[test]
fn single_brackets_are_read_as_meant() {
    let text = shortest(3).replace("[[member]]", "[member]").replace("id = 3", "id = 0");
    let wanted = [
        "f:5: member[1]: ",
        "f:9: member[2]: ",
        "f:13: member[3]: ",
        "f:14: member[3].id = 0: must be from 1 to 65535",
    ];
    let found = begin(&text, &wanted);
    assert!(found[..3].iter().all(|fault| fault.contains("double brackets")), "{found:#?}");
    one_fault(&shortest(1).replace("[[member]]", "[member]"), "f:5: member[1]: ", "[[member]]");
}

/// Members of another type are one fault, and nobody asks for members or their ids besides.
#[test]
fn members_of_another_type_are_one_fault() {
    for (line, begins) in [
        ("member = 5", "f:5: member = 5: must be a list"),
        ("member = \"one\"", "f:5: member = \"one\": must be a list"),
        ("member = [5]", "f:5: member[1] = 5: must be a table"),
        ("member = []", "f:5: member = []: "),
        ("member.id = 1", "f:5: member: must be a list"),
        ("quorum_prepare = 1\nquorum_accept = 1\nmember = true", "f:7: member = true: "),
    ] {
        one_fault(&format!("{SHORTEST}{line}\n"), begins, "");
    }
    one_fault(
        &shortest(1).replace("id = 1\nclient", "id = \"1\"\nclient"),
        "f:6: member[1].id",
        "",
    );
    one_fault(&shortest(1).replace("\nid = 1\n", "\n"), "f:5: member[1].id: is missing", "");
    one_fault(SHORTEST, "f: member: is missing", "");
}

/// Carriage returns, byte order marks and a last line without an end are nothing to complain about.
#[test]
fn other_editors_are_welcome() {
    good(&format!("\u{feff}{}", shortest(3)));
    good(&shortest(3).replace('\n', "\r\n"));
    good(shortest(3).trim_end());
    let text = with("pin = = 1\r\nshards = 0", 3).replace("\r\n", "\n").replace('\n', "\r\n");
    begin(&text, &["f:5: pin = = 1: ", "f:6: shards = 0: "]);
}

/// However much is broken, and however, it is read to its end in no time.
#[test]
fn hostile_texts_are_read_in_no_time() {
    for line in ["x = \"\"\"\n", "[[[[\n", "x = [\n", "= \n", "a.b.c = {\n", "member = [{\n"] {
        let text = line.repeat((256 << 10) / line.len());
        let begun = std::time::Instant::now();
        assert!(!faults(&text).is_empty());
        let took = begun.elapsed();
        assert!(took.as_secs() < 20, "{line:?} took {took:?}");
    }
}

/// Bytes that are no text are a fault of their line, with their column, and of no other.
#[test]
fn bytes_that_are_no_text_are_named() {
    let faults_of = |bytes: &[u8]| {
        let faults = check(RawConfig::parse_bytes(bytes)).expect_err("no text");
        faults.iter().map(|fault| fault.line("f")).collect::<Vec<String>>()
    };
    let text = with("# gr\u{fc}\u{df}e\nlisten = \"b\u{fc}ro\"\nshards = 0\npin = 1", 3);
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin")).collect();
    let wanted = [
        "f:5: # gr\\xfc\\xdfe: is not UTF-8: byte 0xfc in column 5",
        "f:6: listen = \"b\\xfcro\": is not UTF-8: byte 0xfc in column 12",
        "f:7: shards = 0: ",
        "f:8: pin = 1: ",
    ];
    let found = faults_of(&latin);
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found:?} should begin with {wanted:?}");
    }
    let wide: Vec<u16> = format!("\u{feff}{}", with("shards = 0", 3)).encode_utf16().collect();
    let little: Vec<u8> = wide.iter().copied().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = wide.iter().copied().flat_map(u16::to_be_bytes).collect();
    for bytes in [little, big] {
        let found = faults_of(&bytes);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("f:1: the file is UTF-16"), "{found:#?}");
        assert!(found[1].starts_with("f:5: shards = 0"), "{found:#?}");
    }
    // What is missing for that alone is no fault besides.
    for bytes in [&b"\xff\xfe"[..], b"\xff\xfe#\x00\n\x00", b"\xfe\xff\x00"] {
        let found = faults_of(bytes);
        assert!(found.len() == 1 && found[0].contains("UTF-16"), "{found:#?}");
    }
}
