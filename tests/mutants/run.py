#!/usr/bin/env python3
"""Plants known bugs, one at a time, and fails unless the tests named for each of them notice it.

    tests/mutants/run.py --check            every mutant still applies, every seed names one (seconds)
    tests/mutants/run.py                    all of them
    tests/mutants/run.py NAME...            these
    tests/mutants/run.py --survey 0..2000   which of them the simulator alone notices, and by what seed

`mutants.toml` beside this file lists them. A mutant replaces the text between « and » of `before`, which
must stand exactly once in its file, by `after`; both are expressions of one type, or statements.

All mutants are compiled at once: a copy of the repository has `if mutant("name") { after } else { before }`
in each of the places, and the variable MUTANT picks one. So one build serves all of them, and the copy
without a mutant is shown to pass the very same tests. A mutant that hangs counts as noticed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutants.toml")
SEEDS = ROOT / "tests/sim_seeds.txt"
# A folder of its own: the copy's programs must not stand where the real ones are looked for.
BUILD = ROOT / "target/mutants"
COPY = BUILD / "copy"
# Test programs that can be named. None of the library's own tests: it would be compiled twice for them.
TESTS = {
    "index",
    "interaction",
    "shard",
    "wire",
    "journal_crash",
    "journal_damage",
    "journal_faults",
    "journal_places",
    "journal_release",
    "journal_start",
    "storage",
}
# Longer than any test takes: a mutant may make one run for ever.
TIMEOUT_S = 900

SWITCH = '''
/// True when the variable MUTANT picks this mutant.
#[must_use]
pub fn mutant(name: &str) -> bool {
    static PICKED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PICKED.get_or_init(|| std::env::var("MUTANT").unwrap_or_default()) == name
}
'''


class Bad(Exception):
    """The list, or the repository, is not as it must be."""


def load():
    """The mutants by name, in the order of the list."""
    mutants = {}
    for mutant in tomllib.loads(LIST.read_text())["mutant"]:
        name = mutant.get("name", "?")
        missing = {"name", "file", "before", "after", "bug", "killed_by"} - mutant.keys()
        if missing:
            raise Bad(f"mutant {name} lacks {', '.join(sorted(missing))}")
        if name in mutants:
            raise Bad(f"two mutants are called {name}")
        if not mutant["killed_by"]:
            raise Bad(f"no test is named for mutant {name}")
        for killer in mutant["killed_by"]:
            kind, _, what = killer.partition(" ")
            if kind == "sim":
                if not re.fullmatch(r"\d+\.\.\d+( with [a-z-]+)?", what):
                    raise Bad(f"mutant {name}: {killer!r} names no range of seeds A..B")
            elif kind not in TESTS or not what:
                raise Bad(f"mutant {name}: {killer!r} names no test")
        mutants[name] = mutant
    return mutants


def seeds(mutants):
    """Every recorded seed that is for a mutant, with that mutant."""
    found = []
    for number, line in enumerate(SEEDS.read_text().splitlines(), 1):
        text, _, comment = line.partition("#")
        if not text.strip():
            continue
        if re.match(r"\s*none:", comment):
            continue
        match = re.match(r"\s*mutant ([a-z0-9-]+):", comment)
        if not match or match[1] not in mutants:
            raise Bad(f"{SEEDS.name}, line {number}: behind the # must stand 'mutant NAME: what it found', or "
                      "'none: what it found'")
        found.append((int(text), match[1]))
    return found


def place(mutant, text):
    """Where the replaced text begins and ends in its file."""
    before = mutant["before"]
    if before.count("«") != 1 or before.count("»") != 1:
        raise Bad(f"mutant {mutant['name']}: 'before' marks no one place by « and »")
    head, rest = before.split("«")
    body, tail = rest.split("»")
    # Formatting may break a line anywhere: blanks match blanks.
    head_like, body_like, tail_like = (
        r"\s*".join(re.escape(word) for word in re.split(r"\s+", part)) for part in (head, body, tail))
    found = list(re.finditer(f"{head_like}({body_like}){tail_like}", text.split("#[cfg(test)]")[0]))
    if len(found) != 1:
        raise Bad(f"mutant {mutant['name']} does not apply: {head + body + tail!r} stands {len(found)} times "
                  f"in {mutant['file']}, not once. Where the code has moved, adapt 'before' and 'after'; "
                  "where the bug cannot be planted any more, say so in the commit that drops it")
    return found[0].span(1)


def plant(mutants):
    """The text of each file with all of its mutants in it, each behind its switch."""
    planted = {}
    parts = [(m["name"], m["file"], m["before"], m["after"]) for m in mutants.values()]
    parts += [(m["name"], *more) for m in mutants.values() for more in m.get("also", [])]
    parts = [dict(zip(("name", "file", "before", "after"), part)) for part in parts]
    for file in sorted({part["file"] for part in parts}):
        path = ROOT / file
        if not path.is_file():
            raise Bad(f"there is no {file}")
        text = path.read_text()
        places = {}
        for mutant in parts:
            if mutant["file"] == file:
                places.setdefault(place(mutant, text), []).append(mutant)
        spans = sorted(places)
        for (_, end), (start, _) in zip(spans, spans[1:]):
            if start < end:
                raise Bad(f"{file}: two mutants overlap at {text[start:end]!r}")
        for start, end in reversed(spans):
            body = text[start:end]
            arms = "".join(f'if crate::mutant("{m["name"]}") {{ {m["after"]} }} else ' for m in places[start, end])
            choice = f"{arms}{{ {body} }}"
            text = text[:start] + (choice if body.endswith(";") else f"({choice})") + text[end:]
        planted[file] = text
    return planted


def copy(planted):
    """Copies what git knows, as it lies here, and plants the mutants. Unchanged files keep their times."""
    listed = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True).stdout
    wanted = {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}
    for old in [path for path in COPY.rglob("*") if path.is_file()]:
        if str(old.relative_to(COPY)) not in wanted:
            old.unlink()
    for name in wanted:
        data = planted[name].encode() if name in planted else (ROOT / name).read_bytes()
        if name == "src/lib.rs":
            data += SWITCH.encode()
        if name == "Cargo.toml":
            # What the switches look like is no matter of style.
            data = data.replace(b"[lints.rust]", b'[lints.rust]\nwarnings = "allow"')
        to = COPY / name
        if not to.is_file() or to.read_bytes() != data:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(data)
            shutil.copymode(ROOT / name, to)


def build(kinds):
    """Compiles the copy; returns the program of each kind of test, and the simulator's."""
    command = ["cargo", "test", "--no-run", "--locked", "--message-format=json-render-diagnostics", "--bin", "paxosd"]
    for kind in sorted(kinds):
        command += ["--test", kind]
    environment = dict(os.environ, CARGO_TARGET_DIR=str(BUILD / "target"), CARGO_INCREMENTAL="0")
    run = subprocess.run(command, cwd=COPY, env=environment, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        raise Bad("the copy with all mutants in it does not compile")
    # Without a test that starts it the line above makes no new program of the binary.
    binary = ["cargo", "build", "--profile", "test", "--locked", "--quiet", "--bin", "paxosd"]
    if subprocess.run(binary, cwd=COPY, env=environment).returncode != 0:
        raise Bad("the binary of the copy does not compile")
    programs = {}
    for line in run.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            target, is_test = message["target"], message["profile"]["test"]
            if is_test:
                programs[target["name"]] = message["executable"]
    programs["sim"] = str(BUILD / "target/debug/paxosd")
    return programs


def run(programs, killer, mutant=""):
    """Whether a test passes; with a mutant, or without one."""
    kind, _, what = killer.partition(" ")
    environment = dict(os.environ, MUTANT=mutant)
    if kind == "sim":
        seeds, _, fault = what.partition(" with ")
        command = [programs["sim"], "simulate", "--seeds", seeds] + (["--with", fault] if fault else [])
    elif kind == "interaction" and what.endswith(".txt"):
        if not (ROOT / "tests/interaction" / what).is_file():
            raise Bad(f"there is no story {what}")
        # What a story expects must fail, not only its golden text differ: that can be written anew.
        environment.update(TRACE=what, TRACE_CLAIMS_ONLY="1")
        command = [programs[kind], "--exact", "golden_traces"]
    else:
        command = [programs[kind], "--exact", what]
    try:
        done = subprocess.run(command, cwd=COPY, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return False, f"not done after {TIMEOUT_S} s"
    if kind != "sim" and "\nrunning 1 test\n" not in "\n" + done.stdout:
        raise Bad(f"{killer!r} is not one test: is it spelt right?")
    return done.returncode == 0, done.stdout


def seed_of(output):
    match = re.search(r"^seed (\d+) failed", output, re.MULTILINE)
    return f"seed {match[1]}" if match else "no seed"


def check_all(mutants, names, recorded, programs):
    """Runs the named tests against each mutant; the list of what is wrong."""
    wrong = []
    checks = [(name, killer) for name in names for killer in mutants[name]["killed_by"]]
    checks += [(name, f"sim {seed}..{seed + 1}") for seed, name in recorded if name in names]
    # Of ranges that begin alike the longest serves all.
    from_zero = re.compile(r"sim 0\.\.(\d+)$")
    seeds_upto = max((int(m[1]) for m in map(from_zero.match, [k for _, k in checks]) if m), default=0)
    sound = {killer for _, killer in checks if not from_zero.match(killer)}
    sound |= {f"sim 0..{seeds_upto}"} if seeds_upto else set()
    for killer in sorted(sound):
        passes, output = run(programs, killer)
        if not passes:
            print(output)
            wrong.append(f"without any mutant, {killer} fails")
    for name, killer in checks:
        started = time.monotonic()
        passes, output = run(programs, killer, name)
        by = f" ({seed_of(output)})" if killer.startswith("sim") and not passes else ""
        verdict = "SURVIVES" if passes else "killed by"
        print(f"{name:36} {verdict} {killer}{by}  {time.monotonic() - started:.1f} s", flush=True)
        if passes:
            wrong.append(f"{name} survives {killer}: {mutants[name]['bug']}")
    return wrong


def survey(mutants, names, span, programs):
    for name in names:
        started = time.monotonic()
        passes, output = run(programs, f"sim {span}", name)
        verdict = "SURVIVES" if passes else seed_of(output)
        check = re.search(r"^check: (.*)$", output, re.MULTILINE)
        print(f"{name:36} {verdict:12} {check[1] if check else '':44} {time.monotonic() - started:.0f} s", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--check", action="store_true", help="only whether every mutant applies")
    arguments.add_argument("--survey", metavar="A..B", help="run these seeds against each mutant")
    given = arguments.parse_args()
    mutants = load()
    recorded = seeds(mutants)
    planted = plant(mutants)
    unknown = set(given.names) - mutants.keys()
    if unknown:
        raise Bad(f"no such mutant: {', '.join(sorted(unknown))}")
    if given.check:
        print(f"{len(mutants)} mutants apply, {len(recorded)} seeds name one")
        return
    names = given.names or list(mutants)
    kinds = {killer.split()[0] for name in names for killer in mutants[name]["killed_by"]} - {"sim"}
    copy(planted)
    programs = build(kinds)
    if given.survey:
        return survey(mutants, names, given.survey, programs)
    wrong = check_all(mutants, names, recorded, programs)
    if wrong:
        raise Bad("\n".join(wrong))
    print(f"{len(names)} mutants, all noticed")


if __name__ == "__main__":
    try:
        main()
    except Bad as bad:
        sys.exit(f"{bad}")
