use super::*;
use std::fmt::Write as _;

mod fault_texts;
mod listeners;
mod syntax;

/// The shortest configuration: what has no default, and nothing else.
const SHORTEST: &str = r#"
cluster_id = "5ca1ab1e0ddba115ea5eca5e0b5e55ed"
node_id = 1
data_dir = "/var/lib/paxosd"
"#;

const SAMPLE: &str = include_str!("../../paxosd.toml");

fn members(count: usize) -> String {
    let mut text = String::new();
    for i in 1..=count {
        let _ = write!(
            text,
            "[[member]]\nid = {i}\nclient = \"127.0.0.{i}:7420\"\npeer = \"127.0.0.{i}:7421\"\n"
        );
    }
    text
}

fn shortest(members_count: usize) -> String {
    format!("{SHORTEST}{}", members(members_count))
}

/// `line` before the members, so that it is line 5 of the file.
fn with(line: &str, members_count: usize) -> String {
    format!("{SHORTEST}{line}\n{}", members(members_count))
}

fn checked(text: &str) -> Result<Config, Vec<ConfigFault>> {
    check(RawConfig::parse(text))
}

fn good(text: &str) -> Config {
    checked(text).unwrap_or_else(|faults| panic!("faults in a good configuration: {faults:#?}"))
}

fn faults(text: &str) -> Vec<String> {
    let faults = checked(text).expect_err("the configuration is faulty");
    faults.iter().map(|fault| fault.line("f")).collect()
}

/// Exactly one fault, and it begins with this: file, line, key, value.
#[track_caller]
fn one_fault(text: &str, begins: &str, holds: &str) {
    let found = faults(text);
    assert_eq!(found.len(), 1, "one fault expected: {found:#?}");
    assert!(found[0].starts_with(begins), "{:?} does not begin with {begins:?}", found[0]);
    assert!(found[0].contains(holds), "{:?} does not hold {holds:?}", found[0]);
}

/// The documented sample is a good configuration, and every default that it shows is the real one.
#[test]
fn sample_equals_the_defaults() {
    let sample = good(SAMPLE);
    let shortest = good(&shortest(3));
    assert_eq!(sample, shortest);
    assert_eq!(sample.quorums, QuorumConfig { prepare: 2, accept: 2 });
    assert_eq!(sample.timing.lease_ms, 300);
    assert_eq!(sample.bounds.segment_bytes, 64 << 20);
}

/// The sample explains every key right above it, with the bounds and the default of the table.
#[test]
fn sample_documents_every_key() {
    let lines: Vec<&str> = SAMPLE.lines().collect();
    for key in keys::KEYS {
        let set = format!("{} = ", key.name);
        let at = lines
            .iter()
            .position(|line| line.starts_with(&set))
            .unwrap_or_else(|| panic!("the sample does not set {}", key.name));
        let comment: Vec<&str> = lines[..at]
            .iter()
            .rev()
            .skip_while(|l| !l.starts_with('#'))
            .map_while(|l| l.strip_prefix("# "))
            .collect();
        let comment = comment.into_iter().rev().collect::<Vec<_>>().join(" ");
        let mut wanted = Vec::new();
        match key.kind {
            keys::KeyKind::Whole { min, max, default } => {
                if !key.name.starts_with("quorum_") {
                    wanted.extend([min.to_string(), max.to_string()]);
                }
                wanted.extend(default.map(|default| default.to_string()));
            }
            keys::KeyKind::Flag { default } => {
                wanted.extend(["true or false".to_string(), format!("default {default}")]);
            }
            keys::KeyKind::Text { default } => wanted.extend(default.map(|d| format!("\"{d}\""))),
        }
        for text in wanted {
            assert!(comment.contains(&text), "comment of {} lacks {text}: {comment}", key.name);
        }
        assert!(
            comment.to_lowercase().contains("default") || comment.contains("Required"),
            "{} does not say its default: {comment}",
            key.name
        );
    }
}

