//! The style checker: fails with file, line and what to write instead.
//!
//! What it checks is the house style that a compiler leaves open: layers, purity, words, sizes, and
//! calls that hide faults. Each check is shown to fail on a bad sample below.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/style.rs"]
mod style;
#[path = "tidy/type_names.rs"]
mod type_names;

use layers::{check_aliases, check_circles, check_floors, check_layers};
use purity::{check_assertions, check_purity};
use rules::{RULES, check_citations, check_rules};
use source::{Fault, Source, files};
use std::fs;
use std::path::Path;
use style::{
    check_async, check_comments, check_file_length, check_function_length, check_manifest,
    check_marks, check_module_names, check_names, check_printing, check_sleep, check_unwrap,
    check_vague_words, prose_faults, words_of_name,
};
use type_names::{SHARED, check_type_names};

type Check = fn(&Source) -> Vec<Fault>;

const CHECKS: &[Check] = &[
    check_layers,
    check_aliases,
    check_floors,
    check_purity,
    check_assertions,
    check_file_length,
    check_function_length,
    check_names,
    check_comments,
    check_vague_words,
    check_async,
    check_module_names,
    check_unwrap,
    check_printing,
    check_sleep,
];

const RUST_FOLDERS: &[&str] = &["src", "tests", "examples", "benches", "fuzz"];
const TEXT_FOLDERS: &[&str] = &[".", "src", "tests", "examples", "benches", "docs", "scripts"];
/// Files that may import each other in a circle: each holds a part of the replica's state together with
/// what the replica does with it, so it needs the replica, and the replica needs it.
const CIRCLES: &[&str] = &[
    "src/paxos/acceptor.rs",
    "src/paxos/agreement.rs",
    "src/paxos/campaign.rs",
    "src/paxos/configuration.rs",
    "src/paxos/digests.rs",
    "src/paxos/disk_budget.rs",
    "src/paxos/evidence.rs",
    "src/paxos/handover.rs",
    "src/paxos/learner.rs",
    "src/paxos/lease.rs",
    "src/paxos/phase1_outcome.rs",
    "src/paxos/pipeline.rs",
    "src/paxos/released.rs",
    "src/paxos/progress.rs",
    "src/paxos/replica.rs",
];
/// Has the banned words, as those of other systems.
const GLOSSARY: &str = "docs/GLOSSARY.md";
/// Where numbers of rules are cited.
const CITING_FOLDERS: &[&str] = &["src", "tests", "docs", "scripts"];
const TEXTS: &[&str] = &[".rs", ".md", ".sh", ".toml", ".py", ".txt", ".yml", ".service"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a file just listed can be read")
}

/// Reads the package's Rust files and marks those that a parent declares as tests.
fn sources() -> (Vec<Source>, Vec<Fault>) {
    let mut sources = Vec::new();
    let mut faults = Vec::new();
    for path in RUST_FOLDERS.iter().flat_map(|folder| files(root(), folder, &[".rs"])) {
        match Source::parse(&path, &read(&path)) {
            Ok(source) => sources.push(source),
            Err(fault) => faults.push(fault),
        }
    }
    let mut test_modules: Vec<Vec<String>> = Vec::new();
    for source in &sources {
        for name in &source.test_modules {
            test_modules.push([source.module(), vec![name.clone()]].concat());
        }
    }
    for source in &mut sources {
        let module = source.module();
        if source.path.starts_with("tests/") || test_modules.iter().any(|t| module.starts_with(t)) {
            source.mark_all_as_test();
        }
    }
    (sources, faults)
}

