//! What stands under EXAMPLES on each page. Every command line here is parsed by a test.

/// An example: what it does, and what is typed.
pub type Example = (&'static str, &'static str);

/// The examples of a page; none where it has none, which no page of a command is allowed.
#[must_use]
pub fn of(page: &str) -> &'static [Example] {
    let found = EXAMPLES.iter().find(|(name, _)| *name == page);
    found.map_or(&[], |(_, examples)| *examples)
}

/// Each page of a command, with its examples.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "paxosctl",
        &[
            ("See whether the cluster works:", "paxosctl --endpoints db1,db2,db3 status"),
            ("Append an entry, and read it back:", "paxosctl append orders 'two teas' --create"),
            ("", "paxosctl read orders"),
        ],
    ),
    (
        "paxosctl-create",
        &[
            ("Create a log:", "paxosctl create orders"),
            (
                "Create one that keeps a week, and no more than 64 MiB:",
                "paxosctl create clicks --retain-age 7d --retain-bytes 64MiB",
            ),
        ],
    ),
    ("paxosctl-delete", &[("Delete a log and its entries:", "paxosctl delete orders")]),
    (
        "paxosctl-trim",
        &[("Trim all entries before index 5000:", "paxosctl trim orders --before 5000")],
    ),
    (
        "paxosctl-declare-lost",
        &[(
            "Let nothing wait for entries 40 and 41, which have rotted on every node:",
            "paxosctl declare-lost orders --from 40 --before 42 --yes",
        )],
    ),
    ("paxosctl-seal", &[("Let a log take no more entries:", "paxosctl seal orders")]),
    (
        "paxosctl-set",
        &[
            ("Keep the last 1000 entries:", "paxosctl set orders retain.entries=1000"),
            ("Keep about a gibibyte, however many:", "paxosctl set orders retain.bytes=1GiB"),
            ("Keep everything again:", "paxosctl set orders retain.entries=0 retain.bytes=0"),
        ],
    ),
    (
        "paxosctl-list",
        &[
            ("List all logs:", "paxosctl list"),
            ("Only names, of those that begin with shop-:", "paxosctl list shop- -o raw"),
        ],
    ),
    ("paxosctl-stat", &[("The index that the next entry gets:", "paxosctl stat orders -o raw")]),
    (
        "paxosctl-put",
        &[
            ("Keep a configuration file:", "paxosctl put app/config - <app.toml"),
            ("Change it, if it is as you saw it:", "paxosctl put app/config 'x = 2' --expect 7"),
        ],
    ),
    (
        "paxosctl-get",
        &[
            ("Write it to a file:", "paxosctl get app/config >app.toml"),
            ("With its index:", "paxosctl get app/config -o json"),
        ],
    ),
    (
        "paxosctl-append",
        &[
            ("Append one entry:", "paxosctl append orders 'two teas'"),
            ("Append a file as one entry:", "paxosctl append orders <order.bin"),
            ("Append each line of a file:", "paxosctl append orders --lines <orders.txt"),
            ("Append only if nobody else did since:", "paxosctl append orders x --expect 7"),
            (
                "Copy a log to another cluster, byte by byte:",
                "paxosctl read orders -o jsonl | paxosctl append orders --create --jsonl \
                 --endpoints other1:7420",
            ),
            (
                "Go on with such a copy that stopped after 5000 entries:",
                "paxosctl read orders --from 5000 -o jsonl | paxosctl append orders --jsonl \
                 --expect 5000 --endpoints other1:7420",
            ),
        ],
    ),
    (
        "paxosctl-read",
        &[
            ("Read a whole log:", "paxosctl read orders"),
            (
                "The last 20 entries, and what comes after:",
                "paxosctl read orders --last 20 --follow",
            ),
            (
                "One entry, as exactly the bytes that it has:",
                "paxosctl read orders --from 7 --count 1 --exact >order.bin",
            ),
            (
                "Without a leader, what the asked node has:",
                "paxosctl read orders --consistency local",
            ),
        ],
    ),
    (
        "paxosctl-status",
        &[
            ("Show nodes and shards:", "paxosctl status"),
            ("For programs:", "paxosctl status -o json"),
        ],
    ),
    (
        "paxosctl-wait",
        &[
            ("Until appends are served:", "paxosctl wait --quorum"),
            (
                "Until every node is there, for two minutes at most:",
                "paxosctl wait --ready --timeout 2m",
            ),
            ("With the reason for scripts:", "paxosctl wait --ready -o json"),
        ],
    ),
    (
        "paxosctl-verify",
        &[("Check the data of a node that is stopped:", "paxosctl verify /var/lib/paxosd")],
    ),
    (
        "paxosctl-disk-check",
        &[
            ("Measure a disk before a node is put there:", "paxosctl disk-check /var/lib/paxosd"),
            ("For longer:", "paxosctl disk-check /var/lib/paxosd --seconds 1m"),
        ],
    ),
    (
        "paxosctl-completions",
        &[(
            "For bash:",
            "paxosctl completions bash >/usr/share/bash-completion/completions/paxosctl",
        )],
    ),
    (
        "paxosctl-man",
        &[
            ("Read this program's page:", "paxosctl man | man -l -"),
            ("Write all pages:", "paxosctl man --dir /usr/share/man"),
        ],
    ),
    ("paxosctl-bench", &[("See what a cluster does:", "paxosctl bench append --seconds 10s")]),
    (
        "paxosctl-bench-append",
        &[
            (
                "One append at a time, as an interactive program:",
                "paxosctl bench append --connections 1 --window 1",
            ),
            ("A fixed rate, with a plot:", "paxosctl bench append --rate 5000 --plot load.svg"),
        ],
    ),
    (
        "paxosctl-bench-read",
        &[("Read at random places:", "paxosctl bench read --connections 4 --seconds 10s")],
    ),
    (
        "paxosctl-top",
        &[("Watch a cluster:", "paxosctl top"), ("One look, as text:", "paxosctl top --once")],
    ),
    (
        "paxosd",
        &[
            ("Try it out on this machine:", "paxosd dev"),
            ("The life of a node:", "paxosd check-config --config paxosd.toml"),
            ("", "paxosd init --config paxosd.toml"),
            ("", "paxosd run --config paxosd.toml"),
        ],
    ),
    (
        "paxosd-init",
        &[("Once in a node's life, as the user it runs as:", "paxosd init --config paxosd.toml")],
    ),
    ("paxosd-run", &[("Run a node in the foreground:", "paxosd run --config paxosd.toml")]),
    (
        "paxosd-check-config",
        &[("Before a restart:", "paxosd check-config --config /etc/paxosd/paxosd.toml")],
    ),
    (
        "paxosd-dev",
        &[
            ("One node, data in ./paxosd-dev:", "paxosd dev"),
            ("Ports of its own:", "paxosd dev --dir /tmp/try --listen 127.0.0.1:9000 --admin off"),
        ],
    ),
    ("paxosd-simulate", &[("Repeat one run exactly:", "paxosd simulate --seed 847")]),
    (
        "paxosd-completions",
        &[("For zsh:", "paxosd completions zsh >/usr/share/zsh/site-functions/_paxosd")],
    ),
];

#[cfg(test)]
mod tests {
    use super::super::super::args;
    use super::super::super::node;
    use super::*;

    /// The words of a simple command: quoted ones are one, what is redirected is left out.
    fn words(command: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for letter in command.chars() {
            match letter {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                letter => words.last_mut().expect("it is never empty").push(letter),
            }
        }
        assert!(!quoted, "an open quote in {command}");
        words.retain(|word| !word.is_empty() && !word.starts_with(['<', '>']));
        words
    }

    /// Every example is a command line that the program takes.
    #[test]
    fn every_example_parses() {
        let mut parsed = 0;
        for (page, examples) in EXAMPLES {
            for (_, line) in *examples {
                for command in line.split(" | ").map(words) {
                    let program = match command[0].as_str() {
                        "paxosctl" => args::program(),
                        "paxosd" => node::program(),
                        _ => continue,
                    };
                    parsed += 1;
                    let taken = program.try_get_matches_from(&command);
                    assert!(taken.is_ok(), "{page}: {command:?}: {}", taken.unwrap_err());
                }
            }
        }
        assert!(parsed > 40, "only {parsed} commands were looked at");
    }
}