/// Every rule of one key is a fault that names file, line, key and the value found.
#[test]
fn each_key_fault_is_named() {
    let cases: &[(&str, &str, &str)] = &[
        ("lease_mss = 300", "f:5: lease_mss = 300: ", "did you mean lease_ms?"),
        ("entirely_else = 300", "f:5: entirely_else = 300: ", "is not a key"),
        ("lease_ms = \"300\"", "f:5: lease_ms = \"300\": ", "whole number from 50 to 60000"),
        ("lease_ms = 300.5", "f:5: lease_ms = 300.5: ", "whole number"),
        ("lease_ms = -1", "f:5: lease_ms = -1: ", "whole number"),
        ("lease_ms = 70000", "f:5: lease_ms = 70000: ", "from 50 to 60000"),
        ("shards = 0", "f:5: shards = 0: ", "from 1 to 256"),
        ("shards = 257", "f:5: shards = 257: ", "from 1 to 256"),
        ("leases = 1", "f:5: leases = 1: ", "true or false"),
        ("listen = 7420", "f:5: listen = 7420: ", "text in quotes"),
        ("listen = \"127.0.0.1:0\"", "f:5: listen = ", "port must be"),
        ("listen = \"127.0.0.1:99999\"", "f:5: listen = ", "port must be"),
        ("listen = \"::1:7420:\"", "f:5: listen = ", "port must be"),
        ("listen = \"fe80::1:zz:7420\"", "f:5: listen = ", "needs brackets"),
        ("listen = \"a b:7420\"", "f:5: listen = ", "name or an IP address"),
        ("listen = \"300.1.1.1:7420\"", "f:5: listen = ", "neither"),
        ("listen = \"[127.0.0.1]:7420\"", "f:5: listen = ", "in brackets"),
        ("listen_admin = 7422", "f:5: listen_admin = 7422: ", "text in quotes"),
        ("listen_admin = \"127.0.0.1:0\"", "f:5: listen_admin = ", "port must be"),
        ("listen_admin = \"0.0.0.0\"", "f:5: listen_admin = ", "not a loopback"),
        ("log_level = \"loud\"", "f:5: log_level = \"loud\": ", "error, warn, info"),
        ("pin = \"yes\"", "f:5: pin = \"yes\": ", "true or false"),
        ("connections_max = 1", "f:5: connections_max = 1: ", "from 16"),
    ];
    for (line, begins, holds) in cases {
        one_fault(&with(line, 3), begins, holds);
    }
}

/// Rules between keys are checked, and the fault stands at the key that somebody typed.
#[test]
fn rules_between_keys() {
    let cases: &[(&str, &str, &str)] = &[
        ("quorum_accept = 1", "f:5: quorum_accept = 1: ", "do not intersect"),
        ("quorum_prepare = 1", "f:5: quorum_prepare = 1: ", "do not intersect"),
        ("quorum_prepare = 4", "f:5: quorum_prepare = 4: ", "at most the number of members, 3"),
        ("heartbeat_ms = 101", "f:5: heartbeat_ms = 101: ", "a third of lease_ms = 300"),
        ("listen_peer = \"127.0.0.1:7420\"", "f:5: listen_peer = ", "overlaps listen"),
        ("listen_admin = \"127.0.0.1:7421\"", "f:5: listen_admin = ", "overlaps listen_peer"),
        ("listen = \"db1.example.com\"", "f:5: listen = ", "insecure_listen = true"),
        (
            "entry_bytes_max = 1048576\nappend_bytes_max = 1048576",
            "f:5: entry_bytes_max = 1048576: ",
            "append_bytes_max",
        ),
        ("segment_bytes = 1048576", "f:5: segment_bytes = 1048576: ", "at least 5177344"),
        ("segment_bytes = 67108865", "f:5: segment_bytes = 67108865: ", "multiple of 4096"),
        ("window_bytes = 1048576", "f:5: window_bytes = 1048576: ", "largest value"),
    ];
    for (line, begins, holds) in cases {
        one_fault(&with(line, 3), begins, holds);
    }
    let wildcard = with("listen = \"0.0.0.0:7421\"\ninsecure_listen = true", 1);
    one_fault(&wildcard, "f:", "overlaps listen");
    let wildcard = with("listen = \"0.0.0.0:7420\"", 1);
    one_fault(&wildcard, "f:5: listen = ", "insecure_listen = true");
    let flexible = good(&with("quorum_prepare = 4\nquorum_accept = 2", 5));
    assert_eq!(flexible.quorums, QuorumConfig { prepare: 4, accept: 2 });
    let small = "segment_bytes = 1048576\nappend_bytes_max = 131072\nentry_bytes_max = 65536";
    assert_eq!(good(&with(small, 1)).value_bytes_max(), 131_072 + (576 << 10));
    let open = good(&with("listen = \"0.0.0.0\"\ninsecure_listen = true", 1));
    assert_eq!(open.listen.to_string(), "0.0.0.0:7420");
}