#[test]
fn the_tree_is_tidy() {
    // Every file of the package keeps the house style; the message says what to write instead.
    let (sources, mut faults) = sources();
    assert!(sources.len() > 10, "found only {} Rust files below {:?}", sources.len(), root());
    for check in CHECKS {
        faults.extend(sources.iter().flat_map(check));
    }
    faults.extend(check_type_names(&sources, SHARED));
    faults.extend(check_circles(&sources, CIRCLES));
    for path in TEXT_FOLDERS.iter().flat_map(|folder| files(root(), folder, TEXTS)) {
        faults.extend(check_marks(&path, &read(&path)));
    }
    for path in files(root(), "docs", &[".md"]).into_iter().chain(files(root(), ".", &[".md"])) {
        faults.extend(document_faults(&path, &read(&path)));
    }
    faults.extend(check_manifest("Cargo.toml", &read("Cargo.toml")));
    faults.extend(faults_of_rules());
    faults.sort();
    faults.dedup();
    let list: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(list.is_empty(), "{} faults of style:\n{}", list.len(), list.join("\n"));
}

/// Rules that name no test, and numbers that are cited and are no rule.
fn faults_of_rules() -> Vec<Fault> {
    let rules = read(RULES);
    let mut faults = check_rules(&rules, |path| fs::read_to_string(root().join(path)).ok());
    for path in CITING_FOLDERS.iter().flat_map(|folder| files(root(), folder, TEXTS)) {
        faults.extend(check_citations(&path, &read(&path), &rules));
    }
    faults
}

/// Banned words in a document, code blocks left out.
fn document_faults(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut in_code = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        // What the field calls a thing stands in the last cells of the glossary's table.
        let line = match path {
            GLOSSARY => line.trim_end_matches(" |").rsplit_once(" | ").map_or(line, |row| row.0),
            _ => line,
        };
        if !in_code {
            let fault = |what| Fault { path: path.to_string(), line: at + 1, what };
            faults.extend(prose_faults(line).into_iter().map(fault));
        }
    }
    faults
}

fn parse(path: &str, text: &str) -> Source {
    let mut source = Source::parse(path, text).expect("the sample is Rust");
    if path.starts_with("tests/") {
        source.mark_all_as_test();
    }
    source
}

/// The check finds a fault at each of these lines of the sample, and no other.
#[track_caller]
fn expect(check: Check, path: &str, text: &str, lines: &[usize]) {
    let faults = check(&parse(path, text));
    let found: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(found, lines, "in {path}:\n{text}\nfound {faults:#?}");
}

#[test]
fn an_import_from_above_is_found() {
    // A lower layer must not name a higher one, in whatever form the path is written.
    expect(check_layers, "src/wire/frame.rs", "use crate::shard::Shard;", &[1]);
    expect(check_layers, "src/wire/frame.rs", "fn f() {\n crate::daemon::go();\n}", &[2]);
    expect(check_layers, "src/wire/frame.rs", "use crate::{types::Slot, paxos::Replica};", &[1]);
    expect(check_layers, "src/wire/frame.rs", "use super::super::shard::Shard;", &[1]);
    expect(check_layers, "src/wire/mod.rs", "mod t {\n use super::super::shard::S;\n}", &[2]);
    expect(check_layers, "src/wire/mod.rs", "macro_rules! m { () => { $crate::sim::go() } }", &[1]);
    expect(check_layers, "src/daemon/mod.rs", "use crate::sim::Rig;", &[1]);
    expect(check_layers, "src/sim/mod.rs", "use crate::ctl::Exit;", &[1]);
    expect(check_layers, "src/wire/frame.rs", "use self::super::super::shard::Shard;", &[1]);
    // What hides the layer is none the better for it.
    expect(check_layers, "src/wire/frame.rs", "use crate::*;\nuse crate::Client;", &[1, 2]);
    expect(check_aliases, "src/wire/frame.rs", "use crate as root;\nuse super as up;", &[1, 2]);
    expect(check_aliases, "src/wire/frame.rs", "use std as s;\nuse std::io as i;", &[1]);
}

#[test]
fn an_import_of_a_sibling_is_found() {
    // paxos, machine and journal know nothing of each other; shard joins them.
    expect(check_layers, "src/paxos/step.rs", "use crate::journal::Journal;", &[1]);
    expect(check_layers, "src/journal/mod.rs", "use crate::machine::Machine;", &[1]);
    expect(check_layers, "src/client/mod.rs", "use crate::daemon::Node;", &[1]);
}

