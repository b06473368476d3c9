#!/usr/bin/env bash
# Shows the tour of README.md without a keystroke: three nodes, a few entries, nodes that die. Leaves
# nothing behind. $PAXOS_BASE_PORT (default 7520) is the first of its ports.
# Started by another shell, as in `sh demo.sh`, it goes on in bash.
if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set +o posix
set -euo pipefail

usage() {
  cat <<'TEXT'
demo.sh: shows the tour of README.md without a keystroke: three nodes, a few entries, nodes that die

It takes no arguments, builds paxosd where cluster.sh would, and leaves nothing behind.

Environment:
  PAXOS_BASE_PORT   first of the ports of its nodes (default 7520)
  PAXOS_BIN_DIR     where paxosd and paxosctl are, if they are not to be built here
TEXT
}

case ${1:-} in
  '') ;;
  --help | -h | help)
    usage
    exit 0
    ;;
  *)
    printf 'demo.sh: what is %s?\nTry: demo.sh --help\n' "$1" >&2
    exit 2
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/paxosd-demo.XXXXXX")
export PAXOS_CLUSTER_DIR=$work/cluster PAXOS_BASE_PORT=${PAXOS_BASE_PORT:-7520}

clean_up() {
  local status=$?
  if ((status != 0)) && [[ -d $PAXOS_CLUSTER_DIR ]]; then
    printf '\nThe demo failed; the end of each log:\n' >&2
    tail -n 5 "$PAXOS_CLUSTER_DIR"/node-*/paxosd.log >&2 || true
  fi
  scripts/cluster.sh down --wipe >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

tell() { printf '\n%s\n' "$*"; }
die() {
  printf 'demo.sh: %s\n' "$*" >&2
  exit 1
}

# Shows a command as one would type it, and runs it; it must end with the exit code `wanted`.
wanted=0
run() {
  local code=0
  printf '  $ %s\n' "$1"
  eval "$1" >"$work/said" 2>&1 || code=$?
  sed 's/^/  /' "$work/said"
  ((code == wanted)) || die "that command exited with $code, not $wanted."
  wanted=0
}
# The next command exits so.
exits() { wanted=$1; }

tell 'Three nodes on this machine, each with its own data directory:'
run 'scripts/cluster.sh up'
# shellcheck disable=SC2016 # The tour's command is shown as it is typed, and run then.
run 'eval "$(scripts/cluster.sh env)"'

tell 'A log, and three entries. Each append prints the index of its entry, once two of the three nodes
have the entry on disk:'
run 'paxosctl create orders'
run "paxosctl append orders 'three apples'"
run "printf 'a pear\na plum\n' | paxosctl append orders --lines"
run 'paxosctl read orders'
run 'paxosctl read orders --from 1 --count 1 -o jsonl'

tell 'An append can be bound to the index that it should get. Exit code 4: somebody else has it.'
run "paxosctl append orders 'a fig' --expect 3"
exits 4
run "paxosctl append orders 'a date' --expect 3"

tell 'A node dies the hard way, as in a crash. The other two elect new leaders where it led, and the log
goes on:'
run 'scripts/cluster.sh kill 1'
run "paxosctl append orders 'a grape'"
run 'paxosctl read orders --from 3'

tell 'Another one dies. One of three is no quorum, so nothing is acknowledged. Exit code 6: not executed.'
run 'scripts/cluster.sh kill 2'
run 'sleep 2'
exits 6
run "paxosctl append orders 'a quince' --timeout 2"
tell 'What the last node has can be read, for those who ask for it by name:'
run 'paxosctl read orders --consistency local --count 1'

tell 'Both come back, recover from their own disks, and the log goes on:'
run 'scripts/cluster.sh up'
run "paxosctl append orders 'a quince'"
run 'paxosctl wait --ready --timeout 30'
run 'paxosctl status'

count=$(paxosctl read orders | wc -l)
((count == 6)) || die "expected 6 entries at the end, found $count."
tell 'That was it. The cluster goes down, and its data with it:'
run 'scripts/cluster.sh down --wipe'