/// What is missing is named, each by itself.
#[test]
fn what_is_missing_is_named() {
    let found = faults("");
    let named = |key: &str| found.iter().any(|f| f.starts_with(&format!("f: {key}: is missing")));
    for key in ["cluster_id", "node_id", "data_dir", "member"] {
        assert!(named(key), "{key} is not named: {found:#?}");
    }
    assert_eq!(found.len(), 4, "{found:#?}");
    one_fault(
        &format!("{SHORTEST}[[member]]\nid = 1\nclient = \"127.0.0.1\""),
        "f:5: member[1].peer: ",
        "is missing",
    );
}

/// Members: duplicate ids, shared addresses, unknown keys and wrong shapes are distinguished.
#[test]
fn member_faults_are_named() {
    let three = shortest(3);
    one_fault(
        &three.replace("id = 3", "id = 2"),
        "f:14: member[3].id = 2: ",
        "member[2].id already",
    );
    one_fault(&three.replace("id = 3", "id = 0"), "f:14: member[3].id = 0: ", "from 1 to 65535");
    one_fault(
        &three.replace("127.0.0.3:7421", "127.0.0.2:7420"),
        "f:16: member[3].peer = \"127.0.0.2:7420\": ",
        "address of member[2].client already",
    );
    one_fault(&three.replace("127.0.0.3:7421", "0.0.0.0:1"), "f:16: member[3].peer = ", "listen");
    one_fault(&format!("{three}pear = 1"), "f:17: member[3].pear = 1: ", "did you mean peer?");
    one_fault(&three.replace("node_id = 1", "node_id = 9"), "f:3: node_id = 9: ", "any [[member]]");
    let single = format!("{SHORTEST}[member]\nid = 1");
    assert!(faults(&single).iter().any(|f| f.contains("double brackets")), "{single}");
    assert!(faults(&shortest(16))[0].contains("at most 15 members"));
    let remote = three.replace("127.0.0.1:7420", "db1.example.com:7420");
    one_fault(&remote, "f:5: listen = \"db1.example.com:7420\": ", "loopback");
}

/// A cluster id must be 32 hexadecimal digits and not zero, which would mean any cluster.
#[test]
fn cluster_id_faults() {
    for (id, holds) in
        [("5ca1", "has 4 characters"), ("zz", "has 2 characters"), (&"0".repeat(32), "all zeros")]
    {
        let text = shortest(1).replace("5ca1ab1e0ddba115ea5eca5e0b5e55ed", id);
        one_fault(&text, "f:2: cluster_id = ", holds);
    }
    let dashed = shortest(1)
        .replace("5ca1ab1e0ddba115ea5eca5e0b5e55ed", "5ca1ab1e-0ddb-a115-ea5e-ca5e0b5e55ed");
    assert_eq!(good(&dashed).cluster, good(&shortest(1)).cluster);
}

/// Many faults of many kinds are all named in one run, in the order of the file.
#[test]
fn all_faults_at_once() {
    let text = "cluster_id = \"short\"\nnode_id = 7\nlease_ms = \"x\"\nshards = 0\nspeed = 3\n\
                quorum_accept = 1\nlisten = \"0.0.0.0:7420\"\nlisten_peer = \"0.0.0.0:7420\"\n\
                [[member]]\nid = 1\nclient = \"127.0.0.1\"\npeer = \"127.0.0.1\"\n\
                [[member]]\nid = 1\nclient = \"127.0.0.1\"\npeer = 3\n";
    let found = faults(text);
    let wanted = [
        "f:1: cluster_id",
        "f:2: node_id = 7",
        "f:3: lease_ms",
        "f:4: shards = 0",
        "f:5: speed",
        "f:7: listen =",
        "f:8: listen_peer =",
        "f:8: listen_peer =",
        "f:14: member[2].id",
        "f:15: member[2].client",
        "f:16: member[2].peer = 3",
        "f: data_dir",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found:?} should begin with {wanted:?}");
    }
}

/// Broken TOML is a fault with its line, and hides no fault that stands elsewhere.
#[test]
fn broken_toml_is_a_fault_among_others() {
    let found = faults(&format!("{SHORTEST}lease_ms = = 3\nshards = 0\n{}", members(1)));
    assert!(found[0].starts_with("f:5: lease_ms = = 3: is not valid TOML"), "{found:#?}");
    assert!(found.iter().any(|f| f.starts_with("f:6: shards = 0")), "{found:#?}");
    let twice = faults(&with("shards = 2\nshards = 3", 1));
    assert!(twice.iter().any(|f| f.starts_with("f:6: ") && f.contains("duplicate")), "{twice:#?}");
}

fn overridden(
    text: &str,
    variables: &[(&str, &str)],
) -> (RawConfig, Result<Config, Vec<ConfigFault>>) {
    let mut raw = RawConfig::parse(text);
    raw.override_from(variables.iter().map(|(k, v)| (k.into(), v.into())));
    (raw.clone(), check(raw))
}