#[test]
fn an_import_from_a_floor_above_is_found() {
    // The folders of a module lie on each other as its layers do; its own files join them.
    let write = "use crate::types::Lsn;\nuse crate::journal::{write::jobs::Job, storage};";
    expect(check_floors, "src/journal/segment/index.rs", write, &[2]);
    expect(check_floors, "src/journal/recover/run.rs", write, &[]);
    expect(check_floors, "src/journal/invariants.rs", write, &[]);
    expect(check_floors, "src/shard/core.rs", write, &[]);
    let hidden = "use super::super::write::jobs::Job;\nuse crate::journal::{Journal, *};";
    expect(check_floors, "src/journal/segment/index.rs", hidden, &[1, 2, 2]);
    let tests = "#[cfg(test)]\nmod tests {\n use crate::journal::recover::run::recover;\n}";
    expect(check_floors, "src/journal/format/item.rs", tests, &[]);
}

#[test]
fn a_circle_of_imports_is_found() {
    // Two files of a folder that import each other are one idea in two files, or a third is missing.
    let texts = [
        ("src/wire/mod.rs", "mod a;\npub use a::A;\nuse super::wire::b;"),
        ("src/wire/a.rs", "use super::b::B;\nuse super::A;"),
        ("src/wire/b.rs", "use crate::wire::c::{self, C};"),
        ("src/wire/c.rs", "fn f() { super::a::go() }"),
        ("src/wire/d.rs", "use super::a::A;\n#[cfg(test)]\nmod tests { use super::super::e::E; }"),
        ("src/wire/e.rs", "use crate::wire::d::D;"),
    ];
    let sources: Vec<Source> = texts.iter().map(|(path, text)| parse(path, text)).collect();
    let found = |may: &[&str]| -> Vec<String> {
        check_circles(&sources, may).into_iter().map(|fault| fault.path).collect()
    };
    assert_eq!(found(&[]), ["src/wire/a.rs", "src/wire/b.rs", "src/wire/c.rs"]);
    let listed = ["src/wire/a.rs", "src/wire/b.rs", "src/wire/c.rs"];
    assert!(found(&listed).is_empty());
    let one_too_many = [listed.as_slice(), &["src/wire/d.rs"]].concat();
    assert_eq!(found(&one_too_many), ["src/wire/d.rs"]);
}

#[test]
fn a_module_without_a_layer_is_found() {
    // A new top-level module is given its place before it is used.
    expect(check_layers, "src/gossip/mod.rs", "", &[1]);
}

#[test]
fn an_import_from_below_is_let_through() {
    // What the layers allow is not reported, nor what only looks like a path.
    let good = "pub(crate) use crate::wire::{peer, frame::Frame};\nuse super::batch::Batch;\n\
                /// See [`crate::daemon`].\nfn f() { let text = \"crate::daemon::x\"; }";
    expect(check_layers, "src/journal/batch.rs", good, &[]);
    expect(check_layers, "src/config/check.rs", "use crate::limits::MEMBERS_MAX;", &[]);
    expect(check_layers, "src/lib.rs", "pub mod daemon;\npub use crate::client::Client;", &[]);
    expect(check_layers, "src/sim/rig.rs", "use crate::{shard::Shard, journal::MemStorage};", &[]);
    expect(check_layers, "tests/crash.rs", "use crate::daemon::x;", &[]);
}

