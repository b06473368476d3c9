"""Runs the commands of a document's ```console blocks in one shell and compares their output.

A line `$ command` is run; a line `> more` continues it; what follows is the output expected of it.
A line `...` stands for any lines, and `...` inside a line for any text. A command must succeed,
unless its block says `# exits N` behind it.

usage: tour.py DOCUMENT
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

DEADLINE_S = 600  # For one command; the first may build the release.



def steps(text):
    """Yields (command, expected lines, exit code) of every console block, in order."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
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


def matches(expected, output):
    """True where the output is as the document says, dots standing for anything."""
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("...")) + r"[ \t]*\n"
    return re.fullmatch(pattern, output) is not None


def run_all(document, directory):
    """Runs the steps in one bash, so that exports last; returns the number of faults."""
    env = dict(os.environ, PAXOS_CLUSTER_DIR=directory + "/cluster", PS1="", PS2="")
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
    )
    faults = 0
    count = 0
    for command, expected, code in steps(document):
        count += 1
        print(f"$ {command}", flush=True)
        output = directory + "/output"
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
    shell.stdin.write("scripts/cluster.sh down --wipe >/dev/null 2>&1; exit\n")
    shell.stdin.close()
    shell.wait()
    if count == 0:
        print("FAULT: the document has no ```console block")
    return faults + (count == 0)


def main():
    document = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="paxosd-tour.") as directory:
        faults = run_all(document, directory)
    print(f"{faults} faults" if faults else "the tour is as the document says")
    sys.exit(1 if faults else 0)


main()