/// `PAXOSD_…` overrides what the file says, a fault of the file included; its own faults name it.
#[test]
fn environment_overrides_the_file() {
    let variables = [
        ("PAXOSD_NODE_ID", "2"),
        ("PAXOSD_DATA_DIR", "/data"),
        ("PAXOSD_LISTEN", "127.0.0.9"),
        ("PAXOSD_LEASES", "false"),
        ("PAXOSD_LEASE_MS", "500"),
        ("HOME", "/root"),
    ];
    let (raw, config) = overridden(&with("lease_ms = \"wrong\"", 3), &variables);
    let config = config.expect("the environment mends the file");
    assert_eq!((config.node, config.data_dir.to_str()), (NodeId(2), Some("/data")));
    assert_eq!(config.listen.to_string(), "127.0.0.9:7420");
    assert_eq!(config.listen_peer.to_string(), "127.0.0.2:7421");
    assert_eq!((config.timing.leases, config.timing.lease_ms), (false, 500));
    assert!(raw.unknown_variables.is_empty());

    let (raw, wrong) = overridden(
        &shortest(3),
        &[("PAXOSD_LEASE_MS", "soon"), ("PAXOSD_SHARDS", "900"), ("PAXOSD_PORT", "1")],
    );
    let lines: Vec<String> = wrong.expect_err("faulty").iter().map(|f| f.line("f")).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with("environment PAXOSD_LEASE_MS: lease_ms = soon: must be"));
    assert!(lines[1].starts_with("environment PAXOSD_SHARDS: shards = 900: must be from 1"));
    assert_eq!(raw.unknown_variables, ["PAXOSD_PORT"]);
}

/// Addresses of every form are read, shown again, and known as loopback or not.
#[test]
fn addresses() {
    let cases = [
        ("127.0.0.1", "127.0.0.1:7420", true),
        ("::1", "[::1]:7420", true),
        ("[::1]", "[::1]:7420", true),
        ("[::1]:9", "[::1]:9", true),
        ("localhost:9", "localhost:9", true),
        ("10.0.0.1:9", "10.0.0.1:9", false),
        ("db-1.example.com", "db-1.example.com:7420", false),
    ];
    for (text, shown, loopback) in cases {
        let address = Address::parse(text, CLIENT_PORT).expect(text);
        assert_eq!((address.to_string().as_str(), address.is_loopback()), (shown, loopback));
        assert_eq!(Address::parse(&address.to_string(), 1), Ok(address));
    }
}

/// A file that is not there is distinguished from a faulty one.
#[test]
fn unreadable_file() {
    let error = Config::load(Path::new("/nonexistent/paxosd.toml"), []).expect_err("no file");
    assert!(matches!(&error, ConfigError::Unreadable { .. }), "{error}");
    assert!(error.to_string().starts_with("/nonexistent/paxosd.toml: cannot be read"));
}

/// No text can panic the checker: the sample cut at every byte, and with every byte changed.
#[test]
fn r37_no_text_panics_the_checker() {
    for at in (0..SAMPLE.len()).step_by(7) {
        if SAMPLE.is_char_boundary(at) {
            let _ = checked(&SAMPLE[..at]);
        }
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = b"\"[]=\n-9{"[at % 8];
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = checked(text);
        }
    }
}

/// The admin pages are on loopback two ports above the clients' one unless it is said where else,
/// or nowhere.
#[test]
fn admin_pages_have_a_default() {
    let admin = |text: &str| good(text).listen_admin.map(|address| address.to_string());
    assert_eq!(admin(&shortest(3)).as_deref(), Some("127.0.0.1:7422"));
    assert_eq!(admin(&with("listen_admin = \"off\"", 3)), None);
    assert_eq!(admin(&with("listen_admin = \"localhost\"", 3)).as_deref(), Some("localhost:7422"));
    let open = shortest(3).replace("127.0.0.1:7420", "10.0.0.1:9000");
    let open = open.replace("node_id", "insecure_listen = true\nnode_id");
    assert_eq!(admin(&open).as_deref(), Some("127.0.0.1:9002"));
    let high = shortest(1).replace("7420", "65535");
    one_fault(&high, "f:5: listen_admin", "listen_admin = \"off\"");
    let moved = with("listen = \"127.0.0.1:7422\"", 3);
    assert_eq!(admin(&moved).as_deref(), Some("127.0.0.1:7423"), "not where the node itself is");
}