#[test]
fn the_machine_in_a_pure_layer_is_found() {
    // Clock, thread, socket, file and chance come in as arguments (R22).
    let clock = "use std::time::Instant;\nfn f() { let t = Instant::now(); }";
    expect(check_purity, "src/paxos/step.rs", clock, &[1, 2]);
    expect(check_purity, "src/shard/mod.rs", "use std::{io, fs::File, net};", &[1, 1]);
    expect(check_purity, "src/machine/mod.rs", "fn f() { std::thread::spawn(g); }", &[1]);
    expect(check_purity, "src/journal/journal.rs", "use std::fs;", &[1]);
    expect(check_purity, "src/wire/mod.rs", "use mio::Token;", &[1]);
    expect(check_purity, "src/shard/mod.rs", "fn f() { rand::random(); }", &[1]);
    expect(check_purity, "src/shard/mod.rs", "fn f() {}\nfn g() { x::thread_rng(); }", &[2]);
    let rooted = "use ::std::fs;\nfn f() { ::std::env::var(x); }";
    expect(check_purity, "src/shard/mod.rs", rooted, &[1, 2]);
    let module = "use std::time;\nfn f() { time::Instant::now() }";
    expect(check_purity, "src/shard/mod.rs", module, &[2]);
    let order = "fn f(m: HashMap<u8, u8>, p: &Path) { p.exists(); }";
    expect(check_purity, "src/shard/mod.rs", order, &[1, 1]);
    let logs = "fn f() { log::error!(x); ::log::info!(y); }";
    expect(check_purity, "src/paxos/a.rs", logs, &[1, 1]);
    expect(check_purity, "src/shard/a.rs", logs, &[]);
}

#[test]
fn the_machine_behind_its_seam_is_let_through() {
    // The real storage, tests, and the layers above may touch what they are there to touch.
    expect(check_purity, "src/storage/files.rs", "use std::fs;", &[]);
    expect(check_purity, "src/daemon/mod.rs", "use std::{fs, net, thread, time::Instant};", &[]);
    expect(check_purity, "src/paxos/mod.rs", "#[cfg(test)]\nmod tests { use std::fs; }", &[]);
    expect(check_purity, "src/paxos/mod.rs", "use std::{fmt, time::Duration, io};", &[]);
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    // One line more than allowed is one too many, and the last allowed one is not.
    let lines = |count: usize| "// A line.\n".repeat(count);
    expect(check_file_length, "src/wire/a.rs", &lines(600), &[]);
    expect(check_file_length, "src/wire/a.rs", &lines(601), &[601]);
    let function = |count: usize| format!("\nfn f(x: [u8; 4]) -> u8\n{{\n{}}}", lines(count - 3));
    expect(check_function_length, "src/wire/a.rs", &function(70), &[]);
    expect(check_function_length, "src/wire/a.rs", &function(71), &[2]);
    let method = format!("trait T {{ fn none(&self); }}\nimpl T for U {{ {} }}", function(71));
    expect(check_function_length, "src/wire/a.rs", &method, &[3]);
    expect(check_function_length, "src/wire/a.rs", "type F = fn(u8) -> u8;", &[]);
}

#[test]
fn banned_names_are_found() {
    // The vocabulary is chosen once; other systems' words for the same things are not names here.
    let bad = "struct ViewNumber;\nlet current_term = 1;\nfn is_master() {}\nlet decree = 2;\n\
               let instance = 3;\nconst LAST_TERM: u8 = 4;\nfn on_commit() {}";
    let lines: Vec<usize> = (1..=7).collect();
    expect(check_names, "src/wire/a.rs", bad, &lines);
    let good = "struct Terminal;\nuse std::time::Instant;\nlet x = preview + determine;\n\
                fn group_commit() {}\nuse signal_hook::consts::TERM_SIGNALS;\nlet s = \"term\";";
    expect(check_names, "src/wire/a.rs", good, &[]);
    assert_eq!(words_of_name("fetchNewView_of"), ["fetch", "new", "view", "of"]);
    assert_eq!(words_of_name("MAX_TERM"), ["max", "term"]);
}

