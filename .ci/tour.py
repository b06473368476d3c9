"""Runs the drills of a document and compares their output.

A drill is a section (`## Heading`) with ```console blocks: its commands run in a shell of their own, with an
empty cluster directory, so that what one drill sets or starts is nothing that another could lean on.

A line `$ command` is run; a line `> more` continues it; what follows is the output expected of it.
A line `...` stands for any lines, and `...` inside a line for any text. A command must succeed,
unless its block says `# exits N` behind it. A variable that is not set ends the drill. A drill that leaves
nodes running, or files outside the cluster's directory, is at fault.

usage: tour.py DOCUMENT [WORDS OF A HEADING]
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

DEADLINE_S = 600  # For one command; the first may build the release.


def steps(section):
    """Yields (command, expected lines, exit code) of every console block of a section, in order."""
    for block in re.findall(r"^```console\n(.*?)^```", section, re.M | re.S):
        found = []
        for line in block.splitlines():
            if line.startswith("$ "):
                command, _, code = line[2:].partition("  # exits ")
                found.append([command, [], int(code or 0)])
            elif line.startswith("> "):
                found[-1][0] += "\n" + line[2:]
            else:
                found[-1][1].append(line)
        yield from found


def drills(document):
    """Yields (heading, steps) of every section that has commands to run."""
    fences = 0
    heading, lines = "", []
    for line in [*document.splitlines(), "## "]:
        fences += line.startswith("```")
        if line.startswith("## ") and fences % 2 == 0:
            found = list(steps("\n".join(lines) + "\n"))
            if found:
                yield heading, found
            heading, lines = line[3:], []
        lines.append(line)


def matches(expected, output):
    """True where the output is as the document says, dots standing for anything."""
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("...")) + r"[ \t]*\n"
    return re.fullmatch(pattern, output) is not None


def run_drill(drill, directory):
    """Runs the steps in one bash, so that exports last; returns the number of faults."""
    scratch = directory + "/tmp"
    os.mkdir(scratch)
    env = dict(os.environ, PAXOS_CLUSTER_DIR=directory + "/cluster", TMPDIR=scratch, PS1="", PS2="")
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-u"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
    )
    faults = 0
    output = directory + "/output"
    for command, expected, code in drill:
        print(f"$ {command}", flush=True)
        shell.stdin.write(f"{{ {command}\n}} >{output} 2>&1 </dev/null; echo $?\n")
        shell.stdin.flush()
        signal.alarm(DEADLINE_S)  # Not caught: a command that hangs ends the tour.
        status = shell.stdout.readline().strip()
        signal.alarm(0)
        text = pathlib.Path(output).read_text(encoding="utf-8")
        print(text, end="", flush=True)
        if status != str(code):
            print(f"FAULT: exit code {status or 'none'}, the document says {code}")
            faults += 1
        if not matches(expected, text):
            print("FAULT: the document promises this output:\n" + "\n".join(expected))
            faults += 1
        if not status:
            break  # The shell is gone: a variable was not set.
    return faults + clean_up(shell, directory)


def clean_up(shell, directory):
    """Ends what the drill left behind; returns the number of faults."""
    faults = 0
    left = [path.name for path in pathlib.Path(directory, "tmp").iterdir()]
    if left:
        print(f"FAULT: the drill leaves files behind: {', '.join(left)}")
        faults += 1
    for pids in pathlib.Path(directory).rglob("paxosd.pid"):
        print(f"FAULT: the drill leaves a node behind: {pids.parent.name}")
        faults += 1
        try:
            os.kill(int(pids.read_text(encoding="utf-8")), signal.SIGKILL)
        except ProcessLookupError:
            pass
    if shell.poll() is None:
        shell.stdin.close()
    shell.wait()
    return faults


def main():
    document = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    wanted = " ".join(sys.argv[2:])
    faults = count = 0
    for heading, drill in drills(document):
        if wanted not in heading:
            continue
        count += 1
        print(f"--- {heading}", flush=True)
        with tempfile.TemporaryDirectory(prefix="paxosd-tour.") as directory:
            faults += run_drill(drill, directory)
    if count == 0:
        print("FAULT: the document has no ```console block")
        faults += 1
    print(f"{faults} faults in {count} drills" if faults else f"{count} drills are as the document says")
    sys.exit(1 if faults else 0)


main()