/// Members side by side on one machine, with whatever ports: no default is in anybody's way, and
/// none depends on which node works it out.
#[test]
fn admin_pages_of_neighbours_do_not_collide() {
    let ports = |nodes: &[(u16, u16)], host: &str| -> Vec<u16> {
        let member = |(i, (client, peer)): (usize, &(u16, u16))| {
            let id = i + 1;
            format!(
                "[[member]]\nid = {id}\nclient = \"{host}:{client}\"\npeer = \"{host}:{peer}\"\n"
            )
        };
        let members: String = nodes.iter().enumerate().map(member).collect();
        let of = |id: usize| {
            let text = format!(
                "cluster_id = \"5ca1ab1e0ddba115ea5eca5e0b5e55ed\"\nnode_id = {id}\n\
                 data_dir = \"/x\"\ninsecure_listen = true\n{members}"
            );
            let admin = good(&text).listen_admin.expect("not turned off");
            assert_eq!(admin.host, "127.0.0.1");
            admin.port
        };
        (1..=nodes.len()).map(of).collect()
    };
    for host in ["127.0.0.1", "10.0.0.1", "db1.example.com"] {
        assert_eq!(ports(&[(7420, 7421), (7430, 7431)], host), [7422, 7432]);
        let dense = ports(&[(7420, 7421), (7422, 7423), (7424, 7425)], host);
        assert_eq!(dense, [7426, 7427, 7428]);
        assert_eq!(ports(&[(7420, 7430), (7421, 7431), (7422, 7432)], host), [7423, 7424, 7425]);
    }
}

/// A variable at fault is named itself, without the file's quotes, also where it breaks a rule
/// together with the file.
#[test]
fn variables_at_fault_are_named() {
    let fault = |variable: &str, value: &str| {
        let mut raw = RawConfig::parse(&shortest(3));
        raw.override_from([(variable.into(), value.into())]);
        let faults = check(raw).expect_err("a fault");
        let lines: Vec<String> = faults.iter().map(|fault| fault.line("f")).collect();
        lines.join("\n")
    };
    let text = fault("PAXOSD_LEASE_MS", "fast");
    assert!(text.starts_with("environment PAXOSD_LEASE_MS") && !text.contains("quotes"), "{text}");
    let text = fault("PAXOSD_LEASE_MS", "60");
    assert!(text.starts_with("environment PAXOSD_LEASE_MS"), "{text}");
    let text = fault("PAXOSD_QUORUM_ACCEPT", "1");
    assert!(text.starts_with("environment PAXOSD_QUORUM_ACCEPT"), "{text}");
}

/// What cannot be read as TOML is one fault: what stands behind it is not missed.
#[test]
fn broken_syntax_has_no_consequences() {
    let text = shortest(3).replacen("\nid = 1", "\nid = = 1", 1);
    for fault in faults(&text) {
        assert!(fault.contains("is not valid TOML"), "{fault}");
    }
    assert!(!faults(&text).is_empty());
}

/// What a shell would have replaced is no path that anybody means.
#[test]
fn a_path_that_no_shell_expanded_is_a_fault() {
    for (path, holds) in [
        ("~/paxosd", "~ is not a home directory"),
        ("~paxosd/data", "~ is not a home directory"),
        ("$HOME/paxosd", "$… stands for nothing"),
        ("/srv/${NODE}/data", "$… stands for nothing"),
    ] {
        let text = shortest(1).replace("/var/lib/paxosd", path);
        one_fault(&text, &format!("f:4: data_dir = \"{path}\""), holds);
    }
    for path in ["./~/paxosd", "/srv/a~b", "/srv/us$", "/srv/$1"] {
        let config = good(&shortest(1).replace("/var/lib/paxosd", path));
        assert_eq!(config.data_dir, std::path::PathBuf::from(path));
    }
}

/// Names that differ in case alone are one name, for members and for listeners.
#[test]
fn names_that_differ_in_case_are_one() {
    let text = shortest(2)
        .replace("127.0.0.1:7420", "Node.Example:7420")
        .replace("127.0.0.2:7420", "nODE.example:7420");
    let found = faults(&text);
    assert!(
        found.iter().any(|fault| fault.contains("member[2].client")
            && fault.contains("nODE.example")
            && fault.contains("is the address of member[1].client already")),
        "{found:#?}"
    );
}

/// A client has a connection to each shard: fewer than two clients' worth serves nobody.
#[test]
fn connections_are_enough_for_the_shards() {
    let text = with("shards = 16\nconnections_max = 31", 1);
    one_fault(&text, "f:6: connections_max = 31", "at least twice shards = 16, 32");
    good(&with("shards = 16\nconnections_max = 32", 1));
}