#[test]
fn banned_words_in_comments_are_found() {
    // Comments and documents use the vocabulary too, where the sense is beyond doubt.
    let bad = "/// The current term.\nfn f() {}\n// A view change.\n/* The master\n writes. */\n\
               //! An instance of Paxos.\n/// It is committed.\nfn g() {}";
    let samples = bad.replace("//! ", "// ");
    expect(check_comments, "src/wire/a.rs", &samples, &[1, 3, 4, 6, 7]);
    let good = "// In terms of the bird's eye view, for instance in the long term: group commit.\n\
                const URL: &str = \"https://master/term\"; // The seed is the commit hash.";
    expect(check_comments, "src/wire/a.rs", good, &[]);
    let document = "The view number.\n```\nterm\n```\nA decree.";
    let lines: Vec<usize> = document_faults("a.md", document).iter().map(|f| f.line).collect();
    assert_eq!(lines, [1, 5]);
    let glossary = "| word | the term | decree |\n| slot | position | instance (PMS 3) |";
    let lines: Vec<usize> = document_faults(GLOSSARY, glossary).iter().map(|f| f.line).collect();
    assert_eq!(lines, [1]);
}

#[test]
fn vague_words_are_found() {
    // Comments and names say what happens; literals and the text of --help are left alone.
    let comments = "// The log is told.\n/// Errors are told-apart.\nfn f() {}";
    expect(check_vague_words, "src/daemon/a.rs", comments, &[1, 2]);
    let names = "fn tell_pause() {}\nlet told_at = 1;\nstruct Told;";
    expect(check_vague_words, "src/daemon/a.rs", names, &[1, 2, 3]);
    let good = "// A teller of a bank.\nlet s = \"cannot be told\";\nlet intelligent = 1;";
    expect(check_vague_words, "src/daemon/a.rs", good, &[]);
    expect(check_vague_words, "src/ctl/args/a.rs", "/// Tells the state.\nstruct A;", &[]);
}

#[test]
fn async_is_found() {
    // One shard is one thread; an executor has no place, in code or manifest.
    expect(check_async, "src/client/a.rs", "async fn f() {\n g().await\n}", &[1, 2]);
    expect(check_async, "src/client/a.rs", "use tokio::net;\nuse futures::Stream;", &[1, 2]);
    expect(check_async, "src/client/a.rs", "// Not async.\nlet s = \"async\";", &[]);
    let bad = "[dependencies]\ntokio = \"1\"\nbytesize = \"1\"\nbytes.workspace = true";
    let lines: Vec<usize> = check_manifest("Cargo.toml", bad).iter().map(|f| f.line).collect();
    assert_eq!(lines, [2, 4]);
}

#[test]
fn modules_named_after_nothing_are_found() {
    // A module is named after its idea, by file name and by declaration alike.
    expect(check_module_names, "src/wire/util.rs", "", &[1]);
    expect(check_module_names, "src/helpers/mod.rs", "", &[1]);
    expect(check_module_names, "src/wire/mod.rs", "\nmod common;\nmod commons;", &[2]);
    expect(check_module_names, "tests/common/mod.rs", "", &[]);
}

#[test]
fn unwrap_and_expect_without_proof_are_found() {
    // Outside tests a call that cannot fail says why; inside, brevity wins.
    expect(check_unwrap, "src/wire/a.rs", "fn f() {\n x.unwrap();\n}", &[2]);
    expect(check_unwrap, "src/wire/a.rs", "fn f() { x.expect(\"failed\"); }", &[1]);
    let good = "fn f() { x.unwrap_or(1); x.expect(\"the lock is held here\"); }\n\
                #[cfg(test)]\nmod tests {\n fn g() { x.unwrap(); }\n}";
    expect(check_unwrap, "src/wire/a.rs", good, &[]);
    let paths = "fn f() { Option::unwrap(x); y.map(Result::unwrap); }";
    expect(check_unwrap, "src/wire/a.rs", paths, &[1, 1]);
    let any = "#[cfg(any(test, unix))]\nfn g() { x.unwrap(); }";
    expect(check_unwrap, "src/wire/a.rs", any, &[2]);
    expect(check_unwrap, "src/wire/a.rs", "#[test]\nfn g() { x.unwrap(); }", &[]);
    expect(check_unwrap, "src/wire/a.rs", "#[cfg(not(test))]\nfn g() { x.unwrap(); }", &[2]);
    expect(check_unwrap, "src/wire/a.rs", "#[cfg(test)]\nuse a;\nfn g() { x.unwrap(); }", &[3]);
}

