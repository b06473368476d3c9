//! Which command of which program can end with which exit code, and what the code means there. Help
//! and manual pages show what stands here.

/// An exit code of a program.
#[derive(Debug)]
pub struct Code {
    /// The number, or `128+N`.
    code: &'static str,
    /// What it means.
    meaning: &'static str,
    /// The commands that can end with it.
    by: By,
}

/// Which commands can end with a code.
#[derive(Debug)]
enum By {
    /// All of them.
    All,
    /// These, each with what the code means there, where that is more than what it means elsewhere.
    These(&'static [(&'static str, Option<&'static str>)]),
}

use By::{All, These};

/// What stands above the codes in `--help`.
pub const HEAD: &str = "Exit codes:";

/// The codes of `paxosctl`.
pub const PAXOSCTL: &[Code] = &[
    Code { code: "0", meaning: "done", by: All },
    Code { code: "1", meaning: "failed for another reason", by: All },
    Code { code: "2", meaning: "wrong usage", by: All },
    Code {
        code: "3",
        meaning: "the log was not found",
        by: These(&[
            ("delete", None),
            ("trim", None),
            ("declare-lost", None),
            ("seal", None),
            ("set", None),
            ("stat", None),
            ("append", None),
            ("read", None),
            ("get", Some("the log was not found, or has no entry")),
            ("put", None),
            ("verify", Some("there is no data")),
            ("disk-check", Some("there is no such directory")),
            ("bench append", Some("one of its logs was deleted meanwhile")),
            ("bench read", Some("one of its logs was deleted meanwhile")),
        ]),
    },
    Code {
        code: "4",
        meaning: "the precondition did not hold (--expect), or the log is sealed",
        by: These(&[
            ("append", None),
            ("put", None),
            ("trim", Some("the log has not come to that index")),
            (
                "declare-lost",
                Some("a member has the entries, or may have, or there are none there yet"),
            ),
        ]),
    },
    Code { code: "5", meaning: "the log exists already", by: These(&[("create", None)]) },
    Code {
        code: "6",
        meaning: "not executed: no node, leader, quorum or disk space in time",
        by: These(&[
            ("create", None),
            ("delete", None),
            ("trim", None),
            ("declare-lost", None),
            ("seal", None),
            ("set", None),
            ("list", None),
            ("stat", None),
            ("append", None),
            ("read", None),
            ("get", None),
            ("put", None),
            ("status", Some("a node answered, and then none did any more")),
            ("verify", Some("a node runs on the data, or the system is short of something")),
            ("disk-check", Some("no room for the file to measure with")),
            ("bench append", None),
            ("bench read", None),
            ("top", None),
        ]),
    },
    Code {
        code: "7",
        meaning: "outcome unknown: it may or may not have been executed",
        by: These(&[
            ("create", None),
            ("delete", None),
            ("trim", None),
            ("declare-lost", None),
            ("seal", None),
            ("set", None),
            ("append", None),
            ("put", None),
            ("bench append", None),
            ("bench read", Some("outcome unknown, of appends that were to fill a log")),
        ]),
    },
    Code {
        code: "8",
        meaning: "denied",
        by: These(&[
            ("create", None),
            ("delete", None),
            ("trim", None),
            ("declare-lost", None),
            ("seal", None),
            ("set", None),
            ("list", None),
            ("stat", None),
            ("append", None),
            ("read", None),
            ("get", None),
            ("put", None),
            ("bench append", None),
            ("bench read", None),
        ]),
    },
    Code {
        code: "9",
        meaning: "trimmed: the entries are gone",
        by: These(&[
            ("declare-lost", None),
            ("read", None),
            ("get", Some("trimmed: the last entry went each time that it was to be read")),
            ("bench read", Some("trimmed: one of its logs lost the entries meanwhile")),
        ]),
    },
    Code {
        code: "10",
        meaning: "unhealthy (status), or not ready in time (wait)",
        by: These(&[
            ("status", Some("unhealthy: something is missing, or no node answers")),
            ("wait", Some("not ready in time")),
        ]),
    },
    Code {
        code: "11",
        meaning: "damage found",
        by: These(&[
            ("get", Some("damage found: no node that was asked holds the entry whole")),
            ("read", Some("damage found: no node that was asked holds the entries whole")),
            ("status", Some("damage found: a node holds damaged slots")),
            ("verify", None),
            ("bench read", Some("damage found: no node that was asked holds the entries whole")),
        ]),
    },
    Code {
        code: "12",
        meaning: "lost: no node has the entries any more, and they were declared so",
        by: These(&[
            ("read", None),
            ("get", Some("lost: no node has the last entry any more, and it was declared so")),
            ("bench read", None),
        ]),
    },
    Code {
        code: "128+N",
        meaning: "ended by signal N: 141 when nobody reads the indexes of append any more, 130 by Ctrl-C",
        by: These(&[
            ("append", None),
            ("disk-check", Some("ended by signal N, its file removed: 130 by Ctrl-C")),
            ("bench append", Some("ended by a second signal N: 130 by Ctrl-C, pressed twice")),
            ("bench read", Some("ended by a second signal N: 130 by Ctrl-C, pressed twice")),
        ]),
    },
];

/// The codes of `paxosd`.
pub const PAXOSD: &[Code] = &[
    Code {
        code: "0",
        meaning: "stopped in order",
        by: These(&[
            ("init", Some("done")),
            ("run", None),
            ("check-config", Some("the configuration is good")),
            ("dev", None),
            ("simulate", Some("every seed is clean")),
            ("completions", Some("done")),
        ]),
    },
    Code { code: "64", meaning: "wrong usage", by: All },
    Code {
        code: "65",
        meaning: "damaged or foreign data",
        by: These(&[("init", None), ("run", None), ("dev", None)]),
    },
    Code {
        code: "70",
        meaning: "a broken invariant: a fault in paxosd",
        by: These(&[("run", None), ("dev", None), ("simulate", None)]),
    },
    Code {
        code: "74",
        meaning: "the disk failed a write or a sync, or standard output could not be written",
        by: These(&[
            ("init", None),
            ("run", Some("the disk failed a write or a sync")),
            ("check-config", Some("standard output could not be written")),
            ("dev", None),
            ("completions", Some("standard output could not be written")),
        ]),
    },
    Code {
        code: "75",
        meaning: "temporary: address, name or data missing or in use; space, memory or descriptors short",
        by: All,
    },
    Code {
        code: "78",
        meaning: "wrong configuration",
        by: These(&[("init", None), ("run", None), ("check-config", None), ("dev", None)]),
    },
];

/// The codes of a command, each with what it means there; of a command that has commands of its own,
/// such as `bench` or the program (`""`), those of all of them.
#[must_use]
pub fn of(codes: &'static [Code], command: &str) -> Vec<(&'static str, &'static str)> {
    let meaning = |Code { meaning, by, .. }: &Code| match by {
        These(commands) => {
            if let Some((_, own)) = commands.iter().find(|(name, _)| *name == command) {
                return Some(own.unwrap_or(meaning));
            }
            commands.iter().any(|(name, _)| is_below(name, command)).then_some(*meaning)
        }
        All => Some(*meaning),
    };
    codes.iter().filter_map(|code| Some((code.code, meaning(code)?))).collect()
}

fn is_below(name: &str, command: &str) -> bool {
    command.is_empty() || name.strip_prefix(command).is_some_and(|rest| rest.starts_with(' '))
}

/// What `--help` of a command says of them.
#[must_use]
pub fn help(codes: &'static [Code], command: &str) -> String {
    let of = of(codes, command);
    let width = of.iter().map(|(code, _)| code.len()).max().unwrap_or(0);
    let lines = of.iter().map(|(code, meaning)| format!("\n  {code:>width$}  {meaning}"));
    format!("{HEAD}{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::args;
    use super::super::exit::Exit;
    use super::super::node;
    use super::*;

    /// The commands of a program that have none below them.
    fn leaves(command: &clap::Command, above: &str) -> Vec<String> {
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        let each = below.flat_map(|below| {
            let name = format!("{above}{}", below.get_name());
            let inner = leaves(below, &format!("{name} "));
            if inner.is_empty() { vec![name] } else { inner }
        });
        each.collect()
    }

    /// The table names commands that there are, and each of them in its place.
    #[test]
    fn the_table_is_of_the_commands_that_there_are() {
        for (codes, program) in [(PAXOSCTL, args::program()), (PAXOSD, node::program())] {
            let leaves = leaves(&program, "");
            assert!(leaves.len() > 5, "{leaves:?}");
            for code in codes {
                let These(commands) = &code.by else { continue };
                for (name, _) in *commands {
                    assert!(leaves.iter().any(|leaf| leaf == name), "{}: no {name:?}", code.code);
                }
            }
            for leaf in &leaves {
                let own = of(codes, leaf);
                assert!(own.len() > 1, "{leaf}: {own:?}");
            }
            assert_eq!(of(codes, "").len(), codes.len(), "the program has them all");
        }
    }

    /// Every code that a failure has is in the table, and no other.
    #[test]
    fn the_table_has_the_codes_of_the_program() {
        let mut numbers: Vec<String> = Exit::ALL
            .iter()
            .filter(|exit| exit.signal().is_none())
            .map(|e| e.number().to_string())
            .collect();
        numbers.push("128+N".to_string());
        let listed: Vec<&str> = of(PAXOSCTL, "").into_iter().map(|(code, _)| code).collect();
        assert_eq!(numbers, listed);
    }

    /// A command shows its own codes, in its own words.
    #[test]
    fn each_command_has_its_own_codes() {
        let codes = |command: &str| -> Vec<&str> {
            of(PAXOSCTL, command).into_iter().map(|(code, _)| code).collect()
        };
        assert_eq!(codes("list"), ["0", "1", "2", "6", "8"]);
        assert_eq!(codes("wait"), ["0", "1", "2", "10"]);
        assert_eq!(codes("man"), ["0", "1", "2"]);
        assert_eq!(codes("bench"), ["0", "1", "2", "3", "6", "7", "8", "9", "11", "12", "128+N"]);
        assert_eq!(codes("trim"), ["0", "1", "2", "3", "4", "6", "7", "8"]);
        assert!(help(PAXOSCTL, "verify").contains("\n   6  a node runs on the data"));
        assert!(help(PAXOSCTL, "wait").ends_with("\n  10  not ready in time"));
    }
}