#[test]
fn r25_assertions_that_a_release_leaves_out_are_found() {
    // What must hold of the core must hold in releases, too. Commands may check more while they are built.
    expect(check_assertions, "src/paxos/a.rs", "fn f() {\n debug_assert_eq!(1, 1);\n}", &[2]);
    expect(check_assertions, "src/shard/a.rs", "fn f() { debug_assert!(true); }", &[1]);
    expect(check_assertions, "src/shard/a.rs", "fn f() { assert!(true); x.debug_assert(); }", &[]);
    expect(check_assertions, "src/shard/a.rs", "use std::debug_assert as check;", &[1]);
    expect(check_assertions, "src/shard/a.rs", "fn f() { if cfg!(debug_assertions) {} }", &[1]);
    expect(check_assertions, "src/shard/a.rs", "#[cfg(debug_assertions)]\nfn f() {}", &[1]);
    expect(check_assertions, "src/ctl/a.rs", "fn f() { debug_assert!(true); }", &[]);
}

#[test]
fn a_file_declared_as_tests_counts_as_tests() {
    // `#[cfg(test)] mod cases;` makes tests of the file cases.rs.
    let parent = parse("src/wire/mod.rs", "mod frame;\n#[cfg(test)]\n#[path = \"x\"]\nmod cases;");
    assert_eq!(parent.test_modules, ["cases"]);
    assert_eq!(parent.module(), ["wire"]);
    let inner = "#![cfg(test)]\nfn f() { x.unwrap(); }";
    expect(check_unwrap, "src/wire/cases.rs", inner, &[]);
}

#[test]
fn printing_below_the_commands_is_found() {
    // Only commands own standard output; everything else logs or returns.
    expect(check_printing, "src/client/a.rs", "fn f() {\n println!(\"x\");\n}", &[2]);
    expect(check_printing, "src/client/a.rs", "fn f() { eprintln!(\"x\"); }", &[1]);
    expect(check_printing, "src/ctl/a.rs", "fn f() { println!(\"x\");\n dbg!(1); }", &[2]);
    expect(check_printing, "src/bin/paxosctl.rs", "fn main() { print!(\"x\"); }", &[]);
}

#[test]
fn sleeping_tests_are_found() {
    // A test waits for a fact; only the one poll with a deadline may sleep.
    expect(check_sleep, "tests/a.rs", "fn f() { std::thread::sleep(d); }", &[1]);
    expect(check_sleep, "tests/a.rs", "fn f() { std::thread::park_timeout(d); }", &[1]);
    expect(check_sleep, "tests/a.rs", "use std::thread::sleep;\nfn f() { sleep(d); }", &[1, 2]);
    expect(check_sleep, "src/client/a.rs", "#[test]\nfn f() { thread::sleep(d); }", &[2]);
    expect(check_sleep, "src/client/a.rs", "fn f() { thread::sleep(d); }", &[]);
    expect(check_sleep, "tests/process/poll.rs", "fn f() { thread::sleep(d); }", &[]);
    let reasoned = "// Sleeps because the clock is what is tested.\nfn f() { thread::sleep(d); }\n\
                    fn g() { thread::sleep(d); }";
    expect(check_sleep, "tests/a.rs", reasoned, &[3]);
}

#[test]
fn marks_of_unfinished_work_are_found() {
    // Nothing is left for later inside the tree.
    let bad = format!("fine\n# {}: later\n// {}(me)", concat!("TO", "DO"), concat!("FIX", "ME"));
    let lines: Vec<usize> = check_marks("a.sh", &bad).iter().map(|f| f.line).collect();
    assert_eq!(lines, [2, 3]);
    assert!(check_marks("a.sh", "mktemp /tmp/paxosd.XXXXXX").is_empty());
}
